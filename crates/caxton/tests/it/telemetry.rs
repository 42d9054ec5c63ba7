//! Traces leave the node as OTLP over HTTP, to whoever the standard environment variables name.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::command::program;

/// Takes one request and answers 200; gives its head and body.
fn take(mut stream: TcpStream) -> (String, Vec<u8>) {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).unwrap();
        all.extend_from_slice(&part[..read]);
        let Some(end) = all.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .and_then(|text| text.trim().parse::<usize>().ok())
            .unwrap();
        if all.len() >= end + 4 + length {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            return (head, all.split_off(end + 4));
        }
    }
}

#[test]
fn a_request_becomes_a_span_at_the_collector() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    collector.set_nonblocking(true).unwrap();
    let address = collector.local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut child = program(home.path())
        .args(["up", "--listen", "127.0.0.1:0", "--log", "info", "--data"])
        .arg(home.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let url = line
        .trim()
        .strip_prefix("listening on http://")
        .unwrap()
        .to_owned();
    let mut asking = TcpStream::connect(url).unwrap();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    write!(
        asking,
        "GET /version HTTP/1.1\r\nhost: x\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let wanted: Vec<u8> = (0..16)
        .map(|i| u8::from_str_radix(&trace[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    let mut found = false;
    while !found && Instant::now() < deadline {
        let Ok((stream, _)) = collector.accept() else {
            std::thread::park_timeout(Duration::from_millis(20));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        let (head, body) = take(stream);
        assert!(head.starts_with("POST /v1/traces"), "{head}");
        found = body.windows(16).any(|bytes| bytes == wanted);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(found, "no span carried the caller's trace id");
}
