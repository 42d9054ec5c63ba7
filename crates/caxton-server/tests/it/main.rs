//! The server against a real node, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod abuse;
mod agents;
mod auth;
mod border;
mod contract;
mod curl;
mod harness;
mod idempotency;
mod malformed;
mod messages;
mod seeds;
mod slow_disk;
mod streams;
mod tls;
