//! The broker against real servers on loopback, well-behaved and not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod addresses;
mod connections;
mod harness;
mod proxies;
mod redirects;
mod requests;
mod responses;
mod secrets;
mod tls;
