//! A node with its server, from the first look at its directory to the last byte on the disk.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use caxton_client::{CaxtonClient, api::ADDRESS_FILE};
use caxton_node::{EgressOptions, Node, NodeOptions, Proxies};
use caxton_server::{Server, ServerLimits, ServerOptions, TlsFiles};
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::{EgressConfig, NodeConfig},
    directories,
    failure::{Exit, Failure},
    start_failure::{serve_failure, start_failure},
};

/// A node that runs and answers.
pub(crate) struct Serving {
    node: Node,
    server: Server,
    _address: AddressFile,
    url: String,
}

/// The file that says where a node listens, as long as it does.
struct AddressFile(PathBuf);

impl Drop for AddressFile {
    fn drop(&mut self) {
        // The next reader finds no address of a node that is gone.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Serving {
    /// Starts both. Recovers what the directory holds.
    pub(crate) async fn start(config: &NodeConfig) -> Result<Self, Failure> {
        keep_private();
        open_many_files();
        let options = NodeOptions {
            policy: match &config.policy {
                Some(file) => crate::commands::read_policy(file)?,
                None => Default::default(),
            },
            ..node_options(config)?
        };
        let node = Node::start(options)
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
        let address = AddressFile(config.data.join(ADDRESS_FILE));
        std::fs::write(&address.0, format!("{url}\n"))
            .map_err(|error| Failure::file(&address.0, &error))?;
        Ok(Self {
            node,
            server,
            _address: address,
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

fn node_options(config: &NodeConfig) -> Result<NodeOptions, Failure> {
    Ok(NodeOptions {
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
        data_bytes_max: config.budgets.data_bytes.0,
        cache_bytes_max: config.engine.cache_bytes_max.0,
        perf_map: config.engine.perf_map,
        directories: directories::open("[directories]", &config.directories)?.into(),
        environment: config.environment.clone().into(),
        audit_sync: config.audit_sync,
        egress: egress_options(&config.egress)?,
        vault_key: config.vault_key.clone(),
        ..NodeOptions::default()
    })
}

fn egress_options(config: &EgressConfig) -> Result<EgressOptions, Failure> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| Failure::file(path, &error));
    let authorities = config.authorities.as_ref().map(read).transpose()?;
    Ok(EgressOptions {
        authorities: authorities.into_iter().collect(),
        system_authorities: config.system_authorities,
        proxies: Proxies {
            http: config.http_proxy.clone(),
            https: config.https_proxy.clone(),
            no_proxy: config.no_proxy.clone(),
            resolve_names: config.proxy_resolves_names,
        },
        ..EgressOptions::default()
    })
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

/// Waits for Ctrl-C, SIGTERM or SIGHUP, heard from now on; gives the signal's name.
///
/// A second one ends the process at once, because whoever presses twice means it; all that is left
/// to do then is to take away the address of the node that runs here in `data`.
pub(crate) fn stop_signal(
    data: Option<&Path>,
) -> Result<impl Future<Output = &'static str>, Failure> {
    let address = data.map(|data| data.join(ADDRESS_FILE));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // `nohup` ignores it for the program, which must stay so.
    let mut hang_up = match is_ignored(rustix::process::Signal::HUP) {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    Ok(async move {
        let hung_up = async {
            match &mut hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
            _ = hung_up => "SIGHUP",
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
            drop(address.map(AddressFile));
            std::process::exit(130);
        });
        reason
    })
}

/// Whether the process began with this signal ignored, as the system tells.
fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}
