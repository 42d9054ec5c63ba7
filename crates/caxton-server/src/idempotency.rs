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
/// Bytes of all keys with their answers; at some hundred bytes an answer, that of 50,000 requests.
const BYTES_MAX: usize = 16 << 20;
/// What an entry takes beside its key and its answer.
const ENTRY_BYTES: usize = 300;
/// Bytes of a key: as much as a UUID, a URL or a digest needs.
const KEY_BYTES_MAX: usize = 256;
/// Bytes of an answer that is kept; larger ones are no answers to a POST of this API.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A caller and its key.
type Key = (Arc<str>, Arc<str>);

/// A request, as far as it can be told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The same for every request that asks for the same.
    pub(crate) fingerprint: Digest,
    /// Method and path.
    pub(crate) what: String,
    /// The request's name in the log.
    pub(crate) request_id: String,
}

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
    asked: Asked,
    since: Instant,
    number: u64,
    state: State,
}

impl Kept {
    fn bytes(&self, key: &Key) -> usize {
        let body = match &self.state {
            State::Running => 0,
            State::Answered { body, .. } => body.len(),
        };
        ENTRY_BYTES + key.1.len() + self.asked.what.len() + body
    }
}

/// The keys of one caller, oldest first, and their bytes.
#[derive(Default)]
struct OfCaller {
    order: VecDeque<(Arc<str>, u64)>,
    bytes: usize,
}

#[derive(Default)]
struct Inner {
    kept: HashMap<Key, Kept>,
    callers: HashMap<Arc<str>, OfCaller>,
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
    pub(crate) fn begin(&self, caller: &Caller, key: &str, asked: Asked) -> Result<Begun, Failure> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Failure::malformed(format!(
                "`Idempotency-Key` has 1 to {KEY_BYTES_MAX} bytes, this one {}",
                key.len()
            )));
        }
        let key: Key = (Arc::clone(&caller.id), key.into());
        let mut inner = self.lock();
        inner.forget_old();
        if let Some(kept) = inner.kept.get(&key) {
            return kept.repeated(&key.1, &asked).map(Begun::Again);
        }
        let number = inner.enter(&key, asked);
        inner.make_room();
        Ok(Begun::First(Claim {
            keys: self.clone(),
            key,
            number,
            finished: false,
        }))
    }
}

