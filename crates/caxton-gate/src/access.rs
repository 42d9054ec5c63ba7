//! Accesses: every way in which a guest reaches beyond its own memory, one type each.

use std::{fmt, net::IpAddr, sync::Arc};

use caxton_model::Permission;

use crate::{
    Allowed,
    guest_path::GuestPath,
    host::{Host, Place},
    http_url::HttpUrl,
    pattern::{Header, permission_of_method},
    shown::Shown,
    subject::Subject,
};

/// Bytes of a name that an access is about.
const NAME_BYTES_MAX: usize = 1_024;

/// One way out of a guest's own memory.
///
/// Sealed: the list is closed, and only [`crate::Gate::check`] judges its members. `Display` is
/// what the audit keeps of it: never a secret, a body, a query or user information.
pub trait Access: sealed::Sealed + fmt::Display {}

pub(crate) mod sealed {
    use super::{Permission, Subject};

    /// What an access is about, for the gate alone.
    #[allow(missing_debug_implementations, reason = "nobody outside can name it")]
    pub struct About<'a>(pub(crate) Subject<'a>);

    /// What the gate asks an access.
    pub trait Sealed {
        /// The permission that it needs; any one of them is enough.
        fn permissions(&self) -> &[Permission];
        /// What it is about.
        fn subject(&self) -> About<'_>;
    }
}
use sealed::{About, Sealed};

/// Why something was no access at all: two readers could understand it differently.
///
/// Errors of this kind go to [`crate::Gate::refuse`], which counts and audits them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {problem}")]
pub struct Malformed {
    /// The permission that it would have needed.
    pub permission: Permission,
    /// What was there (shortened, without user information and query).
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Malformed {
    /// A path that is none; [`GuestPath::parse`] and [`GuestPath::join`] say the problem.
    #[must_use]
    pub fn path(permission: Permission, path: &str, problem: String) -> Self {
        Self::new(permission, path, problem)
    }
    pub(crate) fn new(permission: Permission, text: &str, problem: String) -> Self {
        Self {
            permission,
            text: Shown(text).to_string(),
            problem,
        }
    }
}

/// An HTTP request, before its host is resolved.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    permission: [Permission; 1],
    method: Box<str>,
    url: Arc<HttpUrl>,
}

impl HttpRequest {
    /// A request with that method to that URL. Each redirect is a new one.
    ///
    /// Errors: [`Malformed`].
    pub fn new(method: &str, url: &str) -> Result<Self, Malformed> {
        let permission = permission_of_method(method);
        let malformed = |problem| Malformed::new(permission, without_secrets(url), problem);
        let is_method = (1..=32).contains(&method.len())
            && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if !is_method {
            return Err(Malformed::new(
                permission,
                method,
                "is no method: expected 1 to 32 upper-case letters".to_owned(),
            ));
        }
        let parsed = HttpUrl::parse(url).map_err(malformed)?;
        Ok(Self {
            permission: [permission],
            method: method.into(),
            url: Arc::new(parsed),
        })
    }
    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }
    /// The URL in its one form, which is what is to be sent.
    #[must_use]
    pub fn url(&self) -> &HttpUrl {
        &self.url
    }
    fn subject_at<'a>(&'a self, place: Place<'a>) -> Subject<'a> {
        Subject::Http {
            method: &self.method,
            url: &self.url,
            place,
        }
    }
}
impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}
impl Access for HttpRequest {}
impl Sealed for HttpRequest {
    fn permissions(&self) -> &[Permission] {
        &self.permission
    }
    fn subject(&self) -> About<'_> {
        About(self.subject_at(self.url.place()))
    }
}

/// What of a URL that was not understood may be shown.
fn without_secrets(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    url.rsplit('@').next().unwrap_or_default()
}

/// The connection for an allowed request, once its host is resolved.
#[derive(Debug, Clone)]
pub struct HttpConnect {
    request: HttpRequest,
    address: IpAddr,
}

