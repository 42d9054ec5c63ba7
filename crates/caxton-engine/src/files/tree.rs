//! Changing the tree: directories, links, names and times.

use caxton_gate::{FileOpen, GuestPath, PathChange};
use caxton_model::Permission;
use rustix::{
    fs::{
        AtFlags, FileType, Mode, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, linkat,
        mkdirat, readlinkat, renameat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    At, Failed, Files, Named,
    beneath::Place,
    descriptor::{id_of, kind_of},
    open::stat_place,
};
use crate::wasi_errno as errno;

/// Bytes of what a link holds, as Linux has it.
const LINK_BYTES_MAX: usize = 4_095;

/// The times to be set.
#[derive(Debug, Clone)]
pub(crate) struct Times(pub(super) Timestamps);

impl Times {
    /// From nanoseconds and flags of preview 1; `None`: a time is to be set twice.
    pub(crate) fn read(access: i64, modification: i64, flags: i32) -> Option<Self> {
        let time = |nanos: i64, set: i32, now: i32| {
            let (tv_sec, tv_nsec) = match (flags & set != 0, flags & now != 0) {
                (true, true) => return None,
                (false, false) => (0, UTIME_OMIT),
                (false, true) => (0, UTIME_NOW),
                (true, false) => {
                    let nanos = nanos.cast_unsigned();
                    let secs = i64::try_from(nanos / 1_000_000_000).ok()?;
                    (secs, i64::try_from(nanos % 1_000_000_000).ok()?)
                }
            };
            Some(Timespec { tv_sec, tv_nsec })
        };
        Some(Self(Timestamps {
            last_access: time(access, 1, 2)?,
            last_modification: time(modification, 4, 8)?,
        }))
    }
}

impl Files {
    /// Where a name lies that is to be changed; links are not followed.
    fn change(&self, at: &At) -> Result<(Named, Place), Failed> {
        let named = self.name(at, Permission::FsWrite)?;
        let (place, _) = self.place(&named, false, PathChange::new)?;
        Ok((named, place))
    }
    /// Finds the place of an entry that is to be changed, and that must exist.
    fn change_existing(&self, at: &At) -> Result<(Place, Stat), Failed> {
        let (named, place) = self.change(at)?;
        let stat = stat_place(&place)?;
        if named.is_directory && kind_of(&stat) != FileType::Directory {
            return Err(Failed::Errno(errno::NOTDIR));
        }
        Ok((place, stat))
    }
    /// Creates a directory.
    pub(crate) fn create_directory(&self, at: &At) -> Result<(), Failed> {
        let (_, place) = self.change(at)?;
        if place.name.is_empty() {
            return Err(Failed::Errno(errno::EXIST));
        }
        self.usage().check_entry(&self.bounds)?;
        mkdirat(&place.parent, &*place.name, Mode::from_raw_mode(0o777))?;
        self.usage().created(id_of(&stat_place(&place)?));
        Ok(())
    }
    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, at: &At) -> Result<(), Failed> {
        let (place, stat) = self.change_existing(at)?;
        if place.name.is_empty() {
            return Err(Failed::Errno(errno::BUSY));
        }
        if kind_of(&stat) != FileType::Directory {
            return Err(Failed::Errno(errno::NOTDIR));
        }
        unlinkat(&place.parent, &*place.name, AtFlags::REMOVEDIR)?;
        self.usage().freed(id_of(&stat));
        Ok(())
    }
    /// Removes a name that is no directory's.
    pub(crate) fn unlink(&self, at: &At) -> Result<(), Failed> {
        let (place, stat) = self.change_existing(at)?;
        if kind_of(&stat) == FileType::Directory {
            return Err(Failed::Errno(errno::ISDIR));
        }
        unlinkat(&place.parent, &*place.name, AtFlags::empty())?;
        self.lost_a_name(&stat);
        Ok(())
    }
    /// What had this status has one name fewer.
    fn lost_a_name(&self, stat: &Stat) {
        let id = id_of(stat);
        self.usage().deleted(id);
        if stat.st_nlink <= 1 || kind_of(stat) == FileType::Directory {
            self.free_file(id);
        }
    }
    /// Gives something another name, in place of what had that.
    pub(crate) fn rename(&mut self, old: &At, new: &At) -> Result<(), Failed> {
        let (from, stat) = self.change_existing(old)?;
        let (named, to) = self.change(new)?;
        if from.name.is_empty() || to.name.is_empty() {
            return Err(Failed::Errno(errno::BUSY));
        }
        let is_directory = kind_of(&stat) == FileType::Directory;
        if named.is_directory && !is_directory {
            return Err(Failed::Errno(errno::NOTDIR));
        }
        if is_directory {
            self.check_tree(&from.path, &to.path)?;
        } else {
            self.check_disclosed(&from.path, &to.path)?;
        }
        let replaced = stat_place(&to).ok();
        renameat(&from.parent, &*from.name, &to.parent, &*to.name)?;
        if let Some(replaced) = replaced.filter(|replaced| id_of(replaced) != id_of(&stat)) {
            self.lost_a_name(&replaced);
        }
        for descriptor in self.table.iter_mut().flatten() {
            descriptor.moved(&from.path, &named.root, &to.path);
        }
        Ok(())
    }
    /// What gets a name under which the guest may read it must be readable to it already.
    fn check_disclosed(&self, from: &GuestPath, to: &GuestPath) -> Result<(), Failed> {
        let gate = &self.resources.gate;
        if gate.allows_path(Permission::FsRead, to, self.now()) {
            self.check(FileOpen::new(from.clone(), false))?;
        }
        Ok(())
    }
    /// A directory moves with all that is in it, so all of that must be granted, there and here.
    fn check_tree(&self, from: &GuestPath, to: &GuestPath) -> Result<(), Failed> {
        let (gate, now) = (&self.resources.gate, self.now());
        let refuse = |permission, path: &GuestPath| {
            let problem = "is a directory to be moved, and not all below it is granted".to_owned();
            Err(self.refuse(permission, path.as_str(), problem, errno::ACCES))
        };
        for path in [from, to] {
            if !gate.allows_tree(Permission::FsWrite, path, now) {
                return refuse(Permission::FsWrite, path);
            }
        }
        let discloses = gate.allows_within(Permission::FsRead, to, now)
            && !gate.allows_tree(Permission::FsRead, from, now);
        if discloses {
            return refuse(Permission::FsRead, from);
        }
        Ok(())
    }
    /// Gives a file a second name.
    pub(crate) fn link(&self, old: &At, new: &At) -> Result<(), Failed> {
        let (from, stat) = self.change_existing(old)?;
        let (named, to) = self.change(new)?;
        if named.is_directory {
            return Err(Failed::Errno(errno::NOENT));
        }
        let is_file = matches!(kind_of(&stat), FileType::RegularFile | FileType::Symlink);
        if !is_file {
            return Err(Failed::Errno(errno::PERM));
        }
        if to.name.is_empty() {
            return Err(Failed::Errno(errno::EXIST));
        }
        self.check_disclosed(&from.path, &to.path)?;
        self.usage().check_entry(&self.bounds)?;
        let flags = AtFlags::empty();
        linkat(&from.parent, &*from.name, &to.parent, &*to.name, flags)?;
        self.usage().created(id_of(&stat));
        Ok(())
    }
    /// Creates a symbolic link, which may not lead out: programs of the host could follow it.
    pub(crate) fn symlink(&self, target: &[u8], new: &At) -> Result<(), Failed> {
        let (named, place) = self.change(new)?;
        if place.name.is_empty() {
            return Err(Failed::Errno(errno::EXIST));
        }
        if named.is_directory || target.is_empty() {
            return Err(Failed::Errno(errno::NOENT));
        }
        if target.len() > LINK_BYTES_MAX {
            return Err(Failed::Errno(errno::NAMETOOLONG));
        }
        let text = std::str::from_utf8(target).map_err(|_| Failed::Errno(errno::ILSEQ))?;
        if text.contains('\0') {
            return Err(Failed::Errno(errno::INVAL));
        }
        if named.root.leads_out(&place.path, text) {
            let problem = "would be a link that leads out of its directory".to_owned();
            let path = place.path.as_str();
            return Err(self.refuse(Permission::FsWrite, path, problem, errno::PERM));
        }
        self.usage().check_entry(&self.bounds)?;
        symlinkat(text, &place.parent, &*place.name)?;
        self.usage().created(id_of(&stat_place(&place)?));
        Ok(())
    }
    /// What a symbolic link holds. The host's absolute ones are not shown.
    pub(crate) fn read_link(&self, at: &At) -> Result<Vec<u8>, Failed> {
        let named = self.name(at, Permission::FsRead)?;
        let place = self.look(&named, false)?;
        if place.name.is_empty() {
            return Err(Failed::Errno(errno::INVAL));
        }
        let target = readlinkat(&place.parent, &*place.name, Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            return Err(Failed::Errno(errno::PERM));
        }
        Ok(target)
    }
    /// Sets the times of a path.
    pub(crate) fn set_path_times(
        &self,
        at: &At,
        follow: bool,
        times: &Times,
    ) -> Result<(), Failed> {
        let named = self.name(at, Permission::FsWrite)?;
        let follow = follow || named.is_directory;
        let (place, _) = self.place(&named, follow, PathChange::new)?;
        let is_root = place.name.is_empty();
        if named.is_directory && kind_of(&stat_place(&place)?) != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        let name = if is_root { "." } else { &*place.name };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(utimensat(&place.parent, name, &times.0, flags)?)
    }
}
