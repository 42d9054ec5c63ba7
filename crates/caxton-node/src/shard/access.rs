//! Accesses of turns: handed to the kernel, performed once their intent is durable, and answered.

use std::{
    sync::{Arc, PoisonError},
    task::Wake as _,
    time::Duration,
};

use caxton_kernel::{Event, SHARD_OF_PROCESSORS};
use caxton_model::{AgentId, GrantedRules};

use super::{Shard, ShardMessage};
use crate::{access, rights::AgentGate};

/// Pause before a shard with a full queue is offered an outcome again.
const OFFER_AGAIN: Duration = Duration::from_millis(5);

impl Shard {
    /// Hands the kernel what a turn that waits has just asked for, if it has.
    pub(super) fn look_for_access(&mut self, agent: AgentId) {
        let asked = self.slots.get(&agent).map(|slot| &slot.memory);
        if let Some(asked) = asked.and_then(|memory| access::take_asked(memory)) {
            self.step(Event::AccessAsked(Box::new(asked)));
        }
    }

    /// Gives the gate of an agent or a processor other rights: its next access sees them.
    pub(super) fn set_rights(&mut self, agent: AgentId, granted: &GrantedRules) {
        if self.number == SHARD_OF_PROCESSORS {
            self.shared.processors.grant(&self.shared, agent, granted);
        }
        if let Some(slot) = self.slots.get(&agent) {
            let mut memory = slot.memory.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut memory.gate {
                Some(gate) => gate.grant(&self.shared, granted),
                // The turn that runs began with what counted before.
                None => {
                    let listing = self.shared.directory.get(agent);
                    let granted = Arc::clone(granted);
                    memory.gate = listing.map(|l| AgentGate::new(&self.shared, &l.spec, granted));
                }
            }
        }
    }

    /// Has an access performed once everything so far is durable.
    pub(super) fn perform_access(&mut self, agent: AgentId, turn: u64, number: u32, key: String) {
        let memory = self.slots.get(&agent).map(|slot| &slot.memory);
        let Some(perform) = memory.and_then(|memory| access::take_perform(memory)) else {
            return;
        };
        let (shared, shard) = (Arc::clone(&self.shared), self.number);
        self.tell_outside(move |_, is_durable| {
            if !is_durable {
                return;
            }
            let io = shared.io.clone();
            io.spawn(async move {
                let outcome = perform(Some(key)).await;
                let event = || {
                    let outcome = Arc::clone(&outcome);
                    ShardMessage::Event(Event::AccessEnded {
                        agent,
                        turn,
                        number,
                        outcome,
                    })
                };
                // What was performed must be recorded: a full queue is waited for.
                while shared.send(shard, event()).is_err() && !shared.is_closing() {
                    tokio::time::sleep(OFFER_AGAIN).await;
                }
            });
        });
    }

    /// Lets a turn go on with what its access came to.
    pub(super) fn resume(&mut self, agent: AgentId, turn: u64, outcome: access::Outcome) {
        let slot = self.slots.get(&agent);
        let is_its = |number: u64| number == turn;
        if let Some(slot) = slot.filter(|s| s.turn.as_ref().is_some_and(|t| is_its(t.number))) {
            access::resume(&slot.memory, outcome);
            Arc::clone(&slot.waker).wake();
        }
    }
}
