//! Agents: deploy, list, change, remove.

use std::time::Duration;

use caxton_api::{AgentSummary, Page, StopRequest};
use caxton_kernel::{Listing, Refusal};
use caxton_model::{
    AgentId, AgentStatus, AuditAction, AuditRecord, ErrorCode, Micros, Namespace, glob,
};
use http::StatusCode;

use super::grants;
use crate::{
    app::closed,
    body::read_json,
    call::Call,
    deploy, names,
    refuse::{Answered, Failure, done, json},
    views,
};

/// How long a stop may take if the request says nothing.
const GRACE: Duration = Duration::from_secs(5);
/// The longest grace that a request may ask for.
pub(crate) const GRACE_MAX: Duration = Duration::from_secs(300);

pub(super) async fn deploy(call: Call) -> Answered {
    let (wanted, notes) = deploy::read(&call, None).await?;
    let name = wanted.name.to_string();
    let mut records = vec![call.record_of(AuditAction::Deploy, &name)];
    if !wanted.granted.is_empty() {
        let rules = wanted.granted.iter().map(|granted| &*granted.rule);
        records.push(grants::record(&call, AuditAction::Grant, &name, rules));
    }
    let made = call.app.node.deploy(wanted);
    let made = call.audited(records, made, with_digest).await?;
    json(StatusCode::CREATED, &views::deployed(&made, notes))
}

/// The record of a deployment, with the module that runs now.
fn with_digest(made: &caxton_node::Deployed, record: AuditRecord) -> AuditRecord {
    match record.action {
        AuditAction::Deploy => record.with("digest", made.listing.spec.module.to_string()),
        _ => record,
    }
}

pub(super) async fn update(call: Call) -> Answered {
    let listing = meant(&call)?;
    let (wanted, notes) = deploy::read(&call, Some(&listing.spec)).await?;
    let record = call
        .record_of(AuditAction::Update, listing.spec.name.as_str())
        .with("from", listing.spec.module.to_string());
    let id = listing.spec.id.to_string();
    let made = call.app.node.update(&id, wanted);
    let to = |made: &caxton_node::Deployed, record: AuditRecord| {
        record.with("to", made.listing.spec.module.to_string())
    };
    let made = call.audited(vec![record], made, to).await?;
    json(StatusCode::OK, &views::deployed(&made, notes))
}

/// The agent that the path names.
pub(super) fn meant(call: &Call) -> Result<Listing, Failure> {
    names::agent(&call.app.node, &call.caller, call.parameter("id")?)
}

/// The same as the id that the node's requests take: a name may change hands in between.
pub(super) fn meant_id(call: &Call) -> Result<String, Failure> {
    Ok(meant(call)?.spec.id.to_string())
}

/// Performs an act on an agent between its audit records.
pub(super) async fn audited<T>(
    call: &Call,
    listing: &Listing,
    action: AuditAction,
    act: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Failure> {
    let record = call.record_of(action, listing.spec.name.as_str());
    call.audited(vec![record], act, |_, record| record).await
}

pub(super) async fn stop(call: Call) -> Answered {
    let meant = meant(&call)?;
    let id = meant.spec.id.to_string();
    let asked: StopRequest = match call.body.is_empty() {
        true => StopRequest::default(),
        false => read_json(&call.body)?,
    };
    let grace = asked.grace_ms.map_or(GRACE, Duration::from_millis);
    if grace > GRACE_MAX {
        let detail = format!("`grace_ms` is at most {}", GRACE_MAX.as_millis());
        return Err(Failure::malformed(detail));
    }
    let grace = Micros(u64::try_from(grace.as_micros()).unwrap_or(u64::MAX));
    let mut closing = call.app.closing.clone();
    let stopped = async {
        tokio::select! {
            biased;
            listing = call.app.node.stop(&id, asked.drain, grace) => listing,
            () = closed(&mut closing) => {
                let text = "the agent was told to stop, and the node is shutting down before it has";
                Err(Refusal::new(ErrorCode::ShuttingDown, text))
            }
        }
    };
    let listing = audited(&call, &meant, AuditAction::Stop, stopped).await?;
    json(StatusCode::OK, &views::summary(&listing))
}

pub(super) async fn start(call: Call) -> Answered {
    let meant = meant(&call)?;
    let id = meant.spec.id.to_string();
    let started = call.app.node.start_agent(&id);
    let listing = audited(&call, &meant, AuditAction::Start, started).await?;
    json(StatusCode::OK, &views::summary(&listing))
}

pub(super) async fn rollback(call: Call) -> Answered {
    let meant = meant(&call)?;
    let id = meant.spec.id.to_string();
    let record = call
        .record_of(AuditAction::Rollback, meant.spec.name.as_str())
        .with("from", meant.spec.module.to_string());
    let back = call.app.node.rollback(&id);
    let to = |back: &Listing, record: AuditRecord| record.with("to", back.spec.module.to_string());
    let listing = call.audited(vec![record], back, to).await?;
    json(StatusCode::OK, &views::summary(&listing))
}

pub(super) async fn remove(call: Call) -> Answered {
    let meant = meant(&call)?;
    let id = meant.spec.id.to_string();
    let removed = call.app.node.remove(&id);
    audited(&call, &meant, AuditAction::Remove, removed).await?;
    Ok(done())
}

fn status_of(text: &str) -> Result<AgentStatus, Failure> {
    serde_json::from_value(text.into())
        .map_err(|error| Failure::malformed(format!("query parameter `status`: {error}")))
}

pub(super) fn list(call: &Call) -> Answered {
    let query = &call.query;
    let limit = query.limit()?;
    let after: Option<AgentId> = query.parsed("cursor", "the `next_cursor` of the page before")?;
    let status = query.get("status").map(status_of).transpose()?;
    let namespace: Option<Namespace> = query.parsed("namespace", "a namespace's name")?;
    let (name, capability) = (query.get("name"), query.get("capability"));
    let fits = |listing: &Listing| {
        let spec = &listing.spec;
        call.caller.learns_of(&spec.name)
            && after.is_none_or(|after| spec.id > after)
            && status.is_none_or(|status| listing.status == status)
            && namespace
                .as_ref()
                .is_none_or(|n| spec.name.namespace() == n)
            && name.is_none_or(|pattern| {
                glob(pattern, spec.name.as_str()) || glob(pattern, spec.name.local())
            })
            && capability.is_none_or(|capability| {
                listing.offers(capability)
                    || (listing.capabilities.is_none()
                        && spec.declared.iter().any(|d| d == capability))
            })
    };
    let agents = call.app.node.agents();
    let mut found = agents.iter().filter(|listing| fits(listing));
    let items: Vec<AgentSummary> = found.by_ref().take(limit).map(views::summary).collect();
    let more = found.next().is_some();
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
    json(StatusCode::OK, &Page { items, next_cursor })
}
