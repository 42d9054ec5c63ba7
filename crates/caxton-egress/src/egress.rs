//! The broker.

use std::sync::{Arc, atomic::AtomicU64};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use tokio::{sync::Semaphore, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    Bounds, Caller, EgressOptions, HttpCall, HttpFailure, HttpReply, OptionsError, Resolve,
    address::SystemResolver,
    headers,
    pool::Pool,
    proxy::Routes,
    redirect::{Permitted, REDIRECTS_MAX, Request},
    secret,
    target::{Origin, host_and_path, shortened},
    tls,
};

/// What the broker calls itself where a guest does not say.
const USER_AGENT: &str = concat!("caxton/", env!("CARGO_PKG_VERSION"));

/// Bytes of a method.
const METHOD_BYTES_MAX: usize = 32;

/// The broker of a node: keeps connections, and sends what gates allow.
///
/// Its connections belong to the runtime that first uses them.
pub struct Egress {
    pub(crate) options: EgressOptions,
    pub(crate) tls: TlsConnector,
    pub(crate) routes: Routes,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) pool: Arc<Pool>,
    in_flight: Semaphore,
    /// Bytes of response bodies that are held for all guests.
    pub(crate) buffered: AtomicU64,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

impl Egress {
    /// A broker without connections. Blocking: reads the system's certificate authorities.
    ///
    /// Errors: [`OptionsError`].
    pub fn new(options: EgressOptions) -> Result<Self, OptionsError> {
        let system = || Arc::new(SystemResolver::new()) as Arc<dyn Resolve>;
        Ok(Self {
            tls: tls::connector(&options)?,
            routes: Routes::new(&options.proxies)?,
            resolver: options.resolver.clone().unwrap_or_else(system),
            pool: Arc::new(Pool::new(&options)),
            in_flight: Semaphore::new(options.in_flight_max),
            buffered: AtomicU64::new(0),
            options,
        })
    }

    /// Sends a request and follows its redirects, as far as the caller's gate and `bounds`
    /// permit. Dropping the future closes the request.
    ///
    /// Errors: [`HttpFailure`].
    pub async fn send(
        &self,
        call: HttpCall,
        caller: Caller<'_>,
        bounds: Bounds<'_>,
        idempotency_key: Option<&str>,
    ) -> Result<HttpReply, HttpFailure> {
        let limit = call
            .timeout
            .map_or(bounds.total, |own| own.min(bounds.total));
        let request = first_request(call, &caller, &bounds, idempotency_key)?;
        let host = Origin::new(request.access.url()).to_string();
        let whole = timeout(limit, self.follow(request, &caller, &bounds)).await;
        whole.unwrap_or(Err(HttpFailure::Timeout { host, limit }))
    }

    async fn follow(
        &self,
        mut request: Request,
        caller: &Caller<'_>,
        bounds: &Bounds<'_>,
    ) -> Result<HttpReply, HttpFailure> {
        let (mut sent, mut received) = (0_u64, 0_u64);
        for _ in 0..=REDIRECTS_MAX {
            let permitted = request.permitted(caller)?;
            let bytes = request_bytes(&permitted);
            bounds.take_request(bytes)?;
            let _permit = self.in_flight.acquire().await.map_err(|_| self.busy())?;
            let response = self.exchange(&permitted, caller, bounds).await?;
            sent = sent.saturating_add(bytes);
            received = received.saturating_add(response.received);
            let next = permitted.redirected(response.status, &response.headers, caller)?;
            let Some(next) = next else {
                return Ok(HttpReply {
                    status: response.status.as_u16(),
                    headers: headers::for_guest(&response.headers),
                    body: response.body,
                    url: permitted.url().to_owned(),
                    sent,
                    received,
                });
            };
            request = next;
        }
        Err(HttpFailure::TooManyRedirects {
            host: Origin::new(request.access.url()).to_string(),
            limit: REDIRECTS_MAX,
        })
    }

    fn busy(&self) -> HttpFailure {
        let limit = format!("{} requests", self.options.in_flight_max);
        HttpFailure::Busy { limit }
    }
}

/// What a call asks of the first server.
fn first_request(
    call: HttpCall,
    caller: &Caller<'_>,
    bounds: &Bounds<'_>,
    idempotency_key: Option<&str>,
) -> Result<Request, HttpFailure> {
    let method = method(&call.method)?;
    let access = caller.request(method.as_str(), &call.url)?;
    check_body(&call.body, bounds)?;
    let (host, _) = host_and_path(access.url());
    let mut given = headers::of_guest(&call.headers, host, call.body.len(), bounds.field_bytes)?;
    let agent = HeaderValue::from_static(USER_AGENT);
    headers::add_default(&mut given, header::USER_AGENT, agent);
    if let Some(key) = idempotency_key {
        let name = HeaderName::from_static("idempotency-key");
        let value = HeaderValue::from_str(key).map_err(|_| HttpFailure::BadHeader {
            name: name.to_string(),
            reason: "the key has a character that no header value may".to_owned(),
        })?;
        headers::add_default(&mut given, name, value);
    }
    Ok(Request {
        access,
        method,
        headers: given,
        body: call.body,
    })
}

fn check_body(body: &Bytes, bounds: &Bounds<'_>) -> Result<(), HttpFailure> {
    let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let limit = bounds.body_bytes();
    if size > limit {
        return Err(HttpFailure::RequestBodyTooLarge { size, limit });
    }
    if secret::is_in(body) {
        return Err(HttpFailure::MisplacedSecret { place: "body" });
    }
    Ok(())
}

/// Reads a method. `CONNECT` would open a tunnel and `TRACE` would show secrets, so guests may use
/// neither.
fn method(text: &str) -> Result<Method, HttpFailure> {
    let upper = text.to_ascii_uppercase();
    let is_usable =
        upper.len() <= METHOD_BYTES_MAX && !matches!(&*upper, "CONNECT" | "TRACE" | "TRACK");
    let read = Method::from_bytes(upper.as_bytes());
    read.ok()
        .filter(|_| is_usable)
        .ok_or_else(|| HttpFailure::BadMethod {
            method: shortened(text),
        })
}

/// Bytes of a request's head and body, as they count for the guest's rates.
fn request_bytes(request: &Permitted) -> u64 {
    let line = request.method.as_str().len() + request.url().len();
    let rest = u64::try_from(line + request.body.len()).unwrap_or(u64::MAX);
    headers::bytes(&request.headers).saturating_add(rest)
}
