//! Keeps a sender whose messages make an agent fault from taking it down for the others.

use std::{collections::BTreeMap, sync::Arc};

use caxton_model::{Micros, Timestamp};

/// Faults in a row after which a sender is answered without a turn.
const FAULTS_MAX: u32 = 3;

/// The first pause; each further one is twice as long.
const PAUSE: Micros = Micros::secs(10);

/// The longest pause.
const PAUSE_MAX: Micros = Micros::secs(300);

/// Senders watched per agent; beyond it the one that faulted longest ago is forgotten.
const SENDERS_MAX: usize = 1_000;

#[derive(Debug)]
struct Breaker {
    faults: u32,
    pause: Micros,
    open_until: Timestamp,
    last: Timestamp,
}

/// One agent's view of its senders.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    senders: BTreeMap<Arc<str>, Breaker>,
}

impl Breakers {
    /// Until when this sender's messages get no turn, if so.
    pub(crate) fn open_until(&self, sender: &str, now: Timestamp) -> Option<Timestamp> {
        self.senders
            .get(sender)
            .map(|breaker| breaker.open_until)
            .filter(|until| *until > now)
    }
    /// A message of this sender's was dealt with.
    pub(crate) fn good(&mut self, sender: &str) {
        if !self.senders.is_empty() {
            self.senders.remove(sender);
        }
    }
    /// A message of this sender's made the agent fault.
    pub(crate) fn fault(&mut self, sender: &Arc<str>, now: Timestamp) {
        if self.senders.len() >= SENDERS_MAX && !self.senders.contains_key(sender) {
            let oldest = self.senders.iter().min_by_key(|(_, b)| b.last);
            if let Some(oldest) = oldest.map(|(name, _)| Arc::clone(name)) {
                self.senders.remove(&oldest);
            }
        }
        let breaker = self.senders.entry(Arc::clone(sender)).or_insert(Breaker {
            faults: 0,
            pause: PAUSE,
            open_until: Timestamp::default(),
            last: now,
        });
        breaker.faults = breaker.faults.saturating_add(1);
        breaker.last = now;
        if breaker.faults >= FAULTS_MAX {
            breaker.open_until = now.after(breaker.pause);
            breaker.pause = Micros(breaker.pause.0.saturating_mul(2)).min(PAUSE_MAX);
        }
    }
}
