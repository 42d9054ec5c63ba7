//! A node without engine, disk or threads: kernels, the wires between them, a journal, guests that
//! do what they are told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    sync::Arc,
};

use caxton_model::{
    AgentId, AgentState, Delivery, Entry, Fault, MessageKey, Micros, Record, RowWrite, State,
    Timestamp,
};

use super::{
    durable::Durable,
    show::{show_answer, show_entry, show_event, show_input, show_message},
};
use crate::{
    Directory, Effect, Event, Kernel, KernelOptions, RunTurn, TurnCtx, TurnEnd, TurnInput, split,
};

/// What travels between shards, in order.
#[derive(Debug)]
enum Parcel {
    Delivery(Delivery),
    Changed(Vec<Arc<str>>),
}

/// Kernels and all that is around them, in memory.
#[derive(Debug)]
pub(super) struct World {
    /// The time.
    pub(super) now: Timestamp,
    /// One kernel a shard.
    pub(super) kernels: Vec<Kernel>,
    /// The node's directory.
    pub(super) directory: Directory,
    /// Everything published, in order.
    pub(super) journal: Vec<Arc<Entry>>,
    /// Turns that run, by agent.
    pub(super) running: BTreeMap<AgentId, (usize, RunTurn)>,
    /// What happened, line by line.
    pub(super) transcript: String,
    /// Rows of shared tables that the next turn to end writes.
    pub(super) rows: Vec<RowWrite>,
    /// Rules that were seen broken on the way.
    pub(super) broken: Vec<String>,
    /// The last message each agent was given, by sender and its shard.
    given: BTreeMap<(Arc<str>, u16, AgentId), MessageKey>,
    /// Messages that came from the dead letters: they are out of order.
    resent: BTreeSet<(u16, u64)>,
    wires: BTreeMap<(usize, usize), VecDeque<Parcel>>,
    shards: u16,
    journalling: bool,
}

impl World {
    /// An empty node of so many shards.
    pub(super) fn new(shards: u16, journalling: bool, now: Timestamp) -> Self {
        let directory = Directory::new(shards);
        let mut world = Self {
            now,
            kernels: Vec::new(),
            directory,
            journal: Vec::new(),
            running: BTreeMap::new(),
            transcript: String::new(),
            broken: Vec::new(),
            given: BTreeMap::new(),
            resent: BTreeSet::new(),
            wires: BTreeMap::new(),
            shards,
            journalling,
            rows: Vec::new(),
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
    pub(super) fn replayed(journal: &[Arc<Entry>]) -> State {
        let mut state = State::default();
        for entry in journal {
            state.replay(entry);
        }
        state
    }

    /// Ends the process and starts it again with so many records; the rest is lost.
    pub(super) fn crash(&mut self, kept: usize) {
        self.journal.truncate(kept);
        self.running.clear();
        self.wires.clear();
        self.given.clear();
        let mut state = Self::replayed(&self.journal);
        state.forget_memory_agents();
        self.say(format_args!("  crash, {kept} records kept"));
        self.boot(state);
        self.tick();
    }

    /// The shard of an agent.
    pub(super) fn shard_of(&self, id: AgentId) -> usize {
        let listed = self.directory.get(id).map(|l| usize::from(l.shard));
        listed
            .or_else(|| self.running.get(&id).map(|(shard, _)| *shard))
            .unwrap_or(0)
    }

    /// What a shard knows of an agent.
    pub(super) fn agent(&self, id: AgentId) -> Option<&AgentState> {
        self.kernels
            .iter()
            .find_map(|kernel| kernel.state().agents.get(&id))
    }

    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.transcript, "{line}");
    }

    /// One event for one shard.
    pub(super) fn step(&mut self, shard: usize, event: Event) {
        let mut effects = Vec::new();
        if let Some(kernel) = self.kernels.get_mut(shard) {
            kernel.step(self.now, event, &mut effects);
        }
        for effect in effects {
            self.perform(shard, effect);
        }
    }

    /// Time for all shards.
    pub(super) fn tick(&mut self) {
        for shard in 0..self.kernels.len() {
            self.step(shard, Event::Tick);
        }
    }

