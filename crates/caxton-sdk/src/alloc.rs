//! How much memory the guest has taken from its allocator.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The allocator's books. All 0 without the feature `alloc-stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AllocStats {
    /// In use now. Unit: bytes.
    pub current_bytes: usize,
    /// The most that was in use at once. Unit: bytes.
    pub peak_bytes: usize,
    /// How often memory was asked for.
    pub allocations: usize,
}

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The books as they stand.
#[must_use]
pub fn alloc_stats() -> AllocStats {
    AllocStats {
        current_bytes: CURRENT.load(Relaxed),
        peak_bytes: PEAK.load(Relaxed),
        allocations: COUNT.load(Relaxed),
    }
}

#[cfg(feature = "alloc-stats")]
pub(crate) fn took(bytes: usize) {
    let now = CURRENT.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
    COUNT.fetch_add(1, Relaxed);
}

#[cfg(feature = "alloc-stats")]
pub(crate) fn gave_back(bytes: usize) {
    CURRENT.fetch_sub(bytes, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_see_an_allocation() {
        let before = alloc_stats();
        let bytes = std::hint::black_box(vec![1_u8; 1 << 20]);
        let during = alloc_stats();
        assert!(during.allocations > before.allocations);
        assert!(during.peak_bytes >= 1 << 20, "{during:?}");
        drop(bytes);
    }
}
