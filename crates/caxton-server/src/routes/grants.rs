//! What agents and processors are granted, and the accesses of agents' turns.

use std::sync::Arc;

use caxton_api::{AccessEntry, GrantChange, GrantEntry, Page};
use caxton_gate::PermissionRule;
use caxton_kernel::Refusal;
use caxton_model::{
    AgentName, AgentSpec, AuditAction, AuditRecord, ErrorCode, GrantedRule, GrantedRules, Micros,
    ProcessorSpec, Timestamp, format_rfc3339,
};
use caxton_node::Node;
use http::StatusCode;

use super::{
    agents::{meant, meant_id},
    processors,
};
use crate::{
    body::read_json,
    call::Call,
    clock,
    refuse::{Answered, Failure, json},
    views,
};

/// The longest time for which a grant may be given: what is longer has no end. Unit: seconds.
const EXPIRES_MAX_S: u64 = 100 * 365 * 24 * 3_600;

/// Whose grants a request is about.
enum Whose {
    Agent(Arc<AgentSpec>),
    Processor(Arc<ProcessorSpec>),
}

impl Whose {
    fn name(&self) -> &AgentName {
        match self {
            Self::Agent(spec) => &spec.name,
            Self::Processor(spec) => &spec.name,
        }
    }
    async fn granted(&self, node: &Node) -> Result<GrantedRules, Refusal> {
        match self {
            Self::Agent(spec) => node.granted(&spec.id.to_string()).await,
            Self::Processor(spec) => Ok(node.processor(spec.name.as_str())?.granted),
        }
    }
    async fn change(
        &self,
        node: &Node,
        grant: Vec<GrantedRule>,
        revoke: Vec<String>,
    ) -> Result<GrantedRules, Refusal> {
        match self {
            // A name may change hands in between.
            Self::Agent(spec) => {
                node.change_grants(&spec.id.to_string(), grant, revoke)
                    .await
            }
            Self::Processor(spec) => {
                let name = spec.name.as_str();
                node.change_grants_of_processor(name, grant, revoke).await
            }
        }
    }
    fn page(&self, granted: &[GrantedRule]) -> Page<GrantEntry> {
        let asked = match self {
            Self::Agent(spec) => caxton_node::request_of(&**spec),
            Self::Processor(spec) => caxton_node::request_of(&**spec),
        };
        Page {
            items: views::grants(asked.as_ref(), granted),
            next_cursor: None,
        }
    }
}

pub(super) async fn list(call: Call) -> Answered {
    let whose = Whose::Agent(meant(&call)?.spec);
    shown(&call, &whose).await
}

pub(super) async fn change(call: Call) -> Answered {
    let whose = Whose::Agent(meant(&call)?.spec);
    changed(&call, &whose).await
}

pub(super) async fn list_of_processor(call: Call) -> Answered {
    let whose = Whose::Processor(processors::of(&call)?);
    shown(&call, &whose).await
}

pub(super) async fn change_of_processor(call: Call) -> Answered {
    let whose = Whose::Processor(processors::of(&call)?);
    changed(&call, &whose).await
}

async fn shown(call: &Call, whose: &Whose) -> Answered {
    let granted = whose.granted(&call.app.node).await?;
    json(StatusCode::OK, &whose.page(&granted))
}

async fn changed(call: &Call, whose: &Whose) -> Answered {
    let name = whose.name().as_str();
    let asked: GrantChange = read_json(&call.body)?;
    if asked.grant.is_empty() && asked.revoke.is_empty() {
        return shown(call, whose).await;
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
        let mut granted = record(call, AuditAction::Grant, name, rules);
        if let Some(expires) = expires {
            granted = granted.with("expires", format_rfc3339(expires));
        }
        records.push(granted);
    }
    if !revoke.is_empty() {
        let rules = revoke.iter().map(String::as_str);
        records.push(record(call, AuditAction::Revocation, name, rules));
    }
    if let Some(reason) = &asked.reason {
        let reasoned = records
            .into_iter()
            .map(|record| record.with("reason", reason));
        records = reasoned.collect();
    }
    let granted = whose.change(&call.app.node, grant, revoke);
    let granted = call.audited(records, granted, |_, record| record).await?;
    call.caller.work.visit(granted.len());
    json(StatusCode::OK, &whose.page(&granted))
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
