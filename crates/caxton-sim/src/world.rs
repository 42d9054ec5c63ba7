//! A node in one thread: real kernels, the wires between them, and a machine below.
//!
//! A shard's effects are performed in order, but others may act between any two of them, as
//! threads would.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::Arc,
};

use caxton_kernel::{
    Directory, Effect, Event, Kernel, KernelOptions, RunTurn, TurnCtx, TurnEnd, TurnInput, split,
};
use caxton_model::{
    AgentId, AgentSpec, AgentState, AgentStatus, Delivery, MessageKey, ProcessorSpec, RowWrite,
    StartReason, State, Tables, Timestamp, write_row,
};
use caxton_store::Health;

use crate::{
    Breach, Rule,
    audit::Audit,
    guest::Did,
    instances::Instances,
    machine::{Leaving, Machine},
    outside::Outside,
    show,
    supervision::Supervision,
};

/// What travels between shards, in order.
#[derive(Debug)]
pub(crate) enum Parcel {
    Delivery(Delivery),
    Changed(Vec<Arc<str>>),
}

/// One shard.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) kernel: Kernel,
    /// Decided, not yet performed.
    pub(crate) effects: VecDeque<Effect>,
    /// When it last looked at the clock.
    pub(crate) ticked: Timestamp,
}

/// A turn that runs.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) shard: usize,
    pub(crate) run: RunTurn,
    /// Whether the guest has been let in.
    pub(crate) has_begun: bool,
    /// How many accesses it has asked for.
    pub(crate) asked: usize,
    /// The request whose outcome it waits for.
    pub(crate) waits: Option<String>,
}

/// The node and all around it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) directory: Directory,
    pub(crate) shards: Vec<Shard>,
    pub(crate) wires: BTreeMap<(usize, usize), VecDeque<Parcel>>,
    pub(crate) running: BTreeMap<AgentId, Turn>,
    pub(crate) instances: Instances,
    pub(crate) machine: Machine,
    pub(crate) outside: Outside,
    pub(crate) audit: Audit,
    pub(crate) supervision: Supervision,
    pub(crate) transcript: String,
    /// The first rule that was seen broken.
    pub(crate) breach: Option<Breach>,
    /// The last message each agent was given, by sender and its shard.
    pub(crate) given: BTreeMap<(Arc<str>, u16, AgentId), MessageKey>,
    /// What stood in mailboxes when the process began, as far as it still does.
    pub(crate) left_over: BTreeMap<AgentId, usize>,
    /// When the process began.
    pub(crate) booted: Timestamp,
    /// Shared tables as turns see them.
    pub(crate) tables: Tables,
    count: u16,
}

impl World {
    pub(crate) fn new(shards: u16, machine: Machine, now: Timestamp) -> Self {
        let mut world = Self {
            now,
            directory: Directory::new(shards),
            shards: Vec::new(),
            wires: BTreeMap::new(),
            running: BTreeMap::new(),
            instances: Instances::default(),
            machine,
            outside: Outside::default(),
            audit: Audit::default(),
            supervision: Supervision::default(),
            transcript: String::new(),
            breach: None,
            given: BTreeMap::new(),
            left_over: BTreeMap::new(),
            booted: now,
            tables: Tables::new(),
            count: shards,
        };
        world.boot(State::default());
        world
    }

    /// Starts the kernels over what was recovered.
    pub(crate) fn boot(&mut self, mut state: State) {
        state.forget_memory_agents();
        self.tables = std::mem::take(&mut state.tables);
        self.booted = self.now;
        self.running.clear();
        self.wires.clear();
        self.given.clear();
        self.outside.forget_answers();
        self.instances = Instances::default();
        self.supervision = Supervision::default();
        self.left_over = state
            .agents
            .iter()
            .map(|(id, agent)| (*id, agent.mailbox.len()))
            .collect();
        self.directory = Directory::new(self.count);
        let parts = (0_u16..).zip(split(state, &self.directory));
        self.shards = parts
            .map(|(shard, state)| {
                let options = KernelOptions {
                    shard,
                    journal: true,
                    seed: 7,
                };
                Shard {
                    kernel: Kernel::new(options, self.directory.clone(), state),
                    effects: VecDeque::new(),
                    ticked: Timestamp(i64::MIN),
                }
            })
            .collect();
    }

