//! Memory of idle agents: what the process holds and its page tables, all of it, by the kernel's count.
//!
//! Each part runs in a process of its own: what one had and gave back would hide what the next takes.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use caxton_engine::bare::BareAgent;
use caxton_model::Durability;
use caxton_node::{Node, NodeOptions};
use clap::{ValueEnum as _, builder::PossibleValue};
use serde_json::{Value, json};
use tokio::{process::Command, task::JoinSet};

use super::{
    Measure, Plan, guests,
    node::{Measured, agent, ask, deploy, unhurried},
    row::{Rate, Row, Target, failed},
};
use crate::failure::Failure;

const BENCH_RUST: &[u8] = include_bytes!("../../../../guests/prebuilt/bench-rust.wasm");
const HUNGRY: &[u8] = include_bytes!("../../../../guests/prebuilt/memory-hungry-rust.wasm");

/// What this file measures, each for itself.
pub(super) const PARTS: [Measure; 4] = [
    Measure::MemoryTiny,
    Measure::MemoryRust,
    Measure::MemoryPassivated,
    Measure::MemoryData,
];

/// Clients at work at the same time.
const CLIENTS: usize = 64;

/// Where a measurement gives up instead of pressing the machine. Unit: KiB.
const RESIDENT_KIB_MAX: u64 = 12 << 20;

/// Bare agents beside ours: each is given four gigabytes of addresses.
const BARE: usize = 500;

/// How long a checkpoint may take to catch up.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long after the last checkpoint a shard has dropped what that one holds, and has packed the
/// memories of agents that are idle: those that were ten seconds ago, some thousands a second.
const SETTLES: Duration = Duration::from_secs(20);

/// Bytes that one agent holds for its work, ours and native. Within an agent's usual limit.
const DATA_BYTES: usize = 32 << 20;

/// Runs each part, and gathers their rows.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for part in PARTS {
        rows.extend(apart(plan, part).await?);
    }
    Ok(rows)
}

/// Runs one part in a process of its own.
pub(super) async fn apart(plan: &Plan, part: Measure) -> Result<Vec<Row>, Failure> {
    let value = part.to_possible_value();
    let name = value.as_ref().map_or("memory", PossibleValue::get_name);
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["bench", "--output", "json", "--only", name, "--dir"])
        .arg(&plan.dir)
        .args(plan.quick.then_some("--quick"))
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    let done = command.output().await?;
    if !done.status.success() {
        return Err(failed(String::from_utf8_lossy(&done.stderr).trim()));
    }
    serde_json::from_slice(&done.stdout).map_err(failed)
}

/// Live agents of the smallest guest that has a state.
pub(super) async fn tiny(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let kept = Kept {
        module: guests::tiny()?,
        durability: Durability::Memory,
        keep: |client, number| json!(format!("@{number:08}{client}")),
        recall: |client| json!(format!("@????????{client}")),
        passivated: false,
    };
    let what = "live agents of the smallest guest";
    let count = plan.pick(200, 100_000);
    let [size, answers] = kept.rows(plan, count, what).await?;
    Ok(vec![size.must(Target::AtMost(24.0)), answers])
}

/// Live agents in Rust.
pub(super) async fn rust(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let kept = Kept::rust(Durability::Memory);
    let count = plan.pick(100, 10_000);
    let [size, answers] = kept.rows(plan, count, "live agents in Rust").await?;
    // What one of the seeds asks of an idle component.
    let seeds = size.again("  the same, as one idle component");
    let seeds = seeds.must(Target::Under(512.0));
    Ok(vec![size.must(Target::AtMost(40.0)), seeds, answers])
}

/// Agents in Rust without an instance, all they keep on the disk.
pub(super) async fn passivated(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let kept = Kept {
        passivated: true,
        ..Kept::rust(Durability::Durable)
    };
    let count = plan.pick(100, 100_000);
    let [size, answers] = kept.rows(plan, count, "passivated agents in Rust").await?;
    Ok(vec![size.must(Target::AtMost(2.0)), answers])
}

/// One agent that holds much, against a program that does.
pub(super) async fn data(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let measured = Measured::start(Durability::Memory, 1, &plan.dir).await?;
    deploy(&measured.node, unhurried("hungry", HUNGRY)?).await?;
    let content = json!({"action": "allocate_large_buffer", "size": DATA_BYTES});
    let before = resident_kib()?;
    ask(&measured.node, guests::CLIENT, "hungry", &content).await?;
    let ours = resident_kib()?.saturating_sub(before);
    let before = resident_kib()?;
    let native = std::hint::black_box(vec![1_u8; DATA_BYTES]);
    let beside = resident_kib()?.saturating_sub(before);
    drop(native);
    measured.stop().await?;
    let what = format!("memory of an agent that holds {} MiB", DATA_BYTES >> 20);
    let row = Row::size(
        what,
        kib(ours),
        1,
        "the same bytes in a native program",
        Some(kib(beside)),
    );
    Ok(vec![row.must(Target::RatioUnder(2.0))])
}

/// Agents that are told something different each, and asked for it again.
#[derive(Clone)]
struct Kept {
    module: Vec<u8>,
    durability: Durability,
    keep: fn(&str, usize) -> Value,
    recall: fn(&str) -> Value,
    passivated: bool,
}

