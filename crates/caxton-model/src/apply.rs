//! How a record changes what a node knows.
//!
//! One `apply` serves the running kernel, the recovery after a crash and the checkpoint, so that
//! what is recovered is what was, by construction.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::{
    AgentId, AgentSpec, AgentState, Capabilities, DeadLetter, Delivery, Destination,
    DfSubscription, Durability, Entry, InputRef, Message, MessageKey, OpenRequest, Part, Pending,
    PostSeen, REPLY_BY_MAX, RawJson, Record, Sent, State, Timestamp,
    charges::agent_bytes,
    destination_text,
    message::SHARED_CONTENT_BYTES,
    planted::{Planted, is_planted},
};

impl State {
    /// An empty state that notes what changes.
    #[must_use]
    pub fn tracked() -> Self {
        Self {
            touched: Some(BTreeSet::new()),
            ..Self::default()
        }
    }

    pub(crate) fn touch(&mut self, part: Part) {
        if let Some(touched) = &mut self.touched {
            touched.insert(part);
        }
    }

    /// Applies a record to the whole node's state: its own changes, then its deliveries.
    ///
    /// Mail to agents that keep nothing is passed over: no record will ever take it out again.
    pub fn replay(&mut self, entry: &Entry) {
        self.write_rows(entry.record.rows());
        for delivery in self.apply(entry, true) {
            if self.keeps_nothing(&delivery.to) {
                self.close_request(&delivery.to, &delivery.message);
            } else {
                self.deliver(delivery);
            }
        }
    }

    fn keeps_nothing(&self, to: &Destination) -> bool {
        match to {
            Destination::Agent(id) => self
                .agents
                .get(id)
                .is_some_and(|agent| agent.spec.durability == Durability::Memory),
            Destination::Client(_) | Destination::Dead { .. } => false,
        }
    }

    /// Applies a record to what its shard owns and answers what it delivers, in order.
    ///
    /// `journalled`: whether the record is in the journal; noted in the deliveries.
    pub fn apply(&mut self, entry: &Entry, journalled: bool) -> Vec<Delivery> {
        self.note_seq(entry.shard, entry.seq);
        let mut deliveries = Vec::with_capacity(entry.record.sent().len());
        match &entry.record {
            Record::NodeStarted { .. } | Record::InstanceStarted { .. } => {}
            Record::Deployed { spec } => self.enter_agent(spec),
            Record::Updated { spec, rollback } => {
                self.touch(Part::Agent(spec.id));
                if let Some(agent) = self.agents.get_mut(&spec.id) {
                    let before = std::mem::replace(&mut agent.spec, Arc::clone(spec));
                    agent.previous = (!rollback).then(|| Arc::clone(&before));
                    self.must_migrate(before, spec);
                }
            }
            Record::Removed { agent, .. } => self.remove_agent(*agent),
            Record::StatusChanged {
                agent,
                status,
                reason,
            } => {
                self.touch(Part::Agent(*agent));
                if let Some(agent) = self.agents.get_mut(agent) {
                    agent.status = *status;
                    agent.status_reason.clone_from(reason);
                }
            }
            Record::Posted {
                client,
                message_id,
                sent,
            } => {
                if let (Some(id), Some(first)) = (message_id, sent.first()) {
                    let key = MessageKey {
                        shard: entry.shard,
                        seq: entry.seq,
                        index: 0,
                    };
                    let durable = journalled && !first.to.iter().any(|to| self.keeps_nothing(to));
                    let seen = PostSeen {
                        at: entry.at,
                        key,
                        message: first.message.for_retry(),
                        durable,
                    };
                    self.remember_post(client, id, seen);
                }
            }
            Record::Turn(turn) => self.apply_turn(entry.at, turn),
            Record::Accepted {
                deliveries: accepted,
            } => {
                for (agent, key, message) in accepted {
                    // The sender's own records are not in the journal: its numbers must not be
                    // given again while its messages live.
                    self.note_seq(key.shard, key.seq);
                    deliveries.push(Delivery {
                        key: *key,
                        to: Destination::Agent(*agent),
                        message: message.clone(),
                        at: entry.at,
                        journalled,
                    });
                }
            }
            Record::Refused { agent, key, .. } => {
                self.end_accesses(*agent, &InputRef::Message(*key));
                self.take_mail(*agent, *key);
            }
            Record::DeadLettersTaken { keys, .. } => {
                for key in keys {
                    self.drop_letter(*key);
                }
            }
            Record::RepliesDropped { client, keys } => {
                self.touch(Part::Client(Arc::clone(client)));
                if let Some(state) = self.clients.get_mut(client) {
                    state.take(keys);
                    if state.replies().is_empty() {
                        self.clients.remove(client);
                    }
                }
            }
            Record::Directory {
                request,
                capabilities,
                subscribed,
                cancelled,
                ..
            } => {
                self.take_held(*request);
                for (agent, descriptor) in capabilities {
                    self.set_capabilities(*agent, descriptor.clone());
                }
                self.set_subscriptions(subscribed, cancelled);
            }
            Record::HostSent { .. } | Record::RowsWritten { .. } => {}
            Record::GrantsChanged { agent, rules } => self.set_granted(*agent, rules),
            Record::Intent(intent) => self.apply_intent(entry.at, intent),
            Record::Outcome {
                agent,
                number,
                outcome,
            } => self.apply_outcome(*agent, *number, outcome),
            Record::ProcessorDeployed { spec } => self.set_processor(spec),
            Record::ProcessorRemoved { name } => self.remove_processor(name),
        }
        self.apply_sent(entry, journalled, &mut deliveries);
        deliveries
    }

