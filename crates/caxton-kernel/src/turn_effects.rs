//! What a turn wants done, as it comes back from the node.

use std::sync::Arc;

use caxton_model::{Capabilities, RowWrite, Sent, StateWrite, Subscription, TimerSet, Timestamp};

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
    /// Rows of shared tables written; filled in by the node.
    pub rows: Vec<RowWrite>,
    /// Bytes of all keys and values after it; filled in by the node.
    pub state_bytes: u64,
    /// Number of keys after it; filled in by the node.
    pub state_keys: u64,
    /// What is left of the rate limit: the bucket goes back to the kernel.
    pub message_tokens: f64,
    /// When that was so.
    pub message_tokens_at: Timestamp,
    /// What all of the agent's own metrics take; `None`: no new one was recorded. They stay,
    /// whatever comes of the turn. Unit: bytes.
    pub metric_bytes: Option<u64>,
    /// Elements that the host looked at for the turn's calls; their time is part of the turn's own.
    pub visited: u64,
}
