//! The program as people and scripts meet it: arguments in, text and numbers out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says by panicking what went wrong"
)]

mod access;
mod address_space;
mod audit;
mod clock;
mod command;
mod config;
mod content;
mod crash;
mod crash_outside;
mod damage;
mod directory;
mod disk;
mod doctor;
mod egress;
mod few_descriptors;
mod first_files;
mod flood;
mod followers;
mod formats;
mod hostile;
mod kept;
mod metric_families;
mod node;
mod offline;
mod old_data;
mod online;
mod permissions;
mod power;
mod preload;
mod process;
mod processor;
mod processor_rights;
mod run_alone;
mod run_command;
mod shares;
mod signals;
mod tables;
mod telemetry;
mod top;
mod topics;
mod variables;
mod vault;
mod verdict;
