//! `caxton events`: what happens on a node, as it happens.

use std::ops::ControlFlow;

use caxton_client::{
    EventFilter,
    api::{EventBody, EventKind},
};

use crate::{
    commands::follow::{self, Followed},
    connection::Connection,
    environment::Environment,
    failure::Failure,
    output::{Output, json_line, one_line},
};

/// Which events.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only events of this kind
    #[arg(long, value_parser = EventKind::ALL.map(EventKind::as_str))]
    kind: Option<String>,
    /// Only events about this agent, by name or id
    #[arg(long)]
    agent: Option<String>,
    /// Only messages of this conversation
    #[arg(long, value_name = "ID")]
    conversation_id: Option<String>,
    /// Go on behind this event
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub(crate) async fn run(
    args: Args,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let node = Followed::find(&args.connection, environment, output).await?;
    let filter = EventFilter {
        kind: args.kind,
        agent: args.agent,
        conversation_id: args.conversation_id,
    };
    let mut left = args.count;
    follow::events(node, &filter, args.after, |event| {
        output.entry(event, line)?;
        left = left.map(|left| left.saturating_sub(1));
        Ok(match left {
            Some(0) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    })
    .await
}

fn line(event: &EventBody) -> String {
    one_line(&text(event))
}

fn text(event: &EventBody) -> String {
    match event {
        EventBody::Status {
            at,
            name,
            status,
            reason,
            ..
        } => {
            let status = serde_json::to_value(status).unwrap_or_default();
            format!(
                "{at} status {name} {} {reason}",
                status.as_str().unwrap_or_default()
            )
        }
        EventBody::Sent {
            at,
            id,
            deliveries,
            message,
        } => {
            format!(
                "{at} sent {id} to {deliveries} {}",
                json_line(message.json())
            )
        }
        EventBody::Fault {
            at,
            name,
            turn,
            code,
            text,
            ..
        } => {
            format!("{at} fault {name} turn {turn} {code}: {text}")
        }
        EventBody::DeadLetter {
            at,
            id,
            intended,
            code,
            reason,
        } => {
            format!("{at} dead-letter {id} for {intended} {code}: {reason}")
        }
        EventBody::HostBytes { at, owner, letters } => {
            format!("{at} host-bytes {owner} lost its {letters} oldest dead letters")
        }
        EventBody::Gap(gap) => format!("gap: {}", gap.reason),
    }
}
