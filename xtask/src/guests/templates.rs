//! Lays out every project template, runs its tests, and builds it, as a user would.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use super::form;
use crate::toolchains::{Tool, Toolchains, run};

#[path = "../../../templates/index.rs"]
mod index;

use index::{TEMPLATES, Template};

/// Tries them all.
pub(super) fn try_all(root: &Path) -> anyhow::Result<()> {
    let toolchains = Toolchains::of(root)?;
    for template in &TEMPLATES {
        let name = format!("{}-{}", template.language, template.kind);
        let folder = root.join("target/guests/templates").join(&name);
        lay_out(template, &name, &root.join("crates/caxton-sdk"), &folder)?;
        try_one(template, &folder, root, &toolchains)
            .with_context(|| format!("template {name}"))?;
        println!("template {name:26} tests pass, builds, form as said");
    }
    Ok(())
}

/// Writes a template's files, its placeholders filled in.
fn lay_out(template: &Template, name: &str, sdk: &Path, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    for (path, text) in template.files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a file stands in a folder")?)?;
        fs::write(path, filled(text, name, sdk))?;
    }
    Ok(())
}

fn filled(text: &str, name: &str, sdk: &Path) -> String {
    text.replace("{{name}}", name)
        .replace("{{crate}}", &name.replace('-', "_"))
        .replace("{{sdk_path}}", &sdk.display().to_string())
}

fn try_one(
    template: &Template,
    folder: &Path,
    root: &Path,
    toolchains: &Toolchains,
) -> anyhow::Result<()> {
    let manifest: toml::Table = fs::read_to_string(folder.join("caxton.toml"))?.parse()?;
    let text = |table: &str, key: &str| -> anyhow::Result<String> {
        let value = manifest
            .get(table)
            .and_then(|table| table.get(key)?.as_str());
        value
            .map(str::to_owned)
            .with_context(|| format!("caxton.toml: [{table}] {key}"))
    };
    let (test, mut build) = (
        shell(template.test, folder),
        shell(&text("build", "command")?, folder),
    );
    let mut test = test;
    match template.language {
        "rust" => {
            // One target folder for both, and for the next time; the manifest names it as its own.
            let target = root.join("target/guests/templates-target");
            fs::create_dir_all(&target)?;
            std::os::unix::fs::symlink(&target, folder.join("target"))?;
            with_tool(&mut build, &toolchains.rust()?);
        }
        "c" => {
            let tool = toolchains.c()?;
            let clang = format!("{} {}", tool.program.display(), tool.args.join(" "));
            with_tool(&mut build, &tool);
            build.env("CLANG", clang);
        }
        "go" => {
            let tool = toolchains.go()?;
            let of_native = |name: &str| !matches!(name, "GOOS" | "GOARCH");
            test.envs(
                tool.env
                    .iter()
                    .filter(|(k, _)| of_native(k))
                    .map(|(k, v)| (k, v)),
            );
            with_tool(&mut build, &tool);
            for command in [&mut test, &mut build] {
                tool.on_path_of(command)?;
            }
        }
        // npm brings the compiler that package.json names; its test needs the build.
        _ => {
            let node = toolchains.node()?;
            for command in [&mut test, &mut build] {
                node.on_path_of(command)?;
            }
            run(&mut build)?;
        }
    }
    run(&mut test)?;
    run(&mut build)?;
    let module = folder.join(text("package", "module")?);
    let bytes = fs::read(&module).with_context(|| module.display().to_string())?;
    form::check(if template.kind == "agent" { "A" } else { "B" }, &bytes)
}

fn shell(line: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder);
    for name in [
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ] {
        command.env_remove(name);
    }
    command
}

fn with_tool(command: &mut Command, tool: &Tool) {
    command.envs(tool.env.iter().map(|(key, value)| (key, value)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A file that is in no template, or a placeholder that nobody fills, would be found by users.
    #[test]
    fn every_template_is_whole() {
        for template in &TEMPLATES {
            let paths: BTreeSet<&str> = template.files.iter().map(|(path, _)| *path).collect();
            assert_eq!(
                paths.len(),
                template.files.len(),
                "a path stands there twice"
            );
            for needed in ["caxton.toml", "README.md", ".gitignore"] {
                assert!(paths.contains(needed), "{}: {needed}", template.language);
            }
            for (path, text) in template.files {
                let filled = filled(text, "my-agent", Path::new("/sdk"));
                assert!(!filled.contains("{{"), "{path} keeps a placeholder");
            }
            assert!(!template.test.is_empty());
        }
        assert_eq!(TEMPLATES.len(), 8);
    }
}
