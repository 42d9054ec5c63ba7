//! Who may answer a request: those whom it was resolved to.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{AgentId, ConversationLine, Destination, Message, Receiver, State, is_reserved_name};

/// Name of an open request: its asker as a text, and its `reply_with`.
pub type RequestName = (Arc<str>, Arc<str>);

/// Names of several requests that are kept together.
const JOINED_MAX: usize = 1_000;

/// The names of those whom a request was resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Sorted, each once.
    names: Vec<Arc<str>>,
}

impl Asked {
    /// The names as they are written in the message, and those of the agents that it was resolved
    /// to.
    #[must_use]
    pub fn new(receiver: &Receiver, resolved: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut names = receiver.names().to_vec();
        names.extend(resolved);
        names.sort_unstable();
        names.dedup();
        names.shrink_to_fit();
        Self { names }
    }

    /// The names of both, as long as there are few of them; else those of the second alone.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.names.extend(other.names.iter().cloned());
        self.names.sort_unstable();
        self.names.dedup();
        if self.names.len() > JOINED_MAX {
            return other.clone();
        }
        self
    }

    /// Whether an answer of this sender is one. What the host says in its own name, or for an agent
    /// that is gone under that agent's id, always is: nobody else can bear such a name.
    #[must_use]
    pub fn may_answer(&self, sender: &str) -> bool {
        is_reserved_name(sender)
            || AgentId::read(sender).is_some()
            || self
                .names
                .binary_search_by(|name| (**name).cmp(sender))
                .is_ok()
    }
}

impl State {
    /// The answerers of a request as far as this state knows their names.
    #[must_use]
    pub fn asked_of(&self, message: &Message, to: &[Destination]) -> Asked {
        let resolved = to.iter().filter_map(|to| match to {
            Destination::Agent(id) => self.agents.get(id),
            Destination::Client(_) | Destination::Dead { .. } => None,
        });
        let names = resolved.map(|agent| agent.spec.name.shared());
        Asked::new(&message.receiver, names)
    }

    /// Enters who may answer an open request. Whoever knows all agents of the node says so, because
    /// the state of one shard knows only its own.
    pub fn set_asked(&mut self, request: RequestName, asked: Asked) {
        if self.open.contains_key(&request) {
            self.asked.insert(request, asked);
        }
    }

    /// Derives who may answer each open request from the conversations, which keep whom a message
    /// was resolved to. Where that line was dropped, the names in the request are left; where it has
    /// none either, anybody may answer it.
    pub(crate) fn recount_asked(&mut self) {
        let mut wanted: HashMap<(&str, &str), &RequestName> = HashMap::new();
        for (name, request) in &self.open {
            wanted.insert((&request.message.sender, &name.1), name);
        }
        let mut asked = BTreeMap::new();
        let lines = self.conversations.values().flat_map(|c| &c.lines);
        for ConversationLine { message, to, .. } in lines {
            let Some(message) = message else { continue };
            let Some(reply_with) = &message.reply_with else {
                continue;
            };
            let Some(name) = wanted.get(&(&*message.sender, &**reply_with)) else {
                continue;
            };
            let request = self.open.get(*name);
            if request.is_some_and(|request| request.message.reply_by == message.reply_by) {
                asked.insert((*name).clone(), self.asked_of(message, to));
            }
        }
        for (name, request) in &self.open {
            let receiver = &request.message.receiver;
            if !asked.contains_key(name) && !matches!(receiver, Receiver::Capability(_)) {
                let ids = receiver
                    .names()
                    .iter()
                    .filter_map(|name| AgentId::read(name));
                let to: Vec<_> = ids.map(Destination::Agent).collect();
                asked.insert(name.clone(), self.asked_of(&request.message, &to));
            }
        }
        self.asked = asked;
    }
}
