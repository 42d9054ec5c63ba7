//! `caxton grant` and `caxton revoke`: what an agent or a processor may reach beyond its own memory.

use caxton_client::{
    CaxtonClient, ClientError,
    api::{GrantChange, GrantEntry},
};
use caxton_model::Micros;

use crate::{
    commands::agent_text::grants_table, connection::Connection, environment::Environment,
    failure::Failure, output::Output,
};

/// Before the name of a processor, which may be an agent's as well.
const PROCESSOR: &str = "processor:";

/// What to grant, and to whom.
#[derive(Debug, clap::Args)]
pub(crate) struct GrantArgs {
    /// The agent, by name or id, or a processor as `processor:NAME`
    #[arg(value_name = "GUEST")]
    guest: String,
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
    /// The agent, by name or id, or a processor as `processor:NAME`
    #[arg(value_name = "GUEST")]
    guest: String,
    /// Rules, as `caxton grant GUEST` lists them
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
        match args.guest.strip_prefix(PROCESSOR) {
            Some(name) => client.processor_grants(name).await?,
            None => client.agent_grants(&args.guest).await?,
        }
    } else {
        let change = GrantChange {
            grant: args.rules,
            reason: args.reason,
            expires_s: args.lasts.map(|lasts| lasts.0.div_ceil(1_000_000)),
            ..GrantChange::default()
        };
        change_grants(&client, &args.guest, &change).await?
    };
    output.value(&granted, |granted| list(&args.guest, granted))
}

/// Takes rules back; the guest's next access sees it.
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
    let granted = change_grants(&client, &args.guest, &change).await?;
    output.value(&granted, |granted| list(&args.guest, granted))
}

async fn change_grants(
    client: &CaxtonClient,
    guest: &str,
    change: &GrantChange,
) -> Result<Vec<GrantEntry>, ClientError> {
    match guest.strip_prefix(PROCESSOR) {
        Some(name) => client.change_processor_grants(name, change).await,
        None => client.change_grants(guest, change).await,
    }
}

fn list(guest: &str, granted: &[GrantEntry]) -> String {
    if granted.is_empty() && guest.starts_with(PROCESSOR) {
        return format!("{guest} is granted nothing");
    }
    if granted.is_empty() {
        return format!("{guest} is granted nothing beside messages within its namespace");
    }
    grants_table(granted)
}
