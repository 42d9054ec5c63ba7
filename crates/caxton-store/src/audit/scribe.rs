//! Writes the audit log: takes records from its queue, makes them durable a group at a time, signs a
//! head behind each group, trims what is too old, then says what is durable.
//!
//! It has a thread of its own in a node; tests drive it a step at a time.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use caxton_model::{AuditRecord, Timestamp};

use super::{
    AuditOptions, Shared,
    heads::{HEADS_FOLDER, KeptHeads},
    key::NodeKey,
    signed_head::SignedHead,
    v1::{AUDIT, AuditKind},
};
use crate::{
    Files, Group, Health, Lack, LogWriter, StoreFailed, WriteError,
    journal::Notify,
    queue::Taken,
    retention::{remove_oldest, segments, surplus},
    scribe::{Step, tell},
};

/// Pause before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Quiet time after which the heads are synced.
const HEAD_IDLE: Duration = Duration::from_millis(50);
/// Busy time after which the heads are synced.
const HEAD_BUSY: Duration = Duration::from_secs(1);
/// How long records are gathered for one sync if nobody waits for them: half of the 10 ms after which
/// they are to be durable.
const GATHER: Duration = Duration::from_millis(5);

/// What stands in the queue.
pub(crate) enum Item {
    Append(Box<AuditRecord>, u64),
    Notify(Notify),
}

/// Who writes the audit log.
pub(crate) struct AuditScribe {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: LogWriter<AuditKind>,
    pub(super) files: Arc<dyn Files>,
    pub(super) heads: KeptHeads,
    pub(super) key: NodeKey,
    pub(super) begins: u64,
    /// The latest timestamp of all records.
    pub(super) newest: Timestamp,
    pub(super) group_bytes_max: usize,
    pub(super) log_bytes_max: u64,
    /// Taken from the queue, not looked at yet; the next one is the last.
    pub(super) items: Vec<Item>,
    pub(super) weight: u64,
    pub(super) waiting: Vec<Notify>,
    /// A head whose group is durable and that is not kept yet.
    pub(super) unkept: Option<SignedHead>,
    pub(super) is_full: bool,
    pub(super) segment: u64,
    pub(super) head_synced: Instant,
}

/// What a scribe works with: the log, its folder, the kept heads, the key.
type Parts = (LogWriter<AuditKind>, Arc<dyn Files>, KeptHeads, NodeKey);

impl AuditScribe {
    pub(super) fn new(
        shared: Arc<Shared>,
        (writer, files, heads, key): Parts,
        options: &AuditOptions,
    ) -> Self {
        Self {
            shared,
            segment: writer.segment(),
            writer,
            files,
            heads,
            key,
            begins: 1,
            newest: Timestamp::default(),
            group_bytes_max: options.group_bytes_max,
            log_bytes_max: options.log_bytes_max,
            items: Vec::new(),
            weight: 0,
            waiting: Vec::new(),
            unkept: None,
            is_full: false,
            head_synced: Instant::now(),
        }
    }

    /// Works until the log is closed or fails.
    pub(super) fn run(&mut self) {
        let result: Result<(), StoreFailed> = loop {
            if let Err(failed) = self.step() {
                break Err(failed);
            }
            if self.is_full && self.shared.queue.wait_closed(RETRY) {
                break Err(StoreFailed::Closed);
            }
            if !self.is_idle() {
                continue;
            }
            let unsynced = self.is_unsynced();
            if unsynced
                && self.head_synced.elapsed() >= HEAD_BUSY
                && let Err(failed) = self.sync_heads()
            {
                break Err(failed);
            }
            match self.gather(unsynced.then_some(HEAD_IDLE)) {
                Taken::Items => {}
                Taken::Nothing => {
                    if let Err(failed) = self.sync_heads() {
                        break Err(failed);
                    }
                }
                Taken::Closed => {
                    break self.sync_heads().and(Err(StoreFailed::Closed));
                }
            }
        };
        if let Err(failed) = result {
            self.fail(failed);
        }
    }

    fn is_idle(&self) -> bool {
        self.items.is_empty() && !self.is_full
    }

    fn is_unsynced(&self) -> bool {
        self.writer.head_is_unsynced() || self.heads.is_unsynced()
    }

    /// Takes what waits, and what comes within a few milliseconds more if nobody waits for it.
    fn gather(&mut self, timeout: Option<Duration>) -> Taken {
        let taken = self.take(timeout);
        let waits = |item: &Item| matches!(item, Item::Notify(_));
        if taken == Taken::Items && !self.items.iter().any(waits) {
            self.shared.queue.wait_nudged(GATHER);
            let mut first = std::mem::take(&mut self.items);
            let _ = self.take(Some(Duration::ZERO));
            self.items.append(&mut first);
        }
        taken
    }

