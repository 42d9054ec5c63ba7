//! Whom the `df` has yet to tell of changes, a few at a time.
//!
//! Each is a search; agents that register again and again must not take the shard's time from the
//! others. What is told is the present result, so changes in between are not missed, only joined.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use caxton_model::{DfSubscription, Micros, Timestamp};

/// The time from one round to the next.
const ROUND: Micros = Micros::millis(20);

/// Subscribers told in one round.
///
/// A search of a thousand entries takes some milliseconds; eight of the usual ones far below one.
const ROUND_MAX: usize = 8;

/// Changed services that are told apart between two rounds; beyond it all subscribers look.
const CHANGED_MAX: usize = 1_000;

/// What has changed and who waits to hear of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    changed: BTreeSet<Arc<str>>,
    anything: bool,
    /// Subscriber and conversation.
    waiting: VecDeque<(Arc<str>, Arc<str>)>,
    last: Option<Timestamp>,
}

impl Told {
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
    /// Begins a round: whose results are to be looked up now.
    pub(crate) fn round(
        &mut self,
        now: Timestamp,
        all: &[DfSubscription],
    ) -> Vec<(Arc<str>, Arc<str>)> {
        self.last = Some(now);
        let changed = std::mem::take(&mut self.changed);
        let anything = std::mem::take(&mut self.anything);
        if anything || !changed.is_empty() {
            let known: BTreeSet<_> = self.waiting.iter().cloned().collect();
            let concerned = all.iter().filter(|s| {
                anything || s.service.is_empty() || changed.contains(s.service.as_str())
            });
            let names = concerned.map(|s| (Arc::clone(&s.subscriber), Arc::clone(&s.conversation)));
            self.waiting
                .extend(names.filter(|name| !known.contains(name)));
        }
        let count = self.waiting.len().min(ROUND_MAX);
        self.waiting.drain(..count).collect()
    }
}
