//! What the store measures of itself.

/// A reading of the store's gauges and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreMetrics {
    /// Records that were given to the journal, ever.
    pub place: u64,
    /// Records that are durable, ever.
    pub durable_place: u64,
    /// Records that the checkpoint holds, ever.
    pub checkpoint_place: u64,
    /// Records that wait for their sync.
    pub queued_records: u64,
    /// How long the oldest record waits that is not durable yet. Unit: microseconds.
    pub lag_micros: u64,
    /// About how many bytes those are.
    pub queued_bytes: u64,
    /// Records that are durable and wait for the checkpoint's thread.
    pub checkpoint_lag_records: u64,
    /// Bytes written to the journal since the start.
    pub written_bytes: u64,
    /// Groups written since the start.
    pub groups: u64,
    /// Records in the last group.
    pub last_group_records: u64,
    /// Time the last sync took. Unit: microseconds.
    pub last_sync_micros: u64,
    /// Time the longest sync since the start took. Unit: microseconds.
    pub longest_sync_micros: u64,
    /// Bytes of all segments.
    pub journal_bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// Bytes of the checkpoint.
    pub checkpoint_bytes: u64,
    /// Checkpoints written since the start.
    pub checkpoints: u64,
    /// Time the last checkpoint took. Unit: microseconds.
    pub last_checkpoint_micros: u64,
    /// Checkpoints that failed since the start; each is tried again.
    pub checkpoint_failures: u64,
}
