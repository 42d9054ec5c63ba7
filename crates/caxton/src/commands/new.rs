//! `caxton new`: a project that builds, and whose tests pass, at once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use caxton_package::PackageName;
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    failure::{Exit, Failure},
    output::{Output, one_line},
};

#[path = "../../../../templates/index.rs"]
mod templates;

use templates::{TEMPLATES, Template};

/// A file of a project: its path and its text.
type File = (&'static str, &'static str);

/// The crates of the SDK for Rust, as they were when this program was built. They are taken verbatim:
/// a `{{` in them is no placeholder.
const RUST_SDK: &[File] = include!(concat!(env!("OUT_DIR"), "/rust_sdk.rs"));

/// What a project is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProjectKind {
    /// A named, long-lived guest with a mailbox and state
    Agent,
    /// A function from bytes to bytes
    Processor,
}

/// In which language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Assemblyscript,
    C,
    Go,
}

/// Which project.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is for
    #[arg(value_enum)]
    kind: ProjectKind,
    /// Its name: a small letter, then small letters, digits or `-`
    name: PackageName,
    /// In which language
    #[arg(long, value_enum)]
    lang: Language,
    /// The new folder; default: the name
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What was laid out, as printed.
#[derive(Serialize)]
struct Laid {
    folder: String,
    files: Vec<&'static str>,
    test: &'static str,
}

/// Does it. Nothing is written over.
pub(crate) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let template = find(args)?;
    let name = args.name.as_str();
    let local = name.rsplit('/').next().unwrap_or(name);
    if args.kind == ProjectKind::Agent
        && let Err(error) = name.parse::<caxton_model::AgentName>()
    {
        return Err(Failure::usage(
            format!("an agent can't be called so: {error}"),
            "give another name",
        ));
    }
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(local));
    if folder.exists() {
        return Err(Failure::usage(
            format!("{} is there already", folder.display()),
            "choose another --dir, or remove it",
        ));
    }
    let fill = |text: &str| {
        text.replace("{{name}}", local)
            .replace("{{crate}}", &local.replace('-', "_"))
    };
    let sdk = match args.lang {
        Language::Rust => RUST_SDK,
        _ => &[],
    };
    for (path, text) in template.files {
        write(&folder.join(path), &fill(text))?;
    }
    for (path, text) in sdk {
        write(&folder.join(path), text)?;
    }
    let files = template.files.iter().chain(sdk);
    let laid = Laid {
        folder: folder.display().to_string(),
        files: files.map(|(path, _)| *path).collect(),
        test: template.test,
    };
    output.value(&laid, |laid| {
        format!(
            "made {folder}\n\n  cd {folder}\n  {test:<16} its tests\n  {build:<16} the module\n  {run:<16} once, without a node",
            folder = one_line(&laid.folder),
            test = laid.test,
            build = "caxton build",
            run = "caxton run .",
        )
    })
}

fn find(args: &Args) -> Result<&'static Template, Failure> {
    let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    };
    let kind = word(&|| args.kind.to_possible_value());
    let language = word(&|| args.lang.to_possible_value());
    TEMPLATES
        .iter()
        .find(|template| template.kind == kind && template.language == language)
        .ok_or_else(|| {
            Failure::usage(
                format!("there is no {kind} in {language}"),
                "choose another --lang",
            )
        })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text)).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("{}: {error}", path.display()),
            "check the folder",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_in_every_language_has_its_template_and_a_valid_manifest() {
        for template in &TEMPLATES {
            let (_, manifest) = template
                .files
                .iter()
                .find(|(path, _)| *path == "caxton.toml")
                .unwrap();
            let text = manifest
                .replace("{{name}}", "my-guest")
                .replace("{{crate}}", "my_guest");
            let manifest = caxton_package::Manifest::read("caxton.toml", &text).unwrap();
            assert_eq!(
                manifest.kind.as_str(),
                template.kind,
                "{}",
                template.language
            );
            assert!(manifest.build.is_some(), "{}", template.language);
        }
        assert_eq!(TEMPLATES.len(), 8);
    }
}
