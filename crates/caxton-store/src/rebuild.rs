//! Looks after the checkpoint while the node runs: reads all of it now and then, a piece at a time,
//! and builds it anew from the journal where something can't be read.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use caxton_model::State;

use crate::{
    Chain, Damage, Files, OpenError, RealFiles,
    blobs::is_no_space,
    checkpoint::{CheckpointError, Table},
    database::{Checkpoint, Pass},
    directory::sync_names,
    follower::Follower,
    frame::decode_entry,
    log::JOURNAL,
    meta::Meta,
    open_checkpoint::{being_built, checkpoint_failed, remove_folder, set_aside},
    scan::{Listing, list},
    texts::{Reading, Texts},
};

/// Bytes that are read at once, so that a checkpoint of 1 GiB takes about a minute.
const STEP_BYTES: usize = 4 << 20;
/// Pause between two of those.
const STEP_PAUSE: Duration = Duration::from_millis(250);
/// Pause between two looks at everything.
const PASS_PAUSE: Duration = Duration::from_hours(6);
/// Room that must be there before a checkpoint is opened again or built anew: the database may write
/// what it has in memory of both tables.
const ROOM_BYTES: u64 = 16 << 20;

/// When the checkpoint is to be read next, and how far that has come.
pub(crate) struct Scrub {
    pass: Option<Pass>,
    due: Instant,
}

impl Scrub {
    /// `is_checked`: whether all was read a moment ago.
    pub(crate) fn new(is_checked: bool) -> Self {
        let pause = if is_checked { PASS_PAUSE } else { STEP_PAUSE };
        Self {
            pass: None,
            due: Instant::now() + pause,
        }
    }

    /// How long there is nothing to do.
    pub(crate) fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Reads a piece, if it is time.
    ///
    /// Errors: an entry can't be read, or a table does not hold what was written.
    pub(crate) fn step(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        if Instant::now() < self.due {
            return Ok(());
        }
        let done = catch_unwind(AssertUnwindSafe(|| {
            let pass = match &mut self.pass {
                Some(pass) => pass,
                none => none.insert(checkpoint.pass(Table::Parts)?),
            };
            pass.step(checkpoint, STEP_BYTES)
        }))
        .unwrap_or(Err(CheckpointError::Panicked));
        if !matches!(done, Ok(false)) {
            self.pass = None;
        }
        let pause = match done {
            Ok(false) => STEP_PAUSE,
            _ => PASS_PAUSE,
        };
        self.due = Instant::now() + pause;
        done.map(drop)
    }

    /// Lets go of the database, and begins anew later.
    pub(crate) fn stop(&mut self) {
        *self = Self::new(true);
    }
}

/// Whether the disk has no room for a checkpoint to be opened or built. Found by taking the room for a
/// moment, because a quota is not told in advance.
pub(crate) fn lacks_room(folder: &Path) -> bool {
    let beside = being_built(folder);
    let asked = fs::create_dir_all(&beside).and_then(|()| {
        let file = RealFiles::new(&beside).create("room")?;
        file.reserve(ROOM_BYTES)
    });
    // What stays is removed before the folder is used.
    let _ = remove_folder(&beside);
    asked.is_err_and(|error| is_no_space(&error))
}

/// Builds a checkpoint beside this one from the whole journal, as far as `reach`; answers where, and
/// which texts it has.
///
/// Errors: also that the journal does not reach back.
pub(crate) fn build_beside(
    folder: &Path,
    files: &Arc<dyn Files>,
    reach: &Meta,
    values_bytes_max: u64,
) -> Result<(PathBuf, Texts), OpenError> {
    let beside = being_built(folder);
    remove_folder(&beside)?;
    let listing = list(&**files, &JOURNAL)?;
    let begins = listing.as_ref().map_or(1, Listing::begins);
    if begins > 1 {
        return Err(OpenError::CheckpointLost {
            reason: "it is damaged".to_owned(),
            journal_begins: begins,
        });
    }
    let checkpoint = Checkpoint::open(&beside).map_err(checkpoint_failed)?;
    let mut follower = Follower::new(State::tracked(), Texts::default(), 0, Chain::default());
    let _reading = Reading::begin();
    let mut visit = |at: u64, body: &[u8]| {
        if at > reach.place {
            return Err(String::new());
        }
        follower.apply(&decode_entry(body)?);
        if follower.value_bytes() >= values_bytes_max {
            let written = follower.write_values(&checkpoint);
            written.map_err(|error| format!("the checkpoint: {error}"))?;
        }
        Ok(())
    };
    match listing.map(|listing| listing.scan(&**files, 0, &[], &mut visit)) {
        // Our own stop: the journal is being written meanwhile.
        Some(Err(OpenError::Damaged(Damage { what, .. }))) if what.is_empty() => {}
        Some(Err(error)) => return Err(error),
        Some(Ok(_)) | None => {}
    }
    follower.set_chain(reach.chain);
    follower.write(&checkpoint).map_err(checkpoint_failed)?;
    Ok((beside, follower.into_texts()))
}

/// Puts a checkpoint that was built beside another into its place. Both are closed.
pub(crate) fn put_in_place(folder: &Path, beside: &Path) -> Result<(), OpenError> {
    set_aside(folder)?;
    fs::rename(beside, folder)
        .and_then(|()| sync_names(folder.parent().unwrap_or(folder)))
        .map_err(OpenError::io(format!("can't rename {}", beside.display())))
}
