//! Messages that could not be delivered.

use caxton_api::Taken;
use caxton_kernel::Reach;
use caxton_model::{AgentStatus, DEAD_LETTERS_MAX, DeadLetter, ErrorCode, MessageKey};
use http::StatusCode;

use crate::{
    call::Call,
    names,
    paging::page_behind,
    refuse::{Answered, Failure, done, json},
    views,
};

fn sees(call: &Call, letter: &DeadLetter) -> bool {
    let (node, caller) = (&call.app.node, &call.caller);
    names::sees_party(node, caller, &letter.message.sender)
        || names::sees_dead(node, caller, &letter.intended, letter.code)
}

pub(super) async fn list(call: Call) -> Answered {
    let limit = call.query.limit()?;
    let cursor: Option<MessageKey> = call
        .query
        .parsed("cursor", "the `next_cursor` of the page before")?;
    let all = call.caller.namespace.is_none() && cursor.is_none();
    let wanted = if all { limit + 1 } else { DEAD_LETTERS_MAX };
    let letters = call.app.node.dead_letters(wanted).await?;
    let seen: Vec<_> = letters
        .iter()
        .filter(|letter| sees(&call, letter))
        .collect();
    let view = |letter: &&DeadLetter| views::dead_letter(letter);
    let page = page_behind(&seen, cursor, limit, |letter| letter.key, view);
    json(StatusCode::OK, &page)
}

/// The dead letter with this key, if there is one that the caller may see.
async fn find(call: &Call, key: MessageKey) -> Result<Option<DeadLetter>, Failure> {
    let letter = call.app.node.dead_letter(key).await?;
    Ok(letter.filter(|letter| sees(call, letter)))
}

async fn take(call: &Call, resend: bool) -> Result<Taken, Failure> {
    let text = call.parameter("id")?;
    let missing = || {
        let shown: String = text.chars().take(100).collect();
        Failure::not_found(format!("there is no dead letter `{shown}`"))
    };
    let key: MessageKey = text.parse().map_err(|_| missing())?;
    if call.caller.namespace.is_some() && find(call, key).await?.is_none() {
        return Err(missing());
    }
    // Whoever sends it again needs the right to write there; without it there is nothing to send.
    let reach = resend.then(|| Reach(call.caller.namespace.clone()));
    match call.app.node.take_dead_letters(vec![key], reach).await? {
        0 => match find(call, key).await? {
            Some(letter) if resend => Err(undeliverable(call, &letter)),
            _ => Err(missing()),
        },
        taken => Ok(Taken { taken }),
    }
}

/// Why a dead letter was not sent again. A receiver across the border looks like one that is absent.
fn undeliverable(call: &Call, letter: &DeadLetter) -> Failure {
    let listing = call.app.node.listing(&letter.intended);
    let listing = listing.filter(|listing| call.caller.learns_of(&listing.spec.name));
    let why = match listing.map(|listing| listing.status) {
        None => "is not there".to_owned(),
        Some(AgentStatus::Running | AgentStatus::Passivated) => {
            "has no room in its mailbox".to_owned()
        }
        Some(status) => format!("is {}", status.as_str()),
    };
    let (key, intended) = (letter.key, &letter.intended);
    let detail = format!(
        "the receiver `{intended}` of the dead letter `{key}` {why}; the message was not sent and \
         stays a dead letter"
    );
    let mut failure = Failure::new(ErrorCode::Undeliverable, detail);
    "deploy or start the receiver, then send the dead letter again; or delete the dead letter"
        .clone_into(&mut failure.problem.remedy);
    failure
}

pub(super) async fn resend(call: Call) -> Answered {
    let taken = take(&call, true).await?;
    json(StatusCode::OK, &taken)
}

pub(super) async fn delete(call: Call) -> Answered {
    take(&call, false).await?;
    Ok(done())
}
