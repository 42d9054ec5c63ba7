//! `caxton send`: one message, and its reply if it is waited for.

use std::fs;

use caxton_client::{
    api::{SendOptions, SendResult},
    new_message_id,
};
use caxton_model::{Micros, RawJson};
use serde::{Deserialize, Serialize};

use crate::{
    commands::{agent::read_micros, interrupted},
    connection::Connection,
    environment::Environment,
    failure::{Exit, Failure},
    output::{Output, json_line, one_line},
};

/// Which message.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who it is for: an agent's name or id, or `capability:NAME`
    #[arg(required_unless_present = "message")]
    receiver: Option<String>,
    /// Its content, sent as written: JSON, or a text that does not begin like JSON; `-` reads it
    /// from stdin, and a text that begins with `-` follows `--`
    #[arg(allow_negative_numbers = true)]
    content: Option<String>,
    /// Send the content as text, also if it is JSON or begins like it
    #[arg(long, requires = "content")]
    text: bool,
    /// The whole message as JSON, sent as written; `@FILE` reads it from a file
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
    /// Wait for the reply, such as 5s; Ctrl-C ends the wait and says what was accepted
    #[arg(long, short, value_name = "DURATION", value_parser = read_micros)]
    wait: Option<Micros>,
    #[command(flatten)]
    connection: Connection,
}

/// The message as the node gets it; the content stays as written.
#[derive(Serialize)]
struct Outgoing<'a> {
    performative: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    receiver: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<&'a str>,
}

/// Does it.
pub(crate) async fn run(
    args: Args,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let message = message(&args).await?;
    let client = args.connection.client(environment).await?;
    // With an id, the message can be sent again to wait on: so much is known of it at once.
    let message_id = match (&args.message_id, args.wait) {
        (None, Some(_)) => Some(new_message_id()),
        (given, _) => given.clone(),
    };
    let options = SendOptions {
        message_id: message_id.clone(),
        wait_ms: args.wait.map(|_| 0),
    };
    let mut sent = client.send_json(&message, &options).await?;
    if let (Some(wait), Some(id), None) = (args.wait, message_id, &sent.reply) {
        let awaited = tokio::select! {
            biased;
            reply = client.await_reply(&message, &id, wait.duration()) => reply.map_err(Failure::from),
            () = interrupted() => Err(cut_short(&sent)),
        };
        match awaited {
            Ok(reply) => sent.reply = reply,
            Err(failure) => {
                output.value(&sent, said)?;
                return Err(failure);
            }
        }
    }
    output.value(&sent, said)?;
    judge(&sent, args.wait)
}

/// The wait was ended by Ctrl-C.
fn cut_short(sent: &SendResult) -> Failure {
    let reply_with = sent.reply_with.as_deref().unwrap_or_default();
    Failure::interrupted(
        format!(
            "interrupted: message {} was accepted, and no reply came yet",
            sent.id
        ),
        format!(
            "read the reply later with `caxton messages --receiver NAME --in-reply-to {reply_with}`"
        ),
    )
}

async fn message(args: &Args) -> Result<RawJson, Failure> {
    if let Some(given) = &args.message {
        let text = match given.strip_prefix('@') {
            None => given.clone(),
            Some(path) => {
                fs::read_to_string(path).map_err(|error| Failure::file(path.as_ref(), &error))?
            }
        };
        return RawJson::parse(&text).map_err(|error| {
            Failure::usage(
                format!("the message is no JSON message: {error}"),
                r#"write it as {"performative":"request","receiver":"NAME","content":{}}"#,
            )
        });
    }
    let given = match args.content.as_deref() {
        Some("-") => Some(read_stdin().await?),
        other => other.map(str::to_owned),
    };
    let content = match given {
        None => None,
        Some(text) if args.text => Some(text_content(&text)),
        Some(text) => Some(content(&text)?),
    };
    let receiver = args.receiver.clone().unwrap_or_default();
    let message = Outgoing {
        performative: &args.performative,
        sender: args.sender.as_deref(),
        receiver: match receiver.strip_prefix("capability:") {
            Some(name) => serde_json::json!({ "capability": name }),
            None => receiver.into(),
        },
        content,
        conversation_id: args.conversation_id.as_deref(),
        in_reply_to: args.in_reply_to.as_deref(),
    };
    let text = serde_json::to_string(&message);
    text.and_then(|text| RawJson::parse(&text))
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the message can't be written as JSON: {error}"),
                "report this with the message",
            )
        })
}

