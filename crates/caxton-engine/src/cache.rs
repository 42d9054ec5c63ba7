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
    /// The key file has the wrong size.
    #[error("the cache's key {} is damaged; delete it: the cache then starts anew", .path.display())]
    Key {
        /// Where.
        path: PathBuf,
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
    /// Opens or makes the directory (mode 0700) and its key (mode 0600).
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
        let path = dir.join("key");
        let key = match read_key(&path)? {
            Some(key) => key,
            None => {
                let key = random_key();
                // Written aside and linked in: two nodes that start at once agree on one key.
                let aside = dir.join(format!("key-{}", std::process::id()));
                let written = write_new(&aside, &[&key]);
                let linked = written.and_then(|()| fs::hard_link(&aside, &path));
                let _ = fs::remove_file(&aside);
                match linked {
                    Ok(()) => key,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        read_key(&path)?.ok_or(CacheError::Key { path })?
                    }
                    Err(reason) => return Err(CacheError::Directory { path, reason }),
                }
            }
        };
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
            .and_then(|mac| write_new(&aside, &[artefact, mac.as_bytes()]));
        if let Err(error) = written.and_then(|()| fs::rename(&aside, self.path(name))) {
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
        let Ok(dir) = fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut entries: Vec<_> = dir
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let name = entry.file_name().to_str()?.strip_suffix(SUFFIX)?.to_owned();
                let metadata = entry.metadata().ok()?;
                Some(CacheEntry {
                    name,
                    bytes: metadata.len(),
                    used_secs: metadata.mtime(),
                })
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }
    /// Removes all entries; how many there were.
    pub fn clear(&self) -> u64 {
        let removed = self
            .list()
            .into_iter()
            .filter(|e| fs::remove_file(self.path(&e.name)).is_ok());
        removed.count() as u64
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

fn read_key(path: &Path) -> Result<Option<[u8; 32]>, CacheError> {
    match fs::read(path) {
        Ok(bytes) => match bytes.try_into() {
            Ok(key) => Ok(Some(key)),
            Err(_) => Err(CacheError::Key {
                path: path.to_owned(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(CacheError::Directory {
            path: path.to_owned(),
            reason,
        }),
    }
}

fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))
}
