//! Proxies: which one a request goes through, and tunnels through it.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use caxton_gate::HttpUrl;
use http::HeaderValue;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use crate::{OptionsError, Proxies, target::Origin};

/// Bytes of a proxy's answer to `CONNECT`.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// One proxy.
pub(crate) struct Proxy {
    pub(crate) origin: Origin,
    /// `Proxy-Authorization`.
    pub(crate) credentials: Option<HeaderValue>,
}

/// The proxies of a node, read.
pub(crate) struct Routes {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Direct>,
    pub(crate) proxy_resolves_names: bool,
}

/// Hosts that are connected to directly.
enum Direct {
    All,
    /// A name and all names below it.
    Name(String),
    /// The addresses whose first bits are these.
    Range(IpAddr, u8),
}

impl Routes {
    /// Reads the settings.
    ///
    /// Errors: [`OptionsError::Proxy`], [`OptionsError::NoProxy`].
    pub(crate) fn new(proxies: &Proxies) -> Result<Self, OptionsError> {
        let read = |scheme, proxy: &Option<String>| {
            proxy
                .as_deref()
                .map(|url| proxy_of(scheme, url))
                .transpose()
        };
        let direct = proxies.no_proxy.iter().map(|entry| direct_of(entry));
        Ok(Self {
            http: read("http", &proxies.http)?,
            https: read("https", &proxies.https)?,
            direct: direct.collect::<Result<_, _>>()?,
            proxy_resolves_names: proxies.resolve_names,
        })
    }

    /// The proxy that requests to this origin go through.
    pub(crate) fn proxy(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = if origin.is_secure() {
            &self.https
        } else {
            &self.http
        };
        let is_direct = self.direct.iter().any(|direct| direct.takes(origin));
        proxy.as_ref().filter(|_| !is_direct)
    }
}

impl Direct {
    fn takes(&self, origin: &Origin) -> bool {
        match (self, origin.literal()) {
            (Self::All, _) => true,
            (Self::Name(name), None) => origin
                .host()
                .strip_suffix(name.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.')),
            (Self::Range(network, bits), Some(address)) => shares_bits(*network, address, *bits),
            (Self::Name(_), Some(_)) | (Self::Range(..), None) => false,
        }
    }
}

fn shares_bits(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        _ => false,
    }
}

fn proxy_of(scheme: &'static str, text: &str) -> Result<Proxy, OptionsError> {
    let refused = |reason: &str| OptionsError::Proxy {
        scheme,
        reason: reason.to_owned(),
    };
    let mut url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
    if url.scheme() != "http" {
        return Err(refused("its scheme is not `http`"));
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let user = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    let is_named = !user.is_empty() || !password.is_empty();
    let credentials = is_named.then(|| {
        let basic = STANDARD.encode([&*user, b":", &*password].concat());
        HeaderValue::try_from(format!("Basic {basic}"))
    });
    let credentials = credentials.transpose();
    let credentials = credentials.map_err(|_| refused("its user name or password is too long"))?;
    if url.set_username("").and(url.set_password(None)).is_err() {
        return Err(refused("it names no host"));
    }
    let url = HttpUrl::parse(url.as_str()).map_err(|problem| refused(&format!("it {problem}")))?;
    Ok(Proxy {
        origin: Origin::new(&url),
        credentials,
    })
}

fn direct_of(entry: &str) -> Result<Direct, OptionsError> {
    let entry = entry.trim().to_ascii_lowercase();
    if entry == "*" {
        return Ok(Direct::All);
    }
    if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(Direct::Range(
            address,
            if address.is_ipv4() { 32 } else { 128 },
        ));
    }
    if let Some((network, bits)) = entry.split_once('/')
        && let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u8>())
        && bits <= if network.is_ipv4() { 32 } else { 128 }
    {
        return Ok(Direct::Range(network, bits));
    }
    let name = entry.trim_start_matches("*.").trim_start_matches('.');
    let is_name = !name.contains(['/', '?', '#', ':', '[']);
    let url = HttpUrl::parse(&format!("http://{name}/"));
    let origin = url.ok().map(|url| Origin::new(&url));
    match origin.filter(|origin| is_name && origin.literal().is_none()) {
        Some(origin) => Ok(Direct::Name(origin.host().to_owned())),
        None => Err(OptionsError::NoProxy { entry }),
    }
}

/// Asks a proxy for a tunnel to `HOST:PORT`.
///
/// Errors: the reason, without anything of the credentials.
/// Source: RFC 9110, section 9.3.6.
pub(crate) async fn tunnel(
    proxy: &Proxy,
    stream: &mut TcpStream,
    authority: &str,
) -> Result<(), String> {
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(credentials) = &proxy.credentials {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(credentials.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let broken = |error: std::io::Error| error.to_string();
    stream.write_all(&head).await.map_err(broken)?;
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(b"\r\n\r\n") {
        // Byte by byte, since what follows the head belongs to the tunnel. It is a few hundred.
        let byte = stream.read_u8().await.map_err(broken)?;
        answer.push(byte);
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    let line = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let status = std::str::from_utf8(line)
        .ok()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(format!("it answered with status {status}")),
        None => Err("its answer is not HTTP".to_owned()),
    }
}
