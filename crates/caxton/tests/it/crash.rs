//! A loaded node is killed again and again: each acknowledged message is in effect exactly once, on
//! every agent it came to, and so are its timer and its reply.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caxton_client::{
    AgentConfig, CaxtonClient, ClientError, DeployAgentRequest, FipaMessage, MailFilter,
    api::{AskedValue, SendOptions},
};

use crate::node::{NodeProcess, up};

/// Pairs of agents: each `head` passes on to its `tail` what comes from outside.
const PAIRS: u64 = 3;
const SENDERS: u64 = 4;
/// Names that the senders of one round send under, so that no client's mailbox (1,000) overflows: the
/// longest round may take 32,000 messages, and more than 8,000 have been seen.
const CLIENTS: u64 = 32;
/// Each so many messages sets a timer, too.
const TIMER_EACH: u64 = 4;
/// Each so many rounds lasts until a checkpoint (every 2 s) is about to be written.
const LONG_EACH: u64 = 6;
/// Each so many rounds kills the node that is just starting, too.
const START_EACH: u64 = 3;
/// Longer than anything here takes on a busy machine; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers that follow from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
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
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_kills_once_in_effect() {
    let kills = number("CRASH_KILLS", 30);
    let seed = number(
        "CRASH_SEED",
        u64::from(std::process::id()) * 2_654_435_761 + 1,
    );
    println!("crash: {kills} kills, seed {seed}");
    let mut random = Random(seed | 1);
    let home = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start_in(home.path(), &[]);
    deploy(&node.client()).await;
    let mut all = Totals::default();
    let next = Arc::new(AtomicU64::new(1));
    let begun = Instant::now();
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        round += 1;
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let load = Load::start(&node.client(), round, &ledger, &next);
        let (least, spread) = match round % LONG_EACH {
            0 => (1_900, 400),
            _ => (20, 400),
        };
        tokio::time::sleep(Duration::from_millis(least + random.below(spread))).await;
        node.kill();
        killed += 1;
        load.stop().await;
        if round % START_EACH == 0 && killed < kills {
            kill_at_start(home.path(), Duration::from_millis(random.below(120))).await;
            killed += 1;
        }
        node = NodeProcess::start_in(home.path(), &[]);
        all.slowest_start = all.slowest_start.max(node.started_in);
        let client = node.client();
        all.retried += retry_unknown(&client, round, &ledger).await;
        let acknowledged = std::mem::take(&mut ledger.lock().unwrap().acknowledged);
        check_replies(&client, round, &acknowledged).await;
        all.acknowledged.extend(acknowledged);
    }
    let took = begun.elapsed();
    let last = next.load(Ordering::SeqCst);
    settle(&node.client(), last, &all.acknowledged).await;
    // As it is now, so it is after an orderly end.
    assert_eq!(node.terminate(), 0);
    let node = NodeProcess::start_in(home.path(), &[]);
    let wrong = wrong_marks(&node.client(), last, &all.acknowledged).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    let count = all.acknowledged.len();
    println!(
        "crash: {count} acknowledged messages over {killed} kills in {:.1} s, {} of them by a \
         retry; each marked once at two agents and answered once, {} timers fired once; slowest \
         start {:.2} s",
        took.as_secs_f64(),
        all.retried,
        all.acknowledged
            .iter()
            .filter(|tag| has_timer(**tag))
            .count(),
        all.slowest_start.as_secs_f64()
    );
    assert!(
        count as u64 > kills,
        "the node was hardly loaded: {count} messages"
    );
}

/// What the whole run saw.
#[derive(Default)]
struct Totals {
    acknowledged: BTreeSet<u64>,
    retried: usize,
    slowest_start: Duration,
}

/// What became of one round's messages, by their tags.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeSet<u64>,
    /// Sent when the node died: they may have been accepted or not.
    unknown: BTreeSet<u64>,
}

fn has_timer(tag: u64) -> bool {
    tag.is_multiple_of(TIMER_EACH)
}

