//! `caxton config`: is it right, what counts and why, what could be set.

use std::{collections::BTreeMap, ffi::OsStr, fs, path::PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::{
    config::{
        drawing::document_failure,
        layers::{ConfigError, Flags, Layers},
        schema,
    },
    environment::Environment,
    failure::Failure,
    output::{Output, table},
};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a node's configuration: everything that is wrong, at once
    Check(FileArgs),
    /// Show what counts
    Show(ShowArgs),
    /// Print the JSON Schema of node.toml
    Schema,
}

/// Which file.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FileArgs {
    /// The configuration file; default: CAXTON_CONFIG, else node.toml in the data directory, if
    /// it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// Which file, and how much.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Say where each value comes from
    #[arg(long)]
    sources: bool,
}

impl FileArgs {
    /// Reads all layers; `flags` are those of the command at hand.
    pub(crate) fn read(
        &self,
        environment: &Environment,
        mut flags: Flags,
    ) -> Result<Layers, Failure> {
        if let Some(data) = &self.data {
            flags.push(("data", "--data", data.clone().into()));
        }
        let given = self
            .config
            .clone()
            .or_else(|| environment.get("CAXTON_CONFIG").map(Into::into));
        let is_given = given.is_some();
        let path = match given {
            Some(path) => path,
            None => environment
                .data_directory(self.data.as_deref())?
                .join("node.toml"),
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_given => None,
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        let name = path.display().to_string();
        Layers::read(
            text.as_deref().map(|text| (name.as_str(), text)),
            environment,
            &flags,
        )
        .map_err(failure)
    }
}

fn failure(error: ConfigError) -> Failure {
    let others: Vec<_> = error
        .others
        .iter()
        .map(|p| format!("{}: {}", p.source, p.what))
        .collect();
    match error.file {
        None => Failure::usage(
            others.join("\n"),
            "correct what is named; `caxton config show --sources` shows what counts",
        ),
        Some(file) => {
            let mut failure = document_failure(file, "configuration");
            for other in others {
                failure.what = format!("{}\n{other}", failure.what);
            }
            failure
        }
    }
}

/// One setting as shown.
#[derive(Serialize)]
struct Shown {
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// Does it.
pub(crate) fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Check(args) => {
            let layers = args.read(environment, Vec::new())?;
            for note in &layers.notes {
                output.note(note);
            }
            output.value(&BTreeMap::from([("valid", true)]), |_| {
                "the configuration is valid".to_owned()
            })
        }
        Command::Show(args) => {
            let layers = args.file.read(environment, Vec::new())?;
            let shown: serde_json::Map<String, serde_json::Value> = layers
                .resolved
                .iter()
                .map(|resolved| {
                    let shown = Shown {
                        value: resolved.value.display().to_string(),
                        source: args.sources.then(|| resolved.source.to_string()),
                    };
                    let value = serde_json::to_value(shown).unwrap_or_default();
                    (resolved.setting.path.to_string(), value)
                })
                .collect();
            output.value(&shown, |_| show(&layers, args.sources))
        }
        Command::Schema => output.value(&schema::schema(), |schema| {
            serde_json::to_string_pretty(schema).unwrap_or_default()
        }),
    }
}

fn show(layers: &Layers, sources: bool) -> String {
    let text = |value: &OsStr| {
        if value.is_empty() {
            "(not set)".to_owned()
        } else {
            value.display().to_string()
        }
    };
    if sources {
        let rows = layers.resolved.iter().map(|resolved| {
            let path = resolved.setting.path.to_string();
            [path, text(&resolved.value), resolved.source.to_string()]
        });
        return table(["setting", "value", "source"], rows);
    }
    let rows = layers
        .resolved
        .iter()
        .map(|resolved| [resolved.setting.path.to_string(), text(&resolved.value)]);
    table(["setting", "value"], rows)
}
