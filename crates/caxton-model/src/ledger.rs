//! What the host keeps on somebody's behalf, counted in bytes and charged to its owner.
//!
//! An owner is an agent or an outside client, by name. Mailboxes are not counted here: they have
//! limits of their own. [`State::apply`] keeps the ledger; the kernel holds owners to their limits.
//! The numbers are estimates of what an entry takes in all copies of the state that a node holds
//! (the shard's and the checkpoint's), allocator overhead included.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{Message, MessageKey};

/// Entries of one kind, oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Entries<K> {
    pub(crate) bytes: u64,
    pub(crate) count: usize,
    /// Entries that are gone may still stand here.
    pub(crate) order: VecDeque<K>,
}

impl<K> Default for Entries<K> {
    fn default() -> Self {
        Self {
            bytes: 0,
            count: 0,
            order: VecDeque::new(),
        }
    }
}

impl<K> Entries<K> {
    pub(crate) fn add(&mut self, key: K, bytes: u64, is_there: impl Fn(&K) -> bool) {
        self.bytes += bytes;
        self.count += 1;
        if self.order.len() > 2 * self.count + 32 {
            self.order.retain(is_there);
        }
        self.order.push_back(key);
    }
    pub(crate) fn remove(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.count = self.count.saturating_sub(1);
    }
}

/// What is kept for one owner.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// What stays until its owner takes it back: requests, subscriptions, a descriptor; and the
    /// agent's own metrics, which go with it.
    pub(crate) fixed: u64,
    /// The part of it that the agent's own metrics take.
    metrics: u64,
    /// What its mail takes that stands in nobody's mailbox.
    pub(crate) held: u64,
    pub(crate) open: u32,
    pub(crate) letters: Entries<MessageKey>,
    pub(crate) lines: Entries<(Arc<str>, MessageKey)>,
    pub(crate) ids: Entries<Arc<str>>,
    /// Messages of dead letters, by address: how many letters hold each. One message is counted
    /// once, however many receivers it did not reach.
    pub(crate) contents: HashMap<usize, u32>,
    pub(crate) content_bytes: u64,
    /// Above this the kernel looks.
    watch: u64,
    /// What the kernel knew when it looked last.
    reported: u64,
    is_noted: bool,
}

/// The kernel looks at an account whenever it has grown or shrunk by so much. Unit: bytes.
const LOOK_BYTES: u64 = 16 << 10;

impl Account {
    /// All of it. Unit: bytes.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.fixed
            + self.held
            + self.letters.bytes
            + self.content_bytes
            + self.lines.bytes
            + self.ids.bytes
    }
    /// What stays until its owner takes it back. Unit: bytes.
    #[must_use]
    pub const fn fixed(&self) -> u64 {
        self.fixed
    }
    /// The part of [`Self::fixed`] that the agent's own metrics take. Unit: bytes.
    #[must_use]
    pub const fn metrics(&self) -> u64 {
        self.metrics
    }
    /// Requests that wait for an answer.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.open
    }
    /// Dead letters.
    #[must_use]
    pub const fn letters(&self) -> usize {
        self.letters.count
    }
    /// What its lines in conversations take. Unit: bytes.
    #[must_use]
    pub const fn line_bytes(&self) -> u64 {
        self.lines.bytes
    }
    const fn is_empty(&self) -> bool {
        self.used() == 0 && self.open == 0 && self.letters.count == 0
    }
    const fn wants_look(&self) -> bool {
        let used = self.used();
        used > self.watch
            || used.abs_diff(self.reported) >= LOOK_BYTES
            || (used == 0 && self.reported > 0)
    }
    fn set_metrics(&mut self, bytes: u64) {
        self.fixed = (self.fixed + bytes).saturating_sub(self.metrics);
        self.metrics = bytes;
    }
    pub(crate) fn hold(&mut self, message: &Message) {
        let holders = self.contents.entry(message.address()).or_default();
        *holders += 1;
        if *holders == 1 {
            self.content_bytes += message.memory_bytes();
        }
    }
    pub(crate) fn let_go(&mut self, message: &Message) {
        if let Some(holders) = self.contents.get_mut(&message.address()) {
            *holders -= 1;
            if *holders == 0 {
                self.contents.remove(&message.address());
                self.content_bytes = self.content_bytes.saturating_sub(message.memory_bytes());
            }
        }
    }
}

/// All accounts of a state.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    accounts: HashMap<Arc<str>, Account>,
    /// Accounts with lines in conversations.
    pub(crate) speakers: u64,
    /// Accounts that have grown above what the kernel watches for, since it last looked. `None`:
    /// nobody looks.
    noted: Option<Vec<Arc<str>>>,
}

impl Ledger {
    /// An owner's account; `None`: nothing is kept for it.
    #[must_use]
    pub fn account(&self, owner: &str) -> Option<&Account> {
        self.accounts.get(owner)
    }
    /// All accounts.
    pub fn accounts(&self) -> impl Iterator<Item = (&Arc<str>, &Account)> {
        self.accounts.iter()
    }
    /// From now on accounts that grow are noted for [`Self::take_noted`].
    pub fn start_noting(&mut self) {
        self.noted = Some(self.accounts.keys().cloned().collect());
        for account in self.accounts.values_mut() {
            account.is_noted = true;
        }
    }
    /// How many accounts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }
    /// Whether nothing is kept for anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
    /// Takes an owner whose account is to be looked at; [`Self::looked`] must follow.
    pub fn take_noted(&mut self) -> Option<Arc<str>> {
        self.noted.as_mut()?.pop()
    }
    /// An account was looked at, and is to be looked at after each change from a size of `watch` on.
    ///
    /// Answers its size when it was looked at before, and now.
    pub fn looked(&mut self, owner: &str, watch: u64) -> (u64, u64) {
        let Some(account) = self.accounts.get_mut(owner) else {
            return (0, 0);
        };
        let used = account.used();
        let before = std::mem::replace(&mut account.reported, used);
        account.is_noted = false;
        account.watch = watch.max(used);
        if account.is_empty() {
            self.accounts.remove(owner);
        }
        (before, used)
    }
    /// An agent's own metrics take so much now. No record tells it: they go when the process ends.
    pub fn set_metrics(&mut self, agent: &Arc<str>, bytes: u64) {
        let before = self.account(agent).map_or(0, Account::metrics);
        if before != bytes {
            self.change(agent, |account| account.set_metrics(bytes));
        }
    }
    /// Has an account looked at after its next change.
    pub fn unwatch(&mut self, owner: &str) {
        if let Some(account) = self.accounts.get_mut(owner) {
            account.watch = 0;
        }
    }
    /// Changes an account.
    pub(crate) fn change(&mut self, owner: &Arc<str>, change: impl FnOnce(&mut Account)) {
        let account = match self.accounts.get_mut(owner) {
            Some(account) => account,
            None => self.accounts.entry(Arc::clone(owner)).or_default(),
        };
        let spoke = account.lines.count > 0;
        change(account);
        match (spoke, account.lines.count > 0) {
            (false, true) => self.speakers += 1,
            (true, false) => self.speakers = self.speakers.saturating_sub(1),
            _ => {}
        }
        let is_due = !account.is_noted && account.wants_look();
        if let Some(noted) = self.noted.as_mut().filter(|_| is_due) {
            account.is_noted = true;
            noted.push(Arc::clone(owner));
        }
        if account.is_empty() && !account.is_noted {
            self.accounts.remove(owner);
        }
    }
}
