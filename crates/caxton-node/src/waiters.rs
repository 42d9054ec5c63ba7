//! Clients that wait for a reply.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use caxton_model::{AgentId, Fields, Message, Pending, Receiver, is_reserved_name};
use tokio::sync::oneshot;

/// Waits one client may have open at a time.
///
/// Each is a request that hangs; more is a client that forgot them.
const WAITS_MAX: usize = 1_000;

/// What a client waits for: the reply to the request of that name.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    reply_with: Option<Arc<str>>,
    /// The request as it was sent earlier, where this is a retry: the kernel may have forgotten it.
    earlier: Option<Message>,
}

impl Wanted {
    /// The reply to a request that is about to be sent.
    pub(crate) fn first(fields: &Fields) -> Self {
        Self {
            reply_with: fields.reply_with.clone(),
            earlier: None,
        }
    }
    /// The reply to a request that was sent before.
    pub(crate) fn again(message: &Message) -> Self {
        Self {
            reply_with: message.reply_with.clone(),
            earlier: Some(message.clone()),
        }
    }
    /// Whether this message is it; `answers` is the request that the kernel knows it to answer.
    pub(crate) fn fits(&self, message: &Message, answers: Option<&str>) -> bool {
        if answers.is_some() {
            return answers == self.reply_with.as_deref();
        }
        let Some(earlier) = &self.earlier else {
            return false;
        };
        let asked = match &earlier.receiver {
            Receiver::One(name) => may_be(name, &message.sender),
            Receiver::List(names) => names.iter().any(|name| may_be(name, &message.sender)),
            Receiver::Capability(_) => true,
        };
        asked
            && match (&self.reply_with, &message.in_reply_to) {
                (Some(wanted), Some(given)) => wanted == given,
                _ => {
                    earlier.conversation_id.is_some()
                        && earlier.conversation_id == message.conversation_id
                }
            }
    }
}

/// Whether a receiver as written may be the one that speaks. An id does not say.
fn may_be(written: &str, speaker: &str) -> bool {
    written == speaker || is_reserved_name(speaker) || AgentId::read(written).is_some()
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
    ///
    /// `answers`: the `reply_with` of the client's request to which the mail is the reply.
    pub(crate) fn tell(&self, client: &str, mail: &Pending, answers: Option<&str>) {
        let mut guard = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_client) = guard.1.get_mut(client) else {
            return;
        };
        let mut rest = Vec::with_capacity(of_client.len());
        for wait in of_client.drain(..) {
            if wait.wanted.fits(&mail.message, answers) {
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
