//! The node's budgets: what all guests together may take of this machine.
//!
//! Memory is watched every 50 ms, on a thread of its own that waits for nobody's runtime. Above three
//! quarters of the budget whoever the host keeps most for adds nothing. Above the
//! budget guests get no more memory and no new instances; then (also where a growth was refused that
//! would have gone beyond it) idle instances go, those that were idle longest first; and where it still goes on, above the end (75 where the budget is 60), the
//! largest guests at work are faulted until it is below. Each step measures again before the next.
//! Between two looks no growth can go beyond what the last one left ([`Room`]), and what a turn that
//! runs has taken counts in full: it may touch it at any time.
//!
//! The disk's budget is looked at with the node's slow pulse.
//!
//! Thread: `budget`. On error: nothing can be read, nothing is bounded, and that is said once. On
//! shutdown: ends by itself within a look.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    time::{Duration, Instant},
};

use caxton_engine::Room;
use caxton_kernel::{Event, Refusal};
use caxton_model::{AgentId, ByteSize, ErrorCode, Fault, Micros, Timestamp};

use crate::{
    clock,
    gauge::{Gauge, Reading},
    shard::ShardMessage,
    shared::Shared,
};

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);

/// What is made free at least when idle instances go, so that the next ones have room. Unit: percent
/// of the budget.
const SPARE_PERCENT: u64 = 10;

/// What is made free where a heavy namespace was refused, so that the node is no longer near to its
/// budget. Unit: percent of the budget.
const NEAR_SPARE_PERCENT: u64 = 26;

/// Looks at the memory between two at the mailboxes: one a second.
const LOOKS_OF_MAIL: u64 = 20;

/// Instances with less are small: they free little and would all have to be made again.
const SMALL_BYTES: u64 = 1 << 20;

/// How long a small instance has had nothing to do before it may go: one that is asked now and then
/// keeps answering.
const SMALL_IDLE: Micros = Micros::secs(5);

/// How long one look waits for a shard's answer. A shard answers between two slices.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The part of the memory budget that the host may use for what it keeps for all namespaces.
const SHARES_OF_BUDGET: u64 = 4;

/// How far it has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Stage {
    /// There is room.
    Open,
    /// Above three quarters of the budget: namespaces for which the host keeps most add nothing.
    Near,
    /// Above the budget: no growth, no instances, no deploys.
    Tight,
    /// Above the end: nothing more from outside either.
    Over,
}

/// The budgets and how they stand.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What the engine asks at each growth.
    pub(crate) room: Room,
    stage: AtomicU8,
    used: AtomicU64,
    budget: AtomicU64,
    asks: AtomicBool,
    /// A namespace that uses much was refused something since the last look.
    refused_heavy: AtomicBool,
    disk_used: AtomicU64,
    disk_budget: u64,
}

/// One guest, as a shard knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) agent: AgentId,
    /// Its memories. Unit: bytes.
    pub(crate) bytes: u64,
    /// Since when it has had nothing to do; `None`: it is at work.
    pub(crate) idle_since: Option<Timestamp>,
}

