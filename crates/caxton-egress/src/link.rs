//! One open connection, in either version of HTTP.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Frame, Incoming},
    client::conn::{http1, http2},
    rt::{Read, Write},
};

use crate::{
    HttpFailure, headers,
    redirect::Permitted,
    tasks::{Http2Tasks, Task, start},
};

type Body = Full<Bytes>;
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Bytes that HTTP/1.1 reads beyond a head before it gives up on finding its end.
const READ_AHEAD_BYTES: usize = 8 * 1024;

/// A connection to one origin.
pub(crate) struct Link {
    version: Version,
    /// The address that was checked; `None` where a proxy resolves the name.
    address: Option<SocketAddr>,
    /// Set on a connection to a proxy that is asked for whole URLs.
    proxy: Option<PlainProxy>,
}

/// A proxy that is asked for whole URLs, without a tunnel.
#[derive(Clone)]
pub(crate) struct PlainProxy {
    /// `Proxy-Authorization`.
    pub(crate) credentials: Option<HeaderValue>,
}

enum Version {
    /// The driver is polled by whoever uses the connection, so that no other task is woken for a
    /// request, and dropping the request closes the connection. `None`: it has ended.
    Http1(http1::SendRequest<Body>, Option<Driver>),
    /// The driver is a task of its own, since several requests share it.
    Http2(http2::SendRequest<Body>),
}

/// A request that got no response.
pub(crate) struct SendFailed {
    pub(crate) error: hyper::Error,
    /// True if not a byte of it was written.
    pub(crate) unsent: bool,
}

impl Link {
    /// Begins to speak HTTP on a stream.
    pub(crate) async fn open(
        stream: impl Read + Write + Send + Unpin + 'static,
        is_http2: bool,
        field_bytes_max: usize,
        address: Option<SocketAddr>,
        proxy: Option<PlainProxy>,
    ) -> hyper::Result<Self> {
        let version = if is_http2 {
            let list_max = u32::try_from(field_bytes_max).unwrap_or(u32::MAX);
            let (sender, driver) = http2::Builder::new(Http2Tasks)
                .max_header_list_size(list_max)
                .handshake(stream)
                .await?;
            start(Task::Http2, driver);
            Version::Http2(sender)
        } else {
            let (sender, driver) = http1::Builder::new()
                .max_header_size(field_bytes_max)
                .max_buf_size(field_bytes_max + READ_AHEAD_BYTES)
                .handshake(stream)
                .await?;
            Version::Http1(sender, Some(Box::pin(driver)))
        };
        Ok(Self {
            version,
            address,
            proxy,
        })
    }

    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A second handle on an HTTP/2 connection; `None` for HTTP/1.1, which carries one request at a
    /// time.
    pub(crate) fn shared(&self) -> Option<Self> {
        let Version::Http2(sender) = &self.version else {
            return None;
        };
        Some(Self {
            version: Version::Http2(sender.clone()),
            address: self.address,
            proxy: self.proxy.clone(),
        })
    }

    /// True if the connection can take a request now, as far as can be known: looks for what the
    /// server sent or closed in the meantime.
    pub(crate) async fn is_ready(&mut self) -> bool {
        match &mut self.version {
            Version::Http1(sender, driver) => {
                poll_fn(|cx| {
                    advance(driver, cx);
                    let ready = matches!(sender.poll_ready(cx), Poll::Ready(Ok(())));
                    Poll::Ready(ready && driver.is_some())
                })
                .await
            }
            Version::Http2(sender) => !sender.is_closed(),
        }
    }

    /// True if the connection is known to have ended.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.version {
            Version::Http1(sender, driver) => driver.is_none() || sender.is_closed(),
            Version::Http2(sender) => sender.is_closed(),
        }
    }

    /// Writes a request, with these headers in place of its own, and reads the response's head.
    pub(crate) async fn send(
        &mut self,
        request: &Permitted,
        headers: HeaderMap,
    ) -> Result<Result<http::Response<Incoming>, SendFailed>, HttpFailure> {
        let request = self.message(request, headers)?;
        let answer = match &mut self.version {
            Version::Http1(sender, driver) => {
                beside(driver, sender.try_send_request(request)).await
            }
            Version::Http2(sender) => sender.try_send_request(request).await,
        };
        Ok(answer.map_err(|mut failed| SendFailed {
            unsent: failed.take_message().is_some(),
            error: failed.into_error(),
        }))
    }

    /// The next part of a response's body.
    pub(crate) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        match &mut self.version {
            Version::Http1(_, driver) => beside(driver, body.frame()).await,
            Version::Http2(_) => body.frame().await,
        }
    }

    fn message(
        &self,
        request: &Permitted,
        mut headers: HeaderMap,
    ) -> Result<http::Request<Body>, HttpFailure> {
        let is_http2 = matches!(self.version, Version::Http2(_));
        let (host, path) = request.host_and_path();
        let is_whole = is_http2 || self.proxy.is_some();
        let uri = if is_whole { request.url() } else { path };
        let uri = Uri::try_from(uri).map_err(|error| HttpFailure::BadUrl {
            reason: error.to_string(),
        })?;
        if !is_http2 {
            let host = HeaderValue::from_str(host);
            let host = host.map_err(|error| HttpFailure::BadUrl {
                reason: error.to_string(),
            })?;
            headers.insert(header::HOST, host);
        }
        if request.body.is_empty()
            && matches!(request.method, Method::POST | Method::PUT | Method::PATCH)
        {
            let none = HeaderValue::from_static("0");
            headers::add_default(&mut headers, header::CONTENT_LENGTH, none);
        }
        if let Some(credentials) = self.proxy.as_ref().and_then(|p| p.credentials.clone()) {
            headers.insert(header::PROXY_AUTHORIZATION, credentials);
        }
        let mut message = http::Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = uri;
        *message.headers_mut() = headers;
        Ok(message)
    }
}

/// Lets a connection's driver go on.
fn advance(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(cx).is_ready()
    {
        *driver = None;
    }
}

/// Waits for what the driver brings about. A driver that ends completes it, with an error at worst.
async fn beside<F: Future>(driver: &mut Option<Driver>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        advance(driver, cx);
        // What the driver just did would wake this task again; looking now saves that round.
        work.as_mut().poll(cx)
    })
    .await
}
