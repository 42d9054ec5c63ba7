//! What agents are granted, and the accesses of their turns.

use caxton_api::{AccessEntry, GrantChange, GrantEntry, Page};
use caxton_gate::PermissionRule;
use caxton_kernel::Refusal;
use caxton_model::{
    AgentSpec, AuditAction, AuditRecord, ErrorCode, GrantedRule, Micros, Timestamp, format_rfc3339,
};
use http::StatusCode;

use super::agents::{meant, meant_id};
use crate::{
    body::read_json,
    call::Call,
    clock,
    refuse::{Answered, Failure, json},
    views,
};

/// The longest time for which a grant may be given: what is longer has no end. Unit: seconds.
const EXPIRES_MAX_S: u64 = 100 * 365 * 24 * 3_600;

pub(super) async fn list(call: Call) -> Answered {
    let spec = meant(&call)?.spec;
    let granted = call.app.node.granted(&spec.id.to_string()).await?;
    json(StatusCode::OK, &page(&spec, &granted))
}

pub(super) async fn change(call: Call) -> Answered {
    let spec = meant(&call)?.spec;
    let (id, name) = (spec.id.to_string(), spec.name.to_string());
    let asked: GrantChange = read_json(&call.body)?;
    if asked.grant.is_empty() && asked.revoke.is_empty() {
        return list(call).await;
    }
    let now = clock::now();
    let expires = asked
        .expires_s
        .map(|seconds| expiry(now, seconds))
        .transpose()?;
    let rules = asked.grant.iter().map(|text| {
        Ok(GrantedRule {
            rule: read_rule(text)?,
            expires,
            reason: asked.reason.clone(),
            by: call.caller.name.to_string(),
            at: now,
        })
    });
    let grant = rules.collect::<Result<Vec<_>, Failure>>()?;
    // As it was granted, or as somebody may have typed it.
    let revoke = asked.revoke.iter().map(|text| read_rule(text));
    let revoke = revoke.collect::<Result<Vec<_>, Failure>>()?;
    call.caller.work.visit(grant.len() + revoke.len());
    let mut records = Vec::new();
    if !grant.is_empty() {
        let rules = grant.iter().map(|granted| &*granted.rule);
        let mut granted = record(&call, AuditAction::Grant, &name, rules);
        if let Some(expires) = expires {
            granted = granted.with("expires", format_rfc3339(expires));
        }
        records.push(granted);
    }
    if !revoke.is_empty() {
        let rules = revoke.iter().map(String::as_str);
        records.push(record(&call, AuditAction::Revocation, &name, rules));
    }
    if let Some(reason) = &asked.reason {
        let reasoned = records
            .into_iter()
            .map(|record| record.with("reason", reason));
        records = reasoned.collect();
    }
    let granted = call.app.node.change_grants(&id, grant, revoke);
    let granted = call.audited(records, granted, |_, record| record).await?;
    call.caller.work.visit(granted.len());
    json(StatusCode::OK, &page(&spec, &granted))
}

/// The record of rules that an agent is granted, or that are taken back.
pub(super) fn record<'a>(
    call: &Call,
    action: AuditAction,
    agent: &str,
    rules: impl Iterator<Item = &'a str>,
) -> AuditRecord {
    let rules: Vec<&str> = rules.collect();
    call.record_of(action, agent)
        .with("patterns", rules.join(", "))
}

pub(super) async fn acts(call: Call) -> Answered {
    let id = meant_id(&call)?;
    let items: Vec<AccessEntry> = match call.app.node.accesses(&id).await? {
        Some((agent, accesses)) => views::accesses(agent, &accesses),
        None => Vec::new(),
    };
    let next_cursor = None;
    json(StatusCode::OK, &Page { items, next_cursor })
}

fn page(spec: &AgentSpec, granted: &[GrantedRule]) -> Page<GrantEntry> {
    Page {
        items: views::grants(spec, granted),
        next_cursor: None,
    }
}

fn expiry(now: Timestamp, seconds: u64) -> Result<Timestamp, Failure> {
    if seconds > EXPIRES_MAX_S {
        let refuse = |text: String| Failure::from(Refusal::new(ErrorCode::InvalidConfig, text));
        return Err(refuse(format!(
            "`expires_s` is {seconds}, and a grant lasts at most {EXPIRES_MAX_S} seconds (100 years); leave it out for a grant without an end"
        )));
    }
    Ok(now.after(Micros::secs(seconds)))
}

/// A rule in the form in which it is kept.
///
/// Errors: `invalid-config` for what is no rule, or for a permission that this version does not serve.
pub(crate) fn read_rule(text: &str) -> Result<String, Failure> {
    let refuse = |text: String| Failure::from(Refusal::new(ErrorCode::InvalidConfig, text));
    let rule: PermissionRule = text
        .parse()
        .map_err(|error| refuse(format!("`{text}` is no rule: {error}")))?;
    if !rule.permission.is_performed() {
        return Err(refuse(format!(
            "this version of the node does nothing behind `{}`, so granting it would mean nothing",
            rule.permission
        )));
    }
    if rule.permission == caxton_model::Permission::MessageSend {
        return Err(refuse(
            "`message:send` is granted when the agent is deployed or updated".to_owned(),
        ));
    }
    Ok(rule.to_string())
}
