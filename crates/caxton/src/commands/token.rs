//! `caxton token`: who may ask the node for what.

use std::collections::BTreeMap;

use caxton_client::api::{NewToken, Scope};
use clap::Subcommand;

use crate::{
    connection::Connection,
    environment::Environment,
    failure::Failure,
    output::{Output, one_line, table},
};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token; its secret is shown this once
    Create(CreateArgs),
    /// List tokens, without their secrets
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Take a token away
    #[command(visible_alias = "rm")]
    Revoke {
        /// The token's id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Which token.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// What it is called; also its client, where no `--client` is given
    name: String,
    /// What it may do: read, send, operate or admin; may be repeated
    #[arg(long = "scope", required = true, value_parser = str::parse::<Scope>)]
    scopes: Vec<Scope>,
    /// The namespace it ends at; default: all of them
    #[arg(long)]
    namespace: Option<String>,
    /// A client that it is bound to, in place of its own name; up to 4, by repeating this
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,
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
        Command::Create(args) => {
            let client = args.connection.client(environment).await?;
            let wanted = NewToken {
                name: args.name,
                scopes: args.scopes,
                namespace: args.namespace,
                clients: args.clients,
            };
            let made = client.create_token(&wanted).await?;
            output.note("the token is shown this once; the node keeps only a hash of it");
            output.value(&made, |made| made.token.clone())
        }
        Command::List { connection } => {
            let tokens = connection.client(environment).await?.tokens().await?;
            output.value(&tokens, |tokens| {
                table(
                    ["id", "name", "scopes", "namespace", "clients", "made"],
                    tokens.iter().map(|token| {
                        let scopes: Vec<_> = token.scopes.iter().map(|s| s.as_str()).collect();
                        [
                            token.id.clone(),
                            token.name.clone(),
                            scopes.join(", "),
                            token.namespace.clone().unwrap_or_else(|| "all".to_owned()),
                            token.clients.join(", "),
                            token.created_at.clone(),
                        ]
                    }),
                )
            })
        }
        Command::Revoke { id, connection } => {
            connection
                .client(environment)
                .await?
                .delete_token(&id)
                .await?;
            output.value(&BTreeMap::from([("revoked", &id)]), |_| {
                format!("revoked {}", one_line(&id))
            })
        }
    }
}
