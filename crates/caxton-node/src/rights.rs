//! The gate of each agent: made from what it is granted, kept as long as its place on the shard, with
//! the sink through which each of its decisions becomes an audit record.

use std::sync::Arc;

use caxton_gate::{AuditEntry, AuditSink, Gate, Grant, Grants, PermissionRule, Rights};
use caxton_model::{AgentId, AgentName, AgentSpec, AuditAction, AuditOutcome, GrantedRule};

use crate::audit::{Audit, agent_record};

/// Appends the decisions of one agent's gate to the node's audit log.
struct GateSink {
    audit: Arc<Audit>,
    name: AgentName,
    id: AgentId,
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

/// What rules allow. A rule that this version cannot read allows nothing.
pub(crate) fn rights(rules: &[GrantedRule]) -> Rights {
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
    Rights::granted(grants)
}

/// A gate that lets an agent do what it is granted.
pub(crate) fn gate(spec: &AgentSpec, rules: &[GrantedRule], audit: &Arc<Audit>) -> Gate {
    let sink = GateSink {
        audit: Arc::clone(audit),
        name: spec.name.clone(),
        id: spec.id,
    };
    Gate::new(spec.name.as_str(), &rights(rules), Arc::new(sink))
}
