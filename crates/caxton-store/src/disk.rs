//! Opens a data directory: lock, checkpoint, journal, in the order that changes nothing where
//! something is wrong.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
};

use caxton_model::State;

use crate::{
    Chain, Damage, Files, Health, JournalOptions, JournalWriter, OpenError, RealFiles, Recovered,
    StoreMetrics, StoreOptions,
    directory::{DataDirectory, make_folder},
    follow::{Follow, FollowStart},
    follower::Follower,
    frame::segment_name,
    journal::Journal,
    log::JOURNAL,
    open_checkpoint::{checkpoint_failed, open_checkpoint},
    queue::Queue,
    scan::{Listing, list},
    texts::{Reading, Texts},
    verify::verify_files,
};

/// Records that may wait for the checkpoint, over those that may wait for the journal.
const CHECKPOINT_LAG_FACTOR: u64 = 4;
/// Records the journal may be ahead while checkpoints fail.
const FAILING_LAG_MAX: u64 = 1 << 20;

/// The store on disk.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) journal: Arc<Journal>,
    pub(crate) follow: Arc<Follow>,
    queue_records_max: u64,
    queue_bytes_max: u64,
    scrub: Option<Scrub>,
    lock: Mutex<Option<DataDirectory>>,
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Disk {
    pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<(Self, Recovered), OpenError> {
        let journal_dir = dir.join("journal");
        let mut recovered = Recovered::default();
        let lock = DataDirectory::open(dir, &mut recovered.notices)?;
        make_folder(&journal_dir).map_err(OpenError::io(format!(
            "can't create {}",
            journal_dir.display()
        )))?;
        let files = (options.files)(&journal_dir);
        let listing = list(&*files, &JOURNAL)?;
        // Messages of checkpoint and journal are one where they are equal.
        let _reading = Reading::begin();
        let folder = dir.join("checkpoint");
        let opened = open_checkpoint(
            &folder,
            listing.as_ref(),
            options.open_check_bytes,
            &mut recovered.notices,
        )?;
        let check_known =
            older_bytes(&*files, listing.as_ref(), opened.known)? <= options.open_check_bytes;
        let journal_options = JournalOptions {
            segment_bytes: options.segment_bytes,
            new_id: options.journal_id.unwrap_or_else(random_id),
            known: opened.known,
            check_known,
        };
        let checkpoint = opened.checkpoint;
        let mut bound_memory = |follower: &mut Follower| {
            if follower.value_bytes() < options.checkpoint_bytes {
                return Ok(());
            }
            let written = follower.write_values(&checkpoint);
            written.map_err(|error| format!("the checkpoint: {error}"))
        };
        let (writer, mut follower) = recover(
            &files,
            &journal_options,
            (opened.state, opened.texts),
            &mut recovered,
            &mut bound_memory,
        )?;
        follower.write(&checkpoint).map_err(checkpoint_failed)?;
        let scrub = if check_known {
            Ok(None)
        } else {
            Scrub::start(&journal_dir).map(Some)
        };
        let failed = || OpenError::io("can't start a thread");
        let scrub = scrub.map_err(failed())?;
        let queue = Arc::new(Queue::new());
        let start = FollowStart {
            follower,
            checkpoint,
            folder,
            files,
            is_checked: opened.is_checked,
        };
        let follow = Follow::start(start, Arc::clone(&queue), options).map_err(failed())?;
        let disk = Self {
            journal: Journal::start(writer, options, queue).map_err(failed())?,
            follow,
            queue_records_max: options.queue_records_max,
            queue_bytes_max: options.queue_bytes_max,
            scrub,
            lock: Mutex::new(Some(lock)),
        };
        Ok((disk, recovered))
    }

    pub(crate) fn health(&self) -> Health {
        match self.journal.health() {
            Health::Good if self.follow.no_space.load(Ordering::Relaxed) => Health::Full,
            health => health,
        }
    }

    /// What waits to be written, and to be applied by the checkpoint's thread: messages stay in memory
    /// until both are done. Unit: bytes.
    fn waiting_bytes(&self) -> u64 {
        let gauges = &self.journal.gauges;
        let applied = self.follow.applied_bytes.load(Ordering::Relaxed);
        let handed_on = gauges.handed_on_bytes.load(Ordering::Relaxed);
        gauges.queued_bytes.load(Ordering::Relaxed) + handed_on.saturating_sub(applied)
    }

    pub(crate) fn is_half_full(&self) -> bool {
        self.waiting_bytes() >= self.queue_bytes_max / 2
    }

    pub(crate) fn takes_turns(&self) -> bool {
        let gauges = &self.journal.gauges;
        let durable = gauges.durable_place.load(Ordering::Relaxed);
        let lag = durable.saturating_sub(self.follow.applied_place.load(Ordering::Relaxed));
        let unwritten = durable.saturating_sub(self.follow.place.load(Ordering::Relaxed));
        self.health() == Health::Good
            && self.follow.is_open()
            && self.journal.keeps_up(self.queue_records_max, u64::MAX)
            && self.waiting_bytes() < self.queue_bytes_max
            && lag < CHECKPOINT_LAG_FACTOR * self.queue_records_max
            && (unwritten < FAILING_LAG_MAX || self.follow.writes.load(Ordering::Relaxed))
    }

    /// What the checks in the background have found, in words.
    pub(crate) fn damage(&self) -> Option<String> {
        let found = self.scrub.as_ref().and_then(|scrub| {
            let found = scrub.found.lock();
            found.unwrap_or_else(PoisonError::into_inner).clone()
        });
        found
            .map(|damage| damage.to_string())
            .or_else(|| self.follow.damage())
    }

    pub(crate) fn metrics(&self) -> StoreMetrics {
        let (gauges, follow) = (&self.journal.gauges, &self.follow);
        let durable_place = gauges.durable_place.load(Ordering::Relaxed);
        let applied = follow.applied_place.load(Ordering::Relaxed);
        StoreMetrics {
            place: gauges.place.load(Ordering::Relaxed),
            durable_place,
            checkpoint_place: follow.place.load(Ordering::Relaxed),
            queued_records: gauges.queued_records.load(Ordering::Relaxed),
            lag_micros: u64::try_from(self.journal.lag().as_micros()).unwrap_or(u64::MAX),
            queued_bytes: gauges.queued_bytes.load(Ordering::Relaxed),
            checkpoint_lag_records: durable_place.saturating_sub(applied),
            written_bytes: gauges.written_bytes.load(Ordering::Relaxed),
            groups: gauges.groups.load(Ordering::Relaxed),
            last_group_records: gauges.last_group_records.load(Ordering::Relaxed),
            last_sync_micros: gauges.last_sync_micros.load(Ordering::Relaxed),
            longest_sync_micros: gauges.longest_sync_micros.load(Ordering::Relaxed),
            journal_bytes: follow.journal_bytes.load(Ordering::Relaxed),
            segments: follow.segments.load(Ordering::Relaxed),
            checkpoints: follow.checkpoints.load(Ordering::Relaxed),
            checkpoint_bytes: follow.bytes.load(Ordering::Relaxed),
            last_checkpoint_micros: follow.last_micros.load(Ordering::Relaxed),
            checkpoint_failures: follow.failures.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn close(&self) {
        self.journal.close();
        self.follow.close();
        if let Some(scrub) = &self.scrub {
            scrub.close();
        }
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads the journal behind a checkpoint: the state as of the last durable record.
pub(crate) fn recover(
    files: &Arc<dyn Files>,
    options: &JournalOptions,
    (state, texts): (State, Texts),
    recovered: &mut Recovered,
    after_each: &mut dyn FnMut(&mut Follower) -> Result<(), String>,
) -> Result<(JournalWriter, Follower), OpenError> {
    let (place, chain) = options.known.unwrap_or_default();
    let mut follower = Follower::new(state, texts, place, chain);
    let (writer, found) = JournalWriter::open(Arc::clone(files), options, &mut |_, entry| {
        follower.apply(&entry);
        recovered.replayed += 1;
        after_each(&mut follower)
    })?;
    follower.set_chain(found.chain);
    recovered.place = found.place;
    recovered.newest = found.newest;
    recovered.torn = found.torn;
    recovered.notices.extend(found.notices);
    recovered.state = State {
        touched: None,
        ..follower.state.clone()
    };
    Ok((writer, follower))
}

/// Random bytes: the keys of the standard library's hash maps come from the system.
pub(crate) fn random_id() -> [u8; 32] {
    use std::hash::{BuildHasher as _, RandomState};
    let mut hasher = blake3::Hasher::new();
    for _ in 0..8 {
        hasher.update(&RandomState::new().hash_one(0_u8).to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Bytes of segments that opening would read only to check them.
fn older_bytes(
    files: &dyn Files,
    listing: Option<&Listing>,
    known: Option<(u64, Chain)>,
) -> Result<u64, OpenError> {
    let (Some(listing), Some((place, _))) = (listing, known) else {
        return Ok(0);
    };
    let first = listing.segment_of(place + 1);
    let mut bytes = 0;
    for segment in listing.segments.iter().filter(|s| s.number < first) {
        let name = segment_name(segment.number);
        bytes += files
            .open(&name)
            .and_then(|file| file.size())
            .map_err(OpenError::io(format!("can't read journal/{name}")))?;
    }
    Ok(bytes)
}

/// Reads, in the background, what opening did not.
#[derive(Debug)]
struct Scrub {
    stop: Arc<AtomicBool>,
    found: Arc<Mutex<Option<Damage>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Scrub {
    fn start(journal_dir: &Path) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let found = Arc::new(Mutex::new(None));
        let files = RealFiles::read_only(journal_dir);
        let (stopped, result) = (Arc::clone(&stop), Arc::clone(&found));
        let thread = Builder::new()
            .name("caxton-scrub".to_owned())
            .spawn(move || {
                let report = verify_files(&files, &stopped, false);
                let damage = report.ok().and_then(|report| report.damage);
                if let Some(damage) = damage.filter(|_| !stopped.load(Ordering::Relaxed)) {
                    tracing::error!(%damage, "an old part of the journal is damaged; run `caxton journal verify`");
                    *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(damage);
                }
            })?;
        Ok(Self {
            stop,
            found,
            thread: Mutex::new(Some(thread)),
        })
    }

    fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
