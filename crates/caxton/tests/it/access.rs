//! A durable agent asks an outside server: only what was granted, and through a kill exactly as before.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use crate::node::NodeProcess;

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that tells the test of each request, and answers when the test says so.
pub(crate) struct Outside {
    pub(crate) address: SocketAddr,
    /// Each request: its idempotency key, and where to say that it is to be answered.
    pub(crate) requests: Receiver<(Option<String>, Sender<()>)>,
}

impl Outside {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tell = tell.clone();
                std::thread::spawn(move || serve(stream, &tell));
            }
        });
        Self { address, requests }
    }
    pub(crate) fn next(&self) -> (Option<String>, Sender<()>) {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }
}

fn serve(mut stream: TcpStream, tell: &Sender<(Option<String>, Sender<()>)>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut key = None;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("idempotency-key") => {
                    key = Some(value.to_owned());
                }
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let (answer, wait) = channel();
        if tell.send((key, answer)).is_err() || wait.recv().is_err() {
            return;
        }
        let body = "granted";
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all((head + body).as_bytes()).is_err() {
            return;
        }
    }
}

pub(crate) fn deploy(node: &NodeProcess, outside: &Outside, grants: &[&str]) {
    deploy_within(node, outside, grants, &[]);
}

fn deploy_within(node: &NodeProcess, outside: &Outside, grants: &[&str], limits: &[&str]) {
    let module = node.data.join("fetch.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("fetch.wat")).unwrap()).unwrap();
    let url = format!("url=http://{}/things?token=hidden", outside.address);
    let mut args = vec![
        "agent",
        "deploy",
        module.to_str().unwrap(),
        "--name",
        "fetch",
    ];
    args.extend(["--set", &url, "--limit", "wall=60s"]);
    for grant in grants {
        args.extend(["--grant", grant]);
    }
    for limit in limits {
        args.extend(["--limit", limit]);
    }
    node.caxton(&args).ok();
}

pub(crate) fn ask(node: &NodeProcess) {
    node.caxton(&["send", "fetch", "1", "--sender", "ann"]).ok();
}

/// What the agent's log says once it says this.
pub(crate) fn log_says(node: &NodeProcess, words: &str) -> String {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let log = node.caxton(&["agent", "logs", "fetch"]).ok().stdout;
        if log.contains(words) {
            return log;
        }
        assert!(std::time::Instant::now() < until, "no `{words}` in: {log}");
        std::thread::yield_now();
    }
}

pub(crate) fn replies(node: &NodeProcess, count: usize) -> Vec<serde_json::Value> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let mail = node
            .caxton(&["messages", "--receiver", "ann", "--output", "json"])
            .ok()
            .json();
        let mail = mail.as_array().cloned().unwrap_or_default();
        if mail.len() >= count {
            return mail;
        }
        assert!(std::time::Instant::now() < until, "{mail:?}");
        std::thread::yield_now();
    }
}

