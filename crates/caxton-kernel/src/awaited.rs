//! What outside clients wait for: from whom a reply is accepted, and which mail was handed over.
//!
//! Only for as long as the process lives; after a restart a reply is mail like any other.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use caxton_model::{CLIENT_REPLIES_MAX, CONVERSATION_IDLE, Message, MessageKey, Micros, Timestamp};

use crate::route;

/// What a message to a client is to that client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// The reply to its request with this `reply_with`.
    Reply(Arc<str>),
    /// An answer to its request, by somebody whom the request did not go to.
    Forged,
    /// Anything else.
    Other,
}

/// A request of a client's.
#[derive(Debug)]
struct Request {
    conversation: Option<Arc<str>>,
    /// Names of those whom it was resolved to.
    from: Vec<Arc<str>>,
    /// Until when a caller waits on the line for its reply.
    waited_until: Option<Timestamp>,
    is_answered: bool,
}

/// One client's requests, by `reply_with`, and the same in the order they were made.
#[derive(Debug, Default)]
struct Requests {
    known: HashMap<Arc<str>, Request>,
    order: VecDeque<(Timestamp, Arc<str>)>,
    /// Replies in the mailbox that a waiting caller was given.
    handed: HashSet<MessageKey>,
}

impl Requests {
    /// Forgets what is too old, and the oldest where there are too many.
    fn trim(&mut self, now: Timestamp) {
        while let Some((at, name)) = self.order.front() {
            let goes = self.order.len() > CLIENT_REPLIES_MAX || now.since(*at) >= CONVERSATION_IDLE;
            if !goes {
                break;
            }
            self.known.remove(name);
            self.order.pop_front();
        }
    }
}

/// All clients' requests.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    clients: HashMap<Arc<str>, Requests>,
}

impl Awaited {
    /// Notes a request and the names of those whom it was resolved to.
    pub(crate) fn note(
        &mut self,
        now: Timestamp,
        message: &Message,
        from: Vec<Arc<str>>,
        wait: Option<Micros>,
    ) {
        let Some(name) = &message.reply_with else {
            return;
        };
        let requests = self.clients.entry(Arc::clone(&message.sender)).or_default();
        let request = Request {
            conversation: message.conversation_id.clone(),
            from,
            waited_until: wait.map(|wait| now.after(wait)),
            is_answered: false,
        };
        // Where a name is used again, the older request has none any more.
        if requests.known.insert(Arc::clone(name), request).is_some() {
            requests.order.retain(|(_, known)| known != name);
        }
        requests.order.push_back((now, Arc::clone(name)));
        requests.trim(now);
    }

    /// What a message is to a client.
    pub(crate) fn judge(&self, client: &str, message: &Message) -> Mail {
        let Some(requests) = self.clients.get(client) else {
            return Mail::Other;
        };
        let is_asked = |request: &Request| {
            request.from.contains(&message.sender) || route::built_in(&message.sender).is_some()
        };
        if let Some(name) = &message.in_reply_to {
            return match requests.known.get_key_value(name) {
                None => Mail::Other,
                Some((_, request)) if !is_asked(request) => Mail::Forged,
                Some((_, request)) if request.is_answered => Mail::Other,
                Some((name, _)) => Mail::Reply(Arc::clone(name)),
            };
        }
        let conversation = message.conversation_id.as_ref();
        let first = requests.order.iter().find(|(_, name)| {
            requests.known.get(name).is_some_and(|request| {
                !request.is_answered
                    && conversation.is_some()
                    && request.conversation.as_ref() == conversation
                    && is_asked(request)
            })
        });
        first.map_or(Mail::Other, |(_, name)| Mail::Reply(Arc::clone(name)))
    }

    /// The reply to a request is in the mailbox.
    pub(crate) fn answered(&mut self, now: Timestamp, client: &str, name: &str, key: MessageKey) {
        if let Some(requests) = self.clients.get_mut(client)
            && let Some(request) = requests.known.get_mut(name)
        {
            request.is_answered = true;
            if request.waited_until.is_some_and(|until| now < until) {
                requests.handed.insert(key);
            }
        }
    }

    /// Whether a waiting caller was given that mail.
    pub(crate) fn is_handed(&self, client: &str, key: MessageKey) -> bool {
        let requests = self.clients.get(client);
        requests.is_some_and(|requests| requests.handed.contains(&key))
    }

    /// Mail is in the mailbox no more.
    pub(crate) fn gone(&mut self, client: &str, keys: &[MessageKey]) {
        if let Some(requests) = self.clients.get_mut(client) {
            for key in keys {
                requests.handed.remove(key);
            }
        }
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.clients.retain(|_, requests| {
            requests.trim(now);
            !(requests.order.is_empty() && requests.handed.is_empty())
        });
    }
}
