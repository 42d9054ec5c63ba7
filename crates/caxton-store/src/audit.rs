//! The audit log: a second log of the journal's kind, with heads that the node's key signs.
//!
//! A record is handed over to the log's thread before the act, and is durable within 10 ms. Where it
//! can't be appended, that is said at once, and the act is to be refused. The format is written down
//! in `docs/specs/audit.md`.

mod heads;
mod key;
mod read;
mod scribe;
mod signed_head;
#[cfg(test)]
mod tests;
mod v1;
mod verify;

use std::{
    fs, io,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, Builder, JoinHandle},
};

use caxton_model::AuditRecord;

use self::{
    heads::{HEADS_FOLDER, HeadsFound, KeptHeads, read_heads},
    key::NodeKey,
    scribe::{AuditScribe, Item},
    v1::{AUDIT, AuditKind},
};
pub use self::{
    read::{AuditPage, AuditQuery, AuditReader},
    signed_head::SignedHead,
    verify::{AuditReport, verify_audit},
};
use crate::{
    Damage, Files, FilesAt, Health, LogOptions, LogWriter, OpenError, RealFiles, StoreFailed,
    TornTail,
    directory::{make_folder, private_file, sync_names},
    disk::random_id,
    health::health_of,
    queue::Queue,
    scan::list,
};

/// The place of an audit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditPlace(pub u64);

/// Why a record was not appended. The act that needs it is to be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditClosed {
    /// The queue has no room: the disk does not keep up.
    #[error(
        "the audit log refuses records: {bytes} bytes wait to be written, and {max} may; try again"
    )]
    Behind {
        /// Bytes that wait.
        bytes: u64,
        /// Bytes that may wait.
        max: u64,
    },
    /// The disk has no room.
    #[error("the audit log refuses records: the disk is full; make room on it")]
    DiskFull,
    /// The process has as many open files as it may have.
    #[error(
        "the audit log refuses records: the process has as many open files as it may have; raise the limit of open files"
    )]
    NoDescriptors,
    /// The log can't go on.
    #[error("the audit log refuses records: {0}")]
    Failed(#[from] StoreFailed),
}

/// How an audit log is opened.
#[derive(Clone)]
pub struct AuditOptions {
    /// Size of a segment, taken from the disk in advance. Default: 16 MiB.
    pub segment_bytes: u64,
    /// Bytes of the log that are kept; the oldest segments above that are trimmed. Default: 2 GiB.
    pub log_bytes_max: u64,
    /// Bytes of one group. Default: 1 MiB.
    pub group_bytes_max: usize,
    /// Bytes that may wait to be written; records above that are refused. Default: 16 MiB.
    pub queue_bytes_max: u64,
    /// The identity of a log that is made new. `None`: random.
    pub log_id: Option<[u8; 32]>,
    /// The file layer that log and heads are written through. Default: the operating system's.
    pub files: FilesAt,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            log_bytes_max: 2 << 30,
            group_bytes_max: 1 << 20,
            queue_bytes_max: 16 << 20,
            log_id: None,
            files: Arc::new(|folder| Arc::new(RealFiles::new(folder))),
        }
    }
}

impl std::fmt::Debug for AuditOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditOptions")
            .field("segment_bytes", &self.segment_bytes)
            .field("log_bytes_max", &self.log_bytes_max)
            .field("queue_bytes_max", &self.queue_bytes_max)
            .finish_non_exhaustive()
    }
}

/// What opening an audit log found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFound {
    /// The first record that is kept.
    pub begins: u64,
    /// The last durable record; 0 in a new log.
    pub place: u64,
    /// Records behind the newest signed head: what a loss of power may leave, and no more.
    pub unsigned: u64,
    /// The half-written end that was cut off.
    pub torn: Option<TornTail>,
    /// Things the operator should hear of, in words.
    pub notices: Vec<String>,
}

/// What the log's thread and its users share.
pub(crate) struct Shared {
    queue: Queue<Item>,
    queue_bytes_max: u64,
    place: AtomicU64,
    durable_place: AtomicU64,
    queued_bytes: AtomicU64,
    health: AtomicU8,
    failed: OnceLock<StoreFailed>,
    head: Mutex<SignedHead>,
}

