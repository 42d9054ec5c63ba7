//! Requests in flight: each has a number, and whoever made it waits for the answer.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use caxton_kernel::{Done, Refusal, Ticket};
use tokio::sync::oneshot;

pub(crate) type Answer = Result<Done, Refusal>;

/// The requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    next: AtomicU64,
    waiting: Mutex<HashMap<Ticket, oneshot::Sender<Answer>>>,
}

impl Tickets {
    /// A new request, and where its answer will come.
    pub(crate) fn open(&self) -> (Ticket, oneshot::Receiver<Answer>) {
        let ticket = Ticket(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(ticket, sender);
        (ticket, receiver)
    }
    /// Gives up what is still in flight: whoever waits is told that the node goes down.
    pub(crate) fn close(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
    /// Answers a request. One that nobody waits for any more is passed over.
    pub(crate) fn answer(&self, ticket: Ticket, answer: Answer) {
        let sender = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&ticket);
        if let Some(sender) = sender {
            // The asker may have gone away; what was done stays done.
            let _ = sender.send(answer);
        }
    }
}
