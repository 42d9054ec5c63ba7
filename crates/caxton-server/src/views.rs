//! The node's types as the API shows them.

use caxton_api::{
    AccessEntry, AgentCounters, AgentDetail, AgentFault, AgentSummary, CallCounters,
    ConversationEntry, DeadLetterEntry, EventBody, EventKind, GrantEntry, LimitUse, LogEntry,
    MailEntry, MailboxUse, PermissionChange, ProcessorDetail, ProcessorSummary, RequestedEntry,
    StateKeyEntry,
};
use caxton_gate::{Change, Diff, Requested};
use caxton_kernel::{Listing, NodeEvent};
use caxton_model::{
    AgentId, ConversationLine, DeadLetter, Fault, GrantedRule, Message, Pending, ProcessorSpec,
    RawJson, Receiver, RequestedRule, Timestamp, TurnAccesses, UNLIMITED, split_outcome,
};
use caxton_node::{Deployed, LimitUsage, LogLine, StateKey, shown};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What stands as it is in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

pub(crate) fn mailbox(listing: &Listing) -> MailboxUse {
    MailboxUse {
        messages: listing.gauge.messages(),
        bytes: listing.gauge.bytes(),
    }
}

pub(crate) fn summary(listing: &Listing) -> AgentSummary {
    let spec = &listing.spec;
    let registered = listing.capabilities.as_ref();
    let names = |c: &std::sync::Arc<caxton_model::Capabilities>| {
        c.services
            .iter()
            .map(|service| service.name.clone())
            .collect()
    };
    AgentSummary {
        id: spec.id.to_string(),
        name: spec.name.to_string(),
        namespace: spec.name.namespace().to_string(),
        version: spec.version.clone(),
        module: spec.module.to_string(),
        status: listing.status,
        durability: spec.durability,
        profile: spec.profile,
        capabilities: registered.map(names).unwrap_or_default(),
        declared: match registered {
            Some(_) => Vec::new(),
            None => spec.declared.clone(),
        },
        mailbox: mailbox(listing),
        deployed_at: shown(spec.deployed_at).to_string(),
    }
}

fn limit_use(usage: &LimitUsage) -> LimitUse {
    LimitUse {
        name: usage.name.to_string(),
        limit: (usage.limit != UNLIMITED).then_some(usage.limit),
        used: usage.used,
        peak: usage.peak,
        last_breach: usage.last_breach.map(|at| shown(at).to_string()),
    }
}

pub(crate) fn fault(at: Timestamp, turn: Option<u64>, fault: &Fault) -> AgentFault {
    AgentFault {
        at: shown(at).to_string(),
        turn,
        code: fault.code.to_string(),
        text: fault.text.clone(),
        backtrace: fault.backtrace.clone(),
    }
}

pub(crate) fn detail(detail: &caxton_node::AgentDetail) -> AgentDetail {
    let (spec, state) = (&detail.listing.spec, &detail.state);
    AgentDetail {
        agent: summary(&detail.listing),
        status_reason: state.status_reason.clone(),
        previous_version: state.previous.as_ref().map(|spec| spec.version.clone()),
        limits: detail.usage.iter().map(limit_use).collect(),
        message_send: spec.grants.message_send.clone(),
        requested: requested(spec.requested.as_deref()),
        grants: grants(caxton_node::request_of(&**spec).as_ref(), &detail.granted),
        supervision: spec.supervision.clone(),
        config_keys: spec.config.iter().map(|(key, _)| key.clone()).collect(),
        descriptor: detail.listing.capabilities.as_deref().cloned(),
        counters: AgentCounters {
            turns: state.turns,
            errors: state.errors,
            faults: state.faults,
            messages_sent: state.messages_sent,
            cpu_micros: state.cpu_micros,
            state_bytes: state.state_bytes,
            state_keys: state.state_keys,
            timers: state.timers.len() as u64,
            subscriptions: state.subscriptions.len() as u64,
        },
        memory_bytes: detail.memory_bytes,
        last_fault: state
            .last_fault
            .as_ref()
            .map(|(at, last)| fault(*at, None, last)),
    }
}

