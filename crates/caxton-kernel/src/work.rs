//! What the host does on a guest's behalf, counted.

use std::cell::Cell;

/// Elements that the host looked at: entries of lists, agents, subscriptions, messages.
///
/// Counted instead of timed, since the kernel has no clock and must decide the same each time.
#[derive(Debug, Default)]
pub(crate) struct Work(Cell<u64>);

/// Elements that one token of a sender's rate pays for.
///
/// About a millisecond: at 100 messages a second a tenth of a shard.
pub(crate) const ELEMENTS_A_TOKEN: u64 = 10_000;

/// Bytes of texts that are read or written for the price of one element.
pub(crate) const BYTES_AN_ELEMENT: usize = 64;

/// Elements that are looked at within a microsecond.
const ELEMENTS_A_MICRO: u64 = 10;

impl Work {
    /// So many more.
    pub(crate) fn visit(&self, count: usize) {
        self.0.set(self.0.get().saturating_add(count as u64));
    }
    /// All so far.
    pub(crate) fn visited(&self) -> u64 {
        self.0.get()
    }
}

/// What so many elements cost. Unit: microseconds.
pub(crate) const fn micros(elements: u64) -> u64 {
    elements / ELEMENTS_A_MICRO
}
