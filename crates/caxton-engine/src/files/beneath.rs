//! The wall: what is opened lies beneath a directory's own descriptor, and no link is followed.

use std::{os::fd::OwnedFd, path::Path, sync::LazyLock};

use caxton_gate::GuestPath;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat},
    io::{Errno, fcntl_dupfd_cloexec},
};

use super::Failed;
use crate::wasi_errno as errno;

/// Symbolic links that one path may lead over, as Linux has it.
const LINKS_MAX: usize = 40;
/// Attempts at what the kernel answers `EAGAIN` because a directory was just moved.
const ATTEMPTS: usize = 16;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// A directory that only leads on.
const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

/// Whether the kernel has `openat2`: Linux 5.6, and not forbidden by a container.
static HAS_OPENAT2: LazyLock<bool> = LazyLock::new(|| {
    let flags = PATH_ONLY | OFlags::CLOEXEC;
    openat2(CWD, ".", flags, Mode::empty(), BENEATH).is_ok()
});

/// A mapped directory.
#[derive(Debug)]
pub(crate) struct Root {
    guest: GuestPath,
    fd: OwnedFd,
}

/// Where a path of a guest leads, all links expanded.
#[derive(Debug)]
pub(super) struct Place {
    /// The path without links.
    pub(super) path: GuestPath,
    /// The directory that it lies in.
    pub(super) parent: OwnedFd,
    /// Its name there; empty for the mapped directory itself.
    pub(super) name: String,
}

