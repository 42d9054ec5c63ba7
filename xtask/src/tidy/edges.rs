//! Which crate may know which: the architecture's arrows, and the fire-walls of `deny.toml`.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::Complaint;

/// The workspace's crates and what each may use of the others. Anything else is a breach.
const EDGES: [(&str, &[&str]); 16] = [
    ("caxton-model", &[]),
    ("caxton-package", &["caxton-model"]),
    (
        "caxton-engine",
        &["caxton-model", "caxton-package", "caxton-gate"],
    ),
    ("caxton-gate", &["caxton-model"]),
    ("caxton-egress", &["caxton-model", "caxton-gate"]),
    ("caxton-kernel", &["caxton-model"]),
    ("caxton-store", &["caxton-model"]),
    (
        "caxton-sim",
        &["caxton-model", "caxton-kernel", "caxton-store"],
    ),
    (
        "caxton-node",
        &[
            "caxton-model",
            "caxton-package",
            "caxton-engine",
            "caxton-gate",
            "caxton-egress",
            "caxton-kernel",
            "caxton-store",
        ],
    ),
    ("caxton-api", &["caxton-model"]),
    (
        "caxton-server",
        &[
            "caxton-model",
            "caxton-package",
            "caxton-gate",
            "caxton-kernel",
            "caxton-api",
            "caxton-node",
        ],
    ),
    ("caxton-client", &["caxton-model", "caxton-api"]),
    ("caxton-sdk-macros", &[]),
    ("caxton-sdk", &["caxton-model", "caxton-sdk-macros"]),
    (
        "caxton",
        &[
            "caxton-model",
            "caxton-package",
            "caxton-engine",
            "caxton-gate",
            "caxton-kernel",
            "caxton-store",
            "caxton-node",
            "caxton-api",
            "caxton-server",
            "caxton-client",
        ],
    ),
    ("xtask", &["caxton-model"]),
];

/// Crates that must run anywhere and decide nothing by clock, socket or thread.
const WITHOUT_RUNTIME: [&str; 7] = [
    "caxton-model",
    "caxton-package",
    "caxton-gate",
    "caxton-kernel",
    "caxton-sim",
    "caxton-api",
    "caxton-sdk",
];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}
#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    dependencies: Vec<Dependency>,
}
#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None`: an ordinary one.
    kind: Option<String>,
    #[serde(default)]
    features: Vec<String>,
}

/// The feature under which tests plant faults.
const PLANTED: &str = "planted";

/// The part of `deny.toml` that says who may name what.
#[derive(Debug, Deserialize)]
struct Deny {
    bans: Bans,
}
#[derive(Debug, Deserialize)]
struct Bans {
    #[serde(default)]
    deny: Vec<Ban>,
}
#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate", alias = "name")]
    name: String,
    #[serde(default)]
    wrappers: Vec<String>,
    #[serde(default)]
    reason: String,
}

pub(super) fn check(root: &Path, complaints: &mut Vec<Complaint>) -> anyhow::Result<()> {
    let output = Command::new(crate::cargo())
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let path = root.join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let deny: Deny = toml::from_str(&text).with_context(|| path.display().to_string())?;
    judge(&metadata.packages, &deny.bans.deny, complaints);
    Ok(())
}

fn judge(packages: &[Package], bans: &[Ban], complaints: &mut Vec<Complaint>) {
    for package in packages {
        let mut complain = |what: String| {
            let path = format!("crates/{}/Cargo.toml", package.name);
            complaints.push(Complaint {
                path,
                line: 0,
                what,
            });
        };
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            complain("is a new crate; give it its place in xtask/src/tidy/edges.rs".to_owned());
            continue;
        };
        for way in ways_to_plant(package) {
            complain(format!(
                "{way} enables `{PLANTED}`: only a command of a test may, and only by a feature of that name"
            ));
        }
        let ordinary = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_none());
        for name in ordinary.map(|dependency| dependency.name.as_str()) {
            if EDGES.iter().any(|(known, _)| *known == name) && !allowed.contains(&name) {
                complain(format!("`{}` may not know `{name}`", package.name));
            }
            let ban = bans.iter().find(|ban| ban.name == name);
            if let Some(ban) = ban.filter(|ban| !ban.wrappers.contains(&package.name)) {
                complain(format!(
                    "`{name}` is not for `{}`: {}",
                    package.name, ban.reason
                ));
            }
            if name == "tokio" && WITHOUT_RUNTIME.contains(&package.name.as_str()) {
                complain(format!("`{}` knows no runtime", package.name));
            }
        }
    }
}

/// What in a manifest would build planted faults without being told to.
fn ways_to_plant(package: &Package) -> Vec<String> {
    let plants = |feature: &String| feature == PLANTED || feature.ends_with("/planted");
    let dependencies = package.dependencies.iter();
    let features = package.features.iter();
    dependencies
        .filter(|dependency| dependency.features.iter().any(plants))
        .map(|dependency| format!("the dependency `{}`", dependency.name))
        .chain(
            features
                .filter(|(name, enabled)| *name != PLANTED && enabled.iter().any(plants))
                .map(|(name, _)| format!("the feature `{name}`")),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shipped_is_built_with_planted_faults() {
        let mut package = package("caxton-sim", &["caxton-model"]);
        let features = [
            ("default", "caxton-model/planted"),
            ("planted", "caxton-model/planted"),
            ("slow", "planted"),
        ];
        package.features = features
            .map(|(name, enables)| (name.to_owned(), vec![enables.to_owned()]))
            .into();
        package.dependencies[0].features = vec!["planted".to_owned()];
        let mut complaints = Vec::new();
        judge(&[package], &[], &mut complaints);
        let said: Vec<_> = complaints.iter().map(|c| c.what.as_str()).collect();
        let how = "only a command of a test may, and only by a feature of that name";
        assert_eq!(
            said,
            [
                format!("the dependency `caxton-model` enables `planted`: {how}"),
                format!("the feature `default` enables `planted`: {how}"),
                format!("the feature `slow` enables `planted`: {how}"),
            ]
        );
    }

    fn package(name: &str, uses: &[&str]) -> Package {
        let dependencies = uses
            .iter()
            .map(|name| Dependency {
                name: (*name).to_owned(),
                kind: None,
                features: Vec::new(),
            })
            .collect();
        Package {
            name: name.to_owned(),
            features: BTreeMap::new(),
            dependencies,
        }
    }

    #[test]
    fn a_forbidden_arrow_a_wall_and_a_stranger_are_named() {
        let packages = [
            package("caxton-kernel", &["caxton-model", "caxton-engine", "tokio"]),
            package("caxton-node", &["wasmtime", "caxton-kernel"]),
            package("caxton-plugins", &[]),
        ];
        let bans = [Ban {
            name: "wasmtime".to_owned(),
            wrappers: vec!["caxton-engine".to_owned()],
            reason: "the engine's".to_owned(),
        }];
        let mut complaints = Vec::new();
        judge(&packages, &bans, &mut complaints);
        let said: Vec<_> = complaints
            .iter()
            .map(|complaint| complaint.what.as_str())
            .collect();
        assert_eq!(
            said,
            [
                "`caxton-kernel` may not know `caxton-engine`",
                "`caxton-kernel` knows no runtime",
                "`wasmtime` is not for `caxton-node`: the engine's",
                "is a new crate; give it its place in xtask/src/tidy/edges.rs",
            ]
        );
    }
}
