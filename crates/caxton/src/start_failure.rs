//! Why a node, an engine or a store did not open: the remedy follows the cause, not the place where
//! the cause was met.

use caxton_engine::{CacheError, CompileError, EngineError};
use caxton_node::StartError;
use caxton_server::ServeError;
use caxton_store::{BlobError, OpenError};

use crate::failure::{Exit, Failure, io_remedy};

/// A node's refusal to start.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Data { source, .. } => store_failure(source),
        StartError::Engine(error) => engine_failure(error),
        StartError::Egress(_) => Failure::new(
            Exit::Failed,
            error.to_string(),
            "mend `[egress]` in node.toml; `caxton config show` says where each setting comes from",
        ),
        StartError::Vault(error) => Failure::of(error.code(), error.to_string()),
        _ => Failure::new(
            Exit::Failed,
            error.to_string(),
            "free threads or memory on this machine",
        ),
    }
}

/// A server's refusal to start.
pub(crate) fn serve_failure(error: &ServeError) -> Failure {
    let help = match error {
        ServeError::PlainPublic { .. } => {
            "see `caxton up --help` for --tls-cert and --tls-key, and `caxton config show` for http.public_without_tls"
        }
        ServeError::Socket { source, .. } => io_remedy(source),
        ServeError::Bind { .. } => "name another address with --listen, or stop the other program",
        ServeError::Tls { .. } => {
            "name a certificate and its key, both PEM, that this user can read"
        }
        _ => "check that the file belongs to this user, and its content",
    };
    Failure::new(Exit::Failed, error.to_string(), help)
}

/// An engine's refusal to start.
pub(crate) fn engine_failure(error: &EngineError) -> Failure {
    let what = error.to_string();
    match error {
        EngineError::Cache(CacheError::Directory { reason, .. }) => {
            Failure::new(Exit::Failed, what, io_remedy(reason))
        }
        EngineError::AddressSpace => Failure::new(
            Exit::Failed,
            what,
            "start it with `ulimit -v unlimited`: it reserves addresses of 70 GiB and more, and \
             takes memory only for what guests use",
        ),
        EngineError::Thread(_) => {
            Failure::new(Exit::Failed, what, "free threads or memory on this machine")
        }
        _ => Failure::of(error.code(), what),
    }
}

/// A module that was not compiled.
pub(crate) fn compile_failure(error: &CompileError) -> Failure {
    match error {
        CompileError::Engine(error) => engine_failure(error),
        _ => Failure::of(error.code(), error.to_string()),
    }
}

/// A store's refusal to open.
pub(crate) fn store_failure(error: &OpenError) -> Failure {
    let what = error.to_string();
    match error {
        OpenError::Io { source, .. } | OpenError::Blobs(BlobError::Io { source, .. }) => {
            Failure::new(Exit::Failed, what, io_remedy(source))
        }
        OpenError::Foreign { .. } => Failure::usage(
            what,
            "name another directory with --data, or take other users' rights away: chmod 700 DIR",
        ),
        OpenError::Version { .. } => Failure::new(
            Exit::Failed,
            what,
            "use the program that wrote it, or a newer one",
        ),
        _ => Failure::of(error.code(), what),
    }
}
