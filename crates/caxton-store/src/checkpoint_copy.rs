//! Looks at the checkpoint of a node that does not run, and changes nothing: opening the database
//! changes its files, so that a copy of them is opened.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use caxton_model::State;

use crate::{Chain, open_checkpoint::try_checkpoint};

/// What became of the look.
pub(crate) enum CheckpointFound {
    /// All of it can be read.
    Good(Box<CheckpointRead>),
    /// There is none, or it covers no record.
    Missing,
    /// Something of it can't be read, is missing, or is not what was written; in words.
    Damaged(String),
    /// It was not read; why.
    Unchecked(String),
}

/// What a checkpoint holds; by default nothing, before the first record.
#[derive(Default)]
pub(crate) struct CheckpointRead {
    pub(crate) place: u64,
    pub(crate) chain: Chain,
    pub(crate) state: State,
}

impl CheckpointFound {
    /// Looks at the checkpoint of a data directory that no node uses meanwhile.
    pub(crate) fn of(dir: &Path) -> Self {
        let folder = dir.join("checkpoint");
        if !folder.is_dir() {
            return Self::Missing;
        }
        let copy = match Copy::of(&folder) {
            Ok(copy) => copy,
            Err(error) => {
                return Self::Unchecked(format!(
                    "copying it into {} failed: {error}",
                    std::env::temp_dir().display()
                ));
            }
        };
        match try_checkpoint(&copy.0, u64::MAX) {
            Err(error) => Self::Damaged(error.to_string()),
            Ok(opened) => match opened.known {
                Some((place, chain)) => Self::Good(Box::new(CheckpointRead {
                    place,
                    chain,
                    state: opened.state,
                })),
                None => Self::Missing,
            },
        }
    }
}

/// A copy of a folder, for this user alone, as long as it is needed.
struct Copy(PathBuf);

impl Copy {
    fn of(folder: &Path) -> io::Result<Self> {
        let mut id = blake3::Hasher::new();
        id.update(folder.as_os_str().as_encoded_bytes());
        id.update(&crate::disk::random_id());
        let name = format!("caxton-verify-{}", id.finalize().to_hex());
        let copy = Self(std::env::temp_dir().join(name));
        copy_folder(folder, &copy.0)?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a copy could not be removed");
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