pub(crate) fn processor(spec: &ProcessorSpec) -> ProcessorSummary {
    ProcessorSummary {
        name: spec.name.to_string(),
        namespace: spec.name.namespace().to_string(),
        kind: spec.kind,
        version: spec.version.clone(),
        module: spec.module.to_string(),
        profile: spec.profile,
        deployed_at: shown(spec.deployed_at).to_string(),
    }
}

pub(crate) fn processor_detail(detail: &caxton_node::ProcessorDetail) -> ProcessorDetail {
    let spec = &detail.spec;
    ProcessorDetail {
        processor: processor(spec),
        limits: detail.usage.iter().map(limit_use).collect(),
        requested: requested(spec.requested.as_deref()),
        grants: grants(caxton_node::request_of(&**spec).as_ref(), &detail.granted),
        config_keys: spec.config.iter().map(|(key, _)| key.clone()).collect(),
        counters: CallCounters {
            running: detail.running,
            calls: detail.calls,
            errors: detail.errors,
            faults: detail.faults,
            cpu_micros: detail.cpu_micros,
        },
    }
}

pub(crate) fn mail(pending: &Pending) -> MailEntry {
    MailEntry {
        id: pending.key.to_string(),
        at: shown(pending.at).to_string(),
        attempts: pending.attempts,
        message: pending.message.clone(),
    }
}

pub(crate) fn line(line: &ConversationLine) -> ConversationEntry {
    ConversationEntry {
        id: line.key.to_string(),
        at: shown(line.at).to_string(),
        performative: line.performative.to_string(),
        sender: line.sender.to_string(),
        to: line.to.iter().map(ConversationEntry::destination).collect(),
        bytes: line.bytes,
        message: line.message.clone(),
    }
}

pub(crate) fn dead_letter(letter: &DeadLetter) -> DeadLetterEntry {
    DeadLetterEntry {
        id: letter.key.to_string(),
        at: shown(letter.at).to_string(),
        intended: letter.intended.to_string(),
        code: letter.code.to_string(),
        reason: letter.reason.clone(),
        message: letter.message.clone(),
    }
}

pub(crate) fn log(boot: &str, line: &LogLine) -> LogEntry {
    LogEntry {
        id: format!("{boot}-{}", line.number),
        number: line.number,
        at: shown(line.at).to_string(),
        agent: line.agent.to_string(),
        name: line.name.to_string(),
        level: line.level.to_owned(),
        text: line.text.clone(),
    }
}

pub(crate) fn state_key(key: &StateKey) -> StateKeyEntry {
    StateKeyEntry {
        path: percent_encode(&key.key, SEGMENT).to_string(),
        key: String::from_utf8(key.key.clone()).ok(),
        value_bytes: key.value_bytes,
    }
}

pub(crate) const fn event_kind(event: &NodeEvent) -> EventKind {
    match event {
        NodeEvent::Status { .. } => EventKind::Status,
        NodeEvent::Sent { .. } => EventKind::Sent,
        NodeEvent::Fault { .. } => EventKind::Fault,
        NodeEvent::DeadLetter { .. } => EventKind::DeadLetter,
        NodeEvent::HostBytes { .. } => EventKind::HostBytes,
    }
}

pub(crate) fn event(event: &NodeEvent) -> EventBody {
    match event {
        NodeEvent::Status {
            at,
            agent,
            name,
            status,
            reason,
        } => EventBody::Status {
            at: shown(*at).to_string(),
            agent: agent.to_string(),
            name: name.to_string(),
            status: *status,
            reason: reason.clone(),
        },
        NodeEvent::Sent {
            at,
            key,
            message,
            deliveries,
        } => EventBody::Sent {
            at: shown(*at).to_string(),
            id: key.to_string(),
            deliveries: *deliveries,
            message: message.clone(),
        },
        NodeEvent::Fault {
            at,
            agent,
            name,
            turn,
            fault,
        } => EventBody::Fault {
            at: shown(*at).to_string(),
            agent: agent.to_string(),
            name: name.to_string(),
            turn: *turn,
            code: fault.code.to_string(),
            text: fault.text.clone(),
            backtrace: fault.backtrace.clone(),
        },
        NodeEvent::DeadLetter {
            at,
            key,
            intended,
            code,
            reason,
        } => EventBody::DeadLetter {
            at: shown(*at).to_string(),
            id: key.to_string(),
            intended: intended.to_string(),
            code: code.to_string(),
            reason: reason.clone(),
        },
        NodeEvent::HostBytes { at, owner, letters } => EventBody::HostBytes {
            at: at.to_string(),
            owner: owner.to_string(),
            letters: *letters,
        },
    }
}

