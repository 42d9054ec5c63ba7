//! Repeated POSTs under one key: answered as the first was, run once.
//!
//! Kept in memory: after a restart a repeated deploy is refused by its name, and messages have
//! `message_id`, which the journal remembers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use caxton_model::{Digest, ErrorCode};
use http::{HeaderValue, StatusCode, header};
use tokio::time::Instant;

use crate::{auth::Caller, refuse::Failure};

/// How long an answer is kept.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys kept: at some hundred bytes an answer, a few MiB.
const KEYS_MAX: usize = 10_000;
/// Bytes of a key: as much as a UUID, a URL or a digest needs.
const KEY_BYTES_MAX: usize = 256;
/// Bytes of an answer that is kept; larger ones are no answers to a POST of this API.
const ANSWER_BYTES_MAX: usize = 64 << 10;

type Key = (Arc<str>, Arc<str>);

#[derive(Clone)]
enum State {
    Running,
    Answered {
        status: StatusCode,
        media_type: Option<HeaderValue>,
        body: Bytes,
    },
}

struct Kept {
    fingerprint: Digest,
    since: Instant,
    number: u64,
    state: State,
}

#[derive(Default)]
struct Inner {
    kept: HashMap<Key, Kept>,
    order: VecDeque<(Key, u64)>,
    next: u64,
}

/// The keys seen. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Idempotency(Arc<Mutex<Inner>>);

/// What a key means for a request.
pub(crate) enum Begun {
    /// It is new: run it, then [`Claim::finish`].
    First(Claim),
    /// It was answered before.
    Again(Response),
}

/// A request that runs under a key. Dropped without an answer, the key is free again.
pub(crate) struct Claim {
    keys: Idempotency,
    key: Key,
    number: u64,
    finished: bool,
}

impl Idempotency {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request under a key.
    ///
    /// Errors: `malformed-request` for a key that is none; `conflict` if the first request still
    /// runs, or was another one.
    pub(crate) fn begin(
        &self,
        caller: &Caller,
        key: &str,
        fingerprint: Digest,
    ) -> Result<Begun, Failure> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Failure::malformed(format!(
                "`Idempotency-Key` has 1 to {KEY_BYTES_MAX} bytes, this one {}",
                key.len()
            )));
        }
        let key: Key = (Arc::clone(&caller.id), key.into());
        let mut inner = self.lock();
        inner.forget_old();
        match inner.kept.get(&key) {
            Some(kept) if kept.fingerprint != fingerprint => Err(Failure::new(
                ErrorCode::Conflict,
                "this `Idempotency-Key` was used for another request",
            )),
            Some(Kept {
                state: State::Running,
                ..
            }) => Err(Failure::new(
                ErrorCode::Conflict,
                "a request with this `Idempotency-Key` is still running",
            )),
            Some(Kept {
                state:
                    State::Answered {
                        status,
                        media_type,
                        body,
                    },
                ..
            }) => Ok(Begun::Again(replay(
                *status,
                media_type.clone(),
                body.clone(),
            ))),
            None => {
                inner.next += 1;
                let number = inner.next;
                inner.order.push_back((key.clone(), number));
                let since = Instant::now();
                inner.kept.insert(
                    key.clone(),
                    Kept {
                        fingerprint,
                        since,
                        number,
                        state: State::Running,
                    },
                );
                Ok(Begun::First(Claim {
                    keys: self.clone(),
                    key,
                    number,
                    finished: false,
                }))
            }
        }
    }
}

/// An answer once more, marked as such.
fn replay(status: StatusCode, media_type: Option<HeaderValue>, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(media_type) = media_type {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

impl Inner {
    fn forget_old(&mut self) {
        while let Some((key, number)) = self.order.front() {
            let old = match self.kept.get(key) {
                Some(kept) if kept.number == *number => {
                    kept.since.elapsed() > AGE_MAX || self.order.len() > KEYS_MAX
                }
                _ => true,
            };
            if !old {
                return;
            }
            if let Some((key, number)) = self.order.pop_front()
                && self
                    .kept
                    .get(&key)
                    .is_some_and(|kept| kept.number == number)
            {
                self.kept.remove(&key);
            }
        }
    }
}

impl Claim {
    /// Keeps the answer for whoever asks again; failures that may pass are not kept.
    pub(crate) async fn finish(mut self, response: Response) -> Response {
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(bytes) = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await else {
            return Failure::new(ErrorCode::Internal, "the answer was too large to be kept")
                .into_response("");
        };
        let media_type = parts.headers.get(header::CONTENT_TYPE).cloned();
        let state = State::Answered {
            status,
            media_type,
            body: bytes.clone(),
        };
        if let Some(kept) = self.keys.lock().kept.get_mut(&self.key) {
            kept.state = state;
        }
        self.finished = true;
        Response::from_parts(parts, Body::from(bytes))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut inner = self.keys.lock();
        if inner
            .kept
            .get(&self.key)
            .is_some_and(|kept| kept.number == self.number)
        {
            inner.kept.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Response {
        let mut response = Response::new(Body::from("made"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }
    fn first(begun: Result<Begun, Failure>) -> Claim {
        match begun.unwrap() {
            Begun::First(claim) => claim,
            Begun::Again(_) => panic!("was answered before"),
        }
    }

    #[tokio::test]
    async fn a_repetition_is_answered_as_the_first_was() {
        let keys = Idempotency::default();
        let (caller, one, two) = (Caller::nobody(), Digest::of(b"1"), Digest::of(b"2"));
        let claim = first(keys.begin(&caller, "k", one));
        let running = keys.begin(&caller, "k", one).map(|_| ()).unwrap_err();
        assert_eq!(running.problem.status, 409);
        claim.finish(answer(201)).await;
        let Begun::Again(again) = keys.begin(&caller, "k", one).unwrap() else {
            panic!("ran twice")
        };
        assert_eq!(again.status(), 201);
        assert_eq!(
            axum::body::to_bytes(again.into_body(), 100).await.unwrap(),
            "made"
        );
        assert!(keys.begin(&caller, "k", two).is_err());
        for bad in ["", &"k".repeat(257)] {
            assert!(keys.begin(&caller, bad, one).is_err());
        }
    }

    #[tokio::test]
    async fn what_failed_or_was_given_up_may_be_tried_again() {
        let keys = Idempotency::default();
        let (caller, one) = (Caller::nobody(), Digest::of(b"1"));
        first(keys.begin(&caller, "k", one))
            .finish(answer(503))
            .await;
        drop(first(keys.begin(&caller, "k", one)));
        first(keys.begin(&caller, "k", one));
    }

    #[tokio::test]
    async fn keys_are_bounded_in_number_and_age() {
        tokio::time::pause();
        let keys = Idempotency::default();
        let (caller, one) = (Caller::nobody(), Digest::of(b"1"));
        for i in 0..KEYS_MAX + 10 {
            first(keys.begin(&caller, &i.to_string(), one))
                .finish(answer(201))
                .await;
        }
        assert!(keys.lock().kept.len() <= KEYS_MAX + 1);
        tokio::time::advance(AGE_MAX + Duration::from_secs(1)).await;
        first(keys.begin(&caller, "fresh", one))
            .finish(answer(201))
            .await;
        assert_eq!(keys.lock().kept.len(), 1);
    }
}