impl HttpConnect {
    /// A connection to `address`, which the host of that request was resolved to.
    #[must_use]
    pub fn new(request: &Allowed<HttpRequest>, address: IpAddr) -> Self {
        Self {
            request: request.access().clone(),
            address,
        }
    }
    /// The address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }
    /// The host, for TLS.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.request.url.host()
    }
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.request.url.port()
    }
    fn place(&self) -> Place<'_> {
        Place {
            address: Some(self.address),
            ..self.request.url.place()
        }
    }
}
impl fmt::Display for HttpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} at {}", self.host(), self.port(), self.address)
    }
}
impl Access for HttpConnect {}
impl Sealed for HttpConnect {
    fn permissions(&self) -> &[Permission] {
        &self.request.permission
    }
    fn subject(&self) -> About<'_> {
        About(self.request.subject_at(self.place()))
    }
}

macro_rules! path_accesses {
    ($($(#[doc = $doc:literal])* $name:ident $word:literal [$($permission:ident),+], $write:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            path: GuestPath,
        }
        impl $name {
            /// On that path.
            #[must_use]
            pub const fn new(path: GuestPath) -> Self {
                Self { path }
            }
            /// The path.
            #[must_use]
            pub const fn path(&self) -> &GuestPath {
                &self.path
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", $word, Shown(self.path.as_str()))
            }
        }
        impl Access for $name {}
        impl Sealed for $name {
            fn permissions(&self) -> &[Permission] {
                &[$(Permission::$permission),+]
            }
            fn subject(&self) -> About<'_> {
                About(Subject::Path { path: self.path.as_str(), write: $write })
            }
        }
    )*};
}

path_accesses! {
    /// Looking at a path: its kind, size and times, or what a directory holds. Whoever may read or
    /// write it may look.
    PathLook "look at" [FsRead, FsWrite], false;
    /// Changing the tree: create, rename (both ends), unlink, set times.
    PathChange "change" [FsWrite], true;
}

/// Opening a file.
#[derive(Debug, Clone)]
pub struct FileOpen {
    path: GuestPath,
    write: bool,
}

impl FileOpen {
    /// To write that path, or to read it. What is opened for both is checked for both.
    #[must_use]
    pub const fn new(path: GuestPath, write: bool) -> Self {
        Self { path, write }
    }
    /// The path.
    #[must_use]
    pub const fn path(&self) -> &GuestPath {
        &self.path
    }
    /// Whether it is opened to be written.
    #[must_use]
    pub const fn write(&self) -> bool {
        self.write
    }
}
impl fmt::Display for FileOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.write { "write" } else { "read" };
        write!(f, "{word} {}", Shown(self.path.as_str()))
    }
}
impl Access for FileOpen {}
impl Sealed for FileOpen {
    fn permissions(&self) -> &[Permission] {
        if self.write {
            &[Permission::FsWrite]
        } else {
            &[Permission::FsRead]
        }
    }
    fn subject(&self) -> About<'_> {
        About(Subject::Path {
            path: self.path.as_str(),
            write: self.write,
        })
    }
}

macro_rules! named_accesses {
    ($($(#[doc = $doc:literal])* $name:ident $word:literal $permission:ident $stars:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            name: Box<str>,
        }
        impl $name {
            #[doc = "Under that name.\n\nErrors: [`Malformed`]."]
            pub fn new(name: &str) -> Result<Self, Malformed> {
                check_name(name, $stars)
                    .map(|()| Self { name: name.into() })
                    .map_err(|problem| Malformed::new(Permission::$permission, name, problem))
            }
            /// The name.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.name
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", $word, Shown(&self.name))
            }
        }
        impl Access for $name {}
        impl Sealed for $name {
            fn permissions(&self) -> &[Permission] {
                &[Permission::$permission]
            }
            fn subject(&self) -> About<'_> {
                About(Subject::name(&self.name))
            }
        }
    )*};
}

named_accesses! {
    /// Reading an environment variable.
    EnvRead "environment variable" EnvRead false;
    /// Reading an entry of the vault.
    VaultRead "vault entry" VaultRead false;
    /// Writing an entry of the vault.
    VaultWrite "vault entry" VaultWrite false;
    /// Emitting an event to a topic.
    EventEmit "topic" EventEmit false;
    /// Listening to the topics that fit a pattern, all of which must be granted.
    EventListen "topic" EventListen true;
    /// Listening to the broadcasts that fit a pattern, all of which must be granted.
    MessageListen "broadcasts to" MessageListen true;
    /// Starting a workflow.
    WorkflowRun "workflow" WorkflowRun false;
    /// Calling an action of an extension, `extension:action`.
    ExtensionCall "action" ExtCall false;
}

