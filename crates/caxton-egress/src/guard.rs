//! What the broker asks before it acts.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::{Origin, Target};

/// The permissions of the guest whose request is sent. A refusal is the text that the guest gets: it
/// names what was refused and the command that would grant it.
///
/// There is no default that permits: a guard answers each of the three.
pub trait Guard: Send + Sync {
    /// Checks a method and URL: those of the call, then those of every redirect. Asked before the
    /// host's name is resolved, so that a refused request does not even reach a name server.
    ///
    /// Errors: the reason for the refusal.
    fn check_request(&self, method: &str, target: &Target) -> Result<(), String>;

    /// Checks an address that `origin` was resolved to, or that it states. Asked before a connection
    /// to it is opened, and again before an open one is used. IPv4 addresses that were written as
    /// IPv6 ones arrive as IPv4.
    ///
    /// Errors: the reason for the refusal.
    fn check_address(&self, origin: &Origin, address: SocketAddr) -> Result<(), String>;

    /// The value that replaces `{{secret:NAME}}` in this header, for this origin alone. `header` is
    /// the whole header with `{}` in the placeholder's place: `authorization: Bearer {}`.
    ///
    /// Errors: the reason for the refusal, without anything of the secret.
    fn secret(&self, name: &str, header: &str, origin: &Origin) -> Result<Bytes, String>;
}
