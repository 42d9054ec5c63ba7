//! Why a request was not answered.

use std::time::Duration;

use caxton_model::{ErrorCode, HostCode, LimitName};

/// A request that failed. The text names the host or the limit, and what to do; it holds nothing of
/// bodies, header values or secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// The URL is not one that can be asked.
    #[error("the URL can't be asked for: {reason}; give an absolute `https://` or `http://` URL")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The method is none, or one that guests may not use.
    #[error(
        "the method `{method}` can't be used; use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or another registered one"
    )]
    BadMethod {
        /// The method, shortened.
        method: String,
    },
    /// A header can't be sent.
    #[error("the header `{name}` can't be sent: {reason}; remove or correct it")]
    BadHeader {
        /// The header's name, shortened.
        name: String,
        /// Which rule it broke.
        reason: String,
    },
    /// A placeholder for a secret stands where no secret may.
    #[error(
        "a secret's placeholder is in the {place}; only a header value may contain `{{{{secret:NAME}}}}`, spelled exactly so"
    )]
    MisplacedSecret {
        /// The part of the request.
        place: &'static str,
    },
    /// The URL's scheme is neither `http` nor `https`.
    #[error(
        "the scheme `{scheme}` is not available to guests, after redirects as well; use `https` or `http`"
    )]
    UnsupportedScheme {
        /// The scheme.
        scheme: String,
    },
    /// The gate refused method and URL.
    #[error("{reason}")]
    RequestDenied {
        /// The gate's reason, which names the remedy.
        reason: String,
    },
    /// The gate refused each address of the host.
    #[error("no address of {host} may be connected to: {reason}")]
    AddressDenied {
        /// The host and port.
        host: String,
        /// The gate's reason for the first of them, which names the remedy.
        reason: String,
    },
    /// The gate refused to put a secret into a header, or the secret can't be had.
    #[error("the secret `{name}` was not sent: {reason}")]
    SecretDenied {
        /// The secret's name.
        name: String,
        /// The reason, which names the remedy.
        reason: String,
    },
    /// The request's body is over the limit.
    #[error(
        "the request's body has {size} bytes, over `http_body_bytes` = {}; send less, or raise the limit in [limits]",
        LimitName::HttpBodyBytes.show(*.limit)
    )]
    RequestBodyTooLarge {
        /// The body's bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The request's headers are over the limit.
    #[error("the request's headers are over {limit}; send fewer or shorter ones")]
    RequestHeadersTooLarge {
        /// The limit with its unit.
        limit: String,
    },
    /// The response's body is over the limit.
    #[error(
        "the response of {host} is over `http_body_bytes` = {}; ask for less, or raise the limit in [limits]",
        LimitName::HttpBodyBytes.show(*.limit)
    )]
    ResponseBodyTooLarge {
        /// The host and port.
        host: String,
        /// The limit.
        limit: u64,
    },
    /// The response's head is over the limit.
    #[error(
        "the headers of the response of {host} are over {limit} bytes or over 100 headers; ask its operator to send fewer"
    )]
    ResponseHeadersTooLarge {
        /// The host and port.
        host: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The guest sent as many requests, or moved as many bytes, as it may in a minute.
    #[error("over `{name}` = {}: {}", .name.show(*.limit), when(*.wait))]
    Rate {
        /// Which limit.
        name: LimitName,
        /// The limit.
        limit: u64,
        /// The time until the same is within the limit; `None`: it never is.
        wait: Option<Duration>,
    },
    /// The node holds as much for requests of all guests as it may.
    #[error("the node's limit of {limit} for outgoing requests is reached; try again later")]
    Busy {
        /// The limit with its unit.
        limit: String,
    },
    /// The host has no address, or the name server did not say.
    #[error(
        "the name `{host}` could not be resolved: {reason}; check the name, or the node's name server"
    )]
    NameLookupFailed {
        /// The host's name.
        host: String,
        /// The resolver's reason.
        reason: String,
    },
    /// No connection was made.
    #[error("no connection to {host}: {reason}; check that the server listens there")]
    ConnectFailed {
        /// The host and port.
        host: String,
        /// The system's reason.
        reason: String,
    },
    /// TLS was not agreed on, or the certificate is not trusted.
    #[error(
        "TLS with {host} failed: {reason}; if its certificate is from a private authority, add that to the node's trusted ones"
    )]
    TlsFailed {
        /// The host and port.
        host: String,
        /// The reason.
        reason: String,
    },
    /// The operator's proxy did not connect.
    #[error(
        "the proxy did not connect to {host}: {reason}; the operator has to look at the node's proxy settings"
    )]
    ProxyFailed {
        /// The host and port asked for.
        host: String,
        /// The reason.
        reason: String,
    },
    /// Resolving, connecting and TLS took longer than they may.
    #[error("no connection to {host} within {limit:?}; check that the server can be reached")]
    ConnectTimeout {
        /// The host and port.
        host: String,
        /// The limit.
        limit: Duration,
    },
    /// The whole request took longer than it may.
    #[error("no whole response of {host} within {limit:?}; allow more time, or ask for less")]
    Timeout {
        /// The host and port of the URL in the call.
        host: String,
        /// The limit.
        limit: Duration,
    },
    /// The body arrived too slowly.
    #[error("the response of {host} arrives at less than {limit} bytes a second; try again later")]
    TooSlow {
        /// The host and port.
        host: String,
        /// Bytes a second.
        limit: u64,
    },
    /// What came is no HTTP response, or one that can be read in two ways.
    #[error("the response of {host} is not valid HTTP: {reason}; its operator has to mend it")]
    BadResponse {
        /// The host and port.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The response to a request with a secret is encoded.
    #[error(
        "{host} answered a request that carries a secret with an encoded body, in which the secret can't be found if it was sent back; have its operator answer `Accept-Encoding: identity` without an encoding"
    )]
    UnreadableBody {
        /// The host and port.
        host: String,
    },
    /// The connection ended before the response did.
    #[error(
        "{host} closed the connection before its response was complete: {reason}; try again if the request may be repeated"
    )]
    ConnectionClosed {
        /// The host and port.
        host: String,
        /// The reason.
        reason: String,
    },
    /// One redirect led to the next too often.
    #[error("more than {limit} redirects, the next to {host}; ask for the final URL")]
    TooManyRedirects {
        /// The host and port that the next would lead to.
        host: String,
        /// The limit.
        limit: usize,
    },
}

