//! How a store is opened: sizes, pauses, and who hears of a failure.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use crate::{Files, RealFiles, StoreFailed};

/// Called once, when the journal can't go on; the process should end and recover.
pub type OnFatal = Arc<dyn Fn(&StoreFailed) + Send + Sync>;

/// Gives the file layer over the journal's folder, which is there by then.
pub type FilesAt = Arc<dyn Fn(&Path) -> Arc<dyn Files> + Send + Sync>;

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// Size of a journal segment, taken from the disk in advance. Default: 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of journal that are kept; older segments go, but never one that the checkpoint has not
    /// passed. Default: 2 GiB.
    pub journal_bytes_max: u64,
    /// Bytes of one group; more records wait for the next sync. Default: 4 MiB.
    pub group_bytes_max: usize,
    /// Records that may wait before turns should pause. Default: 65,536.
    pub queue_records_max: u64,
    /// Bytes that may wait before turns should pause. Default: 256 MiB.
    pub queue_bytes_max: u64,
    /// Pause between checkpoints. Default: 2 s.
    pub checkpoint_every: Duration,
    /// Bytes of stored values after which a checkpoint is written at once. Default: 64 MiB.
    pub checkpoint_bytes: u64,
    /// Journal bytes before the checkpoint that opening checks itself; what is older is checked in
    /// the background. Default: 256 MiB.
    pub open_check_bytes: u64,
    /// The identity of a journal that is made new. `None`: random.
    pub journal_id: Option<[u8; 32]>,
    /// The file layer that the journal is written through. Default: the operating system's; another
    /// is for tests that watch or fail it.
    pub files: FilesAt,
    /// Called when the journal fails; it should end the process.
    pub on_fatal: OnFatal,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            journal_bytes_max: 2 << 30,
            group_bytes_max: 4 << 20,
            queue_records_max: 1 << 16,
            queue_bytes_max: 256 << 20,
            checkpoint_every: Duration::from_secs(2),
            checkpoint_bytes: 64 << 20,
            open_check_bytes: 256 << 20,
            journal_id: None,
            files: Arc::new(|folder| Arc::new(RealFiles::new(folder))),
            on_fatal: Arc::new(|failed| tracing::error!(%failed, "the journal can't go on")),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("segment_bytes", &self.segment_bytes)
            .field("journal_bytes_max", &self.journal_bytes_max)
            .field("checkpoint_every", &self.checkpoint_every)
            .finish_non_exhaustive()
    }
}
