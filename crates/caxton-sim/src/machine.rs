//! The process's own: disk, store, and the edge that waits for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use caxton_kernel::{Done, Refusal, Ticket};
use caxton_model::{AgentId, Entry, MessageKey};
use caxton_store::{
    CheckpointImage, FaultyFiles, OpenError, Recovered, SteppedStore, StoreFailed, StoreOptions,
};

use crate::rng::Rng;

/// What leaves the node once everything before it is durable.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// An answer.
    Answer(Ticket, Result<Done, Refusal>),
    /// A message for a client.
    Mail(Arc<str>, MessageKey),
    /// An event, in words.
    Event(String),
    /// A request of a turn to the outside.
    Access {
        agent: AgentId,
        turn: u64,
        number: u32,
        key: String,
        request: String,
    },
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// It is killed: the system still has what it wrote.
    Kill,
    /// The power goes: of what was not synced some sectors are there.
    Power,
}

/// Disk, store and edge.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) files: FaultyFiles,
    pub(crate) store: SteppedStore,
    options: StoreOptions,
    /// Every record that has its place, in the order of places.
    pub(crate) published: Vec<Arc<Entry>>,
    /// What waits at the edge, with the records before it.
    waiting: BTreeMap<u64, (usize, Leaving)>,
    next: u64,
    /// Completions that nobody has looked at: whose, and whether all is durable.
    completed: Arc<Mutex<Vec<(u64, bool)>>>,
    /// Records before the last thing that left.
    pub(crate) left_after: usize,
    /// Posts that were acknowledged as durable.
    pub(crate) acknowledged: BTreeSet<MessageKey>,
    /// Whether silent conversations were ever forgotten by the checkpoint.
    pub(crate) has_pruned: bool,
}

/// A store's options by chance: small enough that everything happens within a short life.
pub(crate) fn options(rng: &mut Rng) -> StoreOptions {
    StoreOptions {
        segment_bytes: 4_096 << rng.below(4),
        journal_bytes_max: 16_384 << rng.below(3),
        group_bytes_max: 512 << rng.below(6),
        queue_records_max: 8 << rng.below(5),
        open_check_bytes: rng.below(2) as u64,
        journal_id: Some([7; 32]),
        on_fatal: Arc::new(|_| {}),
        ..StoreOptions::default()
    }
}

impl Machine {
    /// A machine with an empty disk.
    pub(crate) fn new(options: StoreOptions) -> Result<(Self, Recovered), OpenError> {
        let files = FaultyFiles::default();
        let opened = SteppedStore::open(
            Arc::new(files.clone()),
            CheckpointImage::default(),
            options.clone(),
        );
        let (store, recovered) = opened?;
        let machine = Self {
            files,
            store,
            options,
            published: Vec::new(),
            waiting: BTreeMap::new(),
            next: 0,
            completed: Arc::default(),
            left_after: 0,
            acknowledged: BTreeSet::new(),
            has_pruned: false,
        };
        Ok((machine, recovered))
    }

    /// A record gets its place.
    pub(crate) fn publish(&mut self, entry: Arc<Entry>) {
        self.published.push(Arc::clone(&entry));
        self.store.append(entry);
    }

    /// Something may leave once all that was published before it is durable.
    pub(crate) fn leave(&mut self, leaving: Leaving) {
        let name = self.next;
        self.next += 1;
        self.waiting.insert(name, (self.published.len(), leaving));
        let completed = Arc::clone(&self.completed);
        self.store.notify(move |result| {
            let mut completed = completed.lock().unwrap_or_else(PoisonError::into_inner);
            completed.push((name, result.is_ok()));
        });
    }

    /// One completion arrives, whichever comes first.
    ///
    /// Answers how many records were durable before it, and what leaves.
    pub(crate) fn hear(&mut self, rng: &mut Rng) -> Option<(usize, Leaving)> {
        let (name, is_durable) = {
            let mut completed = self
                .completed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if completed.is_empty() {
                return None;
            }
            let at = rng.below(completed.len());
            completed.swap_remove(at)
        };
        let (after, leaving) = self.waiting.remove(&name)?;
        if !is_durable {
            return None;
        }
        self.left_after = self.left_after.max(after);
        if let Leaving::Answer(
            _,
            Ok(Done::Posted {
                key, durable: true, ..
            }),
        ) = &leaving
        {
            self.acknowledged.insert(*key);
        }
        Some((after, leaving))
    }

    /// Whether a completion has arrived that nobody has looked at.
    pub(crate) fn has_completions(&self) -> bool {
        let completed = self
            .completed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !completed.is_empty()
    }

    /// Writes at most one group; answers whether there was anything to write.
    ///
    /// Errors: the process must end.
    pub(crate) fn write(&mut self) -> Result<bool, StoreFailed> {
        self.store.write()
    }

    /// Ends the process and opens what it left; the machine may die on the way and be started again.
    ///
    /// Errors: what is there can't be opened.
    pub(crate) fn restart(&mut self, how: Crash, rng: &mut Rng) -> Result<Recovered, OpenError> {
        let image = self.store.image().clone();
        self.waiting.clear();
        self.completed = Arc::default();
        let mut how = how;
        let mut files = self.files.clone();
        loop {
            files = match how {
                Crash::Kill => files.copy(),
                Crash::Power => files.after_power_loss(&mut || rng.percent(50)),
            };
            self.options.open_check_bytes = rng.below(2) as u64;
            if rng.percent(15) {
                files.crash_after(rng.below(10) as u64);
            }
            let opened =
                SteppedStore::open(Arc::new(files.clone()), image.clone(), self.options.clone());
            match opened {
                Err(_) if files.has_crashed() => {
                    how = if rng.percent(50) {
                        Crash::Kill
                    } else {
                        Crash::Power
                    };
                }
                Err(error) => return Err(error),
                Ok((store, recovered)) => {
                    files.crash_after(u64::MAX);
                    (self.files, self.store) = (files, store);
                    return Ok(recovered);
                }
            }
        }
    }
}
