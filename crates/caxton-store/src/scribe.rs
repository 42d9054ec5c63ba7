//! Takes what shards decided, in the order of the journal's queue, makes it durable a group at a
//! time, then says so.
//!
//! It has a thread of its own in a node; a simulator drives it a step at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use caxton_model::Entry;

use crate::{
    Group, Health, JournalWriter, Lack, OnFatal, StoreFailed, StoreOptions, WriteError,
    journal::{Durable, Item, Journal, Notify},
    queue::{Queue, Taken},
};

/// Pause before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Quiet time after which the head is synced.
const HEAD_IDLE: Duration = Duration::from_millis(50);
/// Busy time after which the head is synced.
const HEAD_BUSY: Duration = Duration::from_secs(1);

/// How often the checkpoint's thread is woken while groups come. It has time, and much at once costs it
/// less than little often.
const FOLLOWED_EVERY: Duration = Duration::from_millis(5);

/// How many must have waited for a group for the next one to be gathered a little longer: more than
/// one client's request and its reply come to.
const MANY_WAITED: usize = 8;
/// How many records a group must have had for the same: somebody has much to say.
const MANY_RECORDS: usize = 64;
/// How long, then. Those who were just answered ask again, and one sync serves them all.
const GATHER: Duration = Duration::from_micros(300);

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// What was taken so far is durable, or there was nothing.
    Done,
    /// The system lacks room or descriptors: the group is kept, and the next step tries it again.
    Full,
}

/// Who writes the journal.
pub(crate) struct Scribe {
    journal: Arc<Journal>,
    writer: JournalWriter,
    durable: Arc<Queue<Durable>>,
    group_bytes_max: usize,
    on_fatal: OnFatal,
    /// Taken from the queue, not looked at yet; the next one is the last.
    items: Vec<Item>,
    /// Those of the group that is being made, and what they weigh.
    entries: Vec<Arc<Entry>>,
    weight: u64,
    /// Who waits for it.
    waiting: Vec<Notify>,
    /// Whether the next one is gathered a little longer.
    gathers: bool,
    /// Whether the group waits for room or descriptors.
    is_full: bool,
    head_synced: Instant,
    /// When the checkpoint's thread was woken for a group.
    followed: Instant,
}

impl Scribe {
    pub(crate) fn new(
        journal: Arc<Journal>,
        writer: JournalWriter,
        options: &StoreOptions,
        durable: Arc<Queue<Durable>>,
    ) -> Self {
        Self {
            journal,
            writer,
            durable,
            group_bytes_max: options.group_bytes_max,
            on_fatal: Arc::clone(&options.on_fatal),
            items: Vec::new(),
            entries: Vec::new(),
            weight: 0,
            waiting: Vec::new(),
            gathers: false,
            is_full: false,
            head_synced: Instant::now(),
            followed: Instant::now(),
        }
    }

    /// Works until the journal is closed or fails.
    pub(crate) fn run(&mut self) {
        let result = loop {
            if let Err(failed) = self.round() {
                break Err(failed);
            }
            if self.is_full && self.journal.queue.wait_closed(RETRY) {
                break Err(StoreFailed::Closed);
            }
            if self.is_idle() && self.gathers {
                // Whether it is closed is found when the next is taken.
                let _ = self.journal.queue.wait_closed(GATHER);
            }
            if self.is_idle() {
                let timeout = self.writer.head_is_unsynced().then_some(HEAD_IDLE);
                match self.take(timeout) {
                    Taken::Items => {}
                    Taken::Nothing => {
                        if let Err(failed) = self.sync_head() {
                            break Err(failed);
                        }
                    }
                    Taken::Closed => break self.sync_head(),
                }
            }
        };
        if let Err(failed) = result {
            self.fail(failed);
        }
    }

    /// One step, and the head where it has waited long enough.
    fn round(&mut self) -> Result<(), StoreFailed> {
        self.step()?;
        if self.is_idle()
            && self.writer.head_is_unsynced()
            && self.head_synced.elapsed() >= HEAD_BUSY
        {
            self.sync_head()?;
        }
        Ok(())
    }

