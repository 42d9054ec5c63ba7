//! A host that remembers, guests from text, and an executor as plain as a shard's.

use std::{
    any::Any,
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use bytes::Bytes;
use caxton_engine::{
    Call, CallDone, Engine, EngineOptions, Fetch, HostCalls, HostResources, Instance, Linked,
    LogLevel, MetricKind, Returned, Usage,
};
use caxton_model::{
    EngineKind, EngineProfile, Fault, HostCode, Kind, LimitName, Limits, Micros, Permissions,
    Timestamp,
};
use caxton_package::{Verified, VerifyError, verify};

/// What a guest asked of its host.
#[derive(Default)]
pub struct TestHost {
    pub sent: Vec<String>,
    pub broadcasts: Vec<(String, String)>,
    pub logs: Vec<(LogLevel, String)>,
    pub state: BTreeMap<Vec<u8>, Bytes>,
    /// Keys that live on the slow side until they are fetched.
    pub slow: BTreeMap<Vec<u8>, Bytes>,
    /// How long the slow side takes.
    pub slow_by: Micros,
    pub timers: Vec<(i32, Micros)>,
    pub registered: Option<String>,
    pub metrics: Vec<(String, f64)>,
    pub config: BTreeMap<String, String>,
    pub now: i64,
    pub random: u32,
    pub subscriptions: Vec<String>,
    pub panic_on_log: bool,
    pub resources: Option<HostResources>,
}

impl HostCalls for TestHost {
    fn send_message(&mut self, json: &[u8]) -> Result<(), HostCode> {
        self.sent.push(String::from_utf8_lossy(json).into_owned());
        Ok(())
    }
    fn send_local_message(&mut self, id: &str, json: &[u8]) -> Result<(), HostCode> {
        self.sent
            .push(format!("{id}: {}", String::from_utf8_lossy(json)));
        Ok(())
    }
    fn broadcast(&mut self, filter: &[u8], json: &[u8]) -> Result<u32, HostCode> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        self.broadcasts.push((text(filter), text(json)));
        Ok(7)
    }
    fn subscribe(&mut self, filter: &[u8]) -> Result<i32, HostCode> {
        self.subscriptions
            .push(String::from_utf8_lossy(filter).into_owned());
        Ok(i32::try_from(self.subscriptions.len()).unwrap())
    }
    fn unsubscribe(&mut self, id: i32) -> Result<(), HostCode> {
        if id == 1 {
            Ok(())
        } else {
            Err(HostCode::NotFound)
        }
    }
    fn fetch(&mut self, key: &[u8]) -> Option<Fetch> {
        let value = self.slow.get(key).cloned()?;
        let by = self.slow_by.duration();
        Some(Box::pin(async move {
            tokio::time::sleep(by).await;
            Ok(Some(value))
        }))
    }
    fn fetched(&mut self, key: &[u8], value: Result<Option<Bytes>, HostCode>) {
        self.slow.remove(key);
        if let Ok(Some(value)) = value {
            self.state.insert(key.to_vec(), value);
        }
    }
    fn load(&mut self, key: &[u8]) -> Result<Option<Bytes>, HostCode> {
        Ok(self.state.get(key).cloned())
    }
    fn store(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostCode> {
        self.state
            .insert(key.to_vec(), Bytes::copy_from_slice(value));
        Ok(())
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), HostCode> {
        self.state.remove(key).map(|_| ()).ok_or(HostCode::NotFound)
    }
    fn set_timer(&mut self, delay: Micros) -> Result<i32, HostCode> {
        let id = i32::try_from(self.timers.len()).unwrap() + 1;
        self.timers.push((id, delay));
        Ok(id)
    }
    fn cancel_timer(&mut self, id: i32) -> Result<(), HostCode> {
        let before = self.timers.len();
        self.timers.retain(|(known, _)| *known != id);
        if self.timers.len() < before {
            Ok(())
        } else {
            Err(HostCode::NotFound)
        }
    }
    fn now(&mut self) -> Timestamp {
        Timestamp(self.now)
    }
    fn random_u32(&mut self) -> u32 {
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.random
    }
    fn log(&mut self, level: LogLevel, text: &str) {
        assert!(!self.panic_on_log, "the host's own mistake");
        self.logs.push((level, text.to_owned()));
    }
    fn register_capabilities(&mut self, json: &[u8]) -> Result<(), HostCode> {
        self.registered = Some(String::from_utf8_lossy(json).into_owned());
        Ok(())
    }
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }
    fn metric(&mut self, _kind: MetricKind, name: &str, value: f64) -> Result<(), HostCode> {
        self.metrics.push((name.to_owned(), value));
        Ok(())
    }
    fn resources(&mut self) -> Option<HostResources> {
        self.resources.clone()
    }
    fn as_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

pub fn host_back(host: Box<dyn HostCalls>) -> TestHost {
    *host.as_any().downcast::<TestHost>().unwrap()
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap()
});

