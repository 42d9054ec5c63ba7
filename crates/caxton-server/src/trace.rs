//! Which request this is: its id, and its place in a W3C trace.
//!
//! Source: W3C, "Trace Context", level 1.

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt as _, TraceState},
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A request's place in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace_id: String,
    span_id: String,
    flags: String,
    /// The client's own span, if it gave one.
    parent: Option<String>,
    /// Whether the client gave it.
    pub(crate) given: bool,
}

impl TraceContext {
    /// The client's trace with a span of our own, or a new trace where it gave none that is valid.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let span_id = format!("{:016x}", rand::random_range(1..=u64::MAX));
        let given = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .and_then(read);
        match given {
            Some((trace_id, parent, flags)) => Self {
                trace_id,
                span_id,
                flags,
                parent: Some(parent),
                given: true,
            },
            None => Self {
                trace_id: format!("{:032x}", rand::random_range(1..=u128::MAX)),
                span_id,
                flags: "00".to_owned(),
                parent: None,
                given: false,
            },
        }
    }
    /// As a header's value.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, self.span_id, self.flags)
    }
    /// The trace's id.
    pub(crate) fn trace_id(&self) -> &str {
        &self.trace_id
    }
    /// Puts a span into the client's trace, where spans are exported at all.
    pub(crate) fn adopt(&self, span: &tracing::Span) {
        let read = || {
            let parent = SpanId::from_hex(self.parent.as_deref()?).ok()?;
            let trace = TraceId::from_hex(&self.trace_id).ok()?;
            let flags = TraceFlags::new(u8::from_str_radix(&self.flags, 16).ok()?);
            Some(SpanContext::new(
                trace,
                parent,
                flags,
                true,
                TraceState::NONE,
            ))
        };
        if let Some(parent) = read() {
            // An error says that nobody exports: then there is nothing to put in.
            let _ = span.set_parent(Context::new().with_remote_span_context(parent));
        }
    }
    /// The same as a header's value.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.traceparent()).ok()
    }
}

/// A new name for a request.
pub(crate) fn new_request_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Trace, the client's span, flags.
fn read(text: &str) -> Option<(String, String, String)> {
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let mut parts = text.trim().split('-');
    let (version, trace_id) = (parts.next()?, parts.next()?);
    let (parent, flags) = (parts.next()?, parts.next()?);
    let zeros = |part: &str| part.bytes().all(|b| b == b'0');
    let valid = hex(version, 2)
        && version != "ff"
        && hex(trace_id, 32)
        && !zeros(trace_id)
        && hex(parent, 16)
        && !zeros(parent)
        && hex(flags, 2)
        && (version != "00" || parts.next().is_none());
    valid.then(|| (trace_id.to_owned(), parent.to_owned(), flags.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> TraceContext {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", text.parse().unwrap());
        TraceContext::of(&headers)
    }

    #[test]
    fn a_valid_trace_goes_on_and_an_invalid_one_begins_anew() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let context = of(&format!("00-{trace}-00f067aa0ba902b7-01"));
        assert!(context.given && context.traceparent().starts_with(&format!("00-{trace}-")));
        assert!(context.traceparent().ends_with("-01"));
        assert!(!context.traceparent().contains("00f067aa0ba902b7"));
        let later = of(&format!("01-{trace}-00f067aa0ba902b7-01-more"));
        assert_eq!(later.trace_id(), trace);
        for bad in [
            "",
            "00-1-2-3",
            &format!("ff-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{trace}-0000000000000000-01"),
            &format!("00-{trace}-00f067aa0ba902b7-01-more"),
            &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
        ] {
            let context = of(bad);
            assert!(!context.given, "{bad}");
            assert_eq!(context.traceparent().len(), 55);
        }
    }
}
