//! After a start: what the journal left, divided among the shards, and what it asks for at once.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use caxton_model::{
    AgentId, AgentStatus, DeadLetter, Destination, ErrorCode, MessageKey, PostSeen, REPLY_BY_MAX,
    SpentIds, State, destination_text, hashed_client, stable_hash,
};

use crate::{
    Directory, Kernel, Refusal,
    alarm::Alarm,
    awaited::Awaited,
    client_mail::not_asked,
    live::Live,
    live::Wish,
    mailbox::not_running,
    processors::SHARD_OF_PROCESSORS,
    route::{self, is_built_in},
    shard_of_client,
};

/// One shard's part of what was recovered.
#[derive(Debug, Default)]
pub struct ShardPart {
    /// What the shard knows.
    pub state: State,
    pub(crate) awaited: Awaited,
    /// Mail in mailboxes of clients that must be refused: client and key.
    pub(crate) forged: Vec<(Arc<str>, MessageKey)>,
}

/// Divides what was recovered among the shards: each part belongs to the shard that goes on with it.
#[must_use]
pub fn split(state: State, directory: &Directory) -> Vec<ShardPart> {
    let shards = directory.shards();
    let (awaited, forged) = Awaited::derive(&state);
    let asked = state.asked.clone();
    let parts = split_state(state, directory).into_iter();
    let mut parts: Vec<ShardPart> = parts
        .map(|state| ShardPart {
            state,
            ..ShardPart::default()
        })
        .collect();
    for part in &mut parts {
        // A part does not have all conversations that its requests stand in.
        let own = asked.iter();
        let own = own.filter(|(name, _)| part.state.open.contains_key(*name));
        part.state.asked = own
            .map(|(name, asked)| (name.clone(), asked.clone()))
            .collect();
    }
    let of_client = |name: &str| usize::from(shard_of_client(name, shards));
    for (client, key) in forged {
        if let Some(part) = parts.get_mut(of_client(&client)) {
            part.forged.push((client, key));
        }
    }
    awaited.split(of_client, &mut parts);
    parts
}

fn split_state(state: State, directory: &Directory) -> Vec<State> {
    let shards = directory.shards();
    let mut parts: Vec<State> = (0..shards).map(|_| State::default()).collect();
    let at = |shard: u16| usize::from(shard % shards);
    let agent_shard = |id: &AgentId| {
        let agent = state.agents.get(id);
        agent.map_or(0, |agent| directory.shard_of(&agent.spec))
    };
    let of = |to: &Destination| match to {
        Destination::Agent(id) => agent_shard(id),
        Destination::Client(name) => shard_of_client(name, shards),
        Destination::Dead { .. } => 0,
    };
    let names: BTreeMap<Arc<str>, u16> = state
        .agents
        .values()
        .map(|agent| (agent.spec.name.shared(), directory.shard_of(&agent.spec)))
        .collect();
    let by_name = |name: &Arc<str>| {
        let shard = names.get(name).copied();
        shard.unwrap_or_else(|| shard_of_client(name, shards))
    };
    for (name, request) in &state.open {
        if let Some(part) = parts.get_mut(at(of(&request.asker))) {
            part.open.insert(name.clone(), request.clone());
        }
    }
    for subscription in &state.df_subscriptions {
        if let Some(part) = parts.get_mut(at(by_name(&subscription.subscriber))) {
            part.df_subscriptions.push(subscription.clone());
        }
    }
    for (id, agent) in &state.agents {
        if let Some(part) = parts.get_mut(at(agent_shard(id))) {
            part.agents.insert(*id, agent.clone());
            part.take_beside(*id, &state);
        }
    }
    split_processors(&state, &mut parts);
    for (name, client) in state.clients {
        if let Some(part) = parts.get_mut(at(shard_of_client(&name, shards))) {
            part.clients.insert(name, client);
        }
    }
    split_letters(state.dead_order, &state.dead, &mut parts);
    split_posts(state.posts_order, &state.posts, &mut parts);
    split_spent(&state.spent, &mut parts);
    for (id, conversation) in state.conversations {
        let shard = u16::try_from(stable_hash(id.as_bytes()) % u64::from(shards)).unwrap_or(0);
        if let Some(part) = parts.get_mut(at(shard)) {
            part.conversations.insert(id, conversation);
        }
    }
    for (id, mail) in state.held {
        let shard = if is_built_in(id) {
            by_name(&mail.message.sender)
        } else {
            mail.key.shard
        };
        if let Some(part) = parts.get_mut(at(shard)) {
            part.held.push_back((id, mail));
        }
    }
    for part in &mut parts {
        part.seqs.clone_from(&state.seqs);
        part.recount();
    }
    parts
}

/// All processors are the first shard's.
fn split_processors(state: &State, parts: &mut [State]) {
    if let Some(part) = parts.get_mut(usize::from(SHARD_OF_PROCESSORS)) {
        part.processors.clone_from(&state.processors);
        for spec in state.processors.values() {
            part.take_beside(spec.id, state);
        }
    }
}

/// Each dead letter goes to the shard that wrote it.
fn split_letters(
    order: VecDeque<MessageKey>,
    letters: &BTreeMap<MessageKey, DeadLetter>,
    parts: &mut [State],
) {
    let shards = parts.len().max(1);
    for key in order {
        if let Some(letter) = letters.get(&key)
            && let Some(part) = parts.get_mut(usize::from(key.shard) % shards)
        {
            part.dead_order.push_back(key);
            part.dead.insert(key, letter.clone());
        }
    }
}

