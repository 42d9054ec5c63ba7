//! The time that a guest sees: its host's clock, or a virtual one under `deterministic`.

use std::time::Duration;

use caxton_model::Timestamp;

use crate::ctx::Ctx;

/// How far each reading moves a virtual clock, so that waiting by reading it comes to an end.
const READING: Duration = Duration::from_micros(1);
/// Where the monotonic clock starts: Go's runtime refuses one that reads 0. Unit: nanoseconds.
const MONOTONIC_START_NANOS: u64 = 1_000_000_000;

/// A clock of WASI preview 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WasiClock {
    Real,
    /// Also stands for the two clocks of CPU time.
    Monotonic,
}

impl WasiClock {
    /// The clock with that number; `None`: preview 1 has none.
    pub(crate) fn of(id: i32) -> Option<Self> {
        match id {
            0 => Some(Self::Real),
            1..=3 => Some(Self::Monotonic),
            _ => None,
        }
    }
}

/// What a guest's clock has shown so far.
#[derive(Debug, Default)]
pub(crate) struct GuestClock {
    /// The virtual time of the turn; `None`: not read yet.
    virtual_now: Option<Duration>,
    /// The first monotonic time that was read, and the last that was shown. Unit: nanoseconds.
    first_nanos: Option<u64>,
    monotonic_nanos: u64,
}

impl GuestClock {
    /// A new turn reads its host's clock anew.
    pub(crate) fn begin_turn(&mut self) {
        self.virtual_now = None;
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Ctx {
    /// The time since the Unix epoch, or since any moment for the monotonic clock. Under
    /// `deterministic` both are the host's at the turn's first reading, and each reading moves them by
    /// a microsecond.
    fn time(&mut self, clock: WasiClock) -> Duration {
        if let Some(now) = self.clock.virtual_now {
            self.clock.virtual_now = Some(now.saturating_add(READING));
            return now;
        }
        let now = match clock {
            WasiClock::Real => self.host.now(),
            WasiClock::Monotonic => self.host.steady(),
        };
        let now = Duration::from_micros(u64::try_from(now.0).unwrap_or(0));
        if self.deterministic {
            self.clock.virtual_now = Some(now.saturating_add(READING));
        }
        now
    }
    /// The time that the host's own functions show.
    pub(crate) fn timestamp(&mut self) -> Timestamp {
        let micros = self.time(WasiClock::Real).as_micros();
        Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
    }
    /// What a clock of WASI shows; the monotonic one starts with its first reading.
    pub(crate) fn clock_nanos(&mut self, clock: WasiClock) -> u64 {
        let now = nanos(self.time(clock));
        // The two run apart from each other, but for a virtual clock, which both show.
        if clock == WasiClock::Real && !self.deterministic {
            return now;
        }
        let first = *self.clock.first_nanos.get_or_insert(now);
        if clock == WasiClock::Real {
            return now;
        }
        let since = now
            .saturating_sub(first)
            .saturating_add(MONOTONIC_START_NANOS);
        self.clock.monotonic_nanos = self.clock.monotonic_nanos.max(since);
        self.clock.monotonic_nanos
    }
    /// Moves a virtual clock over a sleep that takes no time.
    pub(crate) fn skip(&mut self, slept: Duration) {
        let now = self.time(WasiClock::Real);
        self.clock.virtual_now = Some(now.saturating_add(slept));
    }
}
