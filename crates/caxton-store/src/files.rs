//! The file layer under the journal: small enough that tests put a faulty one in its place.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::directory::{private_file, sync_names};

/// A folder of files, by name.
pub trait Files: Send + Sync {
    /// The names in it, in any order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens a file to read and write it.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Makes an empty file; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Takes a file away.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names durable: those made and those removed.
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file.
pub trait File: Send + Sync {
    /// Its size. Unit: bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads some bytes; 0 at the end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some bytes, perhaps not all of them.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes it this long, zeros at the end, and takes the room from the disk now.
    fn reserve(&self, size: u64) -> io::Result<()>;
    /// Cuts it to this length.
    fn cut(&self, size: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Whether its name still leads to it: `false` once it was removed, replaced or moved.
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }
    /// Where from `offset` on anything may stand that is not zero; `None`: nowhere.
    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok(Some(offset))
    }
}

impl dyn File + '_ {
    /// Writes all of it.
    pub(crate) fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills the buffer as far as the file goes; answers how far.
    pub(crate) fn read_full_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// A folder of the operating system.
#[derive(Debug, Clone)]
pub struct RealFiles {
    folder: PathBuf,
    writable: bool,
}

impl RealFiles {
    /// Takes a folder, which must be there.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            writable: true,
        }
    }
    /// The same, only to read.
    #[must_use]
    pub fn read_only(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            writable: false,
        }
    }
}

impl Files for RealFiles {
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder)?.collect::<io::Result<Vec<_>>>()?;
        Ok(entries
            .into_iter()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect())
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let path = self.folder.join(name);
        let file = fs::OpenOptions::new()
            .read(true)
            .write(self.writable)
            .open(&path)?;
        Ok(Box::new(RealFile { file, path }))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let path = self.folder.join(name);
        let file = private_file().read(true).truncate(true).open(&path)?;
        Ok(Box::new(RealFile { file, path }))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }
    fn sync_names(&self) -> io::Result<()> {
        sync_names(&self.folder)
    }
}

struct RealFile {
    file: fs::File,
    path: PathBuf,
}

impl File for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, bytes, offset)
    }
    fn is_in_place(&self) -> io::Result<bool> {
        let mine = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (mine.dev(), mine.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.file, bytes, offset)
    }
    #[cfg(target_os = "linux")]
    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        use rustix::{
            fs::{SeekFrom, seek},
            io::Errno,
        };
        // Room that was taken and never written is no data. All else goes by offsets of its own.
        match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(target_os = "linux")]
    fn reserve(&self, size: u64) -> io::Result<()> {
        use rustix::{
            fs::{FallocateFlags, fallocate},
            io::Errno,
        };
        match fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            // This file system can't take room in advance: a full disk shows at the write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.file.set_len(size),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }
    fn cut(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
