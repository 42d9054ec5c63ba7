//! Bytes by their digest: modules as they were given, each once, checked at every read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use caxton_model::{Digest, ErrorCode, State};
use rustix::io::Errno;

use crate::directory::{make_folder, private_file, sync_names};

/// Prefix of a blob's file; the rest is the 64 hex digits.
const PREFIX: &str = "sha256-";

/// Prefix of a file that is being written; what a crash leaves of it is removed at the next start.
const TEMPORARY: &str = "tmp-";

/// Why a blob could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The file system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not what they were: they are not given out.
    #[error("{} holds {found} instead of {digest}; deploy the module again", path.display())]
    Damaged {
        /// What was asked for.
        digest: Digest,
        /// What is there.
        found: Digest,
        /// The file.
        path: PathBuf,
    },
}

impl BlobError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { source, .. } if is_no_space(source) => ErrorCode::DiskFull,
            Self::Io { source, .. } if is_no_descriptor(source) => ErrorCode::NodeBudget,
            Self::Io { .. } => ErrorCode::Internal,
            Self::Damaged { .. } => ErrorCode::JournalDamaged,
        }
    }
}

/// Whether the disk, or a quota on it, has no room.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether the process, or the machine, has as many open files as it may have: nothing is wrong with
/// the disk, and it passes when others are closed.
pub(crate) fn is_no_descriptor(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE))
}

/// The modules that must be kept, each with the name of who needs it: an agent, for the version that runs
/// and the one that it could go back to, or a processor.
pub fn needed_modules(state: &State) -> impl Iterator<Item = (&str, Digest)> {
    let agents = state.agents.values();
    let versions = agents.flat_map(|agent| [Some(&agent.spec), agent.previous.as_ref()]);
    let agents = versions
        .flatten()
        .map(|spec| (spec.name.as_str(), spec.module));
    let processors = state.processors.iter();
    agents.chain(processors.map(|(name, spec)| (&**name, spec.module)))
}

/// A folder of blobs, or memory.
#[derive(Debug)]
pub struct Blobs {
    place: Place,
    temporaries: AtomicU64,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Memory(Mutex<BTreeMap<Digest, Bytes>>),
}

impl Blobs {
    /// Opens a folder, makes it if it is not there, and clears what a crash left half written.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, BlobError> {
        make_folder(&folder).map_err(failed("can't create", &folder))?;
        for name in names(&folder)?.filter(|name| name.starts_with(TEMPORARY)) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(failed("can't remove", &path))?;
        }
        Ok(Self::existing(folder))
    }

    /// Takes a folder as it is, to read it.
    pub(crate) fn existing(folder: PathBuf) -> Self {
        Self {
            place: Place::Folder(folder),
            temporaries: AtomicU64::new(0),
        }
    }

    pub(crate) fn in_memory() -> Self {
        Self {
            place: Place::Memory(Mutex::default()),
            temporaries: AtomicU64::new(0),
        }
    }

    /// Keeps these bytes; when it returns they survive power loss.
    ///
    /// Cost: two syncs where they are new, one read where they are not.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        match &self.place {
            Place::Memory(blobs) => {
                lock(blobs).insert(digest, Bytes::copy_from_slice(bytes));
            }
            Place::Folder(folder) => {
                let path = folder.join(file_name(&digest));
                // A file that is there but damaged is written anew.
                if !matches!(self.get(&digest), Ok(Some(_))) {
                    self.write(folder, &path, bytes)?;
                }
            }
        }
        Ok(digest)
    }

    fn write(&self, folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), BlobError> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        let written = private_file()
            .create_new(true)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| sync_names(folder));
        if written.is_err() {
            // Room is freed where it can be; the next start removes what stays.
            let _ = fs::remove_file(&temporary);
        }
        written.map_err(failed("can't write", path))
    }

    /// The bytes of this digest, checked; `None` if they are not here.
    pub fn get(&self, digest: &Digest) -> Result<Option<Bytes>, BlobError> {
        let folder = match &self.place {
            Place::Memory(blobs) => return Ok(lock(blobs).get(digest).cloned()),
            Place::Folder(folder) => folder,
        };
        let path = folder.join(file_name(digest));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("can't read", &path)(error)),
        };
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(Some(bytes.into()))
        } else {
            Err(BlobError::Damaged {
                digest: *digest,
                found,
                path,
            })
        }
    }

    /// All that is here, with sizes in bytes.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, BlobError> {
        let folder = match &self.place {
            Place::Memory(blobs) => {
                return Ok(lock(blobs)
                    .iter()
                    .map(|(digest, bytes)| (*digest, bytes.len() as u64))
                    .collect());
            }
            Place::Folder(folder) => folder,
        };
        let mut blobs = Vec::new();
        for name in names(folder)? {
            let Some(digest) = digest_of(&name) else {
                continue;
            };
            let path = folder.join(&name);
            let size = fs::metadata(&path).map_err(failed("can't read", &path))?;
            blobs.push((digest, size.len()));
        }
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// Bytes of all blobs.
    pub fn bytes(&self) -> Result<u64, BlobError> {
        Ok(self.list()?.iter().map(|(_, size)| size).sum())
    }

    /// Removes every blob that is not in `live`; answers how many and how many bytes.
    ///
    /// A blob put since `live` was made is removed, too: the caller keeps the two apart.
    pub fn remove_unreferenced(&self, live: &BTreeSet<Digest>) -> Result<(u64, u64), BlobError> {
        let (mut count, mut bytes) = (0, 0);
        for (digest, size) in self.list()? {
            if live.contains(&digest) {
                continue;
            }
            match &self.place {
                Place::Memory(blobs) => {
                    lock(blobs).remove(&digest);
                }
                Place::Folder(folder) => {
                    let path = folder.join(file_name(&digest));
                    fs::remove_file(&path).map_err(failed("can't remove", &path))?;
                }
            }
            count += 1;
            bytes += size;
        }
        Ok((count, bytes))
    }
}

