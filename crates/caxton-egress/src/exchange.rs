//! One request to one server, and its response, whole.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use caxton_gate::HttpConnect;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::{
    Bounds, Caller, Egress, HttpFailure, headers,
    link::{Link, SendFailed},
    redirect::Permitted,
    secret::Sent,
    target::Origin,
};

/// Bytes that a body's buffer is made for before any of them arrived.
const BODY_BYTES_EXPECTED_MAX: u64 = 64 * 1024;

/// A response, whole.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Bytes of head and body.
    pub(crate) received: u64,
}

impl Egress {
    /// Sends a request over a connection that the gate allows, and reads the response.
    pub(crate) async fn exchange(
        &self,
        request: &Permitted,
        caller: &Caller<'_>,
        bounds: &Bounds<'_>,
    ) -> Result<Response, HttpFailure> {
        let origin = &request.origin;
        let mut headers = request.headers.clone();
        let sent = Sent::substitute(&mut headers, &request.allowed, caller)?;
        let (mut link, mut is_reused) = match self.reuse(request, caller).await {
            Some(link) => (link, true),
            None => (self.open(request, caller).await?, false),
        };
        let response = loop {
            match link.send(request, headers.clone()).await? {
                Ok(response) => break response,
                // The server may close an idle connection at any moment.
                Err(failed) if is_reused && may_repeat(&failed, request) => {
                    self.pool.forget_closed(origin);
                    link = self.open(request, caller).await?;
                    is_reused = false;
                }
                Err(failed) => return Err(failure(origin, &failed.error, bounds)),
            }
        };
        drop(headers);
        let (mut head, body) = response.into_parts();
        let head_bytes = headers::bytes(&head.headers);
        check_head(origin, &head, head_bytes, bounds)?;
        bounds.take_received(head_bytes)?;
        let body = self.read_body(&mut link, body, origin, bounds).await?;
        // An HTTP/2 connection is in the pool from its beginning.
        if link.shared().is_none() && link.is_ready().await {
            self.pool.keep(origin, link);
        }
        let body_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let body = if sent.is_empty() {
            body
        } else {
            without_secrets(origin, &mut head.headers, body, &sent, bounds)?
        };
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body,
            received: head_bytes.saturating_add(body_bytes),
        })
    }

    /// An open connection to this origin whose address the gate allows to this caller.
    async fn reuse(&self, request: &Permitted, caller: &Caller<'_>) -> Option<Link> {
        let origin = &request.origin;
        for address in self.pool.addresses(origin) {
            let access = address.map(|address| HttpConnect::new(&request.allowed, address.ip()));
            if access.is_some_and(|access| caller.check(access).is_err()) {
                continue;
            }
            while let Some(mut link) = self.pool.take(origin, address) {
                if link.is_ready().await {
                    return Some(link);
                }
                self.pool.forget_closed(origin);
            }
        }
        None
    }

    async fn open(&self, request: &Permitted, caller: &Caller<'_>) -> Result<Link, HttpFailure> {
        let origin = &request.origin;
        let link = self.connect(request, caller).await?;
        if let Some(shared) = link.shared() {
            self.pool.keep(origin, shared);
        }
        Ok(link)
    }

    /// Reads a body to its end, within the limits of size, rate and memory.
    async fn read_body(
        &self,
        link: &mut Link,
        mut body: Incoming,
        origin: &Origin,
        bounds: &Bounds<'_>,
    ) -> Result<Bytes, HttpFailure> {
        let limit = bounds.body_bytes();
        let too_large = || HttpFailure::ResponseBodyTooLarge {
            host: origin.to_string(),
            limit,
        };
        let announced = body.size_hint().lower();
        if announced > limit {
            return Err(too_large());
        }
        let mut held = Held::new(&self.buffered, self.options.buffered_bytes_max);
        let began = Instant::now();
        let rate = self.options.body_rate_min.max(1);
        let mut whole = Whole::Nothing;
        let mut received = 0_u64;
        loop {
            let earned = std::time::Duration::from_millis(received.saturating_mul(1000) / rate);
            let until = began.checked_add(self.options.body_rate_grace.saturating_add(earned));
            let frame = link.frame(&mut body);
            let frame = match until {
                Some(until) => timeout_at(until, frame).await,
                None => Ok(frame.await),
            };
            let frame = frame.map_err(|_| HttpFailure::TooSlow {
                host: origin.to_string(),
                limit: rate,
            })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| failure(origin, &error, bounds))?;
            // Trailers are not passed on: nobody asked for them.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
            received = received.saturating_add(bytes);
            if received > limit {
                return Err(too_large());
            }
            bounds.take_received(bytes)?;
            held.add(bytes)?;
            whole = whole.with(data, announced);
        }
        Ok(whole.into_bytes())
    }
}

