//! How the node is loaded, and by whom.

use caxton_model::AgentStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{JournalView, MailboxUse};

/// What the busiest agents are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopSort {
    /// Time they ran.
    #[default]
    Cpu,
    /// Turns they ended.
    Turns,
    /// Messages that wait for them.
    Mailbox,
    /// Memory they have.
    Memory,
    /// Turns that faulted.
    Faults,
}

impl TopSort {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cpu,
        Self::Turns,
        Self::Mailbox,
        Self::Memory,
        Self::Faults,
    ];
    /// As in the query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Turns => "turns",
            Self::Mailbox => "mailbox",
            Self::Memory => "memory",
            Self::Faults => "faults",
        }
    }
}

/// How the node is loaded, and by whom. Rates are those of the last second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopView {
    /// Time since the start. Unit: seconds.
    pub uptime_secs: u64,
    /// What the rates are taken over; 0 in the first second. Unit: microseconds.
    pub span_micros: u64,
    /// How many agents there are.
    pub agents: AgentCounts,
    /// What all of them do.
    pub rates: Rates,
    /// What all of them did since the start.
    pub totals: Totals,
    /// What waits in all mailboxes.
    pub waiting: Waiting,
    /// How far the disk is behind.
    pub journal: JournalView,
    /// Where the memory is.
    pub memory: MemoryUse,
    /// The busiest agents that the caller may see, busiest first.
    pub busiest: Vec<BusyAgent>,
    /// For whom the host keeps most beside mailboxes and state, of those that the caller may see.
    #[serde(default)]
    pub kept: Vec<KeptFor>,
}

/// What the host keeps for an agent or an outside client beside its mailbox and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptFor {
    /// Its name.
    pub owner: String,
    /// Now. Unit: bytes.
    pub bytes: u64,
    /// At most, since the node was started. Unit: bytes.
    pub peak_bytes: u64,
    /// Its limit `host_bytes`; absent where it does not bind. Unit: bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// How many agents there are, by where they are in their life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AgentCounts {
    /// All.
    pub total: u64,
    /// They take messages.
    pub running: u64,
    /// They take messages; their instance is made at the next one.
    pub passivated: u64,
    /// They failed too often and wait for the operator.
    pub failed: u64,
    /// The operator has stopped them.
    pub stopped: u64,
}

/// What is done in a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Turns that ended.
    pub turns_per_second: f64,
    /// Messages sent.
    pub messages_per_second: f64,
    /// Turns that faulted.
    pub faults_per_second: f64,
    /// Time that guests really ran, noted when their turn ends. Unit: percent of one core.
    pub cpu_percent: f64,
}

/// What was done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Turns that ended.
    pub turns: u64,
    /// Messages sent.
    pub messages: u64,
    /// Turns that faulted.
    pub faults: u64,
}

/// What waits in all mailboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// Messages.
    pub messages: u64,
    /// Their size. Unit: bytes.
    pub bytes: u64,
}

/// Where the process's memory is, by kind. `resident_bytes` is the whole of what is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct MemoryUse {
    /// Linear memories of live agents, as large as they made them. Unit: bytes.
    pub guest_bytes: u64,
    /// Memories of agents that are idle for ten seconds, as they are packed. Unit: bytes.
    pub packed_bytes: u64,
    /// Stacks of live agents, as far as they are in memory. Unit: bytes.
    pub stack_bytes: u64,
    /// Compiled code. Unit: bytes.
    pub code_bytes: u64,
    /// What of the process is in memory; 0 where the system does not say. Unit: bytes.
    pub resident_bytes: u64,
    /// The system's page tables for it, beside the above. Unit: bytes.
    pub page_table_bytes: u64,
}

/// One of the busiest agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BusyAgent {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    #[schema(schema_with = crate::schema::status)]
    pub status: AgentStatus,
    /// Turns that ended.
    pub turns_per_second: f64,
    /// Turns that faulted.
    pub faults_per_second: f64,
    /// Time it really ran, noted when its turn ends. Unit: percent of one core.
    pub cpu_percent: f64,
    /// What waits for it.
    pub mailbox: MailboxUse,
    /// Its memory after its last turn. Unit: bytes.
    pub memory_bytes: u64,
}
