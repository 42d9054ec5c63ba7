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
    /// How long the oldest of them waits. Unit: microseconds.
    #[serde(default)]
    pub lag_micros: u64,
}
