//! `caxton grant` and `caxton revoke`: what an agent may reach beyond its own memory.

use caxton_client::api::{GrantChange, GrantEntry};
use caxton_model::Micros;

use crate::{
    commands::agent_text::grants_table, connection::Connection, environment::Environment,
    failure::Failure, output::Output,
};

/// What to grant, and to whom.
#[derive(Debug, clap::Args)]
pub(crate) struct GrantArgs {
    /// The agent, by name or id
    agent: String,
    /// Rules, such as 'http:read=api.example.com/repos/**'; none: list what is granted
    #[arg(value_name = "PERMISSION=PATTERN")]
    rules: Vec<String>,
    /// Why, for whoever reads the list
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// How long the rules count, such as 1h; default: until they are revoked
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<Micros>,
    #[command(flatten)]
    connection: Connection,
}

/// What to take back, and from whom.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// The agent, by name or id
    agent: String,
    /// Rules, as `caxton grant AGENT` lists them
    #[arg(required = true, value_name = "PERMISSION=PATTERN")]
    rules: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Grants, or lists what is granted.
pub(crate) async fn grant(
    args: GrantArgs,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let granted = if args.rules.is_empty() {
        client.agent_grants(&args.agent).await?
    } else {
        let change = GrantChange {
            grant: args.rules,
            reason: args.reason,
            expires_s: args.lasts.map(|lasts| lasts.0.div_ceil(1_000_000)),
            ..GrantChange::default()
        };
        client.change_grants(&args.agent, &change).await?
    };
    output.value(&granted, |granted| list(&args.agent, granted))
}

/// Takes rules back; the agent's next access sees it.
pub(crate) async fn revoke(
    args: RevokeArgs,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let change = GrantChange {
        revoke: args.rules,
        ..GrantChange::default()
    };
    let granted = client.change_grants(&args.agent, &change).await?;
    output.value(&granted, |granted| list(&args.agent, granted))
}

fn list(agent: &str, granted: &[GrantEntry]) -> String {
    if granted.is_empty() {
        return format!("{agent} is granted nothing beside messages within its namespace");
    }
    grants_table(granted)
}