impl Root {
    pub(super) fn open(guest: GuestPath, host: &Path) -> std::io::Result<Self> {
        let fd = openat(CWD, host, PATH_ONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { guest, fd })
    }
    pub(super) fn guest(&self) -> &GuestPath {
        &self.guest
    }
    /// Whether a path is the directory or lies in it.
    pub(super) fn holds(&self, path: &GuestPath) -> bool {
        let base = self.guest.as_str().trim_end_matches('/');
        let rest = path.as_str().strip_prefix(base);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
    /// A path from the directory on; empty for itself.
    fn relative<'a>(&self, path: &'a GuestPath) -> &'a str {
        let base = self.guest.as_str().trim_end_matches('/');
        let rest = path.as_str().strip_prefix(base).unwrap_or_default();
        rest.trim_start_matches('/')
    }
    /// Opens a path that has no links, beneath the directory.
    pub(super) fn open_at(
        &self,
        path: &GuestPath,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, Errno> {
        self.open_relative(self.relative(path), flags, mode, *HAS_OPENAT2)
    }
    fn open_relative(
        &self,
        relative: &str,
        flags: OFlags,
        mode: Mode,
        has_openat2: bool,
    ) -> Result<OwnedFd, Errno> {
        let mut flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if !flags.contains(OFlags::PATH) {
            // A FIFO that was put there in between must not hold the host, nor a terminal take it.
            flags |= OFlags::NONBLOCK | OFlags::NOCTTY;
        }
        if !has_openat2 {
            return self.open_by_steps(relative, flags, mode);
        }
        let path = if relative.is_empty() { "." } else { relative };
        for _ in 0..ATTEMPTS {
            match openat2(&self.fd, path, flags, mode, BENEATH) {
                Err(Errno::AGAIN) => {}
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    }
    /// Opens a path one name at a time, on a kernel without `openat2`.
    fn open_by_steps(&self, relative: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        if relative.is_empty() {
            return openat(&self.fd, ".", flags, mode);
        }
        let mut directory: Option<OwnedFd> = None;
        let mut names = relative.split('/').peekable();
        while let Some(name) = names.next() {
            if matches!(name, "" | "." | "..") {
                return Err(Errno::XDEV);
            }
            let from = directory.as_ref().unwrap_or(&self.fd);
            if names.peek().is_none() {
                return openat(from, name, flags, mode);
            }
            let step = PATH_ONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            directory = Some(openat(from, name, step, Mode::empty())?);
        }
        Err(Errno::NOENT)
    }
    fn directory(&self, relative: &str) -> Result<OwnedFd, Errno> {
        if relative.is_empty() {
            return fcntl_dupfd_cloexec(&self.fd, 0);
        }
        self.open_relative(relative, PATH_ONLY, Mode::empty(), *HAS_OPENAT2)
    }
    /// Expands the links of a path. `check` is asked for each form of it before anything is looked at,
    /// and its last answer is handed back.
    pub(super) fn resolve<T>(
        &self,
        named: &GuestPath,
        follow: bool,
        check: impl Fn(&GuestPath) -> Result<T, Failed>,
    ) -> Result<(Place, T), Failed> {
        let mut path = named.clone();
        for _ in 0..=LINKS_MAX {
            let allowed = check(&path)?;
            let relative = self.relative(&path);
            let (above, name) = relative.rsplit_once('/').unwrap_or(("", relative));
            let parent = match self.directory(above) {
                Ok(parent) => parent,
                // A link on the way; without `openat2` it looks like something that is no directory.
                Err(error @ (Errno::LOOP | Errno::NOTDIR)) => {
                    path = self.expand_first_link(above, name, error)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if follow && !name.is_empty() {
                match readlinkat(&parent, name, Vec::new()) {
                    Ok(target) => {
                        path = self.expand(above, target.as_bytes(), "")?;
                        continue;
                    }
                    Err(Errno::INVAL | Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let name = name.to_owned();
            return Ok((Place { path, parent, name }, allowed));
        }
        Err(Failed::Errno(errno::LOOP))
    }
    /// Replaces the first link among the directories of a path.
    fn expand_first_link(
        &self,
        above: &str,
        name: &str,
        error: Errno,
    ) -> Result<GuestPath, Failed> {
        let ends = above.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([above.len()]) {
            let (prefix, rest) = above.split_at_checked(end).unwrap_or((above, ""));
            let (directory, link) = prefix.rsplit_once('/').unwrap_or(("", prefix));
            let parent = self.directory(directory)?;
            if let Ok(target) = readlinkat(&parent, link, Vec::new()) {
                let rest = format!("{}/{name}", rest.trim_start_matches('/'));
                return self.expand(directory, target.as_bytes(), &rest);
            }
        }
        Err(error.into())
    }
    /// The path that a link in a directory leads to, with what comes behind it. Absolute links, and
    /// those that leave the mapped directory, lead nowhere.
    fn expand(&self, directory: &str, target: &[u8], rest: &str) -> Result<GuestPath, Failed> {
        let outside = || Failed::Errno(errno::PERM);
        let target = std::str::from_utf8(target).map_err(|_| outside())?;
        if target.starts_with('/') {
            return Err(outside());
        }
        let mut names: Vec<&str> = directory.split('/').filter(|n| !n.is_empty()).collect();
        let mut is_known = true;
        for name in target.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    // What is above a link is above its target, so no link may stand before `..`.
                    if !is_known {
                        self.directory(&names.join("/"))?;
                    }
                    names.pop().ok_or_else(outside)?;
                }
                name => {
                    names.push(name);
                    is_known = false;
                }
            }
        }
        names.extend(rest.split('/').filter(|n| !n.is_empty()));
        self.guest.join(&names.join("/")).map_err(|_| outside())
    }
    /// Whether a link in a directory would lead out of the mapped one.
    pub(super) fn leads_out(&self, link: &GuestPath, target: &str) -> bool {
        let above = self.relative(link).rsplit_once('/').map_or("", |(a, _)| a);
        let mut depth = above.split('/').filter(|n| !n.is_empty()).count();
        for name in target.split('/') {
            match name {
                "" | "." => {}
                ".." if depth == 0 => return true,
                ".." => depth -= 1,
                _ => depth += 1,
            }
        }
        target.starts_with('/')
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root(host: &Path) -> Root {
        Root::open(GuestPath::parse("/data").unwrap(), host).unwrap()
    }

    /// The second wall alone: paths that the first would never let through.
    #[test]
    fn the_kernel_refuses_by_itself_what_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let inside = outside.path().join("in");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(inside.join("sub/file"), "file").unwrap();
        symlink("../secret", inside.join("out")).unwrap();
        symlink("sub", inside.join("link")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        let root = root(&inside);
        for has_openat2 in [*HAS_OPENAT2, false] {
            let open = |path: &str| {
                let opened = root.open_relative(path, OFlags::RDONLY, Mode::empty(), has_openat2);
                opened.map(|_| ()).map_err(errno_name)
            };
            assert_eq!(open("sub/file"), Ok(()), "{has_openat2}");
            for path in [
                "../secret",
                "sub/../../secret",
                "..",
                "/etc/passwd",
                "out",
                "link/file",
                "magic",
                "magic/etc/passwd",
            ] {
                assert!(open(path).is_err(), "{path} {has_openat2}");
            }
        }
    }

    fn errno_name(error: Errno) -> String {
        error.to_string()
    }

    #[test]
    fn a_link_may_not_lead_above_its_directory() {
        let host = tempfile::tempdir().unwrap();
        let root = root(host.path());
        for (link, target, out) in [
            ("/data/l", "x", false),
            ("/data/l", "../x", true),
            ("/data/a/l", "../x", false),
            ("/data/a/l", "../../x", true),
            ("/data/l", "a/../../x", true),
            ("/data/l", "/etc", true),
            ("/data/l", "a/./b/..", false),
        ] {
            let link = GuestPath::parse(link).unwrap();
            assert_eq!(root.leads_out(&link, target), out, "{target}");
        }
    }
}
