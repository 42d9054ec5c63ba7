//! Tokens.

use caxton_api::{NewToken, Page, TokenCreated};
use caxton_model::{AuditAction, AuditRecord};
use http::StatusCode;

use crate::{
    body::read_json,
    call::Call,
    refuse::{Answered, done, json},
};

pub(super) async fn create(call: Call) -> Answered {
    let new: NewToken = read_json(&call.body)?;
    let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
    let mut record = call
        .record(AuditAction::KeyChange, &new.name)
        .with("change", "created")
        .with("scopes", scopes.join(", "));
    record.namespace.clone_from(&new.namespace);
    let made = call.app.tokens.create(new);
    let with_id = |made: &TokenCreated, record: AuditRecord| record.with("key", &made.entry.id);
    let made = call.audited(vec![record], made, with_id).await?;
    tracing::info!(id = made.entry.id, name = made.entry.name, by = %call.caller.name, "token made");
    json(StatusCode::CREATED, &made)
}

pub(super) fn list(call: &Call) -> Answered {
    json(StatusCode::OK, &Page::all(call.app.tokens.list()))
}

pub(super) async fn delete(call: Call) -> Answered {
    let id = call.parameter("id")?;
    let record = call
        .record(AuditAction::KeyChange, id)
        .with("change", "deleted")
        .with("key", id);
    let deleted = call.app.tokens.delete(id);
    call.audited(vec![record], deleted, |(), record| record)
        .await?;
    tracing::info!(id, by = %call.caller.name, "token taken away");
    Ok(done())
}
