//! A shard: one thread that owns its agents, their kernel and their instances.
//!
//! Each round: everything that arrived, then fresh turns, then what all of it has to say, then *one*
//! slice of *one* pre-empted guest, which ends early when something arrives: a guest that computes
//! for long delays nobody by more than a slice, and seldom by that.

use std::{
    collections::{HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use caxton_engine::Instance;
use caxton_kernel::{Effect, Event, Kernel, NodeEvent, Refusal, RunTurn, TurnEnd};
use caxton_model::{AgentId, AgentSpec, ById, Durability, ErrorCode, Fault};
use caxton_store::Batch;
use tokio_util::sync::ReusableBoxFuture;

mod access;
mod hand_on;
mod idle;
mod reclaim;

use hand_on::{Outbox, lost};
use idle::Warm;

use crate::{
    clock,
    counted::Counted,
    memory::AgentMemory,
    shared::{ShardShared, Shared, shutting_down},
    signal::{Signal, TurnWaker},
    turn::{self, Job, TurnDone},
};

/// Requests and batches one shard's queue holds; beyond it the edge answers 429 and peers keep
/// what they have in their outboxes.
pub(crate) const INBOX_MAX: usize = 4_096;

/// Messages taken from the inbox in one round, so that turns are not starved by a flood.
const ROUND_MESSAGES_MAX: usize = 256;

/// Deliveries that may wait for a peer that does not keep up before this shard takes no new turns.
const OUTBOX_MAX: usize = 65_536;

/// How long a shard goes on looking before it parks, after something came from a peer or went to
/// one.
///
/// A parked peer costs some 50 us to wake; most answers come within this time. It yields while it
/// looks: where cores are few, the peer may be waiting for this very one.
const SPIN: Duration = Duration::from_micros(100);

/// The longest a shard parks without looking around.
const PARK_MAX: Duration = Duration::from_millis(50);

/// Turns whose memory is kept for those to come. Each takes some kilobytes.
const FUTURES_MAX: usize = 16;

/// What a shard is sent.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are events: a box would be an allocation for each"
)]
pub(crate) enum ShardMessage {
    /// Something for the kernel.
    Event(Event),
    /// A question about what the shard knows.
    Inspect(Box<dyn FnOnce(&ShardView<'_>) + Send>),
    /// The turn that runs ends with this fault: the node is short of memory.
    Fault(AgentId, Fault),
    /// No more turns; end when those that run have ended, or at that time.
    Close(Instant),
}

/// What questions see.
pub(crate) struct ShardView<'a> {
    pub(crate) kernel: &'a Kernel,
    slots: &'a ById<Slot>,
}

impl ShardView<'_> {
    /// Memory of an agent's live instance, if it has one. Unit: bytes.
    pub(crate) fn memory_bytes(&self, agent: AgentId) -> Option<u64> {
        self.slots
            .get(&agent)?
            .instance
            .as_ref()
            .map(Instance::memory_bytes)
    }
    /// What an agent wrote since the last checkpoint.
    pub(crate) fn memory(&self, agent: AgentId) -> Option<Arc<Mutex<AgentMemory>>> {
        self.slots.get(&agent).map(|slot| Arc::clone(&slot.memory))
    }
}

/// How others reach a shard.
pub(crate) struct ShardHandle {
    pub(crate) sender: SyncSender<ShardMessage>,
    pub(crate) signal: Arc<Signal>,
}

