//! One shard's kernel: its parts, one step, and how a decision becomes a record.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use caxton_model::{
    AgentId, ById, Capabilities, Delivery, Destination, Durability, Entry, Message, MessageKey,
    Record, Sent, State, Timestamp,
    planted::{Planted, is_planted},
};

use crate::{
    Directory, Effect, Event, Listing, NodeEvent,
    alarm::{Alarm, Alarms},
    awaited::Awaited,
    built_in::told::Told,
    client_work::ClientWork,
    deploy::Deploying,
    live::Live,
    offered::Offered,
    recovery::ShardPart,
    route::is_built_in,
    shard_of_client,
    work::Work,
};

/// What the kernel is told once.
#[derive(Debug, Clone)]
pub struct KernelOptions {
    /// Which shard this is.
    pub shard: u16,
    /// Whether there is a journal; without one every acknowledgement says `memory`.
    pub journal: bool,
    /// Seeds the seeds of turns.
    pub seed: u64,
}

/// One shard's agents, mailboxes, timers and supervision.
#[derive(Debug)]
pub struct Kernel {
    pub(crate) options: KernelOptions,
    /// Behind a count of its own: turns hold it, and what threads count together is slow.
    pub(crate) directory: Arc<Directory>,
    pub(crate) state: State,
    pub(crate) live: ById<Live>,
    pub(crate) deploying: BTreeMap<AgentId, Deploying>,
    pub(crate) alarms: Alarms,
    pub(crate) now: Timestamp,
    /// Wall clock less `now`. Unit: microseconds.
    wall_ahead: i64,
    pub(crate) quiesced: bool,
    recovered: bool,
    /// Deliveries to this shard, recorded, not yet looked at.
    pub(crate) inbox: VecDeque<Delivery>,
    /// Agents that may have something to do.
    pub(crate) ready: VecDeque<AgentId>,
    /// Who is to be told of changes in the directory.
    pub(crate) told: Told,
    /// What outside clients wait for.
    pub(crate) awaited: Awaited,
    /// Mail that was found in mailboxes of clients at the start and must be refused: client and key.
    pub(crate) forged: Vec<(Arc<str>, MessageKey)>,
    /// What was looked at on guests' and clients' behalf.
    pub(crate) work: Work,
    /// What outside clients have left of what may be looked at for them.
    pub(crate) client_work: ClientWork,
    pub(crate) effects: Vec<Effect>,
}

impl Kernel {
    /// A kernel over its shard's part of what was recovered: [`crate::split`] makes it.
    ///
    /// Enters its agents into the directory. All shards' kernels must be made before the first
    /// step of any, so that none takes another's agents for gone.
    #[must_use]
    pub fn new(options: KernelOptions, directory: Directory, part: ShardPart) -> Self {
        let mut kernel = Self {
            options,
            directory: Arc::new(directory),
            state: part.state,
            live: ById::default(),
            deploying: BTreeMap::new(),
            alarms: Alarms::default(),
            now: Timestamp::default(),
            wall_ahead: 0,
            quiesced: false,
            recovered: false,
            inbox: VecDeque::new(),
            ready: VecDeque::new(),
            told: Told::default(),
            awaited: part.awaited,
            forged: part.forged,
            work: Work::default(),
            client_work: ClientWork::default(),
            effects: Vec::new(),
        };
        kernel.enter_all();
        kernel.state.ledger.start_noting();
        kernel
    }

    /// Says how far the wall clock is ahead of the time that [`Self::step`] is given. It is 0 at
    /// first and changes when the wall clock is set. Unit: microseconds.
    pub const fn set_wall_ahead(&mut self, micros: i64) {
        self.wall_ahead = micros;
    }

    /// The wall-clock time of a moment.
    pub(crate) const fn to_wall(&self, at: Timestamp) -> Timestamp {
        Timestamp(at.0.saturating_add(self.wall_ahead))
    }

    /// The moment at which the wall clock will have this time, if nobody sets it before.
    pub(crate) const fn moment_of(&self, wall: Timestamp) -> Timestamp {
        Timestamp(wall.0.saturating_sub(self.wall_ahead))
    }

