//! Lays out project templates, and runs what their READMEs say, as a user would.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use super::{build, form};
use crate::{
    node,
    pages::Session,
    step::{Steps, cargo},
    toolchains::{Tool, Toolchains, run},
};

/// What `caxton new` can be asked for.
const LANGUAGES: [&str; 4] = ["rust", "assemblyscript", "c", "go"];
const KINDS: [&str; 2] = ["agent", "processor"];

/// Adds a step for each template; without `full` only for the agents'.
pub(super) fn add(steps: &mut Steps, root: &Path, full: bool) -> anyhow::Result<()> {
    let toolchains = Toolchains::of(root)?;
    for kind in KINDS.iter().filter(|kind| full || **kind == "agent") {
        for language in LANGUAGES {
            let name = format!("{language}-{kind}");
            let tools = match language {
                // npm installs the compiler that the project names.
                "assemblyscript" => &["node"],
                _ => build::tools(language).get(..1).unwrap_or_default(),
            };
            let step = format!("template {name}: tested and built");
            steps.run_with(&step, tools, || {
                let folder = root.join("target/guests/templates").join(&name);
                lay_out(root, kind, language, &folder)?;
                let tool = tool(&toolchains, language)?;
                try_one(root, kind, &folder, &tool)
            });
        }
    }
    Ok(())
}

/// Lets the program write a project, and moves it: nothing in it may depend on its place.
fn lay_out(root: &Path, kind: &str, language: &str, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let all = folder.parent().context("the folder has a parent")?;
    fs::create_dir_all(all)?;
    let first = tempfile::tempdir_in(all)?;
    let first = first.path().join("first");
    cargo(
        root,
        &["build", "--release", "--quiet", "--package", "caxton"],
    )?;
    let mut new = Command::new(node::program(root));
    new.args(["new", kind, "my-guest", "--lang", language, "--dir"]);
    run(new.arg(&first))?;
    fs::rename(&first, folder)?;
    if language == "rust" {
        // One target folder for both, and for the next time; the manifest names it as its own.
        let target = root.join("target/guests/templates-target");
        fs::create_dir_all(&target)?;
        std::os::unix::fs::symlink(&target, folder.join("target"))?;
    }
    Ok(())
}

/// What a language's projects are built with.
fn tool(toolchains: &Toolchains, language: &str) -> anyhow::Result<Tool> {
    match language {
        "rust" => toolchains.rust(),
        "go" => toolchains.go(),
        "c" => {
            let mut tool = toolchains.c()?;
            let clang = format!("{} {}", tool.program.display(), tool.args.join(" "));
            tool.env.push(("CLANG".to_owned(), clang));
            Ok(tool)
        }
        _ => toolchains.node(),
    }
}

/// Runs what the project's README says, and looks at the module that it makes.
fn try_one(root: &Path, kind: &str, folder: &Path, tool: &Tool) -> anyhow::Result<()> {
    let readme = fs::read_to_string(folder.join("README.md"))?;
    Session::in_folder(root, folder, tool)?.run(&readme)?;
    let manifest: toml::Table = fs::read_to_string(folder.join("caxton.toml"))?.parse()?;
    let package = manifest.get("package");
    let module = package.and_then(|package| package.get("module")?.as_str());
    let module = folder.join(module.context("caxton.toml: [package] module")?);
    let bytes = fs::read(&module).with_context(|| module.display().to_string())?;
    form::check(if kind == "agent" { "A" } else { "B" }, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SDK's crates inherit these from the repository's workspace, and from this manifest in a project.
    #[test]
    fn the_workspace_of_the_sdk_in_projects_says_what_the_repositorys_says() {
        let read = |path: &str| -> toml::Table {
            let text = fs::read_to_string(crate::root().join(path)).unwrap();
            text.parse().unwrap()
        };
        let (ours, theirs) = (read("Cargo.toml"), read("templates/rust-sdk/Cargo.toml.in"));
        for part in ["package", "dependencies"] {
            for (key, value) in theirs["workspace"][part].as_table().unwrap() {
                if !key.starts_with("caxton") {
                    assert_eq!(
                        Some(value),
                        ours["workspace"][part].get(key),
                        "{part}.{key}"
                    );
                }
            }
        }
        for name in super::super::stage::CRATES {
            let manifest = read(&format!("crates/{name}/Cargo.toml"));
            let dependencies = manifest["dependencies"].as_table().unwrap();
            for (key, value) in dependencies {
                let inherited = value.get("workspace").is_some();
                let there = theirs["workspace"]["dependencies"].get(key).is_some();
                assert!(
                    !inherited || there,
                    "{name}: {key} is not in templates/rust-sdk/Cargo.toml.in"
                );
            }
        }
    }
}
