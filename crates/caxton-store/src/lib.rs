//! What a node keeps: the journal that is the truth, its checkpoint, blobs by digest, the audit log,
//! and the vault.
//!
//! The formats are written down in `docs/specs/journal.md`, `docs/specs/audit.md` and
//! `docs/specs/vault.md`.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use caxton_model::{Entry, Record, Timestamp};
//! use caxton_store::{Store, StoreOptions};
//!
//! let dir = tempfile::tempdir()?;
//! let (store, recovered) = Store::open(dir.path(), StoreOptions::default())?;
//! assert_eq!(recovered.place, 0);
//! store.append(Arc::new(Entry {
//!     shard: 0,
//!     seq: 1,
//!     at: Timestamp(1_700_000_000_000_000),
//!     record: Record::NodeStarted { shards: 1, version: "0.1.0".to_owned() },
//! }));
//! let (tell, told) = mpsc::channel();
//! store.notify(move |result| drop(tell.send(result)));
//! told.recv()??; // From here on it survives `kill -9` and power loss.
//! store.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod blobs;
mod checkpoint;
mod checkpoint_copy;
mod database;
mod database_files;
mod directory;
mod disk;
mod faulty;
mod files;
mod follow;
mod follower;
mod form;
mod frame;
mod head;
mod health;
mod journal;
mod log;
mod log_options;
mod memory;
mod meta;
mod metrics;
mod open_checkpoint;
mod open_error;
mod options;
mod part_key;
mod part_value;
mod queue;
mod rebuild;
mod retention;
mod scan;
mod scribe;
mod segment;
mod show;
mod stepped;
mod store;
mod texts;
mod v1;
mod v2;
mod v3;
mod v4;
mod v5;
mod vault;
mod vault_error;
mod vault_key;
mod vault_record;
mod verify;
mod window;
mod write_error;
mod writer;

#[cfg(test)]
mod tests;

pub use audit::{
    AuditClosed, AuditFound, AuditLog, AuditOptions, AuditPage, AuditPlace, AuditQuery,
    AuditReader, AuditReport, SignedHead, verify_audit,
};
pub use blobs::{BlobError, Blobs, needed_modules};
pub use directory::is_in_use;
pub use faulty::FaultyFiles;
pub use files::{File, Files, RealFiles};
pub use frame::{Chain, decode_entry, encode_entry};
pub use health::{Health, StoreFailed};
pub use journal::Batch;
pub use log_options::{JournalFound, JournalOptions, LogFound, LogOptions};
pub use metrics::StoreMetrics;
pub use open_error::{Damage, OpenError, TornTail};
pub use options::{FilesAt, OnFatal, StoreOptions};
pub use show::{Show, ShowFilter, show};
pub use stepped::{CheckpointImage, SteppedStore};
pub use store::{KeySize, ReadError, Recovered, Store};
pub use vault::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX, Vault, VaultEntry, VaultOptions};
pub use vault_error::VaultError;
pub use verify::{VerifyReport, verify};
pub use write_error::{Lack, WriteError};
pub use writer::{Group, JournalWriter, LogWriter};