async fn deploy(client: &CaxtonClient) {
    let module = wat::parse_str(include_str!("tally.wat")).unwrap();
    for pair in 0..PAIRS {
        for name in [format!("head-{pair}"), format!("tail-{pair}")] {
            let mut config = AgentConfig {
                name,
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
}

fn client_name(round: u64, tag: u64) -> String {
    format!("load-{round}-{}", tag % CLIENTS)
}

fn message(round: u64, tag: u64) -> FipaMessage {
    let pair = tag % PAIRS;
    let mut content = serde_json::json!({ "tag": tag, "to": format!("tail-{pair}") });
    if has_timer(tag) {
        content["after"] = (tag * 7_919 % 300_000).into();
    }
    FipaMessage {
        performative: "request".to_owned(),
        sender: client_name(round, tag),
        receiver: format!("head-{pair}").into(),
        content,
        reply_with: Some(tag.to_string()),
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
    fn start(
        client: &CaxtonClient,
        round: u64,
        ledger: &Arc<Mutex<Ledger>>,
        next: &Arc<AtomicU64>,
    ) -> Self {
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
                        let tag = next.fetch_add(1, Ordering::SeqCst);
                        if !send(&client, round, tag, &ledger).await {
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

fn options(tag: u64) -> SendOptions {
    SendOptions {
        message_id: Some(format!("crash-{tag}")),
        wait_ms: None,
    }
}

/// Sends one message; whether the node still answers.
async fn send(client: &CaxtonClient, round: u64, tag: u64, ledger: &Mutex<Ledger>) -> bool {
    match client.send_with(&message(round, tag), &options(tag)).await {
        Ok(sent) => {
            assert_eq!(serde_json::to_value(sent.acknowledged).unwrap(), "durable");
            ledger.lock().unwrap().acknowledged.insert(tag);
            true
        }
        // Refused (a full mailbox): not accepted, so it must leave no mark.
        Err(ClientError::Refused(problem)) => {
            assert!(matches!(problem.status, 429 | 503), "{problem}");
            true
        }
        Err(_) => {
            ledger.lock().unwrap().unknown.insert(tag);
            false
        }
    }
}

/// Kills a node while it opens its directory, or just after.
pub(crate) async fn kill_at_start(data: &Path, after: Duration) {
    let mut child = up(data).stdout(Stdio::null()).spawn().unwrap();
    tokio::time::sleep(after).await;
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Sends again what nobody knows of, under the same ids, until each is acknowledged.
async fn retry_unknown(client: &CaxtonClient, round: u64, ledger: &Mutex<Ledger>) -> usize {
    let unknown = std::mem::take(&mut ledger.lock().unwrap().unknown);
    for tag in &unknown {
        loop {
            match client
                .send_with(&message(round, *tag), &options(*tag))
                .await
            {
                Ok(_) => break,
                Err(ClientError::Refused(problem)) if matches!(problem.status, 429 | 503) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("a retry was refused: {error}"),
            }
        }
        ledger.lock().unwrap().acknowledged.insert(*tag);
    }
    unknown.len()
}

/// Waits until each message of a round has its reply, and looks that no reply came twice.
async fn check_replies(client: &CaxtonClient, round: u64, acknowledged: &BTreeSet<u64>) {
    let until = Instant::now() + PATIENCE;
    for number in 0..CLIENTS {
        let expected: BTreeMap<u64, u32> = acknowledged
            .iter()
            .filter(|tag| *tag % CLIENTS == number)
            .map(|tag| (*tag, 1))
            .collect();
        let filter = MailFilter {
            receiver: Some(client_name(round, number)),
            ..MailFilter::default()
        };
        assert!(expected.len() < 1_000, "more than a client's mailbox holds");
        loop {
            let mut replies = BTreeMap::<u64, u32>::new();
            for mail in client.messages(&filter).await.unwrap() {
                let tag = mail.message.in_reply_to.as_ref().unwrap().parse();
                *replies.entry(tag.unwrap()).or_default() += 1;
            }
            if replies == expected {
                break;
            }
            let more = replies
                .iter()
                .any(|(tag, times)| *times > 1 || !expected.contains_key(tag));
            assert!(
                !more && Instant::now() < until,
                "replies to {filter:?}: {replies:?} instead of {expected:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until every message and timer has left its mark.
async fn settle(client: &CaxtonClient, last: u64, acknowledged: &BTreeSet<u64>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let wrong = wrong_marks(client, last, acknowledged).await;
        if wrong.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{wrong:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every tag that is not marked as often as it should be, by agent and kind of mark.
async fn wrong_marks(
    client: &CaxtonClient,
    last: u64,
    acknowledged: &BTreeSet<u64>,
) -> BTreeMap<String, Vec<String>> {
    let mut wrong = BTreeMap::new();
    for pair in 0..PAIRS {
        for (agent, kind) in [("head", 'm'), ("tail", 'm'), ("head", 'f'), ("tail", 'f')] {
            let agent = format!("{agent}-{pair}");
            let marks = marks(client, &agent, kind, last).await;
            let bad: Vec<String> = (0..=last)
                .filter_map(|tag| {
                    let timed = kind == 'm' || has_timer(tag) && agent.starts_with("head");
                    let once = tag % PAIRS == pair && timed && acknowledged.contains(&tag);
                    let found = marks.get(&tag).copied().unwrap_or(0);
                    (found != u32::from(once))
                        .then(|| format!("{tag}: {found} instead of {}", u32::from(once)))
                })
                .take(20)
                .collect();
            if !bad.is_empty() {
                wrong.insert(format!("{agent} {kind}"), bad);
            }
        }
    }
    wrong
}

/// The marks of one kind that an agent keeps in its state, by tag.
async fn marks(client: &CaxtonClient, agent: &str, kind: char, last: u64) -> BTreeMap<u64, u32> {
    let mut marks = BTreeMap::new();
    for page in 0..=last / 1_000 {
        let key = format!("{kind}{page:04}");
        let Ok(digits) = client.agent_state_value(agent, &key).await else {
            // No page: no mark on it, which is wrong if there should be one.
            continue;
        };
        for (at, digit) in digits.iter().enumerate() {
            let count = u32::from(digit - b'0');
            if count > 0 {
                marks.insert(page * 1_000 + at as u64, count);
            }
        }
    }
    marks
}
