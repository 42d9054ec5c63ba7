//! A node without engine, disk or threads: kernels, the wires between them, a journal, guests that
//! do what they are told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    sync::Arc,
};

use caxton_model::{
    AgentId, AgentState, CONVERSATION_IDLE, Delivery, Destination, Durability, Entry, Fault,
    Message, MessageKey, Micros, Record, Sent, State, Timestamp, TurnResult,
};

use crate::{
    Directory, Done, Effect, Event, Kernel, KernelOptions, NodeEvent, Refusal, RunTurn, Ticket,
    TurnCtx, TurnEnd, TurnInput, split,
};

/// What travels between shards, in order.
#[derive(Debug)]
enum Parcel {
    Delivery(Delivery),
    Changed(Vec<Arc<str>>),
}

/// An answer that waits until everything before it is durable.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Whose.
    pub ticket: Ticket,
    /// With what.
    pub answer: Result<Done, Refusal>,
    /// Records that were published before it.
    pub after: usize,
}

/// Kernels and all that is around them, in memory.
#[derive(Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// One kernel a shard.
    pub kernels: Vec<Kernel>,
    /// The node's directory.
    pub directory: Directory,
    /// Everything published, in order.
    pub journal: Vec<Arc<Entry>>,
    /// Turns that run, by agent.
    pub running: BTreeMap<AgentId, (usize, RunTurn)>,
    /// Requests answered, not yet looked at.
    pub answers: VecDeque<Answered>,
    /// What happened, line by line.
    pub transcript: String,
    wires: BTreeMap<(usize, usize), VecDeque<Parcel>>,
    shards: u16,
    journalling: bool,
}

impl World {
    /// An empty node of so many shards.
    #[must_use]
    pub fn new(shards: u16, journalling: bool, now: Timestamp) -> Self {
        let directory = Directory::new(shards);
        let mut world = Self {
            now,
            kernels: Vec::new(),
            directory,
            journal: Vec::new(),
            running: BTreeMap::new(),
            answers: VecDeque::new(),
            transcript: String::new(),
            wires: BTreeMap::new(),
            shards,
            journalling,
        };
        world.boot(State::default());
        world
    }

    fn boot(&mut self, state: State) {
        self.directory = Directory::new(self.shards);
        self.kernels = (0_u16..)
            .zip(split(state, &self.directory))
            .map(|(shard, state)| {
                let options = KernelOptions {
                    shard,
                    journal: self.journalling,
                    seed: 7,
                };
                Kernel::new(options, self.directory.clone(), state)
            })
            .collect();
    }

    /// What a journal comes to.
    #[must_use]
    pub fn replayed(journal: &[Arc<Entry>]) -> State {
        let mut state = State::default();
        for entry in journal {
            state.replay(entry);
        }
        state
    }

    /// Ends the process and starts it again with so many records; the rest is lost.
    pub fn crash(&mut self, kept: usize) {
        self.journal.truncate(kept);
        self.running.clear();
        self.wires.clear();
        self.answers.retain(|answered| answered.after <= kept);
        let mut state = Self::replayed(&self.journal);
        state.forget_memory_agents();
        self.say(format_args!("  crash, {kept} records kept"));
        self.boot(state);
        self.tick();
    }

    /// The shard of an agent.
    #[must_use]
    pub fn shard_of(&self, id: AgentId) -> usize {
        let listed = self.directory.get(id).map(|l| usize::from(l.shard));
        listed
            .or_else(|| self.running.get(&id).map(|(shard, _)| *shard))
            .unwrap_or(0)
    }

