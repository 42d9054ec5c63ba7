//! Opening and closing the door.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use caxton_node::Node;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    ServeError, ServerLimits, ServerOptions,
    app::{App, router},
    audit::Refusals,
    auth::Tokens,
    body_room::BodyRoom,
    connection::Door,
    connections::Connections,
    descriptors,
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
    pub(crate) app: Arc<App>,
    closing: watch::Sender<bool>,
    connections: Connections,
    accepting: JoinHandle<()>,
    local: Option<JoinHandle<()>>,
    upkeep: JoinHandle<()>,
}

/// Whether others than this machine can reach a server at this address.
///
/// An IPv4 address that is written as IPv6 (`[::ffff:127.0.0.1]`) is judged as the IPv4 address.
#[must_use]
pub fn is_public(listen: SocketAddr) -> bool {
    !listen.ip().to_canonical().is_loopback()
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
    if tls.is_none() && !allow_plain_public && is_public(listen) {
        return Err(ServeError::PlainPublic { listen });
    }
    let acceptor = tls.as_ref().map(tls::acceptor).transpose()?;
    let tokens = Tokens::open(node.options().data.clone(), limits.tokens_max)?;
    let bind = |source| ServeError::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let (closing, closed) = watch::channel(false);
    let connections = Connections::new(connections_max(&limits, &listener));
    let app = Arc::new(App {
        node,
        tokens,
        refusals: Refusals::default(),
        idempotency: Idempotency::default(),
        bodies: BodyRoom::new(limits.bodies_bytes_max),
        metrics: Metrics::install(),
        streams: Arc::new(Semaphore::new(limits.streams_max)),
        boot: format!("{:08x}", rand::random::<u32>()),
        closing: closed.clone(),
        limits: limits.clone(),
    });
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
        connections: connections.clone(),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(%address, scheme, "listening");
    let keeper = Arc::clone(&app);
    Ok(Server {
        address,
        scheme,
        closing,
        connections,
        accepting: tasks::start(Task::Accept, door.accept()),
        local: local.map(|door| tasks::start(Task::Accept, door.accept())),
        upkeep: tasks::start(Task::Upkeep, async move { keeper.metrics.keep().await }),
        app,
    })
}

/// As many connections as are allowed, and as the process has file descriptors for.
fn connections_max(limits: &ServerLimits, listener: &TcpListener) -> usize {
    let room = descriptors::room_behind(listener);
    if room < limits.connections_max {
        tracing::warn!(
            wanted = limits.connections_max,
            taken = room,
            "fewer connections are taken than `connections_max` says, because this process may \
             open too few files; raise its limit (`ulimit -n`)"
        );
    }
    room.min(limits.connections_max)
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
        let ended = async {
            self.connections.all_ended().await;
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
