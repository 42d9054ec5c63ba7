//! What requests make the server look at, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Elements that routes looked at: entries of lists, agents, messages, events, tokens.
///
/// Counted instead of timed, so that a test can hold the work of each route to what it was given.
#[derive(Debug, Default)]
pub(crate) struct Work(AtomicU64);

impl Work {
    /// So many more.
    pub(crate) fn visit(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }
    /// All so far.
    #[cfg(test)]
    pub(crate) fn visited(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
