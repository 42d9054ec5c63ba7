//! Many at once: what strangers and one token may take of connections and of memory for bodies.

use caxton_client::api::{NewToken, Scope};
use caxton_server::ServerLimits;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use crate::harness::{Harness, PATIENCE, answer, read_all};

fn with_connections(connections_max: usize) -> ServerLimits {
    ServerLimits {
        connections_max,
        head_timeout: PATIENCE,
        ..ServerLimits::default()
    }
}

/// A connection on which a request has been answered, and which stays open.
async fn held(harness: &Harness, headers: &str) -> (TcpStream, u16) {
    let mut stream = harness.connect().await;
    let request = format!("GET /version HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = [0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes[..read.unwrap().unwrap()]).into_owned();
    (stream, answer(&text).status)
}

async fn token(harness: &Harness, name: &str) -> String {
    let new = NewToken {
        name: name.to_owned(),
        scopes: vec![Scope::Read, Scope::Send],
        namespace: None,
        clients: Vec::new(),
    };
    let made = harness.client().create_token(&new).await.unwrap();
    format!("authorization: Bearer {}\r\n", made.token)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_take_no_connection_that_a_caller_needs() {
    let harness = Harness::with(with_connections(20), None).await;
    let mut strangers: Vec<TcpStream> = Vec::new();
    for round in 0..100 {
        // Some say nothing, some half a request, some whole ones without a token.
        let mut stream = harness.connect().await;
        let said: &[u8] = match round % 4 {
            0 => b"",
            1 => b"GET /version HTTP/1.1\r\nhost: x\r\n",
            2 => b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n",
            _ => b"GET /version HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\n\r\n",
        };
        let _ = stream.write_all(said).await;
        strangers.push(stream);
        let operator = harness.call("GET", "/version", None).await;
        assert_eq!(operator.status, 200, "beside {} strangers", round + 1);
    }
    // The oldest had to go, and had asked nothing yet.
    let first = answer(&read_all(&mut strangers[0]).await);
    assert_eq!(first.json()["code"], json!("node-budget"));
    harness.stop().await;
}

/// Connects and sends without letting the server's tasks run.
fn sent(harness: &Harness, bytes: &[u8]) -> std::net::TcpStream {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(harness.server.addr()).unwrap();
    stream.write_all(bytes).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// On one thread, so that all of the test's bytes have arrived before the server reads any.
#[tokio::test]
async fn a_head_with_a_token_that_has_arrived_is_answered_whoever_comes_after_it() {
    let harness = Harness::with(with_connections(20), None).await;
    let reader = token(&harness, "reader").await;
    let heads = [
        format!("GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{reader}\r\n"),
        format!("GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{reader}\r\n"),
        format!(
            "GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {}\r\n{reader}\r\n",
            "x".repeat(30 << 10)
        ),
    ];
    let send = |i: usize| sent(&harness, heads[i % heads.len()].as_bytes());
    let callers: Vec<_> = (0..9).map(send).collect();
    let stranger: &[&[u8]] = &[
        b"",
        b"GET /ver",
        b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    let strangers: Vec<_> = (0..90).map(|i| sent(&harness, stranger[i % 3])).collect();
    for caller in callers {
        let mut stream = TcpStream::from_std(caller).unwrap();
        assert_eq!(answer(&read_all(&mut stream).await).status, 200);
    }
    drop(strangers);
    harness.stop().await;
}

#[tokio::test]
async fn local_connections_have_a_bound_of_their_own_and_stay() {
    let data = tempfile::tempdir().unwrap();
    let harness = Harness::with(with_connections(4), Some(data.path().to_owned())).await;
    let socket = data.path().join(caxton_api::SOCKET_FILE);
    let token = harness.server.admin_token();
    let mut local = Vec::new();
    for _ in 0..64 {
        local.push(UnixStream::connect(&socket).await.unwrap());
    }
    let mut strangers = Vec::new();
    for _ in 0..100 {
        strangers.push(sent(&harness, b"GET /ver"));
        assert_eq!(harness.call("GET", "/version", None).await.status, 200);
    }
    let request =
        format!("GET /version HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut bytes = [0; 4096];
    for stream in &mut local {
        stream.write_all(request.as_bytes()).await.unwrap();
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
        let count = read.unwrap().unwrap();
        assert_eq!(
            answer(&String::from_utf8_lossy(&bytes[..count])).status,
            200
        );
    }
    let mut one_more = UnixStream::connect(&socket).await.unwrap();
    let mut text = String::new();
    one_more.read_to_string(&mut text).await.unwrap();
    assert_eq!(answer(&text).status, 503);
    drop(local);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_connections_are_not_closed_for_strangers() {
    let harness = Harness::with(with_connections(8), None).await;
    let reader = token(&harness, "reader").await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(held(&harness, &reader).await.0);
    }
    for _ in 0..50 {
        held(&harness, "").await;
    }
    for stream in &mut kept {
        let request =
            format!("GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{reader}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(answer(&read_all(stream).await).status, 200);
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_leaves_connections_for_the_others() {
    let harness = Harness::with(with_connections(20), None).await;
    let (greedy, modest) = (
        token(&harness, "greedy").await,
        token(&harness, "modest").await,
    );
    let (mut kept, mut refused) = (Vec::new(), 0);
    for _ in 0..40 {
        let (stream, status) = held(&harness, &greedy).await;
        match status {
            200 => kept.push(stream),
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    // The connection that made the tokens may still be one of the twenty.
    assert!((14..=15).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.len() + refused, 40);
    assert_eq!(held(&harness, &modest).await.1, 200);
    assert_eq!(harness.call("GET", "/version", None).await.status, 200);
    drop(kept);
    let served = async {
        while held(&harness, &greedy).await.1 != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_all_connections_in_use_by_callers_is_told_so() {
    let harness = Harness::with(with_connections(2), None).await;
    let (one, two) = (token(&harness, "one").await, token(&harness, "two").await);
    let mut kept = Vec::new();
    for token in [&one, &two] {
        // The connection that made the tokens may still be there.
        let got = async {
            loop {
                let (stream, status) = held(&harness, token).await;
                if status == 200 {
                    return stream;
                }
            }
        };
        kept.push(tokio::time::timeout(PATIENCE, got).await.unwrap());
    }
    let refused = harness.call("GET", "/version", None).await;
    assert_eq!(
        (refused.status, refused.json()["code"].clone()),
        (503, json!("node-budget"))
    );
    harness.stop().await;
}

fn announcing(token: &str, bytes: usize) -> String {
    format!(
        "POST /api/v1/messages HTTP/1.1\r\nhost: x\r\n{token}content-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_bodies_take_no_room_until_they_arrive() {
    let limits = ServerLimits {
        bodies_bytes_max: 4 << 20,
        body_pause_max: PATIENCE,
        ..ServerLimits::default()
    };
    let harness = Harness::with(limits, None).await;
    let slow = token(&harness, "slow").await;
    let mut begun = Vec::new();
    for _ in 0..200 {
        let mut stream = harness.connect().await;
        let head = announcing(&slow, 2 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        begun.push(stream);
    }
    let body = json!({ "name": "x".repeat(900 << 10), "scopes": ["read"] });
    for _ in 0..25 {
        let answered = harness.json("POST", "/api/v1/tokens", &body).await;
        assert_eq!(answered.code(), "invalid-name", "it was read: {answered:?}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_have_arrived_take_the_room_of_their_caller_alone() {
    let limits = ServerLimits {
        bodies_bytes_max: 4 << 20,
        body_pause_max: PATIENCE,
        ..ServerLimits::default()
    };
    let harness = Harness::with(limits, None).await;
    let greedy = token(&harness, "greedy").await;
    let mut begun = Vec::new();
    for _ in 0..6 {
        let mut stream = harness.connect().await;
        let head = announcing(&greedy, 1 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut body = vec![b' '; 600 << 10];
        body[0] = b'{';
        stream.write_all(&body).await.unwrap();
        begun.push(stream);
    }
    // Six of them are more than one caller's share, which is half.
    let answers = begun.iter_mut().map(|stream| {
        Box::pin(async {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            answer(&String::from_utf8_lossy(&bytes[..count])).status
        })
    });
    let first = tokio::time::timeout(PATIENCE, futures_util::future::select_all(answers)).await;
    assert_eq!(first.expect("its share is bounded").0, 429);
    let other = json!({ "name": "x".repeat(500 << 10), "scopes": ["read"] });
    let answered = harness.json("POST", "/api/v1/tokens", &other).await;
    assert_eq!(answered.code(), "invalid-name", "it was read: {answered:?}");
    harness.stop().await;
}
