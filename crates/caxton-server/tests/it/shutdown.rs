//! What is answered when the server shuts down.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Answer, Harness, PATIENCE, answer, read_all};

/// Longer than the tests' own patience: who waits for it fails.
const GRACE: Duration = Duration::from_secs(600);

/// Sends a request without its last bytes, and makes sure that it is being read.
async fn begun(harness: &Harness, text: &str) -> TcpStream {
    let mut stream = harness.connect().await;
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn shut_down(harness: Harness) {
    let stopped = async {
        harness.server.shutdown(GRACE).await;
        harness.node.shutdown(GRACE).await;
    };
    tokio::time::timeout(PATIENCE, stopped)
        .await
        .expect("nobody holds the shutdown up");
}

fn post(harness: &Harness, path: &str, body: &str) -> String {
    let token = harness.server.admin_token();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn rest(stream: &mut TcpStream) -> Answer {
    answer(&read_all(stream).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_reply_is_answered_with_what_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let data = Some(directory.path().to_owned());
    let harness = Harness::with(Default::default(), data).await;
    harness.deploy("quiet", "quiet.wat").await;
    let body = |id: &str| {
        json!({ "performative": "request", "sender": "me", "receiver": "quiet",
            "content": 1, "message_id": id, "wait_ms": 60_000 })
        .to_string()
    };
    let mut events = harness.node.watch_events();
    let mut waiting = Vec::new();
    for id in ["one", "two"] {
        waiting.push(begun(&harness, &post(&harness, "/api/v1/messages", &body(id))).await);
    }
    // A retry of the same message waits as well.
    waiting.push(begun(&harness, &post(&harness, "/api/v1/messages", &body("one"))).await);
    let mut sent = 0;
    while sent < 2 {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap();
        sent += u32::from(matches!(
            event.unwrap().event,
            caxton_kernel::NodeEvent::Sent { .. }
        ));
    }
    shut_down(harness).await;
    for stream in &mut waiting {
        let answered = rest(stream).await;
        assert_eq!(answered.status, 202, "{answered:?}");
        assert!(answered.head.contains("\r\nretry-after: "), "{answered:?}");
        let told = answered.json();
        assert_eq!(told["acknowledged"], "durable", "{told}");
        assert_eq!(
            (&told["deliveries"], &told["reply"]),
            (&json!(1), &json!(null))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_mail_or_for_a_stop_is_answered() {
    let harness = Harness::start().await;
    harness.deploy("quiet", "quiet.wat").await;
    let token = harness.server.admin_token().to_owned();
    let mail = format!(
        "GET /api/v1/messages?receiver=me&wait_ms=60000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let mut waiting = begun(&harness, &mail).await;
    // What came in before it has been answered, so the node has begun with it.
    harness.call("GET", "/version", None).await;
    shut_down(harness).await;
    let answered = rest(&mut waiting).await;
    assert_eq!(
        (answered.status, &answered.json()["items"]),
        (200, &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_does_not_hold_a_shutdown_up() {
    let harness = Harness::start().await;
    let token = harness.server.admin_token().to_owned();
    let mut halves = Vec::new();
    for text in [
        String::new(),
        "GET /version HTTP/1.1\r\nhost: x\r\n".to_owned(),
        format!(
            "GET /version HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\nGET /ver"
        ),
        format!(
            "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        ),
    ] {
        halves.push(begun(&harness, &text).await);
    }
    let mut byte = [0];
    halves[2].read_exact(&mut byte).await.unwrap();
    shut_down(harness).await;
    let body = read_all(&mut halves[3]).await;
    // The head may not have been read when the server closed.
    if !body.is_empty() {
        let answered = answer(&body);
        assert_eq!(
            (answered.status, answered.code().as_str()),
            (503, "shutting-down")
        );
        assert!(answered.head.contains("retry-after"), "{answered:?}");
    }
}
