//! Processors as the API shows them, and how one is to be deployed.

use std::collections::BTreeMap;

use caxton_model::{AskedLimits, EngineProfile, Kind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    AskedGrants, AskedLimitMap, ConfigError, GrantEntry, LimitUse, NotGranted, PermissionChange,
    RequestedEntry,
    asked::{read_grants, read_limits, read_rules},
};

/// Everything about a processor's deployment but the module itself. Only the name is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessorConfig {
    /// The processor's name, optionally `namespace/name`. One of the same name is replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(
        pattern = "^([A-Za-z][A-Za-z0-9_.-]{0,62}/)?[A-Za-z][A-Za-z0-9_.-]{0,62}$",
        example = "resize"
    )]
    pub name: String,
    /// The package's version. Default: `0.0.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1.2.0", max_length = 128)]
    pub version: Option<String>,
    /// Limits of each call that differ from the defaults: numbers in base units, texts with units, or
    /// null for unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = crate::schema::limits)]
    pub limits: AskedLimitMap,
    /// What it may do beyond the default, by permission, beside what the version before was granted. Needs
    /// scope admin.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::agent_config::asked_grants"
    )]
    #[schema(schema_with = crate::schema::grants)]
    pub grants: AskedGrants,
    /// Its own configuration, as the guest reads it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// The engine profile. Default: `deterministic`, so that the same input has the same output;
    /// `hardened` for a WASI command, and for a module that imports a right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::schema::profile)]
    pub profile: Option<EngineProfile>,
}

impl ProcessorConfig {
    /// The limits asked for.
    ///
    /// Errors: [`ConfigError::Limit`].
    pub fn asked_limits(&self) -> Result<AskedLimits, ConfigError> {
        read_limits([&self.limits, &AskedLimitMap::new()])
    }
    /// The rules that are granted, each with its reason.
    ///
    /// Errors: as [`AgentConfig::asked_grants`](crate::AgentConfig::asked_grants), and for
    /// `message:send`: a processor sends no messages.
    pub fn asked_rules(&self) -> Result<Vec<(String, Option<String>)>, ConfigError> {
        if read_grants(&self.grants)?.message_send.is_some() {
            return Err(ConfigError::SendsNothing);
        }
        Ok(read_rules(&self.grants))
    }
}

/// A processor in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessorSummary {
    /// Its name.
    pub name: String,
    /// The namespace it stands in.
    pub namespace: String,
    /// What its module serves as: a processor, from bytes to bytes, or an extension, with named actions.
    #[schema(schema_with = crate::schema::callable)]
    pub kind: Kind,
    /// The package's version.
    pub version: String,
    /// The module it runs, by digest.
    pub module: String,
    /// The engine it runs on.
    #[schema(schema_with = crate::schema::profile)]
    pub profile: EngineProfile,
    /// When this version was deployed.
    #[schema(format = DateTime)]
    pub deployed_at: String,
}

/// A processor that was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeployedProcessor {
    /// The processor.
    #[serde(flatten)]
    pub processor: ProcessorSummary,
    /// Whether it took the place of one of the same name.
    pub replaced: bool,
    /// What the operator should know, such as a right without an import.
    pub warnings: Vec<String>,
    /// What its manifest asks for, and what it is not granted as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_granted: Vec<NotGranted>,
    /// Of another version: what it asks for otherwise than the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission_changes: Vec<PermissionChange>,
}

/// Everything about one processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessorDetail {
    /// What a list shows.
    #[serde(flatten)]
    pub processor: ProcessorSummary,
    /// Each limit, and how much of it the last call used.
    pub limits: Vec<LimitUse>,
    /// What its manifest asks for, rule by rule; absent: it has no manifest, and has what it is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Vec<RequestedEntry>>,
    /// What it is granted, rule by rule.
    pub grants: Vec<GrantEntry>,
    /// Names of its own configuration; values may be secret.
    pub config_keys: Vec<String>,
    /// What its calls did since the node's start.
    pub counters: CallCounters,
}

/// What the calls of a processor did since the node's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CallCounters {
    /// Calls that run now.
    pub running: u64,
    /// Calls that ended.
    pub calls: u64,
    /// Calls in which the guest gave up by itself.
    pub errors: u64,
    /// Calls that faulted.
    pub faults: u64,
    /// Time really run. Unit: microseconds.
    pub cpu_micros: u64,
}

/// What one call used, as its answer's headers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallMeasures {
    /// Time really run. Unit: microseconds.
    pub cpu_micros: u64,
    /// The same, and time suspended in host functions.
    pub wall_micros: u64,
    /// The most memory that the instance had. Unit: bytes.
    pub memory_peak_bytes: u64,
    /// Host functions called.
    pub host_calls: u64,
    /// Requests for memory, refused ones too.
    pub allocations: u64,
    /// Fuel burned, under the profiles that meter it.
    pub fuel: u64,
}

impl CallMeasures {
    /// The headers of an answer that say it.
    #[must_use]
    pub const fn headers(&self) -> [(&'static str, u64); 6] {
        [
            ("caxton-cpu-micros", self.cpu_micros),
            ("caxton-wall-micros", self.wall_micros),
            ("caxton-memory-peak-bytes", self.memory_peak_bytes),
            ("caxton-host-calls", self.host_calls),
            ("caxton-allocations", self.allocations),
            ("caxton-fuel", self.fuel),
        ]
    }
    /// Reads them; what is missing is 0.
    #[must_use]
    pub fn read(header: impl Fn(&str) -> Option<u64>) -> Self {
        let of = |name| header(name).unwrap_or(0);
        Self {
            cpu_micros: of("caxton-cpu-micros"),
            wall_micros: of("caxton-wall-micros"),
            memory_peak_bytes: of("caxton-memory-peak-bytes"),
            host_calls: of("caxton-host-calls"),
            allocations: of("caxton-allocations"),
            fuel: of("caxton-fuel"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_go_into_headers_and_come_back() {
        let measures = CallMeasures {
            cpu_micros: 1,
            wall_micros: 2,
            memory_peak_bytes: 3,
            host_calls: 4,
            allocations: 5,
            fuel: 6,
        };
        let headers = measures.headers();
        let find = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted);
        assert_eq!(CallMeasures::read(|name| Some(find(name)?.1)), measures);
    }
}
