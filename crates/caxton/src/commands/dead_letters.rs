//! `caxton dead-letters`: what could not be delivered.

use std::collections::BTreeMap;

use caxton_client::api::DeadLetterEntry;
use clap::Subcommand;

use crate::{
    connection::Connection,
    environment::Environment,
    failure::Failure,
    output::{Output, table},
};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them, newest first, with the reason of each
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Send some again
    Resend(SomeArgs),
    /// Delete some
    #[command(visible_alias = "rm")]
    Delete(SomeArgs),
}

/// Which.
#[derive(Debug, clap::Args)]
pub(crate) struct SomeArgs {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<String>,
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
        Command::List { connection } => {
            let letters = connection.client(environment).await?.dead_letters().await?;
            output.value(&letters, |letters| list(letters))
        }
        Command::Resend(args) => {
            let client = args.connection.client(environment).await?;
            for id in &args.ids {
                client.resend_dead_letter(id).await?;
                output
                    .entry(&BTreeMap::from([("resent", id)]), |_| {
                        format!("sent {id} again")
                    })
                    .or_else(Failure::unless_reader_gone)?;
            }
            Ok(())
        }
        Command::Delete(args) => {
            let client = args.connection.client(environment).await?;
            for id in &args.ids {
                client.delete_dead_letter(id).await?;
                output
                    .entry(&BTreeMap::from([("deleted", id)]), |_| {
                        format!("deleted {id}")
                    })
                    .or_else(Failure::unless_reader_gone)?;
            }
            Ok(())
        }
    }
}

fn list(letters: &[DeadLetterEntry]) -> String {
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    table(
        ["id", "at", "for", "code", "reason"],
        letters.iter().map(|letter| {
            [
                letter.id.clone(),
                letter.at.clone(),
                letter.intended.clone(),
                letter.code.clone(),
                letter.reason.clone(),
            ]
        }),
    )
}
