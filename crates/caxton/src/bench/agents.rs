//! Agents that talk to each other, on one shard and on two, against bare stores and bare queues.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    time::{Duration, Instant},
};

use caxton_engine::bare::BareAgent;
use caxton_model::Durability;

use super::{
    Plan, guests,
    node::Measured,
    row::{Rate, Row, Unit, failed},
};
use crate::failure::Failure;

/// Rounds that one request of ours sets off; the times of the table are a batch's mean.
const ROUNDS: usize = 200;

/// Messages of one burst of the one-way measurement.
const BURST: usize = 256;

/// Bursts that one request of ours sets off.
const BURSTS: usize = 32;

/// How long a bare thread looks for work before it parks, as our shards do.
const SPIN: Duration = Duration::from_micros(30);

const KINDS: [(Durability, &str); 2] = [
    (Durability::Memory, "memory"),
    (Durability::Durable, "durable"),
];

/// The time of one of so many.
fn each(batch: Duration, count: usize) -> Duration {
    batch / u32::try_from(count).unwrap_or(u32::MAX)
}

/// An agent that sends itself the message which is its next turn.
pub(super) async fn turn(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let module = guests::asker("solo", ROUNDS)?;
    let measured = Measured::start(Durability::Memory, 1, &plan.dir).await?;
    measured
        .deploy("solo", &module, Durability::Memory, None)
        .await?;
    let mut bare = BareAgent::new(&module).map_err(failed)?;
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for batch in 0..plan.pick(20, 500) {
        let took = measured.ask("solo").await?;
        let begun = Instant::now();
        bare.handle(b"{}").map_err(failed)?;
        for _ in 0..ROUNDS {
            let message = bare
                .take_sent()
                .ok_or_else(|| failed("a bare agent fell silent"))?;
            bare.handle(&message).map_err(failed)?;
        }
        let of_bare = begun.elapsed();
        bare.take_sent();
        if batch > 1 {
            ours.push(each(took, ROUNDS));
            beside.push(each(of_bare, ROUNDS));
        }
    }
    measured.stop().await?;
    let row = Row::times(
        "agent turn, memory, 256 B message",
        Unit::Micros,
        ours,
        "wasmtime: allocate, copy, call, free, copy out",
        beside,
    );
    let overhead = row.overhead("  of it the host's share");
    Ok(vec![row, overhead])
}

/// Two agents on one shard.
pub(super) async fn round_trip(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (asker, answerer) = (
        guests::asker("answerer", ROUNDS)?,
        guests::answerer("asker", 1)?,
    );
    let mut rows = Vec::new();
    for (durability, kind) in KINDS {
        let measured = Measured::start(durability, 1, &plan.dir).await?;
        measured.deploy("asker", &asker, durability, None).await?;
        measured
            .deploy("answerer", &answerer, durability, None)
            .await?;
        let mut pair = Pair::new(&asker, &answerer)?;
        let (mut ours, mut beside) = (Vec::new(), Vec::new());
        for batch in 0..plan.pick(20, 300) {
            let took = measured.ask("asker").await?;
            let begun = Instant::now();
            pair.run()?;
            let of_bare = begun.elapsed();
            if batch > 1 {
                ours.push(each(took, ROUNDS));
                beside.push(each(of_bare, ROUNDS));
            }
        }
        measured.stop().await?;
        rows.push(Row::times(
            format!("agent request + reply, one shard, {kind}"),
            Unit::Micros,
            ours,
            "two bare stores, one queue",
            beside,
        ));
    }
    Ok(rows)
}

/// Two bare agents and a queue.
struct Pair {
    asker: BareAgent,
    answerer: BareAgent,
    queue: VecDeque<(bool, Vec<u8>)>,
}

impl Pair {
    fn new(asker: &[u8], answerer: &[u8]) -> Result<Self, Failure> {
        Ok(Self {
            asker: BareAgent::new(asker).map_err(failed)?,
            answerer: BareAgent::new(answerer).map_err(failed)?,
            queue: VecDeque::new(),
        })
    }
    /// Until nobody says anything more; the last word is the client's and goes nowhere.
    fn run(&mut self) -> Result<(), Failure> {
        self.queue.push_back((true, b"{}".to_vec()));
        let client = format!("\"receiver\":\"{}\"", guests::CLIENT).into_bytes();
        while let Some((to_asker, message)) = self.queue.pop_front() {
            let agent = if to_asker {
                &mut self.asker
            } else {
                &mut self.answerer
            };
            agent.handle(&message).map_err(failed)?;
            while let Some(sent) = agent.take_sent() {
                if !is_last(&sent, &client) {
                    self.queue.push_back((!to_asker, sent));
                }
            }
        }
        Ok(())
    }
}

