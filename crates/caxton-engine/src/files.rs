//! Files of a guest: directories that an operator mapped, reached through the guest's gate.
//!
//! Two walls, each enough by itself. The first is ours: a path is joined, its symbolic links are
//! expanded as paths of the guest, and the gate is asked for each form that it takes. The second is
//! the kernel's: what came of that is opened beneath the directory's own descriptor with `openat2`
//! and `RESOLVE_BENEATH`, following no link (`beneath.rs`). Only files and directories are opened.

mod beneath;
mod descriptor;
mod ledger;
mod listing;
mod open;
mod tree;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use caxton_gate::{Access, Allowed, Denied, Gate, GuestPath, Malformed};
use caxton_model::{LimitName, Permission, Timestamp};
use rustix::{fs::Stat, io::Errno};

pub(crate) use descriptor::Whence;
pub use ledger::FileUsage;
pub(crate) use open::OpenRequest;
pub(crate) use tree::Times;

use crate::{
    ctx::Bounds,
    wasi_errno::{self as errno, errno_of},
};
use beneath::{Place, Root};
use descriptor::Descriptor;

/// Descriptors that one guest has open at the same time. The node's own are bounded by the system.
const DESCRIPTORS_MAX: usize = 256;
/// The first descriptor behind the standard streams.
const FIRST: usize = 3;

/// A directory of the host under the name by which guests see it.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Root>);

impl Directory {
    /// Opens the host's directory that guests see under a name, such as `/data/in`.
    ///
    /// Blocking. Errors: in words.
    pub fn open(name: &str, host: &Path) -> Result<Self, String> {
        let guest = GuestPath::parse(name)
            .map_err(|problem| format!("the name `{name}` of a directory {problem}"))?;
        let root = Root::open(guest, host).map_err(|error| {
            format!("the directory {} can't be opened: {error}", host.display())
        })?;
        Ok(Self(Arc::new(root)))
    }
    /// The name by which guests see it.
    #[must_use]
    pub fn name(&self) -> &GuestPath {
        self.0.guest()
    }
    /// Whether one of the two names lies in the other: a guest's path would then mean two things.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.holds(other.name()) || other.0.holds(self.name())
    }
}

/// What lies outside of a guest, and the gate that stands before it.
#[derive(Clone)]
pub struct HostResources {
    /// The gate of the guest.
    pub gate: Gate,
    /// The time by which grants end.
    pub now: fn() -> Timestamp,
    /// All mapped directories; the guest sees those in which it was granted something.
    pub directories: Arc<[Directory]>,
    /// Variables of the environment; the guest sees those that it was granted.
    pub environment: Arc<[(String, String)]>,
    /// What the guest has written so far, over all its instances.
    pub usage: Arc<FileUsage>,
}

impl std::fmt::Debug for HostResources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostResources")
            .field("gate", &self.gate)
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}

impl HostResources {
    /// Whether the guest may look at a path or at anything below it.
    fn shows(&self, path: &GuestPath) -> bool {
        let now = (self.now)();
        [Permission::FsRead, Permission::FsWrite]
            .into_iter()
            .any(|permission| self.gate.allows_within(permission, path, now))
    }
}

/// Why an operation on files was not performed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The guest gets this number.
    Errno(i32),
    /// The gate refused it, or there was no reading it; the guest gets this number.
    Denied(Box<Denied>, i32),
    /// A limit on what is written; what was asked, in words.
    Over(LimitName, u64, String),
    /// What was open may be used no longer: the call ends.
    Revoked(Box<Denied>),
}

impl From<Errno> for Failed {
    fn from(error: Errno) -> Self {
        Self::Errno(errno_of(error))
    }
}

/// The open files of one instance.
#[derive(Debug)]
pub(crate) struct Files {
    resources: HostResources,
    bounds: FileBounds,
    /// By descriptor, from [`FIRST`].
    table: Vec<Option<Descriptor>>,
}

/// Limits on what is written. Units: bytes, bytes, entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileBounds {
    pub(crate) file_bytes: u64,
    pub(crate) fs_bytes: u64,
    pub(crate) fs_entries: u64,
}

/// A directory descriptor and a path from it, as a guest gives them.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) fd: i32,
    pub(crate) path: Vec<u8>,
}

/// A path of the guest, with the directory in which it lies.
struct Named {
    root: Arc<Root>,
    path: GuestPath,
    /// It ends with a slash or `.`, so it can only be a directory.
    is_directory: bool,
}

