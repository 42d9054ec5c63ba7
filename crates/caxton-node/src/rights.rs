//! What each agent and processor may do: what its manifest asks for, intersected with what it is
//! granted, less what the site forbids; and its gate.

use std::sync::Arc;

use caxton_gate::{
    AuditEntry, AuditSink, Diff, Gate, Grant, Grants, ManifestRow, PermissionRule, Policy,
    PolicySubject, Requested, Rights,
};
use caxton_model::{
    AgentId, AgentName, AgentSpec, AuditAction, AuditOutcome, EngineProfile, GrantedRule,
    GrantedRules, Limits, Permission, Permissions, ProcessorSpec, RequestedRule, Timestamp,
    permissions_asked, permissions_of,
};
use caxton_package::{Manifest, Verified};

use crate::{
    audit::{Audit, agent_record},
    shared::Shared,
};

/// Before the name of a processor where an agent could be meant as well.
const PROCESSOR: &str = "processor:";
/// Rules that one manifest may ask for, as many as an agent may be granted: each is compared with each.
const REQUESTED_MAX: usize = 1_000;

/// Who has rights: an agent or a processor, as its specification says.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    pub(crate) id: AgentId,
    pub(crate) name: &'a AgentName,
    pub(crate) profile: EngineProfile,
    pub(crate) limits: &'a Limits,
    is_processor: bool,
    /// `None`: it has no manifest, which would bound what it is granted.
    pub(crate) requested: Option<&'a [RequestedRule]>,
}

impl<'a> From<&'a AgentSpec> for Holder<'a> {
    fn from(spec: &'a AgentSpec) -> Self {
        Self {
            id: spec.id,
            name: &spec.name,
            profile: spec.profile,
            limits: &spec.limits,
            is_processor: false,
            requested: spec.requested.as_deref(),
        }
    }
}

impl<'a> From<&'a ProcessorSpec> for Holder<'a> {
    fn from(spec: &'a ProcessorSpec) -> Self {
        Self {
            id: spec.id,
            name: &spec.name,
            profile: spec.profile,
            limits: &spec.limits,
            is_processor: true,
            requested: spec.requested.as_deref(),
        }
    }
}

impl Holder<'_> {
    /// What denials call it and commands take: a processor and an agent may have the same name.
    pub(crate) fn guest(&self) -> String {
        match self.is_processor {
            true => format!("{PROCESSOR}{}", self.name),
            false => self.name.to_string(),
        }
    }
    /// Of whom a policy is asked.
    pub(crate) fn subject(&self) -> PolicySubject<'_> {
        subject(self.name, self.profile)
    }
}

/// Appends the decisions of one guest's gate to the node's audit log.
struct GateSink {
    audit: Arc<Audit>,
    name: AgentName,
    id: AgentId,
}

impl GateSink {
    fn new(audit: &Arc<Audit>, holder: Holder<'_>) -> Arc<Self> {
        Arc::new(Self {
            audit: Arc::clone(audit),
            name: holder.name.clone(),
            id: holder.id,
        })
    }
}

impl AuditSink for GateSink {
    fn append(&self, entry: &AuditEntry<'_>) -> Result<(), String> {
        let outcome = match entry.denied {
            None => AuditOutcome::Allowed,
            Some(_) => AuditOutcome::Denied,
        };
        let mut record = agent_record(&self.name, self.id, AuditAction::GateDecision, outcome);
        record.at = entry.at;
        record.permission = Some(entry.permission);
        record.target = Some(entry.access.to_string());
        if let Some(denied) = entry.denied {
            metrics::counter!("caxton_permission_violations_total").increment(1);
            tracing::info!(guest = entry.guest, %denied, "an access was refused");
            record = record.with("reason", denied.to_string());
        }
        self.audit.append(record).map_err(|error| error.to_string())
    }
}

