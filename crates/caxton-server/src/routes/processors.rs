//! Processors: deploy, list, remove, and call.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use caxton_api::{CallMeasures, Page, ProcessorSummary};
use caxton_kernel::{
    Verb,
    border::{By, Target},
};
use caxton_model::{
    AgentName, AuditAction, AuditRecord, ErrorCode, Namespace, ProcessorSpec, glob,
};
use caxton_node::{Node, Usage};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{grants, logs::read_of};
use crate::{
    app::closed,
    auth::Caller,
    call::Call,
    deploy, names,
    refuse::{Answered, Failure, done, json, with_type},
    views,
};

pub(super) async fn deploy(call: Call) -> Answered {
    let (wanted, notes) = deploy::read_processor(&call).await?;
    let name = wanted.name.to_string();
    let mut records = vec![call.record_of(AuditAction::Deploy, &name)];
    if !wanted.granted.is_empty() {
        let rules = wanted.granted.iter().map(|granted| &*granted.rule);
        records.push(grants::record(&call, AuditAction::Grant, &name, rules));
    }
    let made = call.app.node.deploy_processor(wanted);
    let with_digest = |made: &caxton_node::DeployedProcessor, record: AuditRecord| {
        record.with("digest", made.processor.spec.module.to_string())
    };
    let made = call.audited(records, made, with_digest).await?;
    let status = match made.replaced {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    json(status, &views::deployed_processor(&made, notes))
}

pub(super) fn list(call: &Call) -> Answered {
    let query = &call.query;
    let limit = query.limit()?;
    let after: Option<AgentName> =
        query.parsed("cursor", "the `next_cursor` of the page before")?;
    let namespace: Option<Namespace> = query.parsed("namespace", "a namespace's name")?;
    let name = query.get("name");
    let fits = |spec: &ProcessorSpec| {
        call.caller.learns_of(&spec.name)
            && after
                .as_ref()
                .is_none_or(|after| spec.name.as_str() > after.as_str())
            && namespace
                .as_ref()
                .is_none_or(|n| spec.name.namespace() == n)
            && name.is_none_or(|pattern| {
                glob(pattern, spec.name.as_str()) || glob(pattern, spec.name.local())
            })
    };
    let all = call.app.node.processors();
    let mut found = all.iter().filter(|spec| fits(spec));
    let items: Vec<ProcessorSummary> = found
        .by_ref()
        .take(limit)
        .map(|spec| views::processor(spec))
        .collect();
    let more = found.next().is_some();
    let next_cursor = items.last().filter(|_| more).map(|last| last.name.clone());
    json(StatusCode::OK, &Page { items, next_cursor })
}

/// The processor that a caller means by a name, if it is the caller's to learn of.
///
/// Errors: `not-found`, also for what belongs to others.
pub(crate) fn meant(
    node: &Node,
    caller: &Caller,
    name: &str,
) -> Result<Arc<ProcessorSpec>, Failure> {
    let full = names::qualified(caller, name);
    let known = node.processor_spec(&full);
    if let Some(spec) = known.filter(|spec| caller.learns_of(&spec.name)) {
        return Ok(spec);
    }
    let is_outside = |name: AgentName| !caller.learns_of(&name);
    let near = match full.parse().is_ok_and(is_outside) {
        true => String::new(),
        false => {
            let all = node.processors();
            let names = all.iter().map(|spec| &spec.name);
            let known = names.filter(|name| caller.learns_of(name));
            caxton_model::nearest(&full, known.map(AgentName::as_str))
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default()
        }
    };
    let shown: String = name.chars().take(100).collect();
    let mut failure = Failure::not_found(format!("there is no processor `{shown}`{near}"));
    "check the name; `caxton processor list` shows what there is"
        .clone_into(&mut failure.problem.remedy);
    Err(failure)
}

pub(super) fn of(call: &Call) -> Result<Arc<ProcessorSpec>, Failure> {
    meant(&call.app.node, &call.caller, call.parameter("name")?)
}

pub(super) fn get(call: &Call) -> Answered {
    let detail = call.app.node.processor(of(call)?.name.as_str())?;
    json(StatusCode::OK, &views::processor_detail(&detail))
}

pub(super) async fn remove(call: Call) -> Answered {
    let spec = of(&call)?;
    let name = spec.name.as_str();
    let record = call.record_of(AuditAction::Remove, name);
    let removed = call.app.node.remove_processor(name);
    call.audited(vec![record], removed, |_, record| record)
        .await?;
    Ok(done())
}

pub(super) fn logs(call: &Call) -> Answered {
    read_of(call, of(call)?.id)
}

pub(super) async fn call(call: Call) -> Answered {
    let spec = of(&call)?;
    let (name, by) = (spec.name.as_str(), By::Name);
    if !call
        .caller
        .may_do(Verb::Address, Target::Agent { name, by })
    {
        let detail = format!("token `{}` may not call `{name}`", call.caller.name);
        return Err(Failure::new(ErrorCode::Forbidden, detail));
    }
    let wanted = caxton_node::Call {
        function: call.query.get("function").map(str::to_owned),
        input: call.body.clone(),
        content_type: call.header(header::CONTENT_TYPE).map(str::to_owned),
    };
    let record = call.record_of(AuditAction::ActionCall, name);
    let called = called(&call, name, wanted);
    let (output, measures) = call
        .audited(vec![record], called, |_, record| record)
        .await?;
    Ok(with_measures(output, &measures))
}

/// Calls a processor. Dropped, the call ends: where the client hangs up, and where it takes too long.
///
/// Errors: the node is shutting down; the processor's fault, with its measures.
async fn called(
    call: &Call,
    name: &str,
    wanted: caxton_node::Call,
) -> Result<(Bytes, CallMeasures), Failure> {
    let mut closing = call.app.closing.clone();
    let ended = tokio::select! {
        biased;
        ended = call.app.node.call(name, wanted) => ended?,
        () = closed(&mut closing) => {
            let detail = "the node is shutting down, and the call was ended";
            return Err(Failure::new(ErrorCode::ShuttingDown, detail));
        }
    };
    let measures = measures_of(&ended.usage);
    let fault = match ended.result {
        Ok(output) => return Ok((output, measures)),
        Err(fault) => fault,
    };
    let detail = match fault.code {
        ErrorCode::Internal => "the node failed; its log says more".to_owned(),
        // The problem has the remedy as a field of its own.
        code => fault.text.replace(&format!("; {}", code.remedy()), ""),
    };
    let mut failure = Failure::new(fault.code, detail);
    if fault.code == ErrorCode::UnsupportedMediaType {
        "send one of the media types that the processor takes, or none"
            .clone_into(&mut failure.problem.remedy);
    }
    for (name, value) in measures.headers() {
        failure = failure.with_header(HeaderName::from_static(name), &value.to_string());
    }
    Err(failure)
}

fn with_measures(output: Bytes, measures: &CallMeasures) -> Response {
    let media_type = "application/octet-stream";
    let mut response = with_type(StatusCode::OK, media_type, Body::from(output));
    let headers = response.headers_mut();
    for (name, value) in measures.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    response
}

const fn measures_of(usage: &Usage) -> CallMeasures {
    CallMeasures {
        cpu_micros: usage.cpu_nanos / 1_000,
        wall_micros: usage.wall_nanos() / 1_000,
        memory_peak_bytes: usage.memory_peak_bytes,
        host_calls: usage.host_calls,
        allocations: usage.allocations,
        fuel: usage.fuel,
    }
}
