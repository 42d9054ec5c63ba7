//! How much more memory all guests together may take: set by whoever watches the machine, used up
//! by growth, asked nowhere else.
//!
//! Growth is reserved while its turn runs, since the guest may touch it at any time until then; at
//! the turn's end it counts as used until the next setting, which has seen what was touched.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use caxton_model::{ByteSize, ErrorCode, Fault};

/// Nobody watches: growth is bounded by each guest's own limit alone.
const UNWATCHED: i64 = i64::MAX;

/// The room that is left for guests' memory. Clones are the same room.
#[derive(Debug, Clone)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Of the budget, at the last setting, less what turns that ended since took.
    left: AtomicI64,
    /// What turns that run have taken.
    reserved: AtomicI64,
    budget: AtomicU64,
    refused: AtomicU64,
    wanted: AtomicU64,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Inner {
            left: AtomicI64::new(UNWATCHED),
            reserved: AtomicI64::new(0),
            budget: AtomicU64::new(u64::MAX),
            refused: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
        }))
    }
}

impl Room {
    /// Says how much is left of which budget. Unit: bytes.
    pub fn set(&self, left: u64, budget: u64) {
        let left = i64::try_from(left).unwrap_or(UNWATCHED - 1);
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
    fn is_watched(&self) -> bool {
        self.0.left.load(Relaxed) != UNWATCHED
    }
}

/// What one guest has taken of the room in the turn that runs; given up when dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    room: Room,
    bytes: i64,
}

impl Reserved {
    pub(crate) const fn new(room: Room) -> Self {
        Self { room, bytes: 0 }
    }
    /// Takes so much for a guest that grows; whether there was enough.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        if bytes == 0 || !self.room.is_watched() {
            return true;
        }
        let inner = &self.room.0;
        let asked = i64::try_from(bytes).unwrap_or(UNWATCHED);
        let before = inner.reserved.fetch_add(asked, Relaxed);
        if before.saturating_add(asked) > inner.left.load(Relaxed) {
            inner.reserved.fetch_sub(asked, Relaxed);
            self.room.refuse(bytes);
            return false;
        }
        self.bytes = self.bytes.saturating_add(asked);
        true
    }
    /// Takes what the guest had before it was packed: it can't be refused.
    pub(crate) fn retake(&mut self, bytes: u64) {
        if self.room.is_watched() {
            let bytes = i64::try_from(bytes).unwrap_or(0);
            self.room.0.reserved.fetch_add(bytes, Relaxed);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }
    /// Gives back what the guest did not get after all.
    pub(crate) fn give(&mut self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(0).min(self.bytes);
        self.bytes -= bytes;
        self.room.0.reserved.fetch_sub(bytes, Relaxed);
    }
    /// The turn has ended: what was taken counts as used.
    pub(crate) fn settle(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            self.room.0.left.fetch_sub(bytes, Relaxed);
            self.room.0.reserved.fetch_sub(bytes, Relaxed);
        }
    }
    /// Whether there is any for a new instance, whose initial memory is not charged: most of it is
    /// never touched.
    pub(crate) fn is_left(&self) -> bool {
        let is_left = self.room.0.left.load(Relaxed) > 0;
        if !is_left {
            self.room.refuse(1);
        }
        is_left
    }
    /// The fault of a guest that did not get what it asked for.
    pub(crate) fn fault(&self, asked_bytes: u64) -> Fault {
        Fault::new(
            ErrorCode::NodeBudget,
            format!(
                "the node's budget `memory` of {} is used up, the guest asked for {} of memory; {}",
                ByteSize(self.room.0.budget.load(Relaxed)),
                ByteSize(asked_bytes),
                ErrorCode::NodeBudget.remedy()
            ),
        )
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_more(room: &Room, bytes: u64) -> bool {
        Reserved::new(room.clone()).take(bytes)
    }

    #[test]
    fn where_nobody_watches_there_is_always_room() {
        let mut guest = Reserved::new(Room::default());
        assert!(guest.take(u64::MAX) && guest.is_left());
    }

    #[test]
    fn what_a_turn_takes_is_reserved_until_its_end_and_used_until_the_next_setting() {
        let room = Room::default();
        room.set(100, 1_000);
        let (mut one, mut two) = (Reserved::new(room.clone()), Reserved::new(room.clone()));
        assert!(one.take(60) && !two.take(60) && two.take(40));
        // Measured anew while both still run: what they took may be touched or not, and is kept.
        room.set(100, 1_000);
        assert!(!two.take(1));
        two.give(40);
        assert!(two.take(30));
        drop(one);
        assert!(!two.take(11) && two.take(10), "used until it is measured");
        room.set(100, 1_000);
        assert!(two.take(60));
        assert_eq!(
            (room.refused(), room.take_wanted(), room.take_wanted()),
            (3, 60, 0)
        );
        assert!(two.fault(5).text.contains("budget `memory`"));
        two.settle();
        room.set(50, 1_000);
        two.retake(60);
        assert!(!one_more(&room, 1), "beyond what is left");
        two.settle();
        assert!(!two.is_left(), "until it is measured");
        room.set(50, 1_000);
        assert!(one_more(&room, 50));
        room.set(0, 1_000);
        assert!(!two.is_left());
    }
}
