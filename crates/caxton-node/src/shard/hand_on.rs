//! What a shard has said goes to whom it concerns: records to the journal, deliveries to peers, and
//! events to those that watch, some turns' together.
//!
//! Threads that share a lock or a count wait for each other; a shard with work does both rarely.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::TrySendError},
    time::{Duration, Instant},
};

use caxton_kernel::{Event, NodeEvent, Refusal};
use caxton_model::{Delivery, Destination, Entry, ErrorCode, Record};

use super::{Shard, ShardMessage};
use crate::{request::NumberedEvent, shared::Shared};

/// How long a shard with more to do keeps what it has said; one with nothing to do does not.
const HAND_ON_EVERY: Duration = Duration::from_micros(50);

/// How long a shard that has work lets the journal sleep where nobody outside waits for it. It would
/// take a core from the shards, for what is as good a moment later.
const JOURNAL_SLEEPS: Duration = Duration::from_millis(1);

/// What waits for one peer.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) events: VecDeque<Event>,
}

impl Shard {
    /// Whether what was said has waited long enough.
    pub(super) fn is_overdue(&self) -> bool {
        self.looked.saturating_duration_since(self.handed) >= HAND_ON_EVERY
    }

    /// Hands on all that was said, in its order: a peer is told when the journal has the cause.
    pub(super) fn hand_on(&mut self) {
        self.handed = self.looked;
        self.publish_events();
        self.counted.hand_on(&self.shared.meters);
        self.give();
        // Whom a message wakes goes first: the journal takes longer anyway.
        self.flush();
        let sleeps = if self.is_awaited {
            HAND_ON_EVERY
        } else {
            JOURNAL_SLEEPS
        };
        let slept = |since| self.looked.saturating_duration_since(since);
        if self.unwoken.is_some_and(|since| slept(since) >= sleeps) {
            self.wake_journal();
        }
    }

    fn give(&mut self) {
        if !self.batch.is_empty() {
            self.unwoken.get_or_insert(self.looked);
            self.shared.store.give(&mut self.batch);
        }
    }

    /// Has all that was given written.
    pub(super) fn wake_journal(&mut self) {
        self.is_awaited = false;
        if self.unwoken.take().is_some() {
            self.shared.store.wake();
        }
    }

    /// Keeps a delivery for a peer.
    pub(super) fn forward(&mut self, shard: u16, delivery: Delivery) {
        // A client is somebody outside who may wait for the records so far.
        self.is_awaited |= matches!(delivery.to, Destination::Client(_));
        if let Some(outbox) = self.outboxes.get_mut(usize::from(shard)) {
            outbox.deliveries.push(delivery);
        }
    }

    /// Keeps the news for all peers.
    pub(super) fn directory_changed(&mut self, services: &[Arc<str>]) {
        let here = usize::from(self.number);
        for (number, outbox) in self.outboxes.iter_mut().enumerate() {
            if number != here {
                let services = services.to_vec();
                outbox
                    .events
                    .push_back(Event::DirectoryChanged { services });
            }
        }
    }

    /// Tells somebody outside once all that was published before is durable.
    pub(super) fn tell_outside(&mut self, then: impl FnOnce(&Shared, bool) + Send + 'static) {
        // Whoever has the answer finds what led to it among the events.
        self.publish_events();
        self.is_awaited = true;
        self.when_durable(then);
    }

    /// Sends the events so far to who watches once they are durable: one errand for all.
    fn publish_events(&mut self) {
        if self.published.is_empty() {
            return;
        }
        let events: Vec<NodeEvent> = std::mem::take(&mut self.published);
        self.when_durable(move |shared, durable| {
            if durable {
                let number = |number, event| NumberedEvent { number, event };
                shared.events.push_all(events, number);
            }
        });
    }

    /// Does something once all that was published before it is durable: the node's edge.
    fn when_durable(&mut self, then: impl FnOnce(&Shared, bool) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        self.batch
            .notify(move |result| then(&shared, result.is_ok()));
    }

    pub(super) fn publish(&mut self, entry: Arc<Entry>) {
        if let Record::Turn(turn) = &entry.record
            && turn.result.has_effects()
        {
            self.commit(turn.agent, &turn.writes, entry.seq);
        }
        let at_once = changes_directory(&entry.record);
        self.batch.append(entry);
        if at_once {
            self.give();
        }
    }

    /// Has all turns see the rows of a record, which the journal is given first: what others do when
    /// they have read them comes after it. At once, since an agent of this shard may be next.
    pub(super) fn write_rows(&mut self, entry: &Entry) {
        let tables = Arc::clone(&self.shared.tables);
        tables.publish(entry.record.rows(), || self.give());
    }

    /// Hands what waits for peers on, as far as they take it; never waits for them.
    fn flush(&mut self) {
        let mut sent = false;
        for (number, outbox) in self.outboxes.iter_mut().enumerate() {
            let Some(peer) = self.shared.shards.get(number) else {
                continue;
            };
            if !outbox.deliveries.is_empty() {
                outbox
                    .events
                    .push_back(Event::Delivered(std::mem::take(&mut outbox.deliveries)));
            }
            while let Some(event) = outbox.events.pop_front() {
                match peer.sender.try_send(ShardMessage::Event(event)) {
                    Ok(()) => {
                        sent = true;
                        peer.signal.ring();
                    }
                    Err(TrySendError::Full(ShardMessage::Event(event))) => {
                        outbox.events.push_front(event);
                        break;
                    }
                    // The peer has ended: the node is closing, and what is durable stays so.
                    Err(_) => break,
                }
            }
        }
        if sent {
            self.last_peer = Some(Instant::now());
        }
    }
}

/// The answer to a request whose record will never be durable.
pub(super) fn lost() -> Refusal {
    Refusal::new(
        ErrorCode::Internal,
        "the journal failed before this was durable; it was not acknowledged and may not have happened",
    )
}

/// Whether other shards see of it, in the directory, before any message tells them: what they do
/// then must come after it in the journal. That a post makes its client known is no cause of theirs:
/// mail for a client waits whether it ever wrote or not.
fn changes_directory(record: &Record) -> bool {
    match record {
        Record::Turn(turn) => {
            !turn.result.has_effects()
                || turn.capabilities.is_some()
                || !turn.subscribed.is_empty()
                || !turn.unsubscribed.is_empty()
        }
        Record::Posted { .. }
        | Record::HostSent { .. }
        | Record::Accepted { .. }
        | Record::Refused { .. }
        | Record::RepliesDropped { .. }
        | Record::Intent(_)
        | Record::Outcome { .. }
        | Record::RowsWritten { .. } => false,
        _ => true,
    }
}
