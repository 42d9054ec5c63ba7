//! File descriptors: how many of them connections may take.

use std::os::fd::AsRawFd;

use rustix::process::{Resource, getrlimit};

/// Descriptors that connections leave to the rest of the node: the journal's next segment, tables of
/// the checkpoint, modules, the cache, and the pipes of a compile worker.
const KEPT: u64 = 128;

/// The descriptors below this number are for connections, the others are not.
///
/// Where few are allowed at all, half of them.
fn for_connections() -> usize {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let kept = KEPT.min(allowed / 2);
    usize::try_from(allowed - kept).unwrap_or(usize::MAX)
}

fn number(file: &impl AsRawFd) -> usize {
    usize::try_from(file.as_raw_fd()).unwrap_or_default()
}

/// Whether a new descriptor is among those that the rest of the node needs.
///
/// The system gives the lowest number that is free, so all below it are in use.
pub(crate) fn is_needed(new: &impl AsRawFd) -> bool {
    number(new) >= for_connections()
}

/// How many connections there is room for behind the newest descriptor; at least one.
pub(crate) fn room_behind(newest: &impl AsRawFd) -> usize {
    for_connections().saturating_sub(number(newest)).max(1)
}
