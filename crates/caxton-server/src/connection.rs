//! Connections: taken, bounded, encrypted, served, ended.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    ServerLimits,
    app::closed,
    audit::Peer,
    connections::{Connection, Connections},
    descriptors,
    evictable::{Evictable, say_busy},
    stall::Stall,
    tasks::{self, Task},
};

/// Bytes hyper may keep of a request's head. Beyond the limit that is answered in words, so that
/// this one is reached only by what is no honest request.
const HEAD_BUFFER_BYTES: usize = 128 << 10;

/// Header lines hyper takes at all; between the limit and this they are refused in words.
const HEADERS_PARSED_MAX: usize = 256;

/// How long accepting pauses after the system has refused a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Everything a connection needs.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    pub(crate) limits: ServerLimits,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) connections: Connections,
}

impl Door {
    /// Takes connections until the server is closing.
    pub(crate) async fn accept(mut self) {
        let mut paused = false;
        loop {
            let taken = tokio::select! {
                taken = self.listener.accept() => taken,
                () = closed(&mut self.closing) => return,
            };
            match taken {
                Ok((stream, peer)) => {
                    paused = false;
                    self.admit(stream, peer).await;
                }
                Err(error) => {
                    // Mostly no file descriptors are left: a stranger's is given back.
                    if !std::mem::replace(&mut paused, true) {
                        tracing::warn!(%error, "no connection can be taken; trying again");
                    }
                    self.connections.make_room().await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let is_full = !self.connections.has_room() || descriptors::is_needed(&stream);
        if is_full && !self.connections.make_room().await {
            return say_busy(&stream);
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "switching Nagle's algorithm off");
        }
        let connection = self.connections.enter();
        let stream = Evictable::new(stream, Arc::clone(&connection), self.tls.is_none());
        let serving = Serving {
            router: self.router.clone(),
            limits: self.limits.clone(),
            connection,
            peer: Some(Peer(peer)),
        };
        let (tls, mut closing) = (self.tls.clone(), self.closing.clone());
        let head_timeout = self.limits.head_timeout;
        tasks::start(Task::Connection, async move {
            let Some(tls) = tls else {
                return serving.serve(stream, closing).await;
            };
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(head_timeout, tls.accept(stream)) => shaken,
                () = closed(&mut closing) => return,
            };
            match shaken {
                Ok(Ok(stream)) => serving.serve(stream, closing).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
            }
        });
    }
}

/// What serves one connection.
pub(crate) struct Serving {
    pub(crate) router: Router,
    pub(crate) limits: ServerLimits,
    pub(crate) connection: Arc<Connection>,
    /// Where it came from; `None`: from within the data directory.
    pub(crate) peer: Option<Peer>,
}

impl Serving {
    /// Serves it until it ends.
    pub(crate) async fn serve<S>(self, stream: S, mut closing: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(Stall::new(stream, self.limits.write_pause_max));
        let router = TowerToHyperService::new(self.router);
        let own = Arc::clone(&self.connection);
        let service = service_fn(move |mut request: Request<Incoming>| {
            own.asks();
            request.extensions_mut().insert(Arc::clone(&own));
            if let Some(peer) = self.peer {
                request.extensions_mut().insert(peer);
            }
            let (answer, own) = (router.call(request), Arc::clone(&own));
            async move {
                let answer = answer.await;
                own.answered();
                answer
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_headers(HEADERS_PARSED_MAX)
            .max_buf_size(HEAD_BUFFER_BYTES)
            .serve_connection(stream, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = closed(&mut closing) => {
                if !self.connection.has_asked() {
                    // Half a request is nothing to wait for.
                    return;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
