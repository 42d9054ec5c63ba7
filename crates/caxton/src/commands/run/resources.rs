//! What a guest that runs alone has of the machine: directories, variables, and its gate.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use caxton_engine::{Directory, HostResources};
use caxton_gate::{AuditEntry, AuditSink, Gate, Grants, Pattern, PermissionRule, Rights};
use caxton_model::{GrantedRule, Permission};
use caxton_node::LoneHttp;

use super::host;
use crate::{directories, environment::Environment, failure::Failure};

/// What flags map into the guest.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Guest")]
pub(super) struct ResourceOptions {
    /// A directory of this machine, and the name by which the guest sees it, such as
    /// `/data/in=./input`; a grant of fs:read or fs:write opens it. May be repeated
    #[arg(long = "dir", value_name = "NAME=DIRECTORY", value_parser = read_directory)]
    directories: Vec<(String, PathBuf)>,
    /// A variable for the guest; a grant of env:read opens it. Without it a variable that is granted
    /// by its name is this machine's. May be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = read_variable)]
    variables: Vec<(String, String)>,
}

fn read_directory(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text
        .split_once('=')
        .filter(|(name, path)| !name.is_empty() && !path.is_empty())
        .ok_or("write it as NAME=DIRECTORY, such as `/data/in=./input`")?;
    Ok((name.to_owned(), path.into()))
}

