//! The journal's thread: takes what shards decided, in the order of its queue, makes it durable a
//! group at a time, then says so.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    thread::{self, Builder, JoinHandle},
    time::{Duration, Instant},
};

use caxton_model::{Entry, Record};

use crate::{
    Chain, Group, Health, JournalWriter, OnFatal, StoreFailed, StoreOptions, WriteError,
    queue::{Queue, Taken},
};

/// Pause before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Quiet time after which the head is synced.
const HEAD_IDLE: Duration = Duration::from_millis(50);
/// Busy time after which the head is synced.
const HEAD_BUSY: Duration = Duration::from_secs(1);
/// What a record weighs without its messages and values. Unit: bytes.
const RECORD_WEIGHT: u64 = 200;

/// Told when all before it is durable.
type Notify = Box<dyn FnOnce(Result<(), StoreFailed>) + Send>;

enum Item {
    Append(Arc<Entry>, u64),
    Notify(Notify),
}

/// Records that became durable together.
pub(crate) struct Durable {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) last_place: u64,
    pub(crate) chain: Chain,
}

/// What the journal's thread and its users share.
pub(crate) struct Journal {
    queue: Queue<Item>,
    thread: Mutex<Option<JoinHandle<()>>>,
    health: AtomicU8,
    failed: OnceLock<StoreFailed>,
    pub(crate) gauges: Gauges,
}

