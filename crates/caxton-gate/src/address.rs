//! Which part of the network an address belongs to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The part of the network that an address belongs to.
///
/// Everything but [`AddressClass::Public`] is *guarded*: no wildcard reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// Reachable from everywhere.
    Public,
    /// `0.0.0.0/8` and `::`, which systems take for the own machine.
    Unspecified,
    /// `127.0.0.0/8` and `::1`.
    Loopback,
    /// `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`, `fc00::/7` and `fec0::/10`.
    Private,
    /// `100.64.0.0/10`, the addresses behind a carrier's translation (CGNAT).
    SharedNat,
    /// `169.254.0.0/16` (cloud metadata lives there) and `fe80::/10`.
    LinkLocal,
    /// `224.0.0.0/4` and `ff00::/8`.
    Multicast,
    /// An IPv4 address inside an IPv6 one: `::ffff:0:0/96`, `::/96`, 6to4 and Teredo.
    Mapped,
    /// `64:ff9b::/96` and `64:ff9b:1::/48`, which a translator turns into IPv4.
    Nat64,
    /// Documentation, benchmarks, protocol assignments, broadcast, and what nobody assigned.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::SharedNat => "shared (CGNAT)",
            Self::LinkLocal => "link-local",
            Self::Multicast => "multicast",
            Self::Mapped => "IPv4-in-IPv6",
            Self::Nat64 => "NAT64",
            Self::Reserved => "reserved",
        })
    }
}

/// The class of an address.
///
/// Source: the IANA special-purpose address registries for IPv4 and IPv6.
#[must_use]
pub fn address_class(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

fn class_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        [0, ..] => AddressClass::Unspecified,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::SharedNat,
        [169, 254, ..] => AddressClass::LinkLocal,
        [224..=239, ..] => AddressClass::Multicast,
        [240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> AddressClass {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        [0, 0, 0, 0, 0, 0xffff | 0, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x2002, ..]
        | [0x2001, 0, ..] => AddressClass::Mapped,
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => AddressClass::Nat64,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        // Documentation, and the protocol assignments that share 2001::/23 with Teredo.
        [0x2001, 0x0001..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressClass::Reserved,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressClass as C, address_class};

    #[test]
    fn every_special_range_is_recognised_at_both_of_its_ends() {
        for (address, class) in [
            ("8.8.8.8", C::Public),
            ("0.0.0.0", C::Unspecified),
            ("0.255.255.255", C::Unspecified),
            ("9.255.255.255", C::Public),
            ("10.0.0.0", C::Private),
            ("10.255.255.255", C::Private),
            ("11.0.0.0", C::Public),
            ("100.63.255.255", C::Public),
            ("100.64.0.0", C::SharedNat),
            ("100.127.255.255", C::SharedNat),
            ("100.128.0.0", C::Public),
            ("127.0.0.1", C::Loopback),
            ("127.255.255.254", C::Loopback),
            ("169.254.169.254", C::LinkLocal),
            ("172.15.255.255", C::Public),
            ("172.16.0.0", C::Private),
            ("172.31.255.255", C::Private),
            ("172.32.0.0", C::Public),
            ("192.0.0.8", C::Reserved),
            ("192.0.2.1", C::Reserved),
            ("192.168.0.1", C::Private),
            ("198.18.0.1", C::Reserved),
            ("198.19.255.255", C::Reserved),
            ("198.51.100.7", C::Reserved),
            ("203.0.113.7", C::Reserved),
            ("224.0.0.1", C::Multicast),
            ("239.255.255.255", C::Multicast),
            ("240.0.0.1", C::Reserved),
            ("255.255.255.255", C::Reserved),
            ("::", C::Unspecified),
            ("::1", C::Loopback),
            ("::7f00:1", C::Mapped),
            ("::ffff:127.0.0.1", C::Mapped),
            ("::ffff:8.8.8.8", C::Mapped),
            ("::ffff:0:127.0.0.1", C::Mapped),
            ("2002:7f00:1::", C::Mapped),
            ("2001:0:1::", C::Mapped),
            ("64:ff9b::7f00:1", C::Nat64),
            ("64:ff9b:1::1", C::Nat64),
            ("fc00::1", C::Private),
            ("fdff::1", C::Private),
            ("fec0::1", C::Private),
            ("fe80::1", C::LinkLocal),
            ("febf::1", C::LinkLocal),
            ("ff02::1", C::Multicast),
            ("2001:db8::1", C::Reserved),
            ("2001:2::1", C::Reserved),
            ("100::1", C::Reserved),
            ("4000::1", C::Reserved),
            ("2606:4700::1111", C::Public),
            ("2001:4860:4860::8888", C::Public),
        ] {
            assert_eq!(address_class(address.parse().unwrap()), class, "{address}");
        }
    }
}
