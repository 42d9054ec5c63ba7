//! Deploying, in the words of the agent guide: `wasm_module`, `config.resources`, `agent_id`.

use std::collections::BTreeMap;

use caxton_api::{
    AgentSummary, AskedGrants, AskedLimitMap, AskedValue, Deployed, NotGranted, PermissionChange,
};
use caxton_model::{Durability, EngineProfile, Micros, Supervision};
use reqwest::{Method, Url, multipart};

use crate::{CaxtonClient, ClientError};

/// A module and how it is to be deployed.
#[derive(Debug, Clone, Default)]
pub struct DeployAgentRequest {
    /// The module's bytes.
    pub wasm_module: Vec<u8>,
    /// Everything else.
    pub config: AgentConfig,
}

/// How an agent is to be deployed. Only the name is needed.
#[derive(Debug, Clone, Default)]
pub struct AgentConfig {
    /// Its name, free on the node. An update ignores it.
    pub name: String,
    /// The six limits most often set.
    pub resources: ResourceLimits,
    /// Capabilities it is said to have, until it registers its own.
    pub capabilities: Vec<String>,
    /// Any other limits, by name. They come before `resources`.
    pub limits: AskedLimitMap,
    /// The package's version. Default: `0.0.0`.
    pub version: Option<String>,
    /// What it may do beyond the default, by permission. Needs a token with scope admin.
    pub grants: AskedGrants,
    /// Whether its state survives. Default: it does; an update keeps what it was.
    pub durability: Durability,
    /// How it is kept alive.
    pub supervision: Option<Supervision>,
    /// Its own configuration, as the guest reads it.
    pub config: BTreeMap<String, String>,
    /// The engine profile.
    pub profile: EngineProfile,
    /// Idle time after which its instance may go.
    pub passivate_after: Option<Micros>,
    /// The package's manifest, `caxton.toml`.
    pub manifest: Option<String>,
}

/// The six limits most often set. A value equal to the default is left to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Memory; 0: as much as the node allows. Unit: bytes. Default: 50 MiB.
    pub max_memory_bytes: u64,
    /// Time really run per turn. Unit: microseconds. Default: 100,000.
    pub max_cpu_micros: u64,
    /// Run and wait per turn. Unit: microseconds. Default: 1,000,000.
    pub max_execution_time_micros: u64,
    /// Host functions called per turn. Default: 1,000.
    pub max_host_calls: u32,
    /// Messages sent a second. Default: 100.
    pub max_messages_per_second: u32,
    /// Requests for memory per turn. Default: 10,000.
    pub max_allocations: u32,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            max_memory_bytes: 50 * 1024 * 1024,
            max_cpu_micros: 100_000,
            max_execution_time_micros: 1_000_000,
            max_host_calls: 1_000,
            max_messages_per_second: 100,
            max_allocations: 10_000,
        }
    }
}

impl ResourceLimits {
    fn fields(self) -> [(&'static str, u64); 6] {
        [
            ("memory", self.max_memory_bytes),
            ("cpu", self.max_cpu_micros),
            ("wall", self.max_execution_time_micros),
            ("host_calls", u64::from(self.max_host_calls)),
            (
                "messages_per_second",
                u64::from(self.max_messages_per_second),
            ),
            ("allocations", u64::from(self.max_allocations)),
        ]
    }
    /// Those that differ from the defaults.
    fn asked(self) -> impl Iterator<Item = (&'static str, u64)> {
        self.fields()
            .into_iter()
            .zip(Self::default().fields())
            .filter(|(own, default)| own != default)
            .map(|(own, _)| own)
    }
}

impl From<AgentConfig> for caxton_api::AgentConfig {
    fn from(config: AgentConfig) -> Self {
        let mut limits = config.limits;
        for (name, value) in config.resources.asked() {
            limits
                .entry(name.to_owned())
                .or_insert(AskedValue::Number(value));
        }
        Self {
            name: config.name,
            version: config.version,
            limits,
            resources: AskedLimitMap::new(),
            capabilities: config.capabilities,
            grants: config.grants,
            durability: (config.durability != Durability::default()).then_some(config.durability),
            supervision: config.supervision,
            config: config.config,
            profile: config.profile,
            passivate_after: config.passivate_after,
        }
    }
}

/// An agent that was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its id.
    pub agent_id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What its manifest asks for, and what it is not granted as a whole.
    pub not_granted: Vec<NotGranted>,
    /// After an update: what it asks for otherwise than the version before.
    pub permission_changes: Vec<PermissionChange>,
    /// Everything else that is known of it.
    pub agent: AgentSummary,
}

