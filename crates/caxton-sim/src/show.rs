//! What happened, a line each.

use std::fmt::Write as _;

use caxton_kernel::{Done, NodeEvent, Refusal, TurnInput};
use caxton_model::{Destination, Entry, InputRef, Record, Sent, TurnResult};

pub(crate) fn input(input: &TurnInput) -> String {
    match input {
        TurnInput::Init(reason) => format!("init {reason:?}"),
        TurnInput::Message(mail) => {
            let message = &mail.message;
            let (key, sender) = (mail.key, &message.sender);
            format!(
                "{} {key} of {sender}, attempt {}",
                message.performative, mail.attempts
            )
        }
        TurnInput::Timer { id, due } => format!("timer {id} due {due}"),
        TurnInput::Migrate { from } => format!("migrate from {from}"),
        TurnInput::Shutdown => "shutdown".to_owned(),
    }
}

fn sent(line: &mut String, sent: &[Sent]) {
    for one in sent {
        let _ = write!(line, " [{}", one.message.performative);
        for to in &one.to {
            let _ = match to {
                Destination::Agent(id) => write!(line, " {}", id.0),
                Destination::Client(name) => write!(line, " {name}"),
                Destination::Dead { code, .. } => write!(line, " dead:{code}"),
            };
        }
        line.push(']');
    }
}

pub(crate) fn entry(line: &mut String, entry: &Entry) {
    let _ = write!(
        line,
        "{}-{} {}",
        entry.shard,
        entry.seq,
        entry.record.kind()
    );
    match &entry.record {
        Record::Turn(turn) => {
            let _ = write!(line, " {}/{}", turn.agent.0, turn.turn);
            let _ = match &turn.input {
                InputRef::Message(key) => write!(line, " {key}"),
                InputRef::Timer { id, .. } => write!(line, " timer {id}"),
                other => write!(line, " {other:?}"),
            };
            if !turn.consumed {
                line.push_str(" not used up");
            }
            let _ = match &turn.result {
                TurnResult::Returned(code) => write!(line, " -> {code}"),
                TurnResult::Ended => write!(line, " -> ended itself"),
                TurnResult::Faulted(fault) => write!(line, " -> {}", fault.code),
            };
        }
        Record::Accepted { deliveries } => {
            for (to, key, _) in deliveries {
                let _ = write!(line, " {key} to {}", to.0);
            }
        }
        Record::Refused { agent, key, .. } => {
            let _ = write!(line, " {key} to {}", agent.0);
        }
        Record::StatusChanged {
            agent,
            status,
            reason,
        } => {
            let _ = write!(line, " {} {status:?}: {reason}", agent.0);
        }
        Record::Deployed { spec } | Record::Updated { spec, .. } => {
            let _ = write!(line, " {} {} {}", spec.id.0, spec.name, spec.version);
        }
        Record::Removed { agent, .. } | Record::InstanceStarted { agent, .. } => {
            let _ = write!(line, " {}", agent.0);
        }
        Record::Posted {
            client, message_id, ..
        } => {
            let id = message_id.as_deref().unwrap_or("-");
            let _ = write!(line, " {client} {id}");
        }
        Record::Directory { request, .. } => {
            let _ = write!(line, " {request}");
        }
        _ => {}
    }
    sent(line, entry.record.sent());
}

pub(crate) fn answer(answer: &Result<Done, Refusal>) -> String {
    match answer {
        Ok(Done::Agent { status, .. }) => format!("{status:?}"),
        Ok(Done::Posted {
            key,
            deliveries,
            durable,
            duplicate,
            ..
        }) => format!(
            "posted {key} to {deliveries}{}{}",
            if *durable { " durable" } else { " memory" },
            if *duplicate { " duplicate" } else { "" },
        ),
        Ok(Done::Processor { replaced }) => format!("processor, replaced: {replaced}"),
        Ok(Done::DeadLetters { taken }) => format!("{taken} dead letters"),
        Err(refusal) => format!("refused {}", refusal.code),
    }
}

pub(crate) fn event(event: &NodeEvent) -> Option<String> {
    Some(match event {
        NodeEvent::Status { name, status, .. } => format!("{name} is {status:?}"),
        NodeEvent::Fault { name, fault, .. } => format!("{name} faulted: {}", fault.code),
        NodeEvent::DeadLetter { intended, code, .. } => {
            format!("dead letter for {intended}: {code}")
        }
        NodeEvent::HostBytes { owner, letters, .. } => {
            format!("{letters} dead letters of {owner} went")
        }
        NodeEvent::Sent { .. } => return None,
    })
}
