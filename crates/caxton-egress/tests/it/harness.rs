//! Servers on loopback, and guests with the rights that a test gives them.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use caxton_egress::{
    Bounds, Budgets, Caller, Egress, EgressOptions, HttpCall, HttpFailure, HttpReply, Resolve,
    Resolved, Secrets,
};
use caxton_gate::{Allowed, AuditEntry, AuditSink, Gate, Grants, Rights, SecretUse};
use caxton_model::{LimitName, Limits, Timestamp};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

/// Starts a task that ends with the test's runtime.
#[allow(clippy::disallowed_methods, reason = "tests need no task kinds")]
pub(crate) fn background(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

/// The decisions of a gate, as lines.
#[derive(Default)]
struct Audit(Mutex<Vec<String>>);

impl AuditSink for Audit {
    fn append(&self, entry: &AuditEntry<'_>) -> Result<(), String> {
        let verdict = if entry.denied.is_some() {
            "denied"
        } else {
            "allowed"
        };
        let line = format!("{verdict} {}", entry.access);
        self.0.lock().unwrap().push(line);
        Ok(())
    }
}

/// A guest that may ask all hosts, and loopback at any port.
pub(crate) struct Guest {
    gate: Gate,
    audit: Arc<Audit>,
    secrets: Values,
}

/// Secrets by name.
#[derive(Default)]
struct Values(HashMap<String, String>);

impl Secrets for Values {
    fn read(&self, access: Allowed<SecretUse>) -> Result<Bytes, String> {
        let value = self.0.get(access.access().name());
        let value = value.ok_or_else(|| "there is none of that name".to_owned())?;
        Ok(Bytes::from(value.clone()))
    }
}

impl Default for Guest {
    fn default() -> Self {
        Self::without(&[])
    }
}

fn now() -> Timestamp {
    Timestamp(1)
}

impl Guest {
    /// One that may not ask these.
    pub(crate) fn without(forbidden: &[&str]) -> Self {
        Self::with_rules(forbidden, &[])
    }
    /// One that may use these secrets (`NAME@HOST HEADER`), with these values.
    pub(crate) fn with_secrets(secrets: &[(&str, &str, &str)]) -> Self {
        let rules: Vec<_> = secrets
            .iter()
            .map(|(name, place, _)| format!("secret:use={name}@{place}"))
            .collect();
        let mut guest = Self::with_rules(&[], &rules);
        let value =
            |(name, _, value): &(&str, &str, &str)| ((*name).to_owned(), (*value).to_owned());
        guest.secrets.0 = secrets.iter().map(value).collect();
        guest
    }
    /// One with these rules more.
    pub(crate) fn with_rules(forbidden: &[&str], more: &[String]) -> Self {
        let mut rules = more.to_vec();
        for action in ["read", "write"] {
            for place in ["*:*", "[127.0.0.0/8]:*"] {
                rules.push(format!("http:{action}={place}"));
            }
            for place in forbidden {
                rules.push(format!("http:{action}=!{place}"));
            }
        }
        let rules = rules.iter().map(|rule| rule.parse().unwrap());
        let rights = Rights::granted(Grants::from_rules(rules, "operator", Timestamp(0)));
        let audit = Arc::new(Audit::default());
        Self {
            gate: Gate::new("guest", &rights, audit.clone()),
            audit,
            secrets: Values::default(),
        }
    }
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            gate: &self.gate,
            now: &now,
            secrets: &self.secrets,
        }
    }
    /// What its gate decided.
    pub(crate) fn audited(&self) -> Vec<String> {
        self.audit.0.lock().unwrap().clone()
    }
    /// Takes every right.
    pub(crate) fn revoke(&self) {
        self.gate.replace(&Rights::default());
    }
}

/// No limit but these.
pub(crate) fn limits(set: &[(LimitName, u64)]) -> &'static Limits {
    let mut limits = Limits::unlimited();
    for (name, value) in set {
        limits.set(*name, *value);
    }
    // A few for each test.
    Box::leak(Box::new(limits))
}

/// Bounds that no test reaches.
pub(crate) fn bounds(budgets: &Budgets) -> Bounds<'_> {
    Bounds {
        limits: limits(&[(LimitName::HttpBodyBytes, 1 << 20)]),
        field_bytes: 64 << 10,
        total: Duration::from_secs(60),
        budgets,
    }
}

pub(crate) fn options() -> EgressOptions {
    EgressOptions {
        system_authorities: false,
        ..EgressOptions::default()
    }
}

pub(crate) fn egress() -> Egress {
    Egress::new(options()).unwrap()
}

pub(crate) fn get(url: &str) -> HttpCall {
    call("GET", url, "")
}

pub(crate) fn call(method: &str, url: &str, body: &str) -> HttpCall {
    HttpCall {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Bytes::from(body.to_owned()),
        timeout: None,
    }
}

