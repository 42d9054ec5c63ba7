//! Placeholders for secrets: found anywhere, replaced in header values alone.

use caxton_gate::{Allowed, HttpRequest, SecretUse};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;
use percent_encoding::percent_decode_str;

use crate::{Caller, HttpFailure};

const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";

/// Bytes of a secret's name.
const NAME_BYTES_MAX: usize = 64;

/// True if these bytes contain the beginning of a placeholder.
pub(crate) fn is_in(bytes: &[u8]) -> bool {
    memmem::find(bytes, OPEN.as_bytes()).is_some()
}

/// True if a URL contains a placeholder, as it stands or percent-encoded.
pub(crate) fn is_in_url(url: &str) -> bool {
    is_in(url.as_bytes())
        || (url.contains('%') && is_in(&percent_decode_str(url).collect::<Vec<u8>>()))
}

/// Replaces every placeholder in the headers' values by its secret, if the gate allows it there.
///
/// Errors: [`HttpFailure::SecretDenied`], [`HttpFailure::MisplacedSecret`].
pub(crate) fn substitute(
    headers: &mut HeaderMap,
    request: &Allowed<HttpRequest>,
    caller: &Caller<'_>,
) -> Result<(), HttpFailure> {
    for (header, value) in headers.iter_mut() {
        if is_in(value.as_bytes()) {
            *value = replaced(header, value.as_bytes(), request, caller)?;
        }
    }
    Ok(())
}

fn replaced(
    header: &HeaderName,
    value: &[u8],
    request: &Allowed<HttpRequest>,
    caller: &Caller<'_>,
) -> Result<HeaderValue, HttpFailure> {
    let misspelled = HttpFailure::MisplacedSecret {
        place: "header in another spelling, or twice",
    };
    let (before, name, after) = parts(value).ok_or(misspelled)?;
    let template = format!("{header}: {before}{{}}{after}");
    let access = SecretUse::new(name, request, &template);
    let secret = access
        .map_err(|malformed| caller.refuse(&malformed))
        .and_then(|access| caller.check(access))
        .and_then(|allowed| caller.secrets.read(allowed))
        .map_err(|reason| HttpFailure::SecretDenied {
            name: name.to_owned(),
            reason,
        })?;
    let whole = [before.as_bytes(), &secret, after.as_bytes()].concat();
    let mut value = HeaderValue::from_bytes(&whole).map_err(|_| HttpFailure::BadHeader {
        name: header.to_string(),
        reason: "its secret contains a byte that no header value may".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What stands before the one placeholder, the secret's name, and what follows; `None` if it is
/// spelled wrongly or not the only one.
fn parts(value: &[u8]) -> Option<(&str, &str, &str)> {
    let value = std::str::from_utf8(value).ok()?;
    let (before, rest) = value.split_once(OPEN)?;
    let (name, after) = rest.split_once(CLOSE)?;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.as_bytes().iter().all(fits);
    (is_name && !after.contains(OPEN)).then_some((before, name, after))
}
