//! Who offers what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A capability that at least one agent has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapabilityEntry {
    /// Its name: the service's.
    pub name: String,
    /// How many agents offer it.
    pub agents: u64,
}

/// One agent's offer of a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    /// The agent's id.
    pub agent: String,
    /// The agent's name.
    pub name: String,
    /// Where the agent is in its life.
    #[schema(schema_with = crate::schema::status)]
    pub status: caxton_model::AgentStatus,
    /// Messages waiting for it.
    pub mailbox_messages: u32,
    /// What the agent says of the service: description, schemas, latency.
    #[schema(value_type = Object)]
    pub service: caxton_model::ServiceDescription,
}
