//! What every turn counts, looked up once instead of at each turn.

use caxton_kernel::NodeEvent;
use metrics::{Counter, Histogram, counter, histogram};

/// The handles of one shard. Those made before a recorder is there count nothing.
pub(crate) struct Counted {
    /// From when a turn could have begun to when it did.
    pub(crate) wait: Histogram,
    /// From when a turn could have begun to its end.
    pub(crate) turn: Histogram,
    /// Time really run.
    pub(crate) execution: Histogram,
    pub(crate) turns: Counter,
    messages: Counter,
    dead_letters: Counter,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            wait: histogram!("caxton_shard_wait_seconds"),
            turn: histogram!("caxton_turn_seconds"),
            execution: histogram!("caxton_execution_seconds"),
            turns: counter!("caxton_turns_total"),
            messages: counter!("caxton_messages_total"),
            dead_letters: counter!("caxton_dead_letters_total"),
        }
    }
}

impl Counted {
    /// Counts what watchers are told.
    pub(crate) fn event(&self, event: &NodeEvent) {
        match event {
            NodeEvent::Sent { .. } => self.messages.increment(1),
            NodeEvent::DeadLetter { .. } => self.dead_letters.increment(1),
            NodeEvent::Status { .. } | NodeEvent::Fault { .. } => {}
        }
    }
}
