//! The vault: secrets by name, each a sealed file of its own.
//!
//! `docs/specs/vault.md` has the format. The sealed records are in memory too, so that using a secret
//! never waits for the disk; a value is in memory only while it is used, and is zeroed then.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use caxton_model::{AgentName, Namespace, Timestamp};
use zeroize::Zeroizing;

use crate::{
    VaultError,
    directory::{make_folder, sync_names},
    vault_key::{self, SealingKey, read_keys, write_whole},
    vault_record::{Opened, RECORD_BYTES_MAX, Record, seal},
};

/// Secrets that a vault takes.
pub const SECRETS_MAX: usize = 10_000;
/// Bytes of one secret's value. Unit: 64 KiB.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
/// The fewest bytes of a value: what is shorter can be guessed, and is found by chance in a response
/// that it is to be taken out of.
pub const SECRET_BYTES_MIN: usize = 8;
/// Bytes of all records together, since they are in memory. Unit: 64 MiB.
pub(crate) const VAULT_BYTES_MAX: usize = 64 << 20;

/// A secret as it is listed: never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultEntry {
    /// Its name, `namespace/name` outside the default namespace.
    pub name: String,
    /// When it was set; `None`: its record does not say.
    pub set_at: Option<Timestamp>,
    /// Why it can't be used, if it can't.
    pub problem: Option<String>,
}

/// Where a vault is and what opens it.
#[derive(Debug, Clone, Default)]
pub struct VaultOptions {
    /// The folder of the records. `None`: in memory, with a key that ends with the process.
    pub folder: Option<PathBuf>,
    /// The file with the key.
    pub key: Option<PathBuf>,
}

/// Secrets by name. Each call blocks for the disk but [`Vault::read`] and [`Vault::list`].
pub struct Vault {
    options: VaultOptions,
    /// One change at a time.
    changes: Mutex<()>,
    inner: RwLock<Inner>,
}

struct Inner {
    /// The first one seals.
    keys: Result<Vec<SealingKey>, String>,
    /// By the name's long form, `namespace/name`.
    records: BTreeMap<String, Record>,
    /// Bytes of all records.
    bytes: usize,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The form of a name in which namespaces have no short form.
fn long(name: &AgentName) -> String {
    format!("{}/{}", name.namespace(), name.local())
}

/// The form in which people are told a name.
fn shown(long: &str) -> String {
    AgentName::from_stored(long.strip_prefix("main/").unwrap_or(long)).to_string()
}

fn check_size(name: &AgentName, value: &[u8]) -> Result<(), VaultError> {
    if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&value.len()) {
        return Ok(());
    }
    Err(VaultError::Size {
        name: name.to_string(),
        bytes: value.len(),
    })
}

fn io_error(what: &str, path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let what = format!("{what} {}", path.display());
    move |source| VaultError::Io { what, source }
}

fn no_key() -> VaultError {
    VaultError::Io {
        what: "making a key".to_owned(),
        source: io::Error::other("the system gives no random bytes"),
    }
}

impl Vault {
    /// Opens a vault; without its key it is closed. `notices` is what an operator should be told.
    ///
    /// Errors: [`VaultError::Io`], where the records can't be read.
    pub fn open(options: VaultOptions, notices: &mut Vec<String>) -> Result<Self, VaultError> {
        let records = match &options.folder {
            Some(folder) => read_records(folder)?,
            None => BTreeMap::new(),
        };
        let keys = open_keys(&options, &records, notices);
        let bytes = records.values().map(Record::bytes).sum();
        let vault = Self {
            options,
            changes: Mutex::default(),
            inner: RwLock::new(Inner {
                keys,
                records,
                bytes,
            }),
        };
        for entry in vault.list() {
            if let Some(problem) = entry.problem {
                notices.push(format!("the secret `{}` {problem}", entry.name));
            }
        }
        if let Err(error) = vault.end_rotation() {
            notices.push(format!(
                "the vault's key was not rotated to its end: {error}"
            ));
        }
        Ok(vault)
    }

    fn inner(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a secret. It is zeroed when it is dropped.
    ///
    /// Errors: [`VaultError::Closed`], [`VaultError::NotFound`], [`VaultError::Damaged`].
    pub fn read(&self, name: &AgentName) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let inner = self.inner();
        let (keys, long) = (inner.keys()?, long(name));
        let record = inner.records.get(&long);
        let record = record.ok_or_else(|| VaultError::NotFound {
            name: name.to_string(),
        })?;
        record
            .open(&long, keys)
            .map_err(|problem| VaultError::Damaged {
                name: name.to_string(),
                problem,
            })
    }

    /// All secrets, by name, without their values.
    #[must_use]
    pub fn list(&self) -> Vec<VaultEntry> {
        let inner = self.inner();
        let entry = |(long, record): (&String, &Record)| VaultEntry {
            name: shown(long),
            set_at: record.set_at(),
            problem: match &inner.keys {
                Ok(keys) => record.open(long, keys).err(),
                Err(_) => None,
            },
        };
        inner.records.iter().map(entry).collect()
    }

