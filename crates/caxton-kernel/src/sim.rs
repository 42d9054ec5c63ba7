//! The seeded simulator: kernels, shards' wires, a journal, faults and crashes, all from one seed.

mod audit;
mod rng;
mod run;
mod world;

pub use rng::Rng;
pub use run::{Broken, Report, run};
pub use world::{Answered, World, show_entry, show_message};
