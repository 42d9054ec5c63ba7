//! Every task the server starts, with what happens when it fails or the server ends.

use std::future::Future;

use tokio::task::JoinHandle;

/// What a task is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    /// Takes connections. On error: logged, the next one is taken. On shutdown: ends at once.
    Accept,
    /// Serves one connection. On error: the connection is closed. On shutdown: ends when the
    /// request in hand is answered, at the latest with the grace.
    Connection,
    /// Empties metric buckets. On error: none can happen. On shutdown: ends at once.
    Upkeep,
}

/// Starts a task.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that starts tasks"
)]
pub(crate) fn start<T: Send + 'static>(
    task: Task,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tracing::trace!(?task, "starting a task");
    tokio::spawn(work)
}