    /// Applies one event. `now` never goes back and is not moved by steps of the wall clock.
    /// Same state, same `now`, same event: same effects.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        if !self.recovered {
            self.recovered = true;
            self.recover();
        }
        self.decide(event);
        self.settle();
        effects.append(&mut self.effects);
    }

    fn decide(&mut self, event: Event) {
        match event {
            Event::Tick => self.ring_alarms(),
            Event::Deploy {
                ticket,
                spec,
                granted,
            } => self.deploy(ticket, spec, granted),
            Event::ChangeGrants {
                ticket,
                agent,
                grant,
                revoke,
            } => self.change_grants(ticket, agent, grant, &revoke),
            Event::DeployProcessor {
                ticket,
                spec,
                granted,
            } => self.deploy_processor(ticket, spec, granted),
            Event::RemoveProcessor { ticket, name } => self.remove_processor(ticket, name),
            Event::Update { ticket, spec } => self.update(ticket, spec),
            Event::Rollback { ticket, agent } => self.rollback(ticket, agent),
            Event::Stop {
                ticket,
                agent,
                drain,
                grace,
            } => self.stop(ticket, agent, drain, grace),
            Event::Start { ticket, agent } => self.start(ticket, agent),
            Event::Remove { ticket, agent } => self.remove(ticket, agent),
            Event::Passivate { agent } => self.passivate(agent),
            Event::Register {
                ticket,
                agent,
                capabilities,
            } => self.register(ticket, agent, capabilities),
            Event::Post { ticket, post } => self.post(ticket, post, None),
            Event::PostAndWait { ticket, post, wait } => self.post(ticket, post, Some(wait)),
            Event::Delivered(deliveries) => self.receive(deliveries),
            Event::TurnEnded(end) => self.turn_ended(*end),
            Event::AccessAsked(asked) => self.access_asked(*asked),
            Event::AccessEnded {
                agent,
                turn,
                number,
                outcome,
            } => self.access_ended(agent, turn, number, outcome),
            Event::TakeDeadLetters {
                ticket,
                keys,
                resend,
            } => self.take_dead_letters(ticket, &keys, resend.as_ref()),
            Event::DropReplies { client, keys } => self.drop_replies(&client, keys),
            Event::DirectoryChanged { services } => self.told.note(services),
            Event::TrimHostBytes => self.trim_host_bytes(),
            Event::Quiesce => self.quiesce(),
        }
    }

    /// No more turns: whatever needs one is left off.
    fn quiesce(&mut self) {
        self.quiesced = true;
        let mut ids: Vec<AgentId> = self.live.keys().copied().collect();
        ids.sort_unstable();
        self.ready.extend(ids);
    }

    /// Works off what the decision led to, until nothing is left.
    fn settle(&mut self) {
        loop {
            if let Some(owner) = self.state.ledger.take_noted() {
                self.look_at_account(&owner);
            } else if let Some(delivery) = self.inbox.pop_front() {
                self.accept(delivery);
            } else if let Some(agent) = self.ready.pop_front() {
                self.advance(agent);
            } else if self.told.is_due(self.now) {
                self.tell_subscribers();
            } else {
                break;
            }
        }
        if let Some(due) = self.told.next_round() {
            self.alarms.set(Alarm::Subscribers, due);
        }
    }

    /// When [`Event::Tick`] is due next, if anything waits for time.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.alarms.next()
    }
    /// What this shard knows.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The number the next record gets.
    pub(crate) fn next_seq(&self) -> u64 {
        let last = self.state.seqs.get(&self.options.shard).copied();
        last.unwrap_or(0).saturating_add(1)
    }

    /// Makes a decision true: applies it, journals it if it must survive, sends what it says.
    ///
    /// Answers the name of its first delivery.
    pub(crate) fn commit(&mut self, record: Record, durable: bool) -> MessageKey {
        let journalled = durable && self.options.journal;
        let entry = Arc::new(Entry {
            shard: self.options.shard,
            seq: self.next_seq(),
            at: self.now,
            record,
        });
        let first = MessageKey {
            shard: entry.shard,
            seq: entry.seq,
            index: 0,
        };
        if let Record::Directory {
            subscribed,
            cancelled,
            ..
        } = &entry.record
        {
            cancelled.iter().for_each(|name| self.told.leave(name));
            subscribed.iter().for_each(|new| self.told.enter(new));
        }
        let mut deliveries = self.state.apply(&entry, journalled);
        self.watch_requests(&entry.record);
        if is_planted(Planted::DeliverEarly) {
            self.dispatch(std::mem::take(&mut deliveries));
        }
        if journalled {
            self.effects.push(Effect::Journal(Arc::clone(&entry)));
        }
        if !entry.record.rows().is_empty() {
            self.effects.push(Effect::WriteRows(Arc::clone(&entry)));
        }
        self.publish_sent(first, entry.record.sent());
        self.watch_conversations();
        self.dispatch(deliveries);
        first
    }

    fn publish_sent(&mut self, first: MessageKey, sent: &[Sent]) {
        let mut index = 0_u32;
        for one in sent {
            let mut deliveries = 0;
            for to in &one.to {
                let key = MessageKey { index, ..first };
                index = index.saturating_add(1);
                if let Destination::Dead {
                    intended,
                    code,
                    reason,
                } = to
                {
                    self.effects.push(Effect::Publish(NodeEvent::DeadLetter {
                        at: self.now,
                        key,
                        intended: Arc::clone(intended),
                        code: *code,
                        reason: reason.clone(),
                    }));
                } else {
                    deliveries += 1;
                }
            }
            if deliveries > 0 {
                let last = u32::try_from(one.to.len()).unwrap_or(u32::MAX);
                self.effects.push(Effect::Publish(NodeEvent::Sent {
                    at: self.now,
                    key: MessageKey {
                        index: index.saturating_sub(last),
                        ..first
                    },
                    message: one.message.clone(),
                    deliveries,
                }));
            }
        }
    }

    /// The shard that keeps a destination's mailbox. Whoever is unknown is this shard's to refuse.
    ///
    /// What is for the host's own agents is worked on where its sender lives.
    fn shard_of(&self, to: &Destination, message: &Message) -> u16 {
        let here = self.options.shard;
        match to {
            Destination::Agent(id) if is_built_in(*id) => {
                match self
                    .directory
                    .look(&message.sender, |listing| listing.shard)
                {
                    Some(shard) => shard,
                    None => shard_of_client(&message.sender, self.directory.shards()),
                }
            }
            Destination::Agent(id) if self.live.contains_key(id) => here,
            Destination::Agent(id) => self.directory.look_at(*id, |l| l.shard).unwrap_or(here),
            Destination::Client(name) => shard_of_client(name, self.directory.shards()),
            Destination::Dead { .. } => here,
        }
    }

    fn dispatch(&mut self, mut deliveries: Vec<Delivery>) {
        let mut effects = std::mem::take(&mut self.effects);
        deliveries.retain(|delivery| {
            let shard = self.shard_of(&delivery.to, &delivery.message);
            let is_here = shard == self.options.shard;
            if !is_here {
                let delivery = delivery.clone();
                effects.push(Effect::Forward { shard, delivery });
            }
            is_here
        });
        self.effects = effects;
        self.receive(deliveries);
    }

    /// Whether an agent's records are journalled. The host's own agents' are.
    pub(crate) fn is_durable(&self, id: AgentId) -> bool {
        match self.state.agents.get(&id) {
            Some(agent) => agent.spec.durability == Durability::Durable,
            None => self
                .directory
                .get(id)
                .is_none_or(|l| l.spec.durability == Durability::Durable),
        }
    }

    /// Writes an agent's entry in the directory, in place of the one before.
    pub(crate) fn list(&mut self, id: AgentId) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get(&id)) else {
            return;
        };
        let known = self
            .directory
            .look_at(id, |listing| Arc::clone(&listing.offered));
        let offered = match (&agent.capabilities, known) {
            (Some(now), Some(known)) if Arc::ptr_eq(now, known.capabilities()) => known,
            (Some(now), _) => Arc::new(Offered::of(now)),
            (None, _) => Arc::default(),
        };
        // Its limit may be another one now.
        self.state.ledger.unwatch(agent.spec.name.as_str());
        self.directory.set(Listing {
            spec: Arc::clone(&agent.spec),
            shard: self.options.shard,
            status: live.shown,
            gauge: Arc::clone(&live.gauge),
            capabilities: agent.capabilities.clone(),
            offered,
            subscriptions: agent.subscriptions.as_slice().into(),
            granted: self.state.granted.get(&id).cloned(),
        });
    }

    /// Tells the directory what an agent registers now, and its subscribers.
    pub(crate) fn capabilities_changed(
        &mut self,
        id: AgentId,
        before: Option<&Arc<Capabilities>>,
        after: Option<&Arc<Capabilities>>,
    ) {
        self.list(id);
        if before == after || !self.directory.has_subscribers() {
            return;
        }
        let services: BTreeSet<Arc<str>> = [before, after]
            .into_iter()
            .flatten()
            .flat_map(|c| &c.services)
            .map(|service| Arc::from(service.name.as_str()))
            .collect();
        if services.is_empty() {
            return;
        }
        self.told.note(services.iter().cloned());
        if self.directory.shards() > 1 {
            self.effects.push(Effect::DirectoryChanged {
                services: services.into_iter().collect(),
            });
        }
    }

    /// Sets the alarm under which silent conversations are looked for.
    pub(crate) fn watch_conversations(&mut self) {
        if !self.state.conversations.is_empty() && !self.alarms.is_set(&Alarm::Conversations) {
            self.alarms.set(
                Alarm::Conversations,
                self.now.after(caxton_model::Micros::secs(60)),
            );
        }
    }
}
