//! More event streams than the node takes: so many are served, the others are told so, and neither
//! memory nor descriptors stay behind.

use std::time::{Duration, Instant};

use caxton_client::{AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{command::guest, node::NodeProcess};

/// Clients that each want a stream and keep what they get.
const ASKED: usize = 10_000;
/// As many of them come at the same time.
const AT_ONCE: usize = 200;
/// What the node takes by its own defaults.
const STREAMS_MAX: usize = 500;
/// What all of them may cost it. Unit: bytes.
const MEMORY_MAX: u64 = 64 << 20;
/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client with what it was answered; the connection stays open.
struct Client {
    stream: TcpStream,
    status: u16,
    answer: String,
}

/// So many clients as this machine lets one process have, with room for the test's own files.
fn clients() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let clients = usize::try_from(allowed)
        .unwrap_or(usize::MAX)
        .saturating_sub(500);
    if clients < ASKED {
        println!("flood: {clients} clients instead of {ASKED}: `ulimit -n` allows no more");
    }
    clients.min(ASKED)
}

async fn ask(address: &str, token: &str) -> Client {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    // A node that has no room may have closed already: then its answer is there to be read.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    let whole = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let events = head.contains("text/event-stream");
        (events || body.trim_end().ends_with('}')).then_some(text)
    };
    let text = loop {
        if let Some(text) = whole(&answer) {
            break text;
        }
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
        match read.expect("an answer") {
            Ok(count) if count > 0 => answer.extend(&bytes[..count]),
            // Whoever goes for want of room before its request has arrived is told so, too.
            end => panic!(
                "no whole answer: {end:?} {}",
                String::from_utf8_lossy(&answer)
            ),
        }
    };
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    Client {
        stream,
        status,
        answer: text.to_lowercase(),
    }
}

async fn open(count: usize, address: &str, token: &str) -> Vec<Client> {
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..AT_ONCE {
        let (address, token) = (address.to_owned(), token.to_owned());
        let share = count / AT_ONCE + usize::from(i < count % AT_ONCE);
        asking.spawn(async move {
            let mut clients = Vec::new();
            for _ in 0..share {
                clients.push(ask(&address, &token).await);
            }
            clients
        });
    }
    asking.join_all().await.into_iter().flatten().collect()
}

async fn send(client: &CaxtonClient) {
    let message = FipaMessage {
        performative: "request".to_owned(),
        sender: "me".to_owned(),
        receiver: serde_json::json!("echo"),
        ..FipaMessage::default()
    };
    client
        .send_message_and_wait(message, Duration::from_secs(30))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_event_streams_as_many_are_served_as_the_node_takes() {
    let asked = clients();
    let node = NodeProcess::start();
    let token = std::fs::read_to_string(node.data.join("admin-token")).unwrap();
    let (address, token) = (node.url.strip_prefix("http://").unwrap(), token.trim());
    let client = node.client();
    let module = std::fs::read(guest("echo-c")).unwrap();
    let config = AgentConfig {
        name: "echo".to_owned(),
        ..AgentConfig::default()
    };
    let request = DeployAgentRequest {
        wasm_module: module,
        config,
    };
    client.deploy_agent(request).await.unwrap();
    send(&client).await;
    let (memory, descriptors) = (node.resident_bytes(), node.descriptors());

    let begun = Instant::now();
    let all = open(asked, address, token).await;
    let took = begun.elapsed();
    let grown = node.resident_bytes().saturating_sub(memory);
    let (mut open_streams, refused): (Vec<Client>, Vec<Client>) =
        all.into_iter().partition(|client| client.status == 200);
    let mut by_code = std::collections::BTreeMap::new();
    for client in &refused {
        let code = match client.status {
            429 => "too-many-requests",
            503 => "node-budget",
            other => panic!("{other}: {}", client.answer),
        };
        let answer = &client.answer;
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
        assert!(answer.contains("\"remedy\":\""), "{answer}");
        assert!(answer.contains("\r\nretry-after: "), "{answer}");
        *by_code.entry(code).or_insert(0) += 1;
    }
    println!(
        "flood: {asked} clients in {:.1} s: {} streams, {by_code:?}; resident memory grew by {} KiB",
        took.as_secs_f64(),
        open_streams.len(),
        grown / 1024
    );
    assert_eq!(open_streams.len(), STREAMS_MAX.min(asked));
    assert!(grown < MEMORY_MAX, "resident memory grew by {grown} bytes");

    drop(refused);
    send_soon(&client).await;
    for client in &mut open_streams {
        let mut seen = String::new();
        let mut bytes = [0; 4096];
        while !seen.contains("event: sent") {
            let read = tokio::time::timeout(PATIENCE, client.stream.read(&mut bytes)).await;
            let count = read.expect("an event").unwrap();
            assert!(count > 0, "a stream ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    drop(open_streams);
    let until = Instant::now() + PATIENCE;
    while node.descriptors() > descriptors + 8 {
        assert!(
            Instant::now() < until,
            "{} descriptors stay",
            node.descriptors()
        );
        send_soon(&client).await;
    }
    let again = open(STREAMS_MAX, address, token).await;
    let served = again.iter().filter(|client| client.status == 200).count();
    assert_eq!(served, STREAMS_MAX, "places were not given back");
    assert_eq!(node.terminate(), 0);
}

/// Sends as soon as there is a connection for it: those of refused clients end first.
async fn send_soon(client: &CaxtonClient) {
    let until = Instant::now() + PATIENCE;
    while client.version().await.is_err() {
        assert!(Instant::now() < until, "the node serves nobody");
        tokio::task::yield_now().await;
    }
    send(client).await;
}
