//! What a node keeps: the journal that is the truth, its checkpoint, and blobs by digest.
//!
//! The formats are written down in `docs/specs/journal.md`.

mod blobs;
mod health;
mod memory;
mod metrics;
mod open_error;
mod options;
mod store;

pub use blobs::{BlobError, Blobs};
pub use health::{Health, StoreFailed};
pub use metrics::StoreMetrics;
pub use open_error::{Damage, OpenError, TornTail};
pub use options::{OnFatal, StoreOptions};
pub use store::{KeySize, ReadError, Recovered, Store};
