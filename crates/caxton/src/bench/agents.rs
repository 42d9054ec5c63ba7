//! Agents that talk to each other, on one shard and on two, against bare stores and bare queues.
//!
//! Round trips are timed one by one, ours by the asking guest's own clock: no client's way to the
//! node and back is in them, but one look at the clock in each round is.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    time::{Duration, Instant},
};

use caxton_engine::bare::BareAgent;
use caxton_kernel::shard_of_client;
use caxton_model::Durability;

use super::{
    Plan, guests,
    node::Measured,
    row::{Row, Target, Unit, failed, from_micros},
};
use crate::failure::Failure;

/// Rounds that one request of ours sets off.
const ROUNDS: usize = 200;

/// How long a bare thread looks for work before it parks, as our shards do.
const SPIN: Duration = Duration::from_micros(30);

/// Between two questions to shards that are to be parked.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) const KINDS: [(Durability, &str); 2] = [
    (Durability::Memory, "memory"),
    (Durability::Durable, "durable"),
];

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
        let rounds = measured.rounds("solo").await?;
        let mut of_bare = Vec::with_capacity(ROUNDS);
        bare.handle(b"{}").map_err(failed)?;
        for _ in 0..ROUNDS {
            let message = bare.take_sent().ok_or_else(silent)?;
            let begun = Instant::now();
            bare.handle(&message).map_err(failed)?;
            of_bare.push(begun.elapsed());
        }
        bare.take_sent();
        if batch > 1 {
            ours.extend(rounds);
            beside.extend(of_bare);
        }
    }
    measured.stop().await?;
    let row = Row::times(
        "agent turn, memory, 256 B message",
        Unit::Micros,
        from_micros(ours),
        "wasmtime: allocate, copy, call, free, copy out",
        beside,
    );
    let overhead = row.overhead("  of it the host's share");
    Ok(vec![row, overhead.must(Target::AtMost(1.5))])
}

/// Two agents on one shard.
pub(super) async fn round_trip(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (asker, answerer) = (
        guests::asker("answerer", ROUNDS)?,
        guests::answerer("asker", 1)?,
    );
    let mut rows = Vec::new();
    for ((durability, kind), most) in KINDS.into_iter().zip([4.0, 6.0]) {
        let measured = Measured::start(durability, 1, &plan.dir).await?;
        measured.deploy("asker", &asker, durability, None).await?;
        measured
            .deploy("answerer", &answerer, durability, None)
            .await?;
        let mut pair = Pair::new(&asker, &answerer)?;
        let (mut ours, mut beside) = (Vec::new(), Vec::new());
        for batch in 0..plan.pick(20, 300) {
            let rounds = measured.rounds("asker").await?;
            let of_bare = pair.run()?;
            if batch > 1 {
                ours.extend(rounds);
                beside.extend(of_bare);
            }
        }
        measured.stop().await?;
        let row = Row::times(
            format!("agent request + reply, one shard, {kind}"),
            Unit::Micros,
            from_micros(ours),
            "two bare stores, one queue",
            beside,
        );
        rows.push(row.must(Target::AtMost(most)));
    }
    Ok(rows)
}

/// Two bare agents and a queue.
pub(super) struct Pair {
    asker: BareAgent,
    answerer: BareAgent,
    queue: VecDeque<(bool, Vec<u8>)>,
}

impl Pair {
    pub(super) fn new(asker: &[u8], answerer: &[u8]) -> Result<Self, Failure> {
        Ok(Self {
            asker: BareAgent::new(asker).map_err(failed)?,
            answerer: BareAgent::new(answerer).map_err(failed)?,
            queue: VecDeque::new(),
        })
    }
    /// Until nobody says anything more; the times between two turns of the asker. The last word is
    /// the client's and goes nowhere.
    pub(super) fn run(&mut self) -> Result<Vec<Duration>, Failure> {
        self.queue.push_back((true, b"{}".to_vec()));
        let (mut times, mut last) = (Vec::new(), None);
        while let Some((to_asker, message)) = self.queue.pop_front() {
            let agent = if to_asker {
                let now = Instant::now();
                times.extend(last.replace(now).map(|last| now - last));
                &mut self.asker
            } else {
                &mut self.answerer
            };
            agent.handle(&message).map_err(failed)?;
            while let Some(sent) = agent.take_sent() {
                if !sent.starts_with(guests::TOLD.as_bytes()) {
                    self.queue.push_back((!to_asker, sent));
                }
            }
        }
        Ok(times)
    }
}

