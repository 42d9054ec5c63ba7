//! The seeded simulator: kernels, shards' wires, a journal, faults and crashes, all from one seed.

mod audit;
mod durable;
mod guest;
mod rng;
mod run;
mod show;
mod world;

pub use rng::Rng;
pub use run::{Broken, Report, run};
pub use show::{show_entry, show_message};
pub use world::{Answered, World};
