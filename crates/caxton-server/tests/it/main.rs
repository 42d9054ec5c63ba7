//! The server against a real node, over real sockets.

mod abuse;
mod agents;
mod auth;
mod contract;
mod curl;
mod harness;
mod idempotency;
mod messages;
mod seeds;
mod streams;
mod tls;
