//! Tokens.

use caxton_api::{NewToken, Page};
use http::StatusCode;

use crate::{
    body::read_json,
    call::Call,
    refuse::{Answered, done, json},
};

pub(super) async fn create(call: Call) -> Answered {
    let new: NewToken = read_json(&call.body)?;
    let made = call.app.tokens.create(new).await?;
    tracing::info!(id = made.entry.id, name = made.entry.name, by = %call.caller.name, "token made");
    json(StatusCode::CREATED, &made)
}

pub(super) fn list(call: &Call) -> Answered {
    json(StatusCode::OK, &Page::all(call.app.tokens.list()))
}

pub(super) async fn delete(call: Call) -> Answered {
    let id = call.parameter("id")?;
    call.app.tokens.delete(id).await?;
    tracing::info!(id, by = %call.caller.name, "token taken away");
    Ok(done())
}
