//! The headers of a request, as a guest may set them, and of a response, as it may see them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{HttpFailure, target::shortened};

/// Headers of one request; what hyper reads of a response as well.
pub(crate) const COUNT_MAX: usize = 100;

/// Bytes that a header takes beside its name and value: `: ` and the line's end.
const HEADER_OVERHEAD_BYTES: usize = 4;

/// Headers that concern one connection, or how a body is delimited. No guest may set them.
const REFUSED: [&str; 6] = [
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// Headers of a response that concern one connection; the guest's view of the body has none of it.
const OF_CONNECTION: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads a guest's headers.
///
/// `host` is the value of `Host` that will be sent, `body` the body's bytes.
///
/// Errors: [`HttpFailure::BadHeader`], [`HttpFailure::RequestHeadersTooLarge`].
pub(crate) fn of_guest(
    given: &[(String, Bytes)],
    host: &str,
    body: usize,
    bytes_max: u64,
) -> Result<HeaderMap, HttpFailure> {
    let too_large = |limit: String| HttpFailure::RequestHeadersTooLarge { limit };
    if given.len() > COUNT_MAX {
        return Err(too_large(format!("{COUNT_MAX} headers")));
    }
    let given_bytes = |(name, value): &(String, Bytes)| name.len() + value.len();
    let bytes: usize = given.iter().map(given_bytes).sum();
    if u64::try_from(bytes).unwrap_or(u64::MAX) > bytes_max {
        return Err(too_large(format!("`http_field_bytes` = {bytes_max}")));
    }
    let mut headers = HeaderMap::with_capacity(given.len() + 4);
    for (name, value) in given {
        let bad = |reason: &str| HttpFailure::BadHeader {
            name: shortened(name),
            reason: reason.to_owned(),
        };
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| bad("its name is empty or has a character that no name may"))?;
        let value = HeaderValue::from_maybe_shared(value.clone())
            .map_err(|_| bad("its value has a line end or control character"))?;
        match rule(&known, &value, host, body) {
            Rule::Sent => {
                let full = |_| too_large("what a request can hold".to_owned());
                headers.try_append(known, value).map_err(full)?;
            }
            Rule::Dropped => {}
            Rule::Refused(reason) => return Err(bad(reason)),
        }
    }
    Ok(headers)
}

/// What is done with a header that a guest sets.
enum Rule {
    Sent,
    /// The broker sends the same itself.
    Dropped,
    Refused(&'static str),
}

fn rule(name: &HeaderName, value: &HeaderValue, host: &str, body: usize) -> Rule {
    let same = |expected: &str| value.as_bytes().eq_ignore_ascii_case(expected.as_bytes());
    let dropped_if = |same: bool, reason| {
        if same {
            Rule::Dropped
        } else {
            Rule::Refused(reason)
        }
    };
    match name.as_str() {
        "host" => dropped_if(same(host), "it names another host than the URL"),
        "content-length" => dropped_if(
            same(&body.to_string()),
            "it states another length than the body's",
        ),
        "connection" => dropped_if(
            same("keep-alive") || same("close"),
            "the host manages connections by itself",
        ),
        "keep-alive" => Rule::Dropped,
        name if REFUSED.contains(&name) || name.starts_with("proxy-") => {
            Rule::Refused("the host manages connections and bodies by itself")
        }
        _ => Rule::Sent,
    }
}

/// Adds a header where there is none of that name.
pub(crate) fn add_default(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
    }
}

/// Bytes of all names and values, as they count for limits and rates.
pub(crate) fn bytes(headers: &HeaderMap) -> u64 {
    let of_one = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_OVERHEAD_BYTES
    };
    u64::try_from(headers.iter().map(of_one).sum::<usize>()).unwrap_or(u64::MAX)
}

/// Why a response's head is ambiguous about where its body ends; `None` if it is not.
///
/// Source: RFC 9112, section 6.3; what it lets a client repair is refused.
pub(crate) fn ambiguity(headers: &HeaderMap) -> Option<&'static str> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() || length.is_some_and(|value| value.as_bytes().contains(&b',')) {
        return Some("it has more than one Content-Length");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if length.is_some() {
        return Some("it has both Content-Length and Transfer-Encoding");
    }
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Some("its Transfer-Encoding is another than `chunked`");
    }
    None
}

/// A response's headers, as the guest sees them.
pub(crate) fn for_guest(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    let seen = headers
        .iter()
        .filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str()));
    seen.map(|(name, value)| {
        let value = Bytes::copy_from_slice(value.as_bytes());
        (name.as_str().to_owned(), value)
    })
    .collect()
}
