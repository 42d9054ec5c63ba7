//! Who offers what.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A capability that at least one agent has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapabilityEntry {
    /// Its name: the service's.
    pub name: String,
    /// How many agents offer it.
    pub agents: u64,
}

/// What an agent is to be registered with, in place of what it registered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// The agent's own version.
    pub version: String,
    /// Performatives it takes; empty: all.
    #[schema(schema_with = crate::schema::performatives)]
    pub performatives: Vec<caxton_model::Performative>,
    /// Interaction protocols it knows.
    pub protocols: Vec<String>,
    /// Ontologies it knows.
    pub ontologies: Vec<String>,
    /// Content languages it knows.
    pub languages: Vec<String>,
    /// What it offers; a capability is a service's name.
    #[serde(deserialize_with = "services")]
    #[schema(schema_with = crate::schema::services)]
    pub services: Vec<caxton_model::ServiceDescription>,
}

/// Reads services; a whole number may be written `5.0`.
fn services<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<caxton_model::ServiceDescription>, D::Error> {
    let mut services = Vec::<Map<String, Value>>::deserialize(deserializer)?;
    for service in &mut services {
        if let Some(Value::Number(number)) = service.get_mut("estimated_latency_ms")
            && let Some(whole) = caxton_model::whole(number)
        {
            *number = whole.into();
        }
    }
    let services = services.into_iter().map(Value::Object).collect();
    serde_json::from_value(services).map_err(D::Error::custom)
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
