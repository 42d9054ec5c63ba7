//! What operators granted, as data. What a rule means is said by the crate `caxton-gate`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AgentId, Part, Permission, Permissions, State, Timestamp};

/// One rule that an operator granted a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedRule {
    /// The permission and what is granted with it: `http:read=api.example.com/repos/**`.
    pub rule: String,
    /// Until when it counts; `None`: until it is revoked.
    pub expires: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Who granted it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// One rule that a package's manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedRule {
    /// The permission and what it is asked for: `http:read=api.example.com/repos/**`.
    pub rule: String,
    /// Why, in the author's words.
    pub reason: Option<String>,
}

/// All that a guest was granted.
pub type GrantedRules = Arc<Vec<GrantedRule>>;

/// The permissions that these rules grant anything with.
#[must_use]
pub fn permissions_of(rules: &[GrantedRule]) -> Permissions {
    rules.iter().filter_map(|rule| given(&rule.rule)).collect()
}

/// The permissions that a manifest asks for anything with.
#[must_use]
pub fn permissions_asked(rules: &[RequestedRule]) -> Permissions {
    rules.iter().filter_map(|rule| given(&rule.rule)).collect()
}

/// The permission of a rule that gives something.
fn given(rule: &str) -> Option<Permission> {
    let (permission, pattern) = rule.split_once('=').unwrap_or((rule, ""));
    let permission = permission.parse().ok()?;
    (!pattern.starts_with('!')).then_some(permission)
}

impl State {
    /// Takes over what `other` knows of an agent beside the agent itself: the version that its state
    /// is of, its grants, and the accesses of its unfinished turn.
    pub fn take_beside(&mut self, agent: AgentId, other: &Self) {
        if let Some(from) = other.migrating.get(&agent) {
            self.migrating.insert(agent, Arc::clone(from));
        }
        if let Some(granted) = other.granted.get(&agent) {
            self.granted.insert(agent, Arc::clone(granted));
        }
        if let Some(accesses) = other.accesses.get(&agent) {
            self.accesses.insert(agent, accesses.clone());
        }
    }
    /// Forgets the same, with the agent.
    pub(crate) fn drop_rights(&mut self, agent: AgentId) {
        self.forget_accesses(agent);
        if self.granted.contains_key(&agent) {
            self.set_granted(agent, &GrantedRules::default());
        }
    }
    /// Sets what an agent is granted, in place of all that it was.
    pub(crate) fn set_granted(&mut self, agent: AgentId, rules: &GrantedRules) {
        self.touch(Part::Granted(agent));
        if rules.is_empty() {
            self.granted.remove(&agent);
        } else {
            self.granted.insert(agent, Arc::clone(rules));
        }
    }
}
