//! A disk in memory that can be full, fail its syncs, stop at any change, or lose power.
//!
//! What tests and simulators put under the journal in place of the real one.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{File, Files};

/// What a disk writes as one. Unit: bytes.
const SECTOR: usize = 512;

#[derive(Debug, Default, Clone)]
struct Bytes {
    /// What a process sees.
    now: Vec<u8>,
    /// What survives the power.
    durable: Vec<u8>,
    named: bool,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<String, Bytes>,
    /// Bytes there is room for; `None`: any.
    room: Option<u64>,
    fail_sync: bool,
    no_descriptors: bool,
    /// Most bytes one write takes.
    write_max: Option<usize>,
    syncs: u64,
    /// Changes until everything stops, as at a crash.
    changes_left: Option<u64>,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct FaultyFiles(Arc<Mutex<Disk>>);

impl FaultyFiles {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Leaves room for so many bytes; `None`: for any.
    pub fn set_room(&self, room: Option<u64>) {
        self.lock().room = room;
    }
    /// Whether no file can be opened from now on, as in a process with as many as it may have.
    pub fn set_no_descriptors(&self, none: bool) {
        self.lock().no_descriptors = none;
    }
    fn take_descriptor(&self) -> io::Result<()> {
        if self.lock().no_descriptors {
            return Err(rustix::io::Errno::MFILE.into());
        }
        Ok(())
    }
    /// From now on no sync succeeds.
    pub fn fail_syncs(&self) {
        self.lock().fail_sync = true;
    }
    /// After so many more changes nothing works any more; the last write may be half done.
    pub fn crash_after(&self, changes: u64) {
        self.lock().changes_left = Some(changes);
    }
    /// Whether it has come to that.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().changes_left == Some(0)
    }
    fn change(&self) -> io::Result<()> {
        match &mut self.lock().changes_left {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
    /// No write takes more than so many bytes at once.
    pub fn write_at_most(&self, bytes: usize) {
        self.lock().write_max = Some(bytes);
    }
    /// Bytes of all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().used()
    }
    /// Syncs that succeeded.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }
    /// A file's bytes as a process sees them; none: there is no such file.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let disk = self.lock();
        let bytes = disk.files.get(name);
        bytes.map_or_else(Vec::new, |bytes| bytes.now.clone())
    }
    /// The files there are.
    #[must_use]
    pub fn names_now(&self) -> Vec<String> {
        self.lock().files.keys().cloned().collect()
    }
    /// Changes a file behind everybody's back, for good.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        if let Some(bytes) = self.lock().files.get_mut(name) {
            edit(&mut bytes.now);
            bytes.durable.clone_from(&bytes.now);
        }
    }
    /// Takes a file away behind everybody's back.
    pub fn delete(&self, name: &str) {
        self.lock().files.remove(name);
    }
    /// Another disk with the same bytes: what a process killed now leaves behind.
    #[must_use]
    pub fn copy(&self) -> Self {
        let files = self.lock().files.clone();
        Self(Arc::new(Mutex::new(Disk {
            files,
            ..Disk::default()
        })))
    }
    /// Another disk, as it is after the power went: of what was not synced, some sectors are there
    /// and some are not, in any order, as chance says.
    #[must_use]
    pub fn after_power_loss(&self, chance: &mut dyn FnMut() -> bool) -> Self {
        let after = self.copy();
        let mut disk = after.lock();
        disk.files.retain(|_, bytes| bytes.named || chance());
        for bytes in disk.files.values_mut() {
            let mut left = bytes.durable.clone();
            if !chance() {
                left.resize(bytes.now.len(), 0);
            }
            for (at, sector) in bytes.now.chunks(SECTOR).enumerate() {
                let into = left.get_mut(at * SECTOR..).unwrap_or_default();
                if !into.is_empty() && chance() {
                    copy(into, sector);
                }
            }
            bytes.now.clone_from(&left);
            bytes.durable = left;
        }
        drop(disk);
        after
    }
}

/// Copies as much as there is on both sides; answers how much.
fn copy(into: &mut [u8], from: &[u8]) -> usize {
    let length = into.len().min(from.len());
    if let (Some(into), Some(from)) = (into.get_mut(..length), from.get(..length)) {
        into.copy_from_slice(from);
    }
    length
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl Disk {
    fn used(&self) -> u64 {
        self.files
            .values()
            .map(|bytes| bytes.now.len() as u64)
            .sum()
    }
    fn take_room(&self, more: u64) -> io::Result<()> {
        match self.room {
            Some(room) if more > 0 && self.used() + more > room => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

impl Files for FaultyFiles {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names_now())
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.take_descriptor()?;
        if !self.lock().files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            name: name.to_owned(),
        }))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.take_descriptor()?;
        self.change()?;
        let mut disk = self.lock();
        disk.files.entry(name.to_owned()).or_default().now.clear();
        drop(disk);
        self.open(name)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.change()?;
        self.delete(name);
        Ok(())
    }
    fn sync_names(&self) -> io::Result<()> {
        self.take_descriptor()?;
        self.change()?;
        for bytes in self.lock().files.values_mut() {
            bytes.named = true;
        }
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyFiles,
    name: String,
}

impl FaultyFile {
    fn with<T>(&self, with: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        let mut disk = self.disk.lock();
        let bytes = disk.files.get_mut(&self.name);
        Ok(with(&mut bytes.ok_or(io::ErrorKind::NotFound)?.now))
    }
    fn grow(&self, size: u64) -> io::Result<()> {
        let more = size.saturating_sub(self.size()?);
        self.disk.lock().take_room(more)?;
        let size = index(size);
        self.with(|bytes| bytes.resize(bytes.len().max(size), 0))
    }
}

impl File for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|bytes| bytes.len() as u64)
    }
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|bytes| copy(into, bytes.get(index(offset)..).unwrap_or_default()))
    }
    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        let most = self.disk.lock().write_max.unwrap_or(from.len());
        let crashes = self.disk.change().is_err();
        // The last write before a crash may have been half done.
        let most = if crashes {
            most.min(from.len() / 2)
        } else {
            most
        };
        let from = from.get(..most.min(from.len())).unwrap_or_default();
        self.grow(offset + from.len() as u64)?;
        self.with(|bytes| copy(bytes.get_mut(index(offset)..).unwrap_or_default(), from))?;
        if crashes {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(from.len())
    }
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(self.disk.lock().files.contains_key(&self.name))
    }
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.disk.change()?;
        self.grow(size)
    }
    fn cut(&self, size: u64) -> io::Result<()> {
        self.disk.change()?;
        self.with(|bytes| bytes.resize(index(size), 0))
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.change()?;
        let mut disk = self.disk.lock();
        if disk.fail_sync {
            return Err(io::Error::other("input/output error"));
        }
        disk.syncs += 1;
        let bytes = disk.files.get_mut(&self.name);
        let bytes = bytes.ok_or(io::ErrorKind::NotFound)?;
        bytes.durable.clone_from(&bytes.now);
        Ok(())
    }
}
