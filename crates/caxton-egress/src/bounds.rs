//! What a guest may send and receive, in one request and in a minute.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use caxton_model::{LimitName, Limits};
use tokio::time::Instant;

use crate::HttpFailure;

/// The limits of the guest whose request is sent.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// The guest's limits, of which `http_per_minute`, `http_body_bytes`, `http_bytes_per_minute` and
    /// `net_bytes_per_minute` count here.
    pub limits: &'a Limits,
    /// Bytes of a request's headers, and of a response's.
    pub field_bytes: u64,
    /// Time for the whole request, redirects included.
    pub total: Duration,
    /// What the guest has used of its limits a minute.
    pub budgets: &'a Budgets,
}

impl Bounds<'_> {
    /// Bytes of a request's body, and of a response's.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.limits.get(LimitName::HttpBodyBytes)
    }
    /// Takes one request of so many bytes, or nothing.
    pub(crate) fn take_request(&self, bytes: u64) -> Result<(), HttpFailure> {
        self.budgets.take(self.limits, 1, bytes, Instant::now())
    }
    /// Takes bytes that were received.
    pub(crate) fn take_received(&self, bytes: u64) -> Result<(), HttpFailure> {
        self.budgets.owe(self.limits, bytes, Instant::now())
    }
}

/// What one guest has used of its limits a minute. The caller keeps it as long as the guest is there.
#[derive(Debug, Default)]
pub struct Budgets(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    requests: TokenBucket,
    http_bytes: TokenBucket,
    net_bytes: TokenBucket,
}

impl Buckets {
    fn rows(&mut self) -> [(LimitName, &mut TokenBucket); 3] {
        [
            (LimitName::HttpPerMinute, &mut self.requests),
            (LimitName::HttpBytesPerMinute, &mut self.http_bytes),
            (LimitName::NetBytesPerMinute, &mut self.net_bytes),
        ]
    }
}

impl Budgets {
    /// What is used of each limit a minute by now.
    pub fn used(&self, limits: &Limits) -> [(LimitName, u64); 3] {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        buckets.rows().map(|(name, bucket)| {
            bucket.fill(limits.get(name), now);
            (name, bucket.used())
        })
    }
    /// Takes so many requests and bytes of all limits, or nothing.
    fn take(
        &self,
        limits: &Limits,
        requests: u64,
        bytes: u64,
        now: Instant,
    ) -> Result<(), HttpFailure> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |name| match name {
            LimitName::HttpPerMinute => requests,
            _ => bytes,
        };
        for (name, bucket) in buckets.rows() {
            let limit = limits.get(name);
            bucket.fill(limit, now);
            let wait = bucket.wait(count(name), limit);
            if wait != Some(Duration::ZERO) {
                return Err(HttpFailure::Rate { name, limit, wait });
            }
        }
        for (name, bucket) in buckets.rows() {
            bucket.take(count(name));
        }
        Ok(())
    }
    /// Takes bytes that have passed already. What is more than there was is owed, so that it is missing
    /// from what comes next.
    fn owe(&self, limits: &Limits, bytes: u64, now: Instant) -> Result<(), HttpFailure> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Ok(());
        for (name, bucket) in buckets.rows().into_iter().skip(1) {
            let limit = limits.get(name);
            bucket.fill(limit, now);
            bucket.take(bytes);
            if over.is_ok() && bucket.used() > limit {
                // The response will be as long the next time: the whole bucket may be needed.
                let wait = bucket.wait(limit, limit);
                over = Err(HttpFailure::Rate { name, limit, wait });
            }
        }
        over
    }
}

/// Parts of a token: what a limit of one a minute gives back in a nanosecond.
const PARTS_OF_TOKEN: u128 = 60_000_000_000;