impl Budget {
    pub(crate) fn new(room: Room, disk_budget: u64) -> Self {
        Self {
            room,
            stage: AtomicU8::new(Stage::Open as u8),
            used: AtomicU64::new(0),
            budget: AtomicU64::new(u64::MAX),
            asks: AtomicBool::new(false),
            refused_heavy: AtomicBool::new(false),
            disk_used: AtomicU64::new(0),
            disk_budget,
        }
    }
    /// Whether shards should look at what they were sent between two turns, not only between two
    /// rounds of them.
    pub(crate) fn asks(&self) -> bool {
        self.asks.load(Relaxed)
    }
    /// Memory used and its budget; the budget is `u64::MAX` where nothing is watched. Unit: bytes.
    pub(crate) fn memory(&self) -> (u64, u64) {
        (self.used.load(Relaxed), self.budget.load(Relaxed))
    }
    /// Disk used and its budget. Unit: bytes.
    pub(crate) fn disk(&self) -> (u64, u64) {
        (self.disk_used.load(Relaxed), self.disk_budget)
    }
    /// Takes note of what the data directory has. Unit: bytes.
    pub(crate) fn note_disk(&self, used: u64) {
        self.disk_used.store(used, Relaxed);
    }
    /// Why no new guest is taken now, if none is.
    pub(crate) fn refuses_guests(&self) -> Option<Refusal> {
        self.refuses_from(Stage::Tight)
    }
    /// Why nothing is taken that stays in memory or on the disk, if so: messages, state.
    pub(crate) fn refuses_bytes(&self) -> Option<Refusal> {
        self.refuses_from(Stage::Over)
    }
    /// The same without the words, for the way of every message.
    pub(crate) fn is_out_of_bytes(&self) -> bool {
        self.stage.load(Relaxed) >= Stage::Over as u8 || self.is_out_of_disk()
    }
    /// Whether whoever uses most should add nothing, so that it never comes to refusing others.
    pub(crate) fn is_near(&self) -> bool {
        self.stage.load(Relaxed) >= Stage::Near as u8
    }
    /// Takes note that one who uses much was refused: idle instances make room for it.
    pub(crate) fn note_heavy(&self) {
        self.refused_heavy.store(true, Relaxed);
    }
    fn is_out_of_disk(&self) -> bool {
        self.disk_used.load(Relaxed) > self.disk_budget
    }
    fn refuses_from(&self, stage: Stage) -> Option<Refusal> {
        if self.stage.load(Relaxed) >= stage as u8 {
            let (used, budget) = self.memory();
            return Some(refusal("memory", used, budget, "memory"));
        }
        let (used, budget) = self.disk();
        self.is_out_of_disk()
            .then(|| refusal("disk", used, budget, "disk"))
    }
    /// Takes note of a reading; nothing that stays is refused before guests were asked to give.
    fn note(&self, reading: Reading, is_final: bool) {
        let stage = match (reading.is_over(), reading.is_at_its_end()) {
            (_, true) if is_final => Stage::Over,
            (true, _) => Stage::Tight,
            (false, _) if reading.is_near() => Stage::Near,
            (false, _) => Stage::Open,
        };
        self.room.set(reading.left(), reading.budget);
        self.used.store(reading.used, Relaxed);
        self.budget.store(reading.budget, Relaxed);
        self.stage.store(stage as u8, Relaxed);
    }
}

/// The refusal at a budget: which, how much there is, what to do.
fn refusal(name: &'static str, used: u64, budget: u64, what: &str) -> Refusal {
    refused(name);
    Refusal::new(
        ErrorCode::NodeBudget,
        format!(
            "the node uses {} of {what}, its budget `{name}` is {}; remove agents, or raise `budgets.{name}` in node.toml",
            ByteSize(used),
            ByteSize(budget)
        ),
    )
}

/// The refusal of what a namespace adds that is one of those for which the host keeps most.
pub(crate) fn heavy(owner: &str) -> Refusal {
    refused("memory");
    Refusal::new(
        ErrorCode::NodeBudget,
        format!(
            "the node is short of memory, and the namespace of `{owner}` is one of those for which the host keeps most (mail, dead letters, open requests, conversations); send less at a time, or raise `budgets.memory` in node.toml"
        ),
    )
}

/// Counts a refusal at a budget.
pub(crate) fn refused(name: &'static str) {
    metrics::counter!("caxton_budget_refused_total", "budget" => name).increment(1);
}

/// Starts to watch; ends with the node.
///
/// Errors: no thread can be made.
pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let gauge = Gauge::find(Path::new("/"), shared.options.memory_bytes_max);
    match gauge.read() {
        Some(reading) => {
            shared.budget.note(reading, false);
            let share = reading.budget / SHARES_OF_BUDGET;
            shared.directory.host_shares().set_share(share);
        }
        None => {
            tracing::warn!("the memory of this process can't be read: its budget is not watched");
            return Ok(());
        }
    }
    let node = Arc::downgrade(shared);
    std::thread::Builder::new()
        .name("budget".to_owned())
        .spawn(move || watch(&gauge, &node))
        .map(drop)
}

fn watch(gauge: &Gauge, node: &Weak<Shared>) {
    let mut refused_before = 0;
    for number in 0_u64.. {
        std::thread::park_timeout(LOOK);
        let Some(shared) = node.upgrade() else { return };
        if shared.closing.load(Relaxed) {
            return;
        }
        look(gauge, &shared);
        if number % LOOKS_OF_MAIL == 0 {
            count_mail(&shared);
        }
        let refused = shared.budget.room.refused();
        if refused > refused_before {
            metrics::counter!("caxton_budget_refused_total", "budget" => "memory")
                .increment(refused - refused_before);
            refused_before = refused;
        }
    }
}

/// Counts what waits in mailboxes and what rows take, where it matters whose it is. Rows are as mail
/// is: they have a limit of their own, and nothing of them goes.
fn count_mail(shared: &Shared) {
    let mut mail = HashMap::new();
    if shared.budget.is_near() {
        mail = shared.directory.mail_by_namespace();
        for (namespace, bytes) in shared.tables.used() {
            *mail.entry(namespace).or_default() += bytes;
        }
    }
    shared.directory.host_shares().set_mail(mail);
}

