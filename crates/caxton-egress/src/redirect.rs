//! What follows from a redirect.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::{HttpFailure, Target, secret};

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

/// What is asked of one server.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// With placeholders for secrets.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The request that a response of this status and these headers asks for; `None` if it asks for
    /// none.
    ///
    /// Errors: as [`Target::parse`], for the `Location`.
    /// Source: RFC 9110, section 15.4.
    pub(crate) fn redirected(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, HttpFailure> {
        let becomes_get = match status.as_u16() {
            301 | 302 => self.method == Method::POST,
            303 => self.method != Method::HEAD,
            307 | 308 => false,
            _ => return Ok(None),
        };
        let Some(location) = headers.get(header::LOCATION) else {
            return Ok(None);
        };
        let location = location.to_str().map_err(|_| HttpFailure::BadUrl {
            reason: "the Location of a redirect is not ASCII".to_owned(),
        })?;
        let target = self.target.join(location)?;
        let mut next = if target.origin() == self.target.origin() {
            self.clone()
        } else {
            self.without_credentials()
        };
        next.target = target;
        if becomes_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            for name in OF_BODY {
                next.headers.remove(name);
            }
        }
        Ok(Some(next))
    }

    /// The same with the headers that another origin may see.
    fn without_credentials(&self) -> Self {
        let kept = self.headers.iter().filter(|(name, value)| {
            !matches!(**name, header::AUTHORIZATION | header::COOKIE)
                && !secret::is_in(value.as_bytes())
        });
        let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
        Self {
            headers: kept.collect(),
            ..self.clone()
        }
    }
}
