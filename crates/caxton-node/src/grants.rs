//! What agents and processors are granted: by whoever deploys or grants, and by the site's policy, which may forbid it.

use std::sync::{Arc, PoisonError};

use caxton_gate::{
    Decision, PermissionRule, Policy, PolicyQuestion, PolicySubject, Verdict, grant_command,
};
use caxton_kernel::{Event, Refusal, SHARD_OF_PROCESSORS};
use caxton_model::{
    AgentId, AgentName, EngineProfile, ErrorCode, GrantedRule, GrantedRules, TurnAccesses,
};

use crate::{
    clock,
    node::Node,
    request::NotGranted,
    rights::{self, Holder},
    shared::Shared,
};

impl Node {
    /// What an agent is granted.
    pub async fn granted(&self, agent: &str) -> Result<GrantedRules, Refusal> {
        let (shard, id) = self.place(agent)?;
        self.inspect(shard, move |view| {
            let granted = view.kernel.state().granted.get(&id).cloned();
            granted.unwrap_or_default()
        })
        .await
    }
    /// Grants an agent rules, takes others back, and answers all that it is granted then. Its next
    /// access sees it.
    ///
    /// The rules are texts of `caxton-gate`; whoever grants checks them.
    /// Errors: there is no such agent, a rule to be taken back is not granted, or the site's policy
    /// forbids one that is to be granted.
    pub async fn change_grants(
        &self,
        agent: &str,
        grant: Vec<GrantedRule>,
        revoke: Vec<String>,
    ) -> Result<GrantedRules, Refusal> {
        let listing = self.find(agent)?;
        let (shard, agent) = (listing.shard, listing.spec.id);
        let whom = rights::subject(&listing.spec.name, listing.spec.profile);
        self.shared.check_policy_grants(whom, rule_texts(&grant))?;
        self.ask(shard, |ticket| Event::ChangeGrants {
            ticket,
            agent,
            grant,
            revoke,
        })
        .await?;
        self.granted(&agent.to_string()).await
    }
    /// As [`Self::change_grants`], for a processor, by its full name. Calls that run see it at their next
    /// access.
    pub async fn change_grants_of_processor(
        &self,
        name: &str,
        grant: Vec<GrantedRule>,
        revoke: Vec<String>,
    ) -> Result<GrantedRules, Refusal> {
        let processor = self.shared.processors.find(name)?;
        let holder = Holder::from(&*processor.spec);
        let agent = holder.id;
        let whom = holder.subject();
        self.shared.check_policy_grants(whom, rule_texts(&grant))?;
        self.ask(SHARD_OF_PROCESSORS, |ticket| Event::ChangeGrants {
            ticket,
            agent,
            grant,
            revoke,
        })
        .await?;
        let changed = self.shared.processors.find(name)?;
        Ok(Arc::clone(&changed.granted))
    }
    /// The recorded accesses of the turn that an agent has begun and not ended.
    pub async fn accesses(&self, agent: &str) -> Result<Option<(AgentId, TurnAccesses)>, Refusal> {
        let (shard, id) = self.place(agent)?;
        self.inspect(shard, move |view| {
            let accesses = view.kernel.state().accesses.get(&id);
            accesses.map(|accesses| (id, accesses.clone()))
        })
        .await
    }
    /// The lines of a manifest that would allow what an agent was refused: none outside learn mode.
    pub async fn learned(&self, agent: &str) -> Result<Vec<String>, Refusal> {
        let (shard, id) = self.place(agent)?;
        let memory = self.inspect(shard, move |view| view.memory(id)).await?;
        let learned = memory.and_then(|memory| {
            let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.gate.as_ref().map(rights::AgentGate::learned)
        });
        Ok(learned.unwrap_or_default())
    }
}

/// The texts of rules.
pub(crate) fn rule_texts(rules: &[GrantedRule]) -> impl Iterator<Item = String> {
    rules.iter().map(|granted| granted.rule.clone())
}

/// What a policy says of granting a rule; `None` for one that takes away or can't be read.
fn decide(policy: &Policy, whom: PolicySubject<'_>, rule: &str) -> Option<Decision> {
    let PermissionRule { permission, rule } = rule.parse().ok()?;
    let question = PolicyQuestion::Grant(permission, &rule.pattern);
    (!rule.forbids).then(|| policy.decide(whom, question))
}

impl Shared {
    /// Checks that the site's policy lets an agent or a processor run under its profile.
    ///
    /// Errors: the line that forbids it.
    pub(crate) fn check_policy_run(
        &self,
        name: &AgentName,
        profile: EngineProfile,
    ) -> Result<(), Refusal> {
        let whom = rights::subject(name, profile);
        let decision = self.options.policy.decide(whom, PolicyQuestion::Run);
        if decision.verdict != Verdict::Forbid {
            return Ok(());
        }
        let text = format!("running `{name}` under the profile `{profile}` is {decision}");
        Err(Refusal::new(ErrorCode::Denied, text))
    }
    /// Checks that the site's policy forbids none of the rules.
    ///
    /// Errors: the first that it forbids, with its line.
    pub(crate) fn check_policy_grants(
        &self,
        whom: PolicySubject<'_>,
        rules: impl Iterator<Item = String>,
    ) -> Result<(), Refusal> {
        for rule in rules {
            let decision = decide(&self.options.policy, whom, &rule);
            if let Some(decision) = decision.filter(|d| d.verdict == Verdict::Forbid) {
                let text = format!(
                    "granting `{rule}` in the namespace `{}` is {decision}, and no grant goes above the site's policy",
                    whom.namespace
                );
                return Err(Refusal::new(ErrorCode::Denied, text));
            }
        }
        Ok(())
    }
    /// What a guest asks for, is not granted, and is granted by a line of the site's policy.
    pub(crate) fn granted_by_policy(
        &self,
        holder: Holder<'_>,
        granted: &[GrantedRule],
    ) -> Vec<GrantedRule> {
        let now = clock::wall();
        let whom = holder.subject();
        let missing = rights::missing(holder, granted, now).into_iter();
        let allowed = missing.filter_map(|(rule, reason)| {
            let rule = rule.to_string();
            let decision = decide(&self.options.policy, whom, &rule)?;
            let by = decision
                .line
                .filter(|_| decision.verdict == Verdict::Allow)?;
            Some(GrantedRule {
                rule,
                expires: None,
                reason: decision.reason.or(reason),
                by,
                at: now,
            })
        });
        allowed.collect()
    }
    /// What a guest asks for and is not granted as a whole, and what to do about it.
    pub(crate) fn not_granted(
        &self,
        holder: Holder<'_>,
        granted: &[GrantedRule],
    ) -> Vec<NotGranted> {
        let whom = holder.subject();
        let missing = rights::missing(holder, granted, clock::wall()).into_iter();
        let not_granted = missing.map(|(rule, reason)| {
            let rule = rule.to_string();
            let decision = decide(&self.options.policy, whom, &rule);
            let forbidden_by = decision
                .filter(|decision| decision.verdict == Verdict::Forbid)
                .and_then(|decision| decision.line);
            let command = grant_command(&holder.guest(), &rule);
            NotGranted {
                command: forbidden_by.is_none().then_some(command),
                rule,
                reason,
                forbidden_by,
            }
        });
        not_granted.collect()
    }
}
