//! Opening and closing the door.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use caxton_node::Node;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    ServeError, ServerOptions,
    app::{App, router},
    auth::Tokens,
    body::Bodies,
    connection::Door,
    idempotency::Idempotency,
    local_door::LocalDoor,
    metrics::Metrics,
    tasks::{self, Task},
    tls,
};

/// A server that runs. Dropped without [`Server::shutdown`], it goes on until the runtime ends.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    app: Arc<App>,
    closing: watch::Sender<bool>,
    room: Arc<Semaphore>,
    connections_max: u32,
    accepting: JoinHandle<()>,
    local: Option<JoinHandle<()>>,
    upkeep: JoinHandle<()>,
}

/// Serves a node over HTTP.
///
/// Makes the file `admin-token` in the node's data directory if there is none.
/// Errors: [`ServeError`]; nothing listens then.
pub async fn serve(node: Node, options: ServerOptions) -> Result<Server, ServeError> {
    let ServerOptions {
        listen,
        tls,
        allow_plain_public,
        limits,
    } = options;
    if tls.is_none() && !allow_plain_public && !listen.ip().is_loopback() {
        return Err(ServeError::PlainPublic { listen });
    }
    let acceptor = tls.as_ref().map(tls::acceptor).transpose()?;
    let tokens = Tokens::open(node.options().data.clone(), limits.tokens_max)?;
    let bind = |source| ServeError::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let (closing, closed) = watch::channel(false);
    let connections_max = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    let app = Arc::new(App {
        node,
        tokens,
        idempotency: Idempotency::default(),
        bodies: Bodies::new(limits.bodies_bytes_max),
        metrics: Metrics::install(),
        streams: Arc::new(Semaphore::new(limits.streams_max)),
        boot: format!("{:08x}", rand::random::<u32>()),
        closing: closed.clone(),
        limits: limits.clone(),
    });
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let local = match &app.node.options().data {
        Some(data) => Some(LocalDoor::open(
            data,
            router(&app),
            limits.clone(),
            closed.clone(),
        )?),
        None => None,
    };
    let door = Door {
        listener,
        tls: acceptor,
        router: router(&app),
        limits,
        closing: closed,
        room: Arc::clone(&room),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(%address, scheme, "listening");
    let keeper = Arc::clone(&app);
    Ok(Server {
        address,
        scheme,
        closing,
        room,
        connections_max,
        accepting: tasks::start(Task::Accept, door.accept()),
        local: local.map(|door| tasks::start(Task::Accept, door.accept())),
        upkeep: tasks::start(Task::Upkeep, async move { keeper.metrics.keep().await }),
        app,
    })
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }
    /// The same as clients write it: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
    /// The admin token. Without a data directory it lives only here.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.app.tokens.admin()
    }
    /// Takes no more connections, ends streams, and lets the requests in hand be answered.
    ///
    /// Bounds: what is not answered within `grace` is cut off when the runtime ends.
    pub async fn shutdown(self, grace: Duration) {
        self.closing.send_replace(true);
        self.upkeep.abort();
        // It ends at once; that it did is all there is to know.
        let _ = self.accepting.await;
        let all = self.room.acquire_many(self.connections_max);
        let ended = async {
            let _ = all.await;
            if let Some(local) = self.local {
                let _ = local.await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!("connections are cut off: the grace is over");
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}
