//! What an agent is run on: messages from flags, a file, or lines of stdin, one after the other.

use std::{borrow::Cow, collections::BTreeMap, io};

use caxton_model::{Fields, Receiver, is_reserved_name};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::Args;
use crate::failure::Failure;

/// Under which name a message is sent that names no sender.
const SENDER: &str = "operator";

/// The messages for one agent.
pub(super) struct Messages<'a> {
    texts: Texts,
    name: &'a str,
    bytes_max: u64,
}

enum Texts {
    Given(std::vec::IntoIter<String>),
    Stdin(mpsc::Receiver<io::Result<String>>),
}

impl<'a> Messages<'a> {
    /// Those that the flags name, for the agent of this name.
    pub(super) fn of(args: &Args, name: &'a str, bytes_max: u64) -> Result<Self, Failure> {
        let texts = if !args.message.is_empty() {
            Texts::Given(args.message.clone().into_iter())
        } else if let Some(path) = &args.input {
            let text =
                std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
            let lines: Vec<_> = text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(str::to_owned)
                .collect();
            Texts::Given(lines.into_iter())
        } else {
            Texts::Stdin(stdin_lines()?)
        };
        Ok(Self {
            texts,
            name,
            bytes_max,
        })
    }
    /// The next one; waits for it.
    pub(super) async fn next(&mut self) -> Option<Result<Fields, Failure>> {
        let text = match &mut self.texts {
            Texts::Given(texts) => texts.next()?,
            Texts::Stdin(lines) => loop {
                match lines.recv().await? {
                    Ok(line) if line.trim().is_empty() => {}
                    Ok(line) => break line,
                    Err(error) => return Some(Err(error.into())),
                }
            },
        };
        Some(read_message(&text, self.name, self.bytes_max))
    }
}

/// Lines as they are written. A thread of its own reads them, because a read can't be called off; it
/// ends with the program.
fn stdin_lines() -> Result<mpsc::Receiver<io::Result<String>>, Failure> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            for line in io::stdin().lines() {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        })?;
    Ok(lines)
}

/// Reads one message, for the one agent there is unless it is for the host's own; bare content
/// becomes a request. What is written is neither changed nor held to other bounds than on a node.
fn read_message(text: &str, name: &str, bytes_max: u64) -> Result<Fields, Failure> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        Failure::usage(
            format!("a message is no JSON: {error}"),
            r#"write it as {"performative":"request","content":{}}"#,
        )
    })?;
    let members = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get());
    let members = members.unwrap_or_default();
    let is_message = members.contains_key("performative");
    let receiver = serde_json::Value::from(name);
    let whole = match raw.get().strip_prefix('{') {
        Some(rest) if is_message && !members.contains_key("receiver") => {
            format!(r#"{{"receiver":{receiver},{rest}"#)
        }
        Some(_) if is_message => raw.get().to_owned(),
        _ => format!(
            r#"{{"performative":"request","receiver":{receiver},"content":{}}}"#,
            raw.get()
        ),
    };
    let mut fields = Fields::parse(whole.as_bytes(), bytes_max)
        .map_err(|error| Failure::of(error.code(), error.to_string()))?;
    if !matches!(&fields.receiver, Receiver::One(one) if is_reserved_name(one)) {
        fields.receiver = Receiver::One(name.into());
    }
    if fields.sender.is_empty() {
        fields.sender = SENDER.into();
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use caxton_model::{ErrorCode, Performative};

    use super::*;
    use crate::failure::Exit;

    #[test]
    fn bare_content_becomes_a_request_and_a_message_keeps_what_it_says() {
        let name = "greeter";
        let fields = read_message(r#"{"action": "greet","n":1.10}"#, name, 1_000).unwrap();
        assert_eq!(fields.performative, Performative::Request);
        assert_eq!(fields.content.as_str(), r#"{"action": "greet","n":1.10}"#);
        assert_eq!(&*fields.sender, "operator");
        let text = r#"{"performative":"inform","content":{"a":1,"a":20000000000000000000000}}"#;
        let fields = read_message(text, name, 1_000).unwrap();
        assert_eq!(fields.performative, Performative::Inform);
        assert_eq!(
            fields.content.as_str(),
            r#"{"a":1,"a":20000000000000000000000}"#
        );
        assert_eq!(fields.receiver, Receiver::One("greeter".into()));
        for (written, meant) in [("somebody", "greeter"), ("df", "df")] {
            let text =
                format!(r#"{{"performative":"inform","sender":"alice","receiver":"{written}"}}"#);
            let fields = read_message(&text, name, 1_000).unwrap();
            assert_eq!(fields.receiver, Receiver::One(meant.into()));
            assert_eq!(&*fields.sender, "alice");
        }
    }

    #[test]
    fn what_is_no_message_says_how_one_looks() {
        let failure = read_message("hello", "a", 1_000).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.help.contains("performative"));
        let failure = read_message(r#"{"performative":"shout"}"#, "a", 1_000).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let failure =
            read_message(r#"{"performative":"inform","content":"xxxx"}"#, "a", 9).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn bare_content_is_held_to_the_bounds_of_a_message() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_message(&nested(63), "a", 1_000).is_ok());
        for content in [nested(64), nested(100), nested(5_000), "1e400".to_owned()] {
            let bare = read_message(&content, "a", 20_000).unwrap_err();
            let whole = format!(r#"{{"performative":"request","content":{content}}}"#);
            let whole = read_message(&whole, "a", 20_000).unwrap_err();
            assert_eq!(bare.what, whole.what);
            assert!(
                bare.what.contains(ErrorCode::MalformedMessage.as_str()),
                "{bare:?}"
            );
        }
    }
}
