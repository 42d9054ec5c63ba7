//! Whom the `df` has yet to tell of changes, a few at a time.
//!
//! Each is a search; agents that register again and again must not take the shard's time from the
//! others. What is told is the present result, so changes in between are not missed, only joined.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use caxton_model::{DfSubscription, Micros, Timestamp};

use crate::work::Work;

/// The time from one round to the next.
const ROUND: Micros = Micros::millis(20);

/// Subscribers told in one round.
///
/// A search of a thousand entries takes some milliseconds; eight of the usual ones far below one.
pub(crate) const ROUND_MAX: usize = 8;

/// Elements looked at in one round; beyond it the next round tells the rest.
///
/// About two milliseconds, a tenth of the time between rounds.
pub(crate) const ROUND_ELEMENTS_MAX: u64 = 20_000;

/// Changed services that are told apart between two rounds; beyond it all subscribers look.
const CHANGED_MAX: usize = 1_000;

/// A subscription's name: subscriber and conversation.
pub(crate) type SubscriptionName = (Arc<str>, Arc<str>);

/// Who subscribed to what, what has changed, and who waits to hear of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The service that each subscription is about (empty: all), and its number.
    services: BTreeMap<SubscriptionName, (u64, String)>,
    by_service: HashMap<String, BTreeMap<u64, SubscriptionName>>,
    /// The last subscription's number: they are told in the order in which they came.
    number: u64,
    changed: BTreeSet<Arc<str>>,
    anything: bool,
    waiting: VecDeque<SubscriptionName>,
    /// The same, to look up.
    known: BTreeSet<SubscriptionName>,
    last: Option<Timestamp>,
}

impl Told {
    /// A subscription is there.
    pub(crate) fn enter(&mut self, subscription: &DfSubscription) {
        let name = name_of(subscription);
        self.leave(&name);
        self.number += 1;
        let service = subscription.service.clone();
        let all = self.by_service.entry(service.clone()).or_default();
        all.insert(self.number, name.clone());
        self.services.insert(name, (self.number, service));
    }
    /// A subscription is gone.
    pub(crate) fn leave(&mut self, name: &SubscriptionName) {
        let Some((number, service)) = self.services.remove(name) else {
            return;
        };
        if let Some(all) = self.by_service.get_mut(&service) {
            all.remove(&number);
            if all.is_empty() {
                self.by_service.remove(&service);
            }
        }
    }
    /// All of a subscriber's are gone.
    pub(crate) fn leave_all(&mut self, subscriber: &Arc<str>) {
        let own: Vec<_> = self.of(subscriber).cloned().collect();
        for name in own {
            self.leave(&name);
        }
    }
    /// A subscriber's subscriptions.
    pub(crate) fn of(&self, subscriber: &Arc<str>) -> impl Iterator<Item = &SubscriptionName> {
        let first = (Arc::clone(subscriber), Arc::from(""));
        let from_there = self.services.range(first..).map(|(name, _)| name);
        from_there.take_while(move |name| name.0 == *subscriber)
    }
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.services.len()
    }
    /// These services' entries have changed.
    pub(crate) fn note(&mut self, services: impl IntoIterator<Item = Arc<str>>) {
        self.changed.extend(services);
        if self.changed.len() > CHANGED_MAX {
            self.changed.clear();
            self.anything = true;
        }
    }
    /// Anything may have changed.
    pub(crate) const fn note_anything(&mut self) {
        self.anything = true;
    }
    /// When the next round is, if anybody is to be told.
    pub(crate) fn next_round(&self) -> Option<Timestamp> {
        let something = self.anything || !self.changed.is_empty() || !self.waiting.is_empty();
        something.then(|| {
            self.last
                .map_or_else(Timestamp::default, |at| at.after(ROUND))
        })
    }
    /// Whether a round is due.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_round().is_some_and(|due| due <= now)
    }
    /// Begins a round: whoever is concerned by what has changed waits from now on.
    pub(crate) fn begin_round(&mut self, now: Timestamp, work: &Work) {
        self.last = Some(now);
        let changed = std::mem::take(&mut self.changed);
        let of = |service: &str| self.by_service.get(service).into_iter().flatten();
        let concerned: BTreeMap<&u64, &SubscriptionName> = match std::mem::take(&mut self.anything)
        {
            true => self.by_service.values().flatten().collect(),
            false => {
                // Those that are about all services, too.
                let all = (!changed.is_empty()).then(|| of(""));
                let services = changed.iter().flat_map(|service| of(service));
                services.chain(all.into_iter().flatten()).collect()
            }
        };
        work.visit(changed.len() + concerned.len());
        for name in concerned.into_values() {
            if self.known.insert(name.clone()) {
                self.waiting.push_back(name.clone());
            }
        }
    }
    /// Who is told next.
    pub(crate) fn next(&mut self) -> Option<SubscriptionName> {
        let name = self.waiting.pop_front()?;
        self.known.remove(&name);
        Some(name)
    }
}

/// A subscription's name.
pub(crate) fn name_of(subscription: &DfSubscription) -> SubscriptionName {
    (
        Arc::clone(&subscription.subscriber),
        Arc::clone(&subscription.conversation),
    )
}
