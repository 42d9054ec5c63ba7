//! The checkpoint: the last value of every part of the state and of every stored key.
//!
//! It is a cache of the journal: what it holds and up to which place is one atomic batch, and that
//! place is never past the durable one.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
};

use caxton_model::{AgentId, DfSubscription, MessageKey, Part, State};

use crate::{
    meta::Meta,
    part_key::{part_key, part_of, text_key, text_of, value_key},
    part_value::{DfSubscriptions, Held, PartValue, SpentUntil, encode_part},
    texts::{Cuts, Reading, Texts},
    v1, v2,
};

/// Values written since the last checkpoint, by agent; `None`: deleted.
pub(crate) type Values = HashMap<AgentId, HashMap<Arc<[u8]>, Option<Arc<[u8]>>>>;

/// Why the checkpoint can't be used just now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("{}", in_words(.0))]
    Database(#[from] fjall::Error),
    #[error("its file `{file}` {reason}")]
    File { file: String, reason: String },
    #[error("what stands under {key} can't be read: {reason}")]
    Value { key: String, reason: String },
    #[error("its table `{table}` {reason}")]
    Table { table: &'static str, reason: String },
    #[error("it could not be opened again")]
    Closed,
    #[error("the database panicked while it was opened")]
    Panicked,
}

impl CheckpointError {
    /// Whether the files are not as they were written, rather than that the system can't give them.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Closed | Self::Database(fjall::Error::Locked | fjall::Error::Poisoned) => false,
            _ => self.io().is_none_or(tells_of_damage),
        }
    }

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

/// What an error of the database says; its own words are for its authors.
fn in_words(error: &fjall::Error) -> String {
    use fjall::{Error, LsmError};
    let words = match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => return error.to_string(),
        Error::Storage(LsmError::ChecksumMismatch { .. }) => {
            "a block of one of its tables has another checksum than was written"
        }
        Error::Storage(LsmError::Unrecoverable) | Error::Unrecoverable => {
            "one of its files is missing or unfinished"
        }
        Error::Storage(LsmError::InvalidVersion(_)) | Error::InvalidVersion(_) => {
            "its database has a format that this program does not know"
        }
        Error::JournalRecovery(_) => "its database's own log is not as it was written",
        Error::Poisoned => "an earlier write to its database failed",
        Error::Locked => "another process uses its database",
        _ => "a block of its database has a form that this program does not know",
    };
    words.to_owned()
}

/// Whether an error says that files are not as they should be, rather than that the system can't
/// give them.
fn tells_of_damage(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotFound
            | Kind::UnexpectedEof
            | Kind::InvalidData
            | Kind::InvalidInput
            | Kind::AlreadyExists
            | Kind::NotADirectory
            | Kind::IsADirectory
    )
}

/// What is written at once.
pub(crate) struct Changes<'a> {
    pub(crate) state: &'a State,
    /// Changed parts, with the place of the last change.
    pub(crate) parts: &'a HashMap<Part, u64>,
    pub(crate) values: &'a Values,
    /// Texts that parts refer to.
    pub(crate) texts: &'a RefCell<Texts>,
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

impl Table {
    /// Its name in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Parts => "parts",
            Self::Values => "values",
        }
    }
}

/// Takes a key and its new value; `None`: it goes.
pub(crate) type Write<'a> = dyn FnMut(Table, Vec<u8>, Option<&[u8]>) + 'a;

impl Changes<'_> {
    /// Names every key that changes, with its new value; those of removed agents come before, and the
    /// mark is left to whoever writes.
    pub(crate) fn each(&self, write: &mut Write<'_>) -> Result<(), CheckpointError> {
        let texts = &mut *self.texts.borrow_mut();
        let mut cuts = Cuts::default();
        texts.begin();
        for (part, place) in self.parts {
            let key = part_key(part);
            match encode_part(self.state, part, *place, &mut cuts) {
                None => write(Table::Parts, key, None),
                Some(Ok(value)) => write(Table::Parts, key, Some(&value)),
                Some(Err(reason)) => return Err(unreadable(&key, &reason)),
            }
            let mut hashes = Vec::new();
            for (hash, message) in cuts.take() {
                hashes.push(hash);
                if texts.adds(hash) {
                    let text = message.json().as_bytes();
                    write(Table::Parts, text_key(&hash), Some(text));
                }
            }
            texts.set(part, hashes);
        }
        // Parts that no longer refer to them are written in the same batch.
        if self.meta.is_some() {
            for hash in texts.removes() {
                write(Table::Parts, text_key(hash), None);
            }
        }
        for (agent, written) in self.values {
            for (key, value) in written {
                write(Table::Values, value_key(*agent, key), value.as_deref());
            }
        }
        Ok(())
    }
}

/// A client, and its own id for a message.
type ClientAndId = (Arc<str>, Arc<str>);

