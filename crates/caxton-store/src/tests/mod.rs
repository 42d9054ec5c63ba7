//! Tests of the whole crate: samples, and the file layer that fails on purpose.

mod faults;
mod faulty;
mod flips;
mod format;
mod journal;
mod sample;
mod speed;
mod store;
