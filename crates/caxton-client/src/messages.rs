//! Messages: send, wait, read what came back.

use std::time::Duration;

use caxton_api::{
    ConversationView, DeadLetterEntry, MailEntry, Page, SendOptions, SendResult, Taken,
};
use caxton_model::FipaMessage;
use reqwest::Method;
use serde::Serialize;

use crate::{CaxtonClient, ClientError};

/// The longest that the node waits in one request. Unit: milliseconds.
const WAIT_MS_MAX: u128 = 60_000;

/// Which messages to read.
#[derive(Debug, Clone, Default)]
pub struct MailFilter {
    /// A client's name, or an agent's name or id.
    pub receiver: Option<String>,
    /// A conversation.
    pub conversation_id: Option<String>,
    /// Only the reply to this.
    pub in_reply_to: Option<String>,
    /// Waits this long for one to come; at most a minute.
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

    /// Sends a message and waits for the reply, also a `failure`.
    ///
    /// Errors: [`ClientError::NoReply`] if none came in time; the message was accepted then.
    pub async fn send_message_and_wait<R: Serialize>(
        &self,
        message: FipaMessage<R>,
        wait: Duration,
    ) -> Result<FipaMessage, ClientError> {
        let wait_ms = u64::try_from(wait.as_millis().min(WAIT_MS_MAX)).unwrap_or(0);
        let options = SendOptions {
            message_id: None,
            wait_ms: Some(wait_ms),
        };
        let sent = self.send_with(&message, &options).await?;
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
        let wait = filter.wait.unwrap_or_default();
        let wait_ms = wait.as_millis().min(WAIT_MS_MAX).to_string();
        let query = [
            ("receiver", filter.receiver.as_deref()),
            ("conversation_id", filter.conversation_id.as_deref()),
            ("in_reply_to", filter.in_reply_to.as_deref()),
            ("wait_ms", filter.wait.map(|_| wait_ms.as_str())),
            ("limit", Some("1000")),
        ];
        let request = self.request(Method::GET, self.api(&["messages"], &query));
        let page: Page<MailEntry> = self
            .json_within(request, wait + Duration::from_secs(30))
            .await?;
        Ok(page.items)
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
