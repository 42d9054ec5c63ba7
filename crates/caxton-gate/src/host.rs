//! Hosts, ports and their patterns.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::address::{AddressClass, address_class};

/// The shortest range that is no wildcard in disguise: a network of class A.
const RANGE_BITS_MIN_V4: u8 = 8;
/// The same for IPv6: `fc00::/7`, all private ones.
const RANGE_BITS_MIN_V6: u8 = 7;

/// A host in its one form: a lower-case ASCII name (IDNA), or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name.
    Name(Box<str>),
    /// An address that was written instead of a name.
    Address(IpAddr),
}

impl Host {
    /// Reads a host as it stands in a URL (`example.com`, `192.0.2.1`, `[::1]`).
    ///
    /// Errors: in words, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('%') {
            return Err("a host has no `%`".to_owned());
        }
        match url::Host::parse(text).map_err(|error| error.to_string())? {
            url::Host::Ipv4(v4) => Ok(Self::Address(v4.into())),
            url::Host::Ipv6(v6) => Ok(Self::Address(v6.into())),
            url::Host::Domain(name) => Self::from_ascii(&name),
        }
    }
    /// A name that IDNA has already been applied to.
    pub(crate) fn from_ascii(name: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
            (1..=63).contains(&label.len()) && label.bytes().all(known)
        };
        if name.ends_with('.') {
            return Err("the host ends with a dot; leave it out".to_owned());
        }
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(
                "a host is made of labels of 1 to 63 letters, digits, `-` or `_`, 253 in all"
                    .to_owned(),
            );
        }
        Ok(Self::Name(name.into()))
    }
    pub(crate) fn borrowed(&self) -> HostRef<'_> {
        match self {
            Self::Name(name) => HostRef::Name(name),
            Self::Address(address) => HostRef::Address(*address),
        }
    }
}
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.borrowed().fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostRef<'a> {
    Name(&'a str),
    Address(IpAddr),
}
impl HostRef<'_> {
    /// Whether it is a name of the own machine.
    pub(crate) fn is_local_name(self) -> bool {
        matches!(self, Self::Name(name) if name == "localhost" || name.ends_with(".localhost"))
    }
}
impl fmt::Display for HostRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

/// A place in the network, as an access names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) host: HostRef<'a>,
    /// `None`: the access is about the name alone.
    pub(crate) port: Option<u16>,
    /// Whether the port is the scheme's own, so that a pattern need not name it.
    pub(crate) is_default_port: bool,
    /// The address that is about to be connected to.
    pub(crate) address: Option<IpAddr>,
}

impl Place<'_> {
    /// Why no wildcard reaches the place as it is named.
    pub(crate) fn guard(&self) -> Option<AddressClass> {
        match self.host {
            HostRef::Address(address) => guarded(address),
            name => name.is_local_name().then_some(AddressClass::Loopback),
        }
    }
    /// The place by its address, if the address is guarded and the name does not say so itself.
    pub(crate) fn by_address(&self) -> Option<Self> {
        let address = self.address?;
        let class = guarded(address)?;
        let said = self.host == HostRef::Address(address)
            || (self.host.is_local_name() && class == AddressClass::Loopback);
        (!said).then_some(Self {
            host: HostRef::Address(address),
            ..*self
        })
    }
}

fn guarded(address: IpAddr) -> Option<AddressClass> {
    Some(address_class(address)).filter(|class| *class != AddressClass::Public)
}

/// Which hosts a pattern takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum HostPattern {
    /// `*`: every host that is not guarded.
    Any,
    /// `*.example.com`: one or more labels before it; kept as `.example.com`.
    Under(Box<str>),
    /// One host.
    Exact(Host),
    /// `[10.0.0.0/8]`: an address of that range.
    Range(IpAddr, u8),
}

impl HostPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(range) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'))
            && range.contains('/')
        {
            return parse_range(range);
        }
        let (name, under) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err("`*` stands alone or as `*.` before a name".to_owned());
        }
        match (Host::parse(name)?, under) {
            (Host::Name(name), true) => Ok(Self::Under(format!(".{name}").into())),
            (Host::Address(_), true) => Err("an address has no names under it".to_owned()),
            (Host::Address(IpAddr::V4(v4)), _) if v4.to_string() != name => {
                Err(format!("write the address as `{v4}`"))
            }
            (host, false) => Ok(Self::Exact(host)),
        }
    }
    pub(crate) fn takes(&self, host: HostRef<'_>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Under(suffix), HostRef::Name(name)) => is_under(name, suffix),
            (Self::Exact(own), host) => own.borrowed() == host,
            (Self::Range(net, bits), HostRef::Address(address)) => in_range(*net, *bits, address),
            _ => false,
        }
    }
    /// Whether it takes every host that the other takes.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Exact(host)) => self.takes(host.borrowed()),
            (Self::Under(suffix), Self::Under(longer)) => longer.ends_with(&**suffix),
            (Self::Range(net, bits), Self::Range(inner, inner_bits)) => {
                bits <= inner_bits && in_range(*net, *bits, *inner)
            }
            _ => false,
        }
    }
}
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Under(suffix) => write!(f, "*{suffix}"),
            Self::Exact(host) => host.fmt(f),
            Self::Range(net, bits) => write!(f, "[{net}/{bits}]"),
        }
    }
}

