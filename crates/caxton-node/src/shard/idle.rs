//! What idle agents give back: the memory of their stacks, most of their own, values that a
//! checkpoint holds, and their places.

use std::{
    collections::VecDeque,
    sync::PoisonError,
    time::{Duration, Instant},
};

use caxton_model::{AgentId, ById};

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
/// That costs some 40 µs (an agent in Rust), as much again at the next turn: nothing once in ten
/// seconds.
const MEMORY_KEPT: Duration = Duration::from_secs(10);

/// Memories packed in one round.
const MEMORIES_A_ROUND: usize = 1;

/// Agents of each line that are looked at in one round.
const LOOKS_A_ROUND: usize = 64;

/// Agents that may have something to give back.
#[derive(Default)]
pub(super) struct Warm {
    /// Their stacks may be in memory.
    stacks: Line,
    /// Their memories may be.
    memories: Line,
}

/// Agents, each once, with a time at which it was still at work.
#[derive(Default)]
struct Line(VecDeque<(AgentId, Instant)>);

impl Line {
    /// Has those that are idle for so long give back what they have. Who was at work since goes to
    /// the line's end. Answers whether anybody was due: then there may be more.
    fn give_back(
        &mut self,
        slots: &mut ById<Slot>,
        now: Instant,
        kept: Duration,
        at_most: usize,
        mut give: impl FnMut(AgentId, &mut Slot),
    ) -> bool {
        let is_due = |since: Instant| now.saturating_duration_since(since) >= kept;
        let (mut any, mut given) = (false, 0);
        for _ in 0..LOOKS_A_ROUND {
            if given == at_most {
                break;
            }
            let Some((agent, _)) = self.0.pop_front_if(|(_, since)| is_due(*since)) else {
                break;
            };
            any = true;
            let Some(slot) = slots.get_mut(&agent) else {
                continue;
            };
            if slot.turn.is_some() {
                slot.used = now;
            }
            if is_due(slot.used) {
                give(agent, slot);
                given += 1;
            } else {
                self.0.push_back((agent, slot.used));
            }
        }
        any
    }
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
            if !std::mem::replace(&mut slot.stack_waits, true) {
                self.warm.stacks.0.push_back((agent, self.looked));
            }
        }
    }

    /// Gives back the stacks of agents that are idle for a while, and packs the memories of those
    /// that are for longer; answers whether there may be more of them.
    pub(super) fn trim_idle(&mut self) -> bool {
        let Warm { stacks, memories } = &mut self.warm;
        let (slots, now) = (&mut self.slots, self.looked);
        let trimmed = stacks.give_back(slots, now, STACK_KEPT, STACKS_A_ROUND, |agent, slot| {
            slot.stack_waits = false;
            if let Some(instance) = &mut slot.instance {
                instance.trim();
                if !std::mem::replace(&mut slot.memory_waits, true) {
                    memories.0.push_back((agent, slot.used));
                }
            }
        });
        let packed = memories.give_back(slots, now, MEMORY_KEPT, MEMORIES_A_ROUND, |_, slot| {
            slot.memory_waits = false;
            if let Some(instance) = &mut slot.instance {
                instance.pack();
            }
        });
        trimmed || packed
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