impl From<Deployed> for Deployment {
    fn from(deployed: Deployed) -> Self {
        Self {
            agent_id: deployed.agent.id.clone(),
            name: deployed.agent.name.clone(),
            version: deployed.agent.version.clone(),
            warnings: deployed.warnings,
            not_granted: deployed.not_granted,
            permission_changes: deployed.permission_changes,
            agent: deployed.agent,
        }
    }
}

impl CaxtonClient {
    /// Deploys an agent. It takes messages when this returns.
    ///
    /// Errors: [`ClientError::Refused`], for example with `name-taken` or `invalid-module`.
    pub async fn deploy_agent(
        &self,
        request: DeployAgentRequest,
    ) -> Result<Deployment, ClientError> {
        let url = self.api(&["agents"], &[]);
        self.send_module(url, request, None).await
    }

    /// The same; a repetition with the same key within 24 hours changes nothing.
    pub async fn deploy_agent_once(
        &self,
        request: DeployAgentRequest,
        idempotency_key: &str,
    ) -> Result<Deployment, ClientError> {
        let url = self.api(&["agents"], &[]);
        self.send_module(url, request, Some(idempotency_key)).await
    }

    /// Switches an agent, by id or name, to another module or other settings; its state stays.
    pub async fn update_agent(
        &self,
        agent: &str,
        request: DeployAgentRequest,
    ) -> Result<Deployment, ClientError> {
        let url = self.api(&["agents", agent, "update"], &[]);
        self.send_module(url, request, None).await
    }

    async fn send_module(
        &self,
        url: Url,
        request: DeployAgentRequest,
        key: Option<&str>,
    ) -> Result<Deployment, ClientError> {
        let manifest = request.config.manifest.clone();
        let config = caxton_api::AgentConfig::from(request.config);
        let config = serde_json::to_string(&config).map_err(|error| ClientError::Unreadable {
            url: url.to_string(),
            reason: error.to_string(),
        })?;
        let module = multipart::Part::bytes(request.wasm_module).file_name("module.wasm");
        let mut form = multipart::Form::new()
            .text("config", config)
            .part("module", module);
        if let Some(manifest) = manifest {
            form = form.text("manifest", manifest);
        }
        let mut request = self.request(Method::POST, url).multipart(form);
        if let Some(key) = key {
            request = request.header(caxton_api::IDEMPOTENCY_KEY, key);
        }
        self.json::<Deployed>(request).await.map(Deployment::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_the_defaults_is_asked_for() {
        let config = AgentConfig {
            name: "a".to_owned(),
            resources: ResourceLimits {
                max_memory_bytes: 1024 * 1024,
                ..ResourceLimits::default()
            },
            ..AgentConfig::default()
        };
        let wire = caxton_api::AgentConfig::from(config);
        assert_eq!(
            serde_json::to_string(&wire.limits).unwrap(),
            r#"{"memory":1048576}"#
        );
        assert!(wire.asked_limits().is_ok());
    }

    #[test]
    fn the_defaults_are_those_of_the_limits_table() {
        use caxton_model::{Kind, LimitName};
        for (name, value) in ResourceLimits::default().fields() {
            let limit: LimitName = name.parse().unwrap();
            assert_eq!(limit.default_for(Kind::Agent), value, "{name}");
        }
    }
}
