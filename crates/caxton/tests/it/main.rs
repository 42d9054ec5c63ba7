//! The program as people and scripts meet it: arguments in, text and numbers out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says by panicking what went wrong"
)]

mod command;
mod config;
mod crash;
mod directory;
mod disk;
mod doctor;
mod flood;
mod node;
mod offline;
mod old_data;
mod online;
mod power;
mod process;
mod run_alone;
mod run_command;
mod telemetry;
mod top;
