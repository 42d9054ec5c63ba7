//! What a shard gives back when the node's memory is short, and how a turn ends that must.

use std::sync::{Arc, PoisonError};

use caxton_engine::Instance;
use caxton_kernel::{TurnEffects, TurnEnd};
use caxton_model::{AgentId, Fault};

use super::{Shard, ShardView};
use crate::{budget::Held, clock};

/// What goes with an instance whose memory is packed, the host's share included: about this.
const PACKED_BYTES: u64 = 32 << 10;

impl ShardView<'_> {
    /// Every guest of this shard that has an instance, or makes one in a turn.
    pub(crate) fn held(&self) -> Vec<Held> {
        let idle: std::collections::HashMap<_, _> = self.kernel.idle().collect();
        self.slots
            .iter()
            .filter(|(_, slot)| slot.instance.is_some() || slot.turn.is_some())
            .map(|(agent, slot)| {
                let memory = slot.memory.lock().unwrap_or_else(PoisonError::into_inner);
                let packed = slot.instance.as_ref().is_some_and(Instance::is_packed);
                let most = if packed { PACKED_BYTES } else { u64::MAX };
                Held {
                    agent: *agent,
                    bytes: memory.guest_bytes.min(most),
                    idle_since: idle.get(agent).copied(),
                }
            })
            .collect()
    }
}

impl Shard {
    /// Ends the turn that runs as a fault, now: its call and its instance are dropped.
    pub(super) fn fault_turn(&mut self, agent: AgentId, fault: Fault) {
        let turn = self.slots.get_mut(&agent).and_then(|slot| slot.turn.take());
        let Some(turn) = turn else { return };
        let (number, spec) = (turn.number, Arc::clone(&turn.spec));
        drop(turn);
        self.shared.meters.fault(spec.id, &fault, clock::now());
        self.set_instance(agent, None);
        let end = TurnEnd {
            agent,
            turn: number,
            result: Err(fault),
            effects: TurnEffects::default(),
            cpu_micros: 0,
            instance_kept: false,
            ended: false,
        };
        self.turn_ended(&spec, Box::new(end));
    }
}
