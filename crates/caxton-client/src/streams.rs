//! What happens on a node, as it happens.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use bytes::Bytes;
use caxton_api::{EventBody, LogEntry, StreamGap};
use futures_util::{Stream, StreamExt};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

use crate::{
    CaxtonClient, ClientError,
    sse::{Parser, RawEvent},
};

/// A stream that was silent for so long is broken: a node gives a sign of life every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Which events to watch. Empty: all of them.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only events of this kind.
    pub kind: Option<String>,
    /// Only events about this agent, by id or name.
    pub agent: Option<String>,
    /// Only messages of this conversation.
    pub conversation_id: Option<String>,
}

/// An event with the id from which a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamedEvent {
    /// Its id.
    pub id: Option<String>,
    /// What happened.
    pub body: EventBody,
}

type Chunks = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

struct Raw {
    url: String,
    chunks: Chunks,
    parser: Parser,
    ready: VecDeque<RawEvent>,
}

impl Raw {
    async fn next(&mut self) -> Option<Result<RawEvent, ClientError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let url = || self.url.clone();
            let Ok(chunk) = tokio::time::timeout(SILENCE_MAX, self.chunks.next()).await else {
                return None;
            };
            match chunk? {
                Err(source) => {
                    let source = source.without_url();
                    return Some(Err(ClientError::Unreachable { url: url(), source }));
                }
                Ok(bytes) => match self.parser.feed(&bytes) {
                    Some(events) => self.ready.extend(events),
                    None => {
                        let reason = "an event without an end".to_owned();
                        return Some(Err(ClientError::Unreadable { url: url(), reason }));
                    }
                },
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, event: &RawEvent) -> Result<T, ClientError> {
        serde_json::from_str(&event.data).map_err(|error| ClientError::Unreadable {
            url: self.url.clone(),
            reason: error.to_string(),
        })
    }
}

/// A node's events. Ends when the node closes it or falls silent; dropping it ends it, too.
pub struct EventStream(Raw);

impl EventStream {
    /// The id from which another stream goes on behind this one; known from the first event on, or
    /// from the first answer of the node.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.0.parser.last_id()
    }
    /// The next event; waits until there is one.
    ///
    /// Cancel: safe; nothing is lost.
    pub async fn next(&mut self) -> Option<Result<StreamedEvent, ClientError>> {
        let event = match self.0.next().await? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        Some(
            self.0
                .read(&event)
                .map(|body| StreamedEvent { id: event.id, body }),
        )
    }
}

/// What a stream of log lines brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A line.
    Line(LogEntry),
    /// Lines that were lost.
    Gap(StreamGap),
}

/// An agent's log lines.
pub struct LogStream(Raw);

impl LogStream {
    /// The id from which another stream goes on behind this one.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.0.parser.last_id()
    }
    /// The next line, or the gap before it; waits until there is one.
    ///
    /// Cancel: safe; nothing is lost.
    pub async fn next(&mut self) -> Option<Result<LogEvent, ClientError>> {
        let event = match self.0.next().await? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        Some(match event.event.as_deref() {
            Some("gap") => self.0.read(&event).map(LogEvent::Gap),
            _ => self.0.read(&event).map(LogEvent::Line),
        })
    }
}

impl CaxtonClient {
    /// Watches the node; with `last_event_id` from behind that event on.
    pub async fn events(
        &self,
        filter: &EventFilter,
        last_event_id: Option<&str>,
    ) -> Result<EventStream, ClientError> {
        let query = [
            ("kind", filter.kind.as_deref()),
            ("agent", filter.agent.as_deref()),
            ("conversation_id", filter.conversation_id.as_deref()),
        ];
        let url = self.api(&["events"], &query);
        self.stream(url, last_event_id).await.map(EventStream)
    }

    /// Follows an agent's log behind the line with the id `after`; `None`: from the first line that
    /// is kept. If the node was started again since, all lines of its new life follow.
    pub async fn follow_logs(
        &self,
        agent: &str,
        after: Option<&str>,
    ) -> Result<LogStream, ClientError> {
        let query = [("follow", Some("true")), ("after", after.or(Some("0")))];
        let url = self.api(&["agents", agent, "logs"], &query);
        self.stream(url, None).await.map(LogStream)
    }

    async fn stream(&self, url: Url, last: Option<&str>) -> Result<Raw, ClientError> {
        let mut request = self
            .request(Method::GET, url)
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = self.send(request, None).await?;
        Ok(Raw {
            url: answer.url().to_string(),
            chunks: Box::pin(answer.bytes_stream()),
            parser: Parser::default(),
            ready: VecDeque::new(),
        })
    }
}