impl Files {
    /// With the granted directories open, in the order of their names. In learn mode all are open, so
    /// that what is tried in them can be noted; the gate still refuses it.
    pub(crate) fn new(resources: HostResources, bounds: &Bounds) -> Self {
        let shown = resources.directories.iter();
        let shown = shown
            .filter(|directory| resources.gate.is_learning() || resources.shows(directory.name()));
        let table = shown.map(|d| Some(Descriptor::preopened(&d.0))).collect();
        Self {
            bounds: bounds.files,
            table,
            resources,
        }
    }
    fn get(&self, fd: i32) -> Result<&Descriptor, Failed> {
        let slot = index(fd).and_then(|index| self.table.get(index)?.as_ref());
        slot.ok_or(Failed::Errno(errno::BADF))
    }
    fn get_mut(&mut self, fd: i32) -> Result<&mut Descriptor, Failed> {
        let slot = index(fd).and_then(|index| self.table.get_mut(index)?.as_mut());
        slot.ok_or(Failed::Errno(errno::BADF))
    }
    /// Whether that descriptor is open.
    pub(crate) fn is_open(&self, fd: i32) -> bool {
        self.get(fd).is_ok()
    }
    /// The lowest free descriptor.
    fn free(&self) -> Result<usize, Failed> {
        let free = self.table.iter().position(Option::is_none);
        let free = free.unwrap_or(self.table.len());
        if free >= DESCRIPTORS_MAX {
            return Err(Failed::Errno(errno::MFILE));
        }
        Ok(free)
    }
    fn insert(&mut self, descriptor: Descriptor) -> Result<i32, Failed> {
        let free = self.free()?;
        match self.table.get_mut(free) {
            Some(slot) => *slot = Some(descriptor),
            None => self.table.push(Some(descriptor)),
        }
        Ok(i32::try_from(free + FIRST).unwrap_or(i32::MAX))
    }
    fn now(&self) -> Timestamp {
        (self.resources.now)()
    }
    /// Asks the gate.
    fn check<A: Access>(&self, access: A) -> Result<Allowed<A>, Failed> {
        let checked = self.resources.gate.check(access, self.now());
        checked.map_err(|denied| Failed::Denied(denied, errno::ACCES))
    }
    /// Refuses what the gate can't be asked for, or what its rules can't say.
    fn refuse(&self, permission: Permission, path: &str, problem: String, errno: i32) -> Failed {
        let malformed = Malformed::path(permission, path, problem);
        Failed::Denied(self.resources.gate.refuse(&malformed, self.now()), errno)
    }
    /// Reads a path from an open directory.
    fn name(&self, at: &At, permission: Permission) -> Result<Named, Failed> {
        let from = self.get(at.fd)?;
        if !from.is_directory() {
            return Err(Failed::Errno(errno::NOTDIR));
        }
        if at.path.is_empty() {
            return Err(Failed::Errno(errno::NOENT));
        }
        let text = String::from_utf8_lossy(&at.path);
        let is_text = matches!(text, std::borrow::Cow::Borrowed(_));
        let joined = if is_text {
            from.path().join(&text)
        } else {
            Err("is no UTF-8 text".to_owned())
        };
        let path = joined
            .map_err(|problem| self.refuse(permission, &text, problem, errno_of_path(&at.path)))?;
        let last = text.rsplit('/').next().unwrap_or_default();
        Ok(Named {
            root: Arc::clone(from.root()),
            path,
            is_directory: matches!(last, "" | "."),
        })
    }
    /// Where a path leads, with the gate asked for each form that it takes on the way.
    fn place<A: Access>(
        &self,
        named: &Named,
        follow: bool,
        access: impl Fn(GuestPath) -> A,
    ) -> Result<(Place, Allowed<A>), Failed> {
        let checked = |path: &GuestPath| self.check(access(path.clone()));
        named.root.resolve(&named.path, follow, checked)
    }
    fn usage(&self) -> &FileUsage {
        &self.resources.usage
    }
}

/// The files of an instance, which the thread that performs an operation holds meanwhile.
pub(crate) type SharedFiles = Arc<Mutex<Files>>;

/// Performs an operation.
pub(crate) fn with<T>(
    files: &Mutex<Files>,
    work: impl FnOnce(&mut Files) -> Result<T, Failed>,
) -> Result<T, Failed> {
    work(&mut files.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The number of a file's type in preview 1.
pub(crate) fn file_type_of(stat: &Stat) -> u8 {
    listing::file_type(descriptor::kind_of(stat))
}

fn index(fd: i32) -> Option<usize> {
    usize::try_from(fd).ok()?.checked_sub(FIRST)
}

/// What a guest is told of a path that is none.
fn errno_of_path(path: &[u8]) -> i32 {
    let mut parts = path.split(|byte| *byte == b'/');
    if path.contains(&0) {
        errno::INVAL
    } else if path.starts_with(b"/") || parts.clone().any(|part| part == b"..") {
        errno::PERM
    } else if path.len() > 4_096 || parts.any(|part| part.len() > 255) {
        errno::NAMETOOLONG
    } else if std::str::from_utf8(path).is_err() {
        errno::ILSEQ
    } else {
        errno::INVAL
    }
}
