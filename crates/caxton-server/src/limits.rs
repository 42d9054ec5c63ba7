//! What one client, or all of them together, may take of the server. Every number has a reason.

use std::time::Duration;

/// The server's limits.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections at the same time; fewer where the process may not open as many files.
    ///
    /// Where there are as many, the oldest one that has shown no token is closed for the next, once
    /// what has arrived on it was read; if all have shown one, the next is answered 503. One token may have three quarters of what the
    /// other tokens leave. Each connection takes a file descriptor and some 10 KiB.
    pub connections_max: usize,
    /// Event and log streams at the same time; more are answered 429.
    ///
    /// A stream keeps its connection, so this stays under `connections_max`: requests go on when
    /// all streams are taken.
    pub streams_max: usize,
    /// Header lines of a request. More: 431.
    pub headers_max: usize,
    /// Bytes of all header lines. More: 431.
    pub header_bytes_max: usize,
    /// How long a client may take for the head of a request, and may stay idle between two.
    pub head_timeout: Duration,
    /// How fast a body must come, on average. Slower: 408. Unit: bytes a second.
    ///
    /// What has arrived takes memory until the rest is there. A phone on a bad line is faster.
    pub body_rate_min: usize,
    /// How long a client may send nothing in the middle of a body; once, beyond what the rate allows.
    pub body_pause_max: Duration,
    /// How long a client may leave bytes of an answer unread.
    pub write_pause_max: Duration,
    /// How long a request may take, the time it asked to wait not counted.
    pub request_timeout: Duration,
    /// Bytes of a JSON body.
    ///
    /// A message of 1 MiB with its fields and escapes.
    pub json_bytes_max: usize,
    /// Bytes of a body with a module: 32 MiB and room for the settings; a third more in base64.
    pub module_bytes_max: usize,
    /// Bytes of all bodies that are being read or worked on. One caller may hold as many as are
    /// free beside it.
    pub bodies_bytes_max: usize,
    /// The longest that a request may wait for a message.
    pub wait_max: Duration,
    /// Tokens beside the admin token.
    pub tokens_max: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 900,
            streams_max: 500,
            headers_max: 100,
            header_bytes_max: 32 << 10,
            head_timeout: Duration::from_secs(10),
            body_rate_min: 16 << 10,
            body_pause_max: Duration::from_secs(10),
            write_pause_max: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            json_bytes_max: 2 << 20,
            module_bytes_max: 33 << 20,
            bodies_bytes_max: 256 << 20,
            wait_max: Duration::from_secs(60),
            tokens_max: 1_000,
        }
    }
}
