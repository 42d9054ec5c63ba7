//! The rules that kernels and directory keep at any time.

use caxton_model::{AgentId, AgentState, AgentStatus, LimitName};

use crate::{
    Breach, Rule,
    world::{Shard, World},
};

impl World {
    /// What must be true of the kernels at any time.
    ///
    /// Errors: the rule that is broken.
    pub(crate) fn check(&mut self) -> Result<(), Breach> {
        if let Some(breach) = self.breach.take() {
            return Err(breach);
        }
        for shard in &self.shards {
            let state = shard.kernel.state();
            for (id, agent) in &state.agents {
                self.check_agent(shard, *id, agent)?;
                let waiting = agent.mailbox.len();
                if let Some(left) = self.left_over.get_mut(id) {
                    *left = (*left).min(waiting);
                }
            }
            if !state.held.is_empty() {
                let how = "mail in nobody's mailbox is not answered in the same step";
                return Err(Breach::new(Rule::NothingForgotten, how));
            }
        }
        Ok(())
    }

    fn check_agent(&self, shard: &Shard, id: AgentId, agent: &AgentState) -> Result<(), Breach> {
        let listing = self.directory.get(id).ok_or_else(|| {
            Breach::new(
                Rule::DirectoryIsTrue,
                format!("{id} is not in the directory"),
            )
        })?;
        let waiting = agent.mailbox.len();
        let gauge = (u64::from(listing.gauge.messages()), listing.gauge.bytes());
        if gauge != (waiting as u64, agent.mailbox_bytes) {
            let how = format!("{id} has {waiting} messages, its gauge shows {}", gauge.0);
            return Err(Breach::new(Rule::DirectoryIsTrue, how));
        }
        if listing.capabilities != agent.capabilities {
            let how = format!("what {id} registered is not what is listed");
            return Err(Breach::new(Rule::DirectoryIsTrue, how));
        }
        // One place more for what the host itself says, and what was on its way at a crash.
        let most = agent.spec.limits.get(LimitName::Mailbox).saturating_add(1);
        let left = self.left_over.get(&id).copied().unwrap_or(0) as u64;
        if waiting as u64 > most.max(left) {
            let how = format!("{id} has {waiting} messages, and may have {most}");
            return Err(Breach::new(Rule::QueuesBounded, how));
        }
        let rests = shard.effects.is_empty() && !self.running.contains_key(&id);
        if rests && !self.is_wished(id) && shard.ticked >= self.booted {
            self.check_rest(shard, id, agent)?;
        }
        Ok(())
    }

    /// An agent without a turn has nothing to do.
    fn check_rest(&self, shard: &Shard, id: AgentId, agent: &AgentState) -> Result<(), Breach> {
        match agent.status {
            AgentStatus::Restarting if self.supervision.is_due(id, shard.ticked) => {
                let how = format!("the pause of {id} is over, and it is not tried again");
                Err(Breach::new(Rule::SupervisionAsWritten, how))
            }
            AgentStatus::Running if !agent.mailbox.is_empty() => {
                let how = format!("{id} has mail and does nothing");
                Err(Breach::new(Rule::NothingForgotten, how))
            }
            AgentStatus::Running if agent.timers.values().any(|t| t.due <= shard.ticked) => {
                let how = format!("a timer of {id} was due and does not ring");
                Err(Breach::new(Rule::DueIsDone, how))
            }
            _ => Ok(()),
        }
    }
}
