//! Who sends a request: its gate and its secrets.

use bytes::Bytes;
use caxton_gate::{Access, Allowed, Denied, Gate, HttpRequest, Malformed, SecretUse};
use caxton_model::Timestamp;

use crate::{HttpFailure, secret};

/// The guest whose request is sent. Everything that the broker does for it passes this gate first:
/// method and URL before the name is resolved, each address before it is connected to or a
/// connection to it is used again, each secret before it is read; and all of that again for each
/// redirect.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The guest's gate.
    pub gate: &'a Gate,
    /// The node's clock.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
    /// Where secrets are.
    pub secrets: &'a dyn Secrets,
}

/// Reads secrets that the gate allowed to be used.
pub trait Secrets: Send + Sync {
    /// The value of the secret.
    ///
    /// Errors: the reason, without anything of the secret.
    fn read(&self, access: Allowed<SecretUse>) -> Result<Bytes, String>;
}

impl Caller<'_> {
    pub(crate) fn check<A: Access>(&self, access: A) -> Result<Allowed<A>, String> {
        let checked = self.gate.check(access, (self.now)());
        checked.map_err(|denied: Box<Denied>| denied.to_string())
    }

    /// Has the gate count and audit what was no access at all.
    pub(crate) fn refuse(&self, malformed: &Malformed) -> String {
        self.gate.refuse(malformed, (self.now)()).to_string()
    }

    /// Reads method and URL, which are not checked yet.
    ///
    /// Errors: [`HttpFailure::MisplacedSecret`], [`HttpFailure::UnsupportedScheme`],
    /// [`HttpFailure::BadUrl`].
    pub(crate) fn request(&self, method: &str, url: &str) -> Result<HttpRequest, HttpFailure> {
        if secret::is_in_url(url) {
            return Err(HttpFailure::MisplacedSecret { place: "URL" });
        }
        HttpRequest::new(method, url).map_err(|malformed| {
            self.refuse(&malformed);
            let reason = malformed.to_string();
            unsupported_scheme(url).unwrap_or(HttpFailure::BadUrl { reason })
        })
    }
}

/// The failure of a URL that is one, but for another protocol.
fn unsupported_scheme(url: &str) -> Option<HttpFailure> {
    let (scheme, _) = url.split_once(':')?;
    let mut letters = scheme.bytes();
    let is_scheme = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && scheme.len() <= 32;
    let scheme = scheme.to_ascii_lowercase();
    let is_other = is_scheme && scheme != "http" && scheme != "https";
    is_other.then_some(HttpFailure::UnsupportedScheme { scheme })
}
