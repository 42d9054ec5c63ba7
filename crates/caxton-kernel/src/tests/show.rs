//! What happened, a line each.

use std::fmt::Write as _;

use caxton_model::{Destination, Entry, Message, Record, Sent, TurnResult};

use crate::{Done, NodeEvent, Refusal, TurnInput};

/// A message in one line: who to whom, what, and the content.
pub(super) fn show_message(message: &Message) -> String {
    let to = serde_json::to_string(&message.receiver).unwrap_or_default();
    let mut line = format!(
        "{} -> {} {} {}",
        message.sender,
        to.trim_matches('"'),
        message.performative,
        message.content.as_str()
    );
    for (name, text) in [
        ("conv", &message.conversation_id),
        ("re", &message.in_reply_to),
    ] {
        if let Some(text) = text {
            let _ = write!(line, " {name}={text}");
        }
    }
    line
}

pub(super) fn show_input(input: &TurnInput) -> String {
    match input {
        TurnInput::Init(reason) => format!("init {reason:?}"),
        TurnInput::Message(mail) => format!("message {}", show_message(&mail.message)),
        TurnInput::Timer { id, .. } => format!("timer {id}"),
        TurnInput::Migrate { from } => format!("migrate from {from}"),
        TurnInput::Shutdown => "shutdown".to_owned(),
    }
}

fn show_sent(sent: &[Sent]) -> String {
    let mut line = String::new();
    for one in sent {
        let _ = write!(line, " [{}", one.message.performative);
        for to in &one.to {
            let _ = match to {
                Destination::Agent(id) => write!(line, " agent:{}", id.0),
                Destination::Client(name) => write!(line, " client:{name}"),
                Destination::Dead { code, .. } => write!(line, " dead:{code}"),
            };
        }
        line.push(']');
    }
    line
}

/// A record in one line.
pub(super) fn show_entry(entry: &Entry) -> String {
    let mut line = format!("{}-{} {}", entry.shard, entry.seq, entry.record.kind());
    if let Record::Turn(turn) = &entry.record {
        let used = if turn.consumed { "" } else { " not used up" };
        let result = match &turn.result {
            TurnResult::Returned(code) => format!("returned {code}"),
            TurnResult::Ended => "ended itself".to_owned(),
            TurnResult::Faulted(fault) => format!("fault {}", fault.code),
        };
        let _ = write!(line, " {} {result}{used}", turn.turn);
    }
    if let Record::Accepted { deliveries } = &entry.record {
        for (_, key, _) in deliveries {
            let _ = write!(line, " {key}");
        }
    }
    line + &show_sent(entry.record.sent())
}

pub(super) fn show_answer(answer: &Result<Done, Refusal>) -> String {
    match answer {
        Ok(Done::Agent { status, .. }) => format!("{status:?}"),
        Ok(Done::Posted {
            key,
            message,
            deliveries,
            durable,
            duplicate,
        }) => format!(
            "posted {key} conv={} to {deliveries}{}{}",
            message.conversation_id.as_deref().unwrap_or("-"),
            if *durable { " durable" } else { " memory" },
            if *duplicate { " duplicate" } else { "" },
        ),
        Ok(Done::Processor { replaced }) => format!("processor, replaced: {replaced}"),
        Ok(Done::DeadLetters { taken }) => format!("{taken} dead letters"),
        Err(refusal) => format!("refused {}: {}", refusal.code, refusal.text),
    }
}

pub(super) fn show_event(event: &NodeEvent) -> Option<String> {
    Some(match event {
        NodeEvent::Status {
            name,
            status,
            reason,
            ..
        } => format!("{name} is {status:?}: {reason}"),
        NodeEvent::Fault { name, fault, .. } => format!("{name} faulted: {fault}"),
        NodeEvent::DeadLetter {
            intended,
            code,
            reason,
            ..
        } => format!("dead letter for {intended}: {code}: {reason}"),
        NodeEvent::HostBytes { owner, letters, .. } => {
            format!("{letters} dead letters of {owner} went")
        }
        NodeEvent::Sent { .. } => return None,
    })
}
