//! The node's clocks, and the one place that reads the machine's.
//!
//! Whatever waits, ages or is rated follows [`now`], the node's time: it starts at the wall clock,
//! but not before the last recorded time, then goes on with the machine's monotonic clock. So it never
//! goes back, and a step of the wall clock does not move it. People and guests see the wall clock:
//! [`wall`] is its time, and [`shown`] gives the wall-clock time of a moment in node time.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime},
};

use caxton_model::Timestamp;

/// A difference between the two clocks that counts as a step. Less comes from reading them one after
/// the other, and would change what is shown of one moment from one look to the next.
const STEP_MICROS: u64 = 100_000;

/// Time between two looks at the wall clock for steps, where they are many: a look is not free.
const LOOK_EVERY_MICROS: i64 = 10_000;

/// Both clocks, as of readings of the machine's. Unit: microseconds.
#[derive(Debug)]
struct Clock {
    /// Node time when the monotonic clock was 0.
    base: AtomicI64,
    /// Wall clock less node time, as of the last step.
    ahead: AtomicI64,
    /// The monotonic clock at the last look at the wall clock.
    looked: AtomicI64,
}

impl Clock {
    /// Node time starts at the wall clock.
    fn at(monotonic: i64, wall: i64) -> Self {
        Self {
            base: AtomicI64::new(wall.saturating_sub(monotonic)),
            ahead: AtomicI64::new(0),
            looked: AtomicI64::new(monotonic),
        }
    }
    fn now(&self, monotonic: i64) -> i64 {
        self.base.load(Ordering::Relaxed).saturating_add(monotonic)
    }
    /// Node time goes on at the wall clock or behind `last`, whichever is later, but not back.
    fn go_on(&self, last: i64, monotonic: i64, wall: i64) {
        let from = wall.max(last.saturating_add(1));
        self.base
            .fetch_max(from.saturating_sub(monotonic), Ordering::Relaxed);
    }
    /// How far the wall clock is ahead of node time.
    fn ahead(&self, monotonic: i64, wall: i64) -> i64 {
        self.looked.store(monotonic, Ordering::Relaxed);
        let (found, known) = (
            wall.saturating_sub(self.now(monotonic)),
            self.ahead.load(Ordering::Relaxed),
        );
        if found.abs_diff(known) < STEP_MICROS {
            return known;
        }
        // A small rest is no step: the clocks agree again.
        let found = if found.unsigned_abs() < STEP_MICROS {
            0
        } else {
            found
        };
        self.ahead.store(found, Ordering::Relaxed);
        found
    }
}

static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::at(monotonic(), wall().0));
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn monotonic() -> i64 {
    i64::try_from(START.elapsed().as_micros()).unwrap_or(i64::MAX)
}

/// The wall clock's time: what guests read.
#[allow(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Node time.
pub(crate) fn now() -> Timestamp {
    Timestamp(CLOCK.now(monotonic()))
}

/// Node time, and how far the wall clock is ahead of it as of a moment ago. Unit: microseconds.
pub(crate) fn read() -> (Timestamp, i64) {
    let monotonic = monotonic();
    let looked = CLOCK.looked.load(Ordering::Relaxed);
    let ahead = match monotonic.saturating_sub(looked) < LOOK_EVERY_MICROS {
        true => CLOCK.ahead.load(Ordering::Relaxed),
        false => CLOCK.ahead(monotonic, wall().0),
    };
    (Timestamp(CLOCK.now(monotonic)), ahead)
}

/// Continues node time over a restart: from the wall clock, but behind the last recorded time.
pub(crate) fn go_on(last_recorded: Timestamp) {
    CLOCK.go_on(last_recorded.0, monotonic(), wall().0);
}

/// The wall-clock time of a moment that a node recorded or reported.
///
/// The two differ only after a step of the wall clock, which moves what is shown of earlier moments,
/// too: a minute ago stays a minute ago.
#[must_use]
pub fn shown(at: Timestamp) -> Timestamp {
    let ahead = CLOCK.ahead(monotonic(), wall().0);
    Timestamp(at.0.saturating_add(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const START: i64 = 1_700_000_000 * SECOND;

    #[test]
    fn a_step_of_the_wall_clock_moves_what_is_shown_and_nothing_else() {
        for step in [-30, 30, -1, 1, -86_400 * 365, 86_400 * 365] {
            let step = step * SECOND;
            let clock = Clock::at(5 * SECOND, START);
            assert_eq!(clock.now(6 * SECOND), START + SECOND);
            assert_eq!(clock.ahead(6 * SECOND, START + SECOND), 0);
            // The wall clock is set; a second later node time is a second later.
            assert_eq!(clock.ahead(7 * SECOND, START + 2 * SECOND + step), step);
            assert_eq!(clock.now(7 * SECOND), START + 2 * SECOND);
            // And back again.
            assert_eq!(clock.ahead(8 * SECOND, START + 3 * SECOND + 9), 0);
            assert_eq!(clock.now(8 * SECOND), START + 3 * SECOND);
        }
    }

    #[test]
    fn reading_one_clock_after_the_other_is_no_step() {
        let clock = Clock::at(0, START);
        assert_eq!(clock.ahead(SECOND, START + SECOND + 99_999), 0);
        assert_eq!(clock.ahead(SECOND, START + SECOND - 99_999), 0);
        let step = 60 * SECOND;
        assert_eq!(clock.ahead(SECOND, START + SECOND + step), step);
        assert_eq!(clock.ahead(SECOND, START + SECOND + step + 50_000), step);
    }

    #[test]
    fn after_a_restart_time_goes_on_from_the_wall_clock_but_not_before_what_was_recorded() {
        // The wall clock is behind the journal.
        let clock = Clock::at(0, START);
        clock.go_on(START + 30 * SECOND, 0, START);
        assert_eq!(clock.now(0), START + 30 * SECOND + 1);
        assert_eq!(clock.now(SECOND), START + 31 * SECOND + 1);
        assert_eq!(clock.ahead(SECOND, START + SECOND), -30 * SECOND - 1);
        // It is ahead of it.
        let clock = Clock::at(0, START);
        clock.go_on(START - 30 * SECOND, 0, START);
        assert_eq!(clock.now(0), START);
        // Nothing was recorded.
        clock.go_on(i64::MIN, 0, START);
        assert_eq!(clock.now(0), START);
    }

    #[test]
    fn node_time_never_goes_back_and_takes_as_long_as_the_monotonic_clock() {
        let clock = Clock::at(0, START);
        let (mut monotonic, mut wall, mut random) = (0, START, 1_u64);
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005) + 1;
            let passed = i64::try_from(random >> 44).unwrap();
            // Steps of microseconds to weeks, in both directions.
            let step = (random >> (random & 31)).cast_signed() >> 24;
            let before = clock.now(monotonic);
            monotonic += passed;
            wall += passed + step;
            let ahead = clock.ahead(monotonic, wall);
            assert_eq!(clock.now(monotonic), before + passed);
            let shown = clock.now(monotonic) + ahead;
            assert!(shown.abs_diff(wall) < STEP_MICROS, "after a step of {step}");
        }
    }
}
