//! A network connection that ends when its place is needed, but not before what has arrived on it
//! was read: a head with a valid token may be among it.

use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::connections::Connection;

/// What is said to a connection that there is no room for.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 249\r\n\r\n\
{\"type\":\"/api/v1/errors/CX6001\",\"title\":\"node budget\",\"status\":503,\"code\":\"node-budget\",\
\"detail\":\"the node has as many connections as it takes\",\"remedy\":\"try again, with fewer connections\",\
\"request_id\":\"none\",\"retry_after_secs\":1}                   ";

/// Answers 503 on a socket to which nothing was written yet: its send buffer takes this at once, and
/// if it does not, closing says enough.
pub(crate) fn say_busy(stream: impl AsFd) {
    let _ = rustix::io::write(stream, BUSY);
}

/// The stream of a connection that may be evicted.
pub(crate) struct Evictable {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Whether the stream carries HTTP itself, and not TLS.
    is_plain: bool,
    /// Bytes that had arrived unread when the connection was asked to go, less those read since;
    /// `None` while it may stay.
    unread: Option<u64>,
}

impl Evictable {
    pub(crate) const fn new(
        stream: TcpStream,
        connection: Arc<Connection>,
        is_plain: bool,
    ) -> Self {
        Self {
            stream,
            connection,
            is_plain,
            unread: None,
        }
    }

    /// Fails if the connection was asked to go and all that had arrived by then has been read and
    /// answered: its token is looked at where the answer is made.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.connection.is_asked_to_go(cx.waker()) {
            self.unread = None;
            return Ok(());
        }
        let arrived = || rustix::io::ioctl_fionread(&self.stream).unwrap_or_default();
        match *self.unread.get_or_insert_with(arrived) {
            0 if !self.connection.is_answering() => Err(self.gone()),
            _ => Ok(()),
        }
    }

    fn gone(&self) -> io::Error {
        if self.is_plain && !self.connection.has_asked() {
            say_busy(&self.stream);
        }
        let why = "closed because its place was needed and it had shown no token";
        io::Error::new(io::ErrorKind::ConnectionAborted, why)
    }

    /// The same, for what a write has come to: who does not read its answer goes at once.
    fn written<T>(&self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_pending() && self.connection.is_asked_to_go(cx.waker()) {
            return Poll::Ready(Err(self.gone()));
        }
        poll
    }
}

impl AsyncRead for Evictable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = (buf.filled().len() - before) as u64;
        if let Some(unread) = &mut self.unread {
            *unread = unread.saturating_sub(read);
        }
        poll
    }
}

impl AsyncWrite for Evictable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, poll)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, poll)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_api::Problem;

    #[test]
    fn the_answer_for_want_of_room_is_a_whole_one() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: Problem = serde_json::from_str(body.trim()).unwrap();
        let code = problem.error_code().unwrap();
        assert_eq!(
            (problem.status, code.page()),
            (code.http_status(), "CX6001")
        );
    }
}