    /// What a shard knows of an agent.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&AgentState> {
        self.kernels
            .iter()
            .find_map(|kernel| kernel.state().agents.get(&id))
    }

    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.transcript, "{line}");
    }

    /// One event for one shard.
    pub fn step(&mut self, shard: usize, event: Event) {
        let mut effects = Vec::new();
        if let Some(kernel) = self.kernels.get_mut(shard) {
            kernel.step(self.now, event, &mut effects);
        }
        for effect in effects {
            self.perform(shard, effect);
        }
    }

    /// Time for all shards.
    pub fn tick(&mut self) {
        for shard in 0..self.kernels.len() {
            self.step(shard, Event::Tick);
        }
    }

    /// Lets time pass; every alarm rings when it is due.
    pub fn pass(&mut self, time: Micros) {
        let end = self.now.after(time);
        loop {
            let next = self.kernels.iter().filter_map(Kernel::next_wake).min();
            match next {
                Some(at) if at <= end => {
                    self.now = self.now.max(at);
                    self.tick();
                    self.deliver_all();
                }
                _ => break,
            }
        }
        self.now = end;
        self.tick();
        self.deliver_all();
    }

    /// Wires with something on them.
    #[must_use]
    pub fn busy_wires(&self) -> Vec<(usize, usize)> {
        let busy = self.wires.iter().filter(|(_, parcels)| !parcels.is_empty());
        busy.map(|(wire, _)| *wire).collect()
    }

    /// Hands over the next so many parcels of one wire.
    pub fn deliver(&mut self, wire: (usize, usize), count: usize) {
        let mut deliveries = Vec::new();
        for _ in 0..count {
            match self.wires.get_mut(&wire).and_then(VecDeque::pop_front) {
                Some(Parcel::Delivery(delivery)) => deliveries.push(delivery),
                Some(Parcel::Changed(services)) => {
                    self.step(wire.1, Event::Delivered(std::mem::take(&mut deliveries)));
                    self.step(wire.1, Event::DirectoryChanged { services });
                }
                None => break,
            }
        }
        if !deliveries.is_empty() {
            self.step(wire.1, Event::Delivered(deliveries));
        }
    }

    /// Hands over everything, until nothing is on its way.
    pub fn deliver_all(&mut self) {
        while let Some(wire) = self.busy_wires().first().copied() {
            self.deliver(wire, usize::MAX);
        }
    }

    /// Ends an agent's running turn: the guest does something, then returns or faults.
    ///
    /// Answers whether one was running.
    pub fn end_turn(
        &mut self,
        id: AgentId,
        guest: impl FnOnce(&mut TurnCtx, &TurnInput) -> Result<i32, Fault>,
    ) -> bool {
        let Some((shard, run)) = self.running.remove(&id) else {
            return false;
        };
        let mut ctx = *run.ctx;
        let result = guest(&mut ctx, &run.input);
        let instance_kept = result.is_ok();
        let end = TurnEnd {
            agent: id,
            turn: run.turn,
            result,
            effects: ctx.finish(),
            cpu_micros: 10,
            instance_kept,
        };
        self.step(shard, Event::TurnEnded(Box::new(end)));
        true
    }

    fn perform(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Journal(entry) => {
                let line = show_entry(&entry);
                self.say(format_args!("  journal {line}"));
                self.journal.push(entry);
            }
            Effect::Run(run) => {
                let (name, input) = (run.ctx.spec().name.clone(), show_input(&run.input));
                self.say(format_args!("  run {name} {} {input}", run.turn));
                self.running.insert(run.agent, (shard, *run));
            }
            Effect::Cancel { agent } => {
                self.running.remove(&agent);
                self.say(format_args!("  cancel {}", self.name(agent)));
            }
            Effect::DropInstance { agent } => {
                self.say(format_args!("  drop instance {}", self.name(agent)));
            }
            Effect::Forget { agent } => {
                self.say(format_args!("  forget {}", self.name(agent)));
            }
            Effect::Forward {
                shard: to,
                delivery,
            } => {
                let wire = (shard, usize::from(to));
                let parcel = Parcel::Delivery(delivery);
                self.wires.entry(wire).or_default().push_back(parcel);
            }
            Effect::DirectoryChanged { services } => {
                for to in (0..self.kernels.len()).filter(|to| *to != shard) {
                    let parcel = Parcel::Changed(services.clone());
                    self.wires.entry((shard, to)).or_default().push_back(parcel);
                }
            }
            Effect::Answer { ticket, answer } => {
                let line = show_answer(&answer);
                self.say(format_args!("  answer {}: {line}", ticket.0));
                let after = self.journal.len();
                self.answers.push_back(Answered {
                    ticket,
                    answer,
                    after,
                });
            }
            Effect::ClientMail { client, mail } => {
                let line = show_message(&mail.message);
                self.say(format_args!("  mail for {client}: {line}"));
            }
            Effect::Publish(event) => {
                if let Some(line) = show_event(&event) {
                    self.say(format_args!("  event {line}"));
                }
            }
        }
    }

    fn name(&self, id: AgentId) -> String {
        let listed = self.directory.get(id);
        listed.map_or_else(|| id.to_string(), |l| l.spec.name.to_string())
    }

    /// Where what the kernels know differs from what their journal comes to; `None`: nowhere.
    ///
    /// Only what must survive is compared, and only while nothing is on its way between shards.
    #[must_use]
    pub fn differs_from_replay(&self) -> Option<String> {
        let mut replayed = Self::replayed(&self.journal);
        replayed.expire_conversations(self.now);
        let durable = Durable::of(&self.journal);
        let mut expected = durable.lines(&replayed, self.now);
        let mut known: Vec<String> = Vec::new();
        for kernel in &self.kernels {
            let mut state = kernel.state().clone();
            state.expire_conversations(self.now);
            known.extend(durable.lines(&state, self.now));
        }
        expected.sort();
        known.sort();
        if expected == known {
            return None;
        }
        let only = |these: &[String], those: &[String]| -> String {
            let lines = these.iter().filter(|line| !those.contains(line));
            lines.fold(String::new(), |text, line| text + "  " + line + "\n")
        };
        let (replayed, live) = (only(&expected, &known), only(&known, &expected));
        Some(format!(
            "only in the replay:\n{replayed}only in the kernels:\n{live}"
        ))
    }
}

