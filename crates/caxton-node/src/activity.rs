//! What the node did in the last second, and which agents did it: what an operator looks at first.

use std::{collections::HashMap, time::Duration};

use caxton_kernel::Listing;
use caxton_model::{AgentStatus, ById};

use crate::shared::Shared;

/// What one agent did within a pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Turns that ended.
    pub turns: u64,
    /// Turns that faulted.
    pub faults: u64,
    /// Time really run by turns that ended. Unit: nanoseconds.
    pub cpu_nanos: u64,
}

impl Activity {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            turns: self.turns.saturating_add(other.turns),
            faults: self.faults.saturating_add(other.faults),
            cpu_nanos: self.cpu_nanos.saturating_add(other.cpu_nanos),
        }
    }
}

/// The last pulse: about a second of the node's life.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// How long it was.
    pub span: Duration,
    /// What all agents did in it.
    pub done: Activity,
    /// What they did from the start up to its end.
    pub total: Activity,
    /// Messages sent in it.
    pub messages: u64,
    /// Messages sent from the start up to its end.
    pub messages_total: u64,
    /// Agents that did something in it.
    pub agents: ById<Activity>,
}

impl Pulse {
    /// The pulse that follows this one.
    pub(crate) fn next(&self, shared: &Shared, span: Duration) -> Self {
        let agents = shared.meters.take_recent();
        let done = agents
            .values()
            .fold(Activity::default(), |sum, one| sum.and(*one));
        let messages_total = shared.meters.messages();
        Self {
            span,
            done,
            total: self.total.and(done),
            messages: messages_total.saturating_sub(self.messages_total),
            messages_total,
            agents,
        }
    }
}

/// How many agents there are, and what waits for them.
#[derive(Debug, Clone, Default)]
pub struct Census {
    by_status: HashMap<AgentStatus, u64>,
    /// Messages that wait in all mailboxes.
    pub waiting_messages: u64,
    /// Their size. Unit: bytes.
    pub waiting_bytes: u64,
}

impl Census {
    /// Counts them.
    #[must_use]
    pub fn of(listings: &[Listing]) -> Self {
        let mut census = Self::default();
        for listing in listings {
            *census.by_status.entry(listing.status).or_default() += 1;
            census.waiting_messages += u64::from(listing.gauge.messages());
            census.waiting_bytes += listing.gauge.bytes();
        }
        census
    }
    /// How many are there in their life.
    #[must_use]
    pub fn with(&self, status: AgentStatus) -> u64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }
}

/// Where the process's memory is. Kinds overlap: `resident` is the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Linear memories of live agents, as large as they made them. Unit: bytes.
    pub guest_bytes: u64,
    /// Memories of agents that are idle for long, as they are packed. Unit: bytes.
    pub packed_bytes: u64,
    /// Stacks of live agents, as far as they are in memory. Unit: bytes.
    pub stack_bytes: u64,
    /// Compiled code of modules that are ready. Unit: bytes.
    pub code_bytes: u64,
    /// What of the process is in memory. Unit: bytes; 0 where the system does not say.
    pub resident_bytes: u64,
    /// The system's tables for the process's memory, beside the above. Unit: bytes.
    pub page_table_bytes: u64,
}

impl Footprint {
    /// Blocking: asks the system. Cost: some 100 us, and more with many live agents.
    pub(crate) fn of(shared: &Shared) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            guest_bytes: shared.engine.agents_memory_bytes(),
            packed_bytes: shared.engine.agents_packed_bytes(),
            stack_bytes: shared.engine.agents_stack_bytes(),
            code_bytes: shared.modules.code_bytes(),
            resident_bytes: status_bytes(&status, "VmRSS:"),
            page_table_bytes: status_bytes(&status, "VmPTE:"),
        }
    }
}

/// One line of `/proc/self/status`, which counts in KiB.
fn status_bytes(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .unwrap_or(0)
        .saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_lines_are_read() {
        let status = "Name:\tx\nVmRSS:\t    1024 kB\nVmPTE:\t       4 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), 1 << 20);
        assert_eq!(status_bytes(status, "VmPTE:"), 4096);
        assert_eq!(status_bytes(status, "VmSwap:"), 0);
    }
}