struct Unpark(Thread);
impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls on this thread, as a shard does: tokio's handle is entered, its runtime runs elsewhere.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let _entered = RUNTIME.enter();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park_timeout(std::time::Duration::from_secs(30)),
        }
    }
}

/// Polls several in turn, a slice each, as a shard does with pre-empted guests.
pub fn run_all<T>(futures: Vec<std::pin::Pin<Box<dyn Future<Output = T>>>>) -> Vec<T> {
    let _entered = RUNTIME.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
    while futures.iter().any(Option::is_some) {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(&mut cx)
            {
                *done = Some(value);
                *future = None;
            }
        }
    }
    done.into_iter().map(Option::unwrap).collect()
}

static CRANELIFT: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(options(EngineKind::Cranelift)).unwrap());
static PULLEY: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(options(EngineKind::Pulley)).unwrap());

pub fn options(kind: EngineKind) -> EngineOptions {
    EngineOptions {
        kind,
        pool_slots: 16,
        agents_max: 4_096,
        ..EngineOptions::default()
    }
}

pub const KINDS: [EngineKind; 2] = [EngineKind::Cranelift, EngineKind::Pulley];

pub fn engine(kind: EngineKind) -> &'static Engine {
    match kind {
        EngineKind::Cranelift => &CRANELIFT,
        EngineKind::Pulley => &PULLEY,
    }
}

pub fn try_verify(text: &str) -> Result<Verified, VerifyError> {
    verify(
        wat::parse_str(text).unwrap(),
        &caxton_model::Limits::unlimited(),
    )
}

#[track_caller]
pub fn verified(text: &str) -> Verified {
    match try_verify(text) {
        Ok(verified) => verified,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
pub fn linked_as(kind: EngineKind, profile: EngineProfile, text: &str) -> Linked {
    linked_on(engine(kind), profile, text)
}

/// On an engine of the test's own, where it would take the others' places.
#[track_caller]
pub fn linked_on(engine: &Engine, profile: EngineProfile, text: &str) -> Linked {
    linked_with(engine, profile, text, &Permissions::new())
}

/// With what an operator granted.
#[track_caller]
pub fn linked_with(
    engine: &Engine,
    profile: EngineProfile,
    text: &str,
    granted: &Permissions,
) -> Linked {
    let verified = verified(text);
    let serves = verified.report().kind.unwrap();
    let compiled = engine.compile(&verified, profile, serves).unwrap();
    engine.link(&compiled, granted).unwrap()
}

#[track_caller]
pub fn linked(kind: EngineKind, text: &str) -> Linked {
    linked_as(kind, EngineProfile::Hardened, text)
}

pub fn agent_limits() -> Limits {
    Limits::for_kind(Kind::Agent)
}

pub fn limits_with(kind: Kind, changed: &[(LimitName, u64)]) -> Limits {
    let mut limits = Limits::for_kind(kind);
    for (name, value) in changed {
        limits.set(*name, *value);
    }
    limits
}

pub fn start(linked: &Linked, limits: &Limits) -> Result<Instance, Fault> {
    run(linked.instantiate(limits, Box::new(TestHost::default()))).result
}

/// One message to a fresh instance.
pub fn turn(linked: &Linked, limits: &Limits, host: TestHost) -> Turn {
    let started = run(linked.instantiate(limits, Box::new(host)));
    match started.result {
        Ok(instance) => message(instance, b"{}", host_back(started.host)),
        Err(fault) => Turn {
            result: Err(fault),
            host: host_back(started.host),
            instance: None,
            usage: started.usage,
        },
    }
}

pub struct Turn {
    pub result: Result<Returned, Fault>,
    pub host: TestHost,
    pub instance: Option<Instance>,
    pub usage: Usage,
}

impl From<CallDone> for Turn {
    fn from(done: CallDone) -> Self {
        let CallDone {
            result,
            host,
            instance,
            usage,
        } = done;
        Self {
            result,
            host: host_back(host),
            instance,
            usage,
        }
    }
}

pub fn message(instance: Instance, json: &[u8], host: TestHost) -> Turn {
    call(instance, Call::Message(Bytes::copy_from_slice(json)), host)
}

/// After as long a rest as packs its memory: each guest goes on where it was.
pub fn call(mut instance: Instance, call: Call, host: TestHost) -> Turn {
    instance.pack();
    run(instance.call(call, Box::new(host))).into()
}

/// An agent whose `handle_message` has this body; `$f` are its imports and other fields.
pub fn agent(fields: &str, body: &str) -> String {
    format!(
        r#"(module {fields}
             (memory (export "memory") 2)
             (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
             (func (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
               {body}))"#
    )
}
