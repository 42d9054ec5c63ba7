//! The two files that tokens live in: `admin-token` and `tokens.json`, both for the owner only.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use caxton_api::Scope;
use caxton_model::Digest;
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

/// The version of `tokens.json` that is written. Version 1 knew no `clients`, and only from version 3 on
/// there is a digest.
const VERSION: u32 = 3;

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
    /// Of the tokens, as JSON without blanks. A changed bit of a hash would only be a token that is unknown,
    /// and one of a namespace a token with other rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    tokens: Vec<Kept>,
}

fn digest_of(tokens: &[Kept]) -> serde_json::Result<String> {
    Ok(Digest::of(&serde_json::to_vec(tokens)?).to_string())
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

/// Whether these bytes are what a power cut leaves of a token that this program made, rather than one that
/// an operator chose.
fn is_remains(bytes: &[u8]) -> bool {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let text = bytes.trim_ascii();
    let prefix = SECRET_PREFIX.as_bytes();
    !bytes.iter().all(is_text) || text.starts_with(prefix) || prefix.starts_with(text)
}

/// The admin token of a data directory. One is made if there is none, or only what is left of one that this
/// program made: no operator chose it, and nobody can know it any more. Blocking.
pub(crate) fn admin_token(directory: &Path) -> Result<String, ServeError> {
    let path = directory.join("admin-token");
    let found = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found.map_err(|error| refused(&path, error))?),
    };
    let text = found
        .as_deref()
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    if let Some(token) = text.map(str::trim).filter(|token| is_whole(token)) {
        close_to_others(&path).map_err(|error| refused(&path, error))?;
        return Ok(token.to_owned());
    }
    let shown = path.display();
    match found {
        None => tracing::info!(path = %shown, "a new admin token was made"),
        Some(bytes) if is_remains(&bytes) => tracing::warn!(
            path = %shown,
            "the admin token in this file was cut short or damaged; a new one was made"
        ),
        Some(_) => {
            return Err(refused(
                &path,
                format!(
                    "the token in it is none that this program made, so it is kept; one that you choose has at least {CHOSEN_CHARS_MIN} letters, digits and signs and no blanks. Write such a token into it, or remove the file to get a new one"
                ),
            ));
        }
    }
    let secret = new_secret();
    replace(&path, format!("{secret}\n").as_bytes()).map_err(|error| refused(&path, error))?;
    Ok(secret)
}

/// The other tokens of a data directory. Blocking.
///
/// The file is there from the first start on, so that a lost one can be told.
pub(crate) fn kept_tokens(directory: &Path) -> Result<Vec<Kept>, ServeError> {
    let path = directory.join("tokens.json");
    if let Some(tokens) = read(&path)? {
        return Ok(tokens);
    }
    let shown = path.display();
    if directory.join("admin-token").exists() {
        tracing::warn!(
            path = %shown,
            "this file is missing, and was made anew without tokens: those that were created before are unknown now. Restore it from a copy, or create the tokens anew"
        );
    }
    if let Err(error) = write(&path, &[]) {
        // The next start tries again.
        tracing::warn!(path = %shown, %error, "the file for tokens could not be made");
    }
    Ok(Vec::new())
}

/// The tokens in a file; `None`: there is no file. Blocking.
fn read(path: &Path) -> Result<Option<Vec<Kept>>, ServeError> {
    const REMEDY: &str = "restore it from a copy, or remove it and make the tokens anew";
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(path, error)),
    };
    close_to_others(path).map_err(|error| refused(path, error))?;
    let document: Document = serde_json::from_slice(&bytes)
        .map_err(|error| refused(path, format!("{error}; {REMEDY}")))?;
    if document.version > VERSION {
        let version = document.version;
        let reason = format!("version {version} was written by a newer program");
        return Err(refused(path, reason));
    }
    let expected = match document.version {
        VERSION => Some(digest_of(&document.tokens).map_err(|error| refused(path, error))?),
        _ => None,
    };
    if document.digest != expected {
        let reason =
            format!("the tokens in it have not the digest that stands beside them; {REMEDY}");
        return Err(refused(path, reason));
    }
    Ok(Some(document.tokens))
}

/// Writes the other tokens: wholly or not at all. Blocking.
pub(crate) fn write(path: &Path, tokens: &[Kept]) -> io::Result<()> {
    let document = Document {
        version: VERSION,
        digest: Some(digest_of(tokens)?),
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
        assert!(read(&path).unwrap().is_none());
        let mut with_clients = kept("t-2");
        with_clients.clients = vec!["web".to_owned()];
        let tokens = [kept("t-1"), with_clients];
        write(&path, &tokens[..1]).unwrap();
        write(&path, &tokens).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), tokens);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(read(&path), Err(ServeError::Tokens { .. })));
    }

    #[test]
    fn tokens_of_older_versions_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        for version in [1, 2] {
            let document = serde_json::json!({ "version": version, "tokens": [kept("t-1")] });
            std::fs::write(&path, document.to_string()).unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), [kept("t-1")]);
        }
    }

    #[test]
    fn no_flipped_bit_makes_other_tokens_of_those_that_were_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        write(&path, &[kept("t-1")]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                std::fs::write(&path, &other).unwrap();
                match read(&path) {
                    // A blank for another one.
                    Ok(found) => assert_eq!(found.unwrap(), [kept("t-1")], "byte {at} bit {bit}"),
                    Err(error) => {
                        assert!(error.to_string().contains("tokens.json"), "{error}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > bytes.len() * 6, "{refused} of {}", bytes.len());
    }

    #[test]
    fn the_file_for_tokens_is_there_from_the_first_start_on() {
        let directory = tempfile::tempdir().unwrap();
        assert!(kept_tokens(directory.path()).unwrap().is_empty());
        let path = directory.path().join("tokens.json");
        assert_eq!(read(&path).unwrap(), Some(Vec::new()));
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
        let mut last = first.clone();
        for damaged in [
            "",
            "\n",
            "cx",
            &first[..46],
            &"\0".repeat(47),
            "cxt_ with blanks in it",
        ] {
            std::fs::write(&path, damaged).unwrap();
            let next = admin_token(directory.path()).unwrap();
            assert!(next.len() == 47 && next != last, "{damaged}: {next}");
            assert_eq!(admin_token(directory.path()).unwrap(), next);
            last = next;
        }
        for chosen in ["short\n", "more than sixteen, with blanks"] {
            std::fs::write(&path, chosen).unwrap();
            let refused = admin_token(directory.path()).unwrap_err().to_string();
            assert!(refused.contains("remove the file"), "{chosen}: {refused}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), chosen);
        }
        std::fs::write(&path, "sixteen-letters!\n").unwrap();
        assert_eq!(admin_token(directory.path()).unwrap(), "sixteen-letters!");
    }
}