/// What a journal knows of, to tell it from what was never meant to survive.
struct Durable {
    records: BTreeSet<(u16, u64)>,
    messages: BTreeSet<String>,
}

impl Durable {
    fn of(journal: &[Arc<Entry>]) -> Self {
        // What opens requests.
        let asks = |record: &Record| matches!(record, Record::Turn(_) | Record::Posted { .. });
        let asking = journal.iter().filter(|entry| asks(&entry.record));
        let sent = asking.flat_map(|entry| entry.record.sent());
        Self {
            records: journal
                .iter()
                .map(|entry| (entry.shard, entry.seq))
                .collect(),
            messages: sent.map(|sent| sent.message.json().to_owned()).collect(),
        }
    }
    fn has(&self, key: MessageKey) -> bool {
        self.records.contains(&(key.shard, key.seq))
    }

    /// A state's durable parts, a line each, in no order.
    fn lines(&self, state: &State, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, agent) in &state.agents {
            if agent.spec.durability == Durability::Memory {
                lines.push(format!("agent {id} {:?} {:?}", agent.spec, agent.status));
                continue;
            }
            let mut agent = agent.clone();
            // Deliveries of different shards may arrive in another order than they were recorded.
            let mailbox = agent.mailbox.make_contiguous();
            mailbox.sort_by_key(|mail| mail.key);
            for mail in mailbox {
                // When a message was accepted that nobody had recorded before.
                if !self.has(mail.key) {
                    mail.at = Timestamp::default();
                }
            }
            lines.push(format!("agent {id} {agent:?}"));
        }
        for (name, client) in &state.clients {
            let replies = client.replies.iter().filter(|mail| self.has(mail.key));
            lines.extend(replies.map(|mail| format!("reply {name} {mail:?}")));
        }
        let letters = state.dead.values().filter(|letter| self.has(letter.key));
        lines.extend(letters.map(|letter| format!("dead {letter:?}")));
        for (name, seen) in state.posts.iter().filter(|(_, seen)| self.has(seen.key)) {
            lines.push(format!("post {name:?} {seen:?}"));
        }
        for (id, conversation) in &state.conversations {
            // Each shard forgets its own part; only what is young is everywhere.
            let young = |at| now.since(at) < CONVERSATION_IDLE;
            let lines_kept = conversation.lines.iter();
            let kept = lines_kept.filter(|line| self.has(line.key) && young(line.at));
            lines.extend(kept.map(|line| format!("line {id} {line:?}")));
        }
        for (name, request) in &state.open {
            if self.messages.contains(request.message.json()) {
                lines.push(format!("open {name:?} {request:?}"));
            }
        }
        let forgetful = |name: &str| {
            state.agents.values().any(|agent| {
                agent.spec.durability == Durability::Memory && agent.spec.name.as_str() == name
            })
        };
        let subscriptions = state
            .df_subscriptions
            .iter()
            .filter(|s| !forgetful(&s.subscriber));
        lines.extend(subscriptions.map(|subscription| format!("subscription {subscription:?}")));
        let held = state.held.iter().filter(|(_, mail)| self.has(mail.key));
        lines.extend(held.map(|held| format!("held {held:?}")));
        lines
    }
}