    /// Why the vault is closed, if it is.
    #[must_use]
    pub fn closed(&self) -> Option<String> {
        self.inner().keys().err().map(|error| error.to_string())
    }

    /// Sets a secret, in place of one of that name. It survives power loss when this returns.
    ///
    /// Errors: [`VaultError`]; the secret is as it was then.
    pub fn set(&self, name: &AgentName, value: &[u8], at: Timestamp) -> Result<(), VaultError> {
        let _changing = self.changing();
        check_size(name, value)?;
        let long = long(name);
        let record = {
            let inner = self.inner();
            let keys = inner.keys()?;
            let is_new = !inner.records.contains_key(&long);
            let is_full = is_new && inner.records.len() >= SECRETS_MAX;
            if is_full || inner.bytes + value.len() > VAULT_BYTES_MAX {
                return Err(VaultError::Full);
            }
            seal(&long, value, at, keys).ok_or_else(no_key)?
        };
        self.write(&long, record)
    }

    /// A tag that tells whether the same value is set under the same name again. It may be recorded:
    /// without the vault's key nobody finds a value by trying.
    ///
    /// Errors: [`VaultError::Size`], [`VaultError::Closed`].
    pub fn tag(&self, name: &AgentName, value: &[u8]) -> Result<[u8; 32], VaultError> {
        check_size(name, value)?;
        let inner = self.inner();
        let key = inner.keys()?.first();
        Ok(key.ok_or_else(no_key)?.tag(&long(name), value))
    }

    /// Removes a secret; it is gone when this returns. It needs no key.
    ///
    /// Errors: [`VaultError::NotFound`], [`VaultError::Io`].
    pub fn remove(&self, name: &AgentName) -> Result<(), VaultError> {
        let _changing = self.changing();
        let long = long(name);
        if !self.inner().records.contains_key(&long) {
            return Err(VaultError::NotFound {
                name: name.to_string(),
            });
        }
        if let Some(folder) = &self.options.folder {
            let path = folder.join(&long);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("removing", &path)(error));
                }
                _ => {}
            }
            let parent = path.parent().unwrap_or(folder);
            sync_names(parent).map_err(io_error("syncing", parent))?;
        }
        self.keep(long, None);
        Ok(())
    }

    /// Makes a new key, seals every secret with it, and forgets the old one; answers how many.
    ///
    /// A crash in between leaves both keys in the file, and the next opening goes on.
    /// Errors: [`VaultError::Damaged`] while a secret can't be opened, [`VaultError::Io`].
    pub fn rotate(&self) -> Result<usize, VaultError> {
        let _changing = self.changing();
        {
            let inner = self.inner();
            inner.keys()?;
            for (long, record) in &inner.records {
                let opened = record.open(long, inner.keys()?);
                opened.map_err(|problem| VaultError::Damaged {
                    name: shown(long),
                    problem,
                })?;
            }
        }
        let new = vault_key::new_key().ok_or_else(no_key)?;
        let mut text = Zeroizing::new(format!("{}\n", &*new));
        if let Some(path) = &self.options.key {
            let old = vault_key::read_file(path).map_err(io_error("reading", path))?;
            text.push_str(&old.unwrap_or_default());
            write_whole(path, text.as_bytes()).map_err(io_error("writing", path))?;
        }
        let new = read_keys(&new).map_err(|_| no_key())?;
        {
            let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            if let Ok(keys) = &mut inner.keys {
                keys.splice(0..0, new);
            }
        }
        self.seal_again()?;
        Ok(self.inner().records.len())
    }

    /// Goes on with a rotation that a crash has interrupted, or that an operator began by writing a
    /// new key above the old one.
    fn end_rotation(&self) -> Result<(), VaultError> {
        let _changing = self.changing();
        let is_rotating = matches!(&self.inner().keys, Ok(keys) if keys.len() > 1);
        match is_rotating && self.list().iter().all(|entry| entry.problem.is_none()) {
            true => self.seal_again(),
            false => Ok(()),
        }
    }

    /// Seals with the first key what another one has sealed, then forgets the others.
    fn seal_again(&self) -> Result<(), VaultError> {
        let names: Vec<String> = self.inner().records.keys().cloned().collect();
        for long in names {
            let again = {
                let inner = self.inner();
                let (keys, record) = (inner.keys()?, inner.records.get(&long));
                record.and_then(|record| match record.opened_by(&long, keys) {
                    Opened::ByFirst => None,
                    Opened::ByOther(value) => {
                        let at = record.set_at().unwrap_or(Timestamp(0));
                        seal(&long, &value, at, keys)
                    }
                    Opened::Not => None,
                })
            };
            if let Some(record) = again {
                self.write(&long, record)?;
            }
        }
        if let Some(path) = &self.options.key {
            let text = vault_key::read_file(path).map_err(io_error("reading", path))?;
            let text = text.unwrap_or_default();
            let first = text.lines().map(str::trim).find(|line| !line.is_empty());
            let first = Zeroizing::new(format!("{}\n", first.unwrap_or_default()));
            write_whole(path, first.as_bytes()).map_err(io_error("writing", path))?;
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(keys) = &mut inner.keys {
            keys.truncate(1);
        }
        Ok(())
    }

    /// Writes a record to the disk, then to memory.
    fn write(&self, long: &str, record: Record) -> Result<(), VaultError> {
        if let Some(folder) = &self.options.folder {
            let path = folder.join(long);
            let parent = path.parent().unwrap_or(folder);
            make_folder(parent).map_err(io_error("making", parent))?;
            write_whole(&path, record.as_bytes()).map_err(io_error("writing", &path))?;
        }
        self.keep(long.to_owned(), Some(record));
        Ok(())
    }

    fn keep(&self, long: String, record: Option<Record>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let new = record.as_ref().map_or(0, Record::bytes);
        let old = match record {
            Some(record) => inner.records.insert(long, record),
            None => inner.records.remove(&long),
        };
        let old = old.as_ref().map_or(0, Record::bytes);
        inner.bytes = inner.bytes + new - old;
    }
}