pub(crate) fn with(mut call: HttpCall, headers: &[(&str, &str)]) -> HttpCall {
    let owned =
        |(name, value): &(&str, &str)| ((*name).to_owned(), Bytes::from((*value).to_owned()));
    call.headers.extend(headers.iter().map(owned));
    call
}

/// Sends as a guest that may ask loopback and ample bounds.
pub(crate) async fn send(egress: &Egress, call: HttpCall) -> Result<HttpReply, HttpFailure> {
    let budgets = Budgets::default();
    let guest = Guest::default();
    let caller = guest.caller();
    egress.send(call, caller, bounds(&budgets), None).await
}

/// Sends as this guest and ample bounds.
pub(crate) async fn send_as(
    egress: &Egress,
    guest: &Guest,
    call: HttpCall,
) -> Result<HttpReply, HttpFailure> {
    let budgets = Budgets::default();
    let caller = guest.caller();
    egress.send(call, caller, bounds(&budgets), None).await
}

/// What a scripted server does with a request.
pub(crate) enum Answer {
    /// Writes this and waits for the next request.
    Write(Vec<u8>),
    /// Writes this and closes.
    Close(Vec<u8>),
    /// Writes the first, then the second again and again until the client goes.
    Endless(Vec<u8>, Vec<u8>),
    /// Writes this and then nothing until the client goes.
    Stall(Vec<u8>),
}

pub(crate) fn ok(body: &str) -> Answer {
    let length = body.len();
    Answer::Write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes())
}

pub(crate) fn write(text: &str) -> Answer {
    Answer::Write(text.as_bytes().to_vec())
}

/// A server that answers as a test says.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    gone: tokio::sync::Mutex<mpsc::Receiver<()>>,
    arrived: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Server {
    /// Starts one on `127.0.0.1`; the answer gets the number of requests before, and this one.
    pub(crate) async fn start(
        answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, 0, answer).await
    }

    pub(crate) async fn start_at(
        ip: Ipv4Addr,
        port: u16,
        answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (gone_tell, gone) = mpsc::channel(1024);
        let (arrived_tell, arrived) = mpsc::channel(1024);
        let (all, count) = (Arc::clone(&seen), Arc::clone(&connections));
        let answer = Arc::new(answer);
        background(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
                let (gone, arrived) = (gone_tell.clone(), arrived_tell.clone());
                background(async move {
                    let _ = converse(stream, &all, &*answer, &arrived).await;
                    let _ = gone.send(()).await;
                });
            }
        });
        Self {
            address,
            seen,
            connections,
            gone: gone.into(),
            arrived: arrived.into(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
    /// Heads and bodies of the requests that arrived.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
    /// Waits until one connection has ended.
    pub(crate) async fn gone(&self) {
        self.gone.lock().await.recv().await.unwrap();
    }
    /// Waits until one request has arrived.
    pub(crate) async fn arrived(&self) {
        self.arrived.lock().await.recv().await.unwrap();
    }
}

/// Reads a head and as much of a body as `Content-Length` says; `None` at the end.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    bytes.extend_from_slice(&body);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<String>>,
    answer: &(impl Fn(usize, &str) -> Answer + Send + Sync),
    arrived: &mpsc::Sender<()>,
) -> io::Result<()> {
    while let Some(request) = read_request(&mut stream).await {
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let _ = arrived.send(()).await;
        match answer(before, &request) {
            Answer::Write(bytes) => stream.write_all(&bytes).await?,
            Answer::Close(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Answer::Endless(head, part) => {
                stream.write_all(&head).await?;
                loop {
                    stream.write_all(&part).await?;
                    tokio::task::yield_now().await;
                }
            }
            Answer::Stall(bytes) => {
                stream.write_all(&bytes).await?;
                let mut rest = [0; 64];
                while stream.read(&mut rest).await? > 0 {}
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A resolver whose answers a test lists: each look-up of a name takes its next one, and the last
/// again and again.
#[derive(Default)]
pub(crate) struct TestResolver {
    names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl TestResolver {
    pub(crate) fn new(names: &[(&str, &[&[IpAddr]])]) -> Arc<Self> {
        let answers = |(name, answers): &(&str, &[&[IpAddr]])| {
            let answers = answers.iter().map(|one| one.to_vec()).collect();
            ((*name).to_owned(), answers)
        };
        Arc::new(Self {
            names: Mutex::new(names.iter().map(answers).collect()),
            asked: Mutex::default(),
        })
    }
}

impl Resolve for TestResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolved {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut names = self.names.lock().unwrap();
        let answer = names.get_mut(host).map(|answers| {
            if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0].clone()
            }
        });
        let found = answer.ok_or_else(|| io::Error::other("no such name"));
        let found = found.map(|ips| {
            ips.into_iter()
                .map(|ip| SocketAddr::new(ip, port))
                .collect()
        });
        Box::pin(async move { found }) as Pin<Box<_>>
    }
}

pub(crate) fn local(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}
