//! How every error is answered: RFC 9457 with a stable code and a remedy.

use caxton_model::{ErrorClass, ErrorCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of every error.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Where a node serves the page of each error code.
pub const DOCS_PATH: &str = "/api/v1/errors/";

/// An error, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{code}: {detail}; {remedy}")]
pub struct Problem {
    /// The error's page on this node.
    #[serde(rename = "type")]
    #[schema(example = "/api/v1/errors/CX4005")]
    pub page: String,
    /// The code in words, the same for every error of this code.
    #[schema(example = "not found")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// The stable code. A client branches on this.
    #[schema(example = "not-found")]
    pub code: String,
    /// What happened this time.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
    /// The request's name in the node's log.
    pub request_id: String,
    /// For an unknown field: the valid name next to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// When to try again. Unit: seconds; the same as the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_secs: Option<u64>,
}

impl Problem {
    /// An error with what the registry says of its code. The request id is filled in at the edge.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let transient = code.class() == ErrorClass::Transient;
        let retries = transient && matches!(code.http_status(), 429 | 503);
        Self {
            page: format!("{DOCS_PATH}{}", code.page()),
            title: code.as_str().replace('-', " "),
            status: code.http_status(),
            code: code.as_str().to_owned(),
            detail: detail.into(),
            remedy: code.remedy().to_owned(),
            request_id: String::new(),
            nearest: None,
            retry_after_secs: (retries || code.http_status() == 429).then_some(1),
        }
    }
    /// With the nearest valid name.
    #[must_use]
    pub fn with_nearest(mut self, nearest: Option<&str>) -> Self {
        self.nearest = nearest.map(str::to_owned);
        self
    }
    /// With the time after which another try makes sense.
    #[must_use]
    pub const fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }
    /// The code, if this side knows it.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_the_registry_says() {
        let problem = Problem::new(ErrorCode::QueueFull, "the mailbox of `a` is full");
        assert_eq!((problem.status, problem.retry_after_secs), (429, Some(1)));
        assert_eq!(problem.error_code(), Some(ErrorCode::QueueFull));
        assert_eq!(problem.page, "/api/v1/errors/CX1010");
        assert_eq!(Problem::new(ErrorCode::NotFound, "").retry_after_secs, None);
    }
}