impl ShardHandle {
    pub(crate) fn send(&self, message: ShardMessage) -> Result<(), Refusal> {
        match self.sender.try_send(message) {
            Ok(()) => {
                self.signal.ring();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(Refusal::new(
                ErrorCode::TooManyRequests,
                "the node has more requests waiting than it takes; try again shortly",
            )),
            Err(TrySendError::Disconnected(_)) => Err(shutting_down()),
        }
    }
}

/// An agent's place on its shard.
struct Slot {
    /// Gone while a turn has it.
    instance: Option<Instance>,
    /// Whether it had one at the end of its last turn.
    has_instance: bool,
    memory: Arc<Mutex<AgentMemory>>,
    turn: Option<Turn>,
    waker: Arc<TurnWaker>,
    /// When its last turn ended.
    used: Instant,
    /// With which time it stands in the line of those whose stacks may be in memory.
    stack_waits: Option<Instant>,
    /// The same of memories.
    memory_waits: Option<Instant>,
}

/// A turn that runs or is about to.
struct Turn {
    number: u64,
    spec: Arc<AgentSpec>,
    future: ReusableBoxFuture<'static, TurnDone>,
    /// Whether its last slice ended by pre-emption.
    preempted: bool,
    /// When it could have begun.
    due: Instant,
    /// Whether it has begun.
    begun: bool,
}

pub(crate) struct Shard {
    number: u16,
    shared: ShardShared,
    kernel: Kernel,
    inbox: Receiver<ShardMessage>,
    signal: Arc<Signal>,
    slots: ById<Slot>,
    /// Turns not begun.
    fresh: VecDeque<AgentId>,
    /// Turns whose host wait has ended.
    resumed: VecDeque<AgentId>,
    /// Turns that used up their slice.
    preempted: VecDeque<AgentId>,
    outboxes: Vec<Outbox>,
    effects: Vec<Effect>,
    /// Events not yet on their way to who watches.
    published: Vec<NodeEvent>,
    /// Records the journal has not been given, and what waits for them.
    batch: Batch,
    /// When it was given the last.
    handed: Instant,
    /// Since when it has something that it was not woken for.
    unwoken: Option<Instant>,
    /// Whether somebody outside waits for that.
    is_awaited: bool,
    /// Agents with something in memory that a checkpoint may take over.
    written: HashSet<AgentId>,
    trimmed: Instant,
    warm: Warm,
    /// The time as it was looked at last: at the round's begin, or when the last guest gave way.
    looked: Instant,
    /// The memory of turns that have ended, for those to come: it is still near the processor.
    futures: Vec<ReusableBoxFuture<'static, TurnDone>>,
    counted: Counted,
    close_by: Option<Instant>,
    last_peer: Option<Instant>,
}

impl Shard {
    pub(crate) fn new(
        number: u16,
        shared: Arc<Shared>,
        kernel: Kernel,
        inbox: Receiver<ShardMessage>,
        signal: Arc<Signal>,
    ) -> Self {
        let outboxes = (0..shared.directory.shards())
            .map(|_| Outbox::default())
            .collect();
        Self {
            number,
            shared: Arc::new(shared),
            kernel,
            inbox,
            signal,
            slots: ById::default(),
            fresh: VecDeque::new(),
            resumed: VecDeque::new(),
            preempted: VecDeque::new(),
            outboxes,
            effects: Vec::new(),
            published: Vec::new(),
            batch: Batch::default(),
            handed: Instant::now(),
            unwoken: None,
            is_awaited: false,
            written: HashSet::new(),
            trimmed: Instant::now(),
            warm: Warm::default(),
            looked: Instant::now(),
            futures: Vec::new(),
            counted: Counted::default(),
            close_by: None,
            last_peer: None,
        }
    }

    /// The thread's whole life.
    pub(crate) fn run(mut self) {
        self.signal.attach();
        // Host functions that wait (sleep, store reads) find their timers and threads there.
        let io = self.shared.io.clone();
        let _entered = io.enter();
        // Mail that waited when the last process ended waits for nobody to ask.
        self.step(Event::Tick);
        while !self.is_over() {
            let busy = self.round();
            if !busy {
                self.rest();
            }
        }
        self.hand_on();
        self.wake_journal();
    }

    fn is_over(&self) -> bool {
        let turns = || self.slots.values().any(|slot| slot.turn.is_some());
        self.close_by
            .is_some_and(|by| Instant::now() >= by || !turns())
    }

    /// One round; answers whether there was anything to do.
    fn round(&mut self) -> bool {
        self.looked = Instant::now();
        let mut busy = self.take_messages();
        if self
            .kernel
            .next_wake()
            .is_some_and(|wake| wake <= clock::now())
        {
            self.step(Event::Tick);
            busy = true;
        }
        self.take_woken();
        let resumed = self.resumed.len();
        for _ in 0..resumed {
            if let Some(agent) = self.resumed.pop_front() {
                self.poll(agent);
            }
        }
        if self.takes_turns() {
            let fresh = self.fresh.len();
            for _ in 0..fresh {
                if let Some(agent) = self.fresh.pop_front() {
                    self.poll(agent);
                    busy = true;
                }
                if self.is_overdue() {
                    self.hand_on();
                }
                if self.shared.budget.asks() {
                    self.take_messages();
                }
            }
        }
        self.trim_values();
        busy |= resumed > 0;
        let goes_on = busy && !self.fresh.is_empty() && self.preempted.is_empty();
        if !goes_on || self.is_overdue() {
            self.hand_on();
        }
        busy |= self.trim_idle();
        // Last: what the others have said must not wait for its slice.
        if let Some(agent) = self.preempted.pop_front() {
            self.wake_journal();
            Arc::clone(&self.signal).long_turn(|| self.poll(agent));
            busy = true;
        }
        busy
    }

