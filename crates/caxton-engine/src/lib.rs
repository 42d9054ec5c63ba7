//! Verified modules to running guests: the only crate that names the WebAssembly runtime, and the
//! only one with `unsafe` (one file, `raw.rs`).
//!
//! ```text
//! Verified ─ Engine::compile ─ Compiled ─ Engine::link ─ Linked ─┬─ Linked::instantiate ─ Instance::call …   agents
//!            (off the shards, cached)                            ├─ Linked::process                          processors
//!                                                                └─ Linked::call_extension                   extensions
//! ```
//! Every call is a future that the caller polls from its own run queue: it gives way at each
//! millisecond, never blocks, and needs only a tokio handle entered for its timers. What the guest
//! asks of the host goes to the caller's [`HostCalls`], which is handed in with a call and comes
//! back with its result. A guest's failure is a [`caxton_model::Fault`]; after one the instance is
//! gone.

mod arguments;
pub mod bare;
mod cache;
mod clock;
mod compile;
mod config;
mod ctx;
mod drive;
mod engine;
mod exports;
mod extension;
mod fault;
mod files;
mod guest_bytes;
mod guest_memory;
mod host;
mod host_functions;
mod imports;
mod in_flight;
mod instance;
mod link;
mod log_rate;
mod meter;
mod packed;
mod process;
mod raw;
mod room;
mod store;
mod symbol;
mod table_functions;
mod ticker;
mod usage;
mod wasi;
mod wasi_errno;
mod wasi_files;
mod wasi_granted;
mod wasi_paths;
mod wasi_poll;
mod worker;

pub use arguments::{ARGUMENT_BYTES_MAX, Arguments};
pub use cache::{Cache, CacheEntry, CacheError, CacheStats, cached_modules, clear_cached_modules};
pub use caxton_package::{FreedBy, ProcessorInfo};
pub use compile::{CompileError, Compiled};
pub use engine::{Engine, EngineError, EngineOptions};
pub use files::{Directory, FileUsage, HostResources};
pub use host::{AccessOutcome, AccessRefused, Fetch, HostCalls, LogLevel, MetricKind};
pub use instance::{Call, CallDone, Instance, Returned, Started};
pub use link::{LinkError, Linked};
pub use log_rate::{LogRate, LogVerdict};
pub use process::Processed;
pub use raw::forbid_executable_memory;
pub use room::Room;
pub use symbol::Frames;
pub use usage::Usage;
pub use worker::{CompilesIn, compile_worker_main};
