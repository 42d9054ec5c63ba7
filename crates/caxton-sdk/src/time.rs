//! Time and chance, as the host gives them: recorded, and seeded.

use crate::sys;

/// The time. Unit: microseconds since 1970.
#[must_use]
pub fn current_timestamp() -> u64 {
    u64::try_from(sys::now()).unwrap_or_default()
}

/// A number from the turn's seeded generator; not for secrets.
#[must_use]
pub fn random_u32() -> u32 {
    sys::random()
}

/// Waits inside the turn: counts as wall time, which is limited. To wait longer, take a
/// [`crate::HostTimer`].
pub fn sleep_micros(micros: u64) {
    sys::sleep(i64::try_from(micros).unwrap_or(i64::MAX));
}
