//! Open files and directories, and what is done with their descriptors.

use std::{os::fd::OwnedFd, sync::Arc};

use caxton_gate::{Allowed, FileOpen, GuestPath, PathChange, PathLook};
use rustix::{
    fs::{
        AtFlags, FallocateFlags, FileType, Mode, OFlags, SeekFrom, Stat, fallocate, fcntl_setfl,
        fdatasync, fstat, fsync, ftruncate, futimens, seek, statat,
    },
    io::{pread, pwrite, read, write},
};

use super::{Failed, Files, Times, beneath::Root, index, ledger::FileId};
use crate::wasi_errno as errno;

/// Flag of a descriptor: writes go to the end.
const APPEND: u16 = 1;
/// Flags of a descriptor as preview 1 has them.
const FLAGS_ALL: u16 = 0x1f;

/// A descriptor of a guest.
#[derive(Debug)]
pub(super) struct Descriptor {
    root: Arc<Root>,
    path: GuestPath,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Its path is all there is to it: each use asks the gate and opens it anew.
    Directory {
        is_preopened: bool,
    },
    File(OpenFile),
}

/// An open file with the answers of the gate that its reads and writes rest on.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) fd: OwnedFd,
    pub(super) id: FileId,
    pub(super) read: Option<Allowed<FileOpen>>,
    pub(super) write: Option<Allowed<FileOpen>>,
    pub(super) flags: u16,
}

impl Descriptor {
    pub(super) fn preopened(root: &Arc<Root>) -> Self {
        Self {
            root: Arc::clone(root),
            path: root.guest().clone(),
            kind: Kind::Directory { is_preopened: true },
        }
    }
    pub(super) fn directory(root: Arc<Root>, path: GuestPath) -> Self {
        let kind = Kind::Directory {
            is_preopened: false,
        };
        Self { root, path, kind }
    }
    pub(super) fn file(root: Arc<Root>, path: GuestPath, file: OpenFile) -> Self {
        let kind = Kind::File(file);
        Self { root, path, kind }
    }
    pub(super) fn root(&self) -> &Arc<Root> {
        &self.root
    }
    pub(super) fn path(&self) -> &GuestPath {
        &self.path
    }
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
    pub(super) fn file_id(&self) -> Option<FileId> {
        match &self.kind {
            Kind::File(file) => Some(file.id),
            Kind::Directory { .. } => None,
        }
    }
    /// What lay at one path lies at another.
    pub(super) fn moved(&mut self, from: &GuestPath, root: &Arc<Root>, to: &GuestPath) {
        if let Some(rest) = self.path.as_str().strip_prefix(from.as_str())
            && (rest.is_empty() || rest.starts_with('/'))
            && let Ok(path) = to.join(rest.trim_start_matches('/'))
        {
            self.path = path;
            self.root = Arc::clone(root);
        }
    }
}

/// From where a position is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whence {
    Start,
    Current,
    End,
}

/// What a descriptor is, for `fd_fdstat_get`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FdStat {
    pub(crate) is_directory: bool,
    pub(crate) flags: u16,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
}