fn lock(
    blobs: &Mutex<BTreeMap<Digest, Bytes>>,
) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Bytes>> {
    blobs.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_name(digest: &Digest) -> String {
    format!("{PREFIX}{}", digest.hex())
}

fn digest_of(name: &str) -> Option<Digest> {
    format!("sha256:{}", name.strip_prefix(PREFIX)?)
        .parse()
        .ok()
}

fn names(folder: &Path) -> Result<impl Iterator<Item = String>, BlobError> {
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(failed("can't list", folder))?;
    Ok(entries
        .into_iter()
        .filter_map(|entry| entry.file_name().into_string().ok()))
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> BlobError {
    move |source| BlobError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_kept_once_read_checked_and_removed_when_nobody_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        for blobs in [
            Blobs::open(dir.path().join("blobs")).unwrap(),
            Blobs::in_memory(),
        ] {
            let one = blobs.put(b"one").unwrap();
            assert_eq!(blobs.put(b"one").unwrap(), one);
            let two = blobs.put(b"second").unwrap();
            assert_eq!(blobs.get(&one).unwrap().as_deref(), Some(&b"one"[..]));
            assert_eq!(blobs.get(&Digest::of(b"three")).unwrap(), None);
            assert_eq!(
                (blobs.list().unwrap().len(), blobs.bytes().unwrap()),
                (2, 9)
            );
            let live = BTreeSet::from([two]);
            assert_eq!(blobs.remove_unreferenced(&live).unwrap(), (1, 3));
            assert_eq!(blobs.list().unwrap(), [(two, 6)]);
        }
    }

    #[test]
    fn a_changed_blob_is_not_given_out_and_can_be_put_again() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path().to_owned()).unwrap();
        let digest = blobs.put(b"module").unwrap();
        fs::write(dir.path().join(file_name(&digest)), b"modulo").unwrap();
        assert!(matches!(blobs.get(&digest), Err(BlobError::Damaged { .. })));
        assert_eq!(blobs.put(b"module").unwrap(), digest);
        assert!(blobs.get(&digest).unwrap().is_some());
    }

    #[test]
    fn what_a_crash_left_half_written_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tmp-1-0"), b"half").unwrap();
        let blobs = Blobs::open(dir.path().to_owned()).unwrap();
        assert!(!dir.path().join("tmp-1-0").exists());
        assert!(blobs.list().unwrap().is_empty());
    }
}
