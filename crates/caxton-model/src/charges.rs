//! What each thing that the host keeps costs, who is charged for it, and what goes where an owner
//! has too much.
//!
//! Costs are estimates of what an entry takes in all copies of the state that a node holds: the
//! shard's, and the one that checkpoints are written from. Messages are shared by both.

use std::{collections::HashMap, sync::Arc};

use crate::{
    AgentId, AgentState, Capabilities, Conversation, ConversationLine, DeadLetter, Destination,
    DfSubscription, Ledger, Message, MessageKey, OpenRequest, Part, Pending, PostSeen, State,
    Subscription, is_reserved_name, message::SHARED_CONTENT_BYTES,
};

/// The limit `host_bytes` of an outside client. Unit: bytes.
pub const CLIENT_HOST_BYTES: u64 = 16 << 20;

/// What message ids of one client that are known in full take at most. Unit: bytes.
const ID_BYTES_OF_ONE: u64 = CLIENT_HOST_BYTES / 2;

/// What the conversation lines of one sender take at most. Unit: bytes.
const LINE_BYTES_OF_ONE: u64 = 1 << 20;

/// What the conversation lines of all senders of one state take: they share it evenly. Unit: bytes.
const LINE_BYTES_OF_ALL: u64 = 64 << 20;

/// Overhead of a dead letter: two table entries, its place in two orders. Unit: bytes.
const LETTER_BYTES: u64 = 600;
/// Overhead of mail that stands in nobody's mailbox. Unit: bytes.
const HELD_BYTES: u64 = 200;
/// Overhead of a line of a conversation. Unit: bytes.
const LINE_BYTES: u64 = 400;
/// Overhead of one receiver in a line. Unit: bytes.
const RECEIVER_BYTES: u64 = 120;
/// Overhead of a message id that is known in full. Unit: bytes.
const ID_BYTES: u64 = 500;
/// Overhead of a request that waits for its answer, with its alarm. Unit: bytes.
const OPEN_BYTES: u64 = 700;
/// What a receiver and the agent behind it take among those who may answer a request. Unit: bytes.
const ASKED_BYTES: u64 = 32;
/// Overhead of a subscription. Unit: bytes.
const SUBSCRIPTION_BYTES: u64 = 500;
/// Overhead of a descriptor, and of each service in it. Unit: bytes.
const SERVICE_BYTES: u64 = 500;
/// Overhead of a text in a list. Unit: bytes.
const TEXT_BYTES: u64 = 40;
/// Copies of what is not shared between the states of a node.
const COPIES: u64 = 2;

/// Who is charged for a dead letter: the sender.
///
/// What the host's own agents say is charged to the receiver, who asked for it. Failures and the
/// like share the host's own account: nobody can fill the account of another by making it fail.
fn letter_owner(letter: &DeadLetter) -> Arc<str> {
    if letter.message.performative.is_last_word() {
        return "ams".into();
    }
    if is_reserved_name(&letter.message.sender) {
        return Arc::clone(&letter.intended);
    }
    Arc::clone(&letter.message.sender)
}

/// Who is charged for mail that stands in nobody's mailbox: the sender, and the host itself for
/// what the host says.
fn held_owner(message: &Message) -> Arc<str> {
    if message.performative.is_last_word() || is_reserved_name(&message.sender) {
        return "ams".into();
    }
    Arc::clone(&message.sender)
}

fn held_bytes(message: &Message) -> u64 {
    HELD_BYTES + message.memory_bytes()
}

fn letter_bytes(letter: &DeadLetter) -> u64 {
    LETTER_BYTES + COPIES * (letter.intended.len() + letter.reason.len()) as u64
}

fn line_bytes(line: &ConversationLine) -> u64 {
    let receiver = |to: &Destination| {
        RECEIVER_BYTES
            + match to {
                Destination::Dead { reason, .. } => COPIES * reason.len() as u64,
                Destination::Agent(_) | Destination::Client(_) => 0,
            }
    };
    let to: u64 = line.to.iter().map(receiver).sum();
    LINE_BYTES + to + line.message.as_ref().map_or(0, Message::memory_bytes)
}

fn id_bytes(id: &str, seen: &PostSeen) -> u64 {
    ID_BYTES + COPIES * (id.len() as u64 + seen.message.memory_bytes())
}

