//! Requests to the outside. Needs the permission `http:read` or `http:write` for the host asked.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{Refusal, refusal::answer, state::read, sys};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Absolute, `https://…`.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Empty: none.
    pub body: Vec<u8>,
    /// How long to wait at most; the host has a limit of its own.
    pub timeout: Option<Duration>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.to_owned(),
            ..Self::default()
        }
    }

    /// A request with one.
    #[must_use]
    pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".to_owned(),
            url: url.to_owned(),
            body: body.into(),
            ..Self::default()
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The wire's form of both: text bodies as text, others as base64.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wire {
    #[serde(skip_serializing_if = "String::is_empty")]
    method: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "is_zero")]
    status: u16,
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(status: &u16) -> bool {
    *status == 0
}

impl Wire {
    fn with_body(mut self, body: Vec<u8>) -> Self {
        match String::from_utf8(body) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => self.body = Some(text),
            Err(error) => self.body_base64 = Some(STANDARD.encode(error.as_bytes())),
        }
        self
    }

    fn body(&self) -> Result<Vec<u8>, Refusal> {
        match (&self.body_base64, &self.body) {
            (Some(encoded), _) => STANDARD
                .decode(encoded)
                .map_err(|error| Refusal::Json(error.to_string())),
            (None, text) => Ok(text.clone().unwrap_or_default().into_bytes()),
        }
    }
}

/// Sends a request and waits for what comes back; the turn's wall time goes on.
///
/// Errors: [`caxton_model::HostCode::Denied`] without the permission; the host's others.
pub fn send(request: &Request) -> Result<Response, Refusal> {
    let wire = Wire {
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        timeout_ms: request
            .timeout
            .map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        ..Wire::default()
    }
    .with_body(request.body.clone());
    let json = serde_json::to_vec(&wire).map_err(|error| Refusal::json(&error))?;
    answer("http_request", sys::http_request(&json))?;
    let bytes = read("read_response", sys::read_response)?.unwrap_or_default();
    let wire: Wire = serde_json::from_slice(&bytes).map_err(|error| Refusal::json(&error))?;
    Ok(Response {
        status: wire.status,
        body: wire.body()?,
        headers: wire.headers,
    })
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod fake {
    //! The other side of the wire, for the host in memory.

    use std::time::Duration;

    use super::{Request, Response, Wire};

    pub(crate) fn request(json: &[u8]) -> Option<Request> {
        let wire: Wire = serde_json::from_slice(json).ok()?;
        Some(Request {
            body: wire.body().ok()?,
            method: wire.method,
            url: wire.url,
            headers: wire.headers,
            timeout: wire.timeout_ms.map(Duration::from_millis),
        })
    }

    pub(crate) fn response(response: Response) -> Vec<u8> {
        let Response {
            status,
            headers,
            body,
        } = response;
        let wire = Wire {
            status,
            headers,
            ..Wire::default()
        }
        .with_body(body);
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}