impl Shared {
    fn health(&self) -> Health {
        health_of(self.health.load(Ordering::Acquire))
    }
    fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Release);
    }
    fn set_head(&self, head: SignedHead) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
    fn head(&self) -> SignedHead {
        let head = self.head.lock();
        head.unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn set_failed(&self, failed: &StoreFailed) {
        let _ = self.failed.set(failed.clone());
        self.set_health(Health::Failed);
        self.queue.close();
    }
    fn why_failed(&self) -> StoreFailed {
        self.failed.get().cloned().unwrap_or(StoreFailed::Closed)
    }

    fn append(&self, mut record: AuditRecord) -> Result<AuditPlace, AuditClosed> {
        match self.health() {
            Health::Good => {}
            Health::Full => return Err(AuditClosed::DiskFull),
            Health::NoDescriptors => return Err(AuditClosed::NoDescriptors),
            Health::Failed => return Err(self.why_failed().into()),
        }
        record.cut();
        let weight = record.bytes() as u64;
        let before = self.queued_bytes.fetch_add(weight, Ordering::AcqRel);
        let refused = if before + weight > self.queue_bytes_max {
            AuditClosed::Behind {
                bytes: before,
                max: self.queue_bytes_max,
            }
        } else {
            // The place is taken where the order is made.
            let item = Item::Append(Box::new(record), weight);
            let placed = self
                .queue
                .push(item, || self.place.fetch_add(1, Ordering::Relaxed) + 1);
            match placed {
                Some(place) => return Ok(AuditPlace(place)),
                None => self.why_failed().into(),
            }
        };
        self.queued_bytes.fetch_sub(weight, Ordering::AcqRel);
        Err(refused)
    }

    fn notify(&self, then: impl FnOnce(Result<(), StoreFailed>) + Send + 'static) {
        let mut items = vec![Item::Notify(Box::new(then))];
        self.queue.give(&mut items);
        match items.pop() {
            Some(Item::Notify(then)) => then(Err(self.why_failed())),
            _ => self.queue.nudge(),
        }
    }
}