/// What watching a request costs its asker. Unit: bytes.
#[must_use]
pub fn open_bytes(message: &Message) -> u64 {
    let name = message.reply_with.as_ref().map_or(0, |name| name.len());
    // Long content is not kept with it.
    let content = Some(message.content.as_str().len()).filter(|len| *len >= SHARED_CONTENT_BYTES);
    let kept = message
        .memory_bytes()
        .saturating_sub(content.unwrap_or(0) as u64);
    let names = message.receiver.names().len() as u64;
    OPEN_BYTES + COPIES * (name as u64 + names * ASKED_BYTES) + kept
}

fn texts(texts: &[String]) -> u64 {
    texts
        .iter()
        .map(|text| TEXT_BYTES + text.len() as u64)
        .sum()
}

/// What a subscription to broadcasts costs its agent. Unit: bytes.
#[must_use]
pub fn subscription_bytes(subscription: &Subscription) -> u64 {
    let filter = &subscription.filter;
    let named = [&filter.protocol, &filter.ontology, &filter.name];
    let named: u64 = named
        .into_iter()
        .flatten()
        .map(|text| text.len() as u64)
        .sum();
    SUBSCRIPTION_BYTES + COPIES * (texts(&filter.capabilities) + named)
}

/// What a descriptor costs its agent. Unit: bytes.
#[must_use]
pub fn capabilities_bytes(capabilities: &Capabilities) -> u64 {
    let services = capabilities.services.iter().map(|service| {
        let long = [
            &service.input_schema,
            &service.output_schema,
            &service.properties,
        ];
        let long: usize = long.into_iter().map(|json| json.as_str().len()).sum();
        let short = service.name.len() + service.description.len() + service.kind.len();
        SERVICE_BYTES
            + (long + short) as u64
            + texts(&service.protocols)
            + texts(&service.ontologies)
            + texts(&service.languages)
    });
    SERVICE_BYTES
        + services.sum::<u64>()
        + texts(&capabilities.protocols)
        + texts(&capabilities.ontologies)
        + texts(&capabilities.languages)
}

/// What a subscription to changes of the directory costs its subscriber. Unit: bytes.
#[must_use]
pub fn df_subscription_bytes(subscription: &DfSubscription) -> u64 {
    let short = subscription.conversation.len() + subscription.service.len();
    let template = subscription.template.as_str().len();
    SUBSCRIPTION_BYTES + COPIES * (short + template) as u64
}

/// What of an agent is charged to it until it takes it back. Unit: bytes.
pub(crate) fn agent_bytes(agent: &AgentState) -> u64 {
    let subscriptions: u64 = agent.subscriptions.iter().map(subscription_bytes).sum();
    let capabilities = agent.capabilities.as_deref();
    subscriptions + capabilities.map_or(0, capabilities_bytes)
}

impl Ledger {
    fn fix(&mut self, owner: &Arc<str>, before: u64, after: u64) {
        if before != after {
            self.change(owner, |account| {
                account.fixed = (account.fixed + after).saturating_sub(before);
            });
        }
    }
    pub(crate) fn opened(&mut self, request: &OpenRequest) {
        self.change(&request.message.sender, |account| {
            account.fixed += open_bytes(&request.message);
            account.open += 1;
        });
    }
    pub(crate) fn closed(&mut self, request: &OpenRequest) {
        self.change(&request.message.sender, |account| {
            account.fixed = account.fixed.saturating_sub(open_bytes(&request.message));
            account.open = account.open.saturating_sub(1);
        });
    }
    pub(crate) fn held(&mut self, message: &Message) {
        self.change(&held_owner(message), |account| {
            account.held += held_bytes(message);
        });
    }
    pub(crate) fn released(&mut self, message: &Message) {
        self.change(&held_owner(message), |account| {
            account.held = account.held.saturating_sub(held_bytes(message));
        });
    }
    pub(crate) fn subscribed(&mut self, subscription: &DfSubscription) {
        self.fix(
            &subscription.subscriber,
            0,
            df_subscription_bytes(subscription),
        );
    }
    pub(crate) fn unsubscribed(&mut self, subscription: &DfSubscription) {
        self.fix(
            &subscription.subscriber,
            df_subscription_bytes(subscription),
            0,
        );
    }
    /// An agent's subscriptions or descriptor have changed.
    pub(crate) fn agent_changed(&mut self, name: &Arc<str>, before: u64, after: u64) {
        self.fix(name, before, after);
    }
}

