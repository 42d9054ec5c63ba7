//! Requests over loopback to the real server and a durable agent, against the same client on a
//! bare axum echo in the same process.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use caxton_model::{AskedLimits, Durability, EngineProfile};
use caxton_node::DeployProcessor;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    Plan, guests,
    node::Measured,
    peers::Peers,
    row::{Rate, Row, Target, Unit, failed},
};
use crate::failure::Failure;

const ECHO: &[u8] = include_bytes!("../../../../guests/prebuilt/echo-c.wasm");

/// What the bare server is asked.
const ECHO_HEAD: &str = "POST /echo HTTP/1.1\r\nhost: localhost\r\n";

/// Bytes of an answer's head and body that the client reads at most.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How long one answer may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all connections together saw.
#[derive(Default)]
struct Seen {
    rate: Rate,
    times: Vec<Duration>,
}

/// Requests a second, and how long each took.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let connections = plan.pick(8, 64);
    let time = Duration::from_millis(plan.pick(400, 5_000) as u64);
    let ours = ours(plan, connections, time).await?;
    let inside = bare(connections, time).await?;
    let what = format!("HTTP request + durable reply, {connections} connections");
    let bare_part = "axum echo, same client, same process";
    let target = Target::RatioAtLeast(0.4);
    let mut rows = vec![
        Row::rates(what, &ours.rate, bare_part, &inside.rate).must(target),
        Row::times(
            "  the time of each",
            Unit::Micros,
            ours.times,
            bare_part,
            inside.times,
        ),
    ];
    if let Some(program) = &plan.peers {
        let mut peers = Peers::start(program)?;
        let outside = load(peers.axum()?, ECHO_HEAD, connections, time).await?;
        let what = "  the same against axum by itself";
        let bare_part = "axum echo, same client, a process of its own";
        rows.push(Row::rates(what, &ours.rate, bare_part, &outside.rate).must(target));
    }
    let calls = calls(plan, connections, time).await?;
    let what = format!("processor call over the API, {connections} connections");
    rows.push(Row::rates(what, &calls.rate, bare_part, &inside.rate));
    Ok(rows)
}

/// Calls of a processor, each in a fresh instance, by the same client.
async fn calls(plan: &Plan, connections: usize, time: Duration) -> Result<Seen, Failure> {
    let shards = caxton_node::NodeOptions::default().shards;
    let measured = Measured::start(Durability::Memory, shards, &plan.dir).await?;
    let deploy = DeployProcessor {
        granted: Vec::new(),
        requested: None,
        name: "echo".parse().map_err(failed)?,
        module: guests::processor()?,
        version: "0.0.0".to_owned(),
        limits: AskedLimits::default(),
        config: Vec::new(),
        profile: Some(EngineProfile::Hardened),
    };
    let deployed = measured.node.deploy_processor(deploy).await;
    deployed.map_err(|refusal| failed(refusal.text))?;
    let head = measured.head("POST /api/v1/processors/echo/call");
    let seen = load(measured.address(), &head, connections, time).await;
    measured.stop().await?;
    seen
}

async fn ours(plan: &Plan, connections: usize, time: Duration) -> Result<Seen, Failure> {
    let shards = caxton_node::NodeOptions::default().shards;
    let measured = Measured::start(Durability::Durable, shards, &plan.dir).await?;
    measured
        .deploy("echo", ECHO, Durability::Durable, None)
        .await?;
    let head = measured.head("POST /api/v1/messages");
    let seen = load(measured.address(), &head, connections, time).await;
    measured.stop().await?;
    seen
}

async fn bare(connections: usize, time: Duration) -> Result<Seen, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = axum::Router::new().route(
        "/echo",
        axum::routing::post(|body: bytes::Bytes| async move { body }),
    );
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, echo).with_graceful_shutdown(async {
        // Dropped or sent, it is time to end.
        let _ = stopped.await;
    });
    let load = async {
        let seen = load(address, ECHO_HEAD, connections, time).await;
        drop(stop);
        seen
    };
    let (served, seen) = tokio::join!(serving.into_future(), load);
    served?;
    seen
}

/// So many connections, each asking again as soon as it is answered.
async fn load(
    address: SocketAddr,
    head: &str,
    connections: usize,
    time: Duration,
) -> Result<Seen, Failure> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let request = request(head, number);
        tasks.spawn(tokio::time::timeout(
            time + PATIENCE,
            connection(address, request, begun, time),
        ));
    }
    let mut all = Seen::default();
    while let Some(done) = tasks.join_next().await {
        let seen = done.map_err(failed)?.map_err(failed)??;
        all.rate.merge(seen.rate);
        all.times.extend(seen.times);
    }
    Ok(all)
}

fn request(head: &str, number: usize) -> Vec<u8> {
    let body = format!(
        r#"{{"performative":"request","sender":"client-{number}","receiver":"echo","content":{{"action":"echo","data":"{}"}},"wait_ms":20000}}"#,
        "x".repeat(100),
    );
    let length = body.len();
    format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

async fn connection(
    address: SocketAddr,
    request: Vec<u8>,
    begun: Instant,
    time: Duration,
) -> Result<Seen, Failure> {
    let mut line = Line::open(address, request).await?;
    let mut seen = Seen::default();
    while begun.elapsed() < time {
        seen.times.push(line.ask().await?);
        seen.rate.note(begun.elapsed(), 1);
    }
    Ok(seen)
}

/// One connection that asks the same again and again.
pub(super) struct Line {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Line {
    pub(super) async fn open(address: SocketAddr, request: Vec<u8>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request,
            answer: Vec::with_capacity(4_096),
        })
    }
    /// From the question to the last byte of the answer.
    pub(super) async fn ask(&mut self) -> Result<Duration, Failure> {
        let asked = Instant::now();
        self.stream.write_all(&self.request).await?;
        read_answer(&mut self.stream, &mut self.answer).await?;
        Ok(asked.elapsed())
    }
}

/// Reads one answer; anything but 200 is the end of the measurement.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<(), Failure> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err(failed("the server closed the connection"));
        }
        if let Some(whole) = whole_length(answer)? {
            if answer.len() >= whole {
                return Ok(());
            }
        } else if answer.len() > ANSWER_BYTES_MAX {
            return Err(failed("an answer without an end"));
        }
    }
}

/// How long the answer is in all, once its head is there.
fn whole_length(answer: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(answer.get(..end).unwrap_or_default()).map_err(failed)?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(failed(String::from_utf8_lossy(answer).trim()));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => Ok(Some(end + 4 + length)),
        None => Err(failed("an answer without a length")),
    }
}
