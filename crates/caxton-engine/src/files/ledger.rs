//! What a guest wrote to files and did not delete, against its limits.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use caxton_model::{ByteSize, LimitName};

use super::{Failed, FileBounds};

/// A file's number: device and inode.
pub(super) type FileId = (u64, u64);

/// What one guest wrote to files and did not delete, over all its instances.
///
/// Bytes are those by which it made files longer, whoever created them; a hole counts as what it
/// hides. Entries are the names that it created.
#[derive(Debug, Default)]
pub struct FileUsage(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    bytes: u64,
    entries: u64,
    by_file: HashMap<FileId, Charge>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Charge {
    bytes: u64,
    entries: u64,
}

impl FileUsage {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Bytes and entries that the guest has now.
    #[must_use]
    pub fn now(&self) -> (u64, u64) {
        let ledger = self.ledger();
        (ledger.bytes, ledger.entries)
    }
    /// Whether a file may become so long.
    pub(super) fn check_bytes(
        &self,
        bounds: &FileBounds,
        size: u64,
        wanted: u64,
    ) -> Result<(), Failed> {
        let growth = wanted.saturating_sub(size);
        if growth == 0 {
            return Ok(());
        }
        if wanted > bounds.file_bytes {
            let asked = format!("and the guest asked for a file of {}", ByteSize(wanted));
            return Err(Failed::Over(LimitName::FileBytes, bounds.file_bytes, asked));
        }
        let ledger = self.ledger();
        let all = ledger.bytes.saturating_add(growth);
        if all > bounds.fs_bytes {
            let asked = format!("and the guest asked for {} in all", ByteSize(all));
            return Err(Failed::Over(LimitName::FsBytes, bounds.fs_bytes, asked));
        }
        // Files of others that it makes longer are bounded as well: each is remembered.
        if ledger.by_file.len() as u64 > bounds.fs_entries {
            return Err(over_entries(bounds));
        }
        Ok(())
    }
    /// Whether one more entry may be created.
    pub(super) fn check_entry(&self, bounds: &FileBounds) -> Result<(), Failed> {
        if self.ledger().entries >= bounds.fs_entries {
            return Err(over_entries(bounds));
        }
        Ok(())
    }
    /// A file's length has changed.
    pub(super) fn resized(&self, id: FileId, before: u64, after: u64) {
        let mut ledger = self.ledger();
        let grown = after.saturating_sub(before);
        let shrunk = before.saturating_sub(after);
        if grown > 0 {
            let charge = ledger.by_file.entry(id).or_default();
            charge.bytes = charge.bytes.saturating_add(grown);
            ledger.bytes = ledger.bytes.saturating_add(grown);
        } else if shrunk > 0 {
            // What the guest had not written is not given back to it.
            let Some(charge) = ledger.by_file.get_mut(&id) else {
                return;
            };
            let back = charge.bytes.min(shrunk);
            charge.bytes -= back;
            ledger.bytes = ledger.bytes.saturating_sub(back);
        }
        ledger.forget_empty(id);
    }
    /// The guest has created an entry.
    pub(super) fn created(&self, id: FileId) {
        let mut ledger = self.ledger();
        ledger.entries = ledger.entries.saturating_add(1);
        ledger.by_file.entry(id).or_default().entries += 1;
    }
    /// An entry is deleted.
    pub(super) fn deleted(&self, id: FileId) {
        let mut ledger = self.ledger();
        let Some(charge) = ledger.by_file.get_mut(&id) else {
            return;
        };
        let back = charge.entries.min(1);
        charge.entries -= back;
        ledger.entries = ledger.entries.saturating_sub(back);
        ledger.forget_empty(id);
    }
    /// A file has no name any more, and nobody has it open here.
    pub(super) fn freed(&self, id: FileId) {
        let mut ledger = self.ledger();
        if let Some(charge) = ledger.by_file.remove(&id) {
            ledger.bytes = ledger.bytes.saturating_sub(charge.bytes);
            ledger.entries = ledger.entries.saturating_sub(charge.entries);
        }
    }
}

impl Ledger {
    fn forget_empty(&mut self, id: FileId) {
        let is_empty = |charge: &Charge| charge.bytes == 0 && charge.entries == 0;
        if self.by_file.get(&id).is_some_and(is_empty) {
            self.by_file.remove(&id);
        }
    }
}

fn over_entries(bounds: &FileBounds) -> Failed {
    let asked = "and the guest asked for one more".to_owned();
    Failed::Over(LimitName::FsEntries, bounds.fs_entries, asked)
}
