//! Names to addresses.

use std::{
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
};

use tokio::sync::Semaphore;

/// Look-ups of the system's resolver that run at once. Each takes a thread until the name server
/// answers, also when nobody waits for it any more.
const LOOKUPS_MAX: usize = 32;

/// The future of [`Resolve::resolve`].
pub type Resolved = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves a host's name. Tests bring their own; nodes use the system's.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, with `port`. Names that are addresses are not asked for.
    fn resolve(&self, host: &str, port: u16) -> Resolved;
}

/// The system's resolver, on threads that may wait.
#[derive(Debug)]
pub(crate) struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl SystemResolver {
    pub(crate) fn new() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolved {
        let lookups = Arc::clone(&self.lookups);
        let host = host.to_owned();
        Box::pin(async move {
            let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
            let lookup = move || {
                let found = (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
                drop(permit);
                found
            };
            tokio::task::spawn_blocking(lookup)
                .await
                .map_err(io::Error::other)?
        })
    }
}