    fn takes_turns(&self) -> bool {
        self.shared.store.takes_turns()
            && self
                .outboxes
                .iter()
                .all(|outbox| outbox.deliveries.len() < OUTBOX_MAX)
    }

    fn take_messages(&mut self) -> bool {
        let mut any = false;
        for _ in 0..ROUND_MESSAGES_MAX {
            match self.inbox.try_recv() {
                Ok(message) => self.take(message),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.close_by = Some(Instant::now());
                    break;
                }
            }
            any = true;
        }
        any
    }

    fn take(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Event(event) => {
                if matches!(event, Event::Delivered(_)) {
                    self.last_peer = Some(Instant::now());
                }
                self.step(event);
            }
            ShardMessage::Inspect(question) => {
                question(&ShardView {
                    kernel: &self.kernel,
                    slots: &self.slots,
                });
            }
            ShardMessage::Fault(agent, fault) => self.fault_turn(agent, fault),
            ShardMessage::Close(by) => {
                self.close_by = Some(by);
                self.step(Event::Quiesce);
            }
        }
    }

    fn take_woken(&mut self) {
        let mut woken = Vec::new();
        self.signal.take_woken(&mut woken);
        for agent in woken {
            let Some(slot) = self.slots.get_mut(&agent) else {
                continue;
            };
            if !slot.waker.clear() {
                continue;
            }
            let Some(turn) = &slot.turn else { continue };
            if turn.preempted {
                self.preempted.push_back(agent);
            } else {
                self.resumed.push_back(agent);
            }
        }
    }

    /// Lets a guest run until it ends, waits, or its slice is over.
    fn poll(&mut self, agent: AgentId) {
        let Some(slot) = self.slots.get_mut(&agent) else {
            return;
        };
        let Some(turn) = &mut slot.turn else { return };
        if !std::mem::replace(&mut turn.begun, true) {
            let waited = self.looked.saturating_duration_since(turn.due);
            self.counted.turn_begun(waited);
        }
        let waker = Waker::from(Arc::clone(&slot.waker));
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| turn.future.poll(&mut context)));
        self.looked = Instant::now();
        match polled {
            Ok(Poll::Pending) => {
                turn.preempted = slot.waker.is_woken();
                if !turn.preempted {
                    self.look_for_access(agent);
                }
            }
            Ok(Poll::Ready(done)) => {
                let spec = Arc::clone(&turn.spec);
                let took = self.looked.saturating_duration_since(turn.due);
                self.counted.turn_took(took);
                if let Some(turn) = slot.turn.take()
                    && self.futures.len() < FUTURES_MAX
                {
                    self.futures.push(turn.future);
                }
                self.set_instance(agent, done.instance);
                self.turn_ended(&spec, done.end);
                // The room for its rows is given back when they are there.
                drop(done.rows);
            }
            Err(_) => {
                let text = "the host panicked in this turn; its log says where";
                self.fault_turn(agent, Fault::new(ErrorCode::Internal, text));
            }
        }
    }

    fn set_instance(&mut self, agent: AgentId, instance: Option<Instance>) {
        let Some(slot) = self.slots.get_mut(&agent) else {
            return;
        };
        match (slot.has_instance, instance.is_some()) {
            (false, true) => {
                self.shared.instances.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                self.shared.instances.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
        slot.has_instance = instance.is_some();
        if instance.is_none() {
            let mut memory = slot.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.guest_bytes = 0;
        }
        let is_kept = instance.is_some();
        slot.instance = instance;
        if is_kept {
            self.used(agent);
        }
    }

    fn turn_ended(&mut self, spec: &AgentSpec, end: Box<TurnEnd>) {
        let ran = Duration::from_micros(end.cpu_micros);
        self.counted.turn_ended(ran);
        if end.result.is_ok() && !self.is_journalled(spec) {
            self.commit(end.agent, &end.effects.writes, u64::MAX);
        }
        self.step(Event::TurnEnded(end));
    }

    fn is_journalled(&self, spec: &AgentSpec) -> bool {
        self.shared.durable() && spec.durability == Durability::Durable
    }

    fn commit(&mut self, agent: AgentId, writes: &[caxton_model::StateWrite], seq: u64) {
        if let Some(slot) = self.slots.get(&agent)
            && !writes.is_empty()
        {
            slot.memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .commit(writes, seq);
            self.written.insert(agent);
        }
    }

    /// Lets the kernel decide, then does what it decided, in order.
    fn step(&mut self, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        let (now, wall_ahead) = clock::read();
        self.kernel.set_wall_ahead(wall_ahead);
        self.kernel.step(now, event, &mut effects);
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Journal(entry) => self.publish(entry),
            Effect::WriteRows(entry) => self.write_rows(&entry),
            Effect::Run(run) => self.begin(*run),
            Effect::GrantsChanged { agent, granted } => self.set_rights(agent, &granted),
            Effect::ProcessorChanged { name, spec } => self.shared.processor_changed(name, spec),
            Effect::Perform {
                agent,
                turn,
                number,
                key,
            } => self.perform_access(agent, turn, number, key),
            Effect::Resume {
                agent,
                turn,
                outcome,
            } => self.resume(agent, turn, outcome),
            Effect::Cancel { agent } => {
                if let Some(slot) = self.slots.get_mut(&agent) {
                    slot.turn = None;
                }
                self.set_instance(agent, None);
            }
            Effect::DropInstance { agent } => {
                self.set_instance(agent, None);
                if self.slots.get(&agent).is_some_and(Slot::is_bare) {
                    self.slots.remove(&agent);
                }
            }
            Effect::Forget { agent } => {
                self.set_instance(agent, None);
                self.slots.remove(&agent);
                self.written.remove(&agent);
                self.shared.forget(agent);
            }
            Effect::Forward { shard, delivery } => self.forward(shard, delivery),
            Effect::DirectoryChanged { services } => self.directory_changed(&services),
            Effect::Answer { ticket, answer } => self.tell_outside(move |shared, durable| {
                let answer = if durable { answer } else { Err(lost()) };
                shared.tickets.answer(ticket, answer);
            }),
            Effect::ClientMail {
                client,
                mail,
                answers,
            } => self.tell_outside(move |shared, durable| {
                if durable {
                    shared.waiters.tell(&client, &mail, answers.as_deref());
                }
            }),
            Effect::Publish(event) => {
                self.counted.event(&event);
                self.shared.note_breach(&event);
                self.shared.audit.note_event(&event);
                self.published.push(event);
            }
        }
    }

    fn begin(&mut self, run: RunTurn) {
        let (agent, number) = (run.agent, run.turn);
        let spec = Arc::clone(run.ctx.spec());
        let slot = self.slots.entry(agent).or_insert_with(|| Slot {
            instance: None,
            has_instance: false,
            memory: Arc::new(Mutex::new(AgentMemory::new(&spec.limits, clock::now()))),
            turn: None,
            waker: TurnWaker::new(agent, Arc::clone(&self.signal)),
            used: self.looked,
            stack_waits: None,
            memory_waits: None,
        });
        let state = self.kernel.state().agents.get(&agent);
        let state_size = state.map_or((0, 0), |state| (state.state_bytes, state.state_keys));
        let job = Job {
            shared: Arc::clone(&self.shared),
            spec: Arc::clone(&spec),
            memory: Arc::clone(&slot.memory),
            instance: slot.instance.take(),
            stored: state_size.1 > 0
                && self.shared.durable()
                && spec.durability == Durability::Durable,
            state_size,
            run,
        };
        let future = match self.futures.pop() {
            Some(mut future) => {
                future.set(turn::run(job));
                future
            }
            None => ReusableBoxFuture::new(turn::run(job)),
        };
        slot.turn = Some(Turn {
            number,
            spec,
            future,
            preempted: false,
            due: self.looked,
            begun: false,
        });
        self.fresh.push_back(agent);
    }

    /// Nothing to do: looks a little longer if peers were active, then parks until the bell rings
    /// or something falls due.
    fn rest(&mut self) {
        if self.is_awaited {
            self.wake_journal();
        }
        if self.last_peer.is_some_and(|at| at.elapsed() < SPIN) {
            std::thread::yield_now();
            return;
        }
        self.wake_journal();
        let now = clock::now();
        let until = self
            .kernel
            .next_wake()
            .map_or(PARK_MAX, |wake| wake.since(now).duration());
        let waiting = self.outboxes.iter().any(|outbox| !outbox.events.is_empty());
        let at_most = if waiting || !self.fresh.is_empty() {
            Duration::from_millis(1)
        } else {
            until.min(PARK_MAX)
        };
        let mut late = None;
        let inbox = &self.inbox;
        self.signal.park(at_most, || {
            late = inbox.try_recv().ok();
            late.is_some()
        });
        // Whoever counts may have come meanwhile.
        self.counted = Counted::default();
        if let Some(message) = late {
            self.take(message);
        }
    }
}
