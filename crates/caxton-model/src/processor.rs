//! Processors as data: what was deployed under a name, to be called with bytes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AgentName, Digest, EngineProfile, Kind, Limits, Part, RequestedRule, State, Timestamp,
};

/// A processor, or an extension, as deployed. Immutable; an update makes a new one under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessorSpec {
    /// Given by the node, from the ids that agents have: log lines and meters are kept under it.
    pub id: AgentId,
    /// Unique among the node's processors.
    pub name: AgentName,
    /// What its module serves as: processor or extension.
    pub kind: Kind,
    /// The module that each call instantiates.
    pub module: Digest,
    /// The package's version, or `0.0.0` without a manifest.
    pub version: String,
    /// What each call may use.
    pub limits: Limits,
    /// What its manifest asks for, which bounds what it is granted; `None`: it has no manifest, and has what
    /// it is granted.
    pub requested: Option<Vec<RequestedRule>>,
    /// The engine it runs on.
    pub profile: EngineProfile,
    /// Its own configuration, as `config_get` gives it.
    pub config: Vec<(String, String)>,
    /// When this version was deployed.
    pub deployed_at: Timestamp,
}

impl State {
    /// Enters a processor, in place of the one of that name.
    pub(crate) fn set_processor(&mut self, spec: &Arc<ProcessorSpec>) {
        let name = spec.name.shared();
        self.touch(Part::Processor(Arc::clone(&name)));
        self.processors.insert(name, Arc::clone(spec));
    }
    /// Takes a processor out, with what it was granted.
    pub(crate) fn remove_processor(&mut self, name: &Arc<str>) {
        self.touch(Part::Processor(Arc::clone(name)));
        if let Some(spec) = self.processors.remove(name) {
            self.drop_rights(spec.id);
        }
    }
}
