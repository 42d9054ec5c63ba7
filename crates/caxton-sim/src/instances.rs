//! The instances that a node's engine would hold, as far as the kernels decide about them.

use std::collections::BTreeMap;

use caxton_model::AgentId;

use crate::{Breach, Rule};

/// Instances by agent; whether each has faulted.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    faulted: BTreeMap<AgentId, bool>,
}

impl Instances {
    /// A turn begins: an init makes an instance, everything else needs one that never faulted.
    pub(crate) fn begin(&mut self, agent: AgentId, is_init: bool) -> Result<(), Breach> {
        if is_init {
            self.faulted.insert(agent, false);
            return Ok(());
        }
        let how = match self.faulted.get(&agent) {
            Some(false) => return Ok(()),
            Some(true) => format!("{agent} has a turn in the instance that faulted"),
            None => format!("{agent} has a turn, but no instance"),
        };
        Err(Breach::new(Rule::FaultedInstanceGone, how))
    }

    /// A turn has faulted.
    pub(crate) fn fault(&mut self, agent: AgentId) {
        self.faulted.insert(agent, true);
    }

    /// The instance is dropped.
    pub(crate) fn drop(&mut self, agent: AgentId) {
        self.faulted.remove(&agent);
    }

    /// Whether there is one that can be used.
    pub(crate) fn has(&self, agent: AgentId) -> bool {
        self.faulted.get(&agent) == Some(&false)
    }
}