    /// Enters an agent. Another shard may have seen it in the directory, and its record may have
    /// come before this one: that mail was held.
    fn enter_agent(&mut self, spec: &Arc<AgentSpec>) {
        let id = spec.id;
        self.touch(Part::Agent(id));
        let mut agent = AgentState::new(Arc::clone(spec));
        if self.held.iter().any(|(to, _)| *to == id) {
            self.touch(Part::Held);
            let (own, others) = self.held.drain(..).partition(|(to, _)| *to == id);
            self.held = others;
            let own: VecDeque<(AgentId, Pending)> = own;
            for (_, mail) in &own {
                self.ledger.released(&mail.message);
            }
            if spec.durability == Durability::Durable {
                agent.mailbox_bytes = own.iter().map(|(_, mail)| mail.message.bytes()).sum();
                agent.mailbox = own.into_iter().map(|(_, mail)| mail).collect();
            }
        }
        self.agents.insert(id, agent);
    }

    /// Notes that an agent's `migrate` is to run, from the version whose state is there; not where
    /// that version has come back.
    fn must_migrate(&mut self, before: Arc<AgentSpec>, now: &AgentSpec) {
        let from = self.migrating.remove(&now.id).unwrap_or(before);
        self.touch(Part::Migrating(now.id));
        if from.version != now.version {
            self.migrating.insert(now.id, from);
        }
    }

    pub(crate) fn migrated(&mut self, id: AgentId) {
        if self.migrating.remove(&id).is_some() {
            self.touch(Part::Migrating(id));
        }
    }