/// Puts placeholders in the place of secrets that the server sends back.
fn without_secrets(
    origin: &Origin,
    headers: &mut HeaderMap,
    body: Bytes,
    sent: &Sent,
    bounds: &Bounds<'_>,
) -> Result<Bytes, HttpFailure> {
    let host = || origin.to_string();
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !body.is_empty() && !codings.all(is_plain) {
        return Err(HttpFailure::UnreadableBody { host: host() });
    }
    sent.hide_in_headers(headers);
    let body = sent.hide_in_body(body);
    // A placeholder may be longer than its secret.
    if headers::bytes(headers) > bounds.field_bytes {
        let limit = bounds.field_bytes;
        return Err(HttpFailure::ResponseHeadersTooLarge {
            host: host(),
            limit,
        });
    }
    let limit = bounds.body_bytes();
    if u64::try_from(body.len()).unwrap_or(u64::MAX) > limit {
        return Err(HttpFailure::ResponseBodyTooLarge {
            host: host(),
            limit,
        });
    }
    Ok(body)
}

/// What arrived of a body.
enum Whole {
    Nothing,
    /// The one part, without a copy.
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    fn with(self, data: Bytes, announced: u64) -> Self {
        let expected = announced.min(BODY_BYTES_EXPECTED_MAX);
        let expected = usize::try_from(expected).unwrap_or_default();
        let mut many = match self {
            Self::Nothing => return Self::One(data),
            Self::One(first) => {
                let mut many = BytesMut::with_capacity(expected.max(first.len() + data.len()));
                many.extend_from_slice(&first);
                many
            }
            Self::Many(many) => many,
        };
        many.extend_from_slice(&data);
        Self::Many(many)
    }
    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

/// Bytes of one body, counted in the sum of all until it is handed over.
struct Held<'a> {
    sum: &'a AtomicU64,
    sum_max: u64,
    bytes: u64,
}

impl<'a> Held<'a> {
    const fn new(sum: &'a AtomicU64, sum_max: u64) -> Self {
        Self {
            sum,
            sum_max,
            bytes: 0,
        }
    }
    fn add(&mut self, bytes: u64) -> Result<(), HttpFailure> {
        let before = self.sum.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > self.sum_max {
            let limit = format!("{} bytes of responses", self.sum_max);
            return Err(HttpFailure::Busy { limit });
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// True if sending a request again can't do anything twice.
///
/// Source: RFC 9110, section 9.2.2; an idempotency key says the same of any method.
fn may_repeat(failed: &SendFailed, request: &Permitted) -> bool {
    failed.unsent
        || matches!(
            request.method,
            Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS
        )
        || request.headers.contains_key("idempotency-key")
}

fn check_head(
    origin: &Origin,
    head: &http::response::Parts,
    bytes: u64,
    bounds: &Bounds<'_>,
) -> Result<(), HttpFailure> {
    let bad = |reason: &str| HttpFailure::BadResponse {
        host: origin.to_string(),
        reason: reason.to_owned(),
    };
    if bytes > bounds.field_bytes {
        return Err(HttpFailure::ResponseHeadersTooLarge {
            host: origin.to_string(),
            limit: bounds.field_bytes,
        });
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(bad("it switches to a protocol that nobody asked for"));
    }
    if head.version < http::Version::HTTP_11 && head.headers.contains_key(header::TRANSFER_ENCODING)
    {
        return Err(bad("it is HTTP/1.0 with a Transfer-Encoding"));
    }
    headers::ambiguity(&head.headers).map_or(Ok(()), |reason| Err(bad(reason)))
}

/// What an error of the connection means. Its texts are hyper's own and hold nothing that was sent.
fn failure(origin: &Origin, error: &hyper::Error, bounds: &Bounds<'_>) -> HttpFailure {
    let host = origin.to_string();
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    let is_nonsense = io.is_some_and(|io| {
        use std::io::ErrorKind::{InvalidData, InvalidInput};
        matches!(io.kind(), InvalidData | InvalidInput)
    });
    let reason = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    if error.is_parse_too_large() {
        let limit = bounds.field_bytes;
        HttpFailure::ResponseHeadersTooLarge { host, limit }
    } else if error.is_parse() || is_nonsense {
        HttpFailure::BadResponse { host, reason }
    } else {
        HttpFailure::ConnectionClosed { host, reason }
    }
}
