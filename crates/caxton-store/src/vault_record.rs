//! One record of the vault: a value, sealed together with its name.
//!
//! This is a stored format, and data directories with it exist: nothing here may change without a new
//! version.

use aws_lc_rs::aead::NONCE_LEN;
use caxton_model::Timestamp;
use zeroize::Zeroizing;

use crate::{
    vault::SECRET_BYTES_MAX,
    vault_key::{KEY_ID_BYTES, KeyId, SealingKey},
};

/// How a record begins: what it is, and the version of its form.
const MAGIC: [u8; 8] = *b"CAXTONV\x01";
const KEY_ID_AT: usize = MAGIC.len();
const SET_AT: usize = KEY_ID_AT + KEY_ID_BYTES;
const NONCE_AT: usize = SET_AT + size_of::<i64>();
const SEALED_AT: usize = NONCE_AT + NONCE_LEN;
/// Bytes of the tag by which a change is found.
const TAG_BYTES: usize = 16;

/// Bytes of the largest record.
pub(crate) const RECORD_BYTES_MAX: u64 = (SEALED_AT + SECRET_BYTES_MAX + TAG_BYTES) as u64;

/// A record's bytes, as they are in its file.
pub(crate) struct Record(Box<[u8]>);

/// Which key has opened a record.
pub(crate) enum Opened {
    /// The one that seals.
    ByFirst,
    /// An older one.
    ByOther(Zeroizing<Vec<u8>>),
    /// None.
    Not,
}

impl Record {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }
    fn part<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at + N)?.try_into().ok()
    }
    /// Whether it has the form of a record.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.starts_with(&MAGIC) && self.0.len() >= SEALED_AT + TAG_BYTES
    }
    fn key_id(&self) -> Option<KeyId> {
        self.part(KEY_ID_AT).filter(|_| self.is_whole())
    }
    /// When it was set, by its own word: sealed, but not secret.
    pub(crate) fn set_at(&self) -> Option<Timestamp> {
        let bytes = self.part(SET_AT).filter(|_| self.is_whole())?;
        Some(Timestamp(i64::from_le_bytes(bytes)))
    }
    /// Whether it says that one of these keys has sealed it.
    pub(crate) fn names_one_of(&self, keys: &[SealingKey]) -> bool {
        let id = self.key_id();
        keys.iter().any(|key| Some(key.id) == id)
    }

    /// The value.
    ///
    /// Errors: what is wrong, as the end of a sentence about the secret.
    pub(crate) fn open(
        &self,
        name: &str,
        keys: &[SealingKey],
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let Some(id) = self.key_id() else {
            return Err(
                match self.0.starts_with(b"CAXTONV") && !self.0.starts_with(&MAGIC) {
                    true => "was written by a newer program".to_owned(),
                    false => "is damaged: its file is not whole".to_owned(),
                },
            );
        };
        let key = keys.iter().find(|key| key.id == id);
        let key = key.ok_or("was sealed with another key than the vault's")?;
        let opened = self.part(NONCE_AT).and_then(|nonce| {
            let sealed = self.0.get(SEALED_AT..)?;
            key.open(nonce, &bound(self.0.get(..NONCE_AT)?, name), sealed)
        });
        opened.ok_or_else(|| {
            "is damaged: its file was changed, or belongs to another name".to_owned()
        })
    }

    /// Tells which of the keys opens the record, if one does.
    pub(crate) fn opened_by(&self, name: &str, keys: &[SealingKey]) -> Opened {
        match (self.open(name, keys), keys.first()) {
            (Ok(_), Some(first)) if self.key_id() == Some(first.id) => Opened::ByFirst,
            (Ok(value), _) => Opened::ByOther(value),
            (Err(_), _) => Opened::Not,
        }
    }
}

/// What the seal covers beside the value: the head, and whose record it is.
fn bound(head: &[u8], name: &str) -> Vec<u8> {
    [head, name.as_bytes()].concat()
}

/// Seals a value for a name with the first key; `None`: there are no random bytes.
pub(crate) fn seal(name: &str, value: &[u8], at: Timestamp, keys: &[SealingKey]) -> Option<Record> {
    let key = keys.first()?;
    let mut nonce = [0; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut nonce).ok()?;
    let mut record = Vec::with_capacity(SEALED_AT + value.len() + TAG_BYTES);
    record.extend_from_slice(&MAGIC);
    record.extend_from_slice(&key.id);
    record.extend_from_slice(&at.0.to_le_bytes());
    let bound = bound(&record, name);
    record.extend_from_slice(&nonce);
    let mut sealed = Zeroizing::new(Vec::with_capacity(value.len() + TAG_BYTES));
    sealed.extend_from_slice(value);
    if !key.seal(nonce, &bound, &mut sealed) {
        return None;
    }
    record.extend_from_slice(&sealed);
    Some(Record::new(record))
}