impl HttpFailure {
    /// The stable word for this failure.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } => "bad-url",
            Self::BadMethod { .. } => "bad-method",
            Self::BadHeader { .. } => "bad-header",
            Self::MisplacedSecret { .. } => "misplaced-secret",
            Self::UnsupportedScheme { .. } => "unsupported-scheme",
            Self::RequestDenied { .. } => "request-denied",
            Self::AddressDenied { .. } => "address-denied",
            Self::SecretDenied { .. } => "secret-denied",
            Self::RequestBodyTooLarge { .. } | Self::ResponseBodyTooLarge { .. } => {
                ErrorCode::HttpBodyTooLarge.as_str()
            }
            Self::RequestHeadersTooLarge { .. } => "request-headers-too-large",
            Self::ResponseHeadersTooLarge { .. } => "response-headers-too-large",
            Self::Rate { name, .. } => name.code().as_str(),
            Self::Busy { .. } => "egress-busy",
            Self::NameLookupFailed { .. } => "name-lookup-failed",
            Self::ConnectFailed { .. } => "connect-failed",
            Self::TlsFailed { .. } => "tls-failed",
            Self::ProxyFailed { .. } => "proxy-failed",
            Self::ConnectTimeout { .. } => "connect-timeout",
            Self::Timeout { .. } => "http-timeout",
            Self::TooSlow { .. } => "response-too-slow",
            Self::BadResponse { .. } => "bad-response",
            Self::UnreadableBody { .. } => "unreadable-body",
            Self::ConnectionClosed { .. } => "connection-closed",
            Self::TooManyRedirects { .. } => "too-many-redirects",
        }
    }

    /// The limit of the guest that refused the request or ended it.
    #[must_use]
    pub const fn limit(&self) -> Option<LimitName> {
        match self {
            Self::Rate { name, .. } => Some(*name),
            Self::RequestBodyTooLarge { .. } | Self::ResponseBodyTooLarge { .. } => {
                Some(LimitName::HttpBodyBytes)
            }
            _ => None,
        }
    }

    /// The number that the guest gets.
    #[must_use]
    pub const fn code(&self) -> HostCode {
        match self {
            Self::BadUrl { .. }
            | Self::BadMethod { .. }
            | Self::BadHeader { .. }
            | Self::MisplacedSecret { .. } => HostCode::Malformed,
            Self::UnsupportedScheme { .. }
            | Self::RequestDenied { .. }
            | Self::AddressDenied { .. }
            | Self::SecretDenied { .. } => HostCode::Denied,
            Self::RequestBodyTooLarge { .. }
            | Self::RequestHeadersTooLarge { .. }
            | Self::ResponseBodyTooLarge { .. }
            | Self::ResponseHeadersTooLarge { .. } => HostCode::TooLarge,
            Self::Rate { .. } => HostCode::RateLimited,
            Self::Busy { .. } => HostCode::QuotaReached,
            Self::NameLookupFailed { .. }
            | Self::ConnectFailed { .. }
            | Self::TlsFailed { .. }
            | Self::ProxyFailed { .. }
            | Self::ConnectTimeout { .. }
            | Self::Timeout { .. }
            | Self::TooSlow { .. }
            | Self::BadResponse { .. }
            | Self::UnreadableBody { .. }
            | Self::ConnectionClosed { .. }
            | Self::TooManyRedirects { .. } => HostCode::Unavailable,
        }
    }
}

/// What to do about a rate.
fn when(wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => {
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            format!("try again in {seconds} s, or raise the limit in [limits]")
        }
        None => {
            "this alone is more than a minute may have; send less, or raise the limit in [limits]"
                .to_owned()
        }
    }
}
