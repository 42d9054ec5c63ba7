//! What deploying and running have in common: limits, grants, configuration by flags.

use std::collections::BTreeMap;

use caxton_client::api::AskedGrants;
use caxton_model::{LimitName, Permission};
use caxton_package::Manifest;

use crate::failure::{Exit, Failure};

/// Limits of a guest.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Guest")]
pub(crate) struct LimitOptions {
    /// A limit other than the default, such as `cpu=100ms` or `memory=64MiB`; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = read_limit)]
    limits: Vec<(LimitName, u64)>,
}

impl LimitOptions {
    /// What a manifest asks for, and what flags ask for over it; the last word on each counts.
    pub(crate) fn over(&self, manifest: Option<&Manifest>) -> BTreeMap<LimitName, u64> {
        let mut asked = manifest.map(|m| m.limits.clone()).unwrap_or_default();
        asked.extend(self.limits.iter().copied());
        asked
    }
}

/// What a guest may use.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Guest")]
pub(crate) struct GuestOptions {
    #[command(flatten)]
    pub(crate) limits: LimitOptions,
    /// A grant, such as `message:send=acme/*`; may be repeated
    #[arg(long = "grant", value_name = "PERMISSION=PATTERN", value_parser = read_grant)]
    pub(crate) grants: Vec<(Permission, String)>,
    /// A value of the guest's own configuration; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = read_pair)]
    pub(crate) config: Vec<(String, String)>,
    /// The engine profile: hardened, metered or deterministic
    #[arg(long, value_name = "PROFILE", value_parser = str::parse::<caxton_model::EngineProfile>)]
    pub(crate) engine_profile: Option<caxton_model::EngineProfile>,
}

impl GuestOptions {
    /// What is granted, by permission.
    ///
    /// Errors: a grant that this version can't give.
    pub(crate) fn granted(&self) -> Result<BTreeMap<Permission, Vec<String>>, Failure> {
        let mut granted: BTreeMap<Permission, Vec<String>> = BTreeMap::new();
        for (permission, pattern) in &self.grants {
            if !permission.is_performed() {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("`{permission}` can't be granted by this version of the host"),
                    "leave the grant out: what needs it answers denied; docs/permissions.md lists what can be granted",
                ));
            }
            granted
                .entry(*permission)
                .or_default()
                .push(pattern.clone());
        }
        Ok(granted)
    }
    /// The same, as a request to a node writes it.
    pub(crate) fn asked_grants(&self) -> Result<AskedGrants, Failure> {
        let granted = self.granted()?.into_iter();
        granted
            .map(|(permission, to)| {
                let pattern = serde_json::from_value(serde_json::json!({ "to": to }));
                let pattern = pattern.map_err(|error| {
                    Failure::usage(
                        format!("the grant can't be written: {error}"),
                        "use PERMISSION=PATTERN, such as message:send=NAME",
                    )
                })?;
                Ok((permission.to_string(), pattern))
            })
            .collect()
    }
}

fn read_limit(text: &str) -> Result<(LimitName, u64), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write it as NAME=VALUE, such as `memory=64MiB`")?;
    let name: LimitName = name.parse().map_err(|error| format!("{error}"))?;
    Ok((name, name.read(value)?))
}

fn read_grant(text: &str) -> Result<(Permission, String), String> {
    let (name, pattern) = match text.split_once('=') {
        Some((name, pattern)) => (name, Some(pattern)),
        None => (text, None),
    };
    let permission = name.parse().map_err(|error| format!("{error}"))?;
    match pattern {
        Some(pattern) => Ok((permission, pattern.to_owned())),
        // It is given whole or not at all.
        None if permission == Permission::RandomSecure => Ok((permission, String::new())),
        None => Err("write it as PERMISSION=PATTERN, such as `message:send=*`".to_owned()),
    }
}

fn read_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_with_units_and_typos_are_named() {
        assert_eq!(read_limit("cpu=100ms"), Ok((LimitName::Cpu, 100_000)));
        assert!(read_limit("cpu").unwrap_err().contains("NAME=VALUE"));
        assert!(
            read_limit("memmory=1")
                .unwrap_err()
                .contains("did you mean `memory`")
        );
        assert!(read_limit("cpu=fast").unwrap_err().contains("250ms"));
        assert!(
            read_grant("message:sent=x")
                .unwrap_err()
                .contains("did you mean `message:send`")
        );
    }

    #[test]
    fn a_grant_that_can_t_be_given_is_refused() {
        let options = GuestOptions {
            grants: vec![(Permission::ExtCall, "x".to_owned())],
            ..GuestOptions::default()
        };
        assert_eq!(options.granted().unwrap_err().exit, Exit::Refused);
        assert!(GuestOptions::default().granted().unwrap().is_empty());
    }
}
