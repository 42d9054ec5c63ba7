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
mod audit;
mod auth;
mod border;
mod contract;
mod crowds;
mod curl;
mod guest_metrics;
mod harness;
mod heads;
mod idempotency;
mod malformed;
mod messages;
mod seeds;
mod shutdown;
mod slow_disk;
mod streams;
mod tls;
