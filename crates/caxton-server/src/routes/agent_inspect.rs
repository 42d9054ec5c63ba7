//! Looking into one agent: its state, mail, faults.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use caxton_api::{AgentFault, Page, StateKeyEntry};
use caxton_kernel::NodeEvent;
use caxton_model::{ErrorCode, MessageKey};
use http::StatusCode;

use super::agents::{meant, meant_id};
use crate::{
    call::Call,
    refuse::{Answered, Failure, json, with_type},
    views,
};

pub(super) async fn get(call: Call) -> Answered {
    let id = meant_id(&call)?;
    let detail = call.app.node.agent(&id).await?;
    json(StatusCode::OK, &views::detail(&detail))
}

pub(super) async fn messages(call: Call) -> Answered {
    let (id, limit) = (meant_id(&call)?, call.query.limit()?);
    let cursor: Option<MessageKey> = call
        .query
        .parsed("cursor", "the `next_cursor` of the page before")?;
    let mailbox = call.app.node.mailbox(&id).await?;
    // The order is that of arrival, so the cursor is a place in it, not a number to compare with.
    let begin = cursor
        .and_then(|cursor| mailbox.iter().position(|mail| mail.key == cursor))
        .map_or(0, |at| at + 1);
    let rest = mailbox.get(begin..).unwrap_or_default();
    let items: Vec<_> = rest.iter().take(limit).map(views::mail).collect();
    let more = rest.len() > items.len();
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
    json(StatusCode::OK, &Page { items, next_cursor })
}

pub(super) async fn state(call: Call) -> Answered {
    let (id, limit) = (meant_id(&call)?, call.query.limit()?);
    let after = call
        .query
        .get("cursor")
        .map(|text| URL_SAFE_NO_PAD.decode(text))
        .transpose()
        .map_err(|_| {
            Failure::malformed(
                "query parameter `cursor`: expected the `next_cursor` of the page before",
            )
        })?;
    let keys = call.app.node.state_keys(&id, after, limit + 1).await?;
    let shown = keys.get(..limit.min(keys.len())).unwrap_or_default();
    let next_cursor = shown
        .last()
        .filter(|_| keys.len() > limit)
        .map(|last| URL_SAFE_NO_PAD.encode(&last.key));
    let items: Vec<StateKeyEntry> = shown.iter().map(views::state_key).collect();
    json(StatusCode::OK, &Page { items, next_cursor })
}

pub(super) async fn state_value(call: Call) -> Answered {
    let id = meant_id(&call)?;
    let key = call.path.get("key").map(Vec::as_slice).unwrap_or_default();
    match call.app.node.state_value(&id, key).await? {
        Some(bytes) => Ok(with_type(StatusCode::OK, "application/octet-stream", bytes)),
        None => {
            let shown: String = String::from_utf8_lossy(key).chars().take(100).collect();
            let mut failure = Failure::new(
                ErrorCode::NotFound,
                format!("the agent has stored nothing under `{shown}`"),
            );
            "list its keys with GET /api/v1/agents/{id}/state"
                .clone_into(&mut failure.problem.remedy);
            Err(failure)
        }
    }
}

pub(super) async fn faults(call: Call) -> Answered {
    let (listing, limit) = (meant(&call)?, call.query.limit()?);
    let id = listing.spec.id;
    let mut items: Vec<AgentFault> = call
        .app
        .node
        .events_after(0)
        .iter()
        .rev()
        .filter_map(|numbered| match &numbered.event {
            NodeEvent::Fault {
                at,
                agent,
                turn,
                fault,
                ..
            } if *agent == id => Some(views::fault(*at, Some(*turn), fault)),
            _ => None,
        })
        .take(limit)
        .collect();
    if items.is_empty() {
        // From before the node was started, or older than the events it keeps.
        let detail = call.app.node.agent(&id.to_string()).await?;
        items.extend(
            detail
                .state
                .last_fault
                .iter()
                .map(|(at, fault)| views::fault(*at, None, fault)),
        );
    }
    json(StatusCode::OK, &Page::all(items))
}
