//! What the host itself says: failures and `not-understood`, and where they go.

use std::sync::Arc;

use caxton_model::{
    AgentId, Destination, ErrorCode, Fields, Message, Performative, Receiver, Sent,
    is_reserved_name,
};
use serde_json::json;

use crate::{
    Directory,
    border::{Agent, Client, Principal, namespace_of},
    route::{self, Found},
};

/// The field in which messages carry a trace's context from one to the next.
///
/// Source: W3C Trace Context, the header of the same name.
const TRACE_FIELD: &str = "traceparent";

/// Hands the trace of a message on to what is said because of it, unless that has its own.
pub(crate) fn carry_trace(from: &Message, to: &mut Fields) {
    let trace = from.extra.iter().find(|(name, _)| &**name == TRACE_FIELD);
    if let Some(trace) = trace
        && !to.extra.iter().any(|(name, _)| &**name == TRACE_FIELD)
    {
        to.extra.push(trace.clone());
    }
}

/// Where the answer to a message goes: to `reply_to` if that can be reached, and the sender could
/// write there itself; else to the sender.
pub(crate) fn answer_destination(
    directory: &Directory,
    message: &Message,
) -> (Arc<str>, Destination) {
    if let Some(wanted) = &message.reply_to
        && route::built_in(wanted).is_none()
        && may_answer_to(directory, message, wanted)
        && let Some(to) = known(directory, wanted)
    {
        return (Arc::clone(wanted), to);
    }
    sender_of(directory, message)
}

fn sender_of(directory: &Directory, message: &Message) -> (Arc<str>, Destination) {
    let sender = &message.sender;
    let to = known(directory, sender).unwrap_or_else(|| Destination::Client(Arc::clone(sender)));
    (Arc::clone(sender), to)
}

/// Whether a message's sender could itself write to whom it wants the answer sent.
pub(crate) fn may_answer_to(directory: &Directory, message: &Message, wanted: &str) -> bool {
    let sender = &*message.sender;
    let listing = directory.resolve(sender);
    let who = match &listing {
        Some(listing) => Principal::Agent(Agent {
            name: listing.spec.name.as_str(),
            grants: &listing.spec.grants,
            asker: None,
            reply_to: None,
        }),
        None => Principal::Client(Client {
            name: sender,
            namespace: Some(namespace_of(sender)),
        }),
    };
    match route::find(directory, who, wanted, |_| ()) {
        Found::BuiltIn(_) | Found::Agent(()) => true,
        // Judged as a name: a client, or nobody.
        Found::Nobody => AgentId::read(wanted).is_none(),
        Found::Remote | Found::Denied => false,
    }
}

fn known(directory: &Directory, name: &str) -> Option<Destination> {
    if let Some(id) = route::built_in(name) {
        return Some(Destination::Agent(id));
    }
    if let Some(id) = directory.look(name, |listing| listing.spec.id) {
        return Some(Destination::Agent(id));
    }
    (!is_reserved_name(name) && directory.knows_client(name))
        .then(|| Destination::Client(name.into()))
}

/// The answer of one of the host's own agents. `None`: the message was a last word, which gets none.
///
/// At `reply_to`, where somebody else is, it is no answer: that somebody asked for nothing, and what
/// it waits for must not be ended by what a third one has the host say.
pub(crate) fn answer(
    directory: &Directory,
    message: &Message,
    performative: Performative,
    agent: &str,
    content: &serde_json::Value,
) -> Option<Sent> {
    if message.performative.is_last_word() {
        return None;
    }
    let (name, to) = answer_destination(directory, message);
    let mut fields = Fields::reply_to(message, performative, agent, content);
    if name != message.sender {
        fields.in_reply_to = None;
        fields.conversation_id = None;
    }
    Some(say(message, fields, name, to))
}

/// What the host says because of a message.
fn say(message: &Message, mut fields: Fields, name: Arc<str>, to: Destination) -> Sent {
    fields.receiver = Receiver::One(name);
    carry_trace(message, &mut fields);
    Sent {
        message: fields.seal(),
        to: vec![to],
    }
}

/// A `failure` (or, for that code, a `not-understood`) with its code and words, in the name of the
/// agent that it is about. It goes to the message's sender, and to nobody else.
pub(crate) fn failure(
    directory: &Directory,
    message: &Message,
    agent: &str,
    code: ErrorCode,
    text: &str,
) -> Option<Sent> {
    let performative = match code {
        ErrorCode::NotUnderstoodByHost => Performative::NotUnderstood,
        _ => Performative::Failure,
    };
    if message.performative.is_last_word() {
        return None;
    }
    let content = json!({ "error": text, "code": code.as_str(), "agent": agent });
    let fields = Fields::reply_to(message, performative, agent, &content);
    let (name, to) = sender_of(directory, message);
    Some(say(message, fields, name, to))
}

/// The dead letter a message becomes.
pub(crate) fn dead(message: &Message, intended: &str, code: ErrorCode, reason: &str) -> Sent {
    Sent {
        message: message.clone(),
        to: vec![Destination::Dead {
            intended: intended.into(),
            code,
            reason: reason.to_owned(),
        }],
    }
}
