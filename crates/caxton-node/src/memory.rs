//! What an agent stored since the last checkpoint, in memory: the first place its reads look.

use std::{collections::HashMap, sync::Arc};

use caxton_engine::{FileUsage, LogRate};
use caxton_model::{LimitName, Limits, StateWrite, Timestamp};

use crate::{access::InFlight, rights::AgentGate};

/// Values written but not yet in a checkpoint, by key; and what lasts from turn to turn besides.
#[derive(Debug)]
pub(crate) struct AgentMemory {
    values: HashMap<Arc<[u8]>, Value>,
    /// How many log lines are still within the rate.
    pub(crate) log: LogRate,
    /// All memories of its instance. Unit: bytes; 0: it has none.
    pub(crate) guest_bytes: u64,
    /// Its gate, once it was needed.
    pub(crate) gate: Option<AgentGate>,
    /// What it wrote to files, once it was granted any.
    pub(crate) files: Option<Arc<FileUsage>>,
    /// The access that its turn waits for.
    pub(crate) access: Option<Box<InFlight>>,
}

#[derive(Debug, Clone)]
struct Value {
    bytes: Option<Arc<[u8]>>,
    /// The shard's record that wrote it; `u64::MAX`: no checkpoint will ever hold it.
    seq: u64,
}

impl AgentMemory {
    pub(crate) fn new(limits: &Limits, now: Timestamp) -> Self {
        Self {
            values: HashMap::new(),
            log: LogRate::new(limits.get(LimitName::LogLinesPerSecond), now),
            guest_bytes: 0,
            gate: None,
            files: None,
            access: None,
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
}
