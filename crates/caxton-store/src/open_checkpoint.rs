//! Opens the checkpoint at a start: one that is damaged, short or lost is set aside and built anew
//! from the journal, or refuses the start by name where the journal does not reach back.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use caxton_model::State;

use crate::{
    Chain, OpenError,
    checkpoint::{CheckpointError, Table},
    database::Checkpoint,
    directory::sync_names,
    scan::Listing,
    texts::Texts,
};

/// The checkpoint, opened, and what it holds.
pub(crate) struct Opened {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) known: Option<(u64, Chain)>,
    pub(crate) state: State,
    pub(crate) texts: Texts,
    /// Whether every stored value was read and compared, too.
    pub(crate) is_checked: bool,
}

/// Opens the checkpoint; one that can't be used is set aside if the journal can build it anew.
///
/// Cost: reads the whole checkpoint if it is at most `check_bytes`, else without the stored values.
pub(crate) fn open_checkpoint(
    folder: &Path,
    listing: Option<&Listing>,
    check_bytes: u64,
    notices: &mut Vec<String>,
) -> Result<Opened, OpenError> {
    // What a process left that ended while it built one.
    remove_folder(&being_built(folder))?;
    let begins = listing.map_or(1, Listing::begins);
    let reason = match try_checkpoint(folder, check_bytes) {
        Ok(opened) => match opened.known {
            Some((place, _)) if place + 1 >= begins => return Ok(opened),
            None if begins == 1 => return Ok(opened),
            None => "it is empty".to_owned(),
            Some((place, _)) => format!("it ends at place {place}"),
        },
        Err(error) if !error.is_damage() => return Err(checkpoint_failed(error)),
        Err(error) => error.to_string(),
    };
    if begins > 1 {
        return Err(OpenError::CheckpointLost {
            reason,
            journal_begins: begins,
        });
    }
    let aside = set_aside(folder)?;
    notices.push(format!(
        "the checkpoint could not be used ({reason}); it was rebuilt from the journal, and the old one is in {}",
        aside.display()
    ));
    try_checkpoint(folder, check_bytes).map_err(checkpoint_failed)
}

/// Reads a checkpoint and checks it.
pub(crate) fn try_checkpoint(folder: &Path, check_bytes: u64) -> Result<Opened, CheckpointError> {
    // Damaged files may panic the database: that is damage, too.
    catch_unwind(AssertUnwindSafe(|| {
        let checkpoint = Checkpoint::open(folder)?;
        let (state, texts) = checkpoint.load()?;
        let is_checked = checkpoint.bytes() <= check_bytes;
        if is_checked {
            let mut pass = checkpoint.pass(Table::Values)?;
            while !pass.step(&checkpoint, usize::MAX)? {}
        }
        Ok(Opened {
            known: checkpoint.meta().map(|meta| (meta.place, meta.chain)),
            state,
            texts,
            checkpoint,
            is_checked,
        })
    }))
    .unwrap_or(Err(CheckpointError::Panicked))
}

/// Where a checkpoint is built that takes the place of another.
pub(crate) fn being_built(folder: &Path) -> PathBuf {
    folder.with_extension("rebuilt")
}

/// Moves a checkpoint out of the way, to be looked at by a person; answers where it is then.
pub(crate) fn set_aside(folder: &Path) -> Result<PathBuf, OpenError> {
    let aside = folder.with_extension("unusable");
    remove_folder(&aside)?;
    match fs::rename(folder, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(OpenError::io(format!("can't rename {}", folder.display()))(
                error,
            ));
        }
        _ => {}
    }
    sync_names(folder.parent().unwrap_or(folder))
        .map_err(OpenError::io(format!("can't sync {}", folder.display())))?;
    Ok(aside)
}

pub(crate) fn remove_folder(folder: &Path) -> Result<(), OpenError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(OpenError::io(format!(
            "can't remove {}",
            folder.display()
        ))(error)),
        _ => Ok(()),
    }
}

pub(crate) fn checkpoint_failed(error: CheckpointError) -> OpenError {
    let source = match error.io() {
        Some(source) => io::Error::new(source.kind(), error.to_string()),
        None => io::Error::other(error.to_string()),
    };
    OpenError::io("can't use the checkpoint")(source)
}
