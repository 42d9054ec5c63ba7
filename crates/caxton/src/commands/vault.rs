//! `caxton vault`: secrets that requests of agents may carry. Values go in, and never come out.

use std::{collections::BTreeMap, io::Read as _, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use caxton_client::api::{NewSecret, SecretEntry};
use clap::Subcommand;

use crate::{
    connection::Connection,
    environment::Environment,
    failure::{Exit, Failure},
    output::{Output, one_line, table},
};

/// Bytes of a value that are read: one more than the node takes, and a line's end.
const VALUE_BYTES_MAX: u64 = (64 << 10) + 3;

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set a secret to what stdin says
    Set(SetArgs),
    /// List secrets, without their values
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Remove a secret; the next request that would carry it is refused
    #[command(visible_alias = "rm")]
    Remove {
        /// The secret's name
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Seal all secrets with a new key, and forget the old one
    RotateKey {
        #[command(flatten)]
        connection: Connection,
    },
}

/// Which secret.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// What it is called; `NAMESPACE/NAME` for agents of another namespace
    name: String,
    /// Read the value from this file; a line's end at its end does not belong to it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub(crate) async fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Set(args) => {
            let file = args.file.clone();
            let value = tokio::task::spawn_blocking(move || read_value(file));
            let value = value
                .await
                .map_err(|error| Failure::new(Exit::Failed, error.to_string(), "try again"))??;
            let (value, value_base64) = match value.is_ascii() {
                true => (Some(value), None),
                false => (None, Some(STANDARD.encode(value))),
            };
            let secret = NewSecret {
                name: args.name,
                value,
                value_base64,
            };
            let client = args.connection.client(environment).await?;
            client.set_secret(&secret).await?;
            output.value(&BTreeMap::from([("set", &secret.name)]), |_| {
                format!("set {}", one_line(&secret.name))
            })
        }
        Command::List { connection } => {
            let secrets = connection.client(environment).await?.secrets().await?;
            output.value(&secrets, |secrets| list(secrets))
        }
        Command::Remove { name, connection } => {
            let client = connection.client(environment).await?;
            client.remove_secret(&name).await?;
            output.value(&BTreeMap::from([("removed", &name)]), |_| {
                format!("removed {}", one_line(&name))
            })
        }
        Command::RotateKey { connection } => {
            let client = connection.client(environment).await?;
            let rotated = client.rotate_vault_key().await?;
            output.value(&rotated, |rotated| match rotated.secrets {
                1 => "sealed 1 secret with a new key".to_owned(),
                secrets => format!("sealed {secrets} secrets with a new key"),
            })
        }
    }
}

fn list(secrets: &[SecretEntry]) -> String {
    if secrets.is_empty() {
        return "the vault is empty".to_owned();
    }
    table(
        ["name", "set", "problem"],
        secrets.iter().map(|secret| {
            [
                secret.name.clone(),
                secret.set_at.clone().unwrap_or_default(),
                secret.problem.clone().unwrap_or_default(),
            ]
        }),
    )
}

/// The value: what the file or stdin says, without one line's end at its end, which editors and
/// `echo` add.
fn read_value(file: Option<PathBuf>) -> Result<String, Failure> {
    let mut value = String::new();
    let read = match &file {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(VALUE_BYTES_MAX).read_to_string(&mut value))
            .map_err(|error| Failure::file(path, &error)),
        None => std::io::stdin()
            .take(VALUE_BYTES_MAX)
            .read_to_string(&mut value)
            .map_err(|error| {
                Failure::new(
                    Exit::Failed,
                    format!("stdin can't be read: {error}"),
                    "give the value, as UTF-8 text, on stdin or with --file",
                )
            }),
    };
    read?;
    let end = ["\r\n", "\n"].iter().find(|end| value.ends_with(**end));
    value.truncate(value.len() - end.map_or(0, |end| end.len()));
    Ok(value)
}
