//! Messages: send, wait, read what came back.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use caxton_api::{
    ConversationView, DeadLetterEntry, MailEntry, Page, SendOptions, SendResult, Taken,
};
use caxton_model::{FipaMessage, Message, RawJson};
use reqwest::Method;
use serde::Serialize;
use tokio::time::Instant;

use crate::{CaxtonClient, ClientError};

/// The longest that the node waits in one request; longer waits take several.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Before the next request, where one ended sooner than it was asked to wait.
const PAUSE: Duration = Duration::from_millis(500);

/// A message id that nobody else uses, by which a message can be sent again without harm.
#[must_use]
pub fn new_message_id() -> String {
    // Two numbers of the standard library's random source: 128 bits.
    let random = || RandomState::new().hash_one(0);
    format!("client-{:016x}{:016x}", random(), random())
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// Which messages to read.
#[derive(Debug, Clone, Default)]
pub struct MailFilter {
    /// A client's name, or an agent's name or id.
    pub receiver: Option<String>,
    /// A conversation.
    pub conversation_id: Option<String>,
    /// Only the reply to this.
    pub in_reply_to: Option<String>,
    /// Waits this long for one to come.
    pub wait: Option<Duration>,
}

#[derive(Serialize)]
struct SendRequest<'a, R> {
    #[serde(flatten)]
    message: &'a FipaMessage<R>,
    #[serde(flatten)]
    options: &'a SendOptions,
}

impl CaxtonClient {
    /// Sends a message.
    pub async fn send_message<R: Serialize>(
        &self,
        message: FipaMessage<R>,
    ) -> Result<SendResult, ClientError> {
        self.send_with(&message, &SendOptions::default()).await
    }

    /// Sends a message with an id of the caller's own, which makes a retry harmless, or waiting.
    pub async fn send_with<R: Serialize>(
        &self,
        message: &FipaMessage<R>,
        options: &SendOptions,
    ) -> Result<SendResult, ClientError> {
        let url = self.api(&["messages"], &[]);
        let request = self.post(url, &SendRequest { message, options });
        let wait = Duration::from_millis(options.wait_ms.unwrap_or(0));
        self.json_within(request, wait + Duration::from_secs(30))
            .await
    }

    /// Sends a message that is JSON already, to the byte.
    pub async fn send_json(
        &self,
        message: &RawJson,
        options: &SendOptions,
    ) -> Result<SendResult, ClientError> {
        let url = self.api(&["messages"], &[]);
        let wait = Duration::from_millis(options.wait_ms.unwrap_or(0));
        let request = self
            .request(Method::POST, url)
            .header("content-type", "application/json")
            .body(with_options(message.as_str(), options));
        self.json_within(request, wait + Duration::from_secs(30))
            .await
    }

    /// Waits for the reply to a message that was sent with this id, in as many requests as that
    /// takes; each sends the message again, which the id makes harmless. `None`: none came in time.
    ///
    /// A node that is busy, ends or starts again meanwhile is asked again.
    pub async fn await_reply(
        &self,
        message: &RawJson,
        message_id: &str,
        wait: Duration,
    ) -> Result<Option<Message>, ClientError> {
        let until = Instant::now() + wait;
        loop {
            let begun = Instant::now();
            let asked = until.saturating_duration_since(begun).min(WAIT_MAX);
            let options = SendOptions {
                message_id: Some(message_id.to_owned()),
                wait_ms: Some(millis(asked)),
            };
            match self.send_json(message, &options).await {
                Ok(sent) if sent.reply.is_some() || asked.is_zero() => return Ok(sent.reply),
                Err(error) if asked.is_zero() || !error.is_transient() => return Err(error),
                Ok(_) | Err(_) => {}
            }
            if begun.elapsed() < asked {
                tokio::time::sleep_until(until.min(Instant::now() + PAUSE)).await;
            }
        }
    }

    /// Sends a message and waits for the reply, also a `failure`.
    ///
    /// Errors: [`ClientError::NoReply`] if none came in time; the message was accepted then.
    pub async fn send_message_and_wait<R: Serialize>(
        &self,
        message: FipaMessage<R>,
        wait: Duration,
    ) -> Result<FipaMessage, ClientError> {
        let first = wait.min(WAIT_MAX);
        let message_id = (first < wait).then(new_message_id);
        let options = SendOptions {
            message_id: message_id.clone(),
            wait_ms: Some(millis(first)),
        };
        let mut sent = self.send_with(&message, &options).await?;
        if let (Some(id), None) = (message_id, &sent.reply) {
            let again = serde_json::to_string(&message).and_then(|text| RawJson::parse(&text));
            let again = again.map_err(|error| ClientError::Unreadable {
                url: self.url().to_owned(),
                reason: error.to_string(),
            })?;
            sent.reply = self.await_reply(&again, &id, wait - first).await?;
        }
        match sent.reply {
            Some(reply) => {
                serde_json::from_str(reply.json()).map_err(|error| ClientError::Unreadable {
                    url: self.url().to_owned(),
                    reason: error.to_string(),
                })
            }
            None => Err(ClientError::NoReply {
                id: sent.id,
                waited: wait,
            }),
        }
    }

