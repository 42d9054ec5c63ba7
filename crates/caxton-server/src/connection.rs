//! Connections: taken, bounded, encrypted, served, ended.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    ServerLimits,
    app::closed,
    stall::Stall,
    tasks::{self, Task},
};

/// Bytes hyper may keep of a request's head. Beyond the limit that is answered in words, so that
/// this one is reached only by what is no honest request.
const HEAD_BUFFER_BYTES: usize = 128 << 10;

/// Header lines hyper takes at all; between the limit and this they are refused in words.
const HEADERS_PARSED_MAX: usize = 256;

/// What is said to a connection that there is no room for.
pub(crate) const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 249\r\n\r\n\
{\"type\":\"/api/v1/errors/CX6001\",\"title\":\"node budget\",\"status\":503,\"code\":\"node-budget\",\
\"detail\":\"the node has as many connections as it takes\",\"remedy\":\"try again, with fewer connections\",\
\"request_id\":\"none\",\"retry_after_secs\":1}                   ";

/// Everything a connection needs.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    pub(crate) limits: ServerLimits,
    pub(crate) closing: watch::Receiver<bool>,
    /// A permit for each connection; all of them are back when all connections have ended.
    pub(crate) room: Arc<Semaphore>,
}

impl Door {
    /// Takes connections until the server is closing.
    pub(crate) async fn accept(mut self) {
        loop {
            let taken = tokio::select! {
                taken = self.listener.accept() => taken,
                () = closed(&mut self.closing) => return,
            };
            match taken {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    // Mostly no file descriptors left: others must end before another can begin.
                    tracing::warn!(%error, "taking a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            // The socket is new, so its buffer takes this at once; if not, closing says enough.
            let _ = stream.try_write(BUSY);
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "switching Nagle's algorithm off");
        }
        let (tls, router) = (self.tls.clone(), self.router.clone());
        let (limits, closing) = (self.limits.clone(), self.closing.clone());
        tasks::start(Task::Connection, async move {
            match tls {
                None => serve(stream, router, &limits, closing).await,
                Some(tls) => match tokio::time::timeout(limits.head_timeout, tls.accept(stream))
                    .await
                {
                    Ok(Ok(stream)) => serve(stream, router, &limits, closing).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
                },
            }
            drop(permit);
        });
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve<S>(
    stream: S,
    router: Router,
    limits: &ServerLimits,
    mut closing: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(Stall::new(stream, limits.write_pause_max));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS_PARSED_MAX)
        .max_buf_size(HEAD_BUFFER_BYTES)
        .serve_connection(stream, TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_api::Problem;

    #[test]
    fn the_answer_for_want_of_room_is_a_whole_one() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: Problem = serde_json::from_str(body.trim()).unwrap();
        let code = problem.error_code().unwrap();
        assert_eq!(
            (problem.status, code.page()),
            (code.http_status(), "CX6001")
        );
    }
}