/// A token bucket that holds the tokens of one minute, is full at first, and is filled evenly.
///
/// In a time of `t` minutes it gives at most `(1 + t) * limit` tokens: what it holds, and what it is
/// given meanwhile. The limit may change between any two calls.
#[derive(Debug, Default)]
struct TokenBucket {
    /// Parts of tokens that are missing.
    taken: u128,
    /// The time up to which it is filled; `None`: nothing was ever taken.
    filled: Option<Instant>,
}

impl TokenBucket {
    /// Gives back what has come in until now.
    fn fill(&mut self, limit: u64, now: Instant) {
        let filled = self.filled.map_or(now, |filled| filled.max(now));
        let passed = self
            .filled
            .map_or(0, |before| filled.duration_since(before).as_nanos());
        self.filled = Some(filled);
        let come_in = passed.saturating_mul(limit.into());
        self.taken = self.taken.saturating_sub(come_in);
    }
    /// The time until so many tokens are there; `None`: they never are.
    fn wait(&self, count: u64, limit: u64) -> Option<Duration> {
        if count > limit {
            return None;
        }
        let parts = |tokens: u64| u128::from(tokens) * PARTS_OF_TOKEN;
        let missing = (self.taken.saturating_add(parts(count))).saturating_sub(parts(limit));
        if missing == 0 {
            return Some(Duration::ZERO);
        }
        // A limit of none is never filled.
        let whole = missing.checked_div(limit.into())?;
        let nanos = whole.saturating_add(1);
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }
    fn take(&mut self, count: u64) {
        let parts = u128::from(count) * PARTS_OF_TOKEN;
        self.taken = self.taken.saturating_add(parts);
    }
    /// Tokens that are missing, a begun one included.
    fn used(&self) -> u64 {
        u64::try_from(self.taken.div_ceil(PARTS_OF_TOKEN)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Numbers that look random and are the same in each run.
    struct Numbers(u64);
    impl Numbers {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005) + 1;
            (self.0 >> 33) % most
        }
    }

    fn limits(requests: u64, http: u64, net: u64) -> Limits {
        let mut limits = Limits::unlimited();
        limits.set(LimitName::HttpPerMinute, requests);
        limits.set(LimitName::HttpBytesPerMinute, http);
        limits.set(LimitName::NetBytesPerMinute, net);
        limits
    }

