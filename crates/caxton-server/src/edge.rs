//! What every request passes, in this order: a name, headers, route, method, token, query, body,
//! idempotency key; then its route, within a time-out; then log and metrics.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use caxton_api::{IDEMPOTENCY_KEY, Method, REQUEST_ID, ROUTES, Route, RouteId};
use caxton_model::{Digest, ErrorCode};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    app::{App, Group},
    auth::Caller,
    body::{ReadBody, media_type, must_be_json},
    call::Call,
    idempotency::Begun,
    query::{Query, path_parameters},
    refuse::{Answered, Failure},
    routes,
    trace::{self, TraceContext},
};

/// Bytes of a path or a query.
const TARGET_BYTES_MAX: usize = 8 << 10;

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
        pass(shared, route, parts, body, trace).await
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

/// Everything between the route and its answer.
async fn pass(
    app: Arc<App>,
    route: &'static Route,
    parts: Parts,
    body: Body,
    trace: TraceContext,
) -> Answered {
    check_headers(&app, &parts.headers)?;
    let caller = match route.scope {
        None => Caller::nobody(),
        Some(scope) => app.tokens.caller(&parts.headers)?.with(scope)?,
    };
    let query = Query::read(route, parts.uri.query().unwrap_or_default())?;
    let ReadBody { bytes, room } = read_body(&app, route, &parts.headers, body).await?;
    let key = route
        .takes_idempotency_key()
        .then(|| key_of(&parts.headers))
        .transpose()?
        .flatten();
    let claim = match key {
        // A message's key is its `message_id`, which the journal remembers.
        Some(key) if route.id != RouteId::SendMessage => {
            let fingerprint = fingerprint(&parts, &bytes);
            match app.idempotency.begin(&caller, &key, fingerprint)? {
                Begun::Again(response) => return Ok(response),
                Begun::First(claim) => Some(claim),
            }
        }
        _ => None,
    };
    let call = Call {
        path: path_parameters(route.path, parts.uri.path()),
        app: Arc::clone(&app),
        route,
        caller,
        query,
        headers: parts.headers,
        body: bytes,
        trace,
    };
    let within = app.limits.request_timeout + asked_wait(&app, &call);
    let answered = tokio::time::timeout(within, routes::dispatch(call)).await;
    drop(room);
    let answered = answered.unwrap_or_else(|_| {
        Err(Failure::new(
            ErrorCode::Timeout,
            format!(
                "the node did not answer within {} s; what was asked may still happen",
                within.as_secs()
            ),
        ))
    });
    match (claim, answered) {
        (None, answered) => answered,
        (Some(claim), Ok(response)) => Ok(claim.finish(response).await),
        (Some(claim), Err(failure)) => {
            drop(claim);
            Err(failure)
        }
    }
}

/// How long a request itself asks to wait, on top of what it needs.
fn asked_wait(app: &App, call: &Call) -> Duration {
    match call.route.id {
        RouteId::SendMessage | RouteId::ListMessages => app.limits.wait_max,
        RouteId::StopAgent => routes::GRACE_MAX,
        _ => Duration::ZERO,
    }
}

async fn read_body(
    app: &App,
    route: &'static Route,
    headers: &HeaderMap,
    body: Body,
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
        Takes::Module(..) if multipart => (limits.module_bytes_max, ErrorCode::ModuleTooLarge),
        Takes::Module(..) => (
            limits.module_bytes_max.div_ceil(3) * 4,
            ErrorCode::ModuleTooLarge,
        ),
    };
    if bytes_max == 0 {
        // Whatever was sent is left to the connection, which drops it.
        return Ok(ReadBody {
            bytes: bytes::Bytes::new(),
            room: None,
        });
    }
    let read = app
        .bodies
        .read(headers, body, bytes_max, code, limits)
        .await?;
    match route.body {
        Takes::OptionalJson(_) if read.bytes.is_empty() => {}
        Takes::Module(..) if multipart => {}
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

fn fingerprint(parts: &Parts, body: &[u8]) -> Digest {
    let head = format!("{} {}\n", parts.method, parts.uri);
    let mut all = head.into_bytes();
    all.extend_from_slice(Digest::of(body).as_bytes());
    Digest::of(&all)
}
