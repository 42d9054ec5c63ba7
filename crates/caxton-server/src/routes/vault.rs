//! The vault: secrets go in and are listed by name; no route answers a value.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use caxton_api::{KeyRotated, NewSecret, Page, SecretEntry};
use caxton_model::{AuditAction, AuditRecord};
use caxton_node::VaultEntry;
use http::StatusCode;
use zeroize::Zeroizing;

use crate::{
    body::read_json,
    call::Call,
    names,
    refuse::{Answered, Failure, done, json},
};

pub(super) async fn set(call: Call) -> Answered {
    let new: NewSecret = read_json(&call.body)?;
    let name = names::secret(&new.name)?;
    let value = match (new.value, new.value_base64) {
        (Some(text), None) if text.is_ascii() => Zeroizing::new(text.into_bytes()),
        (Some(_), None) => {
            return Err(Failure::malformed(
                "`value` has characters beyond ASCII; send it in base64, as `value_base64`",
            ));
        }
        (None, Some(text)) => {
            let text = Zeroizing::new(text);
            let decoded = STANDARD.decode(text.as_bytes()).map_err(|_| {
                // What is wrong with it would tell a part of it.
                Failure::malformed("`value_base64` is not base64")
            });
            Zeroizing::new(decoded?)
        }
        _ => {
            return Err(Failure::malformed(
                "a secret needs just one of `value` and `value_base64`",
            ));
        }
    };
    let record = call
        .record_of(AuditAction::VaultUse, name.as_str())
        .with("change", "set");
    let set = call.app.node.set_secret(name.clone(), value);
    call.audited(vec![record], set, |(), record| record).await?;
    tracing::info!(%name, by = %call.caller.name, "secret set");
    Ok(done())
}

pub(super) async fn list(call: Call) -> Answered {
    let secrets = call.app.node.secrets().await?;
    call.caller.work.visit(secrets.len());
    let entry = |secret: VaultEntry| SecretEntry {
        name: secret.name,
        set_at: secret.set_at.map(|at| at.to_string()),
        problem: secret.problem,
    };
    let page = Page::all(secrets.into_iter().map(entry).collect());
    json(StatusCode::OK, &page)
}

pub(super) async fn remove(call: Call) -> Answered {
    let name = names::secret(call.parameter("name")?)?;
    let record = call
        .record_of(AuditAction::VaultUse, name.as_str())
        .with("change", "removed");
    let removed = call.app.node.remove_secret(name.clone());
    call.audited(vec![record], removed, |(), record| record)
        .await?;
    tracing::info!(%name, by = %call.caller.name, "secret removed");
    Ok(done())
}

pub(super) async fn rotate_key(call: Call) -> Answered {
    let record = call
        .record(AuditAction::KeyChange, "vault")
        .with("change", "rotated");
    let rotated = call.app.node.rotate_vault_key();
    let with_count =
        |secrets: &usize, record: AuditRecord| record.with("secrets", secrets.to_string());
    let secrets = call.audited(vec![record], rotated, with_count).await?;
    call.caller.work.visit(secrets);
    let secrets = secrets as u64;
    tracing::info!(secrets, by = %call.caller.name, "the vault's key was rotated");
    json(StatusCode::OK, &KeyRotated { secrets })
}
