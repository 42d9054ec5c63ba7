//! The gate of each agent: made from what it is granted, kept as long as its place on the shard.

use std::sync::Arc;

use caxton_gate::{AuditEntry, AuditSink, Gate, Grant, Grants, PermissionRule, Rights};
use caxton_model::GrantedRule;

/// Counts what is refused.
struct Counted;

impl AuditSink for Counted {
    fn append(&self, entry: &AuditEntry<'_>) -> Result<(), String> {
        if let Some(denied) = entry.denied {
            metrics::counter!("caxton_permission_violations_total").increment(1);
            tracing::info!(guest = entry.guest, %denied, "an access was refused");
        }
        Ok(())
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
pub(crate) fn gate(agent: &str, rules: &[GrantedRule]) -> Gate {
    Gate::new(agent, &rights(rules), Arc::new(Counted))
}