/// The audit log, open to be appended to. Cheap to share behind an `Arc`.
pub struct AuditLog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog")
            .field("place", &self.shared.place)
            .field("health", &self.shared.health())
            .finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens the audit log of a data directory, which this process holds by its store; makes log and
    /// key where there was never one.
    ///
    /// Errors: [`OpenError`]; then nothing in the log was changed. A key that is missing where there is
    /// a log is never made again.
    pub fn open(dir: &Path, options: &AuditOptions) -> Result<(Self, AuditFound), OpenError> {
        let at = |name: &str| {
            let folder = dir.join(name);
            make_folder(&folder)
                .map_err(OpenError::io(format!("can't create {}", folder.display())))?;
            Ok::<_, OpenError>((options.files)(&folder))
        };
        let (files, heads) = (at(AUDIT.folder)?, at(HEADS_FOLDER)?);
        let key = match NodeKey::read(dir)? {
            Some(key) => key,
            None if is_new(&*files, &*heads)? => NodeKey::make(dir)?,
            None => {
                let path = dir.join(key::KEY_FILE);
                return Err(OpenError::NodeKeyMissing { path });
            }
        };
        let (shared, mut scribe, found) = open_log(&files, &heads, key, options)?;
        let thread = Builder::new().name("caxton-audit".to_owned());
        let thread = thread
            .spawn(move || {
                if catch_unwind(AssertUnwindSafe(|| scribe.run())).is_err() {
                    scribe.fail(StoreFailed::Disk {
                        what: "the audit log's thread".to_owned(),
                        reason: "it panicked".to_owned(),
                    });
                }
            })
            .map_err(OpenError::io("can't start a thread"))?;
        let log = Self {
            shared,
            thread: Mutex::new(Some(thread)),
        };
        Ok((log, found))
    }

    /// Hands a record over; it is durable within 10 ms. What is too long in it is cut with a mark.
    ///
    /// Errors: [`AuditClosed`]; the record was not appended and will not be.
    pub fn append(&self, record: AuditRecord) -> Result<AuditPlace, AuditClosed> {
        let place = self.shared.append(record)?;
        self.shared.queue.wake();
        Ok(place)
    }

    /// The same, and waits until the record is durable. Blocking: one sync of the disk.
    ///
    /// Errors: [`AuditClosed`]; of the record nothing can be said then.
    pub fn append_durable(&self, record: AuditRecord) -> Result<AuditPlace, AuditClosed> {
        let place = self.append(record)?;
        let (tell, told) = mpsc::sync_channel(1);
        self.notify(move |durable| {
            // Nobody waits for a log that is dropped.
            let _ = tell.send(durable);
        });
        told.recv().unwrap_or(Err(StoreFailed::Closed))?;
        Ok(place)
    }

    /// Calls back, on the log's thread, once all that was appended before is durable, or can't be.
    pub fn notify(&self, then: impl FnOnce(Result<(), StoreFailed>) + Send + 'static) {
        self.shared.notify(then);
    }

    /// Whether records are taken, or why not.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// The last durable record.
    #[must_use]
    pub fn durable_place(&self) -> AuditPlace {
        AuditPlace(self.shared.durable_place.load(Ordering::Acquire))
    }

    /// The newest signed head.
    #[must_use]
    pub fn head(&self) -> SignedHead {
        self.shared.head()
    }

    /// Writes the newest signed head into a file, as a line of JSON; one that was there is replaced.
    ///
    /// Errors: the file system's; then a file that was there is as it was.
    pub fn write_head(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut beside = name.to_owned();
        beside.push(".new");
        let beside = path.with_file_name(beside);
        let mut file = private_file().truncate(true).open(&beside)?;
        writeln!(file, "{}", self.head().to_json())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        sync_names(folder.unwrap_or(Path::new(".")))
    }

    /// Makes all that was appended durable and ends the thread.
    pub fn close(&self) {
        self.shared.queue.close();
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether nothing was ever signed here.
fn is_new(files: &dyn Files, heads: &dyn Files) -> Result<bool, OpenError> {
    Ok(list(files, &AUDIT).map_err(in_audit)?.is_none() && heads_of(heads)?.heads.is_empty())
}

fn heads_of(heads: &dyn Files) -> Result<HeadsFound, OpenError> {
    read_heads(heads).map_err(OpenError::io(format!("can't read {HEADS_FOLDER}")))
}

/// Damage of a log is here damage of the audit log.
fn in_audit(error: OpenError) -> OpenError {
    match error {
        OpenError::Damaged(damage) => OpenError::AuditDamaged(damage),
        other => other,
    }
}

/// Opens log and kept heads over any file layer, without a thread.
pub(crate) fn open_log(
    files: &Arc<dyn Files>,
    heads_files: &Arc<dyn Files>,
    key: NodeKey,
    options: &AuditOptions,
) -> Result<(Arc<Shared>, AuditScribe, AuditFound), OpenError> {
    let kept = heads_of(&**heads_files)?;
    let listing = list(&**files, &AUDIT).map_err(in_audit)?;
    let log = listing.as_ref().map(|listing| listing.identity.id);
    let newest = newest_head(&kept, log, &key)?;
    let known = newest.filter(|head| head.place > 0);
    let log_options = LogOptions {
        segment_bytes: options.segment_bytes,
        new_id: log.unwrap_or_else(|| options.log_id.unwrap_or_else(random_id)),
        known: known.map(|head| (head.place, head.chain)),
        check_known: false,
    };
    let (writer, log_found) = LogWriter::<AuditKind>::open_marked(
        Arc::clone(files),
        &log_options,
        "the newest signed head",
        &mut |_, _| Ok(()),
    )
    .map_err(in_audit)?;
    let signed = known.map_or(0, |head| head.place);
    let mut found = AuditFound {
        begins: log_found.begins,
        place: log_found.place,
        unsigned: log_found.place.saturating_sub(signed),
        torn: log_found.torn,
        notices: log_found.notices,
    };
    if found.unsigned > 0 {
        found.notices.push(format!(
            "records {} to {} of the audit log stood behind its newest signed head; they are signed now",
            signed + 1,
            found.place
        ));
    }
    let heads = KeptHeads::open(Arc::clone(heads_files), &kept)
        .map_err(OpenError::io(format!("can't write {HEADS_FOLDER}")))?;
    let begins = newest.map_or(1, |head| head.begins).max(found.begins);
    let at = newest.map_or(log_found.newest, |head| head.at.max(log_found.newest));
    let end = (writer.place(), writer.chain());
    let head = SignedHead::sign(&key, log_options.new_id, end, begins, at);
    let shared = Arc::new(Shared {
        queue: Queue::new(),
        queue_bytes_max: options.queue_bytes_max,
        place: AtomicU64::new(found.place),
        durable_place: AtomicU64::new(found.place),
        queued_bytes: AtomicU64::new(0),
        health: AtomicU8::new(Health::Good as u8),
        failed: OnceLock::new(),
        head: Mutex::new(head.clone()),
    });
    let parts = (writer, Arc::clone(files), heads, key);
    let unkept = Some(head).filter(|head| Some(head) != newest);
    let mut scribe = AuditScribe::new(Arc::clone(&shared), parts, options);
    (scribe.begins, scribe.newest, scribe.unkept) = (begins, at, unkept);
    Ok((shared, scribe, found))
}

/// The newest kept head that this key signed for this log.
///
/// Errors: there is one, and no log.
fn newest_head<'a>(
    kept: &'a HeadsFound,
    log: Option<[u8; 32]>,
    key: &NodeKey,
) -> Result<Option<&'a SignedHead>, OpenError> {
    let is_ours =
        |head: &&SignedHead| head.key == key.public() && log.is_none_or(|log| log == head.log);
    let mut heads = kept.heads.iter().rev();
    let newest = heads.find(|head| is_ours(head) && head.is_genuine());
    match newest {
        Some(head) if log.is_none() && head.place > 0 => Err(OpenError::AuditDamaged(Damage {
            file: crate::head::HEAD_FILE.to_owned(),
            offset: 0,
            place: 1,
            last_place: head.place,
            what: "the log is missing, and heads of it are kept".to_owned(),
        })),
        // A head of a log that was never finished says nothing of the next one.
        _ => Ok(newest.filter(|_| log.is_some())),
    }
}
