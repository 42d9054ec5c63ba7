//! What happens on the node, as it happens.

use std::sync::Arc;

use caxton_api::EventKind;
use caxton_kernel::NodeEvent;
use caxton_model::AgentId;
use caxton_node::{Node, NumberedEvent};
use http::HeaderName;

use crate::{
    auth::Caller,
    call::Call,
    names,
    refuse::{Answered, Failure},
    streams::{self, Begin, Source},
    views,
};

struct Events {
    node: Node,
    caller: Caller,
    kind: Option<EventKind>,
    agent: Option<(AgentId, Arc<str>)>,
    conversation_id: Option<String>,
}

impl Events {
    fn sees(&self, event: &NodeEvent) -> bool {
        let see = |party: &str| names::sees_party(&self.node, &self.caller, party);
        match event {
            NodeEvent::Status { name, .. } | NodeEvent::Fault { name, .. } => see(name),
            NodeEvent::Sent {
                message,
                deliveries,
                ..
            } => {
                let to = views::receivers(message);
                // Where a copy was not delivered, its receiver may not be one that is to see it.
                let all = to.len() == usize::try_from(*deliveries).unwrap_or(usize::MAX);
                see(&message.sender) || (all && to.iter().any(|to| see(to)))
            }
            NodeEvent::DeadLetter { intended, code, .. } => {
                names::sees_dead(&self.node, &self.caller, intended, *code)
            }
            NodeEvent::HostBytes { owner, .. } => see(owner),
        }
    }
    fn is_about_agent(&self, event: &NodeEvent) -> bool {
        let Some((id, name)) = &self.agent else {
            return true;
        };
        let is = |party: &str| party == &**name || party.parse() == Ok(*id);
        match event {
            NodeEvent::Status { agent, .. } | NodeEvent::Fault { agent, .. } => agent == id,
            NodeEvent::Sent { message, .. } => {
                is(&message.sender) || views::receivers(message).iter().any(|to| is(to))
            }
            NodeEvent::DeadLetter { intended, .. } => is(intended),
            NodeEvent::HostBytes { owner, .. } => is(owner),
        }
    }
    fn is_in_conversation(&self, event: &NodeEvent) -> bool {
        let Some(id) = &self.conversation_id else {
            return true;
        };
        matches!(event, NodeEvent::Sent { message, .. } if message.conversation_id.as_deref() == Some(id))
    }
}

impl Source for Events {
    type Item = NumberedEvent;
    fn number(item: &NumberedEvent) -> u64 {
        item.number
    }
    fn last(&self) -> u64 {
        self.node.last_event()
    }
    fn after(&self, number: u64) -> Vec<NumberedEvent> {
        self.node.events_after(number)
    }
    fn wants(&self, item: &NumberedEvent) -> bool {
        self.caller.work.visit(1);
        let event = &item.event;
        self.kind
            .is_none_or(|kind| kind == views::event_kind(event))
            && self.is_about_agent(event)
            && self.is_in_conversation(event)
            && self.sees(event)
    }
    fn show(&self, item: &NumberedEvent) -> (EventKind, String) {
        let data = serde_json::to_string(&views::event(&item.event)).unwrap_or_default();
        (views::event_kind(&item.event), data)
    }
    fn named(&self) -> bool {
        true
    }
}

fn kind_of(text: &str) -> Result<EventKind, Failure> {
    EventKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| {
            let all = EventKind::ALL.map(EventKind::as_str).join(", ");
            let shown: String = text.chars().take(100).collect();
            Failure::malformed(format!(
                "query parameter `kind`: expected one of {all}, got `{shown}`"
            ))
        })
}

pub(super) fn stream(call: &Call) -> Answered {
    let node = call.app.node.clone();
    let last = call.header(HeaderName::from_static("last-event-id"));
    let begin = Begin::of(&call.app, last)?;
    let agent = call
        .query
        .get("agent")
        .map(|text| names::agent(&node, &call.caller, text))
        .transpose()?;
    let source = Events {
        kind: call.query.get("kind").map(kind_of).transpose()?,
        agent: agent.map(|listing| (listing.spec.id, listing.spec.name.shared())),
        conversation_id: call.query.get("conversation_id").map(str::to_owned),
        caller: call.caller.clone(),
        node: node.clone(),
    };
    streams::open(&call.app, source, node.watch_events(), &begin)
}
