//! Long messages stand in a checkpoint once, under their hash; the parts that hold one have a
//! reference in its place. Written down in `docs/specs/journal.md`.
//!
//! It is the same in memory after a start: while a data directory is read, equal long messages become
//! one. A reader of stored forms has no place for a context, so it is kept with the reading thread.

use std::{
    borrow::Borrow,
    cell::RefCell,
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
};

use caxton_model::{Message, Part};

/// Messages from this size on are kept once. A reference takes 65 bytes, and a key of its own.
const LONG_BYTES: usize = 1_024;

/// Bytes of messages that were read, beyond which those that nobody kept are forgotten.
const SWEEP_BYTES: u64 = 64 << 20;

/// What a reference begins with: no message does, since a message is a JSON object.
const REFERENCE: char = '#';

/// The hash of a message's bytes.
pub(crate) type TextHash = blake3::Hash;

/// Which parts of a checkpoint refer to which texts, and which texts it has.
#[derive(Default)]
pub(crate) struct Texts {
    of: HashMap<Part, Vec<TextHash>>,
    holders: HashMap<TextHash, u64>,
    /// Texts that the checkpoint is known to have.
    stored: HashSet<TextHash>,
    /// Texts that lost a holder since they were last looked at.
    dropped: HashSet<TextHash>,
    /// What the batch that is being made adds and removes.
    added: HashSet<TextHash>,
    removed: Vec<TextHash>,
}

impl Texts {
    /// A text that was found in the checkpoint. If no part refers to it, the next batch removes it.
    pub(crate) fn found(&mut self, hash: TextHash) {
        self.stored.insert(hash);
        self.dropped.insert(hash);
    }
    /// A new batch is made; what the one before did not get written is forgotten.
    pub(crate) fn begin(&mut self) {
        self.added.clear();
        self.removed.clear();
    }
    /// A part refers to these texts now.
    pub(crate) fn set(&mut self, part: &Part, now: Vec<TextHash>) {
        for hash in &now {
            *self.holders.entry(*hash).or_default() += 1;
        }
        let before = match now.is_empty() {
            true => self.of.remove(part),
            false => self.of.insert(part.clone(), now),
        };
        for hash in before.into_iter().flatten() {
            if let Some(holders) = self.holders.get_mut(&hash) {
                *holders -= 1;
                if *holders == 0 {
                    self.holders.remove(&hash);
                    self.dropped.insert(hash);
                }
            }
        }
    }
    /// Whether a text has to be added to the batch.
    pub(crate) fn adds(&mut self, hash: TextHash) -> bool {
        !self.stored.contains(&hash) && self.added.insert(hash)
    }
    /// Texts that the batch has to remove: no part refers to them any more.
    pub(crate) fn removes(&mut self) -> &[TextHash] {
        let gone = self
            .dropped
            .iter()
            .filter(|hash| !self.holders.contains_key(*hash));
        self.removed = gone.copied().collect();
        &self.removed
    }
    /// The batch is on the disk.
    pub(crate) fn written(&mut self) {
        self.stored.extend(self.added.drain());
        for hash in self.removed.drain(..) {
            self.stored.remove(&hash);
        }
        self.dropped.clear();
    }
}

/// References in what is being encoded.
#[derive(Default)]
pub(crate) struct Cuts {
    /// By address: a message that many parts hold is hashed once.
    hashes: HashMap<usize, TextHash>,
    messages: Vec<(TextHash, Message)>,
}

impl Cuts {
    /// The reference that stands for a message, if it is a long one.
    pub(crate) fn reference(&mut self, message: &Message) -> Option<String> {
        if message.json().len() < LONG_BYTES {
            return None;
        }
        let hash = *self
            .hashes
            .entry(message.address())
            .or_insert_with(|| blake3::hash(message.json().as_bytes()));
        self.messages.push((hash, message.clone()));
        Some(format!("{REFERENCE}{}", hash.to_hex()))
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
    /// Messages that references stand for, since they were last taken.
    pub(crate) fn take(&mut self) -> Vec<(TextHash, Message)> {
        std::mem::take(&mut self.messages)
    }
}

struct ByText(Message);

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        self.0.json()
    }
}
impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.json().hash(state);
    }
}
impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0.json() == other.0.json()
    }
}
impl Eq for ByText {}

#[derive(Default)]
struct Known {
    messages: HashSet<ByText>,
    bytes: u64,
    sweep_at: u64,
    by_hash: HashMap<TextHash, Message>,
    referred: Vec<TextHash>,
}

impl Known {
    fn message(&mut self, text: &str) -> Result<Message, String> {
        if let Some(found) = self.messages.get(text) {
            return Ok(found.0.clone());
        }
        let message = sealed(text)?;
        self.bytes += message.bytes();
        if self.bytes > self.sweep_at.max(SWEEP_BYTES) {
            self.messages.retain(|one| one.0.holders() > 1);
            self.bytes = self.messages.iter().map(|one| one.0.bytes()).sum();
            self.sweep_at = 2 * self.bytes;
        }
        self.messages.insert(ByText(message.clone()));
        Ok(message)
    }
    fn refer(&mut self, hex: &str) -> Result<Message, String> {
        let hash = TextHash::from_hex(hex).map_err(|error| error.to_string())?;
        self.referred.push(hash);
        let found = self.by_hash.get(&hash).cloned();
        found.ok_or_else(|| format!("the message {hex} that it refers to is missing"))
    }
}

thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// While one is there, its thread reads equal long messages as one, and references to them.
#[derive(Debug)]
pub(crate) struct Reading {
    is_outer: bool,
}

impl Reading {
    pub(crate) fn begin() -> Self {
        let is_outer = KNOWN.with_borrow_mut(|known| {
            let is_outer = known.is_none();
            known.get_or_insert_default();
            is_outer
        });
        Self { is_outer }
    }
    /// Takes a text that stands in a checkpoint.
    ///
    /// Errors: in words; it is no message, or not the one of this hash.
    pub(crate) fn text(&self, hash: TextHash, text: &[u8]) -> Result<(), String> {
        if blake3::hash(text) != hash {
            return Err("the message does not have the hash that it stands under".to_owned());
        }
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        with(|known| {
            let message = known.message(text)?;
            known.by_hash.insert(hash, message);
            Ok(())
        })
    }
    /// Texts that were referred to since this was asked last.
    pub(crate) fn referred(&self) -> Vec<TextHash> {
        with(|known| Ok(std::mem::take(&mut known.referred))).unwrap_or_default()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.is_outer {
            KNOWN.set(None);
        }
    }
}

fn with<T>(then: impl FnOnce(&mut Known) -> Result<T, String>) -> Result<T, String> {
    KNOWN.with_borrow_mut(|known| match known {
        Some(known) => then(known),
        None => Err("a reference to a message outside a checkpoint".to_owned()),
    })
}

/// Reads a message, or a reference to one, as it is stored.
///
/// Errors: in words.
pub(crate) fn message(text: &str) -> Result<Message, String> {
    if let Some(hex) = text.strip_prefix(REFERENCE) {
        return with(|known| known.refer(hex));
    }
    if text.len() < LONG_BYTES {
        return sealed(text);
    }
    KNOWN.with_borrow_mut(|known| match known {
        Some(known) => known.message(text),
        None => sealed(text),
    })
}

fn sealed(text: &str) -> Result<Message, String> {
    Message::from_sealed(text.to_owned()).map_err(|error| error.to_string())
}
