//! The checkpoint's thread: follows the journal at its own pace and writes what changed, now and
//! then, as one batch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Builder, JoinHandle},
    time::{Duration, Instant},
};

use caxton_model::{
    AgentId, Durability, Entry, Part, Record, State, Timestamp,
    planted::{Planted, is_planted},
};

use crate::{
    Chain, Files, OnFatal, StoreFailed, StoreOptions,
    checkpoint::{Changes, Checkpoint, CheckpointError, Meta, Values},
    frame::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_number},
    journal::Durable,
    queue::{Queue, Taken},
};

/// Checkpoints between two looks for conversations that have fallen silent.
const PRUNE_EVERY: u64 = 16;

/// The state as the journal has it, and what of it no checkpoint has yet.
pub(crate) struct Follower {
    pub(crate) state: State,
    pub(crate) place: u64,
    chain: Chain,
    parts: HashMap<Part, u64>,
    values: Values,
    value_bytes: u64,
    removed: HashSet<AgentId>,
    newest: Timestamp,
}

impl Follower {
    /// Goes on from a checkpoint.
    pub(crate) fn new(state: State, place: u64, chain: Chain) -> Self {
        Self {
            state,
            place,
            chain,
            parts: HashMap::new(),
            values: Values::new(),
            value_bytes: 0,
            removed: HashSet::new(),
            newest: Timestamp(i64::MIN),
        }
    }

    /// Takes the records of the next group.
    pub(crate) fn follow(&mut self, group: &Durable) {
        for entry in &group.entries {
            self.apply(entry);
        }
        self.set_chain(group.chain);
        debug_assert_eq!(self.place, group.last_place);
    }

    /// Takes the record that has the next place.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.place += 1;
        self.newest = self.newest.max(entry.at);
        match &entry.record {
            Record::Turn(turn) if turn.result.has_effects() && !turn.writes.is_empty() => {
                let keeps = self
                    .state
                    .agents
                    .get(&turn.agent)
                    .is_some_and(|agent| agent.spec.durability == Durability::Durable);
                if keeps {
                    let values = self.values.entry(turn.agent).or_default();
                    for write in &turn.writes {
                        let size = write.key.len() + write.value.as_ref().map_or(0, |v| v.len());
                        self.value_bytes += size as u64;
                        values.insert(Arc::clone(&write.key), write.value.clone());
                    }
                }
            }
            Record::Removed { agent, .. } => {
                self.values.remove(agent);
                self.removed.insert(*agent);
            }
            _ => {}
        }
        if is_planted(Planted::ForgetWatermark) {
            self.state.replay(&not_used_up(entry));
        } else {
            self.state.replay(entry);
        }
        self.note_touched();
    }

    fn note_touched(&mut self) {
        if let Some(touched) = &mut self.state.touched {
            let place = self.place;
            self.parts.extend(
                std::mem::take(touched)
                    .into_iter()
                    .map(|part| (part, place)),
            );
        }
    }

    /// All before it was applied: the chain behind it.
    pub(crate) fn set_chain(&mut self, chain: Chain) {
        self.chain = chain;
    }

    pub(crate) fn value_bytes(&self) -> u64 {
        self.value_bytes
    }

    pub(crate) fn meta(&self) -> Meta {
        Meta::new(self.place, self.chain, self.state.seqs.clone())
    }

    /// Writes what changed; on an error it stays changed.
    pub(crate) fn write(&mut self, checkpoint: &Checkpoint) -> Result<Meta, CheckpointError> {
        self.write_with(|changes| checkpoint.write(changes))
    }

    /// Hands what changed to whoever writes it.
    pub(crate) fn write_with(
        &mut self,
        write: impl FnOnce(&Changes<'_>) -> Result<(), CheckpointError>,
    ) -> Result<Meta, CheckpointError> {
        let meta = self.meta();
        write(&Changes {
            state: &self.state,
            parts: &self.parts,
            values: &self.values,
            removed: &self.removed,
            meta: Some(&meta),
        })?;
        self.parts.clear();
        self.forget_values();
        Ok(meta)
    }

    /// Writes stored values only, to bound memory while a long journal is read. Harmless before its
    /// end: reading it again writes the same last values.
    pub(crate) fn write_values(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        checkpoint.write(&Changes {
            state: &self.state,
            parts: &HashMap::new(),
            values: &self.values,
            removed: &self.removed,
            meta: None,
        })?;
        self.forget_values();
        Ok(())
    }

    fn forget_values(&mut self) {
        self.values.clear();
        self.removed.clear();
        self.value_bytes = 0;
    }

    /// Forgets conversations that have fallen silent.
    pub(crate) fn prune(&mut self) {
        self.state.expire_conversations(self.newest);
        self.note_touched();
    }
}

