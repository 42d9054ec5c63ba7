//! `caxton messages`: what waits in a mailbox, or what is being said.

use std::ops::ControlFlow;

use caxton_client::{
    EventFilter, MailFilter,
    api::{EventBody, MailEntry},
};
use caxton_model::{Message, Micros, Receiver};

use crate::{
    commands::{
        agent::read_micros,
        follow::{self, Followed},
    },
    connection::Connection,
    environment::Environment,
    failure::Failure,
    output::{Output, json_line, one_line},
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
    if args.follow {
        return follow(&args, output, environment).await;
    }
    let client = args.connection.client(environment).await?;
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
        .map(|mail| message_line(&mail.at, &mail.id, &mail.message));
    lines.collect::<Vec<_>>().join("\n")
}

/// One message on one line: when, which, who to whom, what.
fn message_line(at: &str, id: &str, message: &Message) -> String {
    let receiver = match &message.receiver {
        Receiver::One(name) => name.to_string(),
        several => serde_json::to_string(several).unwrap_or_default(),
    };
    // A text is shown as it reads, everything else as it was written.
    let content = message.content.as_str();
    let content = serde_json::from_str(content).unwrap_or_else(|_| json_line(content));
    one_line(&format!(
        "{at} {id} {} → {receiver} {} {content}",
        message.sender, message.performative,
    ))
}

/// Follows what is sent; after a break it goes on where it was.
async fn follow(args: &Args, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let filter = EventFilter {
        kind: Some("sent".to_owned()),
        agent: args.receiver.clone(),
        conversation_id: args.conversation_id.clone(),
    };
    let node = Followed::find(&args.connection, environment, output).await?;
    follow::events(node, &filter, None, |event| {
        match event {
            EventBody::Sent {
                at, id, message, ..
            } => output.entry(event, |_| message_line(at, id, message))?,
            EventBody::Gap(gap) => output.note(&format!("messages may be missing: {}", gap.reason)),
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })
    .await
}