impl State {
    /// Derives the ledger, and who may answer open requests, from all that is there: after the state
    /// was put together by other means than records.
    pub fn recount(&mut self) {
        self.recount_asked();
        self.ledger = Ledger::default();
        let mut lines = Vec::new();
        for (id, conversation) in &mut self.conversations {
            conversation.bytes = conversation.lines.iter().map(line_bytes).sum();
            lines.extend(conversation.lines.iter().map(|line| (id, line)));
        }
        lines.sort_by_key(|(_, line)| (line.at, line.key));
        for (id, line) in lines {
            let key = (Arc::clone(id), line.key);
            self.ledger.change(&line.sender, |account| {
                account.lines.add(key, line_bytes(line), |_| true);
            });
        }
        for key in &self.dead_order {
            if let Some(letter) = self.dead.get(key) {
                charge_letter(&mut self.ledger, letter, |_| true);
            }
        }
        for name in &self.posts_order {
            if let Some(seen) = self.posts.get(name) {
                self.ledger.change(&name.0, |account| {
                    account
                        .ids
                        .add(Arc::clone(&name.1), id_bytes(&name.1, seen), |_| true);
                });
            }
        }
        for (_, mail) in &self.held {
            self.ledger.held(&mail.message);
        }
        for request in self.open.values() {
            self.ledger.opened(request);
        }
        for subscription in &self.df_subscriptions {
            self.ledger.subscribed(subscription);
        }
        for agent in self.agents.values() {
            let name = agent.spec.name.as_shared();
            self.ledger.agent_changed(name, 0, agent_bytes(agent));
        }
    }

    /// Keeps mail that stands in nobody's mailbox, charged to its sender.
    pub(crate) fn hold(&mut self, to: AgentId, mail: Pending) {
        self.touch(Part::Held);
        self.ledger.held(&mail.message);
        self.held.push_back((to, mail));
    }

    /// Takes out one such mail.
    pub(crate) fn take_held(&mut self, key: MessageKey) {
        let at = self.held.iter().position(|(_, mail)| mail.key == key);
        if let Some((_, mail)) = at.and_then(|at| self.held.remove(at)) {
            self.touch(Part::Held);
            self.ledger.released(&mail.message);
        }
    }

    /// Puts a letter among the dead ones, charged to its owner.
    pub(crate) fn keep_letter(&mut self, letter: DeadLetter) {
        self.touch(Part::Dead(letter.key));
        if self.dead_order.len() > 2 * self.dead.len() + 32 {
            self.dead_order.retain(|key| self.dead.contains_key(key));
        }
        self.dead_order.push_back(letter.key);
        charge_letter(&mut self.ledger, &letter, |key| self.dead.contains_key(key));
        self.dead.insert(letter.key, letter);
    }

    pub(crate) fn drop_letter(&mut self, key: MessageKey) {
        self.touch(Part::Dead(key));
        if let Some(letter) = self.dead.remove(&key) {
            self.ledger.change(&letter_owner(&letter), |account| {
                account.letters.remove(letter_bytes(&letter));
                account.let_go(&letter.message);
            });
        }
    }

    /// An owner's oldest dead letters: as many as must go so that its account is at most `bytes`
    /// and it has at most `count` of them.
    #[must_use]
    pub fn oldest_letters(&self, owner: &str, bytes: u64, count: usize) -> Vec<MessageKey> {
        let Some(account) = self.ledger.account(owner) else {
            return Vec::new();
        };
        let (mut used, mut left) = (account.used(), account.letters.count);
        let mut gone: HashMap<usize, u32> = HashMap::new();
        let mut keys = Vec::new();
        for key in &account.letters.order {
            if used <= bytes && left <= count {
                break;
            }
            let Some(letter) = self.dead.get(key) else {
                continue;
            };
            let address = letter.message.address();
            let holders = gone.entry(address).or_default();
            *holders += 1;
            if Some(&*holders) == account.contents.get(&address) {
                used = used.saturating_sub(letter.message.memory_bytes());
            }
            used = used.saturating_sub(letter_bytes(letter));
            left -= 1;
            keys.push(*key);
        }
        keys
    }

