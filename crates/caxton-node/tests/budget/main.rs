//! The node's budget of memory, in a process of its own: what is measured is the whole process.
//!
//! Every budget here is far below what the machine has: should one not hold, the test fails long
//! before the machine notices.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here has failed"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's own task, awaited at its end"
)]

#[path = "../it/guests.rs"]
#[allow(dead_code, reason = "the other tests' guests")]
mod guests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caxton_kernel::{Post, Refusal};
use caxton_model::{
    Durability, EngineKind, EngineProfile, ErrorCode, Fields, Grants, Kind, LimitName, Limits,
    Supervision,
};
use caxton_node::{Deploy, Node, NodeOptions, Posted};
use tokio::sync::{Mutex, Semaphore};

const MIB: u64 = 1 << 20;

/// Long enough for a busy machine; reaching it is a failure, not a measurement.
const PATIENCE: Duration = Duration::from_secs(120);

/// What may be touched between two looks of the node, on a machine that is busy with other things.
const MARGIN: u64 = 256 * MIB;

/// The tests measure one process: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// At a message it takes as much memory as its limit has, touches all of it, and keeps it.
const GREEDY: &str = r#"(module
  (memory (export "memory") 2)
  (func (export "allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $at i32) (local $end i32)
    (if (i32.eq (memory.grow (i32.const 798)) (i32.const -1)) (then unreachable))
    (local.set $at (i32.const 131072))
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (loop $touch
      (i32.store (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $touch (i32.lt_u (local.get $at) (local.get $end))))
    (i32.const 0)))"#;

/// Takes the memory in its init, untouched, and touches it at a message, which never ends.
const SLY: &str = r#"(module
  (memory (export "memory") 2)
  (func (export "allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "agent_init") (result i32)
    (if (i32.eq (memory.grow (i32.const 798)) (i32.const -1)) (then unreachable))
    (i32.const 0))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.const 131072))
    (loop $touch
      (i32.store (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $touch (i32.lt_u (local.get $at) (i32.const 52428800))))
    (loop $forever (br $forever))
    (i32.const 0)))"#;

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

/// Notes the most this process had in memory.
struct Peak {
    peak: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Peak {
    fn watch() -> Self {
        let (peak, ends) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (to, over) = (Arc::clone(&peak), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                to.fetch_max(resident(), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(2));
            }
        });
        Self {
            peak,
            ends,
            thread: Some(thread),
        }
    }
    fn end(mut self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.peak.load(Ordering::Relaxed)
    }
}

async fn node(engine: EngineKind, budget: u64) -> Node {
    Node::start(NodeOptions {
        shards: 2,
        engine,
        memory_bytes_max: Some(budget),
        ..NodeOptions::default()
    })
    .await
    .unwrap()
}

fn agent(name: &str, module: &[u8]) -> Deploy {
    Deploy {
        name: name.parse().unwrap(),
        module: module.to_vec(),
        version: "0.0.0".into(),
        limits: Default::default(),
        durability: Durability::Memory,
        supervision: Supervision::default(),
        grants: Grants::default(),
        granted: Default::default(),
        requested: None,
        declared: vec![],
        config: vec![],
        profile: EngineProfile::Hardened,
        passivate_after: None,
    }
}

fn patient(mut deploy: Deploy) -> Deploy {
    // Time for the interpreter, and for a machine that swaps guests.
    deploy.limits.0.insert(LimitName::Cpu, 60_000_000);
    deploy.limits.0.insert(LimitName::Wall, 120_000_000);
    deploy
}

fn post(client: &str, to: &str) -> Post {
    let json = format!(
        r#"{{"performative":"request","receiver":"{to}","content":{{}},"reply_with":"q1"}}"#
    );
    Post {
        client: client.into(),
        namespace: None,
        message_id: None,
        fields: Fields::parse(json.as_bytes(), 1 << 20).unwrap(),
    }
}

async fn ask(node: &Node, to: &str) -> Result<Posted, Refusal> {
    node.post(post("tester", to), Some(PATIENCE)).await
}

