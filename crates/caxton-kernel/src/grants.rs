//! Grants: what an operator allows an agent, and takes back.

use std::sync::Arc;

use caxton_model::{AgentId, ErrorCode, GrantedRule, Record};

use crate::{Done, Effect, Kernel, Refusal, Ticket, deploy::shutting_down};

/// Rules that one agent may be granted.
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
        let (name, status) = match self.agent(id) {
            Ok(agent) => (agent.spec.name.shared(), agent.status),
            Err(refusal) => return self.answer(ticket, Err(refusal)),
        };
        if self.quiesced {
            return self.answer(ticket, Err(shutting_down()));
        }
        let mut rules = self.state.granted.get(&id).cloned().unwrap_or_default();
        let now = Arc::make_mut(&mut rules);
        if let Some(absent) = revoke
            .iter()
            .find(|text| now.iter().all(|rule| rule.rule != **text))
        {
            let text = format!("`{name}` is not granted `{absent}`");
            return self.answer(ticket, Err(Refusal::new(ErrorCode::NotFound, text)));
        }
        now.retain(|rule| {
            !revoke.contains(&rule.rule) && grant.iter().all(|new| new.rule != rule.rule)
        });
        now.extend(grant);
        if now.len() > RULES_MAX {
            let text = format!(
                "`{name}` would be granted {} rules, and no agent may have more than {RULES_MAX}; use patterns that take more",
                now.len()
            );
            return self.answer(ticket, Err(Refusal::new(ErrorCode::InvalidLimit, text)));
        }
        let granted = Arc::clone(&rules);
        self.commit(Record::GrantsChanged { agent: id, rules }, true);
        self.effects
            .push(Effect::GrantsChanged { agent: id, granted });
        self.answer(ticket, Ok(Done::Agent { agent: id, status }));
    }
}