/// All of stdin, read where Ctrl-C need not wait for its end.
async fn read_stdin() -> Result<String, Failure> {
    let read = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    match read.await {
        Ok(text) => Ok(text?),
        Err(error) => Err(std::io::Error::other(error).into()),
    }
}

/// A content as written: JSON, or a text that does not begin like JSON.
fn content(text: &str) -> Result<RawJson, Failure> {
    match RawJson::parse(text) {
        Ok(json) => Ok(json),
        Err(_) if !begins_like_json(text) => Ok(text_content(text)),
        Err(error) => Err(Failure::usage(
            format!("the content begins like JSON and is none: {error}"),
            "correct it, or send it as text with --text",
        )),
    }
}

fn text_content(text: &str) -> RawJson {
    RawJson::from(&serde_json::Value::from(text))
}

/// Whether the first sign or word is one that JSON begins with.
fn begins_like_json(text: &str) -> bool {
    let text = text.trim_ascii_start();
    let word = text.split(|c: char| !c.is_alphanumeric()).next();
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    text.starts_with(['{', '[', '"'])
        || unsigned.starts_with(|c: char| c.is_ascii_digit())
        || matches!(word, Some("true" | "false" | "null"))
}

fn said(sent: &SendResult) -> String {
    let durable = serde_json::to_value(sent.acknowledged).unwrap_or_default();
    let again = if sent.duplicate {
        ", a retry: nothing was sent again"
    } else {
        ""
    };
    let head = one_line(&format!(
        "accepted {} for {} ({}{again}), conversation {}",
        sent.id,
        if sent.deliveries == 1 {
            "1 mailbox".to_owned()
        } else {
            format!("{} mailboxes", sent.deliveries)
        },
        durable.as_str().unwrap_or_default(),
        sent.conversation_id.as_deref().unwrap_or("none"),
    ));
    match &sent.reply {
        Some(reply) => format!("{head}\n{}", json_line(reply.json())),
        None => head,
    }
}

/// What a host says in the content of a `failure`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    code: String,
    error: Option<String>,
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
    let performative = reply.performative.as_str();
    if !matches!(performative, "failure" | "not-understood" | "refuse") {
        return Ok(());
    }
    let content = reply.content.as_str();
    let told: Told = serde_json::from_str(content).unwrap_or_default();
    let registered = caxton_model::ErrorCode::ALL
        .iter()
        .find(|known| known.as_str() == told.code);
    let words = told
        .error
        .map_or_else(|| json_line(content), |words| one_line(&words));
    let what = format!("the reply is `{performative}`: {words}");
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
    fn content_goes_as_it_was_written() {
        for json in [
            r#"{"n":123456789012345678901234567890}"#,
            r#"{"a":1,"a":2, "b" : 1.10}"#,
            r#"{"n":1e400}"#,
            "-5",
            "-1.50e-3",
            "\"text\"",
            "true",
            "null",
        ] {
            assert_eq!(content(json).unwrap().as_str(), json);
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(content(&deep).unwrap().as_str(), deep);
        for text in [
            "hello",
            " two  blanks \n",
            "",
            "truest",
            "-x",
            "- 5",
            "NaN",
            "+1",
            "é",
        ] {
            let sent = content(text).unwrap();
            assert_eq!(serde_json::from_str::<String>(sent.as_str()).unwrap(), text);
        }
    }

    #[test]
    fn what_begins_like_json_and_is_none_is_refused_with_its_place() {
        for (text, place) in [
            (r#"{"a":1,}"#, "column 8"),
            ("{\n\"a\" 1}", "line 2 column 5"),
            ("[1,2", "column 4"),
            ("\"open", "column 5"),
            ("01", "column 2"),
            ("-5x", "column 3"),
            ("5 apples", "column 3"),
            (" true story", "column 7"),
            ("nullify this", ""),
        ] {
            match content(text) {
                Ok(sent) => assert!(place.is_empty(), "{text}: {sent:?}"),
                Err(failure) => {
                    assert!(
                        !place.is_empty() && failure.what.contains(place),
                        "{failure:?}"
                    );
                    assert!(failure.help.contains("--text"), "{failure:?}");
                    assert_eq!(failure.exit, Exit::Usage);
                }
            }
        }
    }
}
