//! The checkpoint: the last value of every part of the state and of every stored key, in `fjall`.
//!
//! It is a cache of the journal: what it holds and up to which place is one atomic batch, and that
//! place is never past the durable one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use caxton_model::{AgentId, MessageKey, Part, State};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::{Deserialize, Serialize};

use crate::{
    Chain, KeySize,
    part_key::{META_KEY, part_key, part_of, value_key},
    part_value::{DfSubscriptions, Held, PartValue, SpentUntil, encode_part},
    v1,
};

/// The form of keys and values; another one is rebuilt from the journal.
const CHECKPOINT_FORMAT: u32 = 1;
/// Bytes that one keyspace holds in memory.
///
/// What is in memory is read back from the database's own log at the next start: 8 MiB are quick.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Bytes of the database's own log; the least it allows.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// Values written since the last checkpoint, by agent; `None`: deleted.
pub(crate) type Values = HashMap<AgentId, HashMap<Arc<[u8]>, Option<Arc<[u8]>>>>;

/// Up to where a checkpoint goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    format: u32,
    pub(crate) place: u64,
    pub(crate) chain: Chain,
    /// The last record of each shard.
    pub(crate) seqs: BTreeMap<u16, u64>,
}

impl Meta {
    pub(crate) fn new(place: u64, chain: Chain, seqs: BTreeMap<u16, u64>) -> Self {
        Self {
            format: CHECKPOINT_FORMAT,
            place,
            chain,
            seqs,
        }
    }
}

impl Meta {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        match postcard::take_from_bytes::<u32>(bytes) {
            Ok((CHECKPOINT_FORMAT, _)) => postcard::from_bytes(bytes)
                .map_err(|error| unreadable(META_KEY, &error.to_string())),
            Ok((other, _)) => Err(CheckpointError::Format(other)),
            Err(error) => Err(unreadable(META_KEY, &error.to_string())),
        }
    }
}

/// Why the checkpoint can't be used just now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("{0}")]
    Database(#[from] fjall::Error),
    #[error("what stands under {key} can't be read: {reason}")]
    Value { key: String, reason: String },
    #[error("its format is {0}, not {CHECKPOINT_FORMAT}")]
    Format(u32),
    #[error("it could not be opened again")]
    Closed,
    #[error("the database panicked while it was opened")]
    Panicked,
}

impl CheckpointError {
    /// What the system said, where it said something.
    pub(crate) fn io(&self) -> Option<&std::io::Error> {
        match self {
            Self::Database(
                fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)),
            ) => Some(error),
            _ => None,
        }
    }
}

/// What is written at once.
pub(crate) struct Changes<'a> {
    pub(crate) state: &'a State,
    /// Changed parts, with the place of the last change.
    pub(crate) parts: &'a HashMap<Part, u64>,
    pub(crate) values: &'a Values,
    /// Agents whose values all go.
    pub(crate) removed: &'a HashSet<AgentId>,
    /// `None`: values only, before their records' place is reached for good.
    pub(crate) meta: Option<&'a Meta>,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// The parts of the state, and up to where they go.
    Parts,
    /// What agents stored.
    Values,
}

/// Takes a key and its new value; `None`: it goes.
pub(crate) type Write<'a> = dyn FnMut(Table, Vec<u8>, Option<&[u8]>) + 'a;

impl Changes<'_> {
    /// Names every key that changes, with its new value; those of removed agents come before.
    pub(crate) fn each(&self, write: &mut Write<'_>) -> Result<(), CheckpointError> {
        for (part, place) in self.parts {
            let key = part_key(part);
            match encode_part(self.state, part, *place) {
                None => write(Table::Parts, key, None),
                Some(Ok(value)) => write(Table::Parts, key, Some(&value)),
                Some(Err(reason)) => return Err(unreadable(&key, &reason)),
            }
        }
        for (agent, written) in self.values {
            for (key, value) in written {
                write(Table::Values, value_key(*agent, key), value.as_deref());
            }
        }
        if let Some(meta) = self.meta {
            let bytes = postcard::to_stdvec(meta)
                .map_err(|error| unreadable(META_KEY, &error.to_string()))?;
            write(Table::Parts, META_KEY.to_vec(), Some(&bytes));
        }
        Ok(())
    }
}

/// A client, and its own id for a message.
type ClientAndId = (Arc<str>, Arc<str>);

/// A state that is read, a part at a time.
pub(crate) struct Loading {
    state: State,
    dead: Vec<(u64, MessageKey)>,
    posts: Vec<(u64, ClientAndId)>,
}

impl Default for Loading {
    fn default() -> Self {
        Self {
            state: State::tracked(),
            dead: Vec::new(),
            posts: Vec::new(),
        }
    }
}

