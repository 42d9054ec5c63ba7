//! HTTP requests of guests: read from their JSON, and sent by the broker, which asks their gate.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use caxton_egress::{
    Bounds, Budgets, Caller, Egress, EgressOptions, HttpCall, HttpFailure, HttpReply, OptionsError,
    Secrets,
};
use caxton_engine::{AccessOutcome, LogLevel};
use caxton_gate::{Allowed, Denied, Gate, HttpRequest, SecretUse};
use caxton_model::{HostCode, LimitName, Limits, OUTCOME_BYTES_OF_TURN_MAX, join_outcome};
use serde::{Deserialize, Serialize};

use crate::{
    access::{self, Outcome, Perform},
    audit, clock,
    host::push_line_of,
    rights::Holder,
    shared::Shared,
    vault::AgentSecrets,
};

/// Bytes of a body, whatever the guest's limit is: a response is recorded until the turn ends.
const BODY_BYTES_MAX: u64 = OUTCOME_BYTES_OF_TURN_MAX as u64;
/// Bytes of headers, of a request and of a response. Unit: 64 KiB.
const FIELD_BYTES: u64 = 64 << 10;
/// The longest time of a request whose guest waits for less.
const TOTAL: Duration = Duration::from_secs(60);

/// The broker of a node. It is made with the first request, since most nodes never send one; where it is
/// set up in its own way, at the start, which that can fail.
#[derive(Default)]
pub(crate) struct Http {
    options: EgressOptions,
    broker: Mutex<Option<Arc<Egress>>>,
}

impl Http {
    /// Blocking, where there are options.
    ///
    /// Errors: they can't be used.
    pub(crate) fn new(options: EgressOptions) -> Result<Self, OptionsError> {
        let proxies = &options.proxies;
        let is_default = options.authorities.is_empty()
            && options.system_authorities
            && proxies.http.is_none()
            && proxies.https.is_none()
            && proxies.no_proxy.is_empty();
        let http = Self {
            options,
            broker: Mutex::default(),
        };
        if !is_default {
            http.broker()?;
        }
        Ok(http)
    }
    /// The broker, if it was made.
    pub(crate) fn ready(&self) -> Option<Arc<Egress>> {
        self.broker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    /// The broker. Blocking the first time: reads the system's certificate authorities.
    pub(crate) fn broker(&self) -> Result<Arc<Egress>, OptionsError> {
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = &*broker {
            return Ok(Arc::clone(broker));
        }
        let made = Arc::new(Egress::new(self.options.clone())?);
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

/// Checks a request at a guest's gate.
///
/// Errors: what the guest is answered, and why.
pub(crate) fn check(
    gate: &Gate,
    call: &HttpCall,
) -> Result<Allowed<HttpRequest>, (HostCode, Box<Denied>)> {
    access::check(gate, HttpRequest::new(&call.method, &call.url))
}

/// What sends a request that was checked, on the I/O side. `shown` is the request as the audit log has it.
pub(crate) fn performer<S>(
    shared: &Arc<Shared>,
    spec: Arc<S>,
    call: HttpCall,
    shown: String,
    gate: Gate,
) -> Perform
where
    S: Send + Sync + 'static,
    for<'a> Holder<'a>: From<&'a S>,
{
    let budgets = shared.meters.budgets(Holder::from(&*spec).id);
    let shared = Arc::clone(shared);
    Box::new(move |key| {
        let io = shared.io.clone();
        let performing = io.spawn(async move {
            let Some(broker) = broker(&shared).await else {
                return join_outcome(Err(HostCode::Unavailable), &[]);
            };
            let sender = Holder::from(&*spec);
            let secrets = AgentSecrets::new(&shared, sender.name.namespace());
            let (method, body_bytes) = (call.method.clone(), call.body.len());
            let ended = |sent: &Result<HttpReply, HttpFailure>| {
                let body_bytes = match sent {
                    Ok(reply) => body_bytes.max(reply.body.len()),
                    Err(failure) => {
                        tell(&shared, sender, failure);
                        0
                    }
                };
                let (id, limits) = (sender.id, sender.limits);
                shared
                    .meters
                    .request(id, limits, &budgets, body_bytes as u64);
                let record = audit::outbound_record((sender.name, id), &method, shown, sent);
                shared.audit.note(record);
            };
            let within = (sender.limits, &*budgets);
            perform(broker, call, gate, &secrets, within, key, ended).await
        });
        Box::pin(async move {
            let lost = |_| join_outcome(Err(HostCode::Unavailable), &[]);
            performing.await.unwrap_or_else(lost)
        })
    })
}

/// Tells a guest's log and its meters why a request failed.
fn tell(shared: &Shared, sender: Holder<'_>, failure: &HttpFailure) {
    let now = clock::now();
    if let Some(name) = failure.limit() {
        shared.meters.breach(sender.id, name, 0, now);
    }
    let whose = (sender.id, sender.name.shared());
    push_line_of(shared, whose, now, LogLevel::Warn, &failure.to_string());
}

/// The node's broker for outgoing requests; its first use reads files.
async fn broker(shared: &Arc<Shared>) -> Option<Arc<Egress>> {
    if let Some(broker) = shared.http.ready() {
        return Some(broker);
    }
    let inner = Arc::clone(shared);
    let made = shared.clone().blocking(move || inner.http.broker()).await?;
    made.inspect_err(|error| {
        tracing::error!(%error, "the broker for outgoing requests can't start");
    })
    .ok()
}

/// Outgoing HTTP of a guest that runs without a node. It has the guest's limits, and no vault.
#[derive(Clone, Default)]
pub struct LoneHttp {
    broker: Arc<Http>,
    budgets: Arc<Budgets>,
}

impl LoneHttp {
    /// Sends a request of a guest, written as JSON, and answers what the guest is given. `tell` hears why
    /// one fails. To be called and awaited on a runtime.
    ///
    /// Errors: what the guest is answered, and what the gate refused.
    pub fn request(
        &self,
        json: &[u8],
        gate: &Gate,
        limits: &Limits,
        tell: impl FnOnce(&str) + Send + 'static,
    ) -> Result<AccessOutcome, (HostCode, Option<Box<Denied>>)> {
        let call = read(json).map_err(|code| (code, None))?;
        check(gate, &call).map_err(|(code, denied)| (code, Some(denied)))?;
        let (broker, budgets) = (Arc::clone(&self.broker), Arc::clone(&self.budgets));
        let (gate, limits) = (gate.clone(), limits.clone());
        Ok(Box::pin(async move {
            let made = tokio::task::spawn_blocking(move || broker.broker()).await;
            let Ok(Ok(broker)) = made else {
                tell("the certificate authorities of this machine can't be read");
                return join_outcome(Err(HostCode::Unavailable), &[]);
            };
            let ended = |sent: &Result<HttpReply, HttpFailure>| {
                if let Err(failure) = sent {
                    tell(&failure.to_string());
                }
            };
            perform(
                broker,
                call,
                gate,
                &NoSecrets,
                (&limits, &budgets),
                None,
                ended,
            )
            .await
        }))
    }
}

impl std::fmt::Debug for LoneHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoneHttp").finish_non_exhaustive()
    }
}

/// Without a node there is no vault.
struct NoSecrets;
impl Secrets for NoSecrets {
    fn read(&self, access: Allowed<SecretUse>) -> Result<Bytes, String> {
        let name = access.access().name();
        Err(format!(
            "there is no secret `{name}`: a run without a node has no vault"
        ))
    }
}

/// Sends a request that the gate allowed, within the guest's limits, and answers what the guest is
/// given. `ended` is told what came of it.
async fn perform(
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
