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
pub(super) struct Warm {
    /// Their stacks may be in memory.
    stacks: Line,
    /// Their memories may be.
    memories: Line,
}

impl Default for Warm {
    fn default() -> Self {
        Self {
            stacks: Line {
                kept: STACK_KEPT,
                a_round: STACKS_A_ROUND,
                stands: |slot| &mut slot.stack_waits,
                agents: VecDeque::new(),
            },
            memories: Line {
                kept: MEMORY_KEPT,
                a_round: MEMORIES_A_ROUND,
                stands: |slot| &mut slot.memory_waits,
                agents: VecDeque::new(),
            },
        }
    }
}

/// Agents, each with a time at which it was still at work. Its slot knows with which it stands here:
/// one with another time is of a slot that was made anew since, and passed over.
struct Line {
    kept: Duration,
    /// How many give back in one round.
    a_round: usize,
    stands: fn(&mut Slot) -> &mut Option<Instant>,
    agents: VecDeque<(AgentId, Instant)>,
}

impl Line {
    /// Puts an agent at the end, if it does not stand here.
    fn add(&mut self, agent: AgentId, slot: &mut Slot) {
        let used = slot.used;
        let stands = (self.stands)(slot);
        if stands.is_none() {
            *stands = Some(used);
            self.agents.push_back((agent, used));
        }
    }
    /// Has those that are idle for so long give back what they have. Who was at work since goes to
    /// the line's end. Answers whether anybody was due: then there may be more.
    fn give_back(
        &mut self,
        slots: &mut ById<Slot>,
        now: Instant,
        mut give: impl FnMut(AgentId, &mut Slot),
    ) -> bool {
        let kept = self.kept;
        let is_due = |since: Instant| now.saturating_duration_since(since) >= kept;
        let (mut any, mut given) = (false, 0);
        for _ in 0..LOOKS_A_ROUND {
            if given == self.a_round {
                break;
            }
            let first = self.agents.pop_front_if(|(_, since)| is_due(*since));
            let Some((agent, since)) = first else { break };
            any = true;
            let Some(slot) = slots.get_mut(&agent) else {
                continue;
            };
            if (self.stands)(slot).take_if(|at| *at == since).is_none() {
                continue;
            }
            if slot.turn.is_some() {
                slot.used = now;
            }
            if is_due(slot.used) {
                give(agent, slot);
                given += 1;
            } else {
                self.add(agent, slot);
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
            self.warm.stacks.add(agent, slot);
        }
    }

    /// Gives back the stacks of agents that are idle for a while, and packs the memories of those
    /// that are for longer; answers whether there may be more of them.
    pub(super) fn trim_idle(&mut self) -> bool {
        let Warm { stacks, memories } = &mut self.warm;
        let (slots, now) = (&mut self.slots, self.looked);
        let trimmed = stacks.give_back(slots, now, |agent, slot| {
            if let Some(instance) = &mut slot.instance {
                instance.trim();
                memories.add(agent, slot);
            }
        });
        let packed = memories.give_back(slots, now, |_, slot| {
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use caxton_engine::{Engine, EngineOptions};
    use caxton_model::{Kind, Limits};

    use super::*;
    use crate::{clock, memory::AgentMemory, signal::Signal, signal::TurnWaker};

    const AGENT: AgentId = AgentId(7);

    fn slot(signal: &Arc<Signal>, used: Instant) -> Slot {
        let limits = Limits::for_kind(Kind::Agent);
        Slot {
            instance: None,
            has_instance: false,
            memory: Arc::new(Mutex::new(AgentMemory::new(&limits, clock::now()))),
            turn: None,
            waker: TurnWaker::new(AGENT, Arc::clone(signal)),
            used,
            stack_waits: None,
            memory_waits: None,
        }
    }

    /// Rounds until nobody is due; how often something was given back.
    fn rounds(line: &mut Line, slots: &mut ById<Slot>, now: Instant) -> usize {
        let mut given = 0;
        while line.give_back(slots, now, |_, _| given += 1) {}
        given
    }

    #[test]
    fn an_agent_gives_back_once_however_often_it_worked_or_its_place_was_made_anew() {
        let signal = Signal::new(Engine::new(EngineOptions::default()).unwrap());
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        for mut line in [Warm::default().stacks, Warm::default().memories] {
            let kept = u64::try_from(line.kept.as_millis()).unwrap();
            let mut slots = ById::default();
            for millis in 0..200 {
                let mut slot = slot(&signal, at(millis));
                line.add(AGENT, &mut slot);
                line.add(AGENT, &mut slot);
                slots.insert(AGENT, slot);
            }
            assert_eq!(line.agents.len(), 200, "one for each place");
            if let Some(slot) = slots.get_mut(&AGENT) {
                slot.used = at(500);
            }
            assert_eq!(rounds(&mut line, &mut slots, at(kept + 499)), 0);
            assert_eq!(line.agents.len(), 1, "with its last time");
            assert_eq!(rounds(&mut line, &mut slots, at(kept + 500)), 1);
            assert!(line.agents.is_empty());
        }
    }
}