fn is_under(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

fn parse_range(text: &str) -> Result<HostPattern, String> {
    let example = "write a range as `[10.0.0.0/8]`";
    let (net, bits) = text.split_once('/').ok_or(example)?;
    let net: IpAddr = net.parse().map_err(|_| example)?;
    let bits: u8 = bits.parse().map_err(|_| example)?;
    let (least, most, masked) = match net {
        IpAddr::V4(v4) => {
            let masked = Ipv4Addr::from(u32::from(v4) & mask_v4(bits));
            (RANGE_BITS_MIN_V4, 32, IpAddr::from(masked))
        }
        IpAddr::V6(v6) => {
            let masked = Ipv6Addr::from(u128::from(v6) & mask_v6(bits));
            (RANGE_BITS_MIN_V6, 128, IpAddr::from(masked))
        }
    };
    if !(least..=most).contains(&bits) {
        return Err(format!("a range has {least} to {most} bits"));
    }
    if masked != net {
        return Err(format!(
            "the range begins at `{masked}`, so write `[{masked}/{bits}]`"
        ));
    }
    Ok(HostPattern::Range(net, bits))
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX
        .checked_shl(32_u32.saturating_sub(bits.into()))
        .unwrap_or(0)
}
fn mask_v6(bits: u8) -> u128 {
    u128::MAX
        .checked_shl(128_u32.saturating_sub(bits.into()))
        .unwrap_or(0)
}

fn in_range(net: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            u32::from(net) == u32::from(address) & mask_v4(bits)
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            u128::from(net) == u128::from(address) & mask_v6(bits)
        }
        _ => false,
    }
}

/// Which ports a pattern takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PortPattern {
    /// None was written: the scheme's own.
    Default,
    /// `*`.
    Any,
    Exact(u16),
}

impl PortPattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.parse() {
            Ok(port) if port > 0 && !text.starts_with(['0', '+']) => Ok(Self::Exact(port)),
            _ => Err(format!("`{text}` is no port: expected 1 to 65535, or `*`")),
        }
    }
    pub(crate) fn includes(self, other: Self) -> bool {
        self == Self::Any || self == other
    }
}
impl fmt::Display for PortPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::Any => f.write_str(":*"),
            Self::Exact(port) => write!(f, ":{port}"),
        }
    }
}

/// `host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PlacePattern {
    pub(crate) host: HostPattern,
    pub(crate) port: PortPattern,
}

impl PlacePattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return Err("a host has no user before it".to_owned());
        }
        let after_bracket = text.rfind(']').map_or(0, |at| at + 1);
        let colon = text
            .get(after_bracket..)
            .and_then(|rest| rest.find(':'))
            .map(|at| at + after_bracket);
        let (host, port) = match colon.map(|at| text.split_at(at)) {
            Some((host, port)) => (host, PortPattern::parse(port.get(1..).unwrap_or_default())?),
            None => (text, PortPattern::Default),
        };
        let host = HostPattern::parse(host)?;
        Ok(Self { host, port })
    }
    /// Whether it takes the place, guarded or not. One that forbids takes every port where it
    /// names none.
    pub(crate) fn takes(&self, place: &Place<'_>, forbids: bool) -> bool {
        let port = match (self.port, place.port) {
            (PortPattern::Any, _) | (_, None) => true,
            (PortPattern::Exact(own), Some(port)) => own == port,
            (PortPattern::Default, Some(_)) => forbids || place.is_default_port,
        };
        port && self.host.takes(place.host)
    }
    /// Whether it names what it reaches: an exact host and port, or a range of addresses.
    pub(crate) fn is_explicit(&self) -> bool {
        match self.host {
            HostPattern::Exact(_) => matches!(self.port, PortPattern::Exact(_)),
            HostPattern::Range(..) => true,
            HostPattern::Any | HostPattern::Under(_) => false,
        }
    }
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.port.includes(other.port) && self.host.includes(&other.host)
    }
}
impl fmt::Display for PlacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.port)
    }
}