    /// Takes an agent out. Mail that is still there came after whoever decided this looked: it is
    /// held until a record answers it.
    fn remove_agent(&mut self, id: AgentId) {
        self.touch(Part::Agent(id));
        let Some(agent) = self.agents.remove(&id) else {
            return;
        };
        let own = agent.spec.name.as_shared();
        self.ledger.agent_changed(own, agent_bytes(&agent), 0);
        self.ledger.set_metrics(own, 0);
        self.migrated(id);
        self.drop_rights(id);
        if agent.spec.durability == Durability::Durable {
            for mail in agent.mailbox {
                self.hold(id, mail);
            }
        }
        let asker = Destination::Agent(id);
        let gone: Vec<_> = self
            .open
            .iter()
            .filter(|(_, request)| request.asker == asker)
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.forget_request(name);
        }
        let name = agent.spec.name.as_str();
        if self.df_subscriptions.iter().any(|s| &*s.subscriber == name) {
            self.drop_subscriptions(|s| &*s.subscriber == name);
        }
    }

    /// Enters subscriptions to changes of the directory, in place of the same ones, and ends others.
    fn set_subscriptions(
        &mut self,
        subscribed: &[DfSubscription],
        cancelled: &[(Arc<str>, Arc<str>)],
    ) {
        let gone = |s: &DfSubscription| {
            let same = |who: &Arc<str>, conversation: &Arc<str>| {
                *who == s.subscriber && *conversation == s.conversation
            };
            cancelled.iter().any(|(who, c)| same(who, c))
                || subscribed
                    .iter()
                    .any(|new| same(&new.subscriber, &new.conversation))
        };
        if !(subscribed.is_empty() && cancelled.is_empty()) {
            self.drop_subscriptions(gone);
            for subscription in subscribed {
                self.touch(subscription_part(subscription));
                self.ledger.subscribed(subscription);
                self.df_subscriptions.push(subscription.clone());
            }
        }
    }

    /// Has all of the directory's subscriptions written to the next checkpoint, each by itself, in
    /// place of the one part that older programs wrote.
    pub fn rewrite_subscriptions(&mut self) {
        self.touch(Part::DfSubscriptions);
        let parts: Vec<Part> = self
            .df_subscriptions
            .iter()
            .map(subscription_part)
            .collect();
        parts.into_iter().for_each(|part| self.touch(part));
    }

    fn drop_subscriptions(&mut self, gone: impl Fn(&DfSubscription) -> bool) {
        let (ledger, touched) = (&mut self.ledger, &mut self.touched);
        self.df_subscriptions.retain(|subscription| {
            let goes = gone(subscription);
            if goes {
                ledger.unsubscribed(subscription);
                if let Some(touched) = touched {
                    touched.insert(subscription_part(subscription));
                }
            }
            !goes
        });
    }

    /// Sets or takes away what an agent has registered.
    pub fn set_capabilities(&mut self, agent: AgentId, descriptor: Option<Arc<Capabilities>>) {
        self.touch(Part::Agent(agent));
        if let Some(agent) = self.agents.get_mut(&agent) {
            let before = agent_bytes(agent);
            agent.capabilities = descriptor;
            let name = agent.spec.name.as_shared();
            self.ledger.agent_changed(name, before, agent_bytes(agent));
        }
    }

    /// The sender's side of everything sent: conversations, open requests, dead letters.
    fn apply_sent(&mut self, entry: &Entry, journalled: bool, deliveries: &mut Vec<Delivery>) {
        let asker = match &entry.record {
            Record::Turn(turn) => Some(Destination::Agent(turn.agent)),
            Record::Posted { client, .. } => Some(Destination::Client(Arc::clone(client))),
            _ => None,
        };
        let mut index = 0_u32;
        for sent in entry.record.sent() {
            if let Some(asker) = asker.as_ref().filter(|_| sent.is_on_its_way()) {
                self.open_request(asker, sent, entry.at);
            }
            let first = MessageKey {
                shard: entry.shard,
                seq: entry.seq,
                index,
            };
            self.note_conversation(entry.at, first, sent);
            for to in &sent.to {
                let key = MessageKey {
                    shard: entry.shard,
                    seq: entry.seq,
                    index,
                };
                index = index.saturating_add(1);
                match to {
                    Destination::Dead {
                        intended,
                        code,
                        reason,
                    } => self.bury(DeadLetter {
                        key,
                        intended: Arc::clone(intended),
                        code: *code,
                        reason: reason.clone(),
                        message: sent.message.clone(),
                        at: entry.at,
                    }),
                    to => deliveries.push(Delivery {
                        key,
                        to: to.clone(),
                        message: sent.message.clone(),
                        at: entry.at,
                        journalled,
                    }),
                }
            }
        }
    }

    /// Puts a letter among the dead ones.
    fn bury(&mut self, letter: DeadLetter) {
        if !is_planted(Planted::LoseDeadLetter) {
            self.keep_letter(letter);
        }
    }

    /// The receiver's side: puts a message into its mailbox. What is for the host's own agents, or
    /// for an agent that is gone, is held.
    pub fn deliver(&mut self, delivery: Delivery) {
        let Delivery {
            key,
            to,
            message,
            at,
            ..
        } = delivery;
        self.close_request(&to, &message);
        let mail = Pending {
            key,
            message,
            at,
            attempts: 0,
        };
        match to {
            Destination::Agent(id) => {
                if let Some(agent) = self.agents.get_mut(&id) {
                    agent.mailbox_bytes += mail.message.bytes();
                    if agent.mailbox.is_empty() {
                        // Most mailboxes never hold more than one: no room for four.
                        agent.mailbox.reserve_exact(1);
                    }
                    agent.mailbox.push_back(mail);
                    self.touch(Part::Agent(id));
                } else {
                    self.hold(id, mail);
                }
            }
            Destination::Client(name) => {
                self.touch(Part::Client(Arc::clone(&name)));
                let client = self.clients.entry(name).or_default();
                client.put(mail);
            }
            Destination::Dead { .. } => {}
        }
    }

    /// Notes that an asker waits for an answer until a certain time, but no longer than is watched.
    fn open_request(&mut self, asker: &Destination, sent: &Sent, at: Timestamp) {
        let message = &sent.message;
        let (Some(reply_by), Some(reply_with)) = (message.reply_by, &message.reply_with) else {
            return;
        };
        if message.performative.concludes() {
            return;
        }
        let name = (destination_text(asker), Arc::clone(reply_with));
        self.touch(Part::Open(Arc::clone(&name.0), Arc::clone(&name.1)));
        let request = OpenRequest {
            asker: asker.clone(),
            message: watched(message),
            reply_by: reply_by.min(at.after(REPLY_BY_MAX)),
        };
        self.ledger.opened(&request);
        let asked = self.asked_of(message, &sent.to);
        self.asked.insert(name.clone(), asked);
        if let Some(before) = self.open.insert(name, request) {
            self.ledger.closed(&before);
        }
    }

    /// Closes the request that a message answers, if its sender was asked.
    fn close_request(&mut self, to: &Destination, message: &Message) {
        let Some(in_reply_to) = &message.in_reply_to else {
            return;
        };
        if self.open.is_empty() || !message.performative.concludes() {
            return;
        }
        let name = (destination_text(to), Arc::clone(in_reply_to));
        let asked = self.asked.get(&name);
        if asked.is_none_or(|asked| asked.may_answer(&message.sender)) {
            self.forget_request(name);
        }
    }

    fn forget_request(&mut self, name: (Arc<str>, Arc<str>)) {
        self.asked.remove(&name);
        if let Some(request) = self.open.remove(&name) {
            self.ledger.closed(&request);
            self.touch(Part::Open(name.0, name.1));
        }
    }

    fn take_mail(&mut self, agent: AgentId, key: MessageKey) {
        self.touch(Part::Agent(agent));
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.take_mail(key);
        }
        self.take_held(key);
    }

    /// After a crash: agents that keep nothing start afresh.
    pub fn forget_memory_agents(&mut self) {
        let keeps = |id: &AgentId| {
            let agent = self.agents.get(id);
            agent.is_some_and(|agent| agent.spec.durability == Durability::Durable)
        };
        self.migrating.retain(|id, _| keeps(id));
        for agent in self.agents.values_mut() {
            if agent.spec.durability == Durability::Memory {
                let status = agent.status;
                let (turns, previous) = (agent.turns, agent.previous.take());
                let reason = std::mem::take(&mut agent.status_reason);
                *agent = AgentState::new(Arc::clone(&agent.spec));
                (agent.status, agent.status_reason) = (status, reason);
                (agent.turns, agent.previous) = (turns, previous);
            }
        }
    }
}

