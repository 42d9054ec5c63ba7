//! Where a request goes, read from the URL in the one form that the gate checks.

use std::{fmt, net::IpAddr};

use caxton_gate::{Host, HttpUrl};

/// Scheme, host and port: what a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    is_secure: bool,
    /// A name in lower-case ASCII, or an address without brackets.
    host: String,
    port: u16,
    /// The address, where the host is one and no name.
    literal: Option<IpAddr>,
}

impl Origin {
    pub(crate) fn new(url: &HttpUrl) -> Self {
        let (host, literal) = match url.host() {
            Host::Name(name) => (name.to_string(), None),
            Host::Address(address) => (address.to_string(), Some(*address)),
        };
        Self {
            is_secure: url.is_secure(),
            host,
            port: url.port(),
            literal,
        }
    }
    /// True for `https`.
    pub(crate) const fn is_secure(&self) -> bool {
        self.is_secure
    }
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
    pub(crate) const fn literal(&self) -> Option<IpAddr> {
        self.literal
    }
}

/// `HOST:PORT`, as it stands in a request to a proxy.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The value of `Host`, in which the port stands only where the URL names it, and the path with its
/// query.
pub(crate) fn host_and_path(url: &HttpUrl) -> (&str, &str) {
    let text = url.as_str();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    rest.split_at_checked(end).unwrap_or((rest, "/"))
}

/// The beginning of what a guest wrote, for an error's text.
pub(crate) fn shortened(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(64).map(shown).collect()
}
