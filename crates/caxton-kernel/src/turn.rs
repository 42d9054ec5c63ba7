//! What a guest asks during its turn, answered without leaving the turn.

use std::sync::Arc;

use caxton_model::{
    AgentId, Capabilities, HostCode, Micros, Sent, StateWrite, Subscription, TimerSet, Timestamp,
};

use crate::Directory;

/// Answers one turn's host calls and notes what the turn wants done.
#[derive(Debug)]
pub struct TurnCtx {
    #[allow(dead_code, reason = "interface first")]
    directory: Directory,
    effects: TurnEffects,
}

/// What a turn wants done.
#[derive(Debug, Clone, Default)]
pub struct TurnEffects {
    /// Messages, with their receivers resolved.
    pub sent: Vec<Sent>,
    /// Timers set.
    pub timers_set: Vec<TimerSet>,
    /// Timers cancelled.
    pub timers_cancelled: Vec<i32>,
    /// The descriptor registered, if one was.
    pub capabilities: Option<Arc<Capabilities>>,
    /// Subscriptions made.
    pub subscribed: Vec<Subscription>,
    /// Subscriptions ended.
    pub unsubscribed: Vec<i32>,
    /// Seed of the turn's random numbers.
    pub seed: u64,
    /// What the guest read from the clock (at most 1,000 are kept).
    pub clock_reads: Vec<Timestamp>,
    /// State written; filled in by the node.
    pub writes: Vec<StateWrite>,
    /// Bytes of all keys and values after it; filled in by the node.
    pub state_bytes: u64,
    /// Number of keys after it; filled in by the node.
    pub state_keys: u64,
    /// What is left of the rate limit: the bucket goes back to the kernel.
    pub message_tokens: f64,
}

impl TurnCtx {
    /// Whose turn it is.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        AgentId(0)
    }
    /// `send_message`.
    pub fn send_message(&mut self, now: Timestamp, json: &[u8]) -> Result<(), HostCode> {
        let _ = (now, json);
        Err(HostCode::Unavailable)
    }
    /// `send_local_message`: to one agent of this node, by id or name.
    pub fn send_local_message(
        &mut self,
        now: Timestamp,
        id: &str,
        json: &[u8],
    ) -> Result<(), HostCode> {
        let _ = (now, id, json);
        Err(HostCode::Unavailable)
    }
    /// `broadcast_message`: how many agents it reached.
    pub fn broadcast(
        &mut self,
        now: Timestamp,
        filter: &[u8],
        json: &[u8],
    ) -> Result<u32, HostCode> {
        let _ = (now, filter, json);
        Err(HostCode::Unavailable)
    }
    /// `subscribe_messages`: the subscription's id.
    pub fn subscribe(&mut self, filter: &[u8]) -> Result<i32, HostCode> {
        let _ = filter;
        Err(HostCode::Unavailable)
    }
    /// `unsubscribe_messages`.
    pub fn unsubscribe(&mut self, id: i32) -> Result<(), HostCode> {
        let _ = id;
        Err(HostCode::NotFound)
    }
    /// `set_timer`: the timer's id.
    pub fn set_timer(&mut self, now: Timestamp, delay: Micros) -> Result<i32, HostCode> {
        let _ = (now, delay);
        Err(HostCode::Unavailable)
    }
    /// `cancel_timer`.
    pub fn cancel_timer(&mut self, id: i32) -> Result<(), HostCode> {
        let _ = id;
        Err(HostCode::NotFound)
    }
    /// `register_capabilities`, and what `get_capabilities` returned.
    pub fn register_capabilities(&mut self, json: &[u8]) -> Result<(), HostCode> {
        let _ = json;
        Err(HostCode::Malformed)
    }
    /// `random_u32`: the next of the turn's seeded numbers.
    pub fn random_u32(&mut self) -> u32 {
        0
    }
    /// Notes what the guest read from the clock.
    pub fn note_clock(&mut self, at: Timestamp) {
        self.effects.clock_reads.push(at);
    }
    /// What the turn wants done.
    #[must_use]
    pub fn finish(self) -> TurnEffects {
        self.effects
    }
}
