//! Faults that a test build plants on purpose: a test that never saw the fault it looks for proves
//! nothing.
//!
//! Without the feature `planted` every question is the constant `false`, and the branch is not
//! even compiled. No shipped program is built with it.

use crate::LimitName;

/// What can be planted, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A message is visible to its receiver before its record has its place in the order.
    DeliverEarly,
    /// A client's retry runs again.
    SkipDedupe,
    /// A group is said to be durable without its sync.
    DropSync,
    /// A timer that has rung rings again.
    DoubleTimer,
    /// After a restart a consumed message is in its mailbox again.
    ForgetWatermark,
    /// The instance that faulted is used for the next turn.
    ReuseFaultedInstance,
    /// What could not be delivered is dropped.
    LoseDeadLetter,
    /// A mailbox takes more than its limit.
    WidenQueue,
    /// An access is performed before its intent is durable.
    PerformEarly,
    /// What an access came to is not recorded.
    DropOutcome,
    /// What an access came to is recorded as that of another one.
    WrongAccess,
    /// Two accesses of one turn have the same idempotency key.
    SameAccessKey,
    /// One limit does not bind.
    WithoutLimit(LimitName),
}

#[cfg(feature = "planted")]
mod chosen {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{LimitName, Planted};

    /// 0: nothing is planted.
    static CHOSEN: AtomicU32 = AtomicU32::new(0);
    /// Numbers of limits begin here.
    const LIMITS: u32 = 100;

    fn number(planted: Planted) -> u32 {
        match planted {
            Planted::DeliverEarly => 1,
            Planted::SkipDedupe => 2,
            Planted::DropSync => 3,
            Planted::DoubleTimer => 4,
            Planted::ForgetWatermark => 5,
            Planted::ReuseFaultedInstance => 6,
            Planted::LoseDeadLetter => 7,
            Planted::WidenQueue => 8,
            Planted::PerformEarly => 9,
            Planted::DropOutcome => 10,
            Planted::WrongAccess => 11,
            Planted::SameAccessKey => 12,
            Planted::WithoutLimit(name) => {
                let at = LimitName::ALL.iter().position(|known| *known == name);
                LIMITS + u32::try_from(at.unwrap_or(0)).unwrap_or(0)
            }
        }
    }

    /// Plants a fault in the whole process, in place of the one before.
    pub fn plant(planted: Option<Planted>) {
        CHOSEN.store(planted.map_or(0, number), Ordering::Relaxed);
    }

    /// Whether this fault is planted.
    #[must_use]
    pub fn is_planted(planted: Planted) -> bool {
        CHOSEN.load(Ordering::Relaxed) == number(planted)
    }
}

#[cfg(feature = "planted")]
pub use chosen::{is_planted, plant};

/// Whether this fault is planted: never, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
#[inline(always)]
pub const fn is_planted(_: Planted) -> bool {
    false
}
