//! What every turn counts, looked up once instead of at each turn, and handed on some at a time:
//! all shards count in the same place.

use std::time::Duration;

use caxton_kernel::NodeEvent;
use metrics::{Counter, Histogram, counter, histogram};

use crate::meters::Meters;

/// The handles of one shard, and what it has not handed on. Handles made before a recorder is there
/// count nothing.
pub(crate) struct Counted {
    /// From when a turn could have begun to when it did.
    wait: Times,
    /// From when a turn could have begun to its end.
    turn: Times,
    /// Time really run.
    execution: Times,
    turns: (Counter, u64),
    messages: (Counter, u64),
    dead_letters: (Counter, u64),
}

/// Times of which some are not yet in the histogram.
struct Times {
    histogram: Histogram,
    some: Vec<Duration>,
}

impl Times {
    const fn new(histogram: Histogram) -> Self {
        Self {
            histogram,
            some: Vec::new(),
        }
    }
    fn hand_on(&mut self) {
        for time in self.some.drain(..) {
            self.histogram.record(time.as_secs_f64());
        }
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            wait: Times::new(histogram!("caxton_shard_wait_seconds")),
            turn: Times::new(histogram!("caxton_turn_seconds")),
            execution: Times::new(histogram!("caxton_execution_seconds")),
            turns: (counter!("caxton_turns_total"), 0),
            messages: (counter!("caxton_messages_total"), 0),
            dead_letters: (counter!("caxton_dead_letters_total"), 0),
        }
    }
}

impl Counted {
    /// A turn waited so long for its begin.
    pub(crate) fn turn_begun(&mut self, waited: Duration) {
        self.wait.some.push(waited);
    }
    /// A turn that took so long, its wait included, has given its thread back.
    pub(crate) fn turn_took(&mut self, took: Duration) {
        self.turn.some.push(took);
    }
    /// A turn that ran for so long has ended.
    pub(crate) fn turn_ended(&mut self, ran: Duration) {
        self.turns.1 += 1;
        self.execution.some.push(ran);
    }
    /// Counts what watchers are told.
    pub(crate) const fn event(&mut self, event: &NodeEvent) {
        match event {
            NodeEvent::Sent { .. } => self.messages.1 += 1,
            NodeEvent::DeadLetter { .. } => self.dead_letters.1 += 1,
            NodeEvent::Status { .. } | NodeEvent::Fault { .. } | NodeEvent::HostBytes { .. } => {}
        }
    }
    /// Hands on what was counted since the last time.
    pub(crate) fn hand_on(&mut self, meters: &Meters) {
        self.wait.hand_on();
        self.turn.hand_on();
        self.execution.hand_on();
        if self.messages.1 > 0 {
            meters.sent(self.messages.1);
        }
        for (counter, some) in [&mut self.turns, &mut self.messages, &mut self.dead_letters] {
            if *some > 0 {
                counter.increment(std::mem::take(some));
            }
        }
    }
}
