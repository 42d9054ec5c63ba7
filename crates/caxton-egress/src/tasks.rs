//! Every task that the broker starts, with what happens when it fails or the broker ends.

use std::future::Future;

/// What a task is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    /// Moves the bytes of one HTTP/2 connection, and of a request's body over it. On error: the
    /// requests on it fail. Ends with the last handle on the connection.
    Http2,
    /// Closes connections that were idle too long. Ends with the last idle one, or the broker.
    IdleConnections,
}

/// Starts a task.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that starts tasks"
)]
pub(crate) fn start(task: Task, work: impl Future<Output: Send> + Send + 'static) {
    tracing::trace!(?task, "starting a task");
    tokio::spawn(work);
}

/// Starts what hyper wants to run beside an HTTP/2 connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Http2Tasks;

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Http2Tasks {
    fn execute(&self, work: F) {
        start(Task::Http2, work);
    }
}
