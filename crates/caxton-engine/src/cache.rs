//! Compiled code on disk. Loading it is an act of trust, so each entry carries a MAC under a key
//! that only this node has; an entry that does not match is thrown away.
//!
//! An entry is the artefact, then the MAC (32 bytes). Entries are renamed in and unlinked out, never
//! written in place: the file whose MAC was checked is then mapped. Who could change it meanwhile can
//! read the key beside it too.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use serde::Serialize;

const MAC_BYTES: usize = 32;
const KEY_FILE: &str = "key";
const SUFFIX: &str = ".cwasm";

/// Why the cache can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory, or the key in it.
    #[error("the module cache at {}: {reason}; make it a directory that this user can write", .path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// One compiled module in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheEntry {
    /// The module's digest and a digest of everything else that its code depends on.
    pub name: String,
    /// Its size. Unit: bytes.
    pub bytes: u64,
    /// When it was last used. Unit: seconds since the Unix epoch.
    pub used_secs: i64,
}

/// How the cache does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CacheStats {
    /// Compiled modules in it.
    pub entries: u64,
    /// Their size. Unit: bytes.
    pub bytes: u64,
    /// The most it may hold. Unit: bytes.
    pub bytes_max: u64,
    /// Loads that found their entry, since the start.
    pub hits: u64,
    /// Loads that did not, since the start.
    pub misses: u64,
    /// Entries thrown away because they were wrong or torn, since the start.
    pub discarded: u64,
}

/// The directory of compiled modules.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    bytes_max: u64,
    key: [u8; 32],
    hits: AtomicU64,
    misses: AtomicU64,
    discarded: AtomicU64,
    temporary: AtomicU64,
    /// One eviction at a time.
    evicting: Mutex<()>,
}

fn random_key() -> [u8; 32] {
    use rand::RngCore as _;
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    key
}

