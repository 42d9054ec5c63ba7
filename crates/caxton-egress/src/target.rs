//! Where a request goes: a URL, parsed once, from which everything else is read.

use std::{fmt, net::IpAddr};

use url::{Host, Position, Url};

use crate::HttpFailure;

/// Bytes of a URL; longer ones are refused by most servers.
const URL_BYTES_MAX: usize = 8 * 1024;

/// Scheme, host and port: what a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
    /// The address, where the host is one and no name.
    literal: Option<IpAddr>,
}

impl Origin {
    /// True for `https`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }
    /// The host: a name in lower-case ASCII, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
    /// The port, also where the URL leaves it out.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
    /// The address, where the host is one.
    #[must_use]
    pub const fn literal(&self) -> Option<IpAddr> {
        self.literal
    }
    /// `HOST:PORT`, as it stands in a request to a proxy.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

/// A URL that can be asked: `http` or `https`, a host, no user name, no fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    origin: Origin,
}

impl Target {
    /// Reads an absolute URL.
    ///
    /// Errors: [`HttpFailure::BadUrl`], [`HttpFailure::UnsupportedScheme`],
    /// [`HttpFailure::MisplacedSecret`].
    pub fn parse(text: &str) -> Result<Self, HttpFailure> {
        check_text(text)?;
        Self::of(Url::parse(text).map_err(bad_url)?)
    }

    /// Reads the `Location` of a response to this one.
    ///
    /// Errors: as [`Self::parse`].
    pub(crate) fn join(&self, location: &str) -> Result<Self, HttpFailure> {
        check_text(location)?;
        Self::of(self.url.join(location).map_err(bad_url)?)
    }

    fn of(mut url: Url) -> Result<Self, HttpFailure> {
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            other => {
                let scheme = shortened(other);
                return Err(HttpFailure::UnsupportedScheme { scheme });
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad_url("it contains a user name or password"));
        }
        url.set_fragment(None);
        // A name with the root's dot is the same name: patterns and certificates know the other.
        if let Some(name) = url.domain().and_then(|name| name.strip_suffix('.')) {
            let name = name.to_owned();
            url.set_host(Some(&name)).map_err(bad_url)?;
        }
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(bad_url(format!("it is over {URL_BYTES_MAX} bytes")));
        }
        let (host, literal) = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() && !name.ends_with('.') => {
                (name.to_owned(), None)
            }
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => {
                let address = IpAddr::V6(address);
                (address.to_string(), Some(address.to_canonical()))
            }
            _ => return Err(bad_url("it names no host")),
        };
        let port = url.port_or_known_default().unwrap_or_default();
        if port == 0 {
            return Err(bad_url("port 0 can't be connected to"));
        }
        let origin = Origin {
            secure,
            host,
            port,
            literal,
        };
        Ok(Self { url, origin })
    }

    /// Scheme, host and port.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }
    /// The URL in its canonical form: what is checked is what is asked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
    /// The path in its canonical form, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }
    /// The value of `Host`: the port stands in it only where the URL names it.
    pub(crate) fn host_header(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }
    /// Path and query, as they stand in a request to the server itself.
    pub(crate) fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}

/// Names the origin alone: a path or query may be confidential.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.origin)
    }
}

/// Refuses what URL parsers repair in silence, so that nobody reads the text in another way.
fn check_text(text: &str) -> Result<(), HttpFailure> {
    if crate::secret::is_in_url(text) {
        return Err(HttpFailure::MisplacedSecret { place: "URL" });
    }
    if text.len() > URL_BYTES_MAX {
        return Err(bad_url(format!("it is over {URL_BYTES_MAX} bytes")));
    }
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(bad_url(
            "it contains a space, control character or backslash",
        ));
    }
    Ok(())
}

fn bad_url(reason: impl ToString) -> HttpFailure {
    let reason = reason.to_string();
    HttpFailure::BadUrl { reason }
}

/// The beginning of what a guest wrote, for an error's text.
pub(crate) fn shortened(text: &str) -> String {
    text.chars()
        .take(64)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
