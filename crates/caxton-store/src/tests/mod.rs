//! Tests of the whole crate, and their samples.

mod checkpoint;
mod database_files;
mod directory;
mod faults;
mod flips;
mod format;
mod journal;
mod kept;
mod live;
mod old_data;
mod room;
mod sample;
mod speed;
mod store;
mod texts;
