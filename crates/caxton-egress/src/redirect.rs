//! A request, and what follows from a redirect.

use bytes::Bytes;
use caxton_gate::{Allowed, HttpRequest};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use url::Url;

use crate::{
    Caller, HttpFailure, secret,
    target::{Origin, host_and_path},
};

/// Redirects that are followed for one call.
pub(crate) const REDIRECTS_MAX: usize = 5;

/// Headers that describe a body.
const OF_BODY: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_DISPOSITION,
];

/// What is asked of one server, before the gate has allowed it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) access: HttpRequest,
    pub(crate) method: Method,
    /// With placeholders for secrets.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request that the gate allowed: the only form in which one can be sent.
pub(crate) struct Permitted {
    pub(crate) allowed: Allowed<HttpRequest>,
    pub(crate) origin: Origin,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// Asks the gate.
    ///
    /// Errors: [`HttpFailure::RequestDenied`].
    pub(crate) fn permitted(self, caller: &Caller<'_>) -> Result<Permitted, HttpFailure> {
        let origin = Origin::new(self.access.url());
        let allowed = caller
            .check(self.access)
            .map_err(|reason| HttpFailure::RequestDenied { reason })?;
        Ok(Permitted {
            allowed,
            origin,
            method: self.method,
            headers: self.headers,
            body: self.body,
        })
    }
}

impl Permitted {
    pub(crate) fn url(&self) -> &str {
        self.allowed.access().url().as_str()
    }

    /// The value of `Host`, and the path with its query.
    pub(crate) fn host_and_path(&self) -> (&str, &str) {
        host_and_path(self.allowed.access().url())
    }

    /// The request that a response of this status and these headers asks for; `None` if it asks for
    /// none.
    ///
    /// Errors: as [`Caller::request`], for the `Location`.
    /// Source: RFC 9110, section 15.4.
    pub(crate) fn redirected(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        caller: &Caller<'_>,
    ) -> Result<Option<Request>, HttpFailure> {
        let becomes_get = match status.as_u16() {
            301 | 302 => self.method == Method::POST,
            303 => self.method != Method::HEAD,
            307 | 308 => false,
            _ => return Ok(None),
        };
        let Some(location) = headers.get(header::LOCATION) else {
            return Ok(None);
        };
        let method = if becomes_get {
            Method::GET
        } else {
            self.method.clone()
        };
        let url = joined(self.url(), location.as_bytes())?;
        let access = caller.request(method.as_str(), &url)?;
        let mut headers = if Origin::new(access.url()) == self.origin {
            self.headers.clone()
        } else {
            without_credentials(&self.headers)
        };
        if becomes_get {
            for name in OF_BODY {
                headers.remove(name);
            }
        }
        Ok(Some(Request {
            access,
            method,
            headers,
            body: if becomes_get {
                Bytes::new()
            } else {
                self.body.clone()
            },
        }))
    }
}

/// The URL that a `Location` names, seen from another.
fn joined(url: &str, location: &[u8]) -> Result<String, HttpFailure> {
    let bad = |reason: &str| HttpFailure::BadUrl {
        reason: format!("the Location of a redirect {reason}"),
    };
    // What a URL parser would quietly mend is refused, as in a URL of the guest's own.
    let location = std::str::from_utf8(location)
        .ok()
        .filter(|text| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        })
        .ok_or_else(|| bad("has a character that no URL may"))?;
    let joined = Url::parse(url).and_then(|url| url.join(location));
    joined
        .map(String::from)
        .map_err(|error| bad(&format!("can't be read: {error}")))
}

/// What another origin may see. Placeholders stay: the gate says whether their secrets may go there,
/// and if not, the request fails.
fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, value)| {
        !matches!(**name, header::AUTHORIZATION | header::COOKIE) || secret::is_in(value.as_bytes())
    });
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