    /// Adds a line to a conversation, charged to its sender, whose oldest lines go where it has too
    /// many. No other sender's do.
    pub(crate) fn keep_line(&mut self, id: &Arc<str>, line: ConversationLine) {
        let (sender, bytes, key) = (Arc::clone(&line.sender), line_bytes(&line), line.key);
        let conversation = self.conversations.entry(Arc::clone(id)).or_default();
        conversation.add(line, bytes);
        let conversations = &self.conversations;
        self.ledger.change(&sender, |account| {
            account
                .lines
                .add((Arc::clone(id), key), bytes, |(id, key)| {
                    let conversation = conversations.get(id);
                    conversation.is_some_and(|c| c.lines.iter().any(|line| line.key == *key))
                });
        });
        let share = LINE_BYTES_OF_ALL / self.ledger.speakers.max(1);
        self.drop_lines(&sender, share.min(LINE_BYTES_OF_ONE), 1);
    }

    /// Drops a sender's oldest lines until they take at most so many bytes; the newest `least` stay.
    ///
    /// Nothing is recorded for it: conversations are kept for people who look on.
    pub fn drop_lines(&mut self, sender: &Arc<str>, bytes: u64, least: usize) {
        let has_too_many = |ledger: &Ledger| {
            let account = ledger.account(sender);
            account.is_some_and(|a| a.lines.bytes > bytes && a.lines.count > least)
        };
        while has_too_many(&self.ledger) {
            let mut oldest = None;
            self.ledger
                .change(sender, |account| oldest = account.lines.order.pop_front());
            let Some((id, key)) = oldest else { return };
            self.drop_line(&id, key);
        }
    }

    fn drop_line(&mut self, id: &Arc<str>, key: MessageKey) {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        let Some(line) = conversation.take(key) else {
            return;
        };
        let bytes = line_bytes(&line);
        conversation.bytes = conversation.bytes.saturating_sub(bytes);
        let is_empty = conversation.lines.is_empty();
        self.touch(Part::Conversation(Arc::clone(id)));
        self.ledger
            .change(&line.sender, |account| account.lines.remove(bytes));
        if is_empty {
            self.conversations.remove(id);
        }
    }

    /// Takes back what the lines of a conversation cost that is forgotten.
    pub(crate) fn uncharge(&mut self, conversation: &Conversation) {
        for line in &conversation.lines {
            let bytes = line_bytes(line);
            self.ledger
                .change(&line.sender, |account| account.lines.remove(bytes));
        }
    }

    /// Charges a client for a message id; answers the ids that must be forgotten for it, its oldest.
    pub(crate) fn keep_id(&mut self, client: &Arc<str>, id: &Arc<str>, seen: PostSeen) {
        let bytes = id_bytes(id, &seen);
        let before = self
            .posts
            .insert((Arc::clone(client), Arc::clone(id)), seen);
        let posts = &self.posts;
        self.ledger.change(client, |account| {
            if let Some(before) = before {
                account.ids.remove(id_bytes(id, &before));
            }
            let is_there =
                |id: &Arc<str>| posts.contains_key(&(Arc::clone(client), Arc::clone(id)));
            account.ids.add(Arc::clone(id), bytes, is_there);
        });
    }

    /// Takes out a client's oldest id where its ids take too much.
    pub(crate) fn surplus_id(&mut self, client: &Arc<str>) -> Option<Arc<str>> {
        let account = self.ledger.account(client)?;
        if account.ids.bytes <= ID_BYTES_OF_ONE || account.ids.count <= 1 {
            return None;
        }
        let mut oldest = None;
        self.ledger
            .change(client, |account| oldest = account.ids.order.pop_front());
        oldest
    }

    pub(crate) fn drop_id(&mut self, client: &Arc<str>, id: &Arc<str>) -> Option<PostSeen> {
        let seen = self.posts.remove(&(Arc::clone(client), Arc::clone(id)))?;
        self.ledger
            .change(client, |account| account.ids.remove(id_bytes(id, &seen)));
        Some(seen)
    }
}

fn charge_letter(ledger: &mut Ledger, letter: &DeadLetter, is_there: impl Fn(&MessageKey) -> bool) {
    ledger.change(&letter_owner(letter), |account| {
        account
            .letters
            .add(letter.key, letter_bytes(letter), is_there);
        account.hold(&letter.message);
    });
}