/// Each message id goes to its client's shard.
fn split_posts(
    order: VecDeque<(Arc<str>, Arc<str>)>,
    posts: &HashMap<(Arc<str>, Arc<str>), PostSeen>,
    parts: &mut [State],
) {
    let shards = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    for name in order {
        if let Some(seen) = posts.get(&name)
            && let Some(part) = parts.get_mut(usize::from(shard_of_client(&name.0, shards)))
        {
            part.posts_order.push_back(name.clone());
            part.posts.insert(name, seen.clone());
        }
    }
}

/// Each spent id goes to its client's shard.
fn split_spent(spent: &SpentIds, parts: &mut [State]) {
    for block in spent.blocks.values() {
        for hash in &block.hashes {
            let at = usize::from(hashed_client(*hash)) % parts.len().max(1);
            if let Some(part) = parts.get_mut(at) {
                part.spent.keep(*hash, block.last);
            }
        }
    }
    for part in parts {
        part.spent.until = spent.until;
        part.spent.build_index();
    }
}

impl Kernel {
    /// Enters what was recovered into the directory and sets its alarms. Starts nothing.
    pub(crate) fn enter_all(&mut self) {
        let mut ids: Vec<AgentId> = self.state.agents.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if let Some(agent) = self.state.agents.get(&id) {
                let live = Live::new(&agent.spec, agent.status, self.now);
                self.live.insert(id, live);
            }
            self.list(id);
            self.measure(id);
            self.watch_timers(id);
        }
        self.enter_clients();
        for subscription in &self.state.df_subscriptions {
            self.told.enter(subscription);
        }
        self.directory
            .count_subscribers(0, self.state.df_subscriptions.len());
        for ((asker, reply_with), request) in &self.state.open {
            let alarm = Alarm::ReplyBy(Arc::clone(asker), Arc::clone(reply_with));
            self.alarms.set(alarm, request.reply_by);
        }
        let clients: Vec<Arc<str>> = self.state.clients.keys().cloned().collect();
        for client in clients {
            self.watch_replies(&client);
        }
    }

    /// Remembers the clients that wrote lately, so that timers and late turns can answer them.
    fn enter_clients(&self) {
        for client in self.state.clients.keys() {
            self.directory.know_client(client, self.now);
        }
        for conversation in self.state.conversations.values() {
            for line in &conversation.lines {
                let name = &line.sender;
                let is_client = route::may_be_client(name) && !self.directory.has_name(name);
                if is_client {
                    self.directory.know_client(name, line.at);
                }
            }
        }
    }

    /// The first step: goes on where the last process was.
    pub(crate) fn recover(&mut self) {
        let now = self.now;
        let mut ids: Vec<AgentId> = self.live.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(agent) = self.state.agents.get(&id) else {
                continue;
            };
            let (status, waiting) = (agent.status, !agent.mailbox.is_empty());
            let Some(live) = self.live.get_mut(&id) else {
                continue;
            };
            live.idle_since = now;
            live.bucket.at = now;
            match status {
                AgentStatus::Draining => {
                    let drain = true;
                    let tickets = Vec::new();
                    live.wish = Some(Wish::Stop { tickets, drain });
                    self.ready.push_back(id);
                }
                AgentStatus::Restarting => {
                    live.must_init = true;
                    self.ready.push_back(id);
                }
                AgentStatus::Running if self.state.migrating.contains_key(&id) => {
                    live.must_init = true;
                    self.ready.push_back(id);
                }
                AgentStatus::Failed if waiting => {
                    let name = self.name_of(id);
                    self.refuse_all(id, &not_running(&name, status));
                }
                _ if waiting => self.ready.push_back(id),
                _ => {}
            }
        }
        self.answer_held();
        self.go_on_waiting();
        for ((asker, reply_with), request) in &self.state.open {
            let alarm = Alarm::ReplyBy(Arc::clone(asker), Arc::clone(reply_with));
            let due = self.moment_of(request.reply_by);
            let due = due.min(now.after(REPLY_BY_MAX));
            self.alarms.set_by(alarm, due);
        }
        // Changes that nobody could be told of any more.
        self.told.note_anything();
        self.watch_conversations();
    }

    /// Goes on with what clients wait for, and refuses mail that was forged.
    fn go_on_waiting(&mut self) {
        self.awaited.expire(self.now);
        for ((client, name), request) in &self.state.open {
            let asked = self
                .state
                .asked
                .get(&(Arc::clone(client), Arc::clone(name)));
            if let (Destination::Client(_), Some(asked)) = (&request.asker, asked)
                && !self.awaited.knows(client, name)
            {
                let asked = asked.clone();
                self.awaited.note(self.now, &request.message, asked, None);
            }
        }
        for (client, key) in std::mem::take(&mut self.forged) {
            let mailbox = self.state.clients.get(&client);
            let mail = mailbox.and_then(|m| m.replies().iter().find(|mail| mail.key == key));
            if let Some(mail) = mail.cloned() {
                self.refuse_mail(&client, mail, &not_asked(&client));
            }
        }
    }

    /// Mail that stood in nobody's mailbox when the last process ended.
    fn answer_held(&mut self) {
        for (id, mail) in self.state.held.clone() {
            if is_built_in(id) {
                self.built_in(id, mail.key, &mail.message, true);
            } else {
                let name = destination_text(&Destination::Agent(id));
                let text = format!("agent {name} was removed before the message arrived");
                let refusal = Refusal::new(ErrorCode::Undeliverable, text);
                self.refuse(id, mail.key, &mail.message, &refusal, true);
            }
        }
    }
}
