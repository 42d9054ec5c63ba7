//! What a guest may send and receive, in one request and in a minute.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::HttpFailure;

/// The limits of the guest whose request is sent.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// `http_body_bytes`: bytes of a request's body, and of a response's.
    pub body_bytes: u64,
    /// `http_field_bytes`: bytes of a request's headers, and of a response's.
    pub field_bytes: u64,
    /// Time for the whole request, redirects included.
    pub total: Duration,
    /// What the guest may do in a minute.
    pub budgets: &'a Budgets,
}

/// The rates of one guest. The caller keeps it as long as the guest lives.
#[derive(Debug)]
pub struct Budgets {
    requests: TokenBucket,
    bytes: TokenBucket,
    /// `net_bytes_per_minute`, which sockets use as well.
    net_bytes: Arc<TokenBucket>,
}

impl Budgets {
    /// Full budgets of `http_per_minute` and `http_bytes_per_minute`, with the
    /// `net_bytes_per_minute` that the guest's sockets share.
    #[must_use]
    pub fn new(http_per_minute: u64, http_bytes: u64, net_bytes: Arc<TokenBucket>) -> Self {
        Self {
            requests: TokenBucket::per_minute(http_per_minute),
            bytes: TokenBucket::per_minute(http_bytes),
            net_bytes,
        }
    }
    /// Takes one request.
    pub(crate) fn take_request(&self) -> Result<(), HttpFailure> {
        if self.requests.take(1) {
            return Ok(());
        }
        let limit = self.requests.limit;
        Err(HttpFailure::RequestRate { limit })
    }
    /// Takes bytes that are sent or were received.
    pub(crate) fn take_bytes(&self, count: u64) -> Result<(), HttpFailure> {
        let http = self.bytes.take_up_to(count);
        let net = self.net_bytes.take_up_to(count);
        let (name, limit) = match (http, net) {
            (true, true) => return Ok(()),
            (false, _) => ("http_bytes_per_minute", self.bytes.limit),
            (true, false) => ("net_bytes_per_minute", self.net_bytes.limit),
        };
        Err(HttpFailure::ByteRate { name, limit })
    }
}

/// A rate: one minute's worth at most, refilled as time passes.
#[derive(Debug)]
pub struct TokenBucket {
    limit: u64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket of so much a minute.
    #[must_use]
    pub fn per_minute(limit: u64) -> Self {
        let level = Level {
            tokens: float(limit),
            at: Instant::now(),
        };
        Self {
            limit,
            level: Mutex::new(level),
        }
    }
    /// Takes so much, or nothing and answers false.
    pub fn take(&self, count: u64) -> bool {
        self.with_level(|tokens| {
            let enough = *tokens >= float(count);
            if enough {
                *tokens -= float(count);
            }
            enough
        })
    }
    /// Takes so much for what has passed already; false if that was more than there was, and then
    /// the bucket is empty.
    pub fn take_up_to(&self, count: u64) -> bool {
        self.with_level(|tokens| {
            let enough = *tokens >= float(count);
            *tokens = (*tokens - float(count)).max(0.0);
            enough
        })
    }
    fn with_level<T>(&self, act: impl FnOnce(&mut f64) -> T) -> T {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let minutes = now.saturating_duration_since(level.at).as_secs_f64() / 60.0;
        level.at = now;
        level.tokens = (level.tokens + minutes * float(self.limit)).min(float(self.limit));
        act(&mut level.tokens)
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "rates above 2^53 a minute do not bind"
)]
fn float(count: u64) -> f64 {
    count as f64
}
