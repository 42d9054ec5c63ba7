//! The store of nodes that keep nothing: the same interface, nothing on disk.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use caxton_model::{AgentId, Durability, Entry, Record};

use crate::{
    KeySize, StoreMetrics,
    journal::{Batch, Item},
};

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

impl Inner {
    fn append(&mut self, entry: &Entry) {
        self.place += 1;
        self.seqs.insert(entry.shard, entry.seq);
        match &entry.record {
            Record::Deployed { spec } | Record::Updated { spec, .. }
                if spec.durability == Durability::Memory =>
            {
                self.keeps_nothing.insert(spec.id);
            }
            Record::Turn(turn) if !self.keeps_nothing.contains(&turn.agent) => {
                for write in &turn.writes {
                    let key = (turn.agent, write.key.to_vec());
                    match &write.value {
                        Some(value) => self.values.insert(key, value.to_vec()),
                        None => self.values.remove(&key),
                    };
                }
            }
            Record::Removed { agent, .. } => {
                self.values.retain(|(owner, _), _| owner != agent);
                self.keeps_nothing.remove(agent);
            }
            _ => {}
        }
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of a batch, under one lock; what waits for it is told then.
    pub(crate) fn give(&self, batch: &mut Batch) {
        let mut inner = self.lock();
        for item in &batch.items {
            if let Item::Append(entry, _) = item {
                inner.append(entry);
            }
        }
        drop(inner);
        for item in batch.take() {
            if let Item::Notify(then) = item {
                then(Ok(()));
            }
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
