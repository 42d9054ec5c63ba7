//! The seeded simulator: kernels, shards' wires, a journal, faults and crashes, all from one seed.

mod world;

pub use world::{Answered, World, show_entry, show_message};
