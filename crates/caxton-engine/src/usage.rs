//! What a turn or call used: measured by the engine, shown beside the limits.

use serde::{Deserialize, Serialize};

/// What one turn or call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Time really run. Unit: nanoseconds.
    pub cpu_nanos: u64,
    /// Time suspended in host functions. Unit: nanoseconds.
    pub host_wait_nanos: u64,
    /// Sum of all linear memories at the end. Unit: bytes.
    pub memory_bytes: u64,
    /// The most it was in this instance's life. Unit: bytes.
    pub memory_peak_bytes: u64,
    /// Sum of all tables at the end. Unit: elements.
    pub table_elements: u64,
    /// Host functions called.
    pub host_calls: u64,
    /// `memory.grow` requests, refused ones too.
    pub allocations: u64,
    /// Fuel burned, under the profiles that meter it.
    pub fuel: u64,
    /// Log lines written.
    pub log_lines: u64,
    /// How often the guest was pre-empted.
    pub preemptions: u64,
}

impl Usage {
    /// Run and host wait together. Unit: nanoseconds.
    #[must_use]
    pub const fn wall_nanos(&self) -> u64 {
        self.cpu_nanos.saturating_add(self.host_wait_nanos)
    }
}