    /// Reads messages; those to a client outside stay until they are dropped or 15 minutes old.
    pub async fn messages(&self, filter: &MailFilter) -> Result<Vec<MailEntry>, ClientError> {
        let until = Instant::now() + filter.wait.unwrap_or_default();
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let begun = Instant::now();
            // Only the first page may have to be waited for: the others are there.
            let wait = filter.wait.filter(|_| cursor.is_none());
            let left = until.saturating_duration_since(begun).min(WAIT_MAX);
            let asked = wait.map_or(Duration::ZERO, |_| left);
            let wait_ms = millis(asked).to_string();
            let query = [
                ("receiver", filter.receiver.as_deref()),
                ("conversation_id", filter.conversation_id.as_deref()),
                ("in_reply_to", filter.in_reply_to.as_deref()),
                ("wait_ms", wait.map(|_| wait_ms.as_str())),
                ("limit", Some("1000")),
                ("cursor", cursor.as_deref()),
            ];
            let request = self.request(Method::GET, self.api(&["messages"], &query));
            let page: Page<MailEntry> = self
                .json_within(request, asked + Duration::from_secs(30))
                .await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() && (!items.is_empty() || asked.is_zero()) {
                return Ok(items);
            }
            if cursor.is_none() && begun.elapsed() < asked {
                tokio::time::sleep_until(until.min(Instant::now() + PAUSE)).await;
            }
        }
    }

    /// Drops replies that were read.
    pub async fn drop_messages(&self, receiver: &str, ids: &[String]) -> Result<(), ClientError> {
        let ids = ids.join(",");
        let query = [("receiver", Some(receiver)), ("id", Some(&*ids))];
        let url = self.api(&["messages"], &query);
        self.done(self.request(Method::DELETE, url)).await
    }

    /// What was said in a conversation.
    pub async fn conversation(&self, id: &str) -> Result<ConversationView, ClientError> {
        let url = self.api(&["conversations", id], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// All messages that could not be delivered.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetterEntry>, ClientError> {
        self.pages(&["dead-letters"], &[]).await
    }

    /// Sends a dead letter again.
    pub async fn resend_dead_letter(&self, id: &str) -> Result<Taken, ClientError> {
        let url = self.api(&["dead-letters", id, "resend"], &[]);
        self.json(self.request(Method::POST, url)).await
    }

    /// Deletes a dead letter.
    pub async fn delete_dead_letter(&self, id: &str) -> Result<(), ClientError> {
        let url = self.api(&["dead-letters", id], &[]);
        self.done(self.request(Method::DELETE, url)).await
    }
}

/// A message's JSON with what stands beside its own fields.
fn with_options(message: &str, options: &SendOptions) -> String {
    let options = serde_json::to_string(options).unwrap_or_default();
    let inner = options.strip_prefix('{').and_then(|o| o.strip_suffix('}'));
    match (message.strip_prefix('{'), inner) {
        (Some(rest), Some(inner)) if !inner.is_empty() => {
            let comma = if rest.trim_start().starts_with('}') {
                ""
            } else {
                ","
            };
            format!("{{{inner}{comma}{rest}")
        }
        // Whatever else it is, the node says what is wrong with it.
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_beside_a_message_and_leave_it_as_it_is() {
        let some = SendOptions {
            message_id: Some("a\"b".to_owned()),
            wait_ms: Some(5),
        };
        let none = SendOptions::default();
        for (message, options, sent) in [
            (
                r#"{"a": 1.10, "a":2 }"#,
                &some,
                r#"{"message_id":"a\"b","wait_ms":5,"a": 1.10, "a":2 }"#,
            ),
            ("{ }", &some, r#"{"message_id":"a\"b","wait_ms":5 }"#),
            (r#"{"a":1e400}"#, &none, r#"{"a":1e400}"#),
            ("[1]", &some, "[1]"),
        ] {
            assert_eq!(with_options(message, options), sent);
            assert!(RawJson::parse(sent).is_ok(), "{sent}");
        }
    }

    #[test]
    fn no_two_message_ids_are_the_same() {
        let ids: std::collections::HashSet<_> = (0..1_000).map(|_| new_message_id()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