pub(super) fn id_of(stat: &Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

pub(super) fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

pub(super) fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl Files {
    /// An open file, with what it was opened for asked for again: a grant may have ended since.
    fn file(&mut self, fd: i32) -> Result<&mut OpenFile, Failed> {
        let (gate, now) = (self.resources.gate.clone(), self.now());
        let Kind::File(file) = &mut self.get_mut(fd)?.kind else {
            return Err(Failed::Errno(errno::BADF));
        };
        for allowed in [&mut file.read, &mut file.write].into_iter().flatten() {
            gate.recheck(allowed, now).map_err(Failed::Revoked)?;
        }
        Ok(file)
    }
    fn readable(&mut self, fd: i32) -> Result<&mut OpenFile, Failed> {
        let file = self.file(fd)?;
        if file.read.is_none() {
            return Err(Failed::Errno(errno::BADF));
        }
        Ok(file)
    }
    /// A file open for writing, with its length.
    fn writable(&mut self, fd: i32) -> Result<(&OpenFile, u64), Failed> {
        let file = self.file(fd)?;
        if file.write.is_none() {
            return Err(Failed::Errno(errno::BADF));
        }
        let size = size_of(&fstat(&file.fd)?);
        Ok((file, size))
    }
    /// Reads up to so many bytes, at the file's position or at another one.
    pub(crate) fn read(
        &mut self,
        fd: i32,
        len: usize,
        offset: Option<u64>,
    ) -> Result<Vec<u8>, Failed> {
        let file = self.readable(fd)?;
        let mut bytes = vec![0; len];
        let n = match offset {
            Some(offset) => pread(&file.fd, &mut bytes[..], offset)?,
            None => read(&file.fd, &mut bytes[..])?,
        };
        bytes.truncate(n);
        Ok(bytes)
    }
    /// Writes at the file's position or at another one; how much of it.
    pub(crate) fn write(
        &mut self,
        fd: i32,
        bytes: &[u8],
        offset: Option<u64>,
    ) -> Result<usize, Failed> {
        let (bounds, usage) = (self.bounds, Arc::clone(&self.resources.usage));
        let (file, size) = self.writable(fd)?;
        let start = if file.flags & APPEND != 0 {
            size
        } else {
            match offset {
                Some(offset) => offset,
                None => seek(&file.fd, SeekFrom::Current(0))?,
            }
        };
        if !bytes.is_empty() {
            let wanted = start.saturating_add(bytes.len() as u64);
            usage.check_bytes(&bounds, size, wanted)?;
        }
        let written = match offset {
            Some(offset) => pwrite(&file.fd, bytes, offset),
            None => write(&file.fd, bytes),
        };
        usage.resized(file.id, size, size_of(&fstat(&file.fd)?));
        Ok(written?)
    }
    /// Sets a file's length.
    pub(crate) fn set_size(&mut self, fd: i32, wanted: u64) -> Result<(), Failed> {
        let (bounds, usage) = (self.bounds, Arc::clone(&self.resources.usage));
        let (file, size) = self.writable(fd)?;
        usage.check_bytes(&bounds, size, wanted)?;
        ftruncate(&file.fd, wanted)?;
        usage.resized(file.id, size, wanted);
        Ok(())
    }
    /// Reserves room for a part of a file, which becomes so long if it was shorter.
    pub(crate) fn allocate(&mut self, fd: i32, offset: u64, len: u64) -> Result<(), Failed> {
        let (bounds, usage) = (self.bounds, Arc::clone(&self.resources.usage));
        let (file, size) = self.writable(fd)?;
        let wanted = size.max(offset.saturating_add(len));
        usage.check_bytes(&bounds, size, wanted)?;
        fallocate(&file.fd, FallocateFlags::empty(), offset, len)?;
        usage.resized(file.id, size, size_of(&fstat(&file.fd)?));
        Ok(())
    }
    /// Takes note of how a file will be read, which changes nothing.
    pub(crate) fn advise(&mut self, fd: i32) -> Result<(), Failed> {
        self.file(fd).map(drop)
    }
    /// Moves a file's position; where it is then.
    pub(crate) fn seek(&mut self, fd: i32, by: i64, whence: Whence) -> Result<u64, Failed> {
        let file = self.file(fd)?;
        let to = match whence {
            Whence::Start => {
                SeekFrom::Start(u64::try_from(by).map_err(|_| Failed::Errno(errno::INVAL))?)
            }
            Whence::Current => SeekFrom::Current(by),
            Whence::End => SeekFrom::End(by),
        };
        Ok(seek(&file.fd, to)?)
    }
    /// Waits until what was written is on the disk.
    pub(crate) fn sync(&mut self, fd: i32, data_only: bool) -> Result<(), Failed> {
        if !self.get(fd)?.is_directory() {
            let file = self.file(fd)?;
            if data_only {
                fdatasync(&file.fd)?;
            } else {
                fsync(&file.fd)?;
            }
            return Ok(());
        }
        Ok(fsync(self.open_directory(fd)?)?)
    }
    /// Opens the directory of a descriptor, to be read.
    pub(super) fn open_directory(&self, fd: i32) -> Result<OwnedFd, Failed> {
        let descriptor = self.get(fd)?;
        if !descriptor.is_directory() {
            return Err(Failed::Errno(errno::NOTDIR));
        }
        self.check(PathLook::new(descriptor.path.clone()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = descriptor
            .root
            .open_at(&descriptor.path, flags, Mode::empty());
        Ok(opened?)
    }
    /// The status of what is open.
    pub(crate) fn stat(&mut self, fd: i32) -> Result<Stat, Failed> {
        if !self.get(fd)?.is_directory() {
            let file = self.file(fd)?;
            return Ok(fstat(&file.fd)?);
        }
        let descriptor = self.get(fd)?;
        self.check(PathLook::new(descriptor.path.clone()))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let directory = descriptor
            .root
            .open_at(&descriptor.path, flags, Mode::empty())?;
        Ok(statat(&directory, "", AtFlags::EMPTY_PATH)?)
    }
    /// Sets the times of what is open.
    pub(crate) fn set_times(&mut self, fd: i32, times: &Times) -> Result<(), Failed> {
        let path = self.get(fd)?.path.clone();
        self.check(PathChange::new(path))?;
        if self.get(fd)?.is_directory() {
            return Ok(futimens(self.open_directory(fd)?, &times.0)?);
        }
        let file = self.file(fd)?;
        Ok(futimens(&file.fd, &times.0)?)
    }
    /// What a descriptor is.
    pub(crate) fn fd_stat(&self, fd: i32) -> Result<FdStat, Failed> {
        Ok(match &self.get(fd)?.kind {
            Kind::Directory { .. } => FdStat {
                is_directory: true,
                flags: 0,
                reads: false,
                writes: false,
            },
            Kind::File(file) => FdStat {
                is_directory: false,
                flags: file.flags,
                reads: file.read.is_some(),
                writes: file.write.is_some(),
            },
        })
    }
    /// Sets the flags of a file; of these only appending can change.
    pub(crate) fn set_flags(&mut self, fd: i32, flags: i32) -> Result<(), Failed> {
        let flags = u16::try_from(flags).map_err(|_| Failed::Errno(errno::INVAL))?;
        if flags & !FLAGS_ALL != 0 {
            return Err(Failed::Errno(errno::INVAL));
        }
        if self.get(fd)?.is_directory() {
            return Ok(());
        }
        let file = self.file(fd)?;
        let mut own = OFlags::NONBLOCK;
        own.set(OFlags::APPEND, flags & APPEND != 0);
        fcntl_setfl(&file.fd, own)?;
        file.flags = (file.flags & !APPEND) | (flags & APPEND);
        Ok(())
    }
    /// The name of a directory that was open from the start.
    pub(crate) fn preopened(&self, fd: i32) -> Result<&str, Failed> {
        let descriptor = self.get(fd)?;
        match descriptor.kind {
            Kind::Directory { is_preopened: true } => Ok(descriptor.path.as_str()),
            _ => Err(Failed::Errno(errno::BADF)),
        }
    }
    /// Closes a descriptor.
    pub(crate) fn close(&mut self, fd: i32) -> Result<(), Failed> {
        self.get(fd)?;
        let slot = index(fd).and_then(|index| self.table.get_mut(index));
        let Some(Descriptor {
            kind: Kind::File(file),
            ..
        }) = slot.and_then(Option::take)
        else {
            return Ok(());
        };
        if fstat(&file.fd).is_ok_and(|stat| stat.st_nlink == 0) {
            self.free_file(file.id);
        }
        Ok(())
    }
    /// Gives back what a file without a name was charged, unless it is open still.
    pub(super) fn free_file(&self, id: FileId) {
        let mut open = self.table.iter().flatten();
        if !open.any(|descriptor| descriptor.file_id() == Some(id)) {
            self.usage().freed(id);
        }
    }
    /// Closes one descriptor and gives its number to another.
    pub(crate) fn renumber(&mut self, from: i32, to: i32) -> Result<(), Failed> {
        self.get(from)?;
        self.get(to)?;
        if from == to {
            return Ok(());
        }
        self.close(to)?;
        let moved = index(from).and_then(|index| self.table.get_mut(index)?.take());
        if let Some(slot) = index(to).and_then(|index| self.table.get_mut(index)) {
            *slot = moved;
        }
        Ok(())
    }
}
