//! What an agent says it can do: the descriptor of FIPA's sense of "capability".

use serde::{Deserialize, Serialize};

use crate::{JSON_DEPTH_MAX, Performative, RawJson, json_depth_exceeds};

/// Services one agent may register.
///
/// The directory is walked on a broadcast; 1,000 keeps one agent from filling it.
const SERVICES_MAX: usize = 1_000;

/// The descriptor an agent registers. Replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// The agent's own version.
    #[serde(default)]
    pub version: String,
    /// Performatives it takes; empty: all. Others are answered `not-understood` by the host.
    #[serde(default)]
    pub performatives: Vec<Performative>,
    /// Interaction protocols it knows.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Ontologies it knows.
    #[serde(default)]
    pub ontologies: Vec<String>,
    /// What it needs to run well. Above its limits or grants: a warning at deploy.
    #[serde(default)]
    pub resource_requirements: ResourceRequirements,
    /// What it offers; a capability is a service's name.
    #[serde(default)]
    pub services: Vec<ServiceDescription>,
    /// Content languages it knows.
    #[serde(default)]
    pub languages: Vec<String>,
}

/// What an agent says it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceRequirements {
    /// Least memory. Unit: MiB.
    pub min_memory_mb: u32,
    /// Memory it runs well with. Unit: MiB.
    pub preferred_memory_mb: u32,
    /// Whether it computes much.
    pub cpu_intensive: bool,
    /// Whether it wants the network.
    pub network_access: bool,
    /// Whether it stores state.
    pub persistence_needed: bool,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceDescription {
    /// The capability's name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of what it takes.
    #[serde(default)]
    pub input_schema: RawJson,
    /// JSON Schema of what it gives.
    #[serde(default)]
    pub output_schema: RawJson,
    /// What it promises. Unit: milliseconds.
    #[serde(default)]
    pub estimated_latency_ms: u32,
    /// FIPA's type of the service.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Interaction protocols of this service.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Ontologies of this service.
    #[serde(default)]
    pub ontologies: Vec<String>,
    /// Content languages of this service.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Properties of this service, as registered.
    #[serde(default)]
    pub properties: RawJson,
}

/// Why a descriptor was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CapabilitiesError {
    /// Not the JSON of a descriptor.
    #[error("not a capability descriptor: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Nested too deep to be read safely.
    #[error("nested deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
    /// Too many services.
    #[error("at most {SERVICES_MAX} services, got {count}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A service without a name.
    #[error("service {index} has no name")]
    NoName {
        /// Which one, from 0.
        index: usize,
    },
}

impl Capabilities {
    /// Reads what a guest registered.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CapabilitiesError> {
        if json_depth_exceeds(bytes, JSON_DEPTH_MAX) {
            return Err(CapabilitiesError::TooDeep);
        }
        let read: Self = serde_json::from_slice(bytes)?;
        read.check()?;
        Ok(read)
    }
    /// Checks what its form does not say.
    ///
    /// Errors: too many services, or one without a name.
    pub fn check(&self) -> Result<(), CapabilitiesError> {
        let count = self.services.len();
        if count > SERVICES_MAX {
            return Err(CapabilitiesError::TooMany { count });
        }
        let mut services = self.services.iter();
        match services.position(|service| service.name.is_empty()) {
            Some(index) => Err(CapabilitiesError::NoName { index }),
            None => Ok(()),
        }
    }
    /// Whether the agent takes such a message.
    #[must_use]
    pub fn accepts(&self, performative: Performative) -> bool {
        self.performatives.is_empty() || self.performatives.contains(&performative)
    }
}
