//! Sending: answers, letters to one agent, broadcasts.

use caxton_model::{Capabilities, FipaMessage, Performative};
use serde::Serialize;
use serde_json::{Value, json, value::to_raw_value};

use crate::{Refusal, console_error, refusal::answer, sys, wire};

/// A new message. The host fills in who sends it.
#[must_use]
pub fn message_to(performative: Performative, receiver: &str, content: Value) -> FipaMessage {
    FipaMessage {
        performative: performative.as_str().to_owned(),
        receiver: Value::String(receiver.to_owned()),
        content,
        ..FipaMessage::default()
    }
}

/// An answer: to whoever waits for it, in its conversation and protocol.
#[must_use]
pub fn reply(message: &FipaMessage, performative: Performative, content: Value) -> FipaMessage {
    FipaMessage {
        conversation_id: message.conversation_id.clone(),
        in_reply_to: message.reply_with.clone(),
        protocol: message.protocol.clone(),
        ..message_to(
            performative,
            message.reply_to.as_ref().unwrap_or(&message.sender),
            content,
        )
    }
}

/// Sends a message; it leaves when the turn ends well.
///
/// Errors: what the host says at once; what it finds later comes as a `failure`.
pub fn send_message(message: &FipaMessage) -> Result<(), Refusal> {
    answer("send_message", sys::send(&wire::write(message, None)?)).map(drop)
}

/// Answers a message with any performative.
///
/// Errors: as [`send_message`]; or the content can't be written as JSON.
pub fn reply_with(
    message: &FipaMessage,
    performative: Performative,
    content: &(impl Serialize + ?Sized),
) -> Result<(), Refusal> {
    let content = to_raw_value(content).map_err(|error| Refusal::json(&error))?;
    let json = wire::write(&reply(message, performative, Value::Null), Some(&content))?;
    answer("send_message", sys::send(&json)).map(drop)
}

fn reply_or_log(
    message: &FipaMessage,
    performative: Performative,
    content: &(impl Serialize + ?Sized),
) {
    if let Err(refusal) = reply_with(message, performative, content) {
        console_error(&format!(
            "the {} was not sent: {refusal}",
            performative.as_str()
        ));
    }
}

/// Answers `inform` with `{"result": response}`. If it can't be sent, that is logged.
pub fn send_inform_response(message: &FipaMessage, response: &(impl Serialize + ?Sized)) {
    #[derive(Serialize)]
    struct Content<'a, T: ?Sized> {
        result: &'a T,
    }
    reply_or_log(message, Performative::Inform, &Content { result: response });
}

/// Answers `failure` with `{"error": reason}`; a failure is not answered with another.
pub fn send_failure(message: &FipaMessage, reason: &str) {
    if !is_final(message) {
        reply_or_log(message, Performative::Failure, &json!({ "error": reason }));
    }
}

/// Answers `not-understood`; one that is itself such an answer is not answered.
pub fn send_not_understood(message: &FipaMessage) {
    if !is_final(message) {
        let content = json!({ "error": "Message not understood" });
        reply_or_log(message, Performative::NotUnderstood, &content);
    }
}

/// An answer to such a message could be answered the same way, without end.
fn is_final(message: &FipaMessage) -> bool {
    matches!(
        wire::performative(message),
        Some(Performative::Failure | Performative::NotUnderstood)
    )
}

macro_rules! answers {
    ($($name:ident = $performative:ident: $doc:literal,)*) => {
        $(#[doc = $doc]
        pub fn $name(message: &FipaMessage, content: &(impl Serialize + ?Sized)) {
            reply_or_log(message, Performative::$performative, content);
        })*
    };
}

answers! {
    send_inform = Inform: "Answers `inform` with the content as it is.",
    send_agree = Agree: "Answers that it will be done.",
    send_refuse = Refuse: "Answers that it will not be done, and why.",
    send_propose = Propose: "Answers a call for proposals.",
    send_accept_proposal = AcceptProposal: "Accepts a proposal.",
    send_reject_proposal = RejectProposal: "Rejects a proposal.",
    send_confirm = Confirm: "Confirms what the other doubts.",
    send_disconfirm = Disconfirm: "Says that what the other believes is false.",
    send_cancel = Cancel: "Takes back what was asked of the other.",
}

/// Sends a message to an agent of this node, by id or name.
///
/// Errors: the host's reason in words.
pub fn send_to_agent(agent_id: &str, message: &FipaMessage) -> Result<(), String> {
    let json = wire::write(message, None).map_err(|refusal| refusal.to_string())?;
    answer(
        "send_local_message",
        sys::send_local(agent_id.as_bytes(), &json),
    )
    .map(drop)
    .map_err(|refusal| format!("Failed to send message: {refusal}"))
}

/// Sends to all that fit a filter; answers how many it reached.
///
/// The filter's keys: `capabilities`, `performative`, `protocol`, `ontology`, `name` (a glob).
/// Errors: the host's; [`caxton_model::HostCode::Malformed`] for another key.
pub fn broadcast(filter: &Value, message: &FipaMessage) -> Result<u32, Refusal> {
    let json = wire::write(message, None)?;
    let reached = sys::broadcast(filter.to_string().as_bytes(), &json);
    answer("broadcast_message", reached).map(i32::unsigned_abs)
}

/// Sends to all agents that offer a capability; answers how many it reached.
///
/// Errors: the host's reason in words.
pub fn broadcast_to_capability(capability: &str, message: &FipaMessage) -> Result<u32, String> {
    broadcast(&json!({ "capabilities": [capability] }), message)
        .map_err(|refusal| format!("Failed to broadcast message: {refusal}"))
}

/// Emits an event to all agents of the namespace that have subscribed to its topic; answers how many
/// it reached. Needs the permission `event:emit`.
///
/// A topic has 1 to 256 bytes of `a` to `z`, `0` to `9`, `.`, `_` and `-`.
/// Errors: the host's.
pub fn emit(topic: &str, content: &Value) -> Result<u32, Refusal> {
    let reached = sys::emit(topic.as_bytes(), content.to_string().as_bytes());
    answer("event_emit", reached).map(i32::unsigned_abs)
}

/// The topic of a message that is an event.
#[must_use]
pub fn event_topic(message: &FipaMessage) -> Option<&str> {
    let is_event = message.protocol.as_deref() == Some("caxton-event");
    message.ontology.as_deref().filter(|_| is_event)
}

/// Subscribes to broadcasts that fit a filter; answers the subscription's id.
///
/// The key `topic` subscribes to events instead, and needs the permission `event:listen`; `*` stands for
/// any run of characters.
/// Errors: the host's.
pub fn subscribe_messages(filter: &Value) -> Result<i32, Refusal> {
    answer(
        "subscribe_messages",
        sys::subscribe(filter.to_string().as_bytes()),
    )
}

/// Ends a subscription. Errors: there is no such one.
pub fn unsubscribe_messages(id: i32) -> Result<(), Refusal> {
    answer("unsubscribe_messages", sys::unsubscribe(id)).map(drop)
}

/// Says what this agent offers from now on; replaces what it said before.
///
/// Errors: the host's.
pub fn register_capabilities(capabilities: &Capabilities) -> Result<(), Refusal> {
    let json = serde_json::to_vec(capabilities).map_err(|error| Refusal::json(&error))?;
    answer("register_capabilities", sys::register(&json)).map(drop)
}
