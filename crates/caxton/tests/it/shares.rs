//! What senders make the node keep fills their own share of it, and nobody else is refused for it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    command::{guest, text_guest},
    node::NodeProcess,
};

/// Namespaces that send what nobody gets. Each has as many clients as fill its share.
const SENDERS: usize = 3;
const CLIENTS: usize = 4;
/// What each message carries: all of them together are more than the node's budget.
const CONTENT_BYTES: usize = 300_000;
const MESSAGES: usize = 1_000;
const BUDGET: &str = "[budgets]\nmemory = \"256MiB\"\n";

/// Posts a message; the status, 0 where there was no answer, and the answer.
fn post(node: &NodeProcess, token: &str, body: &Value) -> (u16, Value) {
    let address = node.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    let head = format!(
        "POST /api/v1/messages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Whoever is refused may find the connection closed before all was written.
    let _ = stream.write_all((head + &body).as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    (status.unwrap_or(0), body)
}

fn token(node: &NodeProcess, namespace: &str, clients: &[String]) -> String {
    let mut args = vec!["token", "create", namespace, "--namespace", namespace];
    args.extend(["--scope", "send", "--scope", "read", "--output", "json"]);
    for client in clients {
        args.extend(["--client", client]);
    }
    let made = node.caxton(&args).ok().json();
    made["token"].as_str().unwrap().to_owned()
}

fn deploy(node: &NodeProcess, file: &str, name: &str) {
    node.caxton(&["agent", "deploy", file, "--name", name]).ok();
}

fn start(data: &Path) -> NodeProcess {
    std::fs::create_dir(data).unwrap();
    std::fs::write(data.join("node.toml"), BUDGET).unwrap();
    NodeProcess::start_in(data, &[])
}

#[test]
fn senders_of_dead_letters_never_make_the_node_refuse_a_neighbour() {
    let home = tempfile::tempdir().unwrap();
    let node = start(&home.path().join("node"));
    let quiet = text_guest(home.path(), "quiet");
    deploy(&node, &guest("sample-agent-rust"), "neighbour/sample");
    let neighbour = token(&node, "neighbour", &[]);
    let clients: Vec<String> = (0..CLIENTS).map(|n| format!("client-{n}")).collect();
    let senders: Vec<String> = (0..SENDERS)
        .map(|n| {
            deploy(&node, &quiet, &format!("sender-{n}/own"));
            token(&node, &format!("sender-{n}"), &clients)
        })
        .collect();
    let content = "x".repeat(CONTENT_BYTES);
    let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ask = || {
        let body = json!({"performative": "request", "receiver": "sample",
            "content": {"action": "get_status"}, "wait_ms": 60_000});
        let (status, answer) = post(&node, &neighbour, &body);
        let act = &answer["reply"]["performative"];
        assert!(status == 200 && act == "inform", "{status}: {answer}");
    };
    thread::scope(|scope| {
        let sends = || {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= MESSAGES {
                    break;
                }
                let sender = format!("client-{}", n / SENDERS % CLIENTS);
                let body = json!({"performative": "inform", "receiver": ["own", "nobody"],
                    "content": content, "sender": sender});
                // The sender may be refused, and nobody else.
                post(&node, &senders[n % SENDERS], &body);
            }
            ended.store(true, Ordering::Relaxed);
        };
        let threads = [(); 4].map(|()| scope.spawn(sends));
        while !ended.load(Ordering::Relaxed) {
            ask();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
    // The node has room for what others want as soon as it ends.
    ask();
    deploy(&node, &quiet, "neighbour/another");
    assert_eq!(node.terminate(), 0);
}
