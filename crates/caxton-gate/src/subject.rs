//! What an access is about, in the form in which patterns are asked.

use std::borrow::Cow;

use caxton_model::Permission;

use crate::{
    address::AddressClass,
    host::{Host, Place},
    http_url::HttpUrl,
    pattern::Header,
};

/// The directory that writes stay in, unless a grant names another one.
pub(crate) const DATA_DIRECTORY: &str = "/data/";

/// What an access is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    Whole,
    Http {
        method: &'a str,
        url: &'a HttpUrl,
        /// The URL's place, or the same by the address that it was resolved to.
        place: Place<'a>,
    },
    Path {
        path: &'a str,
        write: bool,
    },
    Name {
        name: &'a str,
        /// Whether it lies in the guest's own namespace.
        own_namespace: bool,
        /// Whether the name is a glob, for all names that fit it.
        is_glob: bool,
    },
    Place(Place<'a>),
    Secret {
        name: &'a str,
        place: Place<'a>,
        header: &'a Header,
    },
}

/// Why only a grant that names something exactly reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The address, or a name of the own machine, is not public.
    Address(AddressClass),
    /// The write goes outside `/data`.
    OutsideData,
}

impl<'a> Subject<'a> {
    pub(crate) fn name(name: &'a str) -> Self {
        Self::Name {
            name,
            own_namespace: false,
            is_glob: name.contains('*'),
        }
    }
    const fn place(&self) -> Option<&Place<'a>> {
        match self {
            Self::Http { place, .. } | Self::Place(place) | Self::Secret { place, .. } => {
                Some(place)
            }
            _ => None,
        }
    }
    /// Why no wildcard reaches it.
    pub(crate) fn guard(&self) -> Option<Guard> {
        match self {
            Self::Path { path, write: true } if !path.starts_with(DATA_DIRECTORY) => {
                Some(Guard::OutsideData)
            }
            _ => self.place()?.guard().map(Guard::Address),
        }
    }
    /// The same by its address, which has to be granted beside the name.
    pub(crate) fn by_address(&self) -> Option<Self> {
        let place = self.place()?.by_address()?;
        match *self {
            Self::Http { method, url, .. } => Some(Self::Http { method, url, place }),
            Self::Place(_) => Some(Self::Place(place)),
            _ => None,
        }
    }
    /// The pattern that takes it and nothing else.
    pub(crate) fn exact(&self, permission: Permission) -> String {
        match *self {
            Self::Whole => String::new(),
            Self::Http { method, url, place } => {
                let method = match permission {
                    Permission::HttpWrite => format!("{method} "),
                    _ => String::new(),
                };
                format!("{method}{}{}", exact_place(&place), url.path())
            }
            Self::Path { path, .. } => path.to_owned(),
            Self::Name { name, .. } => name.to_owned(),
            Self::Place(place) => exact_place(&place),
            Self::Secret {
                name,
                place,
                header,
            } => format!("{name}@{} {header}", exact_place(&place)),
        }
    }
    /// What its patterns are looked up by, and how much of it is the host.
    /// `None`: any pattern may fit.
    pub(crate) fn key(&self) -> Option<(Cow<'a, str>, usize)> {
        match *self {
            Self::Http { url, place, .. } if place.host == url.host().borrowed() => {
                let (text, host_len) = url.host_and_path();
                Some((text.into(), host_len))
            }
            Self::Http { url, place, .. } => {
                let host = place.host.to_string();
                let host_len = host.len();
                Some(((host + url.path()).into(), host_len))
            }
            Self::Path { path, .. } => Some((path.into(), 0)),
            Self::Name {
                name,
                is_glob: false,
                ..
            } => Some((name.into(), name.len())),
            _ => None,
        }
    }
}

/// A host with its port, where a pattern has to name it.
fn exact_place(place: &Place<'_>) -> String {
    match place.port {
        Some(port) if !place.is_default_port || place.guard().is_some() => {
            format!("{}:{port}", place.host)
        }
        _ => place.host.to_string(),
    }
}

impl Host {
    /// The place of this host as a name alone.
    pub(crate) fn place(&self, port: Option<u16>) -> Place<'_> {
        Place {
            host: self.borrowed(),
            port,
            is_default_port: false,
            address: None,
        }
    }
}
