//! What `ams` and `df` look at for an outside client is paid for out of a bucket of the client's own.
//!
//! Agents pay out of their `messages_per_second` instead. What `df` tells subscribers on its own is
//! bounded for all of them together, by its rounds, and no client pays for it: others cause it.

use std::{collections::HashMap, sync::Arc};

use caxton_model::{ErrorCode, Receiver, Timestamp};

use crate::{Refusal, bucket::Bucket, route, work::ELEMENTS_A_TOKEN};

/// Elements looked at for one client within a second, and at once.
///
/// About 100 ms, a tenth of a shard: as much as an agent's default of 100 messages a second pays for.
pub(crate) const ELEMENTS_A_SECOND: u64 = 100 * ELEMENTS_A_TOKEN;

/// Buckets that are always kept, so that few are not gone through for each request.
const KEPT_MIN: usize = 32;

/// Buckets of clients that have asked lately. Those that are full again are dropped.
#[derive(Debug, Default)]
pub(crate) struct ClientWork {
    buckets: HashMap<Arc<str>, Bucket>,
    /// How many there were when those that were full went last.
    left: usize,
}

impl ClientWork {
    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }
    /// Errors: `too-many-requests` where a client owes for what was looked at already.
    pub(crate) fn check(&self, now: Timestamp, client: &str) -> Result<(), Refusal> {
        let Some(mut bucket) = self.buckets.get(client).copied() else {
            return Ok(());
        };
        bucket.refill(ELEMENTS_A_SECOND, now);
        if bucket.tokens >= 0.0 {
            return Ok(());
        }
        let text = format!(
            "`ams` and `df` have looked at more than {ELEMENTS_A_SECOND} entries a second for \
             `{client}`; ask again in a second, less often or for less"
        );
        Err(Refusal::new(ErrorCode::TooManyRequests, text))
    }
    /// The same for a message, if it is for one of them.
    pub(crate) fn check_post(
        &self,
        now: Timestamp,
        client: &str,
        receiver: &Receiver,
    ) -> Result<(), Refusal> {
        let mut names = receiver.names().iter();
        match names.any(|to| route::built_in(to).is_some()) {
            true => self.check(now, client),
            false => Ok(()),
        }
    }
    /// Charges a client for what was looked at.
    pub(crate) fn charge(&mut self, now: Timestamp, client: &Arc<str>, elements: u64) {
        if self.buckets.len() > 2 * self.left + KEPT_MIN {
            self.buckets.retain(|_, bucket| {
                bucket.refill(ELEMENTS_A_SECOND, now);
                *bucket != Bucket::full(ELEMENTS_A_SECOND, bucket.at)
            });
            self.left = self.buckets.len();
        }
        let full = || Bucket::full(ELEMENTS_A_SECOND, now);
        let bucket = self.buckets.entry(Arc::clone(client)).or_insert_with(full);
        bucket.refill(ELEMENTS_A_SECOND, now);
        bucket.owe(elements);
    }
}