    /// Takes all that waits in the queue; waits for it where there is nothing.
    pub(super) fn take(&mut self, timeout: Option<Duration>) -> Taken {
        let taken = self.shared.queue.take(&mut self.items, timeout);
        // So that the next one can be taken off the end.
        self.items.reverse();
        taken
    }

    /// Makes at most one group durable and signs its head, then tells who waits for it.
    pub(super) fn step(&mut self) -> Result<Step, StoreFailed> {
        while !self.is_full
            && let Some(item) = self.items.pop()
        {
            match item {
                Item::Append(record, weight) => {
                    self.weight += weight;
                    self.newest = self.newest.max(record.at);
                    self.writer.encode(&record)?;
                    if self.writer.group_bytes() >= self.group_bytes_max {
                        break;
                    }
                }
                Item::Notify(then) => self.waiting.push(then),
            }
        }
        match self.write() {
            Ok(()) => {
                self.is_full = false;
                if matches!(self.shared.health(), Health::Full | Health::NoDescriptors) {
                    tracing::info!("the audit log is written again");
                    self.shared.set_health(Health::Good);
                }
                tell(&mut self.waiting, &Ok(()));
                Ok(Step::Done)
            }
            Err(WriteError::Blocked { lack, what, source }) => {
                if self.shared.health() == Health::Good {
                    tracing::warn!(%what, %source, "the audit log can't be written now: what needs a record is refused until it can");
                    self.shared.set_health(match lack {
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

    fn write(&mut self) -> Result<(), WriteError> {
        self.keep_head()?;
        if let Some(group) = self.writer.commit()? {
            self.publish(&group);
            self.unkept = Some(self.head());
            self.keep_head()?;
            if group.segment != self.segment {
                self.trim()?;
                self.segment = group.segment;
            }
        }
        Ok(())
    }

    /// Signs what is durable.
    pub(super) fn head(&self) -> SignedHead {
        let end = (self.writer.place(), self.writer.chain());
        SignedHead::sign(&self.key, self.writer.id(), end, self.begins, self.newest)
    }

    /// Keeps the head that is not kept yet, and shows it to all.
    pub(super) fn keep_head(&mut self) -> Result<(), WriteError> {
        if let Some(head) = self.unkept.take() {
            if let Err(error) = self.heads.keep(&head) {
                self.unkept = Some(head);
                return Err(write_failed("writing", error));
            }
            self.shared.set_head(head);
        }
        Ok(())
    }

    fn publish(&mut self, group: &Group) {
        let shared = &self.shared;
        shared
            .durable_place
            .store(group.last_place, Ordering::Release);
        shared.queued_bytes.fetch_sub(self.weight, Ordering::AcqRel);
        self.weight = 0;
    }

    /// Removes the oldest segments where there is more than is kept, after a head that says so.
    pub(super) fn trim(&mut self) -> Result<(), WriteError> {
        let found = segments(&*self.files, &AUDIT).map_err(|e| write_failed("listing", e))?;
        let (gone, begins) = surplus(&found, self.writer.place(), self.log_bytes_max);
        if gone == 0 {
            return Ok(());
        }
        self.begins = self.begins.max(begins);
        self.unkept = Some(self.head());
        self.keep_head()?;
        self.heads.sync().map_err(sync_failed)?;
        remove_oldest(&*self.files, &found, gone);
        Ok(())
    }

    /// Makes the heads durable, signed and unsigned.
    pub(super) fn sync_heads(&mut self) -> Result<(), StoreFailed> {
        self.head_synced = Instant::now();
        self.writer.sync_head()?;
        self.heads.sync().map_err(sync_failed)
    }

    /// The end: nobody who still waits is told anything good.
    pub(super) fn fail(&mut self, failed: StoreFailed) {
        if failed != StoreFailed::Closed {
            tracing::error!(%failed, "the audit log can't go on: what needs a record is refused");
        }
        self.shared.set_failed(&failed);
        loop {
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

fn write_failed(doing: &str, source: io::Error) -> WriteError {
    let what = format!("{doing} {HEADS_FOLDER}");
    match Lack::of(&source) {
        Some(lack) => WriteError::Blocked { lack, what, source },
        None => WriteError::Failed(StoreFailed::Disk {
            what,
            reason: source.to_string(),
        }),
    }
}

fn sync_failed(error: io::Error) -> StoreFailed {
    StoreFailed::Disk {
        what: format!("syncing {HEADS_FOLDER}"),
        reason: error.to_string(),
    }
}
