//! A guest's request and what it gets for it.

use std::{fmt, time::Duration};

use bytes::Bytes;

/// An outgoing request, as the guest states it.
#[derive(Clone)]
pub struct HttpCall {
    /// The method, in any case: `GET`, `POST`, …
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(String, Bytes)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// The time that the guest allows for the whole request. The host's own limit holds as well.
    pub timeout: Option<Duration>,
}

/// A response whose head and body arrived whole and within the bounds.
#[derive(Clone)]
pub struct HttpReply {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case and values; headers that concern one connection are left out.
    pub headers: Vec<(String, Bytes)>,
    /// The body as the server sent it, still compressed where it is.
    pub body: Bytes,
    /// The URL that answered: another than the one asked for after a redirect.
    pub url: String,
    /// Bytes of heads and bodies sent, over all redirects.
    pub sent: u64,
    /// Bytes of heads and bodies received, over all redirects.
    pub received: u64,
}

/// Names of headers. Values may be confidential.
struct Names<'a>(&'a [(String, Bytes)]);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(n, _)| n))
            .finish()
    }
}

/// Leaves out the URL, header values and the body.
impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall")
            .field("method", &self.method)
            .field("headers", &Names(&self.headers))
            .field("body_bytes", &self.body.len())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Leaves out the URL, header values and the body.
impl fmt::Debug for HttpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReply")
            .field("status", &self.status)
            .field("headers", &Names(&self.headers))
            .field("body_bytes", &self.body.len())
            .field("sent", &self.sent)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
