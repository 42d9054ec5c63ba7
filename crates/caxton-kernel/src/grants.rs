//! Grants: what an operator allows an agent or a processor, and takes back.

use std::sync::Arc;

use caxton_model::{AgentId, ErrorCode, GrantedRule, GrantedRules, Record};

use crate::{Done, Effect, Kernel, Refusal, Ticket, deploy::shutting_down};

/// Rules that one agent or processor may be granted.
const RULES_MAX: usize = 1_000;

impl Kernel {
    /// Grants rules and takes others back, as one record.
    pub(crate) fn change_grants(
        &mut self,
        ticket: Ticket,
        id: AgentId,
        grant: Vec<GrantedRule>,
        revoke: &[String],
    ) {
        let (name, done) = match self.holder(id) {
            Ok(holder) => holder,
            Err(refusal) => return self.answer(ticket, Err(refusal)),
        };
        if self.quiesced {
            return self.answer(ticket, Err(shutting_down()));
        }
        match self.rules_after(id, &name, grant, revoke) {
            Ok(rules) => {
                self.set_grants(id, rules);
                self.answer(ticket, Ok(done));
            }
            Err(refusal) => self.answer(ticket, Err(refusal)),
        }
    }

    /// All that an agent or a processor is granted once rules are granted and others taken back.
    ///
    /// Errors: `not-found` for a rule to be taken back that is not granted, `invalid-limit` for too many.
    pub(crate) fn rules_after(
        &self,
        id: AgentId,
        name: &str,
        grant: Vec<GrantedRule>,
        revoke: &[String],
    ) -> Result<GrantedRules, Refusal> {
        let mut rules = self.state.granted.get(&id).cloned().unwrap_or_default();
        let now = Arc::make_mut(&mut rules);
        if let Some(absent) = revoke
            .iter()
            .find(|text| now.iter().all(|rule| rule.rule != **text))
        {
            let text = format!("`{name}` is not granted `{absent}`");
            return Err(Refusal::new(ErrorCode::NotFound, text));
        }
        now.retain(|rule| {
            !revoke.contains(&rule.rule) && grant.iter().all(|new| new.rule != rule.rule)
        });
        now.extend(grant);
        if now.len() > RULES_MAX {
            let text = format!(
                "`{name}` would be granted {} rules, and nobody may have more than {RULES_MAX}; use patterns that take more",
                now.len()
            );
            return Err(Refusal::new(ErrorCode::InvalidLimit, text));
        }
        Ok(rules)
    }

    /// Records what is granted from now on, and has it count.
    pub(crate) fn set_grants(&mut self, agent: AgentId, rules: GrantedRules) {
        let granted = Arc::clone(&rules);
        self.commit(Record::GrantsChanged { agent, rules }, true);
        self.list(agent);
        self.effects.push(Effect::GrantsChanged { agent, granted });
    }

    /// Who has that id: an agent of this shard, or a processor.
    fn holder(&self, id: AgentId) -> Result<(Arc<str>, Done), Refusal> {
        match self.agent(id) {
            Ok(known) => {
                let (agent, status) = (id, known.status);
                Ok((known.spec.name.shared(), Done::Agent { agent, status }))
            }
            Err(refusal) => {
                let mut processors = self.state.processors.values();
                let spec = processors.find(|spec| spec.id == id).ok_or(refusal)?;
                let done = Done::Processor { replaced: false };
                Ok((spec.name.shared(), done))
            }
        }
    }
}
