//! Server-sent events: what happens on the node, and guests' log lines.
//!
//! A stream holds one of a bounded number of permits and its place in the node's ring of events.
//! A reader that is too slow is told of the gap and goes on behind it.

use std::{collections::VecDeque, convert::Infallible, fmt::Display, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse as _, Response,
    sse::{Event, KeepAlive, Sse},
};
use caxton_api::{EventKind, StreamGap};
use caxton_model::ErrorCode;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use crate::{
    app::{App, closed},
    refuse::Failure,
};

/// Between two signs of life, so that proxies keep the connection and a dead reader is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is streamed: numbered, kept in a ring, watched.
pub(crate) trait Source: Send + 'static {
    /// One entry.
    type Item: Clone + Send + 'static;
    /// Its number.
    fn number(item: &Self::Item) -> u64;
    /// The number of the newest entry; 0 if there was none.
    fn last(&self) -> u64;
    /// Entries behind a number, as far as they are kept.
    fn after(&self, number: u64) -> Vec<Self::Item>;
    /// Whether this reader wants it.
    fn wants(&self, item: &Self::Item) -> bool;
    /// Its kind and its data.
    fn show(&self, item: &Self::Item) -> (EventKind, String);
    /// The kind's name, where the stream names kinds.
    fn named(&self) -> bool;
}

/// Where a stream begins.
pub(crate) enum Begin {
    /// With what comes.
    Now,
    /// Behind this number.
    After(u64),
    /// With all that is kept: the number belongs to another process.
    Restarted,
}

impl Begin {
    /// From the header `Last-Event-ID`, or from a number of the query.
    pub(crate) fn of(app: &App, last_event_id: Option<&str>) -> Result<Self, Failure> {
        match last_event_id {
            None => Ok(Self::Now),
            Some(text) => Self::at(app, "`Last-Event-ID`", text),
        }
    }
    /// Behind an entry, by the id that was given with it; `name` is where the id stands.
    pub(crate) fn at(app: &App, name: &str, text: &str) -> Result<Self, Failure> {
        let read = text
            .split_once('-')
            .and_then(|(boot, number)| Some((boot, number.parse().ok()?)));
        match read {
            Some((boot, number)) if boot == app.boot => Ok(Self::After(number)),
            Some(_) => Ok(Self::Restarted),
            None => {
                let shown: String = text.chars().take(100).collect();
                Err(Failure::malformed(format!(
                    "{name}: `{shown}` is no id of an event of this node"
                )))
            }
        }
    }
}

struct Running<S: Source> {
    source: S,
    live: broadcast::Receiver<S::Item>,
    backlog: VecDeque<S::Item>,
    last: u64,
    /// Whether the reader is still to be told where it begins.
    begins: bool,
    gap: Option<StreamGap>,
    boot: String,
    closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

/// Opens a stream. `live` was subscribed to before this is called, so that nothing falls between.
///
/// Errors: `too-many-requests` if all permits are taken.
pub(crate) fn open<S: Source>(
    app: &App,
    source: S,
    live: broadcast::Receiver<S::Item>,
    begin: &Begin,
) -> Result<Response, Failure> {
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let max = app.limits.streams_max;
        let detail = format!("{max} streams are open, as many as the node takes");
        Failure::new(ErrorCode::TooManyRequests, detail)
    })?;
    let (backlog, last, gap) = match begin {
        Begin::Now => (Vec::new(), source.last(), None),
        Begin::After(number) => {
            let backlog = source.after(*number);
            let gap = missed(*number, backlog.first().map(S::number));
            (backlog, *number, gap)
        }
        Begin::Restarted => {
            let gap = StreamGap {
                missed: None,
                reason: "the node was started again".to_owned(),
            };
            (source.after(0), 0, Some(gap))
        }
    };
    let running = Running {
        source,
        live,
        backlog: backlog.into(),
        last,
        begins: matches!(begin, Begin::Now),
        gap,
        boot: app.boot.clone(),
        closing: app.closing.clone(),
        _permit: permit,
    };
    let events = stream::unfold(running, |mut running| async move {
        running
            .next()
            .await
            .map(|event| (Ok::<_, Infallible>(event), running))
    });
    let beat = KeepAlive::new().interval(HEARTBEAT).text("alive");
    Ok(Sse::new(events).keep_alive(beat).into_response())
}

fn missed(last: u64, first: Option<u64>) -> Option<StreamGap> {
    let missed = first?.saturating_sub(last.saturating_add(1));
    (missed > 0).then(|| StreamGap {
        missed: Some(missed),
        reason: "what was asked for is no longer kept".to_owned(),
    })
}

fn event(id: Option<impl Display>, kind: Option<EventKind>, data: &str) -> Event {
    let mut event = Event::default().data(data);
    if let Some(id) = id {
        event = event.id(id.to_string());
    }
    match kind {
        Some(kind) => event.event(kind.as_str()),
        None => event,
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Gap<'a> {
    Gap(&'a StreamGap),
}

impl<S: Source> Running<S> {
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.begins) {
            // No data, so no event: an id from which a reader goes on that has not seen any.
            return Some(Event::default().id(format!("{}-{}", self.boot, self.last)));
        }
        loop {
            if let Some(gap) = self.gap.take() {
                let data = serde_json::to_string(&Gap::Gap(&gap)).unwrap_or_default();
                return Some(event(None::<&str>, Some(EventKind::Gap), &data));
            }
            let item = match self.backlog.pop_front() {
                Some(item) => item,
                None => match self.live().await {
                    Live::Item(item) => item,
                    Live::Refilled => continue,
                    Live::Ended => return None,
                },
            };
            let number = S::number(&item);
            if number <= self.last {
                continue;
            }
            self.last = number;
            if self.source.wants(&item) {
                let (kind, data) = self.source.show(&item);
                let kind = self.source.named().then_some(kind);
                return Some(event(Some(format!("{}-{number}", self.boot)), kind, &data));
            }
        }
    }

    async fn live(&mut self) -> Live<S::Item> {
        let received = tokio::select! {
            received = self.live.recv() => received,
            () = closed(&mut self.closing) => return Live::Ended,
        };
        match received {
            Ok(item) => Live::Item(item),
            Err(broadcast::error::RecvError::Closed) => Live::Ended,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                // What the channel dropped is in the ring, unless even that has moved on.
                let kept = self.source.after(self.last);
                if self.last > 0 {
                    self.gap =
                        missed(self.last, kept.first().map(S::number)).map(|gap| StreamGap {
                            reason: "the reader is slower than what happens".to_owned(),
                            ..gap
                        });
                }
                self.backlog = kept.into();
                Live::Refilled
            }
        }
    }
}

/// What a wait for the next entry ends with.
enum Live<T> {
    Item(T),
    /// The reader was too slow; the backlog holds what is still kept.
    Refilled,
    /// The server or the node is ending.
    Ended,
}
