//! Opening a path: what it is first, then whether the guest may, and only then the file itself.

use std::sync::Arc;

use caxton_gate::{Allowed, FileOpen, GuestPath, PathChange, PathLook};
use caxton_model::Permission;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, ftruncate, statat},
    io::Errno,
};

use super::{
    At, Failed, Files, Named,
    beneath::Place,
    descriptor::{Descriptor, OpenFile, id_of, kind_of, size_of},
};
use crate::wasi_errno as errno;

/// Attempts to open a file that others create and delete meanwhile.
const ATTEMPTS: usize = 8;

/// What `path_open` asks for.
#[derive(Debug, Clone)]
pub(crate) struct OpenRequest {
    pub(crate) at: At,
    pub(crate) follow: bool,
    pub(crate) create: bool,
    pub(crate) directory: bool,
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// The flags of the descriptor, as preview 1 has them.
    pub(crate) flags: u16,
}

impl OpenRequest {
    fn changes_content(&self) -> bool {
        self.write || self.truncate
    }
    /// The system's flags.
    fn system_flags(&self) -> OFlags {
        let mut flags = match (self.read, self.changes_content()) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        flags.set(OFlags::APPEND, self.flags & 1 != 0);
        flags.set(OFlags::DSYNC, self.flags & 2 != 0);
        flags.set(OFlags::SYNC, self.flags & (8 | 16) != 0);
        flags
    }
}

impl Files {
    /// Opens a file or directory; its descriptor.
    pub(crate) fn open(&mut self, request: &OpenRequest) -> Result<i32, Failed> {
        if request.create && request.directory {
            return Err(Failed::Errno(errno::INVAL));
        }
        self.free()?;
        let permission = if request.changes_content() {
            Permission::FsWrite
        } else {
            Permission::FsRead
        };
        let named = self.name(&request.at, permission)?;
        for _ in 0..ATTEMPTS {
            match self.try_open(request, &named) {
                // Created by somebody else since it was looked for.
                Err(Failed::Errno(errno::EXIST)) if request.create && !request.exclusive => {}
                opened => return self.insert(opened?),
            }
        }
        Err(Failed::Errno(errno::EXIST))
    }
    fn try_open(&self, request: &OpenRequest, named: &Named) -> Result<Descriptor, Failed> {
        let check = |path: &GuestPath| -> Result<Option<Allowed<FileOpen>>, Failed> {
            if request.changes_content() {
                return self.check(FileOpen::new(path.clone(), true)).map(Some);
            }
            self.check(PathLook::new(path.clone())).map(|_| None)
        };
        let follow = request.follow || named.is_directory;
        let (place, write) = named.root.resolve(&named.path, follow, check)?;
        let directory = |place: Place| {
            if request.create && request.exclusive {
                return Err(Failed::Errno(errno::EXIST));
            }
            if request.changes_content() || request.create {
                return Err(Failed::Errno(errno::ISDIR));
            }
            Ok(Descriptor::directory(Arc::clone(&named.root), place.path))
        };
        if place.name.is_empty() {
            return directory(place);
        }
        let stat = match statat(&place.parent, &*place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if request.create && named.is_directory => {
                return Err(Failed::Errno(errno::ISDIR));
            }
            Err(Errno::NOENT) if request.create => {
                return self.create(request, named, place, write);
            }
            Err(error) => return Err(error.into()),
        };
        match kind_of(&stat) {
            FileType::Directory => directory(place),
            _ if request.create && request.exclusive => Err(Failed::Errno(errno::EXIST)),
            _ if request.directory || named.is_directory => Err(Failed::Errno(errno::NOTDIR)),
            FileType::Symlink => Err(Failed::Errno(errno::LOOP)),
            FileType::RegularFile => self.open_file(request, named, place, write, OFlags::empty()),
            // FIFOs would hold the host, devices are no files of a directory.
            _ => Err(no_file()),
        }
    }
    fn create(
        &self,
        request: &OpenRequest,
        named: &Named,
        place: Place,
        write: Option<Allowed<FileOpen>>,
    ) -> Result<Descriptor, Failed> {
        self.check(PathChange::new(place.path.clone()))?;
        self.usage().check_entry(&self.bounds)?;
        let created = OFlags::CREATE | OFlags::EXCL;
        self.open_file(request, named, place, write, created)
    }
    /// Opens what is a regular file, or makes it one.
    fn open_file(
        &self,
        request: &OpenRequest,
        named: &Named,
        place: Place,
        write: Option<Allowed<FileOpen>>,
        created: OFlags,
    ) -> Result<Descriptor, Failed> {
        let read = request.read.then(|| {
            let access = FileOpen::new(place.path.clone(), false);
            self.check(access)
        });
        let read = read.transpose()?;
        let flags = request.system_flags() | created;
        let mode = if created.is_empty() {
            Mode::empty()
        } else {
            Mode::from_raw_mode(0o666)
        };
        let fd = named.root.open_at(&place.path, flags, mode)?;
        let stat = fstat(&fd)?;
        // It may have been replaced since it was looked at.
        if kind_of(&stat) != FileType::RegularFile {
            return Err(no_file());
        }
        let id = id_of(&stat);
        if !created.is_empty() {
            self.usage().created(id);
        } else if request.truncate {
            ftruncate(&fd, 0)?;
            self.usage().resized(id, size_of(&stat), 0);
        }
        let file = OpenFile {
            fd,
            id,
            read,
            write: write.filter(|_| request.write),
            flags: request.flags,
        };
        Ok(Descriptor::file(Arc::clone(&named.root), place.path, file))
    }
    /// The status of a path.
    pub(crate) fn stat_path(&self, at: &At, follow: bool) -> Result<Stat, Failed> {
        let named = self.name(at, Permission::FsRead)?;
        let place = self.look(&named, follow)?;
        let stat = stat_place(&place)?;
        if named.is_directory && kind_of(&stat) != FileType::Directory {
            return Err(Failed::Errno(errno::NOTDIR));
        }
        Ok(stat)
    }
    /// Where a path leads that may be looked at.
    pub(super) fn look(&self, named: &Named, follow: bool) -> Result<Place, Failed> {
        let follow = follow || named.is_directory;
        let (place, _) = self.place(named, follow, PathLook::new)?;
        Ok(place)
    }
}

/// The status of what lies at a place; of a link, the link's own.
pub(super) fn stat_place(place: &Place) -> Result<Stat, Errno> {
    if place.name.is_empty() {
        return statat(&place.parent, "", AtFlags::EMPTY_PATH);
    }
    statat(&place.parent, &*place.name, AtFlags::SYMLINK_NOFOLLOW)
}

fn no_file() -> Failed {
    Failed::Errno(errno::PERM)
}
