//! Secrets of the agent's namespace. Needs the permission `vault:read` or `vault:write` for the name.
//!
//! What [`get`] returns is the secret itself: a guest that stores it, sends it or logs it has given
//! it away. To use a secret in a request without seeing it, ask for `secret:use` in its place.

use crate::{Refusal, refusal::answer, state::read, sys};

/// The value of a secret; `None` if there is none of that name.
///
/// Errors: [`caxton_model::HostCode::Denied`] without the permission, `Unavailable` while the node's
/// vault is closed.
pub fn get(name: &str) -> Result<Option<Vec<u8>>, Refusal> {
    read("vault_get", |into| sys::vault_get(name.as_bytes(), into))
}

/// Sets a secret of 8 bytes to 64 KiB. It is durable when this returns, and stays set if the turn
/// faults.
///
/// Errors: [`caxton_model::HostCode::Denied`] without the permission; `Malformed` or `TooLarge` for the
/// value's size; `QuotaReached` while the vault is full; `Unavailable` while it is closed.
pub fn put(name: &str, value: &[u8]) -> Result<(), Refusal> {
    answer("vault_put", sys::vault_put(name.as_bytes(), value)).map(drop)
}