    /// Lets time pass; every alarm rings when it is due.
    pub(super) fn pass(&mut self, time: Micros) {
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
    pub(super) fn busy_wires(&self) -> Vec<(usize, usize)> {
        let busy = self.wires.iter().filter(|(_, parcels)| !parcels.is_empty());
        busy.map(|(wire, _)| *wire).collect()
    }

    /// Hands over the next so many parcels of one wire.
    pub(super) fn deliver(&mut self, wire: (usize, usize), count: usize) {
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
    pub(super) fn deliver_all(&mut self) {
        while let Some(wire) = self.busy_wires().first().copied() {
            self.deliver(wire, usize::MAX);
        }
    }

    /// Ends an agent's running turn: the guest does something, then returns or faults.
    ///
    /// Answers whether one was running.
    pub(super) fn end_turn(
        &mut self,
        id: AgentId,
        guest: impl FnOnce(&mut TurnCtx, &TurnInput) -> Result<i32, Fault>,
    ) -> bool {
        self.end_turn_as(id, false, guest)
    }

    /// The same; `ended`: the guest ends itself.
    pub(super) fn end_turn_as(
        &mut self,
        id: AgentId,
        ended: bool,
        guest: impl FnOnce(&mut TurnCtx, &TurnInput) -> Result<i32, Fault>,
    ) -> bool {
        let Some((shard, run)) = self.running.remove(&id) else {
            return false;
        };
        let mut ctx = *run.ctx;
        let result = guest(&mut ctx, &run.input);
        let instance_kept = result.is_ok() && !ended;
        let mut effects = ctx.finish();
        effects.rows = std::mem::take(&mut self.rows);
        let end = TurnEnd {
            agent: id,
            turn: run.turn,
            result,
            effects,
            cpu_micros: 10,
            instance_kept,
            ended,
        };
        self.step(shard, Event::TurnEnded(Box::new(end)));
        true
    }

    pub(super) fn perform(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Journal(entry) => {
                if matches!(entry.record, Record::DeadLettersTaken { .. }) {
                    self.resent.insert((entry.shard, entry.seq));
                }
                let line = show_entry(&entry);
                self.say(format_args!("  journal {line}"));
                self.journal.push(entry);
            }
            Effect::WriteRows(entry) => {
                let rows = entry.record.rows().iter();
                let rows = rows.map(|row| format!(" {} {}", row.table, row.key));
                let rows: String = rows.collect();
                self.say(format_args!("  write rows{rows}"));
            }
            Effect::Run(run) => {
                let (name, input) = (run.ctx.spec().name.clone(), show_input(&run.input));
                self.say(format_args!("  run {name} {} {input}", run.turn));
                self.note_order(&run);
                self.running.insert(run.agent, (shard, *run));
            }
            Effect::ProcessorChanged { name, spec } => {
                let version = spec.map_or("none".to_owned(), |spec| spec.version.clone());
                self.say(format_args!("  processor {name} is {version}"));
            }
            Effect::GrantsChanged { agent, granted } => {
                let rules: Vec<&str> = granted.iter().map(|rule| rule.rule.as_str()).collect();
                let line = format!("{} {}", self.name(agent), rules.join(", "));
                self.say(format_args!("  grants {line}"));
            }
            Effect::Perform {
                agent, number, key, ..
            } => self.say(format_args!("  perform {} {number} {key}", agent.0)),
            Effect::Resume { agent, outcome, .. } => {
                let outcome = String::from_utf8_lossy(&outcome).into_owned();
                self.say(format_args!("  resume {} {outcome}", agent.0));
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
            }
            Effect::ClientMail { client, mail, .. } => {
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

    /// Each agent is given each sender's messages in the order in which they were sent.
    fn note_order(&mut self, run: &RunTurn) {
        let TurnInput::Message(mail) = &run.input else {
            return;
        };
        // What the host says in an agent's name may be said on another shard.
        let key = mail.key;
        if mail.attempts > 0
            || mail.message.performative.is_last_word()
            || self.resent.contains(&(key.shard, key.seq))
        {
            return;
        }
        let pair = (Arc::clone(&mail.message.sender), key.shard, run.agent);
        if let Some(last) = self.given.insert(pair, key)
            && last > key
        {
            let name = self.name(run.agent);
            self.broken.push(format!(
                "order is kept: {name} was given {key} after {last}"
            ));
        }
    }

    fn name(&self, id: AgentId) -> String {
        let listed = self.directory.get(id);
        listed.map_or_else(|| id.to_string(), |l| l.spec.name.to_string())
    }

    /// Where what the kernels know differs from what their journal comes to; `None`: nowhere.
    ///
    /// Only what must survive is compared, and only while nothing is on its way between shards.
    pub(super) fn differs_from_replay(&self) -> Option<String> {
        let mut states = self.kernels.iter().map(Kernel::state);
        if let Some(miscounted) = states.find_map(super::host_bytes::miscounted) {
            return Some(miscounted);
        }
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