/// Measures, and does what the measure asks for.
fn look(gauge: &Gauge, shared: &Shared) {
    let Some(reading) = gauge.read() else { return };
    shared.budget.note(reading, false);
    if shared.directory.host_shares().are_over() {
        for shard in 0..shared.directory.shards() {
            // A shard whose queue is full is asked again at the next look.
            let _ = shared.send(shard, ShardMessage::Event(Event::TrimHostBytes));
        }
    }
    // What was refused since the last look may have room when idle instances have gone.
    let wanted = match shared.budget.refused_heavy.swap(false, Relaxed) {
        true => reading.budget / 100 * NEAR_SPARE_PERCENT,
        false => 0,
    };
    let wanted = wanted.max(shared.budget.room.take_wanted());
    if !reading.is_over() && wanted == 0 {
        return;
    }
    shared.budget.asks.store(true, Relaxed);
    let spare = (reading.budget / 100 * SPARE_PERCENT).max(wanted);
    passivate(gauge, shared, reading.budget.saturating_sub(spare));
    if gauge.read().is_some_and(|reading| reading.is_at_its_end()) {
        fault_largest(gauge, shared);
    }
    shared.budget.asks.store(false, Relaxed);
    if let Some(after) = gauge.read() {
        shared.budget.note(after, true);
    }
}

/// Lets idle instances go until the measure is at the aim: those idle longest first, and small ones
/// only when no large one is left and they were idle for a while. Else a guest at work that holds
/// too much would cost its neighbours their instances, for little.
fn passivate(gauge: &Gauge, shared: &Shared, aim: u64) {
    let now = clock::now();
    let mut idle = held(shared);
    idle.retain(|(_, held)| {
        let is_large = held.bytes >= SMALL_BYTES;
        held.idle_since
            .is_some_and(|since| is_large || now.since(since) >= SMALL_IDLE)
    });
    idle.sort_unstable_by_key(|(_, held)| (held.bytes < SMALL_BYTES, held.idle_since));
    let idle: Vec<(Place, u64)> = idle
        .iter()
        .map(|(shard, held)| (Place::Shard(*shard, held.agent), held.bytes))
        .collect();
    let went = go(gauge, shared, &idle, aim, |place, _| match place {
        Place::Shard(shard, agent) => {
            let message = ShardMessage::Event(Event::Passivate { agent });
            shared.send(shard, message).is_ok()
        }
        Place::Call(_) => false,
    });
    metrics::counter!("caxton_budget_passivated_total").increment(went);
}

/// Faults guests at work, the largest first, until the measure is below its end.
fn fault_largest(gauge: &Gauge, shared: &Shared) {
    let mut at_work = held(shared);
    at_work.retain(|(_, held)| held.idle_since.is_none());
    let calls = shared.processors.held().into_iter();
    let calls = calls.map(|(number, bytes)| (Place::Call(number), bytes));
    let turns = at_work
        .iter()
        .map(|(shard, held)| (Place::Shard(*shard, held.agent), held.bytes));
    let mut all: Vec<(Place, u64)> = turns.chain(calls).collect();
    all.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let Some(end) = gauge.read().map(|reading| reading.end) else {
        return;
    };
    let (used, budget) = shared.budget.memory();
    let went = go(gauge, shared, &all, end, |place, bytes| {
        let fault = outgrown(bytes, used, budget);
        match place {
            Place::Shard(shard, agent) => {
                let message = ShardMessage::Fault(agent, fault);
                shared.send(shard, message).is_ok()
            }
            Place::Call(number) => shared.processors.fault(number, fault),
        }
    });
    metrics::counter!("caxton_budget_faulted_total").increment(went);
    if went > 0 {
        tracing::warn!(
            guests = went,
            used = %ByteSize(used),
            budget = %ByteSize(budget),
            "the node's memory was at its end: the largest guests at work were faulted"
        );
    }
}

/// Why a guest at work is faulted although it is within its own limits.
fn outgrown(bytes: u64, used: u64, budget: u64) -> Fault {
    let text = format!(
        "the node uses {} of memory, its budget `memory` is {}, and this guest was the largest at work, with {}; {}",
        ByteSize(used),
        ByteSize(budget),
        ByteSize(bytes),
        ErrorCode::NodeBudget.remedy()
    );
    Fault::new(ErrorCode::NodeBudget, text)
}