impl Loading {
    /// Takes what stands under one key of [`Table::Parts`].
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        if key == META_KEY {
            return Ok(());
        }
        let part = part_of(key).ok_or_else(|| unreadable(key, "it is no part's key"))?;
        let failed = |reason: String| unreadable(key, &reason);
        let value = PartValue::split(value);
        let state = &mut self.state;
        match part {
            Part::Agent(id) => {
                let agent = value.read::<v1::AgentState>().map_err(failed)?;
                state.agents.insert(id, agent);
            }
            Part::Client(name) => {
                let client = value.read::<v1::ClientState>().map_err(failed)?;
                state.clients.insert(name, client);
            }
            Part::Dead(name) => {
                self.dead.push((value.place, name));
                let letter = value.read::<v1::DeadLetter>().map_err(failed)?;
                state.dead.insert(name, letter);
            }
            Part::Post(client, id) => {
                let name = (client, id);
                self.posts.push((value.place, name.clone()));
                let seen = value.read::<v1::PostSeen>().map_err(failed)?;
                state.posts.insert(name, seen);
            }
            Part::Conversation(id) => {
                let conversation = value.read::<v1::Conversation>().map_err(failed)?;
                state.conversations.insert(id, conversation);
            }
            Part::Open(asker, reply_with) => {
                let request = value.read::<v1::OpenRequest>().map_err(failed)?;
                state.open.insert((asker, reply_with), request);
            }
            Part::DfSubscriptions => {
                state.df_subscriptions = value.read::<DfSubscriptions>().map_err(failed)?;
            }
            Part::Held => state.held = value.read::<Held>().map_err(failed)?,
            Part::Migrating(id) => {
                let spec = value.read::<Arc<v1::AgentSpec>>().map_err(failed)?;
                state.migrating.insert(id, spec);
            }
            Part::SpentIds(number) => {
                let block = value.read::<v1::SpentBlock>().map_err(failed)?;
                state.spent.restore(number, block);
            }
            Part::SpentUntil => state.spent.until = value.read::<SpentUntil>().map_err(failed)?,
        }
        Ok(())
    }

    /// The state, once every key was taken.
    pub(crate) fn finish(mut self, meta: Option<Meta>) -> State {
        self.dead.sort_unstable();
        self.posts.sort_unstable();
        let mut state = self.state;
        state.dead_order = self.dead.into_iter().map(|(_, name)| name).collect();
        state.posts_order = self.posts.into_iter().map(|(_, name)| name).collect();
        state.conversation_bytes = state.conversations.values().map(|c| c.bytes).sum();
        if let Some(meta) = meta {
            state.seqs = meta.seqs;
        }
        state
    }
}

/// The open database.
pub(crate) struct Checkpoint {
    database: Database,
    parts: Keyspace,
    values: Keyspace,
}

impl Checkpoint {
    /// Opens it, makes it if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let database = Database::builder(folder)
            .worker_threads(1)
            .max_journaling_size(LOG_BYTES_MAX)
            .manual_journal_persist(true)
            .open()?;
        Ok(Self {
            parts: database.keyspace("parts", options)?,
            values: database.keyspace("values", options)?,
            database,
        })
    }

    /// Up to where it goes; `None`: it is new.
    pub(crate) fn meta(&self) -> Result<Option<Meta>, CheckpointError> {
        let Some(bytes) = self.parts.get(META_KEY)? else {
            return Ok(None);
        };
        Meta::decode(&bytes).map(Some)
    }

    /// The whole state as of [`Self::meta`].
    pub(crate) fn load(&self) -> Result<State, CheckpointError> {
        let mut loading = Loading::default();
        for pair in self.parts.iter() {
            let (key, value) = pair.into_inner()?;
            loading.take(&key, &value)?;
        }
        Ok(loading.finish(self.meta()?))
    }

    /// Writes all changes as one batch; durable when it returns.
    pub(crate) fn write(&self, changes: &Changes<'_>) -> Result<(), CheckpointError> {
        let items = changes.parts.len() + changes.values.len() + 1;
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), items)
            .durability(Some(PersistMode::SyncAll));
        for agent in changes.removed {
            for pair in self.values.prefix(agent.0.to_be_bytes()) {
                batch.remove(&self.values, pair.key()?);
            }
        }
        changes.each(&mut |table, key, value| {
            let keyspace = match table {
                Table::Parts => &self.parts,
                Table::Values => &self.values,
            };
            match value {
                Some(value) => batch.insert(keyspace, key, value),
                None => batch.remove(keyspace, key),
            }
        })?;
        Ok(batch.commit()?)
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    /// One stored value.
    pub(crate) fn read(
        &self,
        agent: AgentId,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, CheckpointError> {
        let value = self.values.get(value_key(agent, key))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Keys of one agent behind `after`, with sizes.
    pub(crate) fn keys(
        &self,
        agent: AgentId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeySize>, CheckpointError> {
        let prefix = agent.0.to_be_bytes();
        let first = value_key(agent, after.unwrap_or_default());
        let mut keys = Vec::new();
        for pair in self.values.range(first.clone()..) {
            if keys.len() >= limit {
                break;
            }
            let (key, value) = pair.into_inner()?;
            let Some(rest) = key.strip_prefix(&prefix) else {
                break;
            };
            if after.is_some() && *key == *first {
                continue;
            }
            keys.push(KeySize {
                key: rest.to_vec(),
                bytes: value.len() as u64,
            });
        }
        Ok(keys)
    }
}

fn unreadable(key: &[u8], reason: &str) -> CheckpointError {
    CheckpointError::Value {
        key: format!("{:?}", String::from_utf8_lossy(key)),
        reason: reason.to_owned(),
    }
}
