//! What idle agents give back: the memory of their stacks, most of their own, values that a
//! checkpoint holds, and their places.

use std::{
    collections::VecDeque,
    sync::PoisonError,
    time::{Duration, Instant},
};

use caxton_model::AgentId;

use super::{Shard, Slot};

/// How often what the checkpoint holds is dropped from memory.
const TRIM_EVERY: Duration = Duration::from_millis(500);

/// How long after its last turn an agent's stack is kept in memory.
///
/// Giving it back costs 3 µs, and the next turn's first touch 1 µs a page: nothing once a second.
const STACK_KEPT: Duration = Duration::from_secs(1);

/// Stacks given back in one round, so that turns wait for no more than some of them.
const STACKS_A_ROUND: usize = 64;

/// How long after its last turn an agent's memory is kept as it is; then it is packed.
///
/// That costs some 40 µs (an agent in Rust), as much again at the next turn: nothing once in ten seconds.
const MEMORY_KEPT: Duration = Duration::from_secs(10);

/// Memories packed in one round.
const MEMORIES_A_ROUND: usize = 2;

/// Agents that may have something to give back, each with a time at which it was still at work.
#[derive(Default)]
pub(super) struct Warm {
    /// Their stacks may be in memory.
    stacks: VecDeque<(AgentId, Instant)>,
    /// Their memories may be. Whoever was at work since its time stands here again, or will.
    memories: VecDeque<(AgentId, Instant)>,
}

impl Slot {
    /// Whether nothing is lost when it is made anew.
    pub(super) fn is_bare(&self) -> bool {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        self.instance.is_none() && self.turn.is_none() && memory.is_empty()
    }
}

impl Shard {
    /// Notes that an agent with an instance has just had a turn.
    pub(super) fn used(&mut self, agent: AgentId) {
        if let Some(slot) = self.slots.get_mut(&agent) {
            slot.used = self.looked;
            if !std::mem::replace(&mut slot.warm, true) {
                self.warm.stacks.push_back((agent, self.looked));
            }
        }
    }

    /// Gives back the stacks of agents that are idle for a while, and packs the memories of those
    /// that are for longer; answers whether there were any.
    pub(super) fn trim_idle(&mut self) -> bool {
        let mut any = false;
        for _ in 0..STACKS_A_ROUND {
            let Some((agent, _)) = pop_due(&mut self.warm.stacks, self.looked, STACK_KEPT) else {
                break;
            };
            let Some(slot) = self.slots.get_mut(&agent) else {
                continue;
            };
            if slot.turn.is_some() {
                slot.used = self.looked;
            }
            if self.looked.saturating_duration_since(slot.used) < STACK_KEPT {
                self.warm.stacks.push_back((agent, slot.used));
                continue;
            }
            slot.warm = false;
            if let Some(instance) = &mut slot.instance {
                instance.trim();
                self.warm.memories.push_back((agent, slot.used));
                any = true;
            }
        }
        for _ in 0..MEMORIES_A_ROUND {
            let due = pop_due(&mut self.warm.memories, self.looked, MEMORY_KEPT);
            let Some((agent, since)) = due else { break };
            any = true;
            if let Some(slot) = self.slots.get_mut(&agent)
                && slot.used == since
                && let Some(instance) = &mut slot.instance
            {
                instance.pack();
            }
        }
        any
    }

    /// Drops the values that the checkpoint holds, and the places of agents that have nothing else.
    pub(super) fn trim_values(&mut self) {
        if self.written.is_empty() || self.trimmed.elapsed() < TRIM_EVERY {
            return;
        }
        self.trimmed = Instant::now();
        let seq = self.shared.store.checkpointed_seq(self.number);
        let slots = &mut self.slots;
        self.written.retain(|agent| {
            let Some(slot) = slots.get(agent) else {
                return false;
            };
            let mut memory = slot.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.checkpointed(seq);
            let keeps = !memory.is_empty();
            drop(memory);
            if slot.is_bare() {
                slots.remove(agent);
            }
            keeps
        });
    }
}

/// The first of a line, if its time is so long ago.
fn pop_due(
    line: &mut VecDeque<(AgentId, Instant)>,
    now: Instant,
    kept: Duration,
) -> Option<(AgentId, Instant)> {
    line.pop_front_if(|(_, since)| now.saturating_duration_since(*since) >= kept)
}
