//! HTTP requests of guests: read from their JSON, and sent by the broker, which asks their gate.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use caxton_egress::{
    Bounds, Budgets, Caller, Egress, EgressOptions, HttpCall, HttpFailure, HttpReply, OptionsError,
    Secrets,
};
use caxton_gate::Gate;
use caxton_model::{HostCode, LimitName, Limits, OUTCOME_BYTES_OF_TURN_MAX, join_outcome};
use serde::{Deserialize, Serialize};

use crate::{access::Outcome, clock};

/// Bytes of a body, whatever the guest's limit is: a response is recorded until the turn ends.
const BODY_BYTES_MAX: u64 = OUTCOME_BYTES_OF_TURN_MAX as u64;
/// Bytes of headers, of a request and of a response. Unit: 64 KiB.
const FIELD_BYTES: u64 = 64 << 10;
/// The longest time of a request whose guest waits for less.
const TOTAL: Duration = Duration::from_secs(60);

/// The broker of a node. It is made with the first request: most nodes never send one.
#[derive(Default)]
pub(crate) struct Http(Mutex<Option<Arc<Egress>>>);

impl Http {
    /// The broker, if it was made.
    pub(crate) fn ready(&self) -> Option<Arc<Egress>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    /// The broker. Blocking the first time: reads the system's certificate authorities.
    pub(crate) fn broker(&self) -> Result<Arc<Egress>, OptionsError> {
        let mut broker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = &*broker {
            return Ok(Arc::clone(broker));
        }
        let made = Arc::new(Egress::new(EgressOptions::default())?);
        *broker = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// A request as guests write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    timeout_ms: Option<u64>,
}

fn get() -> String {
    "GET".to_owned()
}

/// A response as guests read it: a body that is text as text, any other in base64.
#[derive(Serialize)]
struct WireReply<'a> {
    status: u16,
    headers: Vec<(&'a str, std::borrow::Cow<'a, str>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// Reads a guest's request.
///
/// Errors: it is not JSON of that form, or has two bodies.
pub(crate) fn read(json: &[u8]) -> Result<HttpCall, HostCode> {
    let wire: Wire = serde_json::from_slice(json).map_err(|_| HostCode::Malformed)?;
    let body = match (wire.body, wire.body_base64) {
        (Some(_), Some(_)) => return Err(HostCode::Malformed),
        (Some(text), None) => text.into_bytes(),
        (None, Some(encoded)) => STANDARD.decode(encoded).map_err(|_| HostCode::Malformed)?,
        (None, None) => Vec::new(),
    };
    let headers = wire.headers.into_iter();
    Ok(HttpCall {
        method: wire.method.to_ascii_uppercase(),
        url: wire.url,
        headers: headers.map(|(name, value)| (name, value.into())).collect(),
        body: body.into(),
        timeout: wire.timeout_ms.map(Duration::from_millis),
    })
}

/// Sends a request that the gate allowed, within the guest's limits, and answers what the guest is
/// given. `ended` is told what came of it.
pub(crate) async fn perform(
    broker: Arc<Egress>,
    call: HttpCall,
    gate: Gate,
    secrets: &dyn Secrets,
    (limits, budgets): (&Limits, &Budgets),
    key: Option<String>,
    ended: impl FnOnce(&Result<HttpReply, HttpFailure>) + Send,
) -> Outcome {
    let caller = Caller {
        gate: &gate,
        now: &clock::wall,
        secrets,
    };
    let mut limits = limits.clone();
    let body_bytes = limits.get(LimitName::HttpBodyBytes).min(BODY_BYTES_MAX);
    limits.set(LimitName::HttpBodyBytes, body_bytes);
    let bounds = Bounds {
        limits: &limits,
        field_bytes: FIELD_BYTES,
        total: TOTAL,
        budgets,
    };
    let sent = broker.send(call, caller, bounds, key.as_deref()).await;
    ended(&sent);
    match sent {
        Ok(reply) => outcome(&reply),
        Err(failure) => join_outcome(Err(failure.code()), &[]),
    }
}

fn outcome(reply: &HttpReply) -> Outcome {
    let headers = reply.headers.iter();
    let text = std::str::from_utf8(&reply.body).ok();
    let wire = WireReply {
        status: reply.status,
        headers: headers
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value)))
            .collect(),
        body: text,
        body_base64: text.is_none().then(|| STANDARD.encode(&reply.body)),
    };
    match serde_json::to_vec(&wire) {
        Ok(json) => join_outcome(Ok(()), &json),
        Err(_) => join_outcome(Err(HostCode::Unavailable), &[]),
    }
}
