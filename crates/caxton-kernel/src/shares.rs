//! What the host keeps for whom on all shards together, and the share that all namespaces divide.

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
    spaces: HashMap<Box<str>, SpaceUse>,
    /// All namespaces together. Unit: bytes.
    total: u64,
    mail: Mail,
}

/// Mail that waits for agents, when it was counted last.
#[derive(Debug, Default)]
struct Mail {
    /// By namespace. Unit: bytes.
    spaces: HashMap<Box<str>, u64>,
    /// All of it. Unit: bytes.
    total: u64,
    /// Namespaces that have mail and nothing else.
    alone: u64,
}

/// What is kept for one namespace.
#[derive(Debug, Clone, Copy, Default)]
struct SpaceUse {
    bytes: u64,
    owners: u64,
}

/// A namespace with less is never a heavy one. Unit: parts of the share.
const LIGHT_PARTS: u64 = 16;

impl Inner {
    /// An even part of some bytes for each namespace.
    fn even(&self, bytes: u64) -> u64 {
        bytes / (self.spaces.len() as u64).max(1)
    }
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
    /// What all namespaces together may have: a part of the node's memory budget. Unit: bytes.
    pub fn set_share(&self, bytes: u64) {
        self.share.store(bytes, Ordering::Relaxed);
    }
    /// What all namespaces together may have. Unit: bytes.
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
        let had = entry.bytes > 0;
        entry.bytes = changed(entry.bytes);
        entry.peak_bytes = entry.peak_bytes.max(entry.bytes);
        let has = entry.bytes > 0;
        if !has {
            inner.owners.remove(owner);
        }
        // The host's own account is no namespace's.
        if is_reserved_name(owner) {
            return;
        }
        inner.total = changed(inner.total);
        let space = space(owner);
        let mut used = inner.spaces.get(space).copied().unwrap_or_default();
        used.bytes = changed(used.bytes);
        used.owners = (used.owners + u64::from(has)).saturating_sub(u64::from(had));
        let known = match used.owners {
            0 => inner.spaces.remove(space),
            _ => inner.spaces.insert(space.into(), used),
        };
        if inner.mail.spaces.contains_key(space) {
            let alone = inner.mail.alone + u64::from(used.owners == 0);
            inner.mail.alone = alone.saturating_sub(u64::from(known.is_none()));
        }
    }
    /// Whether all namespaces together have more than they may.
    #[must_use]
    pub fn are_over(&self) -> bool {
        self.lock().total > self.share()
    }
    /// What an owner may have while all namespaces together have too much and its own has more than
    /// an even part: an even part of that one. Unit: bytes.
    pub(crate) fn cut(&self, owner: &str) -> Option<u64> {
        let share = self.share();
        if share == u64::MAX || is_reserved_name(owner) {
            return None;
        }
        let inner = self.lock();
        let even = inner.even(share);
        let used = inner.spaces.get(space(owner)).copied().unwrap_or_default();
        (inner.total > share && used.bytes > even).then(|| even / used.owners.max(1))
    }
    /// Takes note of the mail that waits for agents, by namespace. Unit: bytes.
    ///
    /// Mailboxes have limits of their own and nothing of them goes; whoever has many full ones is
    /// held to be heavy.
    pub fn set_mail(&self, mail: HashMap<Box<str>, u64>) {
        let mut inner = self.lock();
        let alone = mail.keys().filter(|name| !inner.spaces.contains_key(*name));
        let alone = alone.count() as u64;
        inner.mail = Mail {
            total: mail.values().sum(),
            spaces: mail,
            alone,
        };
    }
    /// Whether an owner's namespace is one of those with most, mail included: not less than the mean
    /// of all that have something, and not next to nothing.
    #[must_use]
    pub fn is_heavy(&self, owner: &str) -> bool {
        let share = self.share();
        if share == u64::MAX || is_reserved_name(owner) {
            return false;
        }
        let inner = self.lock();
        let space = space(owner);
        let kept = inner.spaces.get(space).map_or(0, |used| used.bytes);
        let used = kept + inner.mail.spaces.get(space).copied().unwrap_or_default();
        let total = inner.total + inner.mail.total;
        let spaces = inner.spaces.len() as u64 + inner.mail.alone;
        // Where all together have little, it is not what the host keeps that takes the memory.
        total > share / 2 && used > share / LIGHT_PARTS && used >= total / spaces.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_have_mail_alone_are_known_however_accounts_change() {
        let shares = Shares::default();
        let mail = |names: &[&str]| names.iter().map(|name| (Box::from(*name), 1)).collect();
        let alone = |shares: &Shares| {
            let inner = shares.lock();
            let names = inner.mail.spaces.keys();
            let alone = names.filter(|name| !inner.spaces.contains_key(*name));
            assert_eq!(inner.mail.alone, alone.count() as u64);
            inner.mail.alone
        };
        shares.set_mail(mail(&["a", "b"]));
        assert_eq!(alone(&shares), 2);
        for (owner, before, after, left) in [
            ("a/x", 0, 5, 1),
            ("a/y", 0, 5, 1),
            ("c/x", 0, 5, 1),
            ("a/x", 5, 0, 1),
            ("a/y", 5, 9, 1),
            ("a/y", 9, 0, 2),
            ("c/x", 5, 0, 2),
        ] {
            shares.change(&owner.into(), before, after);
            assert_eq!(alone(&shares), left, "{owner} {before} {after}");
        }
        shares.change(&"b/x".into(), 0, 5);
        shares.set_mail(mail(&["a"]));
        assert_eq!(alone(&shares), 1);
    }
}