/// A message in one line: who to whom, what, and the content.
#[must_use]
pub fn show_message(message: &Message) -> String {
    let to = serde_json::to_string(&message.receiver).unwrap_or_default();
    let mut line = format!(
        "{} -> {} {} {}",
        message.sender,
        to.trim_matches('"'),
        message.performative,
        message.content.as_str()
    );
    for (name, text) in [
        ("conv", &message.conversation_id),
        ("re", &message.in_reply_to),
    ] {
        if let Some(text) = text {
            let _ = write!(line, " {name}={text}");
        }
    }
    line
}

fn show_input(input: &TurnInput) -> String {
    match input {
        TurnInput::Init(reason) => format!("init {reason:?}"),
        TurnInput::Message(mail) => format!("message {}", show_message(&mail.message)),
        TurnInput::Timer { id, .. } => format!("timer {id}"),
        TurnInput::Migrate { from } => format!("migrate from {from}"),
        TurnInput::Shutdown => "shutdown".to_owned(),
    }
}

fn show_sent(sent: &[Sent]) -> String {
    let mut line = String::new();
    for one in sent {
        let _ = write!(line, " [{}", one.message.performative);
        for to in &one.to {
            let _ = match to {
                Destination::Agent(id) => write!(line, " agent:{}", id.0),
                Destination::Client(name) => write!(line, " client:{name}"),
                Destination::Dead { code, .. } => write!(line, " dead:{code}"),
            };
        }
        line.push(']');
    }
    line
}

/// A record in one line.
#[must_use]
pub fn show_entry(entry: &Entry) -> String {
    let mut line = format!("{}-{} {}", entry.shard, entry.seq, entry.record.kind());
    if let Record::Turn(turn) = &entry.record {
        let used = if turn.consumed { "" } else { " not used up" };
        let result = match &turn.result {
            TurnResult::Returned(code) => format!("returned {code}"),
            TurnResult::Faulted(fault) => format!("fault {}", fault.code),
        };
        let _ = write!(line, " {} {result}{used}", turn.turn);
    }
    line + &show_sent(entry.record.sent())
}

fn show_answer(answer: &Result<Done, Refusal>) -> String {
    match answer {
        Ok(Done::Agent { status, .. }) => format!("{status:?}"),
        Ok(Done::Posted {
            key,
            message,
            deliveries,
            durable,
            duplicate,
        }) => format!(
            "posted {key} conv={} to {deliveries}{}{}",
            message.conversation_id.as_deref().unwrap_or("-"),
            if *durable { " durable" } else { " memory" },
            if *duplicate { " duplicate" } else { "" },
        ),
        Ok(Done::DeadLetters { taken }) => format!("{taken} dead letters"),
        Err(refusal) => format!("refused {}: {}", refusal.code, refusal.text),
    }
}

fn show_event(event: &NodeEvent) -> Option<String> {
    Some(match event {
        NodeEvent::Status {
            name,
            status,
            reason,
            ..
        } => format!("{name} is {status:?}: {reason}"),
        NodeEvent::Fault { name, fault, .. } => format!("{name} faulted: {fault}"),
        NodeEvent::DeadLetter {
            intended,
            code,
            reason,
            ..
        } => format!("dead letter for {intended}: {code}: {reason}"),
        NodeEvent::Sent { .. } => return None,
    })
}
