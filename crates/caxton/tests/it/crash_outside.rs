//! A node whose agents ask an outside server is killed again and again: the server counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caxton_client::{
    AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage, MailFilter,
    api::{AskedValue, GrantPattern, SendOptions},
};

use crate::{
    crash::{PATIENCE, Random, kill_at_start, number},
    node::NodeProcess,
};

const AGENTS: u64 = 4;
/// Messages to each agent before a kill. Each makes two requests, of which an agent may make 100 a minute.
const EACH: u64 = 1;
/// Mail of one client is read in one answer, and the node keeps so much of it.
const MAIL_MAX: u64 = 1_000;

/// What the server was asked: each request's key with the path, and the number of each answer.
#[derive(Debug, Default)]
struct Asked {
    paths: BTreeMap<String, BTreeSet<String>>,
    answers: BTreeSet<(String, u64)>,
}

/// A server that answers each request with its path and a number that no other answer has, some of
/// them late.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Asked>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Asked>>::default();
        let (all, next) = (Arc::clone(&asked), Arc::new(AtomicU64::new(1)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, next) = (Arc::clone(&all), Arc::clone(&next));
                std::thread::spawn(move || while serve(&stream, &asked, &next).is_some() {});
            }
        });
        Self { address, asked }
    }
}

/// Answers one request; `None` where the connection has ended.
fn serve(stream: &TcpStream, asked: &Mutex<Asked>, next: &AtomicU64) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut key = None;
    for line in lines {
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("idempotency-key")
        {
            key = Some(value.to_owned());
        }
    }
    let number = next.fetch_add(1, Ordering::SeqCst);
    {
        let mut asked = asked.lock().unwrap();
        let key = key.unwrap_or_default();
        asked.paths.entry(key).or_default().insert(path.clone());
        asked.answers.insert((path.clone(), number));
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "answers that take their time are what a kill meets; nothing waits for this"
    )]
    std::thread::sleep(Duration::from_millis(number * 7 % 13));
    let body = format!("{path} {number}");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut stream = stream;
    stream.write_all((head + &body).as_bytes()).ok()
}

async fn deploy(client: &CaxtonClient, server: &Server) {
    let module = wat::parse_str(include_str!("twice.wat")).unwrap();
    for agent in 0..AGENTS {
        let mut config = AgentConfig {
            name: format!("twice-{agent}"),
            ..AgentConfig::default()
        };
        let url = format!("http://{}/", server.address);
        config.config.insert("url".to_owned(), url);
        let wall = AskedValue::Text("60s".to_owned());
        config.limits.insert("wall".to_owned(), wall);
        let pattern = GrantPattern {
            to: vec![format!("{}/**", server.address)],
            reason: None,
        };
        config.grants.insert("http:read".to_owned(), pattern);
        let request = DeployAgentRequest {
            wasm_module: module.clone(),
            config,
        };
        client.deploy_agent(request).await.unwrap();
    }
}

/// Sends a message until it is acknowledged; `false` where the node is gone.
async fn send(client: &CaxtonClient, tag: u64) -> bool {
    let message: FipaMessage = FipaMessage {
        performative: "inform".to_owned(),
        sender: "ann".to_owned(),
        receiver: format!("twice-{}", tag % AGENTS).into(),
        content: serde_json::json!(tag),
        ..FipaMessage::default()
    };
    let options = SendOptions {
        message_id: Some(format!("twice-{tag}")),
        wait_ms: None,
    };
    client.send_with(&message, &options).await.is_ok()
}

/// The bodies that the agents were answered with, two for each message.
async fn bodies(client: &CaxtonClient) -> Vec<[String; 2]> {
    let filter = MailFilter {
        receiver: Some("ann".to_owned()),
        ..MailFilter::default()
    };
    let mail = client.messages(&filter).await.unwrap();
    let body = |content: &serde_json::Value, at: usize| {
        let body = content[at]["body"].as_str();
        body.unwrap_or_else(|| panic!("no body in {content}"))
            .to_owned()
    };
    mail.iter()
        .map(|mail| {
            let content = serde_json::to_value(&mail.message.content).unwrap();
            [0, 1].map(|at| body(&content, at))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_turn_that_asks_outside_uses_one_answer_for_each_request_through_kills() {
    let kills = number("CRASH_KILLS", 20).min(MAIL_MAX / (AGENTS * EACH));
    let seed = number("CRASH_SEED", u64::from(std::process::id()) * 40_503 + 1);
    println!("crash outside: {kills} kills, seed {seed}");
    let mut random = Random(seed | 1);
    let home = tempfile::tempdir().unwrap();
    let server = Server::start();
    let mut node = NodeProcess::start_in(home.path(), &[]);
    deploy(&node.client(), &server).await;
    let (mut killed, mut sent) = (0, 0);
    while killed < kills {
        let (client, first) = (node.client(), sent);
        sent += AGENTS * EACH;
        for tag in first..sent {
            assert!(send(&client, tag).await, "a message was not accepted");
        }
        tokio::time::sleep(Duration::from_micros(random.below(40_000))).await;
        node.kill();
        killed += 1;
        if random.below(3) == 0 && killed < kills {
            kill_at_start(home.path(), Duration::from_millis(random.below(120))).await;
            killed += 1;
        }
        node = NodeProcess::start_in(home.path(), &[]);
    }
    let (client, until) = (node.client(), Instant::now() + PATIENCE);
    let bodies = loop {
        let bodies = bodies(&client).await;
        if bodies.len() as u64 >= sent {
            break bodies;
        }
        assert!(Instant::now() < until, "{} of {sent} answers", bodies.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(bodies.len() as u64, sent, "each message is answered once");

    let asked = server.asked.lock().unwrap();
    let mut used = BTreeSet::new();
    for body in bodies.iter().flatten() {
        let (path, number) = body.split_once(' ').unwrap();
        let answer = (path.to_owned(), number.parse().unwrap());
        assert!(asked.answers.contains(&answer), "nobody answered `{body}`");
        assert!(used.insert(path.to_owned()), "`{path}` was used twice");
    }
    assert!(!asked.paths.contains_key(""), "a request had no key");
    for (key, paths) in &asked.paths {
        assert_eq!(paths.len(), 1, "{key} asked for different things");
    }
    // A request that left before its intent was durable would have been asked for otherwise later.
    assert_eq!(
        asked.paths.len() as u64,
        2 * sent,
        "keys, for two requests a turn"
    );
    let all: BTreeSet<_> = asked.paths.values().flatten().cloned().collect();
    assert_eq!(all, used, "what was asked for is what was used");
    println!(
        "crash outside: {sent} turns over {killed} kills used one answer for each of their {} \
         requests; {} were asked again, each under its first key",
        2 * sent,
        asked.answers.len() as u64 - 2 * sent,
    );
    drop(asked);
    assert_eq!(node.terminate(), 0);
}
