//! The store without threads, over whatever file layer it is given: whoever drives it says when a
//! group is written, when the checkpoint follows, when a process dies. What a simulator runs.
//!
//! Journal, scribe, follower, recovery and the checkpoint's encoding are those of a node. The
//! database under the checkpoint is left out: a batch of its keys is taken for atomic and durable.

use std::{collections::BTreeMap, io, ops::Bound, sync::Arc, time::Duration};

use caxton_model::{AgentId, Entry, State};

use crate::{
    Files, Health, JournalOptions, OpenError, Recovered, StoreFailed, StoreOptions,
    checkpoint::{Changes, CheckpointError, Loading, Table},
    disk::recover,
    follower::Follower,
    journal::{Durable, Journal},
    log::JOURNAL,
    meta::Meta,
    part_key::value_key,
    queue::{Queue, Taken},
    retention::keep_segments,
    scribe::{Scribe, Step},
    texts::{Reading, Texts},
};

/// A checkpoint's keys and values as they stand in its database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckpointImage {
    parts: BTreeMap<Vec<u8>, Vec<u8>>,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    meta: Option<Meta>,
}

impl CheckpointImage {
    /// A stored value.
    #[must_use]
    pub fn value(&self, agent: AgentId, key: &[u8]) -> Option<&[u8]> {
        self.values.get(&value_key(agent, key)).map(Vec::as_slice)
    }

    /// How many values are stored.
    #[must_use]
    pub fn values(&self) -> usize {
        self.values.len()
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<(), CheckpointError> {
        for agent in changes.removed {
            let prefix = agent.0.to_be_bytes();
            let from = (Bound::Included(prefix.to_vec()), Bound::Unbounded);
            let keys = self.values.range(from).map(|(key, _)| key.clone());
            let own: Vec<_> = keys.take_while(|key| key.starts_with(&prefix)).collect();
            for key in own {
                self.values.remove(&key);
            }
        }
        changes.each(&mut |table, key, value| {
            let table = match table {
                Table::Parts => &mut self.parts,
                Table::Values => &mut self.values,
            };
            match value {
                Some(value) => table.insert(key, value.to_vec()),
                None => table.remove(&key),
            };
        })?;
        if let Some(meta) = changes.meta {
            self.meta = Some(meta.clone());
        }
        Ok(())
    }

    fn read(&self) -> Result<(State, Texts), CheckpointError> {
        let mut loading = Loading::default();
        for (key, value) in &self.parts {
            loading.take(key, value)?;
        }
        loading.finish(self.meta.clone())
    }
}

/// The store, driven a step at a time.
pub struct SteppedStore {
    files: Arc<dyn Files>,
    options: StoreOptions,
    journal: Arc<Journal>,
    scribe: Scribe,
    durable: Arc<Queue<Durable>>,
    follower: Follower,
    image: CheckpointImage,
    written: u64,
}

impl std::fmt::Debug for SteppedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SteppedStore")
            .field("journal", &self.journal)
            .field("checkpoint", &self.written)
            .finish_non_exhaustive()
    }
}

impl SteppedStore {
    /// Recovers what is durable in a folder and a checkpoint.
    ///
    /// Errors: [`OpenError`], as of [`crate::Store::open`].
    pub fn open(
        files: Arc<dyn Files>,
        mut image: CheckpointImage,
        options: StoreOptions,
    ) -> Result<(Self, Recovered), OpenError> {
        let failed = |error: CheckpointError| {
            OpenError::io("can't use the checkpoint")(io::Error::other(error.to_string()))
        };
        let _reading = Reading::begin();
        let state = image.read().map_err(failed)?;
        let journal_options = JournalOptions {
            segment_bytes: options.segment_bytes,
            new_id: options.journal_id.unwrap_or_default(),
            known: image.meta.as_ref().map(|meta| (meta.place, meta.chain)),
            check_known: options.open_check_bytes > 0,
        };
        let mut recovered = Recovered::default();
        let (writer, mut follower) =
            recover(&files, &journal_options, state, &mut recovered, &mut |_| {
                Ok(())
            })?;
        follower
            .write_with(|changes| image.write(changes))
            .map_err(failed)?;
        let durable = Arc::new(Queue::new());
        let (journal, scribe) = Journal::new(writer, &options, Arc::clone(&durable));
        let store = Self {
            files,
            journal,
            scribe,
            durable,
            written: follower.place,
            follower,
            image,
            options,
        };
        Ok((store, recovered))
    }

    /// As [`crate::Store::append`].
    pub fn append(&self, entry: Arc<Entry>) {
        self.journal.append(entry);
    }

    /// As [`crate::Store::notify`]; it runs inside [`Self::write`].
    pub fn notify(&self, then: impl FnOnce(Result<(), StoreFailed>) + Send + 'static) {
        self.journal.notify(Box::new(then));
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.journal.health()
    }

    /// Whether new turns may be taken.
    #[must_use]
    pub fn takes_turns(&self) -> bool {
        let options = &self.options;
        self.health() == Health::Good
            && self
                .journal
                .keeps_up(options.queue_records_max, options.queue_bytes_max)
    }

    /// Records that wait to be written.
    #[must_use]
    pub fn queued_records(&self) -> u64 {
        let queued = &self.journal.gauges.queued_records;
        queued.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Writes at most one group; answers whether there was anything to write.
    ///
    /// Errors: the journal can't go on; whoever waited was told so.
    pub fn write(&mut self) -> Result<bool, StoreFailed> {
        if self.scribe.is_idle() && self.scribe.take(Some(Duration::ZERO)) != Taken::Items {
            return Ok(false);
        }
        match self.scribe.step() {
            Ok(Step::Done | Step::Full) => Ok(true),
            Err(failed) => self.fail(failed),
        }
    }

    /// Makes the head durable, as a quiet node does.
    ///
    /// Errors: as of [`Self::write`].
    pub fn sync_head(&mut self) -> Result<(), StoreFailed> {
        match self.scribe.sync_head() {
            Ok(()) => Ok(()),
            Err(failed) => self.fail(failed),
        }
    }

    fn fail<T>(&mut self, failed: StoreFailed) -> Result<T, StoreFailed> {
        self.scribe.fail(failed.clone());
        Err(failed)
    }

    /// Lets the checkpoint follow and writes it; then old segments go. `prune`: silent conversations
    /// are forgotten first, as a node does now and then.
    ///
    /// Errors: in words; the image is as it was.
    pub fn checkpoint(&mut self, prune: bool) -> Result<(), String> {
        let mut groups = Vec::new();
        if self.durable.take(&mut groups, Some(Duration::ZERO)) == Taken::Items {
            for group in &groups {
                self.follower.follow(group);
            }
        }
        if prune {
            self.follower.prune();
        }
        let image = &mut self.image;
        let meta = self
            .follower
            .write_with(|changes| image.write(changes))
            .map_err(|error| error.to_string())?;
        self.written = meta.place;
        let most = self.options.journal_bytes_max;
        keep_segments(&*self.files, &JOURNAL, self.written, most)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// What a process or a power that goes now leaves of the checkpoint.
    #[must_use]
    pub fn image(&self) -> &CheckpointImage {
        &self.image
    }
}
