//! The socket in the data directory. Only the directory's owner can enter the directory, so that who
//! connects to the socket reaches the node that holds the directory, and never another program that
//! has taken the address of a node that was killed.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use caxton_api::SOCKET_FILE;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
};

use crate::{
    ServeError, ServerLimits,
    app::closed,
    connection::Serving,
    connections::Connections,
    evictable::say_busy,
    tasks::{self, Task},
};

/// Connections over the socket at the same time. They have a bound of their own, so that the operator
/// gets in while the network's are all taken, and none of them is closed for another.
const CONNECTIONS_MAX: usize = 64;
/// The longest path that the system takes for a socket. Unit: bytes.
const PATH_BYTES_MAX: usize = 107;
/// How long accepting pauses after the system has refused a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Everything that a connection over the socket needs.
pub(crate) struct LocalDoor {
    listener: UnixListener,
    path: PathBuf,
    router: Router,
    limits: ServerLimits,
    closing: watch::Receiver<bool>,
    connections: Connections,
}

impl LocalDoor {
    /// Listens in a data directory that this process holds; what a killed node has left is removed.
    ///
    /// Errors: [`ServeError::Socket`].
    pub(crate) fn open(
        directory: &Path,
        router: Router,
        limits: ServerLimits,
        closing: watch::Receiver<bool>,
    ) -> Result<Self, ServeError> {
        let path = directory.join(SOCKET_FILE);
        let listener = listen(directory, &path).map_err(|source| ServeError::Socket {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            listener,
            path,
            router,
            limits,
            closing,
            connections: Connections::new(CONNECTIONS_MAX),
        })
    }

    /// Takes connections until the server is closing; returns when the last one has ended.
    pub(crate) async fn accept(mut self) {
        loop {
            let taken = tokio::select! {
                taken = self.listener.accept() => taken,
                () = closed(&mut self.closing) => break,
            };
            match taken {
                Ok((stream, _)) => self.admit(stream),
                Err(error) => {
                    tracing::warn!(%error, "no local connection can be taken; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        // The next client finds no socket of a node that is gone.
        let _ = fs::remove_file(&self.path);
        self.connections.all_ended().await;
    }

    fn admit(&self, stream: UnixStream) {
        if !self.connections.has_room() {
            return say_busy(&stream);
        }
        let serving = Serving {
            router: self.router.clone(),
            limits: self.limits.clone(),
            connection: self.connections.enter_local(),
            peer: None,
        };
        tasks::start(
            Task::Connection,
            serving.serve(stream, self.closing.clone()),
        );
    }
}

fn listen(directory: &Path, path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = if path.as_os_str().len() > PATH_BYTES_MAX {
        let directory = File::open(directory)?;
        UnixListener::bind(format!(
            "/proc/self/fd/{}/{SOCKET_FILE}",
            directory.as_raw_fd()
        ))?
    } else {
        UnixListener::bind(path)?
    };
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
