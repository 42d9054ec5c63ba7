//! The store of nodes that keep nothing: the same interface, nothing on disk.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use caxton_model::{AgentId, Durability, Entry, Record};

use crate::{KeySize, StoreMetrics};

/// What was said so far.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    place: u64,
    seqs: BTreeMap<u16, u64>,
    keeps_nothing: HashSet<AgentId>,
    values: BTreeMap<(AgentId, Vec<u8>), Vec<u8>>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn append(&self, entry: &Entry) {
        let mut inner = self.lock();
        inner.place += 1;
        inner.seqs.insert(entry.shard, entry.seq);
        match &entry.record {
            Record::Deployed { spec } | Record::Updated { spec, .. }
                if spec.durability == Durability::Memory =>
            {
                inner.keeps_nothing.insert(spec.id);
            }
            Record::Turn(turn) if !inner.keeps_nothing.contains(&turn.agent) => {
                for write in &turn.writes {
                    let key = (turn.agent, write.key.to_vec());
                    match &write.value {
                        Some(value) => inner.values.insert(key, value.to_vec()),
                        None => inner.values.remove(&key),
                    };
                }
            }
            Record::Removed { agent, .. } => {
                inner.values.retain(|(owner, _), _| owner != agent);
                inner.keeps_nothing.remove(agent);
            }
            _ => {}
        }
    }

    pub(crate) fn place(&self) -> u64 {
        self.lock().place
    }

    pub(crate) fn seq(&self, shard: u16) -> u64 {
        self.lock().seqs.get(&shard).copied().unwrap_or(0)
    }

    pub(crate) fn read(&self, agent: AgentId, key: &[u8]) -> Option<Vec<u8>> {
        self.lock().values.get(&(agent, key.to_vec())).cloned()
    }

    pub(crate) fn keys(&self, agent: AgentId, after: Option<&[u8]>, limit: usize) -> Vec<KeySize> {
        let first = (agent, after.unwrap_or_default().to_vec());
        self.lock()
            .values
            .range(first..)
            .take_while(|((owner, _), _)| *owner == agent)
            .filter(|((_, key), _)| after.is_none_or(|after| key.as_slice() > after))
            .take(limit)
            .map(|((_, key), value)| KeySize {
                key: key.clone(),
                bytes: value.len() as u64,
            })
            .collect()
    }

    pub(crate) fn metrics(&self) -> StoreMetrics {
        let inner = self.lock();
        StoreMetrics {
            place: inner.place,
            durable_place: inner.place,
            checkpoint_place: inner.place,
            ..StoreMetrics::default()
        }
    }
}