/// Whom a message is for, as written.
pub(crate) fn receivers(message: &Message) -> Vec<std::sync::Arc<str>> {
    match &message.receiver {
        Receiver::One(one) => vec![std::sync::Arc::clone(one)],
        Receiver::List(list) => list.clone(),
        Receiver::Capability(_) => Vec::new(),
    }
}

/// A text as the JSON of a message's extra field.
pub(crate) fn raw_text(text: &str) -> RawJson {
    RawJson::from(&serde_json::Value::from(text))
}

/// One rule that an agent is granted.
fn granted(asked: Option<&Requested>, rule: &GrantedRule) -> GrantEntry {
    GrantEntry {
        requested: asked.map(|asked| caxton_node::is_requested(asked, rule)),
        rule: rule.rule.clone(),
        by: rule.by.clone(),
        at: shown(rule.at).to_string(),
        expires: rule.expires.map(|at| shown(at).to_string()),
        reason: rule.reason.clone(),
    }
}

/// All rules that are granted, beside what was asked for.
pub(crate) fn grants(asked: Option<&Requested>, rules: &[GrantedRule]) -> Vec<GrantEntry> {
    rules.iter().map(|rule| granted(asked, rule)).collect()
}

/// An agent that was deployed or updated, with what else the operator should know.
pub(crate) fn deployed(deployed: &Deployed, notes: Vec<String>) -> caxton_api::Deployed {
    let mut warnings = deployed.warnings.clone();
    warnings.extend(notes);
    caxton_api::Deployed {
        agent: summary(&deployed.listing),
        warnings,
        not_granted: not_granted(&deployed.not_granted),
        permission_changes: changes(&deployed.changes),
    }
}

/// A processor that was deployed, likewise.
pub(crate) fn deployed_processor(
    deployed: &caxton_node::DeployedProcessor,
    notes: Vec<String>,
) -> caxton_api::DeployedProcessor {
    let mut warnings = deployed.warnings.clone();
    warnings.extend(notes);
    caxton_api::DeployedProcessor {
        processor: processor(&deployed.processor.spec),
        replaced: deployed.replaced,
        warnings,
        not_granted: not_granted(&deployed.not_granted),
        permission_changes: changes(&deployed.changes),
    }
}

fn not_granted(missing: &[caxton_node::NotGranted]) -> Vec<caxton_api::NotGranted> {
    let entry = |missing: &caxton_node::NotGranted| caxton_api::NotGranted {
        rule: missing.rule.clone(),
        reason: missing.reason.clone(),
        command: missing.command.clone(),
        forbidden_by: missing.forbidden_by.clone(),
    };
    missing.iter().map(entry).collect()
}

fn changes(diff: &Diff) -> Vec<PermissionChange> {
    let entry = |change: &Change| PermissionChange {
        kind: change.kind.as_str().to_owned(),
        text: change.to_string(),
    };
    diff.changes.iter().map(entry).collect()
}

/// What a manifest asks for.
fn requested(asked: Option<&[RequestedRule]>) -> Option<Vec<RequestedEntry>> {
    let entry = |rule: &RequestedRule| RequestedEntry {
        rule: rule.rule.clone(),
        reason: rule.reason.clone(),
    };
    Some(asked?.iter().map(entry).collect())
}

/// The recorded accesses of an agent's unfinished turn.
pub(crate) fn accesses(agent: AgentId, recorded: &TurnAccesses) -> Vec<AccessEntry> {
    let accesses = recorded.accesses.iter().enumerate();
    accesses
        .map(|(number, access)| AccessEntry {
            turn: recorded.turn,
            number: number as u64,
            at: shown(access.at).to_string(),
            access: access.shown.to_string(),
            idempotency_key: recorded.idempotency_key(agent, number),
            outcome: access
                .outcome
                .as_ref()
                .map(|outcome| split_outcome(outcome).0),
        })
        .collect()
}
