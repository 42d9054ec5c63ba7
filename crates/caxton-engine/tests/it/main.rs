//! Hostile and friendly guests against the engine, on Cranelift and on Pulley.

#![allow(unreachable_pub, reason = "one binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod agents;
mod allocators;
mod commands;
mod compile;
mod explain;
mod files;
mod harness;
mod limits;
mod pointers;
mod processors;
mod real;
mod script;
mod slots;
