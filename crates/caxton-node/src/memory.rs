//! What an agent stored since the last checkpoint, in memory: the first place its reads look.

use std::{collections::HashMap, sync::Arc};

use caxton_model::{LimitName, Limits, StateWrite, Timestamp};

/// Values written but not yet in a checkpoint, by key; and what lasts from turn to turn besides.
#[derive(Debug)]
pub(crate) struct AgentMemory {
    values: HashMap<Arc<[u8]>, Value>,
    log: LogBucket,
    /// All memories of its instance. Unit: bytes; 0: it has none.
    pub(crate) guest_bytes: u64,
}

#[derive(Debug, Clone)]
struct Value {
    bytes: Option<Arc<[u8]>>,
    /// The shard's record that wrote it; `u64::MAX`: no checkpoint will ever hold it.
    seq: u64,
}

/// The token bucket of log lines.
#[derive(Debug)]
struct LogBucket {
    tokens: f64,
    at: Timestamp,
    dropped: u64,
}

/// What became of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogVerdict {
    /// It is kept, and so many before it were not.
    Kept(u64),
    /// It is over the rate.
    Dropped,
}

impl AgentMemory {
    pub(crate) fn new(limits: &Limits, now: Timestamp) -> Self {
        let tokens = rate(limits.get(LimitName::LogLinesPerSecond));
        Self {
            values: HashMap::new(),
            log: LogBucket {
                tokens,
                at: now,
                dropped: 0,
            },
            guest_bytes: 0,
        }
    }
    /// `None`: not known here; `Some(None)`: known to be absent.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Arc<[u8]>>> {
        self.values.get(key).map(|value| value.bytes.clone())
    }
    /// Takes over what a turn wrote, recorded under `seq`.
    pub(crate) fn commit(&mut self, writes: &[StateWrite], seq: u64) {
        for write in writes {
            self.values.insert(
                Arc::clone(&write.key),
                Value {
                    bytes: write.value.clone(),
                    seq,
                },
            );
        }
    }
    /// Drops what the checkpoint holds.
    pub(crate) fn checkpointed(&mut self, seq: u64) {
        self.values.retain(|_, value| value.seq > seq);
    }
    /// Whether nothing is kept here.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    /// All keys known here, with the value's size; `None`: deleted.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Arc<[u8]>, Option<u64>)> {
        self.values
            .iter()
            .map(|(key, value)| (key, value.bytes.as_ref().map(|bytes| bytes.len() as u64)))
    }
    /// Whether a log line is within the rate.
    pub(crate) fn log_line(&mut self, now: Timestamp, per_second: u64) -> LogVerdict {
        let (bucket, burst) = (&mut self.log, rate(per_second));
        #[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let elapsed = now.since(bucket.at).0 as f64 / 1e6;
        bucket.at = now;
        bucket.tokens = (bucket.tokens + elapsed * burst).min(burst);
        if bucket.tokens < 1.0 {
            bucket.dropped += 1;
            return LogVerdict::Dropped;
        }
        bucket.tokens -= 1.0;
        LogVerdict::Kept(std::mem::take(&mut bucket.dropped))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn rate(per_second: u64) -> f64 {
    per_second as f64
}

#[cfg(test)]
mod tests {
    use caxton_model::Kind;

    use super::*;

    #[test]
    fn a_value_stays_until_a_checkpoint_holds_it() {
        let mut memory = AgentMemory::new(&Limits::for_kind(Kind::Agent), Timestamp(0));
        let write = |value: &str| StateWrite {
            key: b"k".as_slice().into(),
            value: Some(value.as_bytes().into()),
        };
        memory.commit(&[write("1")], 5);
        memory.commit(&[write("2")], 7);
        memory.checkpointed(5);
        assert_eq!(memory.get(b"k"), Some(Some(b"2".as_slice().into())));
        memory.checkpointed(7);
        assert_eq!(memory.get(b"k"), None);
        memory.commit(&[write("3")], u64::MAX);
        memory.checkpointed(1_000);
        assert!(memory.get(b"k").is_some());
    }

    #[test]
    fn log_lines_over_the_rate_are_counted_and_said() {
        let mut memory = AgentMemory::new(&Limits::for_kind(Kind::Agent), Timestamp(0));
        let kept = (0..250)
            .filter(|_| memory.log_line(Timestamp(0), 100) != LogVerdict::Dropped)
            .count();
        assert_eq!(kept, 100);
        assert_eq!(
            memory.log_line(Timestamp(1_000_000), 100),
            LogVerdict::Kept(150)
        );
    }
}
