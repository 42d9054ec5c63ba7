//! Clients that wait for a reply.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use caxton_model::{Message, Pending};
use tokio::sync::oneshot;

/// Waits one client may have open at a time.
///
/// Each is a request that hangs; more is a client that forgot them.
const WAITS_MAX: usize = 1_000;

/// What a client waits for: the first message with that `in_reply_to`, else the first of that
/// conversation.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) reply_with: Option<Arc<str>>,
    pub(crate) conversation: Option<Arc<str>>,
}

impl Wanted {
    /// What answers a message.
    pub(crate) fn answer_to(message: &Message) -> Self {
        Self {
            reply_with: message.reply_with.clone(),
            conversation: message.conversation_id.clone(),
        }
    }
    /// Whether this message is it.
    pub(crate) fn fits(&self, message: &Message) -> bool {
        match (&self.reply_with, &message.in_reply_to) {
            (Some(wanted), Some(given)) => wanted == given,
            _ => self.conversation.is_some() && self.conversation == message.conversation_id,
        }
    }
}

#[derive(Debug)]
struct Wait {
    number: u64,
    wanted: Wanted,
    sender: oneshot::Sender<Pending>,
}

/// The last wait's number, and the waits that are open, by client.
type Waits = (u64, HashMap<Arc<str>, Vec<Wait>>);

/// All waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waits: Mutex<Waits>,
}

impl Waiters {
    /// Starts a wait; `None` if the client has too many. [`Self::end`] must follow.
    pub(crate) fn begin(
        &self,
        client: &Arc<str>,
        wanted: Wanted,
    ) -> Option<(u64, oneshot::Receiver<Pending>)> {
        let mut guard = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, waits) = &mut *guard;
        let of_client = waits.entry(Arc::clone(client)).or_default();
        if of_client.len() >= WAITS_MAX {
            return None;
        }
        *next += 1;
        let (sender, receiver) = oneshot::channel();
        of_client.push(Wait {
            number: *next,
            wanted,
            sender,
        });
        Some((*next, receiver))
    }
    /// Ends a wait that did not end by itself.
    pub(crate) fn end(&self, client: &str, number: u64) {
        let mut guard = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_client) = guard.1.get_mut(client) {
            of_client.retain(|wait| wait.number != number);
            if of_client.is_empty() {
                guard.1.remove(client);
            }
        }
    }
    /// A message stands in the client's mailbox, durable: whoever waits for it is told.
    pub(crate) fn tell(&self, client: &str, mail: &Pending) {
        let mut guard = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_client) = guard.1.get_mut(client) else {
            return;
        };
        let mut rest = Vec::with_capacity(of_client.len());
        for wait in of_client.drain(..) {
            if wait.wanted.fits(&mail.message) {
                // The waiter may have gone away; the reply stays in the mailbox.
                let _ = wait.sender.send(mail.clone());
            } else {
                rest.push(wait);
            }
        }
        *of_client = rest;
        if of_client.is_empty() {
            guard.1.remove(client);
        }
    }
}
