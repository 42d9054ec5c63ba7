//! What every request passes, in this order: a name, headers, route, method, token, query, body,
//! idempotency key; then its route, within a time-out; then log and metrics.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use caxton_api::{
    AgentConfig, IDEMPOTENCY_KEY, Method, NewToken, ProcessorConfig, REQUEST_ID, ROUTES,
    Registration, Route, RouteId, StopRequest,
};
use caxton_model::{Digest, ErrorCode, LimitName};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts, uri::Authority};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    app::{App, Group, closed},
    audit::Peer,
    auth::Caller,
    body::{self, BodyMax, ReadBody, media_type, must_be_json, must_be_plain, read_json},
    call::Call,
    connections::Connection,
    deploy,
    idempotency::{Asked, Begun},
    query::{Query, path_parameters},
    refuse::{Answered, Failure},
    routes,
    trace::{self, TraceContext},
};

/// Bytes of a path or a query.
const TARGET_BYTES_MAX: usize = 8 << 10;

/// The longest time for reading the whole audit log.
const VERIFY_MAX: Duration = Duration::from_secs(300);

/// How long a call of a processor may at most take beyond what every request may, whatever its limit
/// `wall` is: others wait for its place.
const CALL_MAX: Duration = Duration::from_secs(3_600);

/// Answers a request, whatever happens.
pub(crate) async fn answer(app: Arc<App>, group: Option<Group>, request: Request) -> Response {
    let began = Instant::now();
    let request_id = trace::new_request_id();
    let trace = TraceContext::of(request.headers());
    let span = tracing::info_span!(
        "request",
        request_id,
        trace_id = trace.trace_id(),
        method = %request.method(),
        path = request.uri().path(),
    );
    trace.adopt(&span);
    let (parts, body) = request.into_parts();
    let found = find(group.as_ref(), &parts);
    let name = found.as_ref().map_or("none", |route| route.id.as_str());
    let traced = trace.header();
    let shared = Arc::clone(&app);
    let work = async {
        let route = found?;
        pass(shared, route, parts, body, trace, &request_id).await
    };
    let answered = AssertUnwindSafe(work)
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let answered = answered.unwrap_or_else(|_| {
        tracing::error!(parent: &span, "a request panicked");
        Err(Failure::new(
            ErrorCode::Internal,
            "the node failed; its log says more",
        ))
    });
    let mut response = match answered {
        Ok(response) => response,
        Err(failure) => {
            tracing::debug!(parent: &span, code = failure.problem.code, detail = failure.problem.detail, "refused");
            failure.into_response(&request_id)
        }
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    if let Some(traced) = traced {
        headers.insert("traceparent", traced);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    app.metrics
        .request(name, response.status(), began.elapsed());
    tracing::info!(parent: &span, route = name, status = response.status().as_u16(), "answered");
    response
}

/// The route of a request, and the first refusals: headers, target, path, method.
fn find(group: Option<&Group>, parts: &Parts) -> Result<&'static Route, Failure> {
    if parts.uri.path().len() + parts.uri.query().map_or(0, str::len) > TARGET_BYTES_MAX {
        return Err(Failure::malformed(format!(
            "path and query have at most {TARGET_BYTES_MAX} bytes"
        )));
    }
    check_host(parts)?;
    let Some(group) = group else {
        return Err(unknown_path(parts.uri.path()));
    };
    // A HEAD is a GET whose answer's body the connection leaves out.
    let method = match parts.method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    if let Some(route) = group.iter().find(|route| route.method.as_str() == method) {
        return Ok(route);
    }
    let mut allowed: Vec<&str> = group.iter().map(|route| route.method.as_str()).collect();
    if allowed.contains(&Method::Get.as_str()) {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    let shown: String = parts.method.as_str().chars().take(20).collect();
    let detail = format!(
        "{} does not take {shown}; it takes {allowed}",
        parts.uri.path()
    );
    Err(Failure::new(ErrorCode::MethodNotAllowed, detail).with_header(header::ALLOW, &allowed))
}

/// Source: RFC 9112, section 3.2: one `Host` with a host in it, which HTTP/1.0 alone may leave out.
fn check_host(parts: &Parts) -> Result<(), Failure> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let wrong = match (hosts.next(), hosts.next()) {
        (None, _) if parts.version < Version::HTTP_11 => return Ok(()),
        (None, _) => "the request has no header `Host`".to_owned(),
        (Some(_), Some(_)) => "the request has more than one header `Host`".to_owned(),
        (Some(host), None) if is_host(host.as_bytes()) => return Ok(()),
        (Some(host), None) => {
            let shown = String::from_utf8_lossy(host.as_bytes());
            let shown: String = shown.chars().take(100).collect();
            format!("the header `Host` is `{shown}`, which is no host with an optional port")
        }
    };
    let mut failure = Failure::malformed(wrong);
    "send one header `Host` with the node's host and port".clone_into(&mut failure.problem.remedy);
    Err(failure)
}

/// Whether this is a host with an optional port. It may be empty: a target may have no host.
fn is_host(bytes: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(bytes) else {
        return bytes.is_empty();
    };
    let host = authority.host();
    // A name before the host, or a port that is no number, is neither.
    let rest = authority.as_str().strip_prefix(host);
    !host.is_empty()
        && rest.is_some_and(|rest| matches!(rest, "" | ":") || authority.port_u16().is_some())
}

fn unknown_path(path: &str) -> Failure {
    let known = ROUTES.iter().map(|route| route.path);
    let near = caxton_model::nearest(path, known);
    let shown: String = path.chars().take(100).collect();
    let mut failure = Failure::not_found(match near {
        Some(near) => format!("there is no route {shown}; did you mean {near}?"),
        None => format!("there is no route {shown}"),
    });
    "compare the path with the API document at /api/v1/openapi.json"
        .clone_into(&mut failure.problem.remedy);
    failure
}

fn check_headers(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if headers.len() > app.limits.headers_max || bytes > app.limits.header_bytes_max {
        let detail = format!("{} headers with {bytes} bytes", headers.len());
        return Err(Failure::new(ErrorCode::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Who asks, and whether it may ask this; its connection is its own from now on.
fn caller_of(app: &App, route: &Route, parts: &Parts) -> Result<Caller, Failure> {
    let known = || {
        let caller = app.tokens.caller(&parts.headers)?;
        if let Some(connection) = parts.extensions.get::<Arc<Connection>>() {
            connection.belongs_to(&caller)?;
        }
        Ok(caller)
    };
    let Some(scope) = route.scope else {
        // A token that was not needed is still good for the connection and for what it may see.
        return Ok(known().unwrap_or_else(|_: Failure| Caller::nobody()));
    };
    let note = |caller: Option<&Caller>, failure: &Failure| {
        let peer = parts.extensions.get::<Peer>().copied();
        app.refusals.note(&app.node, caller, peer, route, failure);
    };
    let caller = known().inspect_err(|failure| note(None, failure))?;
    let named = caller.clone();
    caller
        .with(scope)
        .inspect_err(|failure| note(Some(&named), failure))
}

/// Everything between the route and its answer.
async fn pass(
    app: Arc<App>,
    route: &'static Route,
    parts: Parts,
    body: Body,
    trace: TraceContext,
    request_id: &str,
) -> Answered {
    check_headers(&app, &parts.headers)?;
    let caller = caller_of(&app, route, &parts)?;
    let query = Query::read(route, parts.uri.query().unwrap_or_default())?;
    let path = path_parameters(route.path, parts.uri.path());
    let payload_bytes_max = payload_bytes_max(&app, route, &caller, &path)?;
    let mut closing = app.closing.clone();
    let ReadBody { bytes, room } = tokio::select! {
        biased;
        read = read_body(&app, route, &caller, &parts.headers, body, payload_bytes_max) => read?,
        () = closed(&mut closing) => {
            let detail = "the server is shutting down, and the body was not there in full";
            return Err(Failure::new(ErrorCode::ShuttingDown, detail));
        }
    };
    let key = match route.takes_idempotency_key() {
        true => key_of(&parts.headers)?,
        false => None,
    };
    let claim = match key {
        // A message's key is its `message_id`, which the journal remembers.
        Some(key) if route.id != RouteId::SendMessage => {
            let asked = Asked {
                fingerprint: fingerprint(route, &path, &query, &parts.headers, &bytes).await?,
                what: format!("{} {}", parts.method, parts.uri.path()),
                request_id: request_id.to_owned(),
            };
            match app.idempotency.begin(&caller, &key, asked)? {
                Begun::Again(response) => return Ok(response),
                Begun::First(claim) => Some(claim),
            }
        }
        _ => None,
    };
    let call = Call {
        path,
        app: Arc::clone(&app),
        route,
        caller,
        query,
        headers: parts.headers,
        body: bytes,
        trace,
    };
    let (caller, peer) = (call.caller.clone(), parts.extensions.get::<Peer>().copied());
    let within = app.limits.request_timeout + asked_wait(&app, &call);
    let answered = tokio::time::timeout(within, routes::dispatch(call)).await;
    drop(room);
    let answered = answered.unwrap_or_else(|_| Err(too_late(within)));
    if let Err(failure) = &answered {
        app.refusals
            .note(&app.node, Some(&caller), peer, route, failure);
    }
    match (claim, answered) {
        (None, answered) => answered,
        (Some(claim), Ok(response)) => Ok(claim.finish(response).await),
        // The claim is given up: the key is free again.
        (Some(_), Err(failure)) => Err(failure),
    }
}

fn too_late(within: Duration) -> Failure {
    let secs = within.as_secs();
    let detail =
        format!("the node did not answer within {secs} s; what was asked may still happen");
    Failure::new(ErrorCode::Timeout, detail)
}

/// How long a request itself asks to wait, on top of what it needs.
fn asked_wait(app: &App, call: &Call) -> Duration {
    match call.route.id {
        RouteId::SendMessage | RouteId::ListMessages => app.limits.wait_max,
        RouteId::StopAgent => routes::GRACE_MAX,
        RouteId::VerifyAudit => VERIFY_MAX,
        RouteId::CallProcessor => limit_of_call(app, &call.caller, &call.path, LimitName::Wall)
            .map_or(Duration::ZERO, Duration::from_micros)
            .min(CALL_MAX),
        _ => Duration::ZERO,
    }
}

/// A limit of the processor that a call is for.
///
/// Errors: `not-found`.
fn limit_of_call(
    app: &App,
    caller: &Caller,
    path: &BTreeMap<&'static str, Vec<u8>>,
    limit: LimitName,
) -> Result<u64, Failure> {
    let name = path.get("name").map(Vec::as_slice).unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let spec = routes::processor_meant(&app.node, caller, &name)?;
    Ok(spec.limits.get(limit))
}

/// How large the body of a call may be: what its processor takes, and what one caller may hold. It is
/// known before the body is read.
fn payload_bytes_max(
    app: &App,
    route: &Route,
    caller: &Caller,
    path: &BTreeMap<&'static str, Vec<u8>>,
) -> Result<usize, Failure> {
    if route.id != RouteId::CallProcessor {
        return Ok(0);
    }
    let payload = limit_of_call(app, caller, path, LimitName::PayloadBytes)?;
    let room = app.limits.bodies_bytes_max / 2;
    Ok(usize::try_from(payload).unwrap_or(usize::MAX).min(room))
}

async fn read_body(
    app: &App,
    route: &'static Route,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    payload_bytes_max: usize,
) -> Result<ReadBody, Failure> {
    use caxton_api::Body as Takes;
    let limits = &app.limits;
    let multipart = media_type(headers).eq_ignore_ascii_case("multipart/form-data");
    let (bytes_max, code) = match route.body {
        Takes::None => (0, ErrorCode::PayloadTooLarge),
        Takes::Json(_) if route.id == RouteId::SendMessage => {
            (limits.json_bytes_max, ErrorCode::MessageTooLarge)
        }
        Takes::Json(_) | Takes::OptionalJson(_) => {
            (limits.json_bytes_max, ErrorCode::PayloadTooLarge)
        }
        // With 0 no body would be read at all, and any would be taken for an empty one.
        Takes::Bytes => (payload_bytes_max.max(1), ErrorCode::PayloadTooLarge),
        Takes::Module(..) if multipart => (limits.module_bytes_max, ErrorCode::ModuleTooLarge),
        Takes::Module(..) => (
            limits.module_bytes_max.div_ceil(3) * 4,
            ErrorCode::ModuleTooLarge,
        ),
    };
    if bytes_max == 0 {
        // Whatever was sent is left to the connection, which drops it.
        return Ok(ReadBody {
            bytes: Bytes::new(),
            room: None,
        });
    }
    must_be_plain(headers)?;
    let max = BodyMax {
        bytes: bytes_max,
        code,
    };
    let room = app.bodies.begin(&caller.id);
    let read = body::read(headers, body, room, max, limits).await?;
    match route.body {
        Takes::OptionalJson(_) if read.bytes.is_empty() => {}
        Takes::Module(..) if multipart => {}
        Takes::Bytes => {}
        _ => must_be_json(headers)?,
    }
    Ok(read)
}

/// The request's idempotency key, if it has one.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(HeaderName::from_static(IDEMPOTENCY_KEY)) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(Failure::malformed("`Idempotency-Key` is not plain text")),
    }
}

/// The same for every request that asks a route for the same, however it is written.
async fn fingerprint(
    route: &'static Route,
    path: &BTreeMap<&'static str, Vec<u8>>,
    query: &Query,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Digest, Failure> {
    let body = match route.id {
        RouteId::DeployAgent | RouteId::UpdateAgent => {
            let given = deploy::Given::<AgentConfig>::read(headers, body).await?;
            given.fingerprint()
        }
        RouteId::DeployProcessor => {
            let given = deploy::Given::<ProcessorConfig>::read(headers, body).await?;
            given.fingerprint()
        }
        RouteId::StopAgent if body.is_empty() => parsed(&StopRequest::default()),
        RouteId::StopAgent => parsed(&read_json::<StopRequest>(body)?),
        RouteId::RegisterAgent => parsed(&read_json::<Registration>(body)?),
        RouteId::CreateToken => {
            let mut token = read_json::<NewToken>(body)?;
            // Scopes are a set, while the order of clients says who the default sender is.
            token.scopes.sort_unstable();
            token.scopes.dedup();
            parsed(&token)
        }
        _ => Digest::of(body),
    };
    let place = format!("{:?} {path:?} {query:?}", route.id);
    Ok(Digest::of(&[place.as_bytes(), body.as_bytes()].concat()))
}

fn parsed<T: serde::Serialize>(body: &T) -> Digest {
    Digest::of(&serde_json::to_vec(body).unwrap_or_default())
}