impl Cache {
    /// Opens or creates the directory (mode 0700) and its key (mode 0600). A damaged key is replaced:
    /// what was cached under it is then compiled again.
    pub(crate) fn open(dir: &Path, bytes_max: u64) -> Result<Self, CacheError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |reason| CacheError::Directory { path, reason }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(at(dir))?;
        if let Some(above) = dir.parent() {
            sync_names(above).map_err(at(above))?;
        }
        let key = key_of(dir).map_err(at(&dir.join(KEY_FILE)))?;
        Ok(Self {
            dir: dir.to_owned(),
            bytes_max,
            key,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            temporary: AtomicU64::new(0),
            evicting: Mutex::default(),
        })
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{SUFFIX}"))
    }
    /// The MAC of an entry's artefact, read from where `artefact` stands.
    fn mac(&self, name: &str, artefact: impl io::Read) -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The name too, so that an entry can't be passed off as another.
        hasher
            .update(&(name.len() as u64).to_le_bytes())
            .update(name.as_bytes())
            .update_reader(artefact)?;
        Ok(hasher.finalize())
    }
    /// The file of an entry, checked; a wrong one is removed and counted.
    pub(crate) fn get(&self, name: &str) -> Option<File> {
        let found = self.open_checked(name);
        if found.is_some() {
            &self.hits
        } else {
            &self.misses
        }
        .fetch_add(1, Relaxed);
        found
    }
    fn open_checked(&self, name: &str) -> Option<File> {
        let file = File::open(self.path(name)).ok()?;
        if !self.is_whole(name, &file).unwrap_or(false) {
            self.discard(name);
            return None;
        }
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        // An entry that could not be marked as used is only evicted earlier.
        let _ = rustix::fs::futimens(
            &file,
            &Timestamps {
                last_access: now,
                last_modification: now,
            },
        );
        Some(file)
    }
    fn is_whole(&self, name: &str, mut file: &File) -> io::Result<bool> {
        let artefact_bytes = file.metadata()?.len().saturating_sub(MAC_BYTES as u64);
        let made = self.mac(name, file.take(artefact_bytes))?;
        let mut mac = [0; MAC_BYTES];
        file.read_exact(&mut mac)?;
        // `Hash` compares in constant time.
        Ok(made == blake3::Hash::from_bytes(mac))
    }
    /// Removes an entry that is wrong.
    pub(crate) fn discard(&self, name: &str) {
        self.discarded.fetch_add(1, Relaxed);
        tracing::warn!(
            entry = name,
            "a cached module was wrong or torn; it is compiled again"
        );
        // If it can't be removed it is found wrong the next time too.
        let _ = fs::remove_file(self.path(name));
    }
    /// Puts an artefact in and evicts the least recently used ones over the bound.
    ///
    /// Errors: none; a full disk leaves the cache without the entry.
    pub(crate) fn put(&self, name: &str, artefact: &[u8]) {
        if artefact.len() as u64 > self.bytes_max {
            return;
        }
        let n = self.temporary.fetch_add(1, Relaxed);
        let aside = self.dir.join(format!("new-{}-{n}", std::process::id()));
        let written = self
            .mac(name, artefact)
            .and_then(|mac| write_new(&aside, &[artefact, mac.as_bytes()]))
            .and_then(|()| fs::rename(&aside, self.path(name)))
            .and_then(|()| sync_names(&self.dir));
        if let Err(error) = written {
            tracing::warn!(%error, "a compiled module could not be cached");
            let _ = fs::remove_file(&aside);
        }
        self.evict();
    }
    fn evict(&self) {
        let _one = self.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.list();
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.sort_by_key(|entry| entry.used_secs);
        for entry in entries {
            if bytes <= self.bytes_max {
                return;
            }
            if fs::remove_file(self.path(&entry.name)).is_ok() {
                bytes = bytes.saturating_sub(entry.bytes);
            }
        }
    }
    /// All entries, in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<CacheEntry> {
        // What can't be listed is not evicted, and found by its name as ever.
        cached_modules(&self.dir).unwrap_or_default()
    }
    /// Removes all entries; how many there were.
    pub fn clear(&self) -> u64 {
        clear_cached_modules(&self.dir).unwrap_or_default()
    }
    /// Sizes and counts.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let entries = self.list();
        CacheStats {
            entries: entries.len() as u64,
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            bytes_max: self.bytes_max,
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            discarded: self.discarded.load(Relaxed),
        }
    }
}

/// The entries of a cache's directory, in the order of their names. Creates nothing.
///
/// Errors: the directory can't be listed, or is not there.
pub fn cached_modules(dir: &Path) -> io::Result<Vec<CacheEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
            continue;
        };
        // One that a node evicts meanwhile is left out.
        if let Ok(metadata) = entry.metadata() {
            entries.push(CacheEntry {
                name: name.to_owned(),
                bytes: metadata.len(),
                used_secs: metadata.mtime(),
            });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Removes all entries of a cache's directory; answers how many there were. Creates nothing.
///
/// Errors: the directory or an entry in it; those before it are removed then.
pub fn clear_cached_modules(dir: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for entry in cached_modules(dir)? {
        match fs::remove_file(dir.join(format!("{}{SUFFIX}", entry.name))) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// The key of a cache's directory; made if there is none, and made anew if it is damaged.
fn key_of(dir: &Path) -> io::Result<[u8; 32]> {
    let path = dir.join(KEY_FILE);
    match fs::read(&path) {
        Ok(bytes) => match bytes.try_into() {
            Ok(key) if key != [0; 32] => return Ok(key),
            _ => tracing::warn!(
                path = %path.display(),
                "the key of the module cache was damaged; a new one was made, and cached modules are compiled again"
            ),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = random_key();
    let aside = dir.join(format!("key-{}", std::process::id()));
    remove_if_there(&aside)?;
    let written = write_new(&aside, &[&key])
        .and_then(|()| fs::rename(&aside, &path))
        .and_then(|()| sync_names(dir));
    if written.is_err() {
        remove_if_there(&aside)?;
    }
    written.map(|()| key)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable.
fn sync_names(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

/// Writes a new file; its bytes are durable when this returns.
fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}
