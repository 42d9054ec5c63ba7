//! The node itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Live {
    /// Always `live`.
    pub status: String,
}

/// Whether the node takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Always `ready`; a node that is not answers 503 with the reason.
    pub status: String,
    /// Agents deployed.
    pub agents: u64,
    /// Live instances.
    pub instances: u64,
    /// Time since the start. Unit: seconds.
    pub uptime_secs: u64,
    /// The node's budgets and what is used of each.
    #[serde(default)]
    pub budgets: Vec<BudgetView>,
}

/// A budget of the node: what all guests together may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetView {
    /// Its name, as in `[budgets]` of the configuration.
    pub name: String,
    /// What is used. Unit: bytes, or a count where the name counts something.
    pub used: u64,
    /// What is allowed; absent: nothing bounds it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// Always `caxton`.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The API's version.
    pub api: String,
    /// What turns guest code into action: `cranelift` or `pulley`.
    #[serde(default)]
    pub engine: String,
    /// Where modules become machine code: `sandbox`, `process`, or `node` for the node's own process.
    #[serde(default)]
    pub compiles_in: String,
}

/// How the journal is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalView {
    /// Whether there is one; without it nothing outlives the process.
    pub durable: bool,
    /// The highest place that is on the disk.
    pub durable_place: u64,
    /// Records done but not yet durable.
    pub lag_records: u64,
    /// What is not as it was written, in words; absent: nothing that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// How long the oldest of them waits. Unit: microseconds.
    #[serde(default)]
    pub lag_micros: u64,
}