#[test]
fn without_a_grant_nothing_leaves_and_the_log_names_the_command_that_allows_it() {
    let (node, outside) = (NodeProcess::start(), Outside::start());
    let module = node.data.join("fetch.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("fetch.wat")).unwrap()).unwrap();
    let refused = [
        "agent",
        "deploy",
        module.to_str().unwrap(),
        "--name",
        "none",
    ];
    node.caxton(&refused).fails(4, &["http:read"]);

    deploy(&node, &outside, &["http:read=example.com/**"]);
    ask(&node);
    let wanted = format!("caxton grant fetch 'http:read={}/things'", outside.address);
    let log = log_says(&node, &wanted);
    assert!(!log.contains("hidden"), "a query is in the log: {log}");
    assert!(outside.requests.try_recv().is_err(), "a request left");

    // The command that the log names, word for word.
    let rule = format!("http:read={}/things", outside.address);
    node.caxton(&["grant", "fetch", &rule]).ok();
    ask(&node);
    outside.next().1.send(()).unwrap();
    let mail = replies(&node, 1);
    assert!(mail[0].to_string().contains("granted"), "{mail:?}");

    node.caxton(&["revoke", "fetch", &rule]).ok();
    ask(&node);
    log_says(&node, "was refused");
    assert!(outside.requests.try_recv().is_err(), "a request left");
    node.caxton(&["revoke", "fetch", &rule])
        .fails(1, &["is not granted"]);
}

#[test]
fn a_turn_killed_between_intent_and_outcome_asks_the_same_with_the_same_key() {
    let home = tempfile::tempdir().unwrap();
    let outside = Outside::start();
    let node = NodeProcess::start_in(home.path(), &[]);
    deploy(
        &node,
        &outside,
        &[&format!("http:read={}/**", outside.address)],
    );
    ask(&node);
    let (key, unanswered) = outside.next();
    let acts = node
        .caxton(&["agent", "acts", "fetch", "--output", "json"])
        .ok()
        .json();
    let shown = format!("GET http://{}/things", outside.address);
    assert_eq!(acts[0]["access"], shown.as_str(), "{acts}");
    assert_eq!(
        acts[0]["idempotency_key"].as_str(),
        key.as_deref(),
        "{acts}"
    );
    assert!(acts[0].get("outcome").is_none(), "{acts}");
    node.kill();
    drop(unanswered);

    let node = NodeProcess::start_in(home.path(), &[]);
    let (again, answer) = outside.next();
    assert!(key.is_some() && again == key, "{key:?}, then {again:?}");
    answer.send(()).unwrap();
    let mail = replies(&node, 1);
    assert!(mail[0].to_string().contains("granted"), "{mail:?}");
    let acts = node
        .caxton(&["agent", "acts", "fetch", "--output", "json"])
        .ok()
        .json();
    assert_eq!(acts.as_array().map(Vec::len), Some(0), "{acts}");
    assert!(
        outside.requests.try_recv().is_err(),
        "it was asked a third time"
    );

    // What is done is not done again by the next start, and the next turn has a key of its own.
    node.kill();
    let node = NodeProcess::start_in(home.path(), &[]);
    ask(&node);
    let (other, answer) = outside.next();
    assert!(other.is_some() && other != key, "{other:?}");
    answer.send(()).unwrap();
    assert_eq!(replies(&node, 2).len(), 2);
    assert_eq!(node.terminate(), 0);
}

/// What `caxton agent inspect` says of one limit of the agent.
fn limit_of(node: &NodeProcess, limit: &str) -> serde_json::Value {
    let shown = node
        .caxton(&["agent", "inspect", "fetch", "--output", "json"])
        .ok()
        .json();
    let mut rows = shown["limits"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == limit).unwrap().clone()
}

#[test]
fn a_request_over_the_rate_is_refused_at_once_and_one_that_a_crash_repeats_is_not() {
    let home = tempfile::tempdir().unwrap();
    let outside = Outside::start();
    let node = NodeProcess::start_in(home.path(), &[]);
    let grant = format!("http:read={}/**", outside.address);
    deploy_within(&node, &outside, &[&grant], &["http_per_minute=1"]);
    ask(&node);
    let (key, unanswered) = outside.next();
    node.kill();
    drop(unanswered);

    // The repetition is the one request that this minute has.
    let node = NodeProcess::start_in(home.path(), &[]);
    let (again, answer) = outside.next();
    assert_eq!(again, key);
    answer.send(()).unwrap();
    assert!(replies(&node, 1)[0].to_string().contains("granted"));

    ask(&node);
    let log = log_says(&node, "over `http_per_minute` = 1: try again in ");
    assert!(log.contains(" s, or raise the limit in [limits]"), "{log}");
    assert!(outside.requests.try_recv().is_err(), "a request left");
    let row = limit_of(&node, "http_per_minute");
    assert_eq!((&row["limit"], &row["peak"]), (&1.into(), &1.into()));
    assert!(row["last_breach"].is_string(), "{row}");
    let found = node
        .caxton(&["audit", "search", "--text", "http-rate-limit"])
        .ok();
    assert!(found.stdout.contains("fetch"), "{found:#?}");
    assert_eq!(node.terminate(), 0);
}

#[test]
fn a_response_over_the_limit_is_refused_by_its_name() {
    let (node, outside) = (NodeProcess::start(), Outside::start());
    let grant = format!("http:read={}/**", outside.address);
    deploy_within(&node, &outside, &[&grant], &["http_body_bytes=3"]);
    ask(&node);
    outside.next().1.send(()).unwrap();
    log_says(&node, "is over `http_body_bytes` = 3 bytes");
    assert!(limit_of(&node, "http_body_bytes")["last_breach"].is_string());
}
