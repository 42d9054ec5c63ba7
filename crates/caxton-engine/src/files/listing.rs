//! What a directory holds, as `fd_readdir` answers it.

use std::mem::MaybeUninit;

use caxton_gate::GuestPath;
use rustix::fs::{FileType, RawDir, SeekFrom, fstat, seek};

use super::{Failed, Files};

/// Room for the system's entries. Unit: bytes.
const ENTRIES_BYTES: usize = 32 << 10;
/// An entry without its name. Unit: bytes.
const ENTRY_BYTES: usize = 24;

impl Files {
    /// Entries from a cookie on, at most so many bytes of them; the last one may be cut off. Entries
    /// in which nothing is granted are left out.
    pub(crate) fn list(&self, fd: i32, cookie: u64, len: usize) -> Result<Vec<u8>, Failed> {
        let directory = self.open_directory(fd)?;
        let path = self.get(fd)?.path();
        let own = fstat(&directory)?.st_ino;
        if cookie > 0 {
            seek(&directory, SeekFrom::Start(cookie))?;
        }
        let mut room = vec![MaybeUninit::uninit(); ENTRIES_BYTES];
        let mut entries = RawDir::new(&directory, &mut room);
        let mut list = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let is_dots = matches!(name, b"." | b"..");
            if !is_dots && !self.shows(path, name) {
                continue;
            }
            // What is above is not the guest's to know.
            let number = if is_dots { own } else { entry.ino() };
            let mut head = [0_u8; ENTRY_BYTES];
            let mut put = |at: usize, bytes: &[u8]| {
                if let Some(to) = head.get_mut(at..at + bytes.len()) {
                    to.copy_from_slice(bytes);
                }
            };
            put(0, &entry.next_entry_cookie().to_le_bytes());
            put(8, &number.to_le_bytes());
            put(16, &u32::try_from(name.len()).unwrap_or(0).to_le_bytes());
            put(20, &[file_type(entry.file_type())]);
            list.extend_from_slice(&head);
            list.extend_from_slice(name);
            if list.len() >= len {
                break;
            }
        }
        list.truncate(len);
        Ok(list)
    }
    /// Whether a name in a directory is shown.
    fn shows(&self, path: &GuestPath, name: &[u8]) -> bool {
        let name = std::str::from_utf8(name).ok();
        let path = name.and_then(|name| path.join(name).ok());
        path.is_some_and(|path| self.resources.shows(&path))
    }
}

/// The number of a file's type in preview 1.
pub(super) fn file_type(kind: FileType) -> u8 {
    match kind {
        FileType::BlockDevice => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 3,
        FileType::RegularFile => 4,
        FileType::Socket => 6,
        FileType::Symlink => 7,
        FileType::Fifo | FileType::Unknown => 0,
    }
}