/// Two agents on two shards: both at work all the time, then both parked before each question.
pub(super) async fn across_shards(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (durability, kind) in KINDS {
        let batches = plan.pick(12, 200);
        let busy = Across::new(ROUNDS, Duration::ZERO, batches)?;
        let row = busy.row(plan, durability, format!("two busy shards, {kind}"));
        rows.push(row.await?.must(Target::AtMost(12.0)));
    }
    for (durability, kind) in KINDS {
        let idle = Across::new(1, PAUSE, plan.pick(50, 2_000))?;
        let row = idle.row(plan, durability, format!("two idle shards, {kind}"));
        let row = row.await?;
        // What one of the seeds asks of a message between components, on its longest way here.
        let seeds = row.again(format!("  the same, as a message there and back, {kind}"));
        rows.push(row.must(Target::AtMost(70.0)));
        rows.push(seeds.must(Target::Under(100.0)));
    }
    Ok(rows)
}

/// Questions between two shards.
struct Across {
    asker: Vec<u8>,
    answerer: Vec<u8>,
    rounds: usize,
    pause: Duration,
    batches: usize,
}

impl Across {
    fn new(rounds: usize, pause: Duration, batches: usize) -> Result<Self, Failure> {
        Ok(Self {
            asker: guests::asker("answerer", rounds)?,
            answerer: guests::answerer("asker", 1)?,
            rounds,
            pause,
            batches,
        })
    }
    async fn row(&self, plan: &Plan, durability: Durability, what: String) -> Result<Row, Failure> {
        let measured = Measured::start(durability, 2, &plan.dir).await?;
        // The client's own shard is the asker's: else its question would keep the other one awake.
        let home = shard_of_client(guests::CLIENT, 2);
        measured
            .deploy("asker", &self.asker, durability, Some(home))
            .await?;
        measured
            .deploy("answerer", &self.answerer, durability, Some(1 - home))
            .await?;
        let mut ours = Vec::new();
        for batch in 0..self.batches {
            tokio::time::sleep(self.pause).await;
            let rounds = measured.rounds("asker").await?;
            if batch > 1 {
                ours.extend(rounds);
            }
        }
        measured.stop().await?;
        Ok(Row::times(
            format!("agent request + reply, {what}"),
            Unit::Micros,
            from_micros(ours),
            "two bare stores on two threads, two queues",
            self.bare()?,
        ))
    }
    /// The same between two bare agents on two threads.
    fn bare(&self) -> Result<Vec<Duration>, Failure> {
        let (there, inbox) = sync_channel::<Vec<u8>>(64);
        let (back, outbox) = sync_channel::<Vec<u8>>(64);
        let mut asker = BareAgent::new(&self.asker).map_err(failed)?;
        let mut answerer = BareAgent::new(&self.answerer).map_err(failed)?;
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
            let mut times = Vec::new();
            for _ in 0..self.batches {
                std::thread::park_timeout(self.pause);
                times.extend(batch(&mut asker, &there, &outbox, self.rounds)?);
            }
            drop(there);
            Ok(times)
        })
    }
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

fn silent() -> Failure {
    failed("a bare agent fell silent")
}

fn batch(
    asker: &mut BareAgent,
    there: &SyncSender<Vec<u8>>,
    back: &Receiver<Vec<u8>>,
    rounds: usize,
) -> Result<Vec<Duration>, Failure> {
    let mut begun = Instant::now();
    asker.handle(b"{}").map_err(failed)?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let ball = asker.take_sent().ok_or_else(silent)?;
        there.send(ball).map_err(|_| silent())?;
        let answer = take(back).ok_or_else(silent)?;
        let now = Instant::now();
        times.push(now - begun);
        begun = now;
        asker.handle(&answer).map_err(failed)?;
    }
    asker.take_sent();
    Ok(times)
}
