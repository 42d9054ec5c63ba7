//! Follows the journal: the state as of a place, and what of it no checkpoint has yet.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use caxton_model::{
    AgentId, Durability, Entry, Part, Record, State, Timestamp,
    planted::{Planted, is_planted},
};

use crate::{
    Chain,
    checkpoint::{Changes, CheckpointError, Values},
    database::Checkpoint,
    journal::Durable,
    meta::Meta,
    texts::Texts,
};

/// The state as the journal has it, and what of it no checkpoint has yet.
pub(crate) struct Follower {
    pub(crate) state: State,
    pub(crate) place: u64,
    chain: Chain,
    parts: HashMap<Part, u64>,
    values: Values,
    value_bytes: u64,
    removed: HashSet<AgentId>,
    /// Texts that the checkpoint has.
    texts: RefCell<Texts>,
    newest: Timestamp,
}

impl Follower {
    /// Goes on from a checkpoint.
    pub(crate) fn new(state: State, texts: Texts, place: u64, chain: Chain) -> Self {
        let mut follower = Self {
            state,
            place,
            chain,
            parts: HashMap::new(),
            values: Values::new(),
            value_bytes: 0,
            removed: HashSet::new(),
            texts: RefCell::new(texts),
            newest: Timestamp(i64::MIN),
        };
        // What was read in an older form is written in the present one.
        follower.note_touched();
        follower
    }

    /// Takes the records of the next group.
    pub(crate) fn follow(&mut self, group: &Durable) {
        for entry in &group.entries {
            self.apply(entry);
        }
        self.set_chain(group.chain);
        debug_assert_eq!(self.place, group.last_place);
    }

    /// Takes the record that has the next place.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.place += 1;
        self.newest = self.newest.max(entry.at);
        match &entry.record {
            Record::Turn(turn) if turn.result.has_effects() && !turn.writes.is_empty() => {
                let keeps = self
                    .state
                    .agents
                    .get(&turn.agent)
                    .is_some_and(|agent| agent.spec.durability == Durability::Durable);
                if keeps {
                    let values = self.values.entry(turn.agent).or_default();
                    for write in &turn.writes {
                        let size = write.key.len() + write.value.as_ref().map_or(0, |v| v.len());
                        self.value_bytes += size as u64;
                        values.insert(Arc::clone(&write.key), write.value.clone());
                    }
                }
            }
            Record::Removed { agent, .. } => {
                self.values.remove(agent);
                self.removed.insert(*agent);
            }
            _ => {}
        }
        if is_planted(Planted::ForgetWatermark) {
            self.state.replay(&not_used_up(entry));
        } else {
            self.state.replay(entry);
        }
        self.note_touched();
    }

    fn note_touched(&mut self) {
        if let Some(touched) = &mut self.state.touched {
            let place = self.place;
            self.parts.extend(
                std::mem::take(touched)
                    .into_iter()
                    .map(|part| (part, place)),
            );
        }
    }

    /// All before it was applied: the chain behind it.
    pub(crate) fn set_chain(&mut self, chain: Chain) {
        self.chain = chain;
    }

    pub(crate) fn value_bytes(&self) -> u64 {
        self.value_bytes
    }

    pub(crate) fn meta(&self) -> Meta {
        Meta {
            place: self.place,
            chain: self.chain,
            seqs: self.state.seqs.clone(),
        }
    }

    /// Writes what changed; on an error it stays changed.
    pub(crate) fn write(&mut self, checkpoint: &Checkpoint) -> Result<Meta, CheckpointError> {
        self.write_with(|changes| checkpoint.write(changes))
    }

    /// Which texts the checkpoint has that was written.
    pub(crate) fn into_texts(self) -> Texts {
        self.texts.into_inner()
    }

    /// Another checkpoint took the place of the one that was written: it has these texts.
    pub(crate) fn set_texts(&mut self, texts: Texts) {
        self.texts = RefCell::new(texts);
    }

    /// Hands what changed to whoever writes it.
    pub(crate) fn write_with(
        &mut self,
        write: impl FnOnce(&Changes<'_>) -> Result<(), CheckpointError>,
    ) -> Result<Meta, CheckpointError> {
        let meta = self.meta();
        write(&Changes {
            state: &self.state,
            parts: &self.parts,
            values: &self.values,
            removed: &self.removed,
            texts: &self.texts,
            meta: Some(&meta),
        })?;
        self.texts.get_mut().written();
        self.parts.clear();
        self.forget_values();
        Ok(meta)
    }

    /// Writes stored values only, to bound memory while a long journal is read. Harmless before its
    /// end: reading it again writes the same last values.
    pub(crate) fn write_values(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        checkpoint.write(&Changes {
            state: &self.state,
            parts: &HashMap::new(),
            values: &self.values,
            removed: &self.removed,
            texts: &self.texts,
            meta: None,
        })?;
        self.forget_values();
        Ok(())
    }

    fn forget_values(&mut self) {
        self.values.clear();
        self.removed.clear();
        self.value_bytes = 0;
    }

    /// Forgets conversations that have fallen silent.
    pub(crate) fn prune(&mut self) {
        self.state.expire_conversations(self.newest);
        self.note_touched();
    }
}

/// A turn as it would be if its input were still to be worked on.
fn not_used_up(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    if let Record::Turn(turn) = &mut entry.record {
        turn.consumed = false;
    }
    entry
}