/// A state that is read, a part at a time.
pub(crate) struct Loading {
    state: State,
    texts: Texts,
    reading: Reading,
    /// Parts that refer to texts, which may come later.
    referring: Vec<(Vec<u8>, Vec<u8>)>,
    subscriptions: Vec<(u64, DfSubscription)>,
    is_first_form: bool,
    dead: Vec<(u64, MessageKey)>,
    posts: Vec<(u64, ClientAndId)>,
}

impl Default for Loading {
    fn default() -> Self {
        Self {
            state: State::tracked(),
            texts: Texts::default(),
            reading: Reading::begin(),
            referring: Vec::new(),
            subscriptions: Vec::new(),
            is_first_form: false,
            dead: Vec::new(),
            posts: Vec::new(),
        }
    }
}

impl Loading {
    /// Takes what stands under one key of [`Table::Parts`].
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        if let Some(hash) = text_of(key) {
            self.texts.found(hash);
            let taken = self.reading.text(hash, value);
            return taken.map_err(|reason| unreadable(key, &reason));
        }
        if PartValue::split(value).refers {
            self.referring.push((key.to_vec(), value.to_vec()));
            return Ok(());
        }
        self.take_part(key, value)
    }

    fn take_part(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        let part = part_of(key).ok_or_else(|| unreadable(key, "it is no part's key"))?;
        let failed = |reason: String| unreadable(key, &reason);
        let value = PartValue::split(value);
        let refers = value.refers.then(|| part.clone());
        let state = &mut self.state;
        match part {
            Part::Agent(id) => {
                let agent = value.read_agent().map_err(failed)?;
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
                self.is_first_form = true;
            }
            Part::DfSubscription(..) => {
                let subscription = value.read::<v1::DfSubscription>().map_err(failed)?;
                self.subscriptions.push((value.place, subscription));
            }
            Part::Held => state.held = value.read::<Held>().map_err(failed)?,
            Part::Migrating(id) => {
                let spec = value.read_spec().map_err(failed)?;
                state.migrating.insert(id, spec);
            }
            Part::Accesses(id) => {
                let accesses = value.read::<v2::TurnAccesses>().map_err(failed)?;
                state.accesses.insert(id, accesses);
            }
            Part::Granted(id) => {
                let granted = value.read::<Arc<Vec<v2::GrantedRule>>>().map_err(failed)?;
                state.granted.insert(id, granted);
            }
            Part::SpentIds(number) => {
                let block = value.read::<v1::SpentBlock>().map_err(failed)?;
                state.spent.restore(number, block);
            }
            Part::SpentUntil => state.spent.until = value.read::<SpentUntil>().map_err(failed)?,
            Part::Processor(name) => take_processor(state, name, &value).map_err(failed)?,
            Part::Row(table, key) => take_row(state, table, key, &value).map_err(failed)?,
        }
        if let Some(part) = refers {
            self.texts.set(&part, self.reading.referred());
        }
        Ok(())
    }

    /// The state and the texts that it refers to, once every key was taken.
    pub(crate) fn finish(mut self, meta: Option<Meta>) -> Result<(State, Texts), CheckpointError> {
        for (key, value) in std::mem::take(&mut self.referring) {
            self.take_part(&key, &value)?;
        }
        self.dead.sort_unstable();
        self.posts.sort_unstable();
        self.subscriptions.sort_by_key(|(place, _)| *place);
        let mut state = self.state;
        let subscriptions = self.subscriptions.into_iter();
        state
            .df_subscriptions
            .extend(subscriptions.map(|(_, subscription)| subscription));
        if self.is_first_form {
            // Written anew, each under a key of its own, and the one of all is removed.
            state.rewrite_subscriptions();
        }
        state.dead_order = self.dead.into_iter().map(|(_, name)| name).collect();
        state.posts_order = self.posts.into_iter().map(|(_, name)| name).collect();
        if let Some(meta) = meta {
            state.seqs = meta.seqs;
        }
        state.recount();
        Ok((state, self.texts))
    }
}

fn take_processor(state: &mut State, name: Arc<str>, value: &PartValue<'_>) -> Result<(), String> {
    let spec = value.read_processor()?;
    state.processors.insert(name, spec);
    Ok(())
}

fn take_row(
    state: &mut State,
    table: Arc<str>,
    key: Arc<str>,
    value: &PartValue<'_>,
) -> Result<(), String> {
    let row = value.read::<Arc<str>>()?;
    state.tables.entry(table).or_default().insert(key, row);
    Ok(())
}

pub(crate) fn unreadable(key: &[u8], reason: &str) -> CheckpointError {
    CheckpointError::Value {
        key: format!("{:?}", String::from_utf8_lossy(key)),
        reason: reason.to_owned(),
    }
}
