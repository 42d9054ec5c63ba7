//! The checkpoint's thread: follows the journal at its own pace, writes what changed now and then as
//! one batch, and looks after what was written.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Builder, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    Files, OnFatal, OpenError, StoreFailed, StoreOptions,
    checkpoint::CheckpointError,
    database::Checkpoint,
    follower::Follower,
    journal::Durable,
    log::JOURNAL,
    meta::Meta,
    open_checkpoint::checkpoint_failed,
    queue::{Queue, Taken},
    rebuild::{Scrub, build_beside, lacks_room, put_in_place},
    retention::keep_segments,
};

/// Checkpoints between two looks for conversations that have fallen silent.
const PRUNE_EVERY: u64 = 16;
/// How long a reader waits until a damaged checkpoint is built anew.
const MEND_WAIT: Duration = Duration::from_secs(60);
/// The least time between two times that it is built anew: what fails again at once is not mended by
/// building.
const MEND_PAUSE: Duration = Duration::from_secs(60);

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
    /// What the applied records weighed, all together. Unit: bytes.
    pub(crate) applied_bytes: AtomicU64,
    pub(crate) place: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) last_micros: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    pub(crate) segments: AtomicU64,
    pub(crate) bytes: AtomicU64,
    mend: Mutex<Mend>,
    mended: Condvar,
}

/// What is known of damage to the checkpoint.
#[derive(Debug, Default)]
struct Mend {
    /// Why it is to be built anew; it has not been yet.
    wanted: Option<String>,
    /// Why it can't be.
    damage: Option<String>,
}

/// What the thread starts with: a checkpoint that is as far as the follower.
pub(crate) struct FollowStart {
    pub(crate) follower: Follower,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) folder: PathBuf,
    pub(crate) files: Arc<dyn Files>,
    /// Whether all of the checkpoint was read a moment ago.
    pub(crate) is_checked: bool,
}

impl Follow {
    /// Starts the thread.
    pub(crate) fn start(
        start: FollowStart,
        queue: Arc<Queue<Durable>>,
        options: &StoreOptions,
    ) -> io::Result<Arc<Self>> {
        let follower = start.follower;
        let follow = Arc::new(Self {
            queue,
            checkpoint: RwLock::new(Some(start.checkpoint)),
            thread: Mutex::new(None),
            seqs: RwLock::new(follower.state.seqs.clone()),
            writes: AtomicBool::new(true),
            no_space: AtomicBool::new(false),
            applied_place: AtomicU64::new(follower.place),
            applied_bytes: AtomicU64::new(0),
            place: AtomicU64::new(follower.place),
            checkpoints: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_micros: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
            segments: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            mend: Mutex::default(),
            mended: Condvar::new(),
        });
        let mut run = Run {
            follow: Arc::clone(&follow),
            written: follower.place,
            follower,
            folder: start.folder,
            files: start.files,
            scrub: Scrub::new(start.is_checked),
            rebuilt: None,
            every: options.checkpoint_every,
            bytes: options.checkpoint_bytes,
            journal_bytes_max: options.journal_bytes_max,
            on_fatal: Arc::clone(&options.on_fatal),
        };
        run.keep_segments();
        let thread = Builder::new()
            .name("caxton-checkpoint".to_owned())
            .spawn(move || {
                let ended = catch_unwind(AssertUnwindSafe(|| run.run()));
                run.follow.settle(None);
                if ended.is_err() {
                    (run.on_fatal)(&StoreFailed::Disk {
                        what: "the checkpoint's thread".to_owned(),
                        reason: "it panicked".to_owned(),
                    });
                }
            })?;
        *follow.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(follow)
    }

    /// Whether it can be read now. Never waits.
    pub(crate) fn is_open(&self) -> bool {
        self.checkpoint.try_read().is_ok_and(|slot| slot.is_some())
    }

    pub(crate) fn seq(&self, shard: u16) -> u64 {
        let seqs = self.seqs.read().unwrap_or_else(PoisonError::into_inner);
        seqs.get(&shard).copied().unwrap_or(0)
    }

    /// Reads the checkpoint as it is now. If it is damaged it is built anew and read again.
    pub(crate) fn read<T>(
        &self,
        read: impl Fn(&Checkpoint) -> Result<T, CheckpointError>,
    ) -> Result<T, CheckpointError> {
        match self.read_once(&read) {
            Err(error) if error.is_damage() => {
                self.wait_until_mended(&error);
                self.read_once(read)
            }
            result => result,
        }
    }

    fn mend(&self) -> MutexGuard<'_, Mend> {
        self.mend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with the checkpoint and can't be mended, in words.
    pub(crate) fn damage(&self) -> Option<String> {
        self.mend().damage.clone()
    }

    fn wait_until_mended(&self, error: &CheckpointError) {
        let mut mend = self.mend();
        if mend.damage.is_some() {
            return;
        }
        mend.wanted.get_or_insert_with(|| error.to_string());
        self.queue.nudge();
        // Whether it came in time is found by reading again.
        drop(
            self.mended
                .wait_timeout_while(mend, MEND_WAIT, |mend| mend.wanted.is_some()),
        );
    }

    /// Tells those who wait that nothing more is done about the damage.
    fn settle(&self, damage: Option<String>) {
        let mut mend = self.mend();
        mend.wanted = None;
        mend.damage = damage;
        self.mended.notify_all();
    }

