//! From a refusal to the answer that says so.

use axum::{body::Body, response::Response};
use caxton_api::{PROBLEM_TYPE, Problem};
use caxton_kernel::Refusal;
use caxton_model::ErrorCode;
use http::{HeaderName, HeaderValue, StatusCode, header};

/// A request that failed: what is told, and headers that go with it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) problem: Box<Problem>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::MalformedRequest, detail)
    }
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, detail)
    }
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
    /// The answer. `request_id` names it in the log.
    pub(crate) fn into_response(mut self, request_id: &str) -> Response {
        request_id.clone_into(&mut self.problem.request_id);
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if let Some(secs) = self.problem.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        headers.extend(self.headers);
        response
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            headers: Vec::new(),
        }
    }
}

/// What the node refused is told as it said it, but what is the host's own fault: that is logged.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        if refusal.code == ErrorCode::Internal {
            tracing::error!(error = %refusal.text, "a request failed within the node");
            return Self::new(refusal.code, "the node failed; its log says more");
        }
        Self::new(refusal.code, refusal.text)
    }
}

/// What a request ends with.
pub(crate) type Answered = Result<Response, Failure>;

/// A good answer with JSON.
pub(crate) fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> Answered {
    let text = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer can't be written as JSON");
        Failure::new(ErrorCode::Internal, "the node failed; its log says more")
    })?;
    Ok(with_type(status, "application/json", text))
}

/// A good answer of another kind.
pub(crate) fn with_type(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A good answer without anything in it.
pub(crate) fn done() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