impl Kept {
    /// The answer to a request that comes under a key that is in use.
    ///
    /// Errors: `conflict`.
    fn repeated(&self, key: &str, again: &Asked) -> Result<Response, Failure> {
        let first = format!("request {} ({})", self.asked.request_id, self.asked.what);
        if self.asked.fingerprint != again.fingerprint {
            let detail = format!(
                "the `Idempotency-Key` `{key}` belongs to {first}; request {} ({}) asks for \
                 something else",
                again.request_id, again.what
            );
            let mut failure = Failure::new(ErrorCode::Conflict, detail);
            "send another request under a key of its own, or the first one as it was"
                .clone_into(&mut failure.problem.remedy);
            return Err(failure);
        }
        match &self.state {
            State::Running => Err(Failure::new(
                ErrorCode::Conflict,
                format!("{first} has this `Idempotency-Key`, `{key}`, and is still running"),
            )),
            State::Answered {
                status,
                media_type,
                body,
            } => Ok(replay(*status, media_type.clone(), body.clone())),
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
    fn enter(&mut self, key: &Key, asked: Asked) -> u64 {
        self.next += 1;
        let kept = Kept {
            asked,
            since: Instant::now(),
            number: self.next,
            state: State::Running,
        };
        let of_caller = self.callers.entry(Arc::clone(&key.0)).or_default();
        of_caller.order.push_back((Arc::clone(&key.1), self.next));
        of_caller.bytes += kept.bytes(key);
        self.kept.insert(key.clone(), kept);
        self.next
    }
    fn answered(&mut self, key: &Key, number: u64, state: State) {
        let Some(kept) = self.kept.get_mut(key).filter(|kept| kept.number == number) else {
            return;
        };
        let before = kept.bytes(key);
        kept.state = state;
        let after = kept.bytes(key);
        if let Some(of_caller) = self.callers.get_mut(&key.0) {
            of_caller.bytes = of_caller.bytes.saturating_sub(before) + after;
        }
        self.make_room();
    }
    fn remove(&mut self, key: &Key, number: u64) {
        if self.kept.get(key).is_none_or(|kept| kept.number != number) {
            return;
        }
        let bytes = self.kept.remove(key).map_or(0, |kept| kept.bytes(key));
        if let Some(of_caller) = self.callers.get_mut(&key.0) {
            of_caller.bytes = of_caller.bytes.saturating_sub(bytes);
            // What is removed out of turn has just begun, so it is near the end.
            let at = of_caller
                .order
                .iter()
                .rposition(|(_, other)| *other == number);
            at.and_then(|at| of_caller.order.remove(at));
        }
    }
    fn forget_old(&mut self) {
        let callers: Vec<_> = self.callers.keys().cloned().collect();
        for caller in callers {
            while self.oldest_is_over(&caller) {
                self.forget_oldest(&caller);
            }
        }
        self.callers.retain(|_, own| !own.order.is_empty());
    }
    fn oldest_is_over(&self, caller: &Arc<str>) -> bool {
        let oldest = self.callers.get(caller).and_then(|own| own.order.front());
        oldest.is_some_and(|(key, _)| {
            let kept = self.kept.get(&(Arc::clone(caller), Arc::clone(key)));
            kept.is_none_or(|kept| kept.since.elapsed() > AGE_MAX)
        })
    }
    fn forget_oldest(&mut self, caller: &Arc<str>) {
        let own = self.callers.get_mut(caller);
        if let Some((key, number)) = own.and_then(|own| own.order.pop_front()) {
            self.remove(&(Arc::clone(caller), key), number);
        }
    }
    /// Whoever has the most keys forgets its oldest, until all of them fit.
    fn make_room(&mut self) {
        while self.callers.values().map(|own| own.bytes).sum::<usize>() > BYTES_MAX {
            let largest = self.callers.iter().max_by_key(|(_, own)| own.bytes);
            let Some(caller) = largest.map(|(caller, _)| Arc::clone(caller)) else {
                return;
            };
            self.forget_oldest(&caller);
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
        self.keys.lock().answered(&self.key, self.number, state);
        self.finished = true;
        Response::from_parts(parts, Body::from(bytes))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.keys.lock().remove(&self.key, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        Asked {
            fingerprint: Digest::of(text.as_bytes()),
            what: "POST /x".to_owned(),
            request_id: format!("id-of-{text}"),
        }
    }
    fn caller(id: &str) -> Caller {
        let mut caller = Caller::nobody();
        caller.id = id.into();
        caller
    }
    fn answer(status: u16, body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
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
        let caller = Caller::nobody();
        let claim = first(keys.begin(&caller, "k", asked("1")));
        let running = keys
            .begin(&caller, "k", asked("1"))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(running.problem.status, 409);
        claim.finish(answer(201, "made")).await;
        let Begun::Again(again) = keys.begin(&caller, "k", asked("1")).unwrap() else {
            panic!("ran twice")
        };
        assert_eq!(again.status(), 201);
        assert_eq!(
            axum::body::to_bytes(again.into_body(), 100).await.unwrap(),
            "made"
        );
        let other = keys
            .begin(&caller, "k", asked("2"))
            .map(|_| ())
            .unwrap_err();
        for named in ["`k`", "id-of-1", "id-of-2"] {
            assert!(
                other.problem.detail.contains(named),
                "{}",
                other.problem.detail
            );
        }
        for bad in ["", &"k".repeat(257)] {
            assert!(keys.begin(&caller, bad, asked("1")).is_err());
        }
    }

    #[tokio::test]
    async fn what_failed_or_was_given_up_may_be_tried_again() {
        let keys = Idempotency::default();
        let caller = Caller::nobody();
        first(keys.begin(&caller, "k", asked("1")))
            .finish(answer(503, ""))
            .await;
        drop(first(keys.begin(&caller, "k", asked("1"))));
        first(keys.begin(&caller, "k", asked("1")));
        assert!(keys.lock().kept.is_empty());
        first(keys.begin(&caller, "other", asked("1")));
        assert_eq!(keys.lock().callers[""].bytes, 0);
    }

    #[tokio::test]
    async fn keys_are_bounded_in_bytes_and_age_and_a_caller_pushes_out_its_own() {
        tokio::time::pause();
        let keys = Idempotency::default();
        let (one, two) = (caller("one"), caller("two"));
        let body = vec![b'x'; 100 << 10];
        first(keys.begin(&two, "kept", asked("1")))
            .finish(answer(201, "made"))
            .await;
        for i in 0..500 {
            first(keys.begin(&one, &i.to_string(), asked("1")))
                .finish(answer(201, body.clone()))
                .await;
        }
        let bytes: usize = keys.lock().callers.values().map(|own| own.bytes).sum();
        assert!(bytes > BYTES_MAX / 2 && bytes <= BYTES_MAX, "{bytes}");
        assert!(matches!(
            keys.begin(&two, "kept", asked("1")),
            Ok(Begun::Again(_))
        ));
        assert!(matches!(
            keys.begin(&one, "499", asked("1")),
            Ok(Begun::Again(_))
        ));
        first(keys.begin(&one, "0", asked("1")));
        tokio::time::advance(AGE_MAX + Duration::from_secs(1)).await;
        first(keys.begin(&one, "fresh", asked("1")))
            .finish(answer(201, "made"))
            .await;
        assert_eq!(keys.lock().kept.len(), 1);
    }
}
