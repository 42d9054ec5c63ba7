//! Who may reach what: permissions, grants, patterns, site policy, and the one check before an access.
//!
//! Every way in which a guest reaches beyond its own memory is an [`Access`]. [`Gate::check`]
//! decides it, counts it and appends it to the audit; what performs the access takes the
//! [`Allowed`] that it answers. The crate is pure: no I/O, no clock, no thread.
//!
//! ```
//! use std::sync::Arc;
//! use caxton_gate::{AuditEntry, AuditSink, Gate, Grants, HttpRequest, Rights};
//! use caxton_model::Timestamp;
//!
//! struct NoAudit;
//! impl AuditSink for NoAudit {
//!     fn append(&self, _: &AuditEntry<'_>) -> Result<(), String> { Ok(()) }
//! }
//!
//! let now = Timestamp(0);
//! let rule = "http:read=api.example.com/repos/**".parse()?;
//! let rights = Rights::granted(Grants::from_rules([rule], "operator", now));
//! let gate = Gate::new("fetcher", &rights, Arc::new(NoAudit));
//!
//! let inside = HttpRequest::new("GET", "https://api.example.com/repos/a/issues")?;
//! assert!(gate.check(inside, now).is_ok());
//! let outside = HttpRequest::new("GET", "https://api.example.com/orgs/a")?;
//! let denied = gate.check(outside, now).unwrap_err();
//! assert_eq!(
//!     denied.command().as_deref(),
//!     Some("caxton grant fetcher 'http:read=api.example.com/orgs/a'"),
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod address;
mod denied;
mod expectation;
mod gate;
mod grants;
mod guest_path;
mod host;
mod http_url;
mod index;
mod learned;
mod pattern;
mod policy;
mod requested;
mod rights;
mod segments;
mod shown;
mod socket;
mod subject;
mod table_access;

pub use access::{
    Access, EnvRead, EventEmit, EventListen, ExtensionCall, FileOpen, HttpConnect, HttpRequest,
    HttpServe, Malformed, MessageListen, MessageSend, PathChange, PathLook, RandomSecure,
    SecretUse, VaultRead, VaultWrite, WorkflowRun,
};
pub use address::{AddressClass, address_class};
pub use denied::{Denied, grant_command};
pub use gate::{Allowed, AuditEntry, AuditSink, Checks, Gate};
pub use grants::{Grant, Grants, default_right_to_send};
pub use guest_path::GuestPath;
pub use host::Host;
pub use http_url::HttpUrl;
pub use learned::Learned;
pub use pattern::{
    OWN_NAMESPACE, Pattern, PatternError, PermissionRule, PermissionRuleError, Rule,
};
pub use policy::{Decision, Policy, PolicyError, PolicyQuestion, PolicySubject, UNSIGNED, Verdict};
pub use requested::{Change, ChangeKind, Diff, Edit, ManifestRow, Request, Requested};
pub use rights::{Refusal, Rights, SiteForbid};
pub use socket::{NameLookup, SocketConnect, SocketListen, Transport};
pub use subject::Guard;
pub use table_access::{DataRead, DataWrite};
