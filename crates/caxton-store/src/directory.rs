//! The data directory: for its owner alone, and used by one process at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use crate::OpenError;

/// Mode of a folder that only its owner may enter.
const FOLDER_MODE: u32 = 0o700;
/// Mode of a file that only its owner may read.
const FILE_MODE: u32 = 0o600;
/// The rights that the group and everybody else have in a mode.
const OTHERS: u32 = 0o077;
/// File in which the owner of the directory writes its process id.
const LOCK_FILE: &str = "lock";
/// What a node's directory holds, and what an operator puts there before the first start.
const OWN: [&str; 18] = [
    "journal",
    "audit",
    "audit-heads",
    "node-key",
    "node-key.new",
    "checkpoint",
    "checkpoint.rebuilt",
    "checkpoint.unusable",
    "blobs",
    "vault",
    "cache",
    LOCK_FILE,
    "address",
    "api.sock",
    "admin-token",
    "tokens.json",
    "node.toml",
    "policy.toml",
];
/// What a file system puts into the root of a volume.
const VOLUME: &str = "lost+found";

/// A data directory that this process holds. Dropping it gives the directory back.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    /// The lock is on the directory's own descriptor: no file can be removed to undo it.
    _lock: File,
    /// Versions up to 0.1.0 lock this file alone; holding it keeps them out.
    _lock_file: File,
}

impl DataDirectory {
    /// Takes the directory for this process and for its owner alone; creates it if it is absent.
    ///
    /// The lock ends with the process, however it ends. What others had rights on is narrowed and
    /// reported in `notices`.
    pub(crate) fn open(path: &Path, notices: &mut Vec<String>) -> Result<Self, OpenError> {
        make_folder(path).map_err(OpenError::io(format!(
            "can't create the data directory {}",
            path.display()
        )))?;
        let failed = |what: &str| OpenError::io(format!("can't {what} {}", path.display()));
        let handle = File::open(path).map_err(failed("open"))?;
        match handle.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path)),
            Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
        }
        refuse_foreign(path)?;
        let root = fs::canonicalize(path).map_err(failed("find"))?;
        let mode = mode_of(&root)?;
        narrow(&root)?;
        for name in OWN {
            narrow_all(&root.join(name))?;
        }
        // What lies below a closed directory was out of others' reach.
        if mode & OTHERS != 0 {
            notices.push(format!(
                "other users had rights on {} (mode {mode:04o}); it is for its owner alone now, with all below it",
                root.display()
            ));
        }
        let lock_file = write_process_id(path)?;
        Ok(Self {
            _lock: handle,
            _lock_file: lock_file,
        })
    }
}

/// Whether a process holds the data directory.
///
/// Errors: the directory can't be opened or locked, so that this can't be told.
pub fn is_in_use(path: &Path) -> io::Result<bool> {
    keep_unused(path).map(|held| held.is_none())
}

/// Keeps a data directory from being used until what is answered is dropped; `None`: it is in use.
pub(crate) fn keep_unused(path: &Path) -> io::Result<Option<File>> {
    let handle = File::open(path)?;
    match handle.try_lock_shared() {
        Ok(()) => Ok(Some(handle)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn locked(path: &Path) -> OpenError {
    OpenError::Locked {
        path: path.to_owned(),
        holder: fs::read_to_string(path.join(LOCK_FILE))
            .ok()
            .map(|pid| pid.trim().to_owned())
            .filter(|pid| !pid.is_empty()),
    }
}

fn write_process_id(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let failed = || OpenError::io(format!("can't lock {}", path.display()));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(directory)),
        Err(TryLockError::Error(error)) => return Err(failed()(error)),
    }
    // The process id is only for the error text of another node: on a full disk it is left out.
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Creates a folder for its owner alone, and every missing one above it; durable when it returns.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(io::ErrorKind::NotFound.into()),
    };
    make_folder(parent)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => sync_names(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in a folder durable: those created and those removed.
pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        // A folder that may be written and not be listed can't be synced by anybody.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Options that open a new file for its owner alone.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(FILE_MODE);
    options
}

/// Refuses a folder that others use as well and that is no node's: `/tmp`, say, or `/var`.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let mode = mode_of(path)?;
    if mode & OTHERS == 0 || path.join("journal/head").exists() {
        return Ok(());
    }
    let failed = || OpenError::io(format!("can't list {}", path.display()));
    for entry in fs::read_dir(path).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        if !OWN.iter().chain([&VOLUME]).any(|own| name == **own) {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                mode,
            });
        }
    }
    Ok(())
}

fn mode_of(path: &Path) -> Result<u32, OpenError> {
    let failed = OpenError::io(format!("can't read the rights of {}", path.display()));
    let metadata = fs::metadata(path).map_err(failed)?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// Takes the rights of others away from a path; answers whether it is a folder.
fn narrow(path: &Path) -> Result<bool, OpenError> {
    let failed = |what: &str| OpenError::io(format!("can't {what} {}", path.display()));
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => return Ok(false),
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("read the rights of")(error)),
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & FOLDER_MODE))
            .map_err(failed("take other users' rights away from"))?;
    }
    Ok(metadata.is_dir())
}

/// The same for everything below it, too.
fn narrow_all(path: &Path) -> Result<(), OpenError> {
    if narrow(path)? {
        let failed = || OpenError::io(format!("can't list {}", path.display()));
        for entry in fs::read_dir(path).map_err(failed())? {
            narrow_all(&entry.map_err(failed())?.path())?;
        }
    }
    Ok(())
}
