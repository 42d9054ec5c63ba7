//! Who offers what.

use std::sync::Arc;

use caxton_api::{CapabilityEntry, Offer, Page, Registration};
use caxton_kernel::{Listing, Refusal, check_descriptor};
use caxton_model::{AuditAction, Capabilities, ErrorCode};
use http::StatusCode;

use super::agents::meant;
use crate::{
    body::read_json,
    call::Call,
    refuse::{Answered, Failure, done, json},
    views,
};

fn offering(call: &Call, name: &str) -> Vec<Listing> {
    let mut offering = call.app.node.offering(name);
    offering.retain(|listing| call.caller.learns_of(&listing.spec.name));
    offering
}

/// The capabilities that the caller may learn of, each with how many agents offer it.
fn known(call: &Call) -> impl Iterator<Item = (Arc<str>, usize)> {
    let all = call.app.node.capabilities().into_iter();
    let own = all.map(|(name, all)| {
        call.caller.work.visit(1);
        let count = match call.caller.namespace {
            None => all,
            Some(_) => offering(call, &name).len(),
        };
        (name, count)
    });
    own.filter(|(_, count)| *count > 0)
}

pub(super) fn capabilities(call: &Call) -> Answered {
    let items = known(call)
        .map(|(name, agents)| CapabilityEntry {
            agents: agents as u64,
            name: name.to_string(),
        })
        .collect();
    json(StatusCode::OK, &Page::all(items))
}

pub(super) fn capability(call: &Call) -> Answered {
    let name = call.parameter("name")?;
    let items: Vec<Offer> = offering(call, name)
        .into_iter()
        .filter_map(|listing| {
            let services = &listing.capabilities.as_ref()?.services;
            let service = services
                .iter()
                .find(|service| service.name == name)?
                .clone();
            Some(Offer {
                agent: listing.spec.id.to_string(),
                name: listing.spec.name.to_string(),
                status: listing.status,
                mailbox_messages: listing.gauge.messages(),
                service,
            })
        })
        .collect();
    if items.is_empty() {
        let all: Vec<_> = known(call).collect();
        let near = caxton_model::nearest(name, all.iter().map(|(name, _)| &**name))
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        let shown: String = name.chars().take(100).collect();
        return Err(Failure::new(
            ErrorCode::NoCapability,
            format!("no agent offers `{shown}`{near}"),
        ));
    }
    json(StatusCode::OK, &Page::all(items))
}

pub(super) async fn register(call: Call) -> Answered {
    let meant = meant(&call)?;
    let id = meant.spec.id.to_string();
    let asked: Registration = read_json(&call.body)?;
    call.caller.work.visit(asked.services.len());
    let descriptor = Capabilities {
        version: asked.version,
        performatives: asked.performatives,
        protocols: asked.protocols,
        ontologies: asked.ontologies,
        services: asked.services,
        languages: asked.languages,
        ..Capabilities::default()
    };
    descriptor
        .check()
        .map_err(|error| Failure::malformed(error.to_string()))?;
    check_descriptor(&descriptor).map_err(|error| Failure::malformed(error.to_string()))?;
    let registered = call.app.node.register(&id, Some(Arc::new(descriptor)));
    let registered = audited(&call, &meant, registered).await?;
    json(StatusCode::OK, &views::summary(&registered))
}

pub(super) async fn deregister(call: Call) -> Answered {
    let meant = meant(&call)?;
    let id = meant.spec.id.to_string();
    let gone = call.app.node.register(&id, None);
    audited(&call, &meant, gone).await?;
    Ok(done())
}

/// Changes an agent's entry between the audit records of that.
async fn audited<T>(
    call: &Call,
    agent: &Listing,
    change: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Failure> {
    let record = call
        .record_of(AuditAction::ConfigChange, agent.spec.name.as_str())
        .with("setting", "capabilities");
    call.audited(vec![record], change, |_, record| record).await
}
