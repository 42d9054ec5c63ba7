//! How a node's broker is set up.

use std::{fmt, sync::Arc, time::Duration};

use crate::Resolve;

/// The settings of an [`crate::Egress`]. They are the operator's; a guest's limits come with each
/// call.
#[derive(Clone)]
pub struct EgressOptions {
    /// PEM files of certificate authorities that are trusted beside the system's.
    pub authorities: Vec<Vec<u8>>,
    /// Whether the system's certificate authorities are trusted.
    pub system_authorities: bool,
    /// The proxies that requests go through.
    pub proxies: Proxies,
    /// Requests of all guests that are on their way at once. Further ones wait, within their time.
    pub in_flight_max: usize,
    /// Bytes of response bodies of all guests that are held before they are handed over.
    pub buffered_bytes_max: u64,
    /// Idle connections that are kept, in all.
    pub idle_max: usize,
    /// Idle connections that are kept to one origin.
    pub idle_per_origin_max: usize,
    /// How long an idle connection is kept.
    pub idle_time: Duration,
    /// Time for resolving, connecting and TLS together.
    pub connect_time: Duration,
    /// Bytes a second that a response's body must arrive with, on average.
    pub body_rate_min: u64,
    /// Time before that rate must be kept.
    pub body_rate_grace: Duration,
    /// Bytes of a response's head: the ceiling for every guest's `http_field_bytes`.
    pub field_bytes_max: usize,
    /// The resolver, instead of the system's.
    pub resolver: Option<Arc<dyn Resolve>>,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            authorities: Vec::new(),
            system_authorities: true,
            proxies: Proxies::default(),
            in_flight_max: 1024,
            buffered_bytes_max: 256 << 20,
            idle_max: 256,
            idle_per_origin_max: 64,
            idle_time: Duration::from_secs(60),
            connect_time: Duration::from_secs(10),
            body_rate_min: 1024,
            body_rate_grace: Duration::from_secs(10),
            field_bytes_max: 64 << 10,
            resolver: None,
        }
    }
}

impl fmt::Debug for EgressOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressOptions").finish_non_exhaustive()
    }
}

/// The proxies that requests go through: `http://[USER:PASSWORD@]HOST:PORT`.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<String>,
    /// For `https` URLs.
    pub https: Option<String>,
    /// Hosts that are connected to directly: a name with all names below it (`example.com`,
    /// `.example.com`), an address, a range of addresses (`10.0.0.0/8`), or `*`.
    pub no_proxy: Vec<String>,
    /// False (the default): the node resolves the host, checks the address, and asks the proxy for a
    /// tunnel to that address. True: the proxy is given the name, for networks where only the proxy
    /// can resolve names. Then no gate sees the address, and the proxy itself has to keep guests
    /// away from private ranges; addresses that stand in a URL are checked all the same.
    pub resolve_names: bool,
}

/// Settings that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// A certificate authority can't be read.
    #[error(
        "certificate authority {number} of the private ones can't be used: {reason}; give PEM files of certificates"
    )]
    Authority {
        /// Its place in the list, from 1.
        number: usize,
        /// The reason.
        reason: String,
    },
    /// A proxy can't be used.
    #[error("the proxy for `{scheme}` can't be used: {reason}; write `http://HOST:PORT`")]
    Proxy {
        /// The scheme of the URLs that it is for.
        scheme: &'static str,
        /// The reason.
        reason: String,
    },
    /// An exception from the proxies can't be read.
    #[error(
        "`{entry}` in no_proxy is not understood; write a host's name, an address, a range such as `10.0.0.0/8`, or `*`"
    )]
    NoProxy {
        /// The entry.
        entry: String,
    },
    /// TLS can't be set up.
    #[error("TLS can't be set up: {reason}")]
    Tls {
        /// The reason.
        reason: String,
    },
}