/// What a manifest asks for, as it is kept with the agent.
///
/// Errors: every pattern that is none, in words.
pub fn requested_rules(manifest: &Manifest) -> Result<Vec<RequestedRule>, Vec<String>> {
    let (mut all, mut problems) = (Requested::default(), Vec::new());
    for (permission, request) in &manifest.permissions {
        let lists = request.patterns.iter();
        let row = ManifestRow {
            lists: lists.map(|(key, list)| (*key, list.as_slice())).collect(),
            header: request.header.as_deref(),
            public: request.public,
            reason: request.reason.as_deref(),
        };
        if let Err(wrong) = all.ask(*permission, &row) {
            problems.extend(wrong.iter().map(ToString::to_string));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let count: usize = all.iter().map(|(_, request)| request.rules.len()).sum();
    if count > REQUESTED_MAX {
        return Err(vec![format!(
            "the manifest asks for {count} rules, and no agent may ask for more than {REQUESTED_MAX}; use patterns that take more"
        )]);
    }
    let rules = all.iter().flat_map(|(permission, request)| {
        request.rules.iter().map(move |rule| RequestedRule {
            rule: PermissionRule {
                permission,
                rule: rule.clone(),
            }
            .to_string(),
            reason: request.reason.clone(),
        })
    });
    Ok(rules.collect())
}

/// What an agent's manifest asks for. A rule that this version cannot read asks for nothing.
pub(crate) fn requested_of(rules: &[RequestedRule]) -> Requested {
    let mut all = Requested::default();
    for asked in rules {
        match asked.rule.parse::<PermissionRule>() {
            Ok(PermissionRule { permission, rule }) => {
                all.add(permission, rule, asked.reason.as_deref());
            }
            Err(error) => tracing::error!(rule = asked.rule, %error, "a request can't be read"),
        }
    }
    all
}

/// What rules grant. A rule that this version cannot read grants nothing.
fn grants_of(rules: &[GrantedRule]) -> Grants {
    let mut grants = Grants::default();
    for granted in rules {
        match granted.rule.parse::<PermissionRule>() {
            Ok(PermissionRule { permission, rule }) => grants.grant(
                permission,
                Grant {
                    rule,
                    expires: granted.expires,
                    reason: granted.reason.clone(),
                    by: granted.by.clone(),
                    at: granted.at,
                },
            ),
            Err(error) => {
                tracing::error!(rule = granted.rule, %error, "a grant can't be read");
            }
        }
    }
    grants
}

/// Of whom a policy is asked.
pub(crate) fn subject(name: &AgentName, profile: EngineProfile) -> PolicySubject<'_> {
    PolicySubject {
        publisher: None,
        namespace: name.namespace().as_str(),
        profile,
    }
}

/// A guest's rights as they come into force: the stage between a verified module and a linked one.
///
/// Whatever links a module or makes a gate takes this, so that none of the three can be left out:
/// the request, the grants and the policy.
pub(crate) struct EffectiveRights {
    rights: Rights,
    imports: Permissions,
}

impl EffectiveRights {
    /// What a guest asks for and is granted, under the policy of its node.
    pub(crate) fn new(shared: &Shared, holder: Holder<'_>, granted: &[GrantedRule]) -> Self {
        let options = &shared.options;
        let mut imports = match holder.requested {
            // Each call is checked; so that a grant needs no new instance, asking opens the import.
            Some(asked) => permissions_asked(asked),
            None => permissions_of(granted),
        };
        if options.learn {
            // Without `random:secure` a guest gets random numbers too: that it takes some says nothing.
            let all = Permission::ALL.iter().copied();
            imports.extend(all.filter(|permission| *permission != Permission::RandomSecure));
        }
        let rights = rights(&options.policy, holder, granted);
        Self { rights, imports }
    }
    /// The permissions whose imports are linked.
    pub(crate) const fn imports(&self) -> &Permissions {
        &self.imports
    }
    /// A gate that lets these rights through.
    pub(crate) fn gate(&self, shared: &Shared, holder: Holder<'_>) -> Gate {
        let sink = GateSink::new(&shared.audit, holder);
        let make = match shared.options.learn {
            true => Gate::learning,
            false => Gate::new,
        };
        make(&holder.guest(), &self.rights, sink)
    }
    /// Has a gate let these rights through from the next access on, in place of others.
    pub(crate) fn enforce(&self, gate: &Gate) {
        gate.replace(&self.rights);
    }
}

/// Requested, intersected with granted, less forbidden.
fn rights(policy: &Policy, holder: Holder<'_>, granted: &[GrantedRule]) -> Rights {
    let forbids = policy.forbids(holder.subject());
    let bounded = Rights::granted(grants_of(granted)).intersection(&Rights::forbidden(forbids));
    match holder.requested {
        Some(asked) => bounded.intersection(&Rights::asked(requested_of(asked))),
        None => bounded,
    }
}

/// An agent's gate, with the version and the grants that it was made for.
#[derive(Debug)]
pub(crate) struct AgentGate {
    gate: Gate,
    spec: Arc<AgentSpec>,
    granted: GrantedRules,
}

impl AgentGate {
    pub(crate) fn new(shared: &Shared, spec: &Arc<AgentSpec>, granted: GrantedRules) -> Self {
        let holder = Holder::from(&**spec);
        let effective = EffectiveRights::new(shared, holder, &granted);
        Self {
            gate: effective.gate(shared, holder),
            spec: Arc::clone(spec),
            granted,
        }
    }
    /// The gate for a turn of that version: after an update or a rollback it has other rights.
    pub(crate) fn of(&mut self, shared: &Shared, spec: &Arc<AgentSpec>) -> Gate {
        if !Arc::ptr_eq(&self.spec, spec) {
            self.spec = Arc::clone(spec);
            self.replace(shared);
        }
        self.gate.clone()
    }
    /// The same, if they are not those that count already.
    pub(crate) fn grant_if_changed(&mut self, shared: &Shared, granted: Option<&GrantedRules>) {
        let is_same = match granted {
            Some(granted) => Arc::ptr_eq(granted, &self.granted),
            None => self.granted.is_empty(),
        };
        if !is_same {
            self.grant(shared, &granted.cloned().unwrap_or_default());
        }
    }
    /// Has other grants count from the next access on.
    pub(crate) fn grant(&mut self, shared: &Shared, granted: &GrantedRules) {
        self.granted = Arc::clone(granted);
        self.replace(shared);
    }
    fn replace(&self, shared: &Shared) {
        let holder = Holder::from(&*self.spec);
        EffectiveRights::new(shared, holder, &self.granted).enforce(&self.gate);
    }
    /// The lines of a manifest that would allow what was refused; none outside learn mode.
    pub(crate) fn learned(&self) -> Vec<String> {
        let learned = self.gate.learned();
        learned
            .map(|learned| learned.manifest_lines())
            .unwrap_or_default()
    }
}

/// What is asked for or granted in vain: no import can use it, or the manifest does not ask for it.
pub(crate) fn in_vain(
    module: &Verified,
    holder: Holder<'_>,
    granted: &[GrantedRule],
) -> Vec<String> {
    let Some(requested) = holder.requested else {
        return Vec::new();
    };
    let mut warnings = compare(module, requested).1;
    let asked = requested_of(requested);
    let in_vain = granted.iter().filter(|rule| !is_requested(&asked, rule));
    warnings.extend(in_vain.map(|rule| {
        format!(
            "it is granted `{}`, which its manifest does not ask for: that gives nothing",
            rule.rule
        )
    }));
    warnings
}

/// Why the imports of a module do not fit what its manifest asks for, and what it asks for in vain.
pub(crate) fn compare(module: &Verified, asked: &[RequestedRule]) -> (Vec<String>, Vec<String>) {
    let compared = module
        .report()
        .compare_permissions(&permissions_asked(asked));
    (compared.errors(), compared.warnings())
}

/// The changes from what one version of a guest asked for to what another asks for.
pub(crate) fn diff(before: Holder<'_>, after: Holder<'_>) -> Diff {
    let of = |holder: Holder<'_>| requested_of(holder.requested.unwrap_or_default());
    of(before).diff(&of(after))
}

/// The rules that an agent asks for and that it is not granted as a whole, with their reasons: those
/// that this version can serve, but `message:send`, which is settled when the agent is deployed.
pub(crate) fn missing(
    holder: Holder<'_>,
    granted: &[GrantedRule],
    now: Timestamp,
) -> Vec<(PermissionRule, Option<String>)> {
    let requested = requested_of(holder.requested.unwrap_or_default());
    let grants = grants_of(granted);
    let missing = requested.missing_in(&grants, now).filter(|(rule, _)| {
        rule.permission.is_performed() && rule.permission != Permission::MessageSend
    });
    missing
        .map(|(rule, reason)| (rule, reason.map(str::to_owned)))
        .collect()
}

/// What the manifest of an agent or a processor asks for; `None`: it has none.
#[must_use]
pub fn request_of<'a>(spec: impl Into<Holder<'a>>) -> Option<Requested> {
    spec.into().requested.map(requested_of)
}

/// Whether something is asked for that a grant gives. One that takes away is never in vain.
#[must_use]
pub fn is_requested(asked: &Requested, granted: &GrantedRule) -> bool {
    let rule = granted.rule.parse::<PermissionRule>().ok();
    rule.is_some_and(|rule| rule.rule.forbids || asked.asks_for(&rule))
}

/// The gate of an agent under no policy.
#[cfg(test)]
pub(crate) fn gate(spec: &AgentSpec, granted: &[GrantedRule], audit: &Arc<Audit>) -> Gate {
    let holder = Holder::from(spec);
    let rights = rights(&Policy::default(), holder, granted);
    Gate::new(spec.name.as_str(), &rights, GateSink::new(audit, holder))
}