impl Inner {
    fn keys(&self) -> Result<&[SealingKey], VaultError> {
        match &self.keys {
            Ok(keys) => Ok(keys),
            Err(reason) => Err(VaultError::Closed {
                reason: reason.clone(),
            }),
        }
    }
}

/// Reads all records, and clears what a crash left half written.
fn read_records(folder: &Path) -> Result<BTreeMap<String, Record>, VaultError> {
    let mut records = BTreeMap::new();
    for namespace in names_in(folder)? {
        let below = folder.join(&namespace);
        let Ok(space) = namespace.parse::<Namespace>() else {
            continue;
        };
        if !below.is_dir() {
            continue;
        }
        for name in names_in(&below)? {
            let path = below.join(&name);
            if name.starts_with('.') {
                fs::remove_file(&path).map_err(io_error("removing", &path))?;
                continue;
            }
            if AgentName::new(&space, &name).is_err() {
                continue;
            }
            let size = fs::metadata(&path).map_err(io_error("reading", &path))?;
            let bytes = match size.len() <= RECORD_BYTES_MAX {
                true => fs::read(&path).map_err(io_error("reading", &path))?,
                // No record is so large, so it is told as damaged without being read.
                false => Vec::new(),
            };
            records.insert(format!("{namespace}/{name}"), Record::new(bytes));
        }
    }
    Ok(records)
}

fn names_in(folder: &Path) -> Result<Vec<String>, VaultError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("reading", folder)(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
    let names = entries.map(name).collect::<io::Result<Vec<_>>>();
    let names = names.map_err(io_error("reading", folder))?.into_iter();
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}

/// The keys of a vault, or why it is closed.
fn open_keys(
    options: &VaultOptions,
    records: &BTreeMap<String, Record>,
    notices: &mut Vec<String>,
) -> Result<Vec<SealingKey>, String> {
    let made = || vault_key::new_key().ok_or("the system gives no random bytes");
    let Some(folder) = &options.folder else {
        return read_keys(&made()?);
    };
    let Some(path) = &options.key else {
        return Err("the node was started without a key; name a key file with `--vault-key FILE`, `key` in `[vault]` of node.toml, or CAXTON_VAULT_KEY".to_owned());
    };
    let at = path.display();
    let text = match vault_key::read_file(path) {
        Ok(Some(text)) => text,
        Ok(None) if records.is_empty() => {
            let text = Zeroizing::new(format!("{}\n", &*made()?));
            write_whole(path, text.as_bytes())
                .map_err(|error| format!("the key file {at} can't be made: {error}"))?;
            notices.push(format!(
                "a new vault key was made in {at}; keep a copy of it apart from the data directory"
            ));
            text
        }
        Ok(None) => {
            let count = records.len();
            let secrets = if count == 1 { "secret" } else { "secrets" };
            return Err(format!(
                "the key file {at} does not exist, and the vault holds {count} {secrets}; restore the file from a copy, or name the right one"
            ));
        }
        Err(error) => return Err(format!("the key file {at} can't be read: {error}")),
    };
    let keys = read_keys(&text).map_err(|problem| format!("the key file {at}: {problem}"))?;
    if vault_key::is_open_to_others(path) {
        notices.push(format!(
            "others than the owner may read the vault's key {at}; `chmod 600` it"
        ));
    }
    let data = folder.parent().and_then(|data| data.canonicalize().ok());
    let is_inside = |data: PathBuf| path.canonicalize().is_ok_and(|key| key.starts_with(data));
    if data.is_some_and(is_inside) {
        notices.push(format!(
            "the vault's key {at} is in the data directory: whoever gets a copy of it can read the secrets; keep the key elsewhere"
        ));
    }
    let whole = || records.values().filter(|record| record.is_whole());
    if whole().next().is_some() && !whole().any(|record| record.names_one_of(&keys)) {
        return Err(format!(
            "no secret in it was sealed with the key in {at}; name the right key file"
        ));
    }
    Ok(keys)
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
