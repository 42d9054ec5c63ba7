//! Looking into one agent: its state, mail, faults.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use caxton_api::{AgentFault, Page, StateKeyEntry};
use caxton_kernel::NodeEvent;
use caxton_model::{ErrorCode, MessageKey};
use http::StatusCode;

use super::agents::{meant, meant_id};
use crate::{
    call::Call,
    paging::page_behind,
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
    call.caller.work.visit(mailbox.len());
    let page = page_behind(&mailbox, cursor, limit, |mail| mail.key, views::mail);
    json(StatusCode::OK, &page)
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
    call.caller.work.visit(keys.len());
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
    let before: Option<u64> = call
        .query
        .parsed("cursor", "the `next_cursor` of the page before")?;
    let id = listing.spec.id;
    let events = call.app.node.events_after(0);
    call.caller.work.visit(events.len());
    let mut found = events
        .iter()
        .rev()
        .filter(|numbered| before.is_none_or(|before| numbered.number < before))
        .filter_map(|numbered| match &numbered.event {
            NodeEvent::Fault {
                at,
                agent,
                turn,
                fault,
                ..
            } if *agent == id => Some((numbered.number, views::fault(*at, Some(*turn), fault))),
            _ => None,
        });
    let page: Vec<(u64, AgentFault)> = found.by_ref().take(limit).collect();
    let more = found.next().is_some();
    let last = page.last().filter(|_| more);
    let next_cursor = last.map(|(number, _)| number.to_string());
    let mut items: Vec<AgentFault> = page.into_iter().map(|(_, fault)| fault).collect();
    if items.is_empty() && before.is_none() {
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
    json(StatusCode::OK, &Page { items, next_cursor })
}
