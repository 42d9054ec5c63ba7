//! How much more memory all guests together may take: set by whoever watches the machine, used up
//! by growth, asked nowhere else.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use caxton_model::{ByteSize, ErrorCode, Fault};

/// Nobody watches: growth is bounded by each guest's own limit alone.
const UNWATCHED: i64 = i64::MAX;

/// The room that is left for guests' memory. Clones are the same room.
///
/// It is as exact as its last setting: growth uses it up, what is given back shows at the next one.
#[derive(Debug, Clone)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    left: AtomicI64,
    budget: AtomicU64,
    refused: AtomicU64,
    wanted: AtomicU64,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Inner {
            left: AtomicI64::new(UNWATCHED),
            budget: AtomicU64::new(u64::MAX),
            refused: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
        }))
    }
}

impl Room {
    /// Says how much is left of which budget. Unit: bytes.
    pub fn set(&self, left: u64, budget: u64) {
        let left = i64::try_from(left).unwrap_or(UNWATCHED);
        self.0.budget.store(budget, Relaxed);
        self.0.left.store(left, Relaxed);
    }
    /// Growths and instances that were refused, ever.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }
    /// The most that was asked for in vain since the last time; 0: nothing was. Unit: bytes.
    #[must_use]
    pub fn take_wanted(&self) -> u64 {
        self.0.wanted.swap(0, Relaxed)
    }
    fn refuse(&self, bytes: u64) {
        self.0.refused.fetch_add(1, Relaxed);
        self.0.wanted.fetch_max(bytes, Relaxed);
    }
    /// Takes so much for a guest that grows; whether there was enough.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let left = self.0.left.load(Relaxed);
        if left == UNWATCHED || bytes == 0 {
            return true;
        }
        let asked = i64::try_from(bytes).unwrap_or(UNWATCHED);
        if asked <= left && self.0.left.fetch_sub(asked, Relaxed) >= asked {
            return true;
        }
        self.refuse(bytes);
        false
    }
    /// Whether there is any for a new instance, whose initial memory is not charged: most of it is
    /// never touched.
    pub(crate) fn is_left(&self) -> bool {
        let is_left = self.0.left.load(Relaxed) > 0;
        if !is_left {
            self.refuse(1);
        }
        is_left
    }
    /// The fault of a guest that did not get what it asked for.
    pub(crate) fn fault(&self, asked_bytes: u64) -> Fault {
        Fault::new(
            ErrorCode::NodeBudget,
            format!(
                "the node's budget `memory` of {} is used up, the guest asked for {} of memory; {}",
                ByteSize(self.0.budget.load(Relaxed)),
                ByteSize(asked_bytes),
                ErrorCode::NodeBudget.remedy()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_up_and_set_anew() {
        let room = Room::default();
        assert!(room.take(u64::MAX) && room.is_left(), "nobody watches");
        room.set(100, 1_000);
        assert!(room.take(60) && !room.take(60) && room.take(40));
        assert!(!room.is_left());
        room.set(1, 1_000);
        assert!(room.is_left());
        assert_eq!(room.refused(), 2);
        assert_eq!((room.take_wanted(), room.take_wanted()), (60, 0));
        assert!(room.fault(5).text.contains("budget `memory`"));
    }
}