/// Where a guest's memory is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// An agent, on this shard.
    Shard(u16, AgentId),
    /// A call of a processor, by its number.
    Call(u64),
}

/// Sends guests their way in the order given, in rounds: as many as may bring the measure to the
/// aim if all of their memory is touched, then twice that, and so on; it measures after each.
///
/// Answers how many it were.
fn go(
    gauge: &Gauge,
    shared: &Shared,
    guests: &[(Place, u64)],
    aim: u64,
    send: impl Fn(Place, u64) -> bool,
) -> u64 {
    let (mut rest, mut went, mut factor) = (guests, 0, 1_u64);
    while !rest.is_empty() {
        let Some(excess) = gauge
            .read()
            .and_then(|reading| reading.used.checked_sub(aim))
            .filter(|excess| *excess > 0)
        else {
            break;
        };
        let mut freed = 0_u64;
        let enough = excess.saturating_mul(factor);
        let count = rest
            .iter()
            .take_while(|(_, bytes)| {
                let wanted = freed < enough;
                freed = freed.saturating_add(*bytes);
                wanted
            })
            .count()
            .max(1);
        let (now, later) = rest.split_at(count.min(rest.len()));
        for (place, bytes) in now {
            // A shard whose queue is full frees nothing now; the next look asks again.
            went += u64::from(send(*place, *bytes));
        }
        // What they hold is asked behind what they were sent: the answer says it is done.
        if ask(shared, |_| ()).len() < shared.shards.len() {
            break;
        }
        wait_for_calls(shared, now);
        (rest, factor) = (later, factor.saturating_mul(2));
    }
    went
}

/// Waits until the calls among these have ended, which each does when its guest next gives way.
fn wait_for_calls(shared: &Shared, guests: &[(Place, u64)]) {
    let until = Instant::now() + ANSWER_MAX;
    let runs = |(place, _): &(Place, u64)| match place {
        Place::Call(number) => shared.processors.runs(*number),
        Place::Shard(..) => false,
    };
    while guests.iter().any(runs) && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Every guest that has an instance, with its shard.
fn held(shared: &Shared) -> Vec<(u16, Held)> {
    let lists = ask(shared, |view| view.held());
    lists
        .into_iter()
        .flat_map(|(shard, held)| held.into_iter().map(move |held| (shard, held)))
        .collect()
}

/// Asks every shard something; those that don't answer in time are left out.
fn ask<T: Send + 'static>(
    shared: &Shared,
    question: impl Fn(&crate::shard::ShardView<'_>) -> T + Copy + Send + 'static,
) -> Vec<(u16, T)> {
    let (sender, answers) = sync_channel(shared.shards.len());
    let mut asked = 0;
    for shard in 0..shared.directory.shards() {
        let sender = sender.clone();
        let inspect = ShardMessage::Inspect(Box::new(move |view| {
            // Whoever asked may have stopped waiting.
            let _ = sender.try_send((shard, question(view)));
        }));
        asked += usize::from(shared.send(shard, inspect).is_ok());
    }
    let mut all = Vec::new();
    while all.len() < asked {
        match answers.recv_timeout(ANSWER_MAX) {
            Ok(answer) => all.push(answer),
            Err(_) => break,
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(used: u64) -> Reading {
        Reading {
            used,
            budget: 100,
            end: 125,
        }
    }

    #[test]
    fn first_guests_are_refused_then_everything_that_stays() {
        let budget = Budget::new(Room::default(), 1_000);
        budget.note(at(100), true);
        assert!(budget.refuses_guests().is_none() && !budget.is_out_of_bytes());
        budget.note(at(101), true);
        let refusal = budget.refuses_guests().unwrap();
        assert_eq!(refusal.code, ErrorCode::NodeBudget);
        assert!(refusal.text.contains("`budgets.memory`"), "{refusal}");
        assert!(budget.refuses_bytes().is_none() && !budget.is_out_of_bytes());
        budget.note(at(126), false);
        assert!(budget.refuses_bytes().is_none(), "guests are asked first");
        budget.note(at(126), true);
        assert!(budget.refuses_bytes().is_some() && budget.is_out_of_bytes());
        budget.note(at(99), true);
        assert!(budget.refuses_guests().is_none());
        budget.note_disk(1_001);
        let refusal = budget.refuses_bytes().unwrap();
        assert!(refusal.text.contains("`budgets.disk`"), "{refusal}");
        assert!(budget.is_out_of_bytes());
        budget.note_disk(1_000);
        assert!(budget.refuses_guests().is_none());
    }
}
