//! Messages that could not be delivered.

use caxton_api::Taken;
use caxton_kernel::Reach;
use caxton_model::{DEAD_LETTERS_MAX, DeadLetter, MessageKey};
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

async fn take(call: &Call, resend: bool) -> Result<Taken, Failure> {
    let text = call.parameter("id")?;
    let missing = || {
        let shown: String = text.chars().take(100).collect();
        Failure::not_found(format!("there is no dead letter `{shown}`"))
    };
    let key: MessageKey = text.parse().map_err(|_| missing())?;
    if call.caller.namespace.is_some() {
        let letters = call.app.node.dead_letters(DEAD_LETTERS_MAX).await?;
        if !letters
            .iter()
            .any(|letter| letter.key == key && sees(call, letter))
        {
            return Err(missing());
        }
    }
    // Whoever sends it again needs the right to write there; without it there is nothing to send.
    let resend = resend.then(|| Reach(call.caller.namespace.clone()));
    match call.app.node.take_dead_letters(vec![key], resend).await? {
        0 => Err(missing()),
        taken => Ok(Taken { taken }),
    }
}

pub(super) async fn resend(call: Call) -> Answered {
    let taken = take(&call, true).await?;
    json(StatusCode::OK, &taken)
}

pub(super) async fn delete(call: Call) -> Answered {
    take(&call, false).await?;
    Ok(done())
}
