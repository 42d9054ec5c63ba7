//! The gates of agents that have subscribed to events, for the agents that emit them.
//!
//! An agent's own gate is on its shard; whoever emits may be on another. So these are of the
//! directory's entries, which a grant or a revocation changes before it is answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use caxton_gate::{EventEmit, EventListen};
use caxton_kernel::Listing;
use caxton_model::AgentId;

use crate::{clock, rights::AgentGate, shared::Shared};

/// The gates, made when an event first goes to their agents.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<HashMap<AgentId, AgentGate>>);

impl Listeners {
    /// Forgets an agent that is gone.
    pub(crate) fn forget(&self, agent: AgentId) {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.remove(&agent);
    }
}

/// Whether an agent that has subscribed to the topic of an event is granted it now.
pub(crate) fn may_hear(shared: &Shared, listing: &Listing, event: &EventEmit) -> bool {
    let Ok(listening) = EventListen::new(event.name()) else {
        return false;
    };
    let gate = {
        let mut gates = shared.listeners.0.lock();
        let gates = gates.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
        let gate = gates.entry(listing.spec.id).or_insert_with(|| {
            let granted = listing.granted.clone().unwrap_or_default();
            AgentGate::new(shared, &listing.spec, granted)
        });
        gate.grant_if_changed(shared, listing.granted.as_ref());
        gate.of(shared, &Arc::clone(&listing.spec))
    };
    gate.check(listening, clock::wall()).is_ok()
}