impl Kept {
    fn rust(durability: Durability) -> Self {
        Self {
            module: BENCH_RUST.to_vec(),
            durability,
            keep: |_, number| json!({"action": "keep", "data": format!("{number:08}")}),
            recall: |_| json!({"action": "recall"}),
            passivated: false,
        }
    }
    /// Memory of each, and how fast all of them answered once.
    async fn rows(self, plan: &Plan, count: usize, what: &str) -> Result<[Row; 2], Failure> {
        let shards = NodeOptions::default().shards;
        let measured = Measured::start(self.durability, shards, &plan.dir).await?;
        let node = &measured.node;
        // The first one compiles the module, which is not an agent's own memory.
        self.begin(node, 0, 0).await?;
        let before = resident_kib()?;
        self.all(node, 1..count, Work::Begin).await?;
        self.settle(node).await?;
        let each = per_agent(before, resident_kib()?, count - 1);
        let live = node.health().instances;
        let wanted = if self.passivated { 0 } else { count };
        if live != wanted {
            return Err(failed(format!(
                "{live} of {count} agents are live, not {wanted}"
            )));
        }
        let bare = if self.passivated {
            None
        } else {
            Some(self.bare()?)
        };
        let answers = self.all(node, 0..count, Work::Recall).await?;
        measured.stop().await?;
        let bare_part = match bare {
            Some(_) => "bare stores with the same guest, after one call",
            None => "none: they have no instance",
        };
        let size = Row::size(
            format!("memory of {count} {what}, each"),
            each,
            count,
            bare_part,
            bare,
        );
        let answers = Row::rate_alone(
            "  all of them asked once, each answering with its own state",
            &answers,
            "none",
        );
        Ok([size, answers])
    }
    async fn begin(&self, node: &Node, slot: usize, number: usize) -> Result<(), Failure> {
        let name = format!("agent-{number}");
        deploy(node, agent(&name, &self.module, self.durability)?).await?;
        let client = guests::slot_client(slot);
        ask(node, &client, &name, &(self.keep)(&client, number)).await?;
        self.passivate(node, &name)
    }
    async fn recall(&self, node: &Node, slot: usize, number: usize) -> Result<(), Failure> {
        let (name, client) = (format!("agent-{number}"), guests::slot_client(slot));
        let answer = ask(node, &client, &name, &(self.recall)(&client)).await?;
        if !answer.content.contains(&format!("\"{number:08}\"")) {
            let content = answer.content;
            return Err(failed(format!(
                "`{name}` answered {content}, not its own number"
            )));
        }
        self.passivate(node, &name)
    }
    fn passivate(&self, node: &Node, name: &str) -> Result<(), Failure> {
        if self.passivated {
            node.passivate(name)
                .map_err(|refusal| failed(refusal.text))?;
        }
        Ok(())
    }
    /// Does something with each agent, shared among the clients.
    async fn all(
        &self,
        node: &Node,
        numbers: std::ops::Range<usize>,
        work: Work,
    ) -> Result<Rate, Failure> {
        let begun = Instant::now();
        let mut clients = JoinSet::new();
        for slot in 0..CLIENTS {
            let (kept, node, numbers) = (self.clone(), node.clone(), numbers.clone());
            clients.spawn(async move {
                let mut rate = Rate::default();
                for number in numbers.skip(slot).step_by(CLIENTS) {
                    match work {
                        Work::Begin => kept.begin(&node, slot, number).await?,
                        Work::Recall => kept.recall(&node, slot, number).await?,
                    }
                    rate.note(begun.elapsed(), 1);
                    if rate.count() % 100 == 0 && resident_kib()? > RESIDENT_KIB_MAX {
                        return Err(failed("the process has grown beyond 12 GiB"));
                    }
                }
                Ok::<_, Failure>(rate)
            });
        }
        let mut all = Rate::default();
        while let Some(done) = clients.join_next().await {
            all.merge(done.map_err(failed)??);
        }
        Ok(all)
    }
    /// Until the checkpoint holds what the journal does, and the shards have let go of it.
    async fn settle(&self, node: &Node) -> Result<(), Failure> {
        let begun = Instant::now();
        while node.health().store.checkpoint_lag_records > 0 {
            if begun.elapsed() > PATIENCE {
                return Err(failed("the checkpoint does not catch up"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(SETTLES).await;
        Ok(())
    }
    fn bare(&self) -> Result<f64, Failure> {
        let first = BareAgent::new(&self.module).map_err(failed)?;
        let before = resident_kib()?;
        let mut all = Vec::with_capacity(BARE);
        for number in 0..BARE {
            let mut one = first.another().map_err(failed)?;
            let content = (self.keep)(guests::CLIENT, number);
            let message = json!({"performative": "request", "sender": "x", "content": content});
            one.handle(message.to_string().as_bytes()).map_err(failed)?;
            one.take_sent();
            all.push(one);
        }
        Ok(per_agent(before, resident_kib()?, all.len()))
    }
}

#[derive(Clone, Copy)]
enum Work {
    Begin,
    Recall,
}

#[allow(clippy::cast_precision_loss, reason = "no machine has 2^53 KiB")]
fn kib(size: u64) -> f64 {
    size as f64
}

#[allow(
    clippy::cast_precision_loss,
    reason = "there are fewer agents than 2^53"
)]
fn per_agent(before: u64, after: u64, count: usize) -> f64 {
    kib(after.saturating_sub(before)) / count.max(1) as f64
}

/// What this process has in memory, page tables included. Unit: KiB.
fn resident_kib() -> Result<u64, Failure> {
    let path = PathBuf::from("/proc/self/status");
    let status = std::fs::read_to_string(&path).map_err(|error| Failure::file(&path, &error))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
    };
    match (of("VmRSS:"), of("VmPTE:")) {
        (Some(resident), Some(tables)) => Ok(resident + tables),
        _ => Err(failed("the kernel does not say what this process holds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_counted() {
        let before = resident_kib().unwrap();
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident_kib().unwrap();
        assert!(after - before > 60 << 10, "{before} {after}");
        drop(touched);
        assert_eq!(per_agent(100, 300, 50), 4.0);
    }
}
