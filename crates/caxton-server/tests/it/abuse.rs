//! Clients that mean no good, or don't know better.

use std::time::{Duration, Instant};

use caxton_server::ServerLimits;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Harness, PATIENCE, answer, message, read_all};

fn quick() -> ServerLimits {
    ServerLimits {
        head_timeout: Duration::from_millis(400),
        body_pause_max: Duration::from_millis(400),
        write_pause_max: Duration::from_millis(500),
        ..ServerLimits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_bounded() {
    let harness = Harness::start().await;
    let long = format!("x-long: {}\r\n", "x".repeat(40_000));
    let many: String = (0..150).map(|i| format!("x-{i}: y\r\n")).collect();
    for headers in [&long, &many] {
        let answer = harness
            .call_with("GET", "/health/live", headers, None)
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (431, "headers-too-large")
        );
    }
    let endless = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}", "x".repeat(1 << 20));
    let text = harness.raw(endless.as_bytes()).await;
    assert!(text.is_empty() || answer(&text).status == 431, "{text}");
    let target = harness
        .call("GET", &format!("/health/live?{}", "x".repeat(9_000)), None)
        .await;
    assert_eq!(target.code(), "malformed-request");
    for nonsense in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost x\r\n\r\n",
    ] {
        let mut stream = harness.connect().await;
        stream.write_all(nonsense).await.unwrap();
        stream.shutdown().await.unwrap();
        let text = read_all(&mut stream).await;
        assert!(
            text.is_empty()
                || (400..500).contains(&answer(&text).status)
                || answer(&text).status == 505,
            "{text}"
        );
    }
    assert_eq!(harness.call("GET", "/health/live", None).await.status, 200);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded() {
    let harness = Harness::start().await;
    let large = vec![b' '; 3 << 20];
    let answered = harness
        .call("POST", "/api/v1/tokens", Some(("application/json", &large)))
        .await;
    assert_eq!(
        (answered.status, answered.code().as_str()),
        (413, "payload-too-large")
    );
    let answered = harness
        .call(
            "POST",
            "/api/v1/messages",
            Some(("application/json", &large)),
        )
        .await;
    assert_eq!(
        (answered.status, answered.code().as_str()),
        (413, "message-too-large")
    );
    let module = vec![0; 34 << 20];
    let answered = harness
        .call(
            "POST",
            "/api/v1/agents",
            Some(("multipart/form-data; boundary=b", &module)),
        )
        .await;
    assert_eq!(
        (answered.status, answered.code().as_str()),
        (413, "module-too-large")
    );
    // Without a length the end is found by counting.
    let mut chunked = format!(
        "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        harness.server.admin_token()
    )
    .into_bytes();
    for _ in 0..3 {
        chunked.extend(b"100000\r\n");
        chunked.extend(vec![b' '; 1 << 20]);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let answered = answer(&harness.raw(&chunked).await);
    assert_eq!(
        (answered.status, answered.code().as_str()),
        (413, "payload-too-large")
    );
    // Only those who may send bodies have them read.
    let unknown = format!(
        "authorization: Bearer no\r\ncontent-length: {}\r\n",
        34 << 20
    );
    assert_eq!(
        harness
            .call_with("POST", "/api/v1/agents", &unknown, None)
            .await
            .status,
        401
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_wide_json_is_refused() {
    let harness = Harness::start().await;
    let deep = format!(
        "{{\"performative\":\"request\",\"receiver\":\"x\",\"content\":{}{}}}",
        "[".repeat(500_000),
        "]".repeat(500_000)
    );
    for path in ["/api/v1/messages", "/api/v1/tokens", "/api/v1/agents"] {
        let answer = harness
            .call("POST", path, Some(("application/json", deep.as_bytes())))
            .await;
        assert_eq!(answer.status, 400, "{path} {answer:?}");
        answer.code();
    }
    let mut wide = serde_json::Map::new();
    for i in 0..50_000 {
        wide.insert(format!("f{i}"), json!(i));
    }
    wide.insert("performative".to_owned(), json!("request"));
    wide.insert("receiver".to_owned(), json!("x"));
    let answer = harness.json("POST", "/api/v1/messages", &wide.into()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "malformed-message")
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_cut_off() {
    let harness = Harness::with(quick(), None).await;
    let authorization = format!("authorization: Bearer {}", harness.server.admin_token());
    let began = Instant::now();
    for head in [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n",
    ] {
        let mut stream = harness.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let text = read_all(&mut stream).await;
        assert!(
            text.is_empty() || answer(&text).status == 408,
            "{head:?}: {text}"
        );
    }
    let body = format!(
        "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\n{authorization}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    let text = harness.raw(body.as_bytes()).await;
    let answered = answer(&text);
    assert_eq!(
        (answered.status, answered.code().as_str()),
        (408, "request-timeout")
    );
    // A byte now and then keeps no connection either.
    let mut stream = harness.connect().await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let drip = tokio::task::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut bytes = [0; 4096];
    let count = tokio::time::timeout(PATIENCE, reading.read(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert!(String::from_utf8_lossy(&bytes[..count]).starts_with("HTTP/1.1 408 "));
    drop(reading);
    drip.abort();
    assert!(began.elapsed() < PATIENCE);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_slow_senders_keep_nobody_waiting_and_are_all_cut_off() {
    let harness = Harness::with(quick(), None).await;
    harness.deploy("echo", "echo-c.wasm").await;
    let body = format!(
        "POST /api/v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        harness.server.admin_token()
    );
    let mut slow = Vec::new();
    for begun in ["GET /version HT", &body].repeat(150) {
        let mut stream = harness.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let reply = harness
        .client()
        .send_message_and_wait(message("me", "echo", json!(1)), PATIENCE)
        .await
        .unwrap();
    assert_eq!(reply.content, json!(1));
    for mut stream in slow {
        let text = read_all(&mut stream).await;
        if !text.is_empty() {
            let answered = answer(&text);
            assert_eq!(answered.status, 408, "{text}");
        }
    }
    assert_eq!(harness.call("GET", "/health/live", None).await.status, 200);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_off() {
    let harness = Harness::with(quick(), None).await;
    let one = format!(
        "GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        harness.server.admin_token()
    );
    let mut stream = harness.connect().await;
    // Far more answers than the sockets' buffers hold, and nobody takes them.
    let mut broken = false;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let sent =
            tokio::time::timeout(Duration::from_secs(3), stream.write_all(one.as_bytes())).await;
        if let Ok(Err(_)) = sent {
            broken = true;
            break;
        }
    }
    assert!(broken, "the server goes on holding what nobody reads");
    harness.stop().await;
}
