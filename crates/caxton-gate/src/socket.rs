//! Accesses to sockets and names of hosts.

use std::{fmt, net::IpAddr};

use caxton_model::Permission;

use crate::{
    access::{
        Access, Malformed,
        sealed::{About, Sealed},
    },
    host::{Host, Place},
    shown::Shown,
    subject::Subject,
};

/// What travels over a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    const fn permission(self) -> Permission {
        match self {
            Self::Tcp => Permission::NetTcp,
            Self::Udp => Permission::NetUdp,
        }
    }
}

/// Connecting a socket, or sending a datagram.
#[derive(Debug, Clone)]
pub struct SocketConnect {
    permission: [Permission; 1],
    host: Host,
    port: u16,
    address: IpAddr,
}

impl SocketConnect {
    /// To that address; `host` is the name that the host resolved to it, if the guest asked by name.
    ///
    /// Errors: [`Malformed`], for the port 0.
    pub fn new(
        transport: Transport,
        host: Option<Host>,
        address: IpAddr,
        port: u16,
    ) -> Result<Self, Malformed> {
        let permission = transport.permission();
        let host = host.unwrap_or(Host::Address(address));
        if port == 0 {
            return Err(Malformed {
                permission,
                text: host.to_string(),
                problem: "has the port 0".to_owned(),
            });
        }
        Ok(Self {
            permission: [permission],
            host,
            port,
            address,
        })
    }
    /// The address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }
    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
    fn place(&self) -> Place<'_> {
        Place {
            address: Some(self.address),
            ..self.host.place(Some(self.port))
        }
    }
}
impl fmt::Display for SocketConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} at {}", self.host, self.port, self.address)
    }
}
impl Access for SocketConnect {}
impl Sealed for SocketConnect {
    fn permissions(&self) -> &[Permission] {
        &self.permission
    }
    fn subject(&self) -> About<'_> {
        About(Subject::Place(self.place()))
    }
}

/// Listening on a socket.
#[derive(Debug, Clone)]
pub struct SocketListen {
    host: Host,
    port: u16,
}

impl SocketListen {
    /// On that address and port.
    #[must_use]
    pub const fn new(address: IpAddr, port: u16) -> Self {
        Self {
            host: Host::Address(address),
            port,
        }
    }
}
impl fmt::Display for SocketListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listen on {}:{}", self.host, self.port)
    }
}
impl Access for SocketListen {}
impl Sealed for SocketListen {
    fn permissions(&self) -> &[Permission] {
        &[Permission::NetListen]
    }
    fn subject(&self) -> About<'_> {
        About(Subject::Place(self.host.place(Some(self.port))))
    }
}

/// Resolving a name. Whoever may connect to a host may look it up.
#[derive(Debug, Clone)]
pub struct NameLookup {
    host: Host,
}

impl NameLookup {
    /// Of that name.
    ///
    /// Errors: [`Malformed`].
    pub fn new(name: &str) -> Result<Self, Malformed> {
        Host::parse(name)
            .map(|host| Self { host })
            .map_err(|problem| Malformed {
                permission: Permission::NetTcp,
                text: Shown(name).to_string(),
                problem,
            })
    }
    /// The name in its one form.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }
}
impl fmt::Display for NameLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "look up {}", self.host)
    }
}
impl Access for NameLookup {}
impl Sealed for NameLookup {
    fn permissions(&self) -> &[Permission] {
        &[Permission::NetTcp, Permission::NetUdp]
    }
    fn subject(&self) -> About<'_> {
        About(Subject::Place(self.host.place(None)))
    }
}
