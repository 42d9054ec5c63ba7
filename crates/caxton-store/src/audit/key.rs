//! The node's key, which signs the heads of the audit log.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};

use crate::{
    OpenError,
    directory::{private_file, sync_names},
};

/// The key's file in the data directory: a private Ed25519 key as PKCS#8, version 1, in DER.
pub(crate) const KEY_FILE: &str = "node-key";

/// The node's private key.
#[derive(Debug)]
pub(crate) struct NodeKey(Ed25519KeyPair);

impl NodeKey {
    /// Reads the key of a data directory; `None`: there is none.
    ///
    /// Errors: the file can't be read, or holds no key.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join(KEY_FILE);
        let failed = || OpenError::io(format!("can't read {}", path.display()));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed()(error)),
        };
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes)
            .map(|pair| Some(Self(pair)))
            .map_err(|error| {
                let what = format!("it holds no Ed25519 key as PKCS#8 ({error})");
                failed()(io::Error::new(io::ErrorKind::InvalidData, what))
            })
    }

    /// Makes a key in a data directory that has none; durable when it returns.
    pub(crate) fn make(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(KEY_FILE);
        write_key(dir, &path).map_err(OpenError::io(format!("can't make {}", path.display())))?;
        Self::read(dir)?.ok_or(OpenError::NodeKeyMissing { path })
    }

    /// A key from its 32 secret bytes.
    #[cfg(test)]
    pub(crate) fn from_seed(seed: [u8; 32]) -> Result<Self, String> {
        Ed25519KeyPair::from_seed_unchecked(&seed)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// The public key.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap_or_default()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).as_ref().try_into().unwrap_or([0; 64])
    }
}

fn write_key(dir: &Path, path: &PathBuf) -> io::Result<()> {
    let key = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
        .map_err(|_| io::Error::other("the system gave no random bytes"))?;
    let beside = dir.join("node-key.new");
    let mut file = private_file().truncate(true).open(&beside)?;
    file.write_all(key.as_ref())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_names(dir)
}
