//! A head of the audit log that the node's key signed: up to where the log went, and its chain there.
//!
//! Whoever keeps one elsewhere can tell later whether the log up to its place is still the same.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use caxton_model::{Timestamp, format_rfc3339};
use serde::{Deserialize, Serialize};

use super::key::NodeKey;
use crate::Chain;

/// What the signed bytes begin with, so that the key's signatures of anything else are none of these.
const CONTEXT: &[u8; 24] = b"caxton audit head 1\0\0\0\0\0";

/// A signed head of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// The log's id.
    pub log: [u8; 32],
    /// The last durable record.
    pub place: u64,
    /// The chain behind it.
    pub chain: Chain,
    /// The first record that is kept: all before it were trimmed.
    pub begins: u64,
    /// The latest timestamp of the records up to there.
    pub at: Timestamp,
    /// The public key that it is signed with.
    pub key: [u8; 32],
    /// The Ed25519 signature.
    pub signature: [u8; 64],
}

/// A head as a line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    log: String,
    place: u64,
    chain: String,
    begins: u64,
    at: String,
    key: String,
    signature: String,
}

impl SignedHead {
    pub(crate) fn sign(
        key: &NodeKey,
        log: [u8; 32],
        (place, chain): (u64, Chain),
        begins: u64,
        at: Timestamp,
    ) -> Self {
        let mut head = Self {
            log,
            place,
            chain,
            begins,
            at,
            key: key.public(),
            signature: [0; 64],
        };
        head.signature = key.sign(&head.signed_bytes());
        head
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [
            &CONTEXT[..],
            &self.log,
            &self.place.to_le_bytes(),
            &self.chain,
            &self.begins.to_le_bytes(),
            &self.at.0.to_le_bytes(),
            &self.key,
        ]
        .concat()
    }

    /// Whether the key that it names signed it.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(&self.signed_bytes(), &self.signature)
            .is_ok()
    }

    /// The head as one line of JSON, without a line's end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let written = Written {
            log: hex(&self.log),
            place: self.place,
            chain: hex(&self.chain),
            begins: self.begins,
            at: format_rfc3339(self.at),
            key: hex(&self.key),
            signature: hex(&self.signature),
        };
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Reads what [`Self::to_json`] gave. It may still be signed by nobody.
    ///
    /// Errors: in words.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let written: Written =
            serde_json::from_str(text).map_err(|error| format!("it is no signed head: {error}"))?;
        Ok(Self {
            log: unhex("log", &written.log)?,
            place: written.place,
            chain: unhex("chain", &written.chain)?,
            begins: written.begins,
            at: Timestamp::parse(&written.at)
                // Other spellings of a date are not what was signed.
                .filter(|at| format_rfc3339(*at) == written.at)
                .ok_or_else(|| format!("`{}` is no date", written.at))?,
            key: unhex("key", &written.key)?,
            signature: unhex("signature", &written.signature)?,
        })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex<const N: usize>(field: &str, text: &str) -> Result<[u8; N], String> {
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("`{field}` of a signed head is {N} bytes in hexadecimal"))
}
