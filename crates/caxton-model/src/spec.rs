//! What was deployed: an agent as its operator described it.

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AgentName, Digest, EngineProfile, Grants, Limits, Micros, RequestedRule, Timestamp,
};

/// Whether an agent's state outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// State, mail and timers survive `kill -9` and power loss.
    #[default]
    Durable,
    /// They last as long as the process; the agent itself is deployed again after a restart.
    Memory,
}

/// When an agent that has come to an end is started again.
///
/// An agent ends normally by its own exit with code 0 in a turn, and abnormally by a failed init.
/// A fault in a turn ends the instance, not the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always: after a normal end too, at its next input.
    #[default]
    Permanent,
    /// Only after an abnormal end; after a normal one it is stopped.
    Transient,
    /// Never: after a normal end it is stopped, after an abnormal one failed; where its group is
    /// restarted, it is stopped.
    Temporary,
}

/// Who is restarted with an agent that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Only the agent itself.
    #[default]
    OneForOne,
    /// All agents of its group.
    OneForAll,
    /// Those of its group that were deployed after it, too.
    RestForOne,
}

/// A named group of agents that fail together. All its agents live on one shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupervisionGroup {
    /// The group's name, within the namespace.
    pub name: String,
    /// Who is restarted together.
    #[serde(default)]
    pub strategy: Strategy,
}

/// How an agent is kept alive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Supervision {
    /// When it is restarted.
    pub restart: Restart,
    /// The group it belongs to, if any.
    pub group: Option<SupervisionGroup>,
    /// Failed inits within [`Self::window_micros`] after which the agent is `failed`. Default: 5.
    pub max_failures: u32,
    /// Unit: microseconds. Default: 60 s.
    pub window_micros: Micros,
    /// First pause before a restart; doubles up to [`Self::backoff_max_micros`]. Default: 100 ms.
    pub backoff_micros: Micros,
    /// Longest pause before a restart. Default: 30 s.
    pub backoff_max_micros: Micros,
    /// How often one message may be tried before the dead letters. Default: 1.
    pub max_attempts: u32,
}
impl Default for Supervision {
    fn default() -> Self {
        Self {
            restart: Restart::Permanent,
            group: None,
            max_failures: 5,
            window_micros: Micros::secs(60),
            backoff_micros: Micros::millis(100),
            backoff_max_micros: Micros::secs(30),
            max_attempts: 1,
        }
    }
}

/// An agent as deployed. Immutable; an update makes a new one under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Given by the node.
    pub id: AgentId,
    /// Unique on the node.
    pub name: AgentName,
    /// The module it runs.
    pub module: Digest,
    /// The package's version, or `0.0.0` without a manifest.
    pub version: String,
    /// Whether it is durable.
    pub durability: Durability,
    /// How it is kept alive.
    pub supervision: Supervision,
    /// What it may use.
    pub limits: Limits,
    /// What it may do.
    pub grants: Grants,
    /// What its manifest asks for, which bounds what it is granted; `None`: it has no manifest, and
    /// its grants alone count.
    pub requested: Option<Vec<RequestedRule>>,
    /// The engine it runs on.
    pub profile: EngineProfile,
    /// Capabilities named at deploy: *declared* until the agent registers them.
    pub declared: Vec<String>,
    /// Own configuration, as `config_get` gives it.
    pub config: Vec<(String, String)>,
    /// Idle time after which the instance may be dropped. `None`: kept while there is room.
    pub passivate_after_micros: Option<Micros>,
    /// When it was deployed.
    pub deployed_at: Timestamp,
}

/// Where an agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentStatus {
    /// Its first init is running.
    Starting,
    /// It takes messages.
    Running,
    /// It finishes what it has and takes no more.
    Draining,
    /// Stopped by the operator; keeps its state.
    Stopped,
    /// It takes messages; its instance is made at the next one.
    Passivated,
    /// Its init failed; it is tried again after a pause.
    Restarting,
    /// Its init failed too often; only the operator can start it again.
    Failed,
}
impl AgentStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Running,
        Self::Draining,
        Self::Stopped,
        Self::Passivated,
        Self::Restarting,
        Self::Failed,
    ];
    /// As everywhere outside.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Passivated => "passivated",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
        }
    }
    /// Whether messages to it are queued.
    #[must_use]
    pub const fn takes_messages(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Running | Self::Passivated | Self::Restarting
        )
    }
}
