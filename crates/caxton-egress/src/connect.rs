//! New connections, to addresses that were checked and to no others.

use std::net::{IpAddr, SocketAddr};

use caxton_gate::{Allowed, HttpConnect};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Caller, Egress, HttpFailure,
    link::{Link, PlainProxy},
    proxy::{self, Proxy},
    redirect::Permitted,
    target::Origin,
    tls,
};

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

/// Where a connection leads.
enum Place {
    /// To this address, which the gate allowed.
    At(Allowed<HttpConnect>),
    /// To whatever the proxy takes the name for.
    ByName,
}

impl Egress {
    /// Opens a connection to a request's origin.
    ///
    /// Errors: what failed last, where several addresses were tried.
    pub(crate) async fn connect(
        &self,
        request: &Permitted,
        caller: &Caller<'_>,
    ) -> Result<Link, HttpFailure> {
        let origin = &request.origin;
        let limit = self.options.connect_time;
        let too_late = |_| HttpFailure::ConnectTimeout {
            host: origin.to_string(),
            limit,
        };
        let deadline = Instant::now() + limit;
        let places = timeout(limit, self.places(request, caller));
        let places = places.await.map_err(too_late)??;
        let mut last = None;
        let count = places.len();
        for (index, place) in places.into_iter().enumerate() {
            // All but the last address leave half of the time to the others.
            let left = deadline.saturating_duration_since(Instant::now());
            let is_last = index + 1 == count;
            let until = if is_last {
                deadline
            } else {
                Instant::now() + left / 2
            };
            match timeout_at(until, self.connect_to(origin, place)).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(failure)) => last = Some(failure),
                Err(elapsed) => last = Some(too_late(elapsed)),
            }
        }
        Err(last.unwrap_or_else(|| no_address(origin)))
    }

    /// Where a connection to this origin may lead.
    async fn places(
        &self,
        request: &Permitted,
        caller: &Caller<'_>,
    ) -> Result<Vec<Place>, HttpFailure> {
        let origin = &request.origin;
        let by_name = self.routes.proxy_resolves_names
            && origin.literal().is_none()
            && self.routes.proxy(origin).is_some();
        if by_name {
            return Ok(vec![Place::ByName]);
        }
        let found = match origin.literal() {
            Some(address) => vec![address],
            None => self.resolve(origin).await?,
        };
        let mut places = Vec::new();
        let mut refused = None;
        for address in found {
            // IPv4 that is written as IPv6 leads to the IPv4 address.
            let access = HttpConnect::new(&request.allowed, address.to_canonical());
            match caller.check(access) {
                Ok(allowed) => places.push(Place::At(allowed)),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        match refused {
            Some(reason) if places.is_empty() => Err(HttpFailure::AddressDenied {
                host: origin.to_string(),
                reason,
            }),
            _ => Ok(places),
        }
    }

    async fn resolve(&self, origin: &Origin) -> Result<Vec<IpAddr>, HttpFailure> {
        let found = self.resolver.resolve(origin.host(), origin.port()).await;
        let mut found = found.map_err(|error| HttpFailure::NameLookupFailed {
            host: origin.host().to_owned(),
            reason: error.to_string(),
        })?;
        if found.is_empty() {
            return Err(no_address(origin));
        }
        found.truncate(ADDRESSES_MAX);
        Ok(found.iter().map(SocketAddr::ip).collect())
    }

    async fn connect_to(&self, origin: &Origin, place: Place) -> Result<Link, HttpFailure> {
        let address = match place {
            Place::At(allowed) => {
                let connect = allowed.into_access();
                Some(SocketAddr::new(connect.address(), connect.port()))
            }
            Place::ByName => None,
        };
        let (stream, plain) = match (self.routes.proxy(origin), address) {
            (Some(proxy), None) if !origin.is_secure() => {
                let credentials = proxy.credentials.clone();
                let stream = self.connect_to_proxy(proxy, origin).await?;
                (stream, Some(PlainProxy { credentials }))
            }
            (Some(proxy), address) => {
                let by_name = || origin.to_string();
                let authority = address.map_or_else(by_name, |address| address.to_string());
                let mut stream = self.connect_to_proxy(proxy, origin).await?;
                let tunnel = proxy::tunnel(proxy, &mut stream, &authority).await;
                tunnel.map_err(|reason| proxy_failed(origin, reason))?;
                (stream, None)
            }
            (None, Some(address)) => {
                let stream = TcpStream::connect(address).await;
                let failed = |error: std::io::Error| HttpFailure::ConnectFailed {
                    host: origin.to_string(),
                    reason: error.to_string(),
                };
                (stream.map_err(failed)?, None)
            }
            (None, None) => return Err(no_address(origin)),
        };
        // A request is written whole, so waiting for more of it only delays it.
        let _ = stream.set_nodelay(true);
        let fields = self.options.field_bytes_max;
        let link = if origin.is_secure() {
            let stream = tls::agree(&self.tls, origin, stream).await?;
            let is_http2 = tls::chose_http2(&stream);
            Link::open(TokioIo::new(stream), is_http2, fields, address, plain).await
        } else {
            Link::open(TokioIo::new(stream), false, fields, address, plain).await
        };
        link.map_err(|error| HttpFailure::ConnectFailed {
            host: origin.to_string(),
            reason: error.to_string(),
        })
    }

    /// Connects to a proxy. Its address is the operator's setting, which no gate is asked about.
    async fn connect_to_proxy(
        &self,
        proxy: &Proxy,
        origin: &Origin,
    ) -> Result<TcpStream, HttpFailure> {
        let failed = |error: std::io::Error| proxy_failed(origin, error.to_string());
        let (host, port) = (proxy.origin.host(), proxy.origin.port());
        let addresses = match proxy.origin.literal() {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => self.resolver.resolve(host, port).await.map_err(failed)?,
        };
        TcpStream::connect(&*addresses).await.map_err(failed)
    }
}

fn no_address(origin: &Origin) -> HttpFailure {
    HttpFailure::NameLookupFailed {
        host: origin.host().to_owned(),
        reason: "it has no address".to_owned(),
    }
}

fn proxy_failed(origin: &Origin, reason: String) -> HttpFailure {
    HttpFailure::ProxyFailed {
        host: origin.to_string(),
        reason,
    }
}
