//! The node itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Live {
    /// Always `live`.
    pub status: String,
}

/// Whether the node takes requests. What concerns all namespaces at once is shown to tokens with the
/// scope `read` that end at no namespace, and to nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Always `ready`; a node that is not answers 503 with the reason.
    pub status: String,
    /// Agents deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<u64>,
    /// Live instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u64>,
    /// Time since the start. Unit: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_secs: Option<u64>,
    /// The node's budgets and what is used of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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

/// How the journal is. What is counted over all namespaces, and what is wrong with the node's files,
/// is absent for a token that ends at a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalView {
    /// Whether there is one; without it nothing outlives the process.
    pub durable: bool,
    /// The highest place that is on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable_place: Option<u64>,
    /// Records done but not yet durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_records: Option<u64>,
    /// What is not as it was written, in words; absent: nothing that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// How long the oldest of them waits. Unit: microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_micros: Option<u64>,
}
