//! What outside clients wait for: from whom a reply is accepted, and which mail was handed over.
//!
//! Nothing of it is stored: a restart derives it from the conversations, which keep whom a message
//! was resolved to, and from the open requests.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use caxton_model::{
    Asked, CLIENT_REPLIES_MAX, CONVERSATION_IDLE, Destination, Message, MessageKey, Micros, State,
    Timestamp,
};

use crate::{recovery::ShardPart, route};

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
    asked: Asked,
    /// Who was asked under the same name before: their answers are ordinary mail.
    asked_before: Asked,
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
    /// Notes a request and who may answer it.
    pub(crate) fn note(
        &mut self,
        now: Timestamp,
        message: &Message,
        asked: Asked,
        wait: Option<Micros>,
    ) {
        let Some(name) = &message.reply_with else {
            return;
        };
        let requests = self.clients.entry(Arc::clone(&message.sender)).or_default();
        // Where a name is used again, the older request awaits nothing any more.
        let before = requests.known.remove(name);
        if before.is_some() {
            requests.order.retain(|(_, known)| known != name);
        }
        let request = Request {
            conversation: message.conversation_id.clone(),
            asked,
            asked_before: before.map_or_else(Asked::default, |before| {
                before.asked_before.join(&before.asked)
            }),
            waited_until: wait.map(|wait| now.after(wait)),
            is_answered: false,
        };
        requests.known.insert(Arc::clone(name), request);
        requests.order.push_back((now, Arc::clone(name)));
        requests.trim(now);
    }

    /// Whether a request of that name is known.
    pub(crate) fn knows(&self, client: &str, name: &str) -> bool {
        let requests = self.clients.get(client);
        requests.is_some_and(|requests| requests.known.contains_key(name))
    }

    /// Derives what all clients of a node wait for from what the node knows.
    ///
    /// Answers also the mail in their mailboxes that is forged: the record of its refusal was lost.
    pub(crate) fn derive(state: &State) -> (Self, Vec<(Arc<str>, MessageKey)>) {
        let (mut awaited, mut forged) = (Self::default(), Vec::new());
        for ((at, ..), said) in said(state) {
            match said {
                Said::Request(message, asked) => awaited.note(at, message, asked, None),
                Said::Mail {
                    client,
                    message,
                    key,
                    is_here,
                } => match awaited.judge(client, message) {
                    Mail::Reply(name) => awaited.answered(at, client, &name, key),
                    Mail::Forged if is_here => forged.push((Arc::clone(client), key)),
                    Mail::Forged | Mail::Other => {}
                },
            }
        }
        (awaited, forged)
    }

    /// Divides this among shards, by client.
    pub(crate) fn split(self, shard_of: impl Fn(&str) -> usize, parts: &mut [ShardPart]) {
        for (client, requests) in self.clients {
            if let Some(part) = parts.get_mut(shard_of(&client)) {
                part.awaited.clients.insert(client, requests);
            }
        }
    }

    /// What a message is to a client.
    pub(crate) fn judge(&self, client: &str, message: &Message) -> Mail {
        let Some(requests) = self.clients.get(client) else {
            return Mail::Other;
        };
        let is_asked = |request: &Request| request.asked.may_answer(&message.sender);
        if let Some(name) = &message.in_reply_to {
            return match requests.known.get_key_value(name) {
                None => Mail::Other,
                Some((_, request)) if !is_asked(request) => {
                    match request.asked_before.may_answer(&message.sender) {
                        true => Mail::Other,
                        false => Mail::Forged,
                    }
                }
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

/// What a client said, or what was said to it.
enum Said<'a> {
    Request(&'a Message, Asked),
    Mail {
        client: &'a Arc<str>,
        message: &'a Message,
        key: MessageKey,
        /// Whether it is still in the mailbox.
        is_here: bool,
    },
}

/// All that clients said and were told, as far as it is known, in the order in which it was sent; of
/// what was sent at the same time, requests first.
fn said(state: &State) -> BTreeMap<(Timestamp, bool, MessageKey), Said<'_>> {
    let agents: HashSet<&str> = state
        .agents
        .values()
        .map(|agent| agent.spec.name.as_str())
        .collect();
    let mut all = BTreeMap::new();
    for line in state.conversations.values().flat_map(|c| &c.lines) {
        let Some(message) = &line.message else {
            continue;
        };
        let (at, mut key) = (line.at, line.key);
        if route::may_be_client(&line.sender) && !agents.contains(&*line.sender) {
            let asked = state.asked_of(message, &line.to);
            all.insert((at, false, key), Said::Request(message, asked));
        }
        for to in &line.to {
            if let Destination::Client(client) = to {
                let mail = Said::Mail {
                    client,
                    message,
                    key,
                    is_here: false,
                };
                all.insert((at, true, key), mail);
            }
            key.index = key.index.saturating_add(1);
        }
    }
    for (client, mailbox) in &state.clients {
        for mail in mailbox.replies() {
            let (key, message) = (mail.key, &mail.message);
            let said = Said::Mail {
                client,
                message,
                key,
                is_here: true,
            };
            all.insert((mail.at, true, key), said);
        }
    }
    all
}
