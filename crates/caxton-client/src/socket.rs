//! The socket in a data directory: who connects to it reaches the node that uses the directory, and
//! nobody else, since only the directory's owner can enter it.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
};

use caxton_api::SOCKET_FILE;

use crate::ClientError;

/// The longest path that the system takes for a socket. Unit: bytes.
const PATH_BYTES_MAX: usize = 107;

/// The socket of a node's data directory.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) path: PathBuf,
    /// Keeps the directory open where the socket's own path is too long for the system.
    _directory: Option<File>,
}

impl Socket {
    /// Finds it, and that a node listens on it.
    ///
    /// Errors: [`ClientError::NotRunning`], [`ClientError::Directory`].
    pub(crate) fn of(directory: &Path) -> Result<Self, ClientError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning {
                directory: directory.to_owned(),
            },
            _ => ClientError::Directory {
                directory: directory.to_owned(),
                source,
            },
        };
        let mut path = directory.join(SOCKET_FILE);
        let mut handle = None;
        if path.as_os_str().len() > PATH_BYTES_MAX {
            let opened = File::open(directory).map_err(failed)?;
            path = format!("/proc/self/fd/{}/{SOCKET_FILE}", opened.as_raw_fd()).into();
            handle = Some(opened);
        }
        UnixStream::connect(&path).map_err(failed)?;
        Ok(Self {
            path,
            _directory: handle,
        })
    }
}
