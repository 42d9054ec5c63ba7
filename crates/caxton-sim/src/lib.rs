//! The seeded simulator: real kernels over a real store, on a disk that fails, under a clock that
//! only the seed moves.
//!
//! One life is one seed: some shards, a random workload, guests that do what chance says, parcels
//! and completions that arrive in any order, and a process that dies at any record. After every
//! step the rules are looked at; the first that does not hold ends the life with its name.
//! Nothing in it reads a clock, starts a thread or touches a file, so a seed tells the same story
//! everywhere, byte for byte.
//!
//! ```
//! let report = caxton_sim::run(1)?;
//! assert_eq!(report.transcript, caxton_sim::run(1)?.transcript);
//! # Ok::<(), Box<caxton_sim::Broken>>(())
//! ```

mod audit;
mod crash;
mod guest;
mod instances;
mod life;
mod machine;
mod outside;
mod rest;
mod rng;
mod rule;
mod show;
mod supervision;
mod watch;
mod workload;
mod world;

pub use life::{Broken, Report, run};
pub use rule::{Breach, Rule};