    fn over(result: Result<(), HttpFailure>) -> (LimitName, Option<Duration>) {
        match result {
            Err(HttpFailure::Rate { name, wait, .. }) => (name, wait),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_time_sees_more_than_the_limit_for_each_of_its_minutes_and_one_bucket_more() {
        let mut numbers = Numbers(7);
        for round in 0..300 {
            let limit = 1 + numbers.below(if round % 2 == 0 { 10 } else { 100_000 });
            let start = Instant::now();
            let (mut at, mut bucket) = (start, TokenBucket::default());
            let mut taken: Vec<(Instant, u64)> = Vec::new();
            for _ in 0..200 {
                at += Duration::from_micros(numbers.below(20_000_000));
                let count = 1 + numbers.below(limit);
                bucket.fill(limit, at);
                if bucket.wait(count, limit) == Some(Duration::ZERO) {
                    bucket.take(count);
                    taken.push((at, count));
                }
            }
            assert!(taken.len() > 10, "{limit}: {}", taken.len());
            // From each taking on to each later one.
            for (first, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0_u128;
                for (to, count) in &taken[first..] {
                    sum += u128::from(*count);
                    let nanos = to.duration_since(*from).as_nanos();
                    let most = u128::from(limit) * (PARTS_OF_TOKEN + nanos);
                    assert!(sum * PARTS_OF_TOKEN <= most, "{limit}: {sum} in {nanos} ns");
                }
            }
        }
    }

    #[test]
    fn what_is_refused_is_there_after_the_time_that_it_was_told_and_not_before() {
        let mut numbers = Numbers(11);
        for _ in 0..2_000 {
            let limit = 1 + numbers.below(1_000);
            let now = Instant::now();
            let mut bucket = TokenBucket::default();
            bucket.fill(limit, now);
            bucket.take(numbers.below(2 * limit));
            let count = 1 + numbers.below(limit);
            let wait = bucket.wait(count, limit).unwrap();
            if wait.is_zero() {
                continue;
            }
            let mut early = TokenBucket { ..bucket };
            early.fill(limit, now + wait.saturating_sub(Duration::from_nanos(2)));
            assert_ne!(early.wait(count, limit), Some(Duration::ZERO));
            bucket.fill(limit, now + wait);
            assert_eq!(bucket.wait(count, limit), Some(Duration::ZERO));
        }
    }

    #[test]
    fn a_bucket_is_full_at_first_and_again_after_a_minute_and_never_fuller() {
        let (limits, budgets) = (limits(60, 1_000, 1_000), Budgets::default());
        let now = Instant::now();
        for _ in 0..60 {
            budgets.take(&limits, 1, 1, now).unwrap();
        }
        let (name, wait) = over(budgets.take(&limits, 1, 1, now));
        assert_eq!(name, LimitName::HttpPerMinute);
        assert_eq!(wait.unwrap().as_millis(), 1_000);
        let later = now + 10 * MINUTE;
        for _ in 0..60 {
            budgets.take(&limits, 1, 1, later).unwrap();
        }
        over(budgets.take(&limits, 1, 1, later));
    }

    #[test]
    fn what_one_limit_refuses_is_taken_from_none() {
        let (limits, budgets) = (limits(2, 100, 50), Budgets::default());
        let now = Instant::now();
        for _ in 0..9 {
            let (name, wait) = over(budgets.take(&limits, 1, 60, now));
            assert_eq!((name, wait), (LimitName::NetBytesPerMinute, None));
        }
        budgets.take(&limits, 1, 50, now).unwrap();
        let (name, _) = over(budgets.take(&limits, 1, 1, now));
        assert_eq!(name, LimitName::NetBytesPerMinute);
    }

    #[test]
    fn what_arrived_over_the_limit_is_owed() {
        let (limits, budgets) = (limits(100, 100, 1_000), Budgets::default());
        let now = Instant::now();
        budgets.owe(&limits, 100, now).unwrap();
        let (name, wait) = over(budgets.owe(&limits, 50, now));
        assert_eq!(name, LimitName::HttpBytesPerMinute);
        assert_eq!(wait.unwrap().as_secs(), 90);
        // Half a minute for what is owed, and more for the next request.
        over(budgets.take(&limits, 1, 1, now + MINUTE / 2));
        budgets
            .take(&limits, 1, 1, now + MINUTE / 2 + MINUTE / 50)
            .unwrap();
    }

    #[test]
    fn limits_of_nothing_and_of_everything_are_kept() {
        let now = Instant::now();
        let (name, wait) = over(Budgets::default().take(&limits(0, 1, 1), 1, 1, now));
        assert_eq!((name, wait), (LimitName::HttpPerMinute, None));
        let (unlimited, budgets) = (Limits::unlimited(), Budgets::default());
        for _ in 0..1_000 {
            budgets.take(&unlimited, 1, 1 << 40, now).unwrap();
            budgets.owe(&unlimited, 1 << 40, now).unwrap();
        }
        // A limit that was lowered to nothing meanwhile.
        over(budgets.take(&limits(0, 0, 0), 0, 0, now));
    }

    #[test]
    fn a_clock_that_was_read_earlier_gives_nothing_back_twice() {
        let (limits, budgets) = (limits(1, 100, 100), Budgets::default());
        let now = Instant::now();
        budgets.take(&limits, 1, 1, now + MINUTE).unwrap();
        over(budgets.take(&limits, 1, 1, now));
        over(budgets.take(&limits, 1, 1, now + MINUTE));
        budgets.take(&limits, 1, 1, now + 2 * MINUTE).unwrap();
    }
}
