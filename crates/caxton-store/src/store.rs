//! The store as the node sees it: on disk, or in memory with the same interface.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use caxton_model::{AgentId, Entry, ErrorCode, State, Timestamp};

use crate::{
    Blobs, Health, OpenError, StoreFailed, StoreMetrics, StoreOptions, TornTail,
    checkpoint::CheckpointError, disk::Disk, journal::Batch, memory::Memory,
};

/// What was found when a directory was opened.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// The whole node's state as of the last durable record.
    pub state: State,
    /// The place of the last durable record; 0 in a new directory.
    pub place: u64,
    /// The last recorded time; 0 in a new directory.
    pub newest: Timestamp,
    /// Records that were behind the checkpoint and were applied again.
    pub replayed: u64,
    /// The half-written end that was cut off.
    pub torn: Option<TornTail>,
    /// Things the operator should hear of, in words.
    pub notices: Vec<String>,
}

/// One key of an agent's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySize {
    /// The key.
    pub key: Vec<u8>,
    /// Size of the value. Unit: bytes.
    pub bytes: u64,
}

/// Why a stored value could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The checkpoint could not be read; it is opened again in the background.
    #[error("the state's checkpoint can't be read just now: {reason}")]
    Unavailable {
        /// What went wrong.
        reason: String,
    },
    /// The checkpoint is damaged, and the journal does not reach back to build it anew.
    #[error("the state's checkpoint is damaged and could not be built anew: {reason}")]
    Damaged {
        /// What went wrong.
        reason: String,
    },
}

impl ReadError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } => ErrorCode::Internal,
            Self::Damaged { .. } => ErrorCode::JournalDamaged,
        }
    }
}

/// The journal, the checkpoint and the blobs of one node.
#[derive(Debug)]
pub struct Store {
    backend: Backend,
    blobs: Blobs,
}

#[derive(Debug)]
enum Backend {
    Memory(Memory),
    Disk(Box<Disk>),
}

impl Store {
    /// Opens a directory, makes it if it is not there, and recovers what was durable.
    ///
    /// Errors: [`OpenError`]; then the journal is as it was.
    /// Cost: reads the journal behind the checkpoint, and up to
    /// [`StoreOptions::open_check_bytes`] of it before.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<(Self, Recovered), OpenError> {
        let (disk, recovered) = Disk::open(dir, &options)?;
        let blobs = Blobs::open(dir.join("blobs"))?;
        let store = Self {
            backend: Backend::Disk(Box::new(disk)),
            blobs,
        };
        Ok((store, recovered))
    }

    /// A store that keeps nothing beyond the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            backend: Backend::Memory(Memory::default()),
            blobs: Blobs::in_memory(),
        }
    }

    /// Gives a decided record its place in the order. Never blocks on the disk and never fails: what
    /// bounds the queue is [`Self::takes_turns`], asked before a turn is taken.
    pub fn append(&self, entry: Arc<Entry>) {
        self.give(&mut Batch::of_record(entry));
        self.wake();
    }

    /// Takes all of a batch, as [`Self::append`] and [`Self::notify`] one after the other would.
    ///
    /// [`Self::wake`] must follow, once nobody is more urgent: a journal that sleeps goes on sleeping
    /// until then.
    pub fn give(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        match &self.backend {
            Backend::Memory(memory) => memory.give(batch),
            Backend::Disk(disk) => disk.journal.give(batch),
        }
    }

    /// Wakes the journal for what it was given. Cost: a lock; microseconds where it sleeps.
    pub fn wake(&self) {
        if let Backend::Disk(disk) = &self.backend {
            disk.journal.queue.wake();
        }
    }

    /// Runs `then` when all that was appended before is durable, or with the reason why it never
    /// will be.
    ///
    /// It runs on the journal's thread: it should only hand the news on.
    pub fn notify(&self, then: impl FnOnce(Result<(), StoreFailed>) + Send + 'static) {
        self.give(&mut Batch::of_notice(then));
        self.wake();
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        match &self.backend {
            Backend::Memory(_) => Health::Good,
            Backend::Disk(disk) => disk.health(),
        }
    }

    /// Why it is [`Health::Failed`].
    #[must_use]
    pub fn failed(&self) -> Option<StoreFailed> {
        match &self.backend {
            Backend::Memory(_) => None,
            Backend::Disk(disk) => disk.journal.failed().cloned(),
        }
    }

    /// What the checks in the background have found and could not mend, in words.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        match &self.backend {
            Backend::Memory(_) => None,
            Backend::Disk(disk) => disk.damage(),
        }
    }

    /// Whether new turns may be taken: the store is good and its queues are within their bounds.
    #[must_use]
    pub fn takes_turns(&self) -> bool {
        match &self.backend {
            Backend::Memory(_) => true,
            Backend::Disk(disk) => disk.takes_turns(),
        }
    }

    /// Whether half of the bytes wait that may wait before turns pause.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        match &self.backend {
            Backend::Memory(_) => false,
            Backend::Disk(disk) => disk.is_half_full(),
        }
    }

    /// The place up to which [`Self::read`] answers with what was written.
    #[must_use]
    pub fn checkpointed_place(&self) -> u64 {
        match &self.backend {
            Backend::Memory(memory) => memory.place(),
            Backend::Disk(disk) => disk.follow.place.load(Ordering::Acquire),
        }
    }

    /// The last record of a shard whose values [`Self::read`] can see; an overlay may drop what is
    /// at or before it.
    #[must_use]
    pub fn checkpointed_seq(&self, shard: u16) -> u64 {
        match &self.backend {
            Backend::Memory(memory) => memory.seq(shard),
            Backend::Disk(disk) => disk.follow.seq(shard),
        }
    }

    /// A stored value as of [`Self::checkpointed_place`].
    ///
    /// Cost: may read the disk; not for shards.
    pub fn read(&self, agent: AgentId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.read(agent, key)),
            Backend::Disk(disk) => disk
                .follow
                .read(|checkpoint| checkpoint.read(agent, key))
                .map_err(unavailable),
        }
    }

    /// Keys of an agent in order, those behind `after` only, with the sizes of their values.
    ///
    /// Cost: may read the disk; not for shards.
    pub fn keys(
        &self,
        agent: AgentId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeySize>, ReadError> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.keys(agent, after, limit)),
            Backend::Disk(disk) => disk
                .follow
                .read(|checkpoint| checkpoint.keys(agent, after, limit))
                .map_err(unavailable),
        }
    }

    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Gauges and counters.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        match &self.backend {
            Backend::Memory(memory) => memory.metrics(),
            Backend::Disk(disk) => disk.metrics(),
        }
    }

    /// Makes everything durable, writes a last checkpoint, ends the store's threads and gives the
    /// directory back. What is appended later is refused by its notification.
    ///
    /// Cost: waits for the disk; while it is full, what is not durable yet is given up.
    pub fn close(&self) {
        if let Backend::Disk(disk) = &self.backend {
            disk.close();
        }
    }
}

fn unavailable(error: CheckpointError) -> ReadError {
    let reason = error.to_string();
    if error.is_damage() {
        ReadError::Damaged { reason }
    } else {
        ReadError::Unavailable { reason }
    }
}
