//! `caxton messages`: what waits in a mailbox, or what is being said.

use std::time::Duration;

use caxton_client::{
    EventFilter, MailFilter,
    api::{EventBody, MailEntry},
};
use caxton_model::Micros;
use serde_json::Value;

use crate::{
    commands::agent::read_micros, connection::Connection, environment::Environment,
    failure::Failure, output::Output,
};

/// Which messages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whose: a name you sent under, or an agent's name or id
    #[arg(long, value_name = "NAME", required_unless_present_any = ["follow", "conversation_id"])]
    receiver: Option<String>,
    /// Only those of a conversation
    #[arg(long, value_name = "ID")]
    conversation_id: Option<String>,
    /// Only the reply to this
    #[arg(long, value_name = "ID")]
    in_reply_to: Option<String>,
    /// Wait for one to come, such as 10s
    #[arg(long, value_name = "DURATION", value_parser = read_micros, conflicts_with = "follow")]
    wait: Option<Micros>,
    /// Drop those that were shown
    #[arg(long, requires = "receiver", conflicts_with = "follow")]
    drop: bool,
    /// Show messages as they are sent, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub(crate) async fn run(
    args: Args,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    if args.follow {
        return follow(&args, &client, output).await;
    }
    let filter = MailFilter {
        receiver: args.receiver.clone(),
        conversation_id: args.conversation_id,
        in_reply_to: args.in_reply_to,
        wait: args.wait.map(Micros::duration),
    };
    let messages = client.messages(&filter).await?;
    output.value(&messages, |messages| mail_text(messages))?;
    if let (true, Some(receiver)) = (args.drop && !messages.is_empty(), &args.receiver) {
        let ids: Vec<_> = messages.iter().map(|mail| mail.id.clone()).collect();
        client.drop_messages(receiver, &ids).await?;
    }
    Ok(())
}

fn mail_text(messages: &[MailEntry]) -> String {
    if messages.is_empty() {
        return "no messages".to_owned();
    }
    let lines = messages
        .iter()
        .map(|mail| message_line(&mail.at, &mail.id, mail.message.json()));
    lines.collect::<Vec<_>>().join("\n")
}

/// One message on one line: when, which, who to whom, what.
fn message_line(at: &str, id: &str, json: &str) -> String {
    let message: Value = serde_json::from_str(json).unwrap_or_default();
    let field = |name: &str| match message.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    format!(
        "{at} {id} {} → {} {} {}",
        field("sender"),
        field("receiver"),
        field("performative"),
        field("content"),
    )
}

/// Follows what is sent; after a break it goes on where it was.
async fn follow(
    args: &Args,
    client: &caxton_client::CaxtonClient,
    output: &Output,
) -> Result<(), Failure> {
    let filter = EventFilter {
        kind: Some("sent".to_owned()),
        agent: args.receiver.clone(),
        conversation_id: args.conversation_id.clone(),
    };
    let mut last: Option<String> = None;
    loop {
        let mut stream = client.events(&filter, last.as_deref()).await?;
        while let Some(event) = stream.next().await {
            let event = event?;
            last = event.id.or(last);
            if let EventBody::Sent {
                at, id, message, ..
            } = &event.body
            {
                output.entry(&event.body, |_| message_line(at, id, message.json()))?;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
