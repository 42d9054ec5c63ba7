//! What the host keeps for whom on all shards together, and the share that one namespace may have.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use caxton_model::is_reserved_name;

/// What is kept for one agent or client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnerUse {
    /// Now. Unit: bytes.
    pub bytes: u64,
    /// At most, since the node was started. Unit: bytes.
    pub peak_bytes: u64,
}

/// What is kept for all owners. Shards report accounts in steps of some KiB; smaller ones are
/// reported once.
#[derive(Debug)]
pub struct Shares {
    inner: Mutex<Inner>,
    share: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    owners: HashMap<Arc<str>, OwnerUse>,
    spaces: HashMap<Box<str>, u64>,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            share: AtomicU64::new(u64::MAX),
        }
    }
}

/// The namespace of an owner's name.
fn space(owner: &str) -> &str {
    owner.split_once('/').map_or("main", |(space, _)| space)
}

impl Shares {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What one namespace may have: a part of the node's memory budget. Unit: bytes.
    pub fn set_share(&self, bytes: u64) {
        self.share.store(bytes, Ordering::Relaxed);
    }
    /// What one namespace may have. Unit: bytes.
    #[must_use]
    pub fn share(&self) -> u64 {
        self.share.load(Ordering::Relaxed)
    }
    /// What is kept for each owner.
    #[must_use]
    pub fn owners(&self) -> Vec<(Arc<str>, OwnerUse)> {
        let inner = self.lock();
        let owners = inner.owners.iter();
        owners
            .map(|(name, used)| (Arc::clone(name), *used))
            .collect()
    }
    /// What is kept for one owner.
    #[must_use]
    pub fn owner(&self, name: &str) -> OwnerUse {
        self.lock().owners.get(name).copied().unwrap_or_default()
    }
    /// An owner's account on one shard has become another size.
    pub(crate) fn change(&self, owner: &Arc<str>, before: u64, after: u64) {
        if before == after {
            return;
        }
        let changed = |sum: u64| (sum + after).saturating_sub(before);
        let mut inner = self.lock();
        let entry = inner.owners.entry(Arc::clone(owner)).or_default();
        entry.bytes = changed(entry.bytes);
        entry.peak_bytes = entry.peak_bytes.max(entry.bytes);
        if entry.bytes == 0 {
            inner.owners.remove(owner);
        }
        // The host's own account is no namespace's.
        if is_reserved_name(owner) {
            return;
        }
        let space = space(owner);
        let sum = changed(inner.spaces.get(space).copied().unwrap_or(0));
        if sum == 0 {
            inner.spaces.remove(space);
        } else {
            inner.spaces.insert(space.into(), sum);
        }
    }
    /// Whether an owner's namespace has more than its share.
    pub(crate) fn is_over(&self, owner: &str) -> bool {
        let share = self.share();
        let inner = (share != u64::MAX && !is_reserved_name(owner)).then(|| self.lock());
        let used = inner.and_then(|inner| inner.spaces.get(space(owner)).copied());
        used.is_some_and(|used| used > share)
    }
}