    pub(crate) fn say(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.transcript, "{line}");
    }

    pub(crate) fn hold(&mut self, result: Result<(), Breach>) {
        if let Err(breach) = result {
            self.breach.get_or_insert(breach);
        }
    }

    /// What a shard knows of an agent.
    pub(crate) fn agent(&self, id: AgentId) -> Option<&AgentState> {
        let mut kernels = self.shards.iter().map(|shard| &shard.kernel);
        kernels.find_map(|kernel| kernel.state().agents.get(&id))
    }

    /// The shard of an agent.
    pub(crate) fn shard_of(&self, id: AgentId) -> usize {
        let listed = self.directory.get(id).map(|l| usize::from(l.shard));
        listed
            .or_else(|| self.running.get(&id).map(|turn| turn.shard))
            .unwrap_or(0)
    }

    /// Whether turns may begin.
    pub(crate) fn takes_turns(&self) -> bool {
        self.machine.store.takes_turns()
    }

    /// Whether requests are taken.
    pub(crate) fn takes_requests(&self) -> bool {
        self.machine.store.health() == Health::Good
    }

    /// One event for one shard, after all it still has to do.
    pub(crate) fn step(&mut self, shard: usize, event: Event) {
        let effects = self.decide(shard, event);
        self.take(shard, effects);
    }

    fn decide(&mut self, shard: usize, event: Event) -> Vec<Effect> {
        self.perform(shard, usize::MAX);
        let mut effects = Vec::new();
        if let Some(shard) = self.shards.get_mut(shard) {
            if matches!(event, Event::Tick) {
                shard.ticked = self.now;
            }
            shard.kernel.step(self.now, event, &mut effects);
        }
        effects
    }

    /// Looks at what was decided, and leaves it to be performed.
    fn take(&mut self, shard: usize, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::Answer { ticket, .. } => self.supervision.answered(*ticket),
                Effect::Run(run) => {
                    let seen = self.supervision.begin(run.agent, &run.input, self.now);
                    self.hold(seen);
                    if let TurnInput::Timer { id, due } = run.input
                        && due > self.now
                    {
                        let how = format!("timer {id} of {} rings before {due}", run.agent);
                        self.hold(Err(Breach::new(Rule::TimerRingsOnce, how)));
                    }
                }
                _ => {}
            }
        }
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.effects.extend(effects);
        }
    }

    /// Time for all shards.
    pub(crate) fn tick(&mut self) {
        for shard in 0..self.shards.len() {
            self.step(shard, Event::Tick);
        }
    }

    /// Time for a shard in which something is due; answers whether there was.
    pub(crate) fn wake(&mut self, shard: usize) -> bool {
        let wake = self.shards.get(shard).and_then(|s| s.kernel.next_wake());
        let is_due = wake.is_some_and(|wake| wake <= self.now);
        if is_due {
            self.step(shard, Event::Tick);
        }
        is_due
    }

    /// Does the next few things that a shard has decided.
    pub(crate) fn perform(&mut self, shard: usize, count: usize) {
        for _ in 0..count {
            let effects = self.shards.get_mut(shard).map(|shard| &mut shard.effects);
            let Some(effect) = effects.and_then(VecDeque::pop_front) else {
                break;
            };
            self.do_one(shard, effect);
            // A record has its place and its rows are written without anybody between the two.
            let effects = self.shards.get_mut(shard).map(|shard| &mut shard.effects);
            if let Some(Effect::WriteRows(_)) = effects.as_ref().and_then(|all| all.front())
                && let Some(written) = effects.and_then(VecDeque::pop_front)
            {
                self.do_one(shard, written);
            }
        }
    }

    /// Does everything that was decided.
    pub(crate) fn perform_all(&mut self) {
        for shard in 0..self.shards.len() {
            self.perform(shard, usize::MAX);
        }
    }

    fn processor_changed(&mut self, name: &str, spec: Option<Arc<ProcessorSpec>>) {
        let version = spec.as_ref().map_or("none", |spec| spec.version.as_str());
        self.say(format_args!("  processor {name} is {version}"));
    }

    fn do_one(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Journal(entry) => {
                let _ = write!(self.transcript, "  {} ", self.machine.published.len() + 1);
                show::entry(&mut self.transcript, &entry);
                self.transcript.push('\n');
                let seen = self.audit.note(&entry);
                self.hold(seen);
                self.machine.publish(entry);
            }
            Effect::WriteRows(entry) => entry.record.rows().iter().for_each(|row| self.write(row)),
            Effect::Run(run) => self.begin(shard, *run),
            Effect::ProcessorChanged { name, spec } => self.processor_changed(&name, spec),
            Effect::GrantsChanged { agent, granted } => {
                self.say(format_args!("  {} has {} grants", agent.0, granted.len()));
            }
            Effect::Perform {
                agent,
                turn,
                number,
                key,
            } => self.access_leaves(agent, turn, number, key),
            Effect::Resume {
                agent,
                turn,
                outcome,
            } => self.resume(agent, turn, &outcome),
            Effect::Cancel { agent } => {
                self.running.remove(&agent);
                self.instances.drop(agent);
                self.say(format_args!("  cancel {}", agent.0));
            }
            Effect::DropInstance { agent } => {
                self.instances.drop(agent);
                self.say(format_args!("  drop instance {}", agent.0));
            }
            Effect::Forget { agent } => {
                self.instances.drop(agent);
                self.supervision.forget(agent);
                self.say(format_args!("  forget {}", agent.0));
            }
            Effect::Forward {
                shard: to,
                delivery,
            } => self.forward((shard, usize::from(to)), delivery),
            Effect::DirectoryChanged { services } => {
                for to in (0..self.shards.len()).filter(|to| *to != shard) {
                    let parcel = Parcel::Changed(services.clone());
                    self.wires.entry((shard, to)).or_default().push_back(parcel);
                }
            }
            Effect::Answer { ticket, answer } => {
                self.machine.leave(Leaving::Answer(ticket, answer));
            }
            Effect::ClientMail { client, mail, .. } => {
                let seen = self.audit.answer(&client, &mail, self.now);
                self.hold(seen);
                self.machine.leave(Leaving::Mail(client, mail.key));
            }
            Effect::Publish(event) => {
                if let Some(event) = show::event(&event) {
                    self.machine.leave(Leaving::Event(event));
                }
            }
        }
    }

    fn write(&mut self, row: &RowWrite) {
        let value = row.value.as_deref().unwrap_or("none");
        self.say(format_args!("  row {} {} is {value}", row.table, row.key));
        write_row(&mut self.tables, row);
    }

    fn forward(&mut self, wire: (usize, usize), delivery: Delivery) {
        let seen = self.audit.leaves(&delivery);
        self.hold(seen);
        let parcel = Parcel::Delivery(delivery);
        self.wires.entry(wire).or_default().push_back(parcel);
    }

    fn begin(&mut self, shard: usize, run: RunTurn) {
        let (agent, line) = (run.agent, show::input(&run.input));
        self.say(format_args!("  run {}/{} {line}", agent.0, run.turn));
        let is_init = matches!(run.input, TurnInput::Init(_));
        let seen = self.instances.begin(agent, is_init);
        self.hold(seen);
        self.note_order(&run);
        let turn = Turn {
            shard,
            run,
            has_begun: false,
            asked: 0,
            waits: None,
        };
        self.running.insert(agent, turn);
    }

    /// Each agent is given each sender's messages in the order in which they were sent.
    fn note_order(&mut self, run: &RunTurn) {
        let TurnInput::Message(mail) = &run.input else {
            return;
        };
        // What the host says in an agent's name may be said on another shard.
        let (key, message) = (mail.key, &mail.message);
        if mail.attempts > 0 || message.performative.is_last_word() || self.audit.is_resent(key) {
            return;
        }
        let pair = (Arc::clone(&message.sender), key.shard, run.agent);
        if let Some(last) = self.given.insert(pair, key)
            && last > key
        {
            let how = format!(
                "{} was given {key} of `{}` after {last}",
                run.agent, message.sender
            );
            self.hold(Err(Breach::new(Rule::OrderPerPair, how)));
        }
    }

    /// Ends an agent's running turn: the guest does something, then returns or faults.
    pub(crate) fn end_turn(
        &mut self,
        id: AgentId,
        guest: impl FnOnce(&mut TurnCtx, &TurnInput) -> Did,
    ) {
        let Some(shard) = self.running.get(&id).map(|turn| turn.shard) else {
            return;
        };
        // Its end may have been decided already.
        self.perform(shard, usize::MAX);
        let Some(Turn { run, .. }) = self.running.remove(&id) else {
            return;
        };
        let mut ctx = *run.ctx;
        let did = guest(&mut ctx, &run.input);
        let mut effects = ctx.finish();
        effects.state_keys = did.writes.len() as u64;
        effects.writes = did.writes;
        effects.rows = did.rows;
        let instance_kept = did.result.is_ok();
        if !instance_kept {
            self.instances.fault(id);
        }
        // An update's own init counts neither way.
        let counts = match run.input {
            TurnInput::Init(reason) => reason != StartReason::Update,
            _ => false,
        };
        let watched = counts && self.agent(id).is_some() && !self.is_wished(id);
        let was_good = matches!(did.result, Ok(0));
        let end = TurnEnd {
            agent: id,
            turn: run.turn,
            result: did.result,
            effects,
            cpu_micros: 10,
            instance_kept,
            ended: false,
        };
        let effects = self.decide(shard, Event::TurnEnded(Box::new(end)));
        if counts && was_good {
            self.supervision.good(id);
        }
        if watched {
            self.compare_supervision(shard, id, was_good);
        }
        self.take(shard, effects);
    }

    /// Whether an operator's wish is on its way with an agent, perhaps from before the last crash.
    pub(crate) fn is_wished(&self, id: AgentId) -> bool {
        let draining = |agent: &AgentState| agent.status == AgentStatus::Draining;
        self.supervision.has_wish(id) || self.agent(id).is_some_and(draining)
    }

    fn compare_supervision(&mut self, shard: usize, id: AgentId, was_good: bool) {
        let Some(shard) = self.shards.get(shard) else {
            return;
        };
        let state = shard.kernel.state();
        let Some(agent) = state.agents.get(&id) else {
            return;
        };
        let expected = if was_good {
            AgentStatus::Running
        } else {
            // Whoever works off its mail before a stop does so in the instance it has.
            let stays = |agent: &&AgentState| agent.status != AgentStatus::Draining;
            let living = state.agents.values().filter(stays);
            let living = living.map(|agent| &*agent.spec);
            let living = living.filter(|peer: &&AgentSpec| {
                self.instances.has(peer.id) || self.running.contains_key(&peer.id)
            });
            self.supervision.take_group(&agent.spec, living);
            self.supervision.failed(&agent.spec, self.now)
        };
        if agent.status != expected {
            let how = format!(
                "{id} is {:?} ({}) after its init, and should be {expected:?}",
                agent.status, agent.status_reason
            );
            self.hold(Err(Breach::new(Rule::SupervisionAsWritten, how)));
        }
    }

    /// Wires with something on them.
    pub(crate) fn busy_wires(&self) -> Vec<(usize, usize)> {
        let busy = self.wires.iter().filter(|(_, parcels)| !parcels.is_empty());
        busy.map(|(wire, _)| *wire).collect()
    }

    /// Hands over the next so many parcels of one wire.
    pub(crate) fn deliver(&mut self, wire: (usize, usize), count: usize) {
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
}
