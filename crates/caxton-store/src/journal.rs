//! The journal as shards see it: a queue into the scribe that writes it, and how that one is.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    thread::{self, Builder, JoinHandle},
    time::Duration,
};

use caxton_model::{Entry, Record, row_bytes};

use crate::{
    Chain, Health, JournalWriter, StoreFailed, StoreOptions, health::health_of, queue::Queue,
    scribe::Scribe,
};

/// What a record weighs without its messages and values. Unit: bytes.
const RECORD_WEIGHT: u64 = 200;

/// Told when all before it is durable.
pub(crate) type Notify = Box<dyn FnOnce(Result<(), StoreFailed>) + Send>;

pub(crate) enum Item {
    Append(Arc<Entry>, u64),
    Notify(Notify),
}

/// Records and notifications in their order, to be given to the store in one go.
#[derive(Default)]
pub struct Batch {
    pub(crate) items: Vec<Item>,
    records: u64,
    bytes: u64,
}

impl Batch {
    /// One record alone.
    pub(crate) fn of_record(entry: Arc<Entry>) -> Self {
        let mut batch = Self::default();
        batch.append(entry);
        batch
    }
    /// One notification alone.
    pub(crate) fn of_notice(then: impl FnOnce(Result<(), StoreFailed>) + Send + 'static) -> Self {
        let mut batch = Self::default();
        batch.notify(then);
        batch
    }
    /// Adds a decided record.
    pub fn append(&mut self, entry: Arc<Entry>) {
        let weight = weight_of(&entry);
        self.records += 1;
        self.bytes += weight;
        self.items.push(Item::Append(entry, weight));
    }
    /// Adds what is to be done once all before it is durable, as [`crate::Store::notify`].
    pub fn notify(&mut self, then: impl FnOnce(Result<(), StoreFailed>) + Send + 'static) {
        self.items.push(Item::Notify(Box::new(then)));
    }
    /// All of it, in order; nothing is left.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Item> {
        (self.records, self.bytes) = (0, 0);
        self.items.drain(..)
    }
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("records", &self.records)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Records that became durable together.
pub(crate) struct Durable {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) last_place: u64,
    pub(crate) chain: Chain,
    /// What the records weigh. Unit: bytes.
    pub(crate) weight: u64,
}

/// What the journal's thread and its users share.
pub(crate) struct Journal {
    pub(crate) queue: Queue<Item>,
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
    /// What was ever handed on to the checkpoint's thread. Unit: bytes.
    pub(crate) handed_on_bytes: AtomicU64,
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
    /// The journal and its scribe, which somebody has to drive; `durable` goes to the checkpoint's.
    pub(crate) fn new(
        writer: JournalWriter,
        options: &StoreOptions,
        durable: Arc<Queue<Durable>>,
    ) -> (Arc<Self>, Scribe) {
        let gauges = Gauges::default();
        gauges.place.store(writer.place(), Ordering::Relaxed);
        gauges
            .durable_place
            .store(writer.place(), Ordering::Release);
        let journal = Arc::new(Self {
            queue: Queue::new(),
            thread: Mutex::new(None),
            health: AtomicU8::new(Health::Good as u8),
            failed: OnceLock::new(),
            gauges,
        });
        let scribe = Scribe::new(Arc::clone(&journal), writer, options, durable);
        (journal, scribe)
    }

    /// The journal with a thread that drives its scribe.
    pub(crate) fn start(
        writer: JournalWriter,
        options: &StoreOptions,
        durable: Arc<Queue<Durable>>,
    ) -> io::Result<Arc<Self>> {
        let (journal, mut scribe) = Self::new(writer, options, durable);
        let thread = Builder::new()
            .name("caxton-journal".to_owned())
            .spawn(move || {
                if catch_unwind(AssertUnwindSafe(|| scribe.run())).is_err() {
                    scribe.fail(StoreFailed::Disk {
                        what: "the journal's thread".to_owned(),
                        reason: "it panicked".to_owned(),
                    });
                }
            })?;
        *journal
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(journal)
    }

    pub(crate) fn append(&self, entry: Arc<Entry>) {
        self.give(&mut Batch::of_record(entry));
        self.queue.wake();
    }

    pub(crate) fn notify(&self, then: Notify) {
        self.give(&mut Batch::of_notice(then));
        self.queue.wake();
    }

    /// Takes all of a batch; its notifications fail where the node is ending.
    pub(crate) fn give(&self, batch: &mut Batch) {
        let Batch {
            items,
            records,
            bytes,
        } = batch;
        let (records, bytes) = (std::mem::take(records), std::mem::take(bytes));
        let gauges = &self.gauges;
        gauges.queued_records.fetch_add(records, Ordering::Relaxed);
        gauges.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.queue.give(items);
        if items.is_empty() {
            gauges.place.fetch_add(records, Ordering::Relaxed);
            return;
        }
        gauges.queued_records.fetch_sub(records, Ordering::Relaxed);
        gauges.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        for item in items.drain(..) {
            if let Item::Notify(then) = item {
                let failed = self.failed.get().cloned();
                then(Err(failed.unwrap_or(StoreFailed::Closed)));
            }
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
        health_of(self.health.load(Ordering::Relaxed))
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) -> Option<&StoreFailed> {
        self.failed.get()
    }

    /// The end: it takes no more, and says why.
    pub(crate) fn set_failed(&self, failed: &StoreFailed) {
        self.set_health(Health::Failed);
        let _ = self.failed.set(failed.clone());
        self.queue.close();
    }

    /// Whether what waits to be written is within these bounds.
    pub(crate) fn keeps_up(&self, records_max: u64, bytes_max: u64) -> bool {
        let (records, bytes) = (&self.gauges.queued_records, &self.gauges.queued_bytes);
        records.load(Ordering::Relaxed) < records_max && bytes.load(Ordering::Relaxed) < bytes_max
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
    let rows = entry.record.rows().iter();
    let rows: u64 = rows
        .map(|row| row_bytes(&row.key, row.value.as_deref().unwrap_or_default()))
        .sum();
    RECORD_WEIGHT + sent + more + rows
}