/// A turn as it would be if its input were still to be worked on.
fn not_used_up(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    if let Record::Turn(turn) = &mut entry.record {
        turn.consumed = false;
    }
    entry
}

/// What the checkpoint's thread and its users share.
pub(crate) struct Follow {
    pub(crate) queue: Arc<Queue<Durable>>,
    checkpoint: RwLock<Option<Checkpoint>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    seqs: RwLock<BTreeMap<u16, u64>>,
    /// Whether checkpoints are written just now; if not, turns stop before memory does.
    pub(crate) writes: AtomicBool,
    /// Whether they are not for want of room.
    pub(crate) no_space: AtomicBool,
    pub(crate) applied_place: AtomicU64,
    pub(crate) place: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) last_micros: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    pub(crate) segments: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Follow {
    /// Starts the thread over a checkpoint that is as far as the follower.
    pub(crate) fn start(
        follower: Follower,
        checkpoint: Checkpoint,
        folder: PathBuf,
        files: Arc<dyn Files>,
        queue: Arc<Queue<Durable>>,
        options: &StoreOptions,
    ) -> io::Result<Arc<Self>> {
        let follow = Arc::new(Self {
            queue,
            checkpoint: RwLock::new(Some(checkpoint)),
            thread: Mutex::new(None),
            seqs: RwLock::new(follower.state.seqs.clone()),
            writes: AtomicBool::new(true),
            no_space: AtomicBool::new(false),
            applied_place: AtomicU64::new(follower.place),
            place: AtomicU64::new(follower.place),
            checkpoints: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_micros: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
            segments: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let mut run = Run {
            follow: Arc::clone(&follow),
            written: follower.place,
            follower,
            folder,
            files,
            every: options.checkpoint_every,
            bytes: options.checkpoint_bytes,
            journal_bytes_max: options.journal_bytes_max,
            on_fatal: Arc::clone(&options.on_fatal),
        };
        run.keep_segments();
        let thread = Builder::new()
            .name("caxton-checkpoint".to_owned())
            .spawn(move || {
                if catch_unwind(AssertUnwindSafe(|| run.run())).is_err() {
                    (run.on_fatal)(&StoreFailed::Disk {
                        what: "the checkpoint's thread".to_owned(),
                        reason: "it panicked".to_owned(),
                    });
                }
            })?;
        *follow.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(follow)
    }

    pub(crate) fn seq(&self, shard: u16) -> u64 {
        let seqs = self.seqs.read().unwrap_or_else(PoisonError::into_inner);
        seqs.get(&shard).copied().unwrap_or(0)
    }

    /// Reads the checkpoint as it is now.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Checkpoint) -> Result<T, CheckpointError>,
    ) -> Result<T, CheckpointError> {
        let checkpoint = self
            .checkpoint
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        read(checkpoint.as_ref().ok_or(CheckpointError::Closed)?)
    }

    /// Writes what is durable into a last checkpoint and ends the thread.
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
        *self
            .checkpoint
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The thread's own.
struct Run {
    follow: Arc<Follow>,
    follower: Follower,
    /// The place that the checkpoint confirmed.
    written: u64,
    folder: PathBuf,
    files: Arc<dyn Files>,
    every: Duration,
    bytes: u64,
    journal_bytes_max: u64,
    on_fatal: OnFatal,
}

impl Run {
    fn run(&mut self) {
        let mut groups = Vec::new();
        let mut due = Instant::now() + self.every;
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            let timeout = (self.follower.place > self.written).then_some(wait);
            let taken = self.follow.queue.take(&mut groups, timeout);
            for group in groups.drain(..) {
                self.follower.follow(&group);
                let place = self.follower.place;
                self.follow.applied_place.store(place, Ordering::Relaxed);
            }
            let is_due = Instant::now() >= due || self.follower.value_bytes() >= self.bytes;
            if self.follower.place > self.written && (is_due || taken == Taken::Closed) {
                let result = self.write();
                due = Instant::now() + self.every;
                if let Err(failed) = result {
                    (self.on_fatal)(&failed);
                    return;
                }
            } else if self.follower.place == self.written {
                due = Instant::now() + self.every;
            }
            if taken == Taken::Closed {
                return;
            }
        }
    }

    fn write(&mut self) -> Result<(), StoreFailed> {
        let start = Instant::now();
        let round = self.follow.checkpoints.load(Ordering::Relaxed);
        if round % PRUNE_EVERY == PRUNE_EVERY - 1 {
            self.follower.prune();
        }
        let follow = Arc::clone(&self.follow);
        let result = follow.read(|checkpoint| {
            let meta = self.follower.write(checkpoint)?;
            let bytes = checkpoint.bytes();
            follow.bytes.store(bytes, Ordering::Relaxed);
            Ok(meta)
        });
        match result {
            Ok(meta) => {
                let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                follow.last_micros.store(micros, Ordering::Relaxed);
                follow.checkpoints.fetch_add(1, Ordering::Relaxed);
                self.written = meta.place;
                *follow.seqs.write().unwrap_or_else(PoisonError::into_inner) = meta.seqs;
                // The counters by shard come first: who sees the place sees them.
                follow.place.store(meta.place, Ordering::Release);
                follow.writes.store(true, Ordering::Relaxed);
                follow.no_space.store(false, Ordering::Relaxed);
                self.keep_segments();
                Ok(())
            }
            Err(error) => self.open_again(&error),
        }
    }

    /// The database takes nothing after an error until it is opened again.
    fn open_again(&mut self, error: &CheckpointError) -> Result<(), StoreFailed> {
        let follow = Arc::clone(&self.follow);
        follow.failures.fetch_add(1, Ordering::Relaxed);
        follow.writes.store(false, Ordering::Relaxed);
        follow.no_space.store(
            error.io().is_some_and(crate::blobs::is_no_space),
            Ordering::Relaxed,
        );
        tracing::error!(%error, "the checkpoint could not be written; trying again");
        let attempted = self.follower.place;
        let mut slot = follow
            .checkpoint
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        match Checkpoint::open(&self.folder) {
            Ok(checkpoint) => {
                let meta = checkpoint.meta().ok().flatten();
                let found = meta.map_or(0, |meta| meta.place);
                if found != self.written && found != attempted {
                    return Err(StoreFailed::CheckpointFellBack {
                        expected: self.written,
                        found,
                    });
                }
                *slot = Some(checkpoint);
            }
            Err(error) => tracing::error!(%error, "the checkpoint could not be opened again"),
        }
        Ok(())
    }

    fn keep_segments(&mut self) {
        if let Ok((count, bytes)) =
            keep_segments(&*self.files, self.written, self.journal_bytes_max)
        {
            self.follow.journal_bytes.store(bytes, Ordering::Relaxed);
            self.follow.segments.store(count, Ordering::Relaxed);
        }
    }
}

/// Counts segments and their bytes, and removes the oldest that the checkpoint has passed while
/// there are more bytes than are to be kept.
pub(crate) fn keep_segments(
    files: &dyn Files,
    written: u64,
    bytes_max: u64,
) -> io::Result<(u64, u64)> {
    let mut segments = segments(files)?;
    let mut bytes: u64 = segments.iter().map(|(_, _, bytes)| bytes).sum();
    while let [(oldest, _, size), (_, next_first, _), ..] = segments.as_slice() {
        let passed = *next_first <= written + 1;
        if bytes <= bytes_max || !passed {
            break;
        }
        if let Err(error) = files.remove(&segment_name(*oldest)) {
            tracing::warn!(%error, segment = oldest, "can't remove an old segment");
            break;
        }
        bytes -= size;
        segments.remove(0);
    }
    Ok((segments.len() as u64, bytes))
}

/// Number, first place and size of each segment, oldest first.
fn segments(files: &dyn Files) -> io::Result<Vec<(u64, u64, u64)>> {
    let mut segments = Vec::new();
    for name in files.names()? {
        let Some(number) = segment_number(&name) else {
            continue;
        };
        let file = files.open(&name)?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        file.read_full_at(&mut bytes, 0)?;
        // One that is just being made has no header yet; it is the newest and is kept.
        let first = SegmentHeader::decode(&bytes).map_or(u64::MAX, |h| h.first_place);
        segments.push((number, first, file.size()?));
    }
    segments.sort_unstable();
    Ok(segments)
}
