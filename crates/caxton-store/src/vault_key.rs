//! The keys that seal the vault's records, and the file that they are in.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::directory::{private_file, sync_names};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of a key's id.
pub(crate) const KEY_ID_BYTES: usize = 8;
/// Bytes of a key file: more than any number of keys that a rotation leaves.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Names a key without telling anything of it.
pub(crate) type KeyId = [u8; KEY_ID_BYTES];

/// A key in the form in which it seals.
pub(crate) struct SealingKey {
    pub(crate) id: KeyId,
    key: LessSafeKey,
    /// The key of [`Self::tag`].
    tags: Zeroizing<[u8; KEY_BYTES]>,
}

impl SealingKey {
    fn new(bytes: &[u8]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let hash = blake3::derive_key("caxton vault 1: id of a key", bytes);
        let mut id = KeyId::default();
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let tags = blake3::derive_key("caxton vault 1: tag of a value", bytes);
        Some(Self {
            id,
            key,
            tags: tags.into(),
        })
    }
    /// Tells one value from another, and nothing else to whoever lacks the key.
    pub(crate) fn tag(&self, name: &str, value: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.tags);
        // A name holds no zero byte.
        hasher.update(name.as_bytes()).update(&[0]).update(value);
        *hasher.finalize().as_bytes()
    }
    /// Encrypts `value` in place and appends the tag.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LEN], bound: &[u8], value: &mut Vec<u8>) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self
            .key
            .seal_in_place_append_tag(nonce, Aad::from(bound), value);
        sealed.is_ok()
    }
    /// Decrypts what [`Self::seal`] made of a value; `None`: something in it is another than it was.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        bound: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(bound), &mut bytes);
        let length = opened.ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

/// A key in the text form of the key file: 64 hexadecimal digits.
pub(crate) fn new_key() -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    aws_lc_rs::rand::fill(&mut *bytes).ok()?;
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
    for byte in bytes.iter() {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
    }
    Some(text)
}

fn read_key(line: &str) -> Option<SealingKey> {
    let digits = Zeroizing::new(
        line.chars()
            .map(|digit| {
                digit
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect::<Option<Vec<u8>>>()?,
    );
    let pairs = digits.chunks_exact(2);
    let bytes = pairs.map(|pair| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | digit));
    let bytes = Zeroizing::new(bytes.collect::<Vec<u8>>());
    (digits.len() == 2 * KEY_BYTES).then(|| SealingKey::new(&bytes))?
}

/// The keys in a file's text: each on a line of its own, the one that seals first.
///
/// Errors: a sentence with the number of the line, never with what stands in it.
pub(crate) fn read_keys(text: &str) -> Result<Vec<SealingKey>, String> {
    let lines = text.lines().map(str::trim).enumerate();
    let keys = lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            read_key(line).ok_or_else(|| {
                format!(
                    "line {} of it is no key; a key is 64 hexadecimal digits",
                    at + 1
                )
            })
        });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err("it contains no key; a key is 64 hexadecimal digits".to_owned());
    }
    Ok(keys)
}

/// The text of a key file; `None`: there is none.
pub(crate) fn read_file(path: &Path) -> Result<Option<Zeroizing<String>>, io::Error> {
    match fs::metadata(path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => Err(io::Error::other("it is too large")),
        Ok(_) => Ok(Some(Zeroizing::new(fs::read_to_string(path)?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether others than its owner may read a file.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

/// Writes a file whole or not at all, for its owner alone; durable when it returns.
///
/// A crash leaves at most a file of the name's form [`temporary`] beside it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let written = private_file()
        .truncate(true)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What went wrong is told; the next start removes what stays.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_names(folder)
}

/// Where a file's bytes are until they are whole. No name of a secret begins with a dot.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(format!(".new-{}", name.display()))
}
