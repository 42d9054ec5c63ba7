//! A rate as tokens: one second's worth at most, refilled as time passes.

use caxton_model::{Timestamp, UNLIMITED};

/// How much of a rate is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) tokens: f64,
    pub(crate) at: Timestamp,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(rate: u64, at: Timestamp) -> Self {
        Self {
            tokens: burst(rate),
            at,
        }
    }
    /// Adds what time has brought.
    pub(crate) fn refill(&mut self, rate: u64, now: Timestamp) {
        #[allow(clippy::cast_precision_loss, reason = "a second's share of a rate")]
        let seconds = now.since(self.at).0 as f64 / 1e6;
        self.tokens = (self.tokens + seconds * burst(rate)).min(burst(rate));
        self.at = self.at.max(now);
    }
    /// Takes so many for what was done already; those that are not there are owed.
    pub(crate) fn owe(&mut self, count: u64) {
        self.tokens -= burst(count);
    }
    /// Takes so many, or none.
    pub(crate) fn take(&mut self, rate: u64, count: u64) -> bool {
        let count = burst(count);
        if rate == UNLIMITED {
            return true;
        }
        let enough = self.tokens + 1e-6 >= count;
        if enough {
            self.tokens -= count;
        }
        enough
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "rates above 2^53 a second do not bind"
)]
fn burst(rate: u64) -> f64 {
    rate as f64
}

#[cfg(test)]
mod tests {
    use caxton_model::Micros;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In any stretch of time no more is taken than one second's worth and what time brings.
        #[test]
        fn a_rate_is_kept(
            rate in 0..200_u64,
            acts in prop::collection::vec((0..400_000_u64, 1..20_u64), 1..100),
        ) {
            let mut now = Timestamp(0);
            let mut bucket = Bucket::full(rate, now);
            let mut taken = 0;
            for (pause, count) in acts {
                now = now.after(Micros(pause));
                bucket.refill(rate, now);
                if bucket.take(rate, count) {
                    taken += count;
                }
                #[allow(clippy::cast_precision_loss, reason = "small numbers of a test")]
                let most = rate as f64 * (1.0 + now.0 as f64 / 1e6) + 1e-3;
                prop_assert!(burst(taken) <= most, "{taken} of {most} after {now}");
            }
        }
    }
}
