//! The two files that tokens live in: `admin-token` and `tokens.json`, both for the owner only.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use caxton_api::Scope;
use serde::{Deserialize, Serialize};

use crate::ServeError;

/// Bytes of randomness in a token: as hard to guess as a 256-bit key.
const SECRET_BYTES: usize = 32;
/// What a secret begins with that this program made.
const SECRET_PREFIX: &str = "cxt_";
/// Characters of a secret that this program made: the prefix, and the randomness in base64.
const SECRET_CHARS: usize = SECRET_PREFIX.len() + (SECRET_BYTES * 4).div_ceil(3);
/// The fewest characters of an admin token that an operator chose.
const CHOSEN_CHARS_MIN: usize = 16;

/// The newest version of `tokens.json`. The first one knew no `clients`.
const VERSION: u32 = 2;

/// A token as it is kept: without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The clients it is bound to; empty: the one of its own name. Since version 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) clients: Vec<String>,
    pub(crate) created_at: String,
    /// `sha256:` of the secret. The secret is random, so a plain hash can't be searched.
    pub(crate) hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    tokens: Vec<Kept>,
}

/// A new secret.
pub(crate) fn new_secret() -> String {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn refused(path: &Path, reason: impl ToString) -> ServeError {
    ServeError::Tokens {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes others' rights away, should somebody have given them.
#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read this file; it is the owner's alone now");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}
#[cfg(not(unix))]
fn close_to_others(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether a token can be sent, is hard to guess, and is whole where this program made it: a power cut
/// may have cut it short.
fn is_whole(token: &str) -> bool {
    let least = match token.starts_with(SECRET_PREFIX) {
        true => SECRET_CHARS,
        false => CHOSEN_CHARS_MIN,
    };
    token.len() >= least && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The admin token of a data directory, made if there is none. Blocking.
pub(crate) fn admin_token(directory: &Path) -> Result<String, ServeError> {
    let path = directory.join("admin-token");
    match std::fs::read_to_string(&path) {
        Ok(text) if is_whole(text.trim()) => {
            close_to_others(&path).map_err(|error| refused(&path, error))?;
            Ok(text.trim().to_owned())
        }
        Ok(_) => Err(refused(
            &path,
            "the token in it is too short or damaged; remove the file to get a new one",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = new_secret();
            replace(&path, format!("{secret}\n").as_bytes())
                .map_err(|error| refused(&path, error))?;
            tracing::info!(path = %path.display(), "a new admin token was made");
            Ok(secret)
        }
        Err(error) => Err(refused(&path, error)),
    }
}

/// The other tokens. Blocking.
pub(crate) fn read(path: &Path) -> Result<Vec<Kept>, ServeError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            close_to_others(path).map_err(|error| refused(path, error))?;
            let document: Document = serde_json::from_slice(&bytes).map_err(|error| {
                refused(
                    path,
                    format!(
                        "{error}; restore it from a copy, or remove it and make the tokens anew"
                    ),
                )
            })?;
            match document.version {
                1 | VERSION => Ok(document.tokens),
                version => Err(refused(
                    path,
                    format!("version {version} was written by a newer program"),
                )),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(refused(path, error)),
    }
}

/// Writes the other tokens: wholly or not at all. Blocking.
pub(crate) fn write(path: &Path, tokens: &[Kept]) -> io::Result<()> {
    // Programs that know version 1 alone read what they can mean.
    let is_first = tokens.iter().all(|token| token.clients.is_empty());
    let document = Document {
        version: if is_first { 1 } else { VERSION },
        tokens: tokens.to_vec(),
    };
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    replace(path, &text)
}

/// Writes beside, syncs, renames over, syncs the directory.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{:08x}", rand::random::<u32>()));
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut file = private().open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    if written.is_err() {
        // Whatever went wrong is told; a left-over file would only be litter.
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    match path.parent() {
        #[cfg(unix)]
        Some(directory) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str) -> Kept {
        Kept {
            id: id.to_owned(),
            name: "ci".to_owned(),
            scopes: vec![Scope::Read],
            namespace: Some("acme".to_owned()),
            clients: Vec::new(),
            created_at: "1970-01-01T00:00:00Z".to_owned(),
            hash: "sha256:00".to_owned(),
        }
    }

    #[test]
    fn tokens_are_kept_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        assert!(read(&path).unwrap().is_empty());
        write(&path, &[kept("t-1")]).unwrap();
        write(&path, &[kept("t-1"), kept("t-2")]).unwrap();
        assert_eq!(read(&path).unwrap(), [kept("t-1"), kept("t-2")]);
        let version = || {
            let text = std::fs::read(&path).unwrap();
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()["version"].clone()
        };
        assert_eq!(version(), 1);
        let mut with_clients = kept("t-3");
        with_clients.clients = vec!["web".to_owned()];
        write(&path, &[kept("t-1"), with_clients.clone()]).unwrap();
        assert_eq!(version(), 2);
        assert_eq!(read(&path).unwrap(), [kept("t-1"), with_clients]);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(read(&path), Err(ServeError::Tokens { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_admin_token_is_made_once_and_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let first = admin_token(directory.path()).unwrap();
        let path = directory.path().join("admin-token");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(), first.len()), (0o600, 47));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(admin_token(directory.path()).unwrap(), first);
        assert_eq!(mode(), 0o600);
        for damaged in [
            "short",
            &first[..46],
            &"\0".repeat(47),
            "cxt_ with blanks in it",
        ] {
            std::fs::write(&path, damaged).unwrap();
            let refused = admin_token(directory.path()).unwrap_err().to_string();
            assert!(refused.contains("remove the file"), "{damaged}: {refused}");
        }
        std::fs::write(&path, "sixteen-letters!\n").unwrap();
        assert_eq!(admin_token(directory.path()).unwrap(), "sixteen-letters!");
    }
}
