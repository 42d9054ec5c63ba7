//! A node with its server, from the first look at its directory to the last byte on the disk.

use std::{future::Future, path::PathBuf, time::Duration};

use caxton_client::{CaxtonClient, api::ADDRESS_FILE};
use caxton_node::{Node, NodeOptions};
use caxton_server::{Server, ServerLimits, ServerOptions, TlsFiles};
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

use crate::{
    config::NodeConfig,
    failure::{Exit, Failure},
    start_failure::{serve_failure, start_failure},
};

/// A node that runs and answers.
pub(crate) struct Serving {
    node: Node,
    server: Server,
    data: PathBuf,
    url: String,
}

impl Serving {
    /// Starts both. Recovers what the directory holds.
    pub(crate) async fn start(config: &NodeConfig) -> Result<Self, Failure> {
        keep_private();
        open_many_files();
        let node = Node::start(node_options(config))
            .await
            .map_err(|error| start_failure(&error))?;
        // What a node that was killed has left is another program's address by now.
        let address = config.data.join(ADDRESS_FILE);
        match std::fs::remove_file(&address) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::file(&address, &error));
            }
            _ => {}
        }
        let server = match caxton_server::serve(node.clone(), server_options(config)).await {
            Ok(server) => server,
            Err(error) => {
                node.shutdown(Duration::ZERO).await;
                return Err(serve_failure(&error));
            }
        };
        let url = server.url();
        std::fs::write(&address, format!("{url}\n"))
            .map_err(|error| Failure::file(&address, &error))?;
        Ok(Self {
            node,
            server,
            data: config.data.clone(),
            url,
        })
    }
    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
    /// A client with the operator's token.
    pub(crate) fn client(&self) -> Result<CaxtonClient, Failure> {
        Ok(CaxtonClient::with_token(
            &self.url,
            self.server.admin_token(),
        )?)
    }
    /// Takes no more requests, lets those that run end, then the node.
    pub(crate) async fn stop(self, grace: Duration) {
        self.server.shutdown(grace).await;
        self.node.shutdown(grace).await;
        // The next reader finds no address of a node that is gone.
        let _ = std::fs::remove_file(self.data.join(ADDRESS_FILE));
    }
}

/// Files that this process creates are for its user alone, whatever libraries ask for.
pub(crate) fn keep_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// As many files as the system lets this process have: each connection is one, and each module in use.
fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn node_options(config: &NodeConfig) -> NodeOptions {
    NodeOptions {
        data: Some(config.data.clone()),
        shards: config.shards,
        engine: config.engine.kind,
        compile_worker: if config.engine.compile_worker {
            compile_worker()
        } else {
            None
        },
        ceilings: config.ceilings.clone(),
        agents_max: config.budgets.agents,
        memory_bytes_max: config.budgets.memory.map(|size| size.0),
        disk_bytes_max: config.budgets.disk.0,
        cache_bytes_max: config.engine.cache_bytes_max.0,
        perf_map: config.engine.perf_map,
        ..NodeOptions::default()
    }
}

fn server_options(config: &NodeConfig) -> ServerOptions {
    ServerOptions {
        listen: config.http.listen,
        tls: config.tls.as_ref().map(|tls| TlsFiles {
            certificate: tls.cert.clone(),
            key: tls.key.clone(),
        }),
        allow_plain_public: config.http.public_without_tls,
        limits: ServerLimits {
            connections_max: config.http.connections_max,
            streams_max: config.http.streams_max,
            module_bytes_max: usize::try_from(config.http.module_bytes_max.0).unwrap_or(usize::MAX),
            request_timeout: config.http.request_timeout.duration(),
            ..ServerLimits::default()
        },
    }
}

/// This program, which is its own compile worker.
pub(crate) fn compile_worker() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// The node's I/O side.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("no runtime: {error}"),
                "free threads or memory",
            )
        })
}

/// Waits for Ctrl-C or SIGTERM, heard from now on; gives the signal's name.
///
/// A second one ends the process at once: whoever presses twice means it.
pub(crate) fn stop_signal() -> Result<impl Future<Output = &'static str>, Failure> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        let reason = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
        };
        #[allow(
            clippy::disallowed_methods,
            reason = "ends with the process; nothing waits for it"
        )]
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(130);
        });
        reason
    })
}
