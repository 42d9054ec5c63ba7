//! The signed heads that the node keeps itself, in a folder apart from the log.
//!
//! `recent-0` and `recent-1` take turns; `long` has one head of each 4,096 places, and each that says
//! that the log was trimmed. A line that can't be read is evidence that is missing, and no damage.

use std::{io, sync::Arc};

use super::signed_head::SignedHead;
use crate::{File, Files};

/// The folder in the data directory.
pub(crate) const HEADS_FOLDER: &str = "audit-heads";
/// Heads in one of the two recent files.
const RECENT_MAX: u64 = 4_096;
/// Places of which `long` has one head.
const LONG_PLACES: u64 = 4_096;

const RECENT: [&str; 2] = ["recent-0", "recent-1"];
const LONG: &str = "long";

/// A file of lines.
struct Lines {
    file: Box<dyn File>,
    offset: u64,
    count: u64,
    unsynced: bool,
}

impl Lines {
    fn open(files: &dyn Files, name: &str) -> io::Result<Self> {
        let file = match files.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => files.create(name)?,
            Err(error) => return Err(error),
        };
        let bytes = read_all(&*file)?;
        let mut lines = Self {
            file,
            offset: bytes.len() as u64,
            count: bytes.iter().filter(|byte| **byte == b'\n').count() as u64,
            unsynced: false,
        };
        if bytes.last().is_some_and(|byte| *byte != b'\n') {
            // Half a line stays one of its own.
            lines.file.write_all_at(b"\n", lines.offset)?;
            lines.offset += 1;
        }
        Ok(lines)
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        self.file.write_all_at(line.as_bytes(), self.offset)?;
        self.offset += line.len() as u64;
        self.count += 1;
        self.unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// What reading the kept heads found.
#[derive(Debug, Default)]
pub(crate) struct HeadsFound {
    /// In the order of their places. Their signatures are not checked.
    pub(crate) heads: Vec<SignedHead>,
    /// Lines that are no heads.
    pub(crate) unreadable: u64,
    /// Which of the recent files has the newest.
    newest_in: usize,
}

/// Reads all kept heads.
pub(crate) fn read_heads(files: &dyn Files) -> io::Result<HeadsFound> {
    let mut found = HeadsFound::default();
    let mut newest = 0;
    for (number, name) in RECENT.into_iter().chain([LONG]).enumerate() {
        let file = match files.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in read_all(&*file)?.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let text = String::from_utf8_lossy(line);
            let Ok(head) = SignedHead::from_json(&text) else {
                found.unreadable += 1;
                continue;
            };
            if number < RECENT.len() && head.place >= newest {
                (newest, found.newest_in) = (head.place, number);
            }
            found.heads.push(head);
        }
    }
    found.heads.sort_by_key(|head| (head.place, head.begins));
    found.heads.dedup();
    Ok(found)
}

fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
    let read = file.read_full_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The kept heads, open to be added to.
pub(crate) struct KeptHeads {
    files: Arc<dyn Files>,
    recent: Lines,
    recent_number: usize,
    long: Lines,
    /// The block of places of the last head in `long`, and where the log began by it.
    long_last: Option<(u64, u64)>,
}

impl KeptHeads {
    pub(crate) fn open(files: Arc<dyn Files>, found: &HeadsFound) -> io::Result<Self> {
        let name = RECENT.get(found.newest_in).copied().unwrap_or(LONG);
        let (recent, long) = (Lines::open(&*files, name)?, Lines::open(&*files, LONG)?);
        files.sync_names()?;
        Ok(Self {
            files,
            recent,
            recent_number: found.newest_in,
            long,
            long_last: None,
        })
    }

    /// Adds a head. Survives the process; the power only after [`Self::sync`].
    ///
    /// Errors: nothing is lost, and the call may be repeated.
    pub(crate) fn keep(&mut self, head: &SignedHead) -> io::Result<()> {
        if self.recent.count >= RECENT_MAX {
            self.recent.sync()?;
            let next = 1 - self.recent_number;
            let name = RECENT.get(next).copied().unwrap_or(LONG);
            let file = self.files.create(name)?;
            self.files.sync_names()?;
            self.recent_number = next;
            self.recent = Lines {
                file,
                offset: 0,
                count: 0,
                unsynced: true,
            };
        }
        let line = head.to_json();
        let block = (head.place / LONG_PLACES, head.begins);
        if self.long_last != Some(block) {
            self.long.write(&line)?;
            self.long_last = Some(block);
        }
        self.recent.write(&line)
    }

    pub(crate) fn is_unsynced(&self) -> bool {
        self.recent.unsynced || self.long.unsynced
    }

    /// Makes all that was added durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.long.sync()?;
        self.recent.sync()
    }
}