/// Whether a bare agent's message is the one that ends a batch. Cost: looks at short ones only.
fn is_last(message: &[u8], client: &[u8]) -> bool {
    message.len() < 128 && message.windows(client.len()).any(|window| window == client)
}

/// Two agents on two shards, both at work all the time.
pub(super) async fn across_shards(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (asker, answerer) = (
        guests::asker("answerer", ROUNDS)?,
        guests::answerer("asker", 1)?,
    );
    let mut rows = Vec::new();
    for (durability, kind) in KINDS {
        let measured = Measured::start(durability, 2, &plan.dir).await?;
        measured
            .deploy("asker", &asker, durability, Some(0))
            .await?;
        measured
            .deploy("answerer", &answerer, durability, Some(1))
            .await?;
        let mut ours = Vec::new();
        let batches = plan.pick(12, 200);
        for batch in 0..batches {
            let took = measured.ask("asker").await?;
            if batch > 1 {
                ours.push(each(took, ROUNDS));
            }
        }
        measured.stop().await?;
        rows.push(Row::times(
            format!("agent request + reply, two busy shards, {kind}"),
            Unit::Micros,
            ours,
            "two bare stores on two threads, two queues",
            two_threads(&asker, &answerer, batches)?,
        ));
    }
    Ok(rows)
}

/// Takes from a queue; looks for a while before it parks. `None`: the other side has ended.
fn take(queue: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
    let begun = Instant::now();
    while begun.elapsed() < SPIN {
        match queue.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
            Err(TryRecvError::Disconnected) => return None,
        }
    }
    queue.recv().ok()
}

/// Batches of round trips between two bare agents on two threads.
fn two_threads(asker: &[u8], answerer: &[u8], batches: usize) -> Result<Vec<Duration>, Failure> {
    let (there, inbox) = sync_channel::<Vec<u8>>(64);
    let (back, outbox) = sync_channel::<Vec<u8>>(64);
    let mut asker = BareAgent::new(asker).map_err(failed)?;
    let mut answerer = BareAgent::new(answerer).map_err(failed)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Some(message) = take(&inbox) {
                let sent = answerer
                    .handle(&message)
                    .ok()
                    .and_then(|_| answerer.take_sent());
                let Some(sent) = sent else { break };
                if back.send(sent).is_err() {
                    break;
                }
            }
        });
        let mut times = Vec::with_capacity(batches);
        for _ in 0..batches {
            times.push(each(batch(&mut asker, &there, &outbox)?, ROUNDS));
        }
        drop(there);
        Ok(times)
    })
}

fn batch(
    asker: &mut BareAgent,
    there: &SyncSender<Vec<u8>>,
    back: &Receiver<Vec<u8>>,
) -> Result<Duration, Failure> {
    let silent = || failed("a bare agent fell silent");
    let begun = Instant::now();
    asker.handle(b"{}").map_err(failed)?;
    for _ in 0..ROUNDS {
        let ball = asker.take_sent().ok_or_else(silent)?;
        there.send(ball).map_err(|_| silent())?;
        asker
            .handle(&take(back).ok_or_else(silent)?)
            .map_err(failed)?;
    }
    let took = begun.elapsed();
    asker.take_sent();
    Ok(took)
}

/// Bursts one way, acknowledged by one message a burst.
pub(super) async fn one_way(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (source, sink) = (
        guests::source("sink", BURST, BURSTS)?,
        guests::answerer("source", BURST)?,
    );
    let time = Duration::from_millis(plan.pick(300, 5_000) as u64);
    let mut rows = Vec::new();
    for (durability, kind) in KINDS {
        let measured = Measured::start(durability, 1, &plan.dir).await?;
        measured.deploy("source", &source, durability, None).await?;
        measured.deploy("sink", &sink, durability, None).await?;
        measured.ask("source").await?;
        let (mut ours, begun) = (Rate::default(), Instant::now());
        while begun.elapsed() < time {
            measured.ask("source").await?;
            ours.note(begun.elapsed(), BURST * BURSTS);
        }
        measured.stop().await?;
        let mut pair = Pair::new(&source, &sink)?;
        let (mut bare, begun) = (Rate::default(), Instant::now());
        while begun.elapsed() < time / 5 {
            pair.run()?;
            bare.note(begun.elapsed(), BURST * BURSTS);
        }
        rows.push(Row::rates(
            format!("messages one way, one shard, {kind}"),
            &ours,
            "two bare stores, one queue",
            &bare,
        ));
    }
    Ok(rows)
}