pub(crate) fn check_name(name: &str, stars: bool) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!("is no name: expected 1 to {NAME_BYTES_MAX} bytes"));
    }
    if let Some(bad) = name.chars().find(|c| c.is_control()) {
        return Err(format!("holds the character U+{:04X}", u32::from(bad)));
    }
    if !stars && name.contains('*') {
        return Err("holds a `*`, which only patterns have".to_owned());
    }
    Ok(())
}

/// Sending a message.
#[derive(Debug, Clone)]
pub struct MessageSend {
    to: Box<str>,
    own_namespace: bool,
}

impl MessageSend {
    /// To the receiver of that full name, or to whoever offers `capability:NAME`.
    ///
    /// `own_namespace` says whether the receiver lies in the sender's namespace or is one of the
    /// host's own agents, which [`crate::OWN_NAMESPACE`] takes.
    /// Errors: [`Malformed`].
    pub fn new(to: &str, own_namespace: bool) -> Result<Self, Malformed> {
        check_name(to, false)
            .map(|()| Self {
                to: to.into(),
                own_namespace,
            })
            .map_err(|problem| Malformed::new(Permission::MessageSend, to, problem))
    }
    /// The receiver.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }
}
impl fmt::Display for MessageSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message to {}", Shown(&self.to))
    }
}
impl Access for MessageSend {}
impl Sealed for MessageSend {
    fn permissions(&self) -> &[Permission] {
        &[Permission::MessageSend]
    }
    fn subject(&self) -> About<'_> {
        About(Subject::Name {
            name: &self.to,
            own_namespace: self.own_namespace,
            is_glob: false,
        })
    }
}

/// Putting a secret into a header of an allowed request.
#[derive(Debug, Clone)]
pub struct SecretUse {
    name: Box<str>,
    request: HttpRequest,
    header: Header,
}

impl SecretUse {
    /// The secret of that name in a header of that request; `header` is as in the manifest, with
    /// `{}` in the secret's place: `Authorization: Bearer {}`.
    ///
    /// Errors: [`Malformed`].
    pub fn new(
        name: &str,
        request: &Allowed<HttpRequest>,
        header: &str,
    ) -> Result<Self, Malformed> {
        let malformed = |text: &str, problem| Malformed::new(Permission::SecretUse, text, problem);
        check_name(name, false).map_err(|problem| malformed(name, problem))?;
        let header = Header::parse(header).map_err(|problem| malformed(name, problem))?;
        Ok(Self {
            name: name.into(),
            request: request.access().clone(),
            header,
        })
    }
    /// The secret's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    fn place(&self) -> Place<'_> {
        let place = self.request.url.place();
        // Without encryption everybody on the way reads it, so the port must be named.
        Place {
            is_default_port: place.is_default_port && self.request.url.is_secure(),
            ..place
        }
    }
}
/// Without the header's value, which is the guest's own text.
impl fmt::Display for SecretUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.request.url.host(), self.request.url.port());
        let header = &self.header.name;
        write!(
            f,
            "secret {} in {header} to {host}:{port}",
            Shown(&self.name)
        )
    }
}
impl Access for SecretUse {}
impl Sealed for SecretUse {
    fn permissions(&self) -> &[Permission] {
        &[Permission::SecretUse]
    }
    fn subject(&self) -> About<'_> {
        About(Subject::Secret {
            name: &self.name,
            place: self.place(),
            header: &self.header,
        })
    }
}

macro_rules! whole_accesses {
    ($($(#[doc = $doc:literal])* $name:ident $word:literal $permission:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($word)
            }
        }
        impl Access for $name {}
        impl Sealed for $name {
            fn permissions(&self) -> &[Permission] {
                &[Permission::$permission]
            }
            fn subject(&self) -> About<'_> {
                About(Subject::Whole)
            }
        }
    )*};
}

whole_accesses! {
    /// Reading real randomness instead of the seeded one.
    RandomSecure "real randomness" RandomSecure;
    /// Answering requests without a token.
    HttpServe "requests without a token" HttpServe;
}
