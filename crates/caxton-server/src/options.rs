//! What a server is told when it starts, and why it may not start.

use std::{net::SocketAddr, path::PathBuf};

use crate::ServerLimits;

/// How a server runs.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where it listens; port 0 takes a free one. Default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Certificate and key; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Whether it may speak plain HTTP on an address that others can reach, because something in
    /// front of it does the encryption. Default: no.
    pub allow_plain_public: bool,
    /// What clients may take of it.
    pub limits: ServerLimits,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            allow_plain_public: false,
            limits: ServerLimits::default(),
        }
    }
}

/// Where certificate and key are, both in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Others could read everything.
    #[error(
        "{listen} can be reached from outside and would speak plain HTTP; \
         give a certificate and a key, listen on 127.0.0.1, or allow it because a proxy encrypts"
    )]
    PlainPublic {
        /// The address asked for.
        listen: SocketAddr,
    },
    /// The address can't be had.
    #[error("listening on {listen}: {source}; is another program there already?")]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Certificate or key can't be used.
    #[error("{}: {reason}", .path.display())]
    Tls {
        /// Which file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// The socket in the data directory can't be made.
    #[error("the socket {}: {source}", .path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The tokens can't be read or written.
    #[error("{}: {reason}", .path.display())]
    Tokens {
        /// Which file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
}