fn read_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write it as NAME=VALUE, such as `TZ=UTC`")?;
    if text.contains('\0') {
        return Err("a variable holds no zero byte".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Nobody keeps what a run without a node decides; refusals are told by the guest's log.
struct NoAudit;
impl AuditSink for NoAudit {
    fn append(&self, _: &AuditEntry<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// The directories and variables of a run.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    pub(super) directories: Arc<[Directory]>,
    pub(super) environment: Arc<[(String, String)]>,
    /// One for all that a run sends, so that its limits bound the whole of it.
    pub(super) http: LoneHttp,
    rules: Vec<PermissionRule>,
}

impl Outside {
    /// Opens what flags map. What is mapped needs a grant, and what is granted must be mapped.
    pub(super) fn open(
        options: &ResourceOptions,
        granted: &[GrantedRule],
        environment: &Environment,
        learns: bool,
    ) -> Result<Self, Failure> {
        let rules = granted
            .iter()
            .filter_map(|granted| granted.rule.parse().ok());
        let rules: Vec<PermissionRule> = rules.collect();
        let directories = directories::open("--dir", &options.directories)?;
        // In learn mode things are given before it is known which of them are needed.
        if !learns {
            check_directories(&directories, &rules)?;
        }
        Ok(Self {
            directories: directories.into(),
            environment: variables(&options.variables, &rules, environment, learns)?.into(),
            http: LoneHttp::default(),
            rules,
        })
    }
    /// What a guest of that name has, with a gate of its own.
    pub(super) fn resources(&self, guest: &str) -> HostResources {
        HostResources {
            gate: gate(guest, &self.rules),
            now: host::now,
            directories: Arc::clone(&self.directories),
            environment: Arc::clone(&self.environment),
            usage: Arc::default(),
        }
    }
}

fn gate(guest: &str, rules: &[PermissionRule]) -> Gate {
    let grants = Grants::from_rules(rules.iter().cloned(), "--grant", host::now());
    Gate::new(guest, &Rights::granted(grants), Arc::new(NoAudit))
}

const FILES: [Permission; 2] = [Permission::FsRead, Permission::FsWrite];

/// Whether each directory has a grant, and each grant a directory.
fn check_directories(directories: &[Directory], rules: &[PermissionRule]) -> Result<(), Failure> {
    let files = rules.iter().filter(|rule| FILES.contains(&rule.permission));
    let gives: Vec<&PermissionRule> = files.filter(|rule| !rule.rule.forbids).collect();
    let meets = |rule: &PermissionRule, directory: &Directory| {
        let gate = gate("run", std::slice::from_ref(rule));
        gate.allows_within(rule.permission, directory.name(), host::now())
    };
    for directory in directories {
        let name = directory.name();
        if !gives.iter().any(|rule| meets(rule, directory)) {
            return Err(Failure::usage(
                format!("--dir {name} is mapped, and nothing in it is granted"),
                format!("add --grant 'fs:read={name}/**', or fs:write, or leave --dir out"),
            ));
        }
    }
    for rule in gives {
        if !directories.iter().any(|directory| meets(rule, directory)) {
            let PermissionRule { permission, rule } = rule;
            return Err(Failure::usage(
                format!("--grant {permission}={rule}: no directory is mapped there"),
                "add --dir NAME=DIRECTORY, such as `--dir /data/in=./input`",
            ));
        }
    }
    Ok(())
}

/// The variables: those of the flags, and this machine's for what else is granted by its name.
fn variables(
    given: &[(String, String)],
    rules: &[PermissionRule],
    environment: &Environment,
    learns: bool,
) -> Result<Vec<(String, String)>, Failure> {
    let allows =
        |rule: &&PermissionRule| rule.permission == Permission::EnvRead && !rule.rule.forbids;
    let granted: Vec<_> = rules
        .iter()
        .filter(allows)
        .map(|rule| &rule.rule.pattern)
        .collect();
    let mut variables = BTreeMap::new();
    for pattern in &granted {
        let name = pattern.to_string();
        if let Some(value) = environment.text(&name)?.filter(|_| !name.contains('*')) {
            variables.insert(name, value.to_owned());
        }
    }
    for (name, value) in given {
        let asked = Pattern::parse(Permission::EnvRead, name).map_err(|error| {
            Failure::usage(
                format!("--env {name}: {error}"),
                "name a variable, such as TZ",
            )
        })?;
        if !learns && !granted.iter().any(|pattern| pattern.includes(&asked)) {
            return Err(Failure::usage(
                format!("--env {name} is given, and the guest is not granted to read it"),
                format!("add --grant env:read={name}, or leave --env out"),
            ));
        }
        variables.insert(name.clone(), value.clone());
    }
    Ok(variables.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(
        grants: &[&str],
        flags: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Result<Outside, Failure> {
        let granted: Vec<_> = grants
            .iter()
            .map(|rule| GrantedRule {
                rule: (*rule).to_owned(),
                expires: None,
                reason: None,
                by: "--grant".to_owned(),
                at: host::now(),
            })
            .collect();
        let pair = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        let options = ResourceOptions {
            directories: flags
                .iter()
                .map(|(n, d)| ((*n).to_owned(), d.into()))
                .collect(),
            variables: env.iter().map(pair).collect(),
        };
        Outside::open(&options, &granted, &Environment::default(), false)
    }

    #[test]
    fn a_grant_needs_its_directory_and_a_directory_its_grant() {
        let temp = tempfile::tempdir().unwrap();
        let host = temp.path().to_str().unwrap();
        let map = [("/data/in", host)];
        for rule in [
            "fs:read=/data/in/**",
            "fs:write=/data/in/a/*",
            "fs:read=/data/**",
        ] {
            assert!(open(&[rule], &map, &[]).is_ok(), "{rule}");
        }
        let failure = open(&[], &map, &[]).unwrap_err();
        assert!(failure.help.contains("fs:read=/data/in/**"), "{failure:?}");
        let failure = open(&["fs:read=/data/in/**"], &[], &[]).unwrap_err();
        assert!(failure.help.contains("--dir"), "{failure:?}");
        let failure = open(&["fs:read=/data/out/**"], &map, &[]).unwrap_err();
        assert!(
            failure.what.contains("nothing in it is granted"),
            "{failure:?}"
        );
        let both = ["fs:read=/data/in/**", "fs:read=/data/out/**"];
        let failure = open(&both, &map, &[]).unwrap_err();
        assert!(failure.what.contains("fs:read=/data/out/**"), "{failure:?}");
    }

    #[test]
    fn directories_have_names_apart_from_each_other() {
        let temp = tempfile::tempdir().unwrap();
        let host = temp.path().to_str().unwrap();
        let grant = ["fs:read=/data/**"];
        let failure = open(&grant, &[("/data", host), ("/data/in", host)], &[]).unwrap_err();
        assert!(failure.what.contains("lies in the other"), "{failure:?}");
        for name in ["data", "/data/../x", "/data/"] {
            assert!(open(&grant, &[(name, host)], &[]).is_err(), "{name}");
        }
        let failure = open(&grant, &[("/data", "/nowhere/at/all")], &[]).unwrap_err();
        assert!(failure.what.contains("/nowhere/at/all"), "{failure:?}");
    }

    #[test]
    fn a_variable_that_is_given_is_granted() {
        let outside = open(&["env:read=TZ"], &[], &[("TZ", "UTC")]).unwrap();
        assert_eq!(&*outside.environment, [("TZ".to_owned(), "UTC".to_owned())]);
        let failure = open(&["env:read=TZ"], &[], &[("HOME", "/")]).unwrap_err();
        assert!(failure.help.contains("env:read=HOME"), "{failure:?}");
    }
}
