//! The rate of a guest's log lines: a bucket of tokens, for whoever implements [`crate::HostCalls`].

use caxton_model::Timestamp;

/// How many lines a guest may still log. One second's worth at most, at first and ever after.
#[derive(Debug)]
pub struct LogRate {
    tokens: f64,
    at: Timestamp,
    dropped: u64,
}

/// What becomes of a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogVerdict {
    /// It is kept; the text says how many before it were not, if any.
    Kept(Option<String>),
    /// It is over the rate.
    Dropped,
}

impl LogRate {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u64, now: Timestamp) -> Self {
        Self {
            tokens: float(per_second),
            at: now,
            dropped: 0,
        }
    }
    /// Whether a line is within `log_lines_per_second`.
    pub fn line(&mut self, now: Timestamp, per_second: u64) -> LogVerdict {
        let burst = float(per_second);
        let elapsed = float(now.since(self.at).0) / 1e6;
        self.at = now;
        self.tokens = (self.tokens + elapsed * burst).min(burst);
        if self.tokens < 1.0 {
            self.dropped += 1;
            return LogVerdict::Dropped;
        }
        self.tokens -= 1.0;
        LogVerdict::Kept(self.take_dropped(per_second))
    }
    /// Says how many lines were dropped since the last one that was kept, if nobody has said so yet.
    pub fn take_dropped(&mut self, per_second: u64) -> Option<String> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| {
            format!("{dropped} log lines were dropped: over log_lines_per_second = {per_second}")
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_over_the_rate_are_counted_and_said() {
        let mut rate = LogRate::new(100, Timestamp(0));
        let kept = (0..250)
            .filter(|_| rate.line(Timestamp(0), 100) != LogVerdict::Dropped)
            .count();
        assert_eq!(kept, 100);
        let said = "150 log lines were dropped: over log_lines_per_second = 100".to_owned();
        assert_eq!(
            rate.line(Timestamp(1_000_000), 100),
            LogVerdict::Kept(Some(said))
        );
        assert_eq!(rate.line(Timestamp(1_000_000), 100), LogVerdict::Kept(None));
    }
}
