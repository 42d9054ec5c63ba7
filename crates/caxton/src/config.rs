//! What a node is told at its start: read once, checked whole, typed from here on.

use std::{net::SocketAddr, path::PathBuf};

use caxton_model::{ByteSize, EngineKind, Limits, Micros};

pub(crate) mod drawing;
pub(crate) mod layers;
pub(crate) mod schema;
pub(crate) mod setting;

use layers::Layers;
use setting::{SettingKind, engine_kind};

/// A node's configuration.
#[derive(Debug, Clone)]
pub(crate) struct NodeConfig {
    pub(crate) data: PathBuf,
    pub(crate) shards: u16,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) audit_sync: bool,
    pub(crate) shutdown_grace: Micros,
    pub(crate) http: HttpConfig,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) egress: EgressConfig,
    pub(crate) vault_key: Option<PathBuf>,
    pub(crate) engine: EngineConfig,
    pub(crate) budgets: BudgetConfig,
    pub(crate) ceilings: Limits,
    /// `[directories]`: the names by which guests see them, and where they are.
    pub(crate) directories: Vec<(String, PathBuf)>,
    /// `[environment]`: the variables that guests may be granted.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) log: LogConfig,
}

/// `[http]`.
#[derive(Debug, Clone)]
pub(crate) struct HttpConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) public_without_tls: bool,
    pub(crate) module_bytes_max: ByteSize,
    pub(crate) connections_max: usize,
    pub(crate) streams_max: usize,
    pub(crate) request_timeout: Micros,
}

/// `[tls]`.
#[derive(Debug, Clone)]
pub(crate) struct TlsConfig {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// `[egress]`.
#[derive(Debug, Clone)]
pub(crate) struct EgressConfig {
    pub(crate) http_proxy: Option<String>,
    pub(crate) https_proxy: Option<String>,
    pub(crate) no_proxy: Vec<String>,
    pub(crate) proxy_resolves_names: bool,
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) system_authorities: bool,
}

/// `[engine]`.
#[derive(Debug, Clone)]
pub(crate) struct EngineConfig {
    pub(crate) kind: EngineKind,
    pub(crate) compile_worker: bool,
    pub(crate) cache_bytes_max: ByteSize,
    pub(crate) perf_map: bool,
}

/// `[budgets]`.
#[derive(Debug, Clone)]
pub(crate) struct BudgetConfig {
    pub(crate) agents: usize,
    pub(crate) memory: Option<ByteSize>,
    pub(crate) disk: ByteSize,
    pub(crate) data_bytes: ByteSize,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    pub(crate) filter: String,
    pub(crate) json: bool,
}

impl NodeConfig {
    /// Types what the layers say, for a node in this data directory.
    pub(crate) fn from_layers(layers: &Layers, data: PathBuf) -> Self {
        let text = |path: &str| layers.text(path);
        let said = |path: &str| Some(text(path).to_owned()).filter(|text| !text.is_empty());
        let count = |path: &str| text(path).replace('_', "").parse::<u64>().ok();
        let size = |path: &str| text(path).parse::<ByteSize>().unwrap_or_default();
        let time = |path: &str| text(path).parse::<Micros>().unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut ceilings = Limits::unlimited();
        for resolved in &layers.resolved {
            if let SettingKind::Limit(name) = resolved.setting.kind
                && let Some(Ok(value)) = resolved.value.to_str().map(|text| name.read(text))
            {
                ceilings.set(name, value);
            }
        }
        Self {
            data,
            shards: u16::try_from(count("shards").unwrap_or(cores as u64)).unwrap_or(1),
            policy: layers.path("policy"),
            audit_sync: text("audit") == "sync",
            shutdown_grace: time("shutdown_grace"),
            http: HttpConfig {
                listen: text("http.listen")
                    .parse()
                    .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 8080))),
                public_without_tls: text("http.public_without_tls") == "true",
                module_bytes_max: size("http.module_bytes_max"),
                connections_max: count_usize(count("http.connections_max")),
                streams_max: count_usize(count("http.streams_max")),
                request_timeout: time("http.request_timeout"),
            },
            tls: layers
                .path("tls.cert")
                .zip(layers.path("tls.key"))
                .map(|(cert, key)| TlsConfig { cert, key }),
            egress: EgressConfig {
                http_proxy: said("egress.http_proxy"),
                https_proxy: said("egress.https_proxy"),
                no_proxy: list(text("egress.no_proxy")),
                proxy_resolves_names: text("egress.proxy_resolves_names") == "true",
                authorities: layers.path("egress.authorities"),
                system_authorities: text("egress.system_authorities") == "true",
            },
            vault_key: layers.path("vault.key"),
            engine: EngineConfig {
                kind: engine_kind(text("engine.kind")),
                compile_worker: text("engine.compile_worker") == "true",
                cache_bytes_max: size("engine.cache_bytes_max"),
                perf_map: text("engine.perf_map") == "true",
            },
            budgets: BudgetConfig {
                agents: count_usize(count("budgets.agents")),
                memory: Some(size("budgets.memory")).filter(|size| size.0 > 0),
                disk: size("budgets.disk"),
                data_bytes: size("budgets.data_bytes"),
            },
            ceilings,
            directories: layers.directories(),
            environment: layers.variables(),
            log: LogConfig {
                filter: text("log.filter").to_owned(),
                json: text("log.format") == "json",
            },
        }
    }
}

/// What stands apart by commas.
fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn count_usize(count: Option<u64>) -> usize {
    count
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
