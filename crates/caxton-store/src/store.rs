//! The store as the node sees it: on disk, or in memory with the same interface.

use std::{path::Path, sync::Arc};

use caxton_model::{AgentId, Entry, ErrorCode, State};

use crate::{
    Blobs, Health, OpenError, StoreFailed, StoreMetrics, StoreOptions, TornTail, memory::Memory,
};

/// What was found when a directory was opened.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// The whole node's state as of the last durable record.
    pub state: State,
    /// The place of the last durable record; 0 in a new directory.
    pub place: u64,
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
}

impl ReadError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

/// The journal, the checkpoint and the blobs of one node.
#[derive(Debug)]
pub struct Store {
    memory: Memory,
    blobs: Blobs,
}

impl Store {
    /// Opens a directory, makes it if it is not there, and recovers what was durable.
    ///
    /// Errors: [`OpenError`]; nothing on disk is changed where it is refused.
    pub fn open(dir: &Path, _options: StoreOptions) -> Result<(Self, Recovered), OpenError> {
        Err(OpenError::Io {
            what: format!("can't open {}", dir.display()),
            source: std::io::ErrorKind::Unsupported.into(),
        })
    }

    /// A store that keeps nothing beyond the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            memory: Memory::default(),
            blobs: Blobs::in_memory(),
        }
    }

    /// Gives a decided record its place in the order. Never blocks on the disk and never fails: what
    /// bounds the queue is [`Self::takes_turns`], asked before a turn is taken.
    pub fn append(&self, entry: Arc<Entry>) {
        self.memory.append(&entry);
    }

    /// Runs `then` when all that was appended before is durable, or with the reason why it never
    /// will be.
    ///
    /// It runs on the journal's thread: it should only hand the news on.
    pub fn notify(&self, then: impl FnOnce(Result<(), StoreFailed>) + Send + 'static) {
        then(Ok(()));
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::Good
    }

    /// Whether new turns may be taken: the store is good and its queues are within their bounds.
    #[must_use]
    pub fn takes_turns(&self) -> bool {
        true
    }

    /// The place up to which [`Self::read`] answers with what was written.
    #[must_use]
    pub fn checkpointed_place(&self) -> u64 {
        self.memory.place()
    }

    /// The last record of a shard whose values [`Self::read`] can see; an overlay may drop what is
    /// at or before it.
    #[must_use]
    pub fn checkpointed_seq(&self, shard: u16) -> u64 {
        self.memory.seq(shard)
    }

    /// A stored value as of [`Self::checkpointed_place`].
    ///
    /// Cost: may read the disk; not for shards.
    pub fn read(&self, agent: AgentId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.memory.read(agent, key))
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
        Ok(self.memory.keys(agent, after, limit))
    }

    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Gauges and counters.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        self.memory.metrics()
    }

    /// Makes everything durable, writes a last checkpoint and ends the store's threads. What is
    /// appended later is refused by its notification.
    ///
    /// Cost: waits for the disk.
    pub fn close(&self) {}
}