/// A neighbour that is asked again and again; how often it answered, and its slowest answer.
async fn neighbour(node: Node, ends: Arc<AtomicBool>) -> (u64, Duration) {
    let (mut asked, mut slowest) = (0, Duration::ZERO);
    while !ends.load(Ordering::Relaxed) {
        let began = Instant::now();
        let posted = ask(&node, "neighbour").await.unwrap();
        slowest = slowest.max(began.elapsed());
        asked += 1;
        let reply = posted.reply.expect("the neighbour answers");
        let said = reply.message.content.as_str();
        assert_eq!(said, (1_000 + asked % 1_000).to_string());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (asked, slowest)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn deploy_all(node: &Node, count: usize, make: impl Fn(usize) -> Deploy) {
    let lanes = Arc::new(Semaphore::new(16));
    let mut deploys = tokio::task::JoinSet::new();
    for n in 0..count {
        let (node, deploy, lanes) = (node.clone(), make(n), Arc::clone(&lanes));
        deploys.spawn(async move {
            let _lane = lanes.acquire().await;
            node.deploy(deploy).await.map(drop)
        });
    }
    while let Some(done) = deploys.join_next().await {
        done.unwrap().unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}

/// Fault code, or `kept`, by how many agents ended so; and one text of a refusal.
async fn endings(node: &Node, prefix: &str, count: usize) -> (BTreeMap<String, u64>, String) {
    let (mut ends, mut text) = (BTreeMap::new(), String::new());
    for n in 0..count {
        let state = node.agent(&format!("{prefix}-{n}")).await.unwrap().state;
        let how = match &state.last_fault {
            Some((_, fault)) => {
                if fault.code == ErrorCode::NodeBudget {
                    text.clone_from(&fault.text);
                }
                fault.code.to_string()
            }
            None => "kept".to_owned(),
        };
        *ends.entry(how).or_default() += 1;
    }
    (ends, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_agents_that_want_50_mib_each_meet_the_budget_and_not_the_kernels_killer() {
    const AGENTS: usize = 10_000;
    const BUDGET: u64 = 1_024 * MIB;
    let _alone = ALONE.lock().await;
    let node = node(EngineKind::Cranelift, BUDGET).await;
    let greedy = wat::parse_str(GREEDY).unwrap();
    let counter = wat::parse_str(guests::COUNTER).unwrap();
    node.deploy(agent("neighbour", &counter)).await.unwrap();
    deploy_all(&node, AGENTS, |n| {
        patient(agent(&format!("greedy-{n}"), &greedy))
    })
    .await;
    let idle = resident();
    let peak = Peak::watch();
    let ends = Arc::new(AtomicBool::new(false));
    let neighbour = tokio::spawn(neighbour(node.clone(), Arc::clone(&ends)));
    for n in 0..AGENTS {
        let (client, to) = (format!("client-{}", n % 64), format!("greedy-{n}"));
        until("the node takes the messages", async || {
            node.post(post(&client, &to), None).await.is_ok()
        })
        .await;
    }
    until("all had their turn", async || {
        node.agents().iter().all(|one| one.gauge.messages() == 0)
    })
    .await;
    let peak = peak.end();
    ends.store(true, Ordering::Relaxed);
    let (answers, slowest) = neighbour.await.unwrap();
    let (ends, text) = endings(&node, "greedy", AGENTS).await;
    println!(
        "budget {} MiB, idle {} MiB, peak {} MiB; {ends:?}; neighbour: {answers} answers, slowest {slowest:?}",
        BUDGET / MIB,
        idle / MIB,
        peak / MIB
    );
    assert!(peak < BUDGET / 100 * 125 + MARGIN, "peak {peak}");
    assert!(
        text.contains("budget `memory`") && text.contains("raise the budget"),
        "{text}"
    );
    assert!(ends["node-budget"] > 100 && ends["kept"] > 10, "{ends:?}");
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(answers > 0);
    for one in node.agents() {
        node.remove(&one.spec.id.to_string()).await.unwrap();
    }
    let after = resident();
    println!("after all were removed: {} MiB", after / MIB);
    assert!(after < idle + 64 * MIB, "{after} after, {idle} before");
    // There is room again, and who asks gets it.
    until("the node sees that there is room", async || {
        node.health().memory.0 < BUDGET
    })
    .await;
    node.deploy(patient(agent("greedy-again", &greedy)))
        .await
        .unwrap();
    node.post(post("client", "greedy-again"), None)
        .await
        .unwrap();
    until("it had its turn", async || {
        node.agent("greedy-again").await.unwrap().state.turns == 2
    })
    .await;
    assert_eq!(node.agent("greedy-again").await.unwrap().state.faults, 0);
    node.shutdown(PATIENCE).await;
}

async fn the_largest_at_work_go(engine: EngineKind) {
    const AGENTS: usize = 32;
    let _alone = ALONE.lock().await;
    let budget = resident() + 384 * MIB;
    let node = node(engine, budget).await;
    let counter = wat::parse_str(guests::COUNTER).unwrap();
    let sly = wat::parse_str(SLY).unwrap();
    node.deploy(agent("neighbour", &counter)).await.unwrap();
    // One at a time: what one look leaves is never more than the budget.
    for n in 0..AGENTS {
        until("the node takes the agent", async || {
            let deploy = patient(agent(&format!("sly-{n}"), &sly));
            node.deploy(deploy).await.is_ok()
        })
        .await;
    }
    let peak = Peak::watch();
    let ends = Arc::new(AtomicBool::new(false));
    let neighbour = tokio::spawn(neighbour(node.clone(), Arc::clone(&ends)));
    for n in 0..AGENTS {
        let (client, to) = (format!("client-{n}"), format!("sly-{n}"));
        until("the node takes the messages", async || {
            node.post(post(&client, &to), None).await.is_ok()
        })
        .await;
    }
    until("the largest were faulted", async || {
        let (ends, _) = endings(&node, "sly", AGENTS).await;
        ends.get("node-budget").is_some_and(|faulted| *faulted > 8)
    })
    .await;
    let peak = peak.end();
    ends.store(true, Ordering::Relaxed);
    let (answers, slowest) = neighbour.await.unwrap();
    let (ends, text) = endings(&node, "sly", AGENTS).await;
    println!(
        "{engine}: budget {} MiB, peak {} MiB; {ends:?}; neighbour: {answers} answers, slowest {slowest:?}",
        budget / MIB,
        peak / MIB
    );
    assert!(text.contains("the largest at work"), "{text}");
    assert!(peak < budget / 100 * 125 + MARGIN, "peak {peak}");
    assert!(answers > 0);
    node.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_refusing_is_not_enough_the_largest_at_work_are_faulted() {
    for engine in [EngineKind::Cranelift, EngineKind::Pulley] {
        the_largest_at_work_go(engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_instances_go_before_anybody_at_work_is_faulted() {
    const EACH: u64 = 50 * MIB;
    let _alone = ALONE.lock().await;
    let budget = resident() + 256 * MIB;
    // Each takes its memory and is idle then, one after the other. All of them together would take
    // more than the budget, whatever of it earlier tests give back meanwhile.
    let agents = usize::try_from(budget / EACH).unwrap() + 1;
    let node = node(EngineKind::Cranelift, budget).await;
    let greedy = wat::parse_str(GREEDY).unwrap();
    let limits = Limits::for_kind(Kind::Agent);
    assert_eq!(limits.get(LimitName::Memory), EACH);
    deploy_all(&node, agents, |n| {
        patient(agent(&format!("greedy-{n}"), &greedy))
    })
    .await;
    for n in 0..agents {
        let name = format!("greedy-{n}");
        // Refused while the others still hold it; granted when they have gone.
        until("idle ones make room for the next", async || {
            let before = node.agent(&name).await.unwrap().state;
            if node.post(post("client", &name), None).await.is_err() {
                return false;
            }
            until("it had its turn", async || {
                let now = node.agent(&name).await.unwrap().state;
                now.turns > before.turns && now.mailbox_bytes == 0
            })
            .await;
            let after = node.agent(&name).await.unwrap();
            after.memory_bytes.is_some_and(|bytes| bytes > 40 * MIB)
                && after.state.faults == before.faults
        })
        .await;
    }
    let (_, text) = endings(&node, "greedy", agents).await;
    assert!(!text.contains("the largest at work"), "{text}");
    until("the process is within its budget", async || {
        resident() <= budget
    })
    .await;
    let passivated = node
        .agents()
        .iter()
        .filter(|one| one.status == caxton_model::AgentStatus::Passivated)
        .count();
    assert!(
        passivated > 0,
        "all {agents} are live within {budget} bytes"
    );
    node.shutdown(PATIENCE).await;
}