    /// Whether all that was taken from the queue is durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.items.is_empty() && !self.is_full
    }

    /// Takes all that waits in the queue; waits for it where there is nothing.
    pub(crate) fn take(&mut self, timeout: Option<Duration>) -> Taken {
        let taken = self.journal.queue.take(&mut self.items, timeout);
        // So that the next one can be taken off the end.
        self.items.reverse();
        taken
    }

    /// Makes at most one group durable, of what was taken, and tells who waits for it.
    pub(crate) fn step(&mut self) -> Result<Step, StoreFailed> {
        while !self.is_full
            && let Some(item) = self.items.pop()
        {
            match item {
                Item::Append(entry, weight) => {
                    let encoded = self.writer.encode(&entry);
                    self.entries.push(entry);
                    self.weight += weight;
                    encoded?;
                    if self.writer.group_bytes() >= self.group_bytes_max {
                        break;
                    }
                }
                Item::Notify(then) => self.waiting.push(then),
            }
        }
        let start = Instant::now();
        match self.writer.commit() {
            Ok(group) => {
                self.is_full = false;
                self.gathers =
                    self.waiting.len() >= MANY_WAITED || self.entries.len() >= MANY_RECORDS;
                if let Some(group) = &group {
                    self.publish(group, start.elapsed());
                }
                tell(&mut self.waiting, &Ok(()));
                if let Some(group) = group {
                    self.hand_on(&group);
                }
                Ok(Step::Done)
            }
            Err(WriteError::Blocked { lack, what, source }) => {
                if self.journal.health() == Health::Good {
                    tracing::warn!(%what, %source, "the journal can't be written now: turns stop until it can");
                    self.journal.set_health(match lack {
                        Lack::Room => Health::Full,
                        Lack::Descriptors => Health::NoDescriptors,
                    });
                }
                self.is_full = true;
                Ok(Step::Full)
            }
            Err(WriteError::Failed(failed)) => Err(failed),
        }
    }

    /// Makes the head durable, and has the checkpoint's thread take what it was not woken for: each
    /// group leaves the head to be synced, so that none is forgotten.
    pub(crate) fn sync_head(&mut self) -> Result<(), StoreFailed> {
        self.durable.wake();
        self.head_synced = Instant::now();
        self.writer.sync_head()
    }

    fn publish(&mut self, group: &Group, took: Duration) {
        if matches!(self.journal.health(), Health::Full | Health::NoDescriptors) {
            tracing::info!("the journal is written again");
            self.journal.set_health(Health::Good);
        }
        let gauges = &self.journal.gauges;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let records = self.entries.len() as u64;
        gauges.last_sync_micros.store(micros, Ordering::Relaxed);
        gauges
            .longest_sync_micros
            .fetch_max(micros, Ordering::Relaxed);
        gauges.last_group_records.store(records, Ordering::Relaxed);
        gauges
            .written_bytes
            .fetch_add(group.bytes, Ordering::Relaxed);
        gauges.groups.fetch_add(1, Ordering::Relaxed);
        gauges.segment.store(group.segment, Ordering::Relaxed);
        gauges
            .durable_place
            .store(group.last_place, Ordering::Release);
        gauges.queued_records.fetch_sub(records, Ordering::Relaxed);
        gauges
            .queued_bytes
            .fetch_sub(self.weight, Ordering::Relaxed);
    }

    /// Gives a group to the checkpoint's thread.
    fn hand_on(&mut self, group: &Group) {
        let room = Vec::with_capacity(self.entries.len());
        let weight = std::mem::take(&mut self.weight);
        let handed_on = &self.journal.gauges.handed_on_bytes;
        handed_on.fetch_add(weight, Ordering::Relaxed);
        self.durable.give(&mut vec![Durable {
            entries: std::mem::replace(&mut self.entries, room),
            last_place: group.last_place,
            chain: group.chain,
            weight,
        }]);
        if self.followed.elapsed() >= FOLLOWED_EVERY {
            self.followed = Instant::now();
            self.durable.wake();
        }
    }

    /// The end: nobody who still waits is told anything good.
    pub(crate) fn fail(&mut self, failed: StoreFailed) {
        self.journal.set_failed(&failed);
        if failed != StoreFailed::Closed {
            (self.on_fatal)(&failed);
        }
        loop {
            // Those that were taken before stand in their order from the end on.
            while let Some(item) = self.items.pop() {
                if let Item::Notify(then) = item {
                    self.waiting.push(then);
                }
            }
            if self.take(None) == Taken::Closed {
                break;
            }
        }
        tell(&mut self.waiting, &Err(failed));
    }
}

/// Tells all who wait; a panic of one does not keep the others waiting.
pub(crate) fn tell(waiting: &mut Vec<Notify>, result: &Result<(), StoreFailed>) {
    for then in waiting.drain(..) {
        let result = result.clone();
        if catch_unwind(AssertUnwindSafe(|| then(result))).is_err() {
            tracing::error!("a notification panicked");
        }
    }
}
