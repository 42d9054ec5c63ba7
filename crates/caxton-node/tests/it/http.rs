//! HTTP requests of agents and their limits a minute.

use caxton_model::{ErrorCode, LimitName, Performative};
use caxton_node::LimitUsage;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// Answers every request with a kilobyte, for ever.
pub(crate) async fn serve(server: &TcpListener) {
    loop {
        let (mut stream, _) = server.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                break;
            }
        }
        let body = "x".repeat(1_000);
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        // The client may have seen enough.
        let _ = stream.write_all(text.as_bytes()).await;
    }
}

/// Asks once, and traps if it was answered; returns 0 where it was refused.
fn asks_and_traps(url: &str) -> String {
    let request = format!(r#"{{"url":"{url}"}}"#);
    let length = request.len();
    let request = request.replace('"', "\\\"");
    format!(
        r#"(module
          (import "caxton" "http_request" (func $f (param i32 i32) (result i32)))
          (memory (export "memory") 4)
          (data (i32.const 2000) "{request}")
          (func (export "allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "deallocate") (param i32 i32))
          (func (export "handle_message") (param i32 i32) (result i32)
            (if (i32.eqz (call $f (i32.const 2000) (i32.const {length}))) (then unreachable))
            (i32.const 0)))"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_faults_does_not_get_its_minute_back() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let node = node().await;
    let test = async {
        let mut deploy = agent("asks", &asks_and_traps(&format!("http://{address}/")));
        deploy.limits.0.insert(LimitName::HttpPerMinute, 1);
        deploy.limits.0.insert(LimitName::Wall, 20_000_000);
        deploy.granted = Arc::new(vec![granted(&format!("http:read={address}/**"))]);
        node.deploy(deploy).await.unwrap();
        let reply = ask(&node, "asks", "{}").await.unwrap().reply.unwrap();
        assert_eq!(reply.message.performative, Performative::Failure);
        let said = reply.message.content.value();
        assert_eq!(said["code"], ErrorCode::Trap.as_str());
        // The next instance finds the bucket as the first has left it.
        node.post(post("asks", "{}"), None).await.unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let detail = loop {
            let detail = node.agent("asks").await.unwrap();
            // A start after the fault is a turn as well, so that their number alone does not say
            // that the second request was made.
            let is_refused = |row: &LimitUsage| {
                row.name == LimitName::HttpPerMinute && row.last_breach.is_some()
            };
            if detail.state.turns >= 3 && detail.usage.iter().any(is_refused) {
                break detail;
            }
            assert!(tokio::time::Instant::now() < deadline, "{detail:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(detail.state.faults, 1);
        let row = |name| detail.usage.iter().find(|row| row.name == name).unwrap();
        let requests = row(LimitName::HttpPerMinute);
        assert_eq!((requests.limit, requests.peak), (1, 1));
        assert!(requests.last_breach.is_some());
        assert!(row(LimitName::HttpBytesPerMinute).peak > 1_000);
        assert!(row(LimitName::NetBytesPerMinute).peak > 1_000);
        assert!(row(LimitName::HttpBytesPerMinute).last_breach.is_none());
    };
    tokio::select! {
        () = test => {}
        () = serve(&server) => unreachable!("it serves for ever"),
    }
    node.shutdown(PATIENCE).await;
}
