//! The HTTP server of a node: connections, tokens, limits, routes, event streams.
//!
//! HTTP/1.1 over TCP or TLS. [`serve`] opens the door; everything a request passes on its way in
//! is in `edge`, what it then does is in `routes`.

mod app;
mod audit;
mod auth;
mod body;
mod body_room;
mod call;
mod clock;
mod connection;
mod connections;
mod deploy;
mod descriptors;
mod edge;
mod error_pages;
mod evictable;
mod guest_families;
mod idempotency;
mod limits;
#[cfg(test)]
mod linear_test;
mod local_door;
mod manifest;
mod metrics;
mod names;
mod options;
mod paging;
mod query;
mod refuse;
mod routes;
mod serve;
mod stall;
mod streams;
mod tasks;
mod tls;
mod token_file;
mod trace;
mod views;
mod work;

pub use audit::AUDITED;
pub use limits::ServerLimits;
pub use metrics::{FAMILIES, Family, FamilyKind};
pub use options::{ServeError, ServerOptions, TlsFiles};
pub use routes::audit_check;
pub use serve::{Server, is_public, serve};
