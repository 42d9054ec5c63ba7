//! `caxton send`: one message, and its reply if it is waited for.

use std::{fs, path::PathBuf};

use caxton_client::{
    FipaMessage,
    api::{SendOptions, SendResult},
};
use caxton_model::Micros;
use serde_json::Value;

use crate::{
    commands::agent::read_micros,
    connection::Connection,
    environment::Environment,
    failure::{Exit, Failure},
    output::Output,
};

/// Which message.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who it is for: an agent's name or id, or `capability:NAME`
    #[arg(required_unless_present = "message")]
    receiver: Option<String>,
    /// Its content: JSON, or any other text as it is; `-` reads it from stdin
    content: Option<String>,
    /// The whole message as JSON; `@FILE` reads it from a file
    #[arg(long, value_name = "JSON|@FILE", conflicts_with_all = ["receiver", "content"])]
    message: Option<String>,
    /// What it does
    #[arg(long, short, default_value = "request")]
    performative: String,
    /// Under which name it is sent; replies wait there
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// The conversation it belongs to
    #[arg(long, value_name = "ID")]
    conversation_id: Option<String>,
    /// The `reply_with` of the message it answers
    #[arg(long, value_name = "ID")]
    in_reply_to: Option<String>,
    /// An id of your own: a retry with it is harmless
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// Wait for the reply, such as 5s
    #[arg(long, short, value_name = "DURATION", value_parser = read_micros)]
    wait: Option<Micros>,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub(crate) async fn run(
    args: Args,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let message = message(&args)?;
    let options = SendOptions {
        message_id: args.message_id.clone(),
        wait_ms: args.wait.map(|wait| wait.0 / 1_000),
    };
    let client = args.connection.client(environment).await?;
    let sent = client.send_with(&message, &options).await?;
    output.value(&sent, |sent| said(sent, args.wait.is_some()))?;
    judge(&sent, args.wait)
}

fn message(args: &Args) -> Result<FipaMessage, Failure> {
    if let Some(given) = &args.message {
        let text = match given.strip_prefix('@') {
            None => given.clone(),
            Some(path) => {
                let path = PathBuf::from(path);
                fs::read_to_string(&path).map_err(|error| Failure::file(&path, &error))?
            }
        };
        return serde_json::from_str(&text).map_err(|error| {
            Failure::usage(
                format!("the message is no JSON message: {error}"),
                r#"write it as {"performative":"request","receiver":"NAME","content":{}}"#,
            )
        });
    }
    let content = match args.content.as_deref() {
        None => Value::Null,
        Some("-") => value_of(&std::io::read_to_string(std::io::stdin())?),
        Some(text) => value_of(text),
    };
    let receiver = args.receiver.clone().unwrap_or_default();
    Ok(FipaMessage {
        performative: args.performative.clone(),
        sender: args.sender.clone().unwrap_or_default(),
        receiver: match receiver.strip_prefix("capability:") {
            Some(name) => serde_json::json!({ "capability": name }),
            None => receiver.into(),
        },
        content,
        conversation_id: args.conversation_id.clone(),
        in_reply_to: args.in_reply_to.clone(),
        ..FipaMessage::default()
    })
}

/// JSON if it is JSON, else the text itself.
fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.trim_end().to_owned()))
}

fn said(sent: &SendResult, waited: bool) -> String {
    let durable = serde_json::to_value(sent.acknowledged).unwrap_or_default();
    let again = if sent.duplicate {
        ", a retry: nothing was sent again"
    } else {
        ""
    };
    let head = format!(
        "accepted {} for {} ({}{again}), conversation {}",
        sent.id,
        if sent.deliveries == 1 {
            "1 mailbox".to_owned()
        } else {
            format!("{} mailboxes", sent.deliveries)
        },
        durable.as_str().unwrap_or_default(),
        sent.conversation_id.as_deref().unwrap_or("none"),
    );
    match (&sent.reply, waited) {
        (Some(reply), _) => format!("{head}\n{}", reply.json()),
        (None, _) => head,
    }
}

/// A reply that says no ends the command with 1, none in time too.
fn judge(sent: &SendResult, wait: Option<Micros>) -> Result<(), Failure> {
    let Some(wait) = wait else { return Ok(()) };
    let Some(reply) = &sent.reply else {
        return Err(Failure::new(
            Exit::Failed,
            format!("no reply within {wait}"),
            "wait longer with --wait, or read it later with `caxton messages --receiver NAME`",
        ));
    };
    let reply: Value = serde_json::from_str(reply.json()).unwrap_or_default();
    let performative = reply
        .get("performative")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !matches!(performative, "failure" | "not-understood" | "refuse") {
        return Ok(());
    }
    let content = reply.get("content").cloned().unwrap_or_default();
    let code = content
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let registered = caxton_model::ErrorCode::ALL
        .iter()
        .find(|known| known.as_str() == code);
    let words = content
        .get("error")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let what = format!(
        "the reply is `{performative}`: {}",
        words.unwrap_or(content.to_string())
    );
    Err(match registered {
        Some(code) => Failure::of(*code, what),
        None => Failure::new(
            Exit::Failed,
            what,
            "read the reply: the agent says what it wants",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_json_where_it_is_json() {
        assert_eq!(value_of(r#"{"a":1}"#), serde_json::json!({"a": 1}));
        assert_eq!(value_of("hello\n"), Value::String("hello".to_owned()));
        assert_eq!(value_of("5"), serde_json::json!(5));
    }
}