    fn read_once<T>(
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
    scrub: Scrub,
    /// When the checkpoint was last built anew.
    rebuilt: Option<Instant>,
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
            let mut wait = self.scrub.wait();
            if self.follower.place > self.written || self.follow.mend().wanted.is_some() {
                wait = wait.min(due.saturating_duration_since(Instant::now()));
            }
            let taken = self.follow.queue.take(&mut groups, Some(wait));
            for group in groups.drain(..) {
                self.follower.follow(&group);
                let place = self.follower.place;
                self.follow.applied_place.store(place, Ordering::Relaxed);
                let bytes = &self.follow.applied_bytes;
                bytes.fetch_add(group.weight, Ordering::Relaxed);
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
            self.look_after();
        }
    }

    fn write(&mut self) -> Result<(), StoreFailed> {
        let start = Instant::now();
        let round = self.follow.checkpoints.load(Ordering::Relaxed);
        if round % PRUNE_EVERY == PRUNE_EVERY - 1 {
            self.follower.prune();
        }
        let follow = Arc::clone(&self.follow);
        let result = follow.read_once(|checkpoint| {
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
                self.confirm(meta);
                Ok(())
            }
            Err(error) if error.is_damage() => {
                self.follow.failures.fetch_add(1, Ordering::Relaxed);
                self.rebuild(&error.to_string());
                Ok(())
            }
            Err(error) => self.open_again(&error),
        }
    }

    /// Reads a piece of the checkpoint, and builds it anew if that or a reader found damage.
    fn look_after(&mut self) {
        let (follow, scrub) = (&self.follow, &mut self.scrub);
        let wanted = follow.mend().wanted.clone();
        let found = wanted.or_else(|| match follow.read_once(|open| scrub.step(open)) {
            Err(error) if error.is_damage() => Some(error.to_string()),
            _ => None,
        });
        if let Some(reason) = found {
            self.rebuild(&reason);
        }
    }

    fn rebuild(&mut self, reason: &str) {
        if lacks_room(&self.folder) {
            // The next round tries again.
            let follow = &self.follow;
            follow.no_space.store(true, Ordering::Relaxed);
            follow.mend().wanted.get_or_insert(reason.to_owned());
            return;
        }
        if self.rebuilt.is_some_and(|at| at.elapsed() < MEND_PAUSE) {
            let damage = self.follow.damage();
            self.follow.settle(damage);
            return;
        }
        tracing::warn!(
            reason,
            "the checkpoint is damaged; it is built anew from the journal"
        );
        self.rebuilt = Some(Instant::now());
        self.scrub.stop();
        let damage = self.replace_checkpoint().err().map(|error| {
            format!("the checkpoint is damaged ({reason}) and can't be built anew: {error}")
        });
        match &damage {
            None => tracing::info!("the checkpoint was built anew"),
            Some(damage) => tracing::error!("{damage}"),
        }
        self.follow.settle(damage);
    }

    fn replace_checkpoint(&mut self) -> Result<(), OpenError> {
        let meta = self.follower.meta();
        let (beside, texts) = build_beside(&self.folder, &self.files, &meta, self.bytes)?;
        let follow = Arc::clone(&self.follow);
        let mut slot = follow
            .checkpoint
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        put_in_place(&self.folder, &beside)?;
        let checkpoint = Checkpoint::open(&self.folder).map_err(checkpoint_failed)?;
        *slot = Some(checkpoint);
        drop(slot);
        self.follower.set_texts(texts);
        self.confirm(meta);
        Ok(())
    }

    /// Tells everybody how far the checkpoint goes.
    fn confirm(&mut self, meta: Meta) {
        let follow = &self.follow;
        self.written = meta.place;
        *follow.seqs.write().unwrap_or_else(PoisonError::into_inner) = meta.seqs;
        // The counters by shard come first: who sees the place sees them.
        follow.place.store(meta.place, Ordering::Release);
        follow.writes.store(true, Ordering::Relaxed);
        follow.no_space.store(false, Ordering::Relaxed);
        self.keep_segments();
    }

    /// The database takes no writes after an error until it is opened again. That needs room: where
    /// there is none it stays open, since turns that run still read what it has.
    fn open_again(&mut self, error: &CheckpointError) -> Result<(), StoreFailed> {
        let follow = Arc::clone(&self.follow);
        follow.writes.store(false, Ordering::Relaxed);
        // An error that follows the first one no longer tells of the room: it ends when a checkpoint
        // is written.
        let is_full = lacks_room(&self.folder);
        if is_full || error.io().is_some_and(crate::blobs::is_no_space) {
            follow.no_space.store(true, Ordering::Relaxed);
        }
        follow.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "the checkpoint could not be written; trying again");
        if is_full && follow.is_open() {
            return Ok(());
        }
        let attempted = self.follower.place;
        self.scrub.stop();
        let mut slot = follow
            .checkpoint
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        match Checkpoint::open(&self.folder) {
            Ok(checkpoint) => {
                let found = checkpoint.meta().map_or(0, |meta| meta.place);
                // A write that failed may be there after all, and records came since.
                if !(self.written..=attempted).contains(&found) {
                    return Err(StoreFailed::CheckpointFellBack {
                        expected: self.written,
                        found,
                    });
                }
                *slot = Some(checkpoint);
            }
            Err(error) if error.is_damage() => {
                drop(slot);
                self.rebuild(&error.to_string());
            }
            Err(error) => tracing::error!(%error, "the checkpoint could not be opened again"),
        }
        Ok(())
    }

    fn keep_segments(&mut self) {
        if let Ok((count, bytes)) =
            keep_segments(&*self.files, &JOURNAL, self.written, self.journal_bytes_max)
        {
            self.follow.journal_bytes.store(bytes, Ordering::Relaxed);
            self.follow.segments.store(count, Ordering::Relaxed);
        }
    }
}