/// What is measured. All are written by one thread but the queue's.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) place: AtomicU64,
    pub(crate) durable_place: AtomicU64,
    pub(crate) queued_records: AtomicU64,
    pub(crate) queued_bytes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) last_group_records: AtomicU64,
    pub(crate) last_sync_micros: AtomicU64,
    pub(crate) longest_sync_micros: AtomicU64,
    pub(crate) segment: AtomicU64,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("health", &self.health())
            .field("gauges", &self.gauges)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Starts the thread; `durable` goes to the checkpoint's.
    pub(crate) fn start(
        writer: JournalWriter,
        options: &StoreOptions,
        durable: Arc<Queue<Durable>>,
    ) -> io::Result<Arc<Self>> {
        let journal = Arc::new(Self {
            queue: Queue::new(),
            thread: Mutex::new(None),
            health: AtomicU8::new(Health::Good as u8),
            failed: OnceLock::new(),
            gauges: Gauges::default(),
        });
        journal
            .gauges
            .place
            .store(writer.place(), Ordering::Relaxed);
        journal
            .gauges
            .durable_place
            .store(writer.place(), Ordering::Release);
        let mut run = Run {
            journal: Arc::clone(&journal),
            writer,
            durable,
            group_bytes_max: options.group_bytes_max,
            on_fatal: Arc::clone(&options.on_fatal),
            entries: Vec::new(),
            weight: 0,
            waiting: Vec::new(),
            head_synced: Instant::now(),
        };
        let thread = Builder::new()
            .name("caxton-journal".to_owned())
            .spawn(move || {
                if catch_unwind(AssertUnwindSafe(|| run.run())).is_err() {
                    let failed = StoreFailed::Disk {
                        what: "the journal's thread".to_owned(),
                        reason: "it panicked".to_owned(),
                    };
                    run.fail(failed, Vec::new());
                }
            })?;
        *journal
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(journal)
    }

    pub(crate) fn append(&self, entry: Arc<Entry>) {
        let weight = weight_of(&entry);
        self.gauges.queued_records.fetch_add(1, Ordering::Relaxed);
        self.gauges
            .queued_bytes
            .fetch_add(weight, Ordering::Relaxed);
        if self.queue.give(Item::Append(entry, weight)).is_ok() {
            self.gauges.place.fetch_add(1, Ordering::Relaxed);
        } else {
            // The node is ending, and its notifications say so.
            self.gauges.queued_records.fetch_sub(1, Ordering::Relaxed);
            self.gauges
                .queued_bytes
                .fetch_sub(weight, Ordering::Relaxed);
        }
    }

    pub(crate) fn notify(&self, then: Notify) {
        if let Err(Item::Notify(then)) = self.queue.give(Item::Notify(then)) {
            then(Err(self
                .failed
                .get()
                .cloned()
                .unwrap_or(StoreFailed::Closed)));
        }
    }

    /// How long the oldest record waits that is not durable yet.
    pub(crate) fn lag(&self) -> Duration {
        let durable = self.gauges.durable_place.load(Ordering::Acquire);
        if self.gauges.place.load(Ordering::Relaxed) <= durable {
            return Duration::ZERO;
        }
        self.queue
            .oldest()
            .map_or(Duration::ZERO, |at| at.elapsed())
    }

    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Good,
            1 => Health::Full,
            _ => Health::Failed,
        }
    }

    pub(crate) fn failed(&self) -> Option<&StoreFailed> {
        self.failed.get()
    }

    /// Makes all that was given durable and ends the thread.
    pub(crate) fn close(&self) {
        self.queue.close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Who holds the last handle may be told something on that very thread.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// About what a record takes in memory and on disk.
fn weight_of(entry: &Entry) -> u64 {
    let sent: u64 = entry
        .record
        .sent()
        .iter()
        .map(|sent| sent.message.bytes())
        .sum();
    let more: u64 = match &entry.record {
        Record::Turn(turn) => turn
            .writes
            .iter()
            .map(|write| (write.key.len() + write.value.as_ref().map_or(0, |v| v.len())) as u64)
            .sum(),
        Record::Accepted { deliveries } => deliveries
            .iter()
            .map(|(_, _, message)| message.bytes())
            .sum(),
        _ => 0,
    };
    RECORD_WEIGHT + sent + more
}

/// The thread's own.
struct Run {
    journal: Arc<Journal>,
    writer: JournalWriter,
    durable: Arc<Queue<Durable>>,
    group_bytes_max: usize,
    on_fatal: OnFatal,
    /// Those of the group that is being made, and what they weigh.
    entries: Vec<Arc<Entry>>,
    weight: u64,
    /// Who waits for it.
    waiting: Vec<Notify>,
    head_synced: Instant,
}

impl Run {
    fn run(&mut self) {
        let mut items = Vec::new();
        loop {
            let timeout = self.writer.head_is_unsynced().then_some(HEAD_IDLE);
            let result = match self.journal.queue.take(&mut items, timeout) {
                Taken::Items => self.write(&mut items),
                Taken::Nothing => self.sync_head(),
                Taken::Closed => break,
            };
            if let Err(failed) = result {
                self.fail(failed, items);
                return;
            }
        }
        if let Err(failed) = self.writer.sync_head() {
            self.fail(failed, Vec::new());
        }
    }

    fn write(&mut self, items: &mut Vec<Item>) -> Result<(), StoreFailed> {
        let mut items = items.drain(..);
        while let Some(item) = items.next() {
            let result = match item {
                Item::Append(entry, weight) => {
                    let encoded = self.writer.encode(&entry);
                    self.entries.push(entry);
                    self.weight += weight;
                    encoded.and_then(|()| {
                        if self.writer.group_bytes() >= self.group_bytes_max {
                            self.commit()
                        } else {
                            Ok(())
                        }
                    })
                }
                Item::Notify(then) => {
                    self.waiting.push(then);
                    Ok(())
                }
            };
            if let Err(failed) = result {
                self.waiting.extend(items.filter_map(|item| match item {
                    Item::Notify(then) => Some(then),
                    Item::Append(..) => None,
                }));
                return Err(failed);
            }
        }
        drop(items);
        self.commit()?;
        if self.writer.head_is_unsynced() && self.head_synced.elapsed() >= HEAD_BUSY {
            self.sync_head()?;
        }
        Ok(())
    }

    fn sync_head(&mut self) -> Result<(), StoreFailed> {
        self.head_synced = Instant::now();
        self.writer.sync_head()
    }

    /// Writes the group, as often as it takes, and says so.
    fn commit(&mut self) -> Result<(), StoreFailed> {
        loop {
            let start = Instant::now();
            match self.writer.commit() {
                Ok(group) => {
                    if let Some(group) = group {
                        self.publish(&group, start.elapsed());
                    }
                    tell(&mut self.waiting, &Ok(()));
                    return Ok(());
                }
                Err(WriteError::NoSpace { what, source }) => {
                    if self.journal.health() == Health::Good {
                        tracing::warn!(%what, %source, "no room for the journal: turns stop until there is");
                        self.set_health(Health::Full);
                    }
                    if self.journal.queue.wait_closed(RETRY) {
                        return Err(StoreFailed::Closed);
                    }
                }
                Err(WriteError::Failed(failed)) => return Err(failed),
            }
        }
    }

    fn publish(&mut self, group: &Group, took: Duration) {
        if self.journal.health() == Health::Full {
            tracing::info!("there is room for the journal again");
            self.set_health(Health::Good);
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
        self.weight = 0;
        let room = Vec::with_capacity(self.entries.len());
        // The checkpoint's thread ends after this one.
        let _ = self.durable.give(Durable {
            entries: std::mem::replace(&mut self.entries, room),
            last_place: group.last_place,
            chain: group.chain,
        });
    }

    fn set_health(&self, health: Health) {
        self.journal.health.store(health as u8, Ordering::Relaxed);
    }

    /// The end: nobody who still waits is told anything good.
    fn fail(&mut self, failed: StoreFailed, items: Vec<Item>) {
        self.set_health(Health::Failed);
        let _ = self.journal.failed.set(failed.clone());
        self.journal.queue.close();
        if failed != StoreFailed::Closed {
            (self.on_fatal)(&failed);
        }
        let mut items = items;
        loop {
            for item in items.drain(..) {
                if let Item::Notify(then) = item {
                    self.waiting.push(then);
                }
            }
            if self.journal.queue.take(&mut items, None) == Taken::Closed {
                break;
            }
        }
        tell(&mut self.waiting, &Err(failed));
    }
}

/// Tells all who wait; a panic of one does not keep the others waiting.
fn tell(waiting: &mut Vec<Notify>, result: &Result<(), StoreFailed>) {
    for then in waiting.drain(..) {
        let result = result.clone();
        if catch_unwind(AssertUnwindSafe(|| then(result))).is_err() {
            tracing::error!("a notification panicked");
        }
    }
}
