//! A loaded node is killed again and again: each acknowledged message is in effect exactly once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caxton_client::{
    AgentConfig, CaxtonClient, ClientError, DeployAgentRequest, FipaMessage,
    api::{AskedValue, SendOptions},
};

use crate::{command::guest, node::NodeProcess};

const AGENTS: usize = 6;
const SENDERS: usize = 4;

/// What became of each message.
#[derive(Default)]
struct Ledger {
    /// Acknowledged, by agent.
    acknowledged: [u64; AGENTS],
    /// Sent when the node died: it may have been accepted or not.
    unknown: BTreeMap<String, usize>,
}

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "how `cargo xtask crash` sets the numbers"
)]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn name(agent: usize) -> String {
    format!("counter-{agent}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_kills_once_in_effect() {
    let kills = number("CRASH_KILLS", 10);
    let seed = number(
        "CRASH_SEED",
        u64::from(std::process::id()) * 2_654_435_761 + 1,
    );
    println!("crash: {kills} kills, seed {seed}");
    let mut random = Random(seed | 1);
    let home = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start_in(home.path(), &[]);
    deploy(&node.client()).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let next = Arc::new(AtomicU64::new(1));
    let mut slowest = Duration::ZERO;
    let mut retried = 0;
    let begun = Instant::now();
    for _ in 0..kills {
        let load = Load::start(&node.client(), &ledger, &next);
        tokio::time::sleep(Duration::from_millis(20 + random.below(400))).await;
        node.kill();
        load.stop().await;
        node = NodeProcess::start_in(home.path(), &[]);
        slowest = slowest.max(node.started_in);
        retried += retry_unknown(&node.client(), &ledger).await;
    }
    let took = begun.elapsed();
    settle(&node.client()).await;
    let acknowledged = ledger.lock().unwrap().acknowledged;
    let counted = counts(&node.client()).await;
    let sum: u64 = acknowledged.iter().sum();
    println!(
        "crash: {sum} acknowledged messages over {kills} kills in {:.1} s, {retried} of them by a \
         retry; slowest start {:.2} s",
        took.as_secs_f64(),
        slowest.as_secs_f64()
    );
    assert!(sum > kills, "the node was hardly loaded: {sum} messages");
    assert_eq!(
        counted, acknowledged,
        "counted beside acknowledged, by agent"
    );
}

async fn deploy(client: &CaxtonClient) {
    let module = std::fs::read(guest("counter-c")).unwrap();
    for agent in 0..AGENTS {
        let mut config = AgentConfig {
            name: name(agent),
            ..AgentConfig::default()
        };
        config
            .limits
            .insert("messages_per_second".to_owned(), AskedValue::Unlimited);
        let request = DeployAgentRequest {
            wasm_module: module.clone(),
            config,
        };
        client.deploy_agent(request).await.unwrap();
    }
}

fn message(agent: usize) -> FipaMessage {
    FipaMessage {
        performative: "request".to_owned(),
        sender: "load".to_owned(),
        receiver: name(agent).into(),
        content: serde_json::json!({ "count": true }),
        ..FipaMessage::default()
    }
}

/// Senders that go on until the node is gone.
struct Load {
    stopped: Arc<AtomicBool>,
    senders: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test's senders, joined at its end"
    )]
    fn start(client: &CaxtonClient, ledger: &Arc<Mutex<Ledger>>, next: &Arc<AtomicU64>) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let senders = (0..SENDERS)
            .map(|_| {
                let (client, ledger, next, stopped) = (
                    client.clone(),
                    Arc::clone(ledger),
                    Arc::clone(next),
                    Arc::clone(&stopped),
                );
                tokio::spawn(async move {
                    while !stopped.load(Ordering::SeqCst) {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let agent = usize::try_from(number).unwrap() % AGENTS;
                        let id = format!("crash-{number}");
                        if !send(&client, &ledger, agent, id).await {
                            break;
                        }
                    }
                })
            })
            .collect();
        Self { stopped, senders }
    }
    async fn stop(self) {
        self.stopped.store(true, Ordering::SeqCst);
        for sender in self.senders {
            sender.await.unwrap();
        }
    }
}

/// Sends one message; whether the node still answers.
async fn send(client: &CaxtonClient, ledger: &Mutex<Ledger>, agent: usize, id: String) -> bool {
    let options = SendOptions {
        message_id: Some(id.clone()),
        wait_ms: None,
    };
    match client.send_with(&message(agent), &options).await {
        Ok(sent) => {
            assert_eq!(serde_json::to_value(sent.acknowledged).unwrap(), "durable");
            ledger.lock().unwrap().acknowledged[agent] += 1;
            true
        }
        // Refused (a full mailbox): not accepted, so it must not be counted.
        Err(ClientError::Refused(problem)) => {
            assert!(matches!(problem.status, 429 | 503), "{problem}");
            true
        }
        Err(_) => {
            ledger.lock().unwrap().unknown.insert(id, agent);
            false
        }
    }
}

/// Sends again what nobody knows of, under the same ids, until each is acknowledged.
async fn retry_unknown(client: &CaxtonClient, ledger: &Mutex<Ledger>) -> u64 {
    let unknown = std::mem::take(&mut ledger.lock().unwrap().unknown);
    let count = unknown.len() as u64;
    for (id, agent) in unknown {
        let options = SendOptions {
            message_id: Some(id),
            wait_ms: None,
        };
        loop {
            match client.send_with(&message(agent), &options).await {
                Ok(_) => break,
                Err(ClientError::Refused(problem)) if matches!(problem.status, 429 | 503) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("a retry was refused: {error}"),
            }
        }
        ledger.lock().unwrap().acknowledged[agent] += 1;
    }
    count
}

/// Waits until every mailbox is empty and every agent idle.
async fn settle(client: &CaxtonClient) {
    let until = Instant::now() + Duration::from_secs(30);
    for agent in 0..AGENTS {
        let mut before = None;
        loop {
            let detail = client.agent(&name(agent)).await.unwrap();
            let now = (detail.agent.mailbox.messages, detail.counters.turns);
            if now.0 == 0 && before == Some(now) {
                break;
            }
            before = Some(now);
            if Instant::now() > until {
                let mail = client.agent_messages(&name(agent)).await;
                panic!(
                    "{}: mail is left: {now:?} of {detail:#?}: {mail:#?}",
                    name(agent)
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What each agent has counted, out of its state.
async fn counts(client: &CaxtonClient) -> [u64; AGENTS] {
    let mut counts = [0; AGENTS];
    for (agent, count) in counts.iter_mut().enumerate() {
        let value = client
            .agent_state_value(&name(agent), "count")
            .await
            .unwrap_or_default();
        *count = String::from_utf8(value).unwrap().parse().unwrap_or(0);
    }
    counts
}