fn subscription_part(subscription: &DfSubscription) -> Part {
    let (subscriber, conversation) = (&subscription.subscriber, &subscription.conversation);
    Part::DfSubscription(Arc::clone(subscriber), Arc::clone(conversation))
}

/// What of a request is kept until it is answered: long content is not needed to say that nobody did.
fn watched(message: &Message) -> Message {
    if message.content.as_str().len() < SHARED_CONTENT_BYTES {
        return message.clone();
    }
    without_content(message)
}

/// The names of a message, for an answer to a retry.
pub(crate) fn without_content(message: &Message) -> Message {
    crate::Fields {
        content: RawJson::default(),
        encoding: None,
        extra: Vec::new(),
        ..message.fields().clone()
    }
    .seal()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, EngineProfile, Fields, Grants, Kind, Limits, Performative, Supervision};

    fn entry(shard: u16, seq: u64, record: Record) -> Entry {
        Entry {
            shard,
            seq,
            at: Timestamp(1),
            record,
        }
    }

    fn spec(durability: Durability) -> Arc<AgentSpec> {
        Arc::new(AgentSpec {
            id: AgentId(9),
            name: "a".parse().unwrap(),
            module: Digest::of(b"m"),
            version: "1".into(),
            durability,
            supervision: Supervision::default(),
            limits: Limits::for_kind(Kind::Agent),
            grants: Grants::default(),
            requested: None,
            profile: EngineProfile::default(),
            declared: Vec::new(),
            config: Vec::new(),
            passivate_after_micros: None,
            deployed_at: Timestamp(0),
        })
    }

    fn post(seq: u64) -> Entry {
        let fields = Fields::new(Performative::Request, "c", "a", &serde_json::json!(1));
        let sent = vec![Sent {
            message: fields.seal(),
            to: vec![Destination::Agent(AgentId(9))],
        }];
        let (client, message_id) = (Arc::from("c"), None);
        entry(
            1,
            seq,
            Record::Posted {
                client,
                message_id,
                sent,
            },
        )
    }

    #[test]
    fn mail_recorded_before_its_receivers_deploy_is_delivered_by_it() {
        let deployed = |durability| {
            let spec = spec(durability);
            entry(0, 1, Record::Deployed { spec })
        };
        let mut state = State::default();
        state.replay(&post(1));
        assert_eq!(state.held.len(), 1);
        state.replay(&deployed(Durability::Durable));
        let agent = &state.agents[&AgentId(9)];
        assert_eq!((state.held.len(), agent.mailbox.len()), (0, 1));
        assert_eq!(agent.mailbox_bytes, agent.mailbox[0].message.bytes());

        let mut state = State::default();
        state.replay(&post(1));
        state.replay(&deployed(Durability::Memory));
        assert!(state.held.is_empty() && state.agents[&AgentId(9)].mailbox.is_empty());
    }

    #[test]
    fn mail_that_came_after_its_receiver_went_is_held() {
        let spec = spec(Durability::Durable);
        let (agent, sent) = (spec.id, Vec::new());
        let mut state = State::tracked();
        state.replay(&entry(0, 1, Record::Deployed { spec }));
        state.replay(&post(1));
        state.replay(&entry(0, 2, Record::Removed { agent, sent }));
        state.replay(&post(2));
        assert_eq!((state.agents.len(), state.held.len()), (0, 2));
        assert!(state.touched.unwrap().contains(&Part::Held));
    }

    #[test]
    fn held_mail_is_charged_to_its_sender_until_a_record_answers_it() {
        let deployed = entry(
            0,
            1,
            Record::Deployed {
                spec: spec(Durability::Durable),
            },
        );
        let mut state = State::default();
        let used = |state: &State| {
            state
                .ledger
                .account("c")
                .map_or(0, |c| c.used() - c.line_bytes())
        };
        let counted = |state: &State| {
            let mut counted = state.clone();
            counted.recount();
            used(&counted)
        };
        state.replay(&post(1));
        let one = used(&state);
        assert!(one >= state.held[0].1.message.memory_bytes());
        state.replay(&post(2));
        assert_eq!((used(&state), counted(&state)), (2 * one, 2 * one));
        // One is answered, the other is its receiver's now.
        let (agent, key) = (AgentId(9), state.held[0].1.key);
        state.replay(&entry(
            0,
            1,
            Record::Refused {
                agent,
                key,
                sent: Vec::new(),
            },
        ));
        assert_eq!((used(&state), counted(&state)), (one, one));
        state.replay(&deployed);
        assert_eq!((used(&state), counted(&state)), (0, 0));
        let sent = Vec::new();
        state.replay(&entry(0, 2, Record::Removed { agent, sent }));
        assert_eq!((used(&state), counted(&state)), (one, one));
    }
}
