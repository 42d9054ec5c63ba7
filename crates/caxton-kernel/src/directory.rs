//! Who is on this node: names, ids, places, capabilities. One for all shards.
//!
//! Read at every send, written at every registration: a lock that readers on different threads do
//! not share, held for a look-up. A search takes its candidates under it and judges them outside.
//! It is derived from the journal alone, and a single thread sees its own writes, so a simulation
//! stays deterministic.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use caxton_model::{
    AgentId, AgentName, AgentSpec, AgentStatus, Asked, ById, CLIENT_HOST_BYTES, Capabilities,
    Destination, GrantedRules, LimitName, Message, Micros, Namespace, Subscription, Timestamp,
    client_hash, stable_hash,
};
use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

use crate::{Shares, offered::Offered, work::Work};

/// Outside clients whose names are remembered; beyond it the tenth that was silent longest goes.
const CLIENTS_MAX: usize = 100_000;

/// How exactly it is known when a client wrote last: a busy one is not noted with every message.
const CLIENT_NOTED_EVERY: Micros = Micros::secs(1);

/// How full a mailbox is, for all shards to see.
#[derive(Debug, Default)]
pub struct Gauge {
    messages: AtomicU32,
    bytes: AtomicU64,
}
impl Gauge {
    /// Messages waiting.
    #[must_use]
    pub fn messages(&self) -> u32 {
        self.messages.load(Ordering::Relaxed)
    }
    /// Bytes waiting.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
    /// Sets both; only the owning shard does.
    pub fn set(&self, messages: u32, bytes: u64) {
        self.messages.store(messages, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// What is known of an agent everywhere on the node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Listing {
    /// As deployed.
    pub spec: Arc<AgentSpec>,
    /// The shard it lives on.
    pub shard: u16,
    /// Where it is in its life.
    pub status: AgentStatus,
    /// How full its mailbox is.
    pub gauge: Arc<Gauge>,
    /// What it has registered; `None`: only declared.
    pub capabilities: Option<Arc<Capabilities>>,
    /// The same, ordered for searches.
    pub(crate) offered: Arc<Offered>,
    /// Its subscriptions to broadcasts and events.
    pub subscriptions: Arc<[Subscription]>,
    /// What it is granted.
    pub granted: Option<GrantedRules>,
}

impl Listing {
    /// Whether another message of this size would not fit its mailbox.
    #[must_use]
    pub fn is_full_for(&self, bytes: u64) -> bool {
        u64::from(self.gauge.messages()) >= self.spec.limits.get(LimitName::Mailbox)
            || self.gauge.bytes().saturating_add(bytes)
                > self.spec.limits.get(LimitName::MailboxBytes)
    }
    /// Whether it has registered a service of that name.
    #[must_use]
    pub fn offers(&self, capability: &str) -> bool {
        self.offered.has_service(capability)
    }
}

#[derive(Debug, Default)]
struct Inner {
    agents: ById<Arc<Listing>>,
    names: HashMap<Arc<str>, AgentId>,
    namespaces: HashMap<Namespace, BTreeSet<AgentId>>,
    capabilities: BTreeMap<Arc<str>, BTreeSet<AgentId>>,
    /// Whose turn it is among equals, of each capability.
    turn: Mutex<HashMap<Arc<str>, u64>>,
    clients: HashMap<Arc<str>, Timestamp>,
}

/// The directory. Clones are the same directory.
#[derive(Debug, Clone)]
pub struct Directory {
    inner: Arc<ShardedLock<Inner>>,
    subscribers: Arc<AtomicUsize>,
    host_shares: Arc<Shares>,
    shards: u16,
}

/// The shard that keeps a client's mailbox.
#[must_use]
pub fn shard_of_client(name: &str, shards: u16) -> u16 {
    client_hash(name) % shards.max(1)
}

impl Directory {
    /// An empty one for so many shards.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        Self {
            inner: Arc::default(),
            subscribers: Arc::default(),
            host_shares: Arc::default(),
            shards: shards.max(1),
        }
    }
    /// How many shards the node has.
    #[must_use]
    pub const fn shards(&self) -> u16 {
        self.shards
    }
    /// What the host keeps for each namespace.
    #[must_use]
    pub fn host_shares(&self) -> &Shares {
        &self.host_shares
    }
    /// The limit `host_bytes` of an agent or client. Unit: bytes.
    #[must_use]
    pub fn host_bytes_of(&self, owner: &str) -> u64 {
        let limit = |listing: &Listing| listing.spec.limits.get(LimitName::HostBytes);
        self.look(owner, limit).unwrap_or(CLIENT_HOST_BYTES)
    }
    fn read(&self) -> ShardedLockReadGuard<'_, Inner> {
        // A panic while the lock is held can't leave a half-made entry: each write is one insert.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write(&self) -> ShardedLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
    /// The shard an agent lives on: by its supervision group, else by its id.
    #[must_use]
    pub fn shard_of(&self, spec: &AgentSpec) -> u16 {
        let hash = match &spec.supervision.group {
            Some(group) => {
                stable_hash(format!("{}/{}", spec.name.namespace(), group.name).as_bytes())
            }
            None => stable_hash(&spec.id.0.to_le_bytes()),
        };
        u16::try_from(hash % u64::from(self.shards)).unwrap_or(0)
    }
    /// Takes a name for an agent that is about to be deployed.
    ///
    /// Answers whether it was free. [`Self::release`] gives it back if the deploy fails.
    #[must_use]
    pub fn reserve(&self, name: &AgentName, id: AgentId) -> bool {
        let mut inner = self.write();
        match inner.names.get(name.as_str()) {
            Some(_) => false,
            None => {
                inner.names.insert(name.shared(), id);
                true
            }
        }
    }
    /// Names that agents hold, and those reserved for agents on their way.
    #[must_use]
    pub fn names(&self) -> usize {
        self.read().names.len()
    }
    /// Who holds a name, or has reserved it.
    #[must_use]
    pub(crate) fn holder(&self, name: &AgentName) -> Option<AgentId> {
        self.read().names.get(name.as_str()).copied()
    }
    /// Gives a reserved name back.
    pub fn release(&self, name: &AgentName) {
        let mut inner = self.write();
        if let Some(id) = inner.names.get(name.as_str()).copied()
            && !inner.agents.contains_key(&id)
        {
            inner.names.remove(name.as_str());
        }
    }
    /// Enters an agent, or changes its entry.
    pub fn set(&self, listing: Listing) {
        let (id, listing) = (listing.spec.id, Arc::new(listing));
        let mut inner = self.write();
        let before = inner.agents.insert(id, Arc::clone(&listing));
        let known = before.as_ref().map(|before| &before.spec.name);
        if known != Some(&listing.spec.name) {
            let namespace = listing.spec.name.namespace().clone();
            inner.names.insert(listing.spec.name.shared(), id);
            inner.namespaces.entry(namespace).or_default().insert(id);
        }
        let same = before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(&before.offered, &listing.offered));
        if !same {
            if let Some(before) = &before {
                inner.forget_capabilities(before);
            }
            for service in &listing.offered.capabilities().services {
                inner
                    .capabilities
                    .entry(service.name.as_str().into())
                    .or_default()
                    .insert(id);
            }
        }
    }
    /// Changes only where an agent is in its life.
    pub(crate) fn set_status(&self, id: AgentId, status: AgentStatus) {
        if let Some(listing) = self.write().agents.get_mut(&id) {
            Arc::make_mut(listing).status = status;
        }
    }
    /// Remembers an outside client, so that agents can write to it.
    pub(crate) fn know_client(&self, name: &Arc<str>, at: Timestamp) {
        let last = self.read().clients.get(name).copied();
        if last.is_some_and(|last| at.since(last) < CLIENT_NOTED_EVERY) {
            return;
        }
        let mut inner = self.write();
        if let Some(last) = inner.clients.get_mut(name) {
            *last = at;
            return;
        }
        if inner.clients.len() >= CLIENTS_MAX {
            let mut silent: Vec<_> = inner
                .clients
                .iter()
                .map(|(name, at)| (*at, Arc::clone(name)))
                .collect();
            silent.sort_unstable();
            for (_, name) in silent.iter().take(CLIENTS_MAX / 10) {
                inner.clients.remove(name);
            }
        }
        inner.clients.insert(Arc::clone(name), at);
    }
    /// Whether an outside client of that name wrote to this node.
    #[must_use]
    pub fn knows_client(&self, name: &str) -> bool {
        self.read().clients.contains_key(name)
    }
    /// Counts subscriptions to changes of the directory, over all shards.
    pub(crate) fn count_subscribers(&self, before: usize, after: usize) {
        self.subscribers.fetch_add(after, Ordering::Relaxed);
        self.subscribers.fetch_sub(before, Ordering::Relaxed);
    }
    /// Whether anybody is told of changes.
    pub(crate) fn has_subscribers(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }
    /// Takes an agent out.
    pub fn remove(&self, id: AgentId) {
        let mut inner = self.write();
        if let Some(listing) = inner.agents.remove(&id) {
            inner.forget_capabilities(&listing);
            inner.names.remove(listing.spec.name.as_str());
            let namespace = listing.spec.name.namespace();
            if let Some(ids) = inner.namespaces.get_mut(namespace) {
                ids.remove(&id);
                if ids.is_empty() {
                    inner.namespaces.remove(namespace);
                }
            }
        }
    }
    /// The agent of that id.
    #[must_use]
    pub fn get(&self, id: AgentId) -> Option<Listing> {
        self.read().agents.get(&id).map(|at| Listing::clone(at))
    }
    /// The agent of that id or name.
    #[must_use]
    pub fn resolve(&self, text: &str) -> Option<Listing> {
        self.look(text, Listing::clone)
    }
    /// Looks at the agent of that id or name where it stands: no clone, but the lock is held.
    pub(crate) fn look<T>(&self, text: &str, at: impl FnOnce(&Listing) -> T) -> Option<T> {
        let inner = self.read();
        let id = AgentId::read(text).or_else(|| inner.names.get(text).copied())?;
        inner.agents.get(&id).map(|listing| at(listing))
    }
    /// Looks at the agent of that id where it stands.
    pub(crate) fn look_at<T>(&self, id: AgentId, at: impl FnOnce(&Listing) -> T) -> Option<T> {
        self.read().agents.get(&id).map(|listing| at(listing))
    }
    /// Who may answer a message that was resolved to these destinations.
    pub(crate) fn asked(&self, message: &Message, to: &[Destination]) -> Asked {
        let resolved = to.iter().filter_map(|to| match to {
            Destination::Agent(id) => self.look_at(*id, |listing| listing.spec.name.shared()),
            Destination::Client(_) | Destination::Dead { .. } => None,
        });
        Asked::new(&message.receiver, resolved)
    }
    /// Whether a name belongs to an agent, or is reserved for one.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.read().names.contains_key(name)
    }
    /// All agents, by id.
    #[must_use]
    pub fn all(&self) -> Vec<Listing> {
        let inner = self.read();
        let mut all: Vec<_> = inner.agents.values().map(|l| Listing::clone(l)).collect();
        drop(inner);
        all.sort_by_key(|listing| listing.spec.id);
        all
    }
    /// What waits in the mailboxes of each namespace. Unit: bytes.
    ///
    /// Cost: a look at every agent.
    #[must_use]
    pub fn mail_by_namespace(&self) -> HashMap<Box<str>, u64> {
        let mut mail = HashMap::<Box<str>, u64>::new();
        for listing in self.read().agents.values() {
            let bytes = listing.gauge.bytes();
            if bytes > 0 {
                let name = listing.spec.name.namespace().as_str();
                *mail.entry(name.into()).or_default() += bytes;
            }
        }
        mail
    }
    /// The agents a search has to judge, by id: those of a namespace, if one is given, that have
    /// registered the rarest of some capabilities, if any are.
    #[must_use]
    pub(crate) fn candidates<'a>(
        &self,
        namespace: Option<&Namespace>,
        capabilities: impl IntoIterator<Item = &'a str>,
        work: &Work,
    ) -> Vec<Arc<Listing>> {
        let none = BTreeSet::new();
        let inner = self.read();
        let named = capabilities.into_iter().map(|capability| {
            work.visit(1);
            inner.capabilities.get(capability).unwrap_or(&none)
        });
        let within = namespace.map(|namespace| inner.namespaces.get(namespace).unwrap_or(&none));
        let fewest = named.chain(within).min_by_key(|ids| ids.len());
        let found: Vec<Arc<Listing>> = match fewest {
            Some(ids) => {
                let found = ids.iter().filter_map(|id| inner.agents.get(id).cloned());
                found.collect()
            }
            None => {
                let mut found: Vec<_> = inner.agents.values().cloned().collect();
                drop(inner);
                found.sort_by_key(|listing| listing.spec.id);
                found
            }
        };
        work.visit(found.len());
        found
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().agents.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// All that have registered a capability, by id.
    #[must_use]
    pub fn offering(&self, capability: &str) -> Vec<Listing> {
        let found = self.candidates(None, [capability], &Work::default());
        found
            .iter()
            .map(|listing| Listing::clone(listing))
            .collect()
    }
    /// Names of all registered capabilities, each with how many agents offer it.
    #[must_use]
    pub fn capabilities(&self) -> Vec<(Arc<str>, usize)> {
        let inner = self.read();
        inner
            .capabilities
            .iter()
            .map(|(name, ids)| (Arc::clone(name), ids.len()))
            .collect()
    }
    /// Whom a message to a capability goes to: the least loaded of those that take messages and
    /// fit `allowed`; among equals in turn.
    #[must_use]
    pub fn choose(&self, capability: &str, allowed: impl Fn(&Listing) -> bool) -> Option<Listing> {
        let mut fit = self.candidates(None, [capability], &Work::default());
        fit.retain(|listing| listing.status.takes_messages() && allowed(listing));
        let load: Vec<u32> = fit.iter().map(|listing| listing.gauge.messages()).collect();
        let least = load.iter().min()?;
        let equals: Vec<&Arc<Listing>> = fit
            .iter()
            .zip(&load)
            .filter(|(_, messages)| *messages == least)
            .map(|(listing, _)| listing)
            .collect();
        let turn = {
            let inner = self.read();
            let mut turns = inner.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = turns.entry(capability.into()).or_default();
            *turn = turn.wrapping_add(1);
            turn.wrapping_sub(1)
        };
        let at = usize::try_from(turn % equals.len().max(1) as u64).unwrap_or(0);
        equals.get(at).map(|listing| Listing::clone(listing))
    }
}

impl Inner {
    fn forget_capabilities(&mut self, listing: &Listing) {
        let id = listing.spec.id;
        for service in &listing.offered.capabilities().services {
            if let Some(ids) = self.capabilities.get_mut(service.name.as_str()) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.capabilities.remove(service.name.as_str());
                }
            }
        }
    }
}
