//! A disk in memory that can be full, fail its syncs, or lose power.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use super::sample::Random;
use crate::{File, Files};

/// What a disk writes as one.
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
    /// Most bytes one write takes.
    write_max: Option<usize>,
    syncs: u64,
    /// Changes until everything stops, as at a crash.
    changes_left: Option<u64>,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Faulty(Arc<Mutex<Disk>>);

impl Faulty {
    pub(super) fn set_room(&self, room: Option<u64>) {
        self.0.lock().unwrap().room = room;
    }
    pub(super) fn fail_syncs(&self) {
        self.0.lock().unwrap().fail_sync = true;
    }
    /// After so many more changes nothing works any more.
    pub(super) fn crash_after(&self, changes: u64) {
        self.0.lock().unwrap().changes_left = Some(changes);
    }
    pub(super) fn has_crashed(&self) -> bool {
        self.0.lock().unwrap().changes_left == Some(0)
    }
    fn change(&self) -> io::Result<()> {
        match &mut self.0.lock().unwrap().changes_left {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
    pub(super) fn write_at_most(&self, bytes: usize) {
        self.0.lock().unwrap().write_max = Some(bytes);
    }
    pub(super) fn used(&self) -> u64 {
        self.0.lock().unwrap().used()
    }
    pub(super) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }
    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.0.lock().unwrap().files[name].now.clone()
    }
    pub(super) fn names_now(&self) -> Vec<String> {
        self.0.lock().unwrap().files.keys().cloned().collect()
    }
    /// Changes a file behind everybody's back, for good.
    pub(super) fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.0.lock().unwrap();
        let bytes = disk.files.get_mut(name).unwrap();
        edit(&mut bytes.now);
        bytes.durable = bytes.now.clone();
    }
    pub(super) fn delete(&self, name: &str) {
        self.0.lock().unwrap().files.remove(name);
    }
    /// Another disk with the same bytes: what a process killed now leaves behind.
    pub(super) fn copy(&self) -> Self {
        let files = self.0.lock().unwrap().files.clone();
        Self(Arc::new(Mutex::new(Disk {
            files,
            ..Disk::default()
        })))
    }
    /// Another disk, as it is after the power went: of what was not synced, some sectors are there
    /// and some are not, in any order.
    pub(super) fn after_power_loss(&self, random: &mut Random) -> Self {
        let after = self.copy();
        let mut disk = after.0.lock().unwrap();
        disk.files
            .retain(|_, bytes| bytes.named || random.one_in(2));
        for bytes in disk.files.values_mut() {
            let mut left = if random.one_in(2) {
                bytes.durable.clone()
            } else {
                let mut left = bytes.durable.clone();
                left.resize(bytes.now.len(), 0);
                left
            };
            let length = left.len();
            for (at, sector) in bytes.now.chunks(SECTOR).enumerate() {
                let start = at * SECTOR;
                let end = (start + sector.len()).min(length);
                if start < end && random.one_in(2) {
                    left[start..end].copy_from_slice(&sector[..end - start]);
                }
            }
            bytes.now = left.clone();
            bytes.durable = left;
        }
        drop(disk);
        after
    }
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
            Some(room) if self.used() + more > room => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Files for Faulty {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names_now())
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        if !self.0.lock().unwrap().files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            name: name.to_owned(),
        }))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.change()?;
        let mut disk = self.0.lock().unwrap();
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
        self.change()?;
        for bytes in self.0.lock().unwrap().files.values_mut() {
            bytes.named = true;
        }
        Ok(())
    }
}

struct FaultyFile {
    disk: Faulty,
    name: String,
}

impl FaultyFile {
    fn with<T>(&self, with: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        let mut disk = self.disk.0.lock().unwrap();
        let bytes = disk.files.get_mut(&self.name);
        Ok(with(&mut bytes.ok_or(io::ErrorKind::NotFound)?.now))
    }
}

impl File for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|bytes| bytes.len() as u64)
    }
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|bytes| {
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(into.len());
            into[..length].copy_from_slice(&rest[..length]);
            length
        })
    }
    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        let most = self.disk.0.lock().unwrap().write_max.unwrap_or(from.len());
        let crashes = self.disk.change().is_err();
        // The last write before a crash may have been half done.
        let most = if crashes {
            most.min(from.len() / 2)
        } else {
            most
        };
        let from = &from[..from.len().min(most)];
        let end = offset as usize + from.len();
        let more = (end as u64).saturating_sub(self.size()?);
        self.disk.0.lock().unwrap().take_room(more)?;
        self.with(|bytes| {
            bytes.resize(bytes.len().max(end), 0);
            bytes[offset as usize..end].copy_from_slice(from);
        })?;
        if crashes {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(from.len())
    }
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.disk.change()?;
        let more = size.saturating_sub(self.size()?);
        self.disk.0.lock().unwrap().take_room(more)?;
        self.with(|bytes| bytes.resize(bytes.len().max(size as usize), 0))
    }
    fn cut(&self, size: u64) -> io::Result<()> {
        self.disk.change()?;
        self.with(|bytes| bytes.resize(size as usize, 0))
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.change()?;
        let mut disk = self.disk.0.lock().unwrap();
        if disk.fail_sync {
            return Err(io::Error::other("input/output error"));
        }
        disk.syncs += 1;
        let bytes = disk.files.get_mut(&self.name);
        let bytes = bytes.ok_or(io::ErrorKind::NotFound)?;
        bytes.durable = bytes.now.clone();
        Ok(())
    }
}
