//! Every limit × kind of guest × engine: what stops a guest that attacks it. No cell is empty: the
//! tables below are matches over all limits, so that a new one without its line does not compile.
//!
//! What is found is the page `docs/limits-tested.md`.

use std::{any::Any, fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use caxton_engine::{Engine, EngineOptions, Fetch, HostCalls, LogLevel, MetricKind, Processed};
use caxton_model::{
    EngineKind, EngineProfile, Fault, HostCode, Kind, LimitName, Limits, Micros, Performative,
    Timestamp, UNLIMITED,
};
use caxton_node::{Deploy, Node, NodeOptions};

use crate::{PATIENCE, agent, ask, post};

/// An attack that the engine itself ends, the same for every kind of guest.
struct Attack {
    fields: &'static str,
    body: &'static str,
    limits: &'static [(LimitName, u64)],
    profile: EngineProfile,
}

const fn attack(
    fields: &'static str,
    body: &'static str,
    limits: &'static [(LimitName, u64)],
) -> Attack {
    Attack {
        fields,
        body,
        limits,
        profile: EngineProfile::Hardened,
    }
}

/// What attacks a limit.
enum By {
    /// A guest, ended by the engine.
    Engine(Attack),
    /// What goes beyond a size before the guest is asked.
    Payload,
    /// A module that is larger than allowed.
    Module,
    /// More calls at once than there are places.
    Places,
    /// A guest that is answered by this number.
    Code(Attack),
    /// A guest that asks a server on loopback until it is answered by the limit's number.
    Http(&'static [(LimitName, u64)]),
    /// Log lines over the rate.
    Logs,
    /// More mail than the mailbox holds.
    Mail,
    /// Messages side by side.
    SideBySide,
    /// The limit bounds nothing that this kind of guest has; why.
    NoMeaning(&'static str),
    /// The only caller there is holds it, the program's `run`, whose own tests attack it on both
    /// engines: `caxton/tests/it/run_alone.rs`.
    Alone(&'static str),
}

const LOOP: &str = "(loop (br 0)) (i32.const 0)";
const SEND: &str = r#"(import "caxton" "send_message" (func $f (param i32 i32) (result i32)))"#;
const TIMER: &str = r#"(import "caxton" "set_timer" (func $f (param i64) (result i32)))"#;
const STORE: &str =
    r#"(import "caxton" "store_data" (func $f (param i32 i32 i32 i32) (result i32)))"#;
const SUBSCRIBE: &str =
    r#"(import "caxton" "subscribe_messages" (func $f (param i32 i32) (result i32)))"#;

/// What the engine ends, whatever the guest is.
fn by_engine(name: LimitName) -> Option<Attack> {
    use LimitName as L;
    Some(match name {
        L::Memory => attack(
            "",
            "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)) (i32.const 0)",
            &[(L::Memory, 2 << 20)],
        ),
        L::TableElements => attack(
            "(table 1 funcref)",
            "(if (i32.eq (table.grow (ref.null func) (i32.const 30000)) (i32.const -1)) (then unreachable)) (i32.const 0)",
            &[],
        ),
        L::Cpu => attack("", LOOP, &[(L::Cpu, 20_000)]),
        L::Wall => attack(
            r#"(import "caxton" "sleep_micros" (func $f (param i64)))"#,
            "(call $f (i64.const 9000000000)) (i32.const 0)",
            &[(L::Wall, 50_000)],
        ),
        L::Fuel => Attack {
            profile: EngineProfile::Metered,
            ..attack("", LOOP, &[(L::Fuel, 100_000)])
        },
        L::Stack => attack(
            "(func $deep (param i64) (result i64) (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))",
            "(drop (call $deep (i64.const 0))) (i32.const 0)",
            &[],
        ),
        L::HostCalls => attack(
            r#"(import "caxton" "random_u32" (func $f (result i32)))"#,
            "(loop (drop (call $f)) (br 0)) (i32.const 0)",
            &[(L::HostCalls, 500)],
        ),
        L::Allocations => attack(
            "",
            "(loop (drop (memory.grow (i32.const 60000))) (br 0)) (i32.const 0)",
            &[(L::Allocations, 100)],
        ),
        L::MessagesPerSecond
        | L::Mailbox
        | L::MailboxBytes
        | L::Timers
        | L::MessageBytes
        | L::PayloadBytes
        | L::StateBytes
        | L::StateKeys
        | L::LogLinesPerSecond
        | L::ModuleBytes
        | L::ConcurrentCalls
        | L::Subscriptions
        | L::HostBytes
        | L::FileBytes
        | L::FsBytes
        | L::FsEntries
        | L::HttpPerMinute
        | L::HttpBodyBytes
        | L::HttpBytesPerMinute
        | L::NetBytesPerMinute => return None,
    })
}

/// The attack on a limit by an agent.
fn by_agent(name: LimitName) -> By {
    use LimitName as L;
    if let Some(attack) = by_engine(name) {
        return By::Engine(attack);
    }
    match name {
        L::MessagesPerSecond => By::Code(attack(
            SEND,
            "(call $f (i32.const 16) (i32.const 57))",
            &[(L::MessagesPerSecond, 3)],
        )),
        L::Timers => By::Code(attack(
            TIMER,
            "(call $f (i64.const 3600000000))",
            &[(L::Timers, 3)],
        )),
        L::MessageBytes => By::Code(attack(
            SEND,
            "(call $f (i32.const 16) (i32.const 3000))",
            &[(L::MessageBytes, 2_000)],
        )),
        L::StateBytes => By::Code(attack(
            STORE,
            "(i32.store (i32.const 300) (local.get $n)) (call $f (i32.const 300) (i32.const 4) (i32.const 0) (i32.const 100))",
            &[(L::StateBytes, 1_000)],
        )),
        L::StateKeys => By::Code(attack(
            STORE,
            "(i32.store (i32.const 300) (local.get $n)) (call $f (i32.const 300) (i32.const 4) (i32.const 0) (i32.const 1))",
            &[(L::StateKeys, 5)],
        )),
        L::Subscriptions => By::Code(attack(
            SUBSCRIBE,
            "(call $f (i32.const 128) (i32.const 2))",
            &[(L::Subscriptions, 3)],
        )),
        L::HostBytes => By::Code(attack(
            SUBSCRIBE,
            "(call $f (i32.const 128) (i32.const 2))",
            &[(L::HostBytes, 3_000)],
        )),
        L::LogLinesPerSecond => By::Logs,
        L::Mailbox | L::MailboxBytes => By::Mail,
        L::ModuleBytes => By::Module,
        L::ConcurrentCalls => By::SideBySide,
        L::PayloadBytes => {
            By::NoMeaning("what an agent gets and gives are messages: `message_bytes`")
        }
        L::FileBytes | L::FsBytes | L::FsEntries => {
            By::Alone("answered by WASI's `fbig` or `dquot`")
        }
        L::HttpPerMinute => By::Http(&[(L::HttpPerMinute, 3)]),
        L::HttpBodyBytes => By::Http(&[(L::HttpBodyBytes, 500)]),
        L::HttpBytesPerMinute => By::Http(&[(L::HttpBytesPerMinute, 5_000)]),
        L::NetBytesPerMinute => By::Http(&[(L::NetBytesPerMinute, 5_000)]),
        // Ended by the engine: never asked here.
        L::Memory
        | L::TableElements
        | L::Cpu
        | L::Wall
        | L::Fuel
        | L::Stack
        | L::HostCalls
        | L::Allocations => By::NoMeaning(""),
    }
}

/// The attack on a limit by a processor or an extension, called through the engine.
fn by_called(name: LimitName, kind: Kind) -> By {
    use LimitName as L;
    if let Some(attack) = by_engine(name) {
        return By::Engine(attack);
    }
    // `fuel` is off by default and attacked all the same; the others are off for want of meaning.
    if name.default_for(kind) == UNLIMITED {
        return By::NoMeaning("off for this kind");
    }
    match name {
        L::PayloadBytes => By::Payload,
        L::ModuleBytes => By::Module,
        L::ConcurrentCalls => By::Places,
        L::MessageBytes => By::Code(attack(
            SEND,
            "(call $f (i32.const 16) (i32.const 3000))",
            &[(L::MessageBytes, 2_000)],
        )),
        L::LogLinesPerSecond => By::Alone("dropped, counted and said"),
        L::FileBytes | L::FsBytes | L::FsEntries => {
            By::Alone("answered by WASI's `fbig` or `dquot`")
        }
        L::HttpPerMinute | L::HttpBodyBytes | L::HttpBytesPerMinute | L::NetBytesPerMinute => {
            By::NoMeaning("only agents are granted HTTP requests")
        }
        L::MessagesPerSecond
        | L::Mailbox
        | L::MailboxBytes
        | L::Timers
        | L::StateBytes
        | L::StateKeys
        | L::Subscriptions
        | L::HostBytes => By::Alone("answered -8: it has none outside a node"),
        L::Memory
        | L::TableElements
        | L::Cpu
        | L::Wall
        | L::Fuel
        | L::Stack
        | L::HostCalls
        | L::Allocations => By::NoMeaning(""),
    }
}

/// A module of a kind whose one function has this body.
fn module(kind: Kind, fields: &str, body: &str) -> String {
    let function = match kind {
        Kind::Agent => {
            r#"(func (export "handle_timer") (param i32) (result i32) (i32.const 0))
            (func (export "handle_message") (param i32 i32) (result i32)"#
        }
        Kind::Processor => r#"(func (export "process") (param i32 i32 i32) (result i32)"#,
        Kind::Extension | Kind::App => {
            r#"(func (export "extension_describe") (param i32 i32) (result i32) (i32.const 0))
            (func (export "extension_call") (param i32 i32) (result i32)"#
        }
    };
    format!(
        r#"(module {fields}
          (memory (export "memory") 4)
          (data (i32.const 16) "{{\"performative\":\"inform\",\"receiver\":\"tester\",\"content\":1}}")
          (data (i32.const 128) "{{}}")
          (data (i32.const 256) "code -0")
          (func (export "allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "deallocate") (param i32 i32))
          {function} (local $n i32) {body}))"#
    )
}

/// Calls again and again until the answer is below 0, then logs it as a digit after `code -`.
fn until_refused(kind: Kind, attack: &Attack) -> String {
    until_refused_with(kind, attack.fields, attack.body)
}

fn until_refused_with(kind: Kind, fields: &str, body: &str) -> String {
    let body = format!(
        r#"(local $code i32)
        (loop $more
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (local.set $code (block (result i32) {}))
          (if (i32.lt_s (local.get $code) (i32.const 0)) (then
            (i32.store8 (i32.const 262) (i32.sub (i32.const 48) (local.get $code)))
            (call $log (i32.const 256) (i32.const 7)) (return (i32.const 0))))
          (br_if $more (i32.lt_s (local.get $n) (i32.const 400))))
        (i32.const 0)"#,
        body
    );
    let log = r#"(import "caxton" "console_log" (func $log (param i32 i32)))"#;
    module(kind, &format!("{fields} {log}"), &body)
}

/// Time enough for the interpreter to reach what is meant, and what the attack changes.
fn limits_of(kind: Kind, changed: &[(LimitName, u64)]) -> Limits {
    let mut limits = Limits::for_kind(kind);
    limits.set(LimitName::Cpu, 20_000_000);
    limits.set(LimitName::Wall, 40_000_000);
    for (name, value) in changed {
        limits.set(*name, *value);
    }
    limits
}

fn deploy(name: &str, text: &str, changed: &[(LimitName, u64)]) -> Deploy {
    let mut deploy = agent(name, text);
    for (limit, value) in limits_of(Kind::Agent, changed).iter() {
        if value != limit.default_for(Kind::Agent) {
            deploy.limits.0.insert(limit, value);
        }
    }
    deploy
}

/// Lines of an agent's log, once one is there that fits.
async fn line(node: &Node, name: &str, text: &str) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let lines = node.logs(None, 0, 10_000);
        let found = lines
            .iter()
            .find(|line| &*line.name == name && line.text.contains(text));
        if let Some(line) = found {
            return line.text.clone();
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{name} logged no `{text}`"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn answered(name: LimitName, line: &str) -> String {
    let number: i32 = line.replace("code ", "").parse().expect("a number");
    let wanted = name.code().host_code().map(HostCode::as_i32);
    assert_eq!(Some(number), wanted, "{name}: {line}");
    format!("answered {number}")
}

fn faulted(name: LimitName, code: &str) -> String {
    assert_eq!(code, name.code().as_str(), "{name}");
    "ended".to_owned()
}

/// More mail than the mailbox takes, while the first message is worked on: refused at once, or,
/// where the mailbox's shard finds it later, answered with a failure of that code.
async fn mail(node: &Node, limit: LimitName, name: &str) -> String {
    let sleeps = module(
        Kind::Agent,
        r#"(import "caxton" "sleep_micros" (func $f (param i64)))"#,
        "(call $f (i64.const 30000000)) (i32.const 0)",
    );
    let few = if limit == LimitName::Mailbox { 3 } else { 600 };
    node.deploy(deploy(name, &sleeps, &[(limit, few)]))
        .await
        .unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let code = loop {
        if let Err(refusal) = node.post(post(name, "{}"), None).await {
            break refusal.code.to_string();
        }
        let replies = node.replies("tester").await.unwrap();
        let failed = replies.iter().find(|reply| {
            &*reply.message.sender == name && reply.message.performative == Performative::Failure
        });
        if let Some(reply) = failed {
            let said = reply.message.content.value();
            break said["code"].as_str().unwrap().to_owned();
        }
        assert!(tokio::time::Instant::now() < deadline, "never full");
    };
    node.remove(name).await.unwrap();
    code
}

/// Messages side by side, to a guest that traps if one comes while another is worked on.
async fn side_by_side(node: &Node, name: &str) {
    let text = module(
        Kind::Agent,
        r#"(import "caxton" "sleep_micros" (func $f (param i64)))"#,
        "(if (i32.load (i32.const 400)) (then unreachable)) (i32.store (i32.const 400) (i32.const 1))
         (call $f (i64.const 2000)) (i32.store (i32.const 400) (i32.const 0)) (i32.const 0)",
    );
    node.deploy(deploy(name, &text, &[])).await.unwrap();
    let posts = (0..20).map(|_| node.post(post(name, "{}"), None));
    for posted in posts {
        posted.await.unwrap();
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let state = node.agent(name).await.unwrap().state;
        assert_eq!(state.faults, 0, "two turns at once");
        if state.turns == 21 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", state.turns);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn agents_cell(node: &Node, limit: LimitName) -> String {
    let name = format!("attacks-{}", limit.as_str().replace('_', "-"));
    match by_agent(limit) {
        By::Engine(attack) => {
            let text = module(Kind::Agent, attack.fields, attack.body);
            let mut deploy = deploy(&name, &text, attack.limits);
            deploy.profile = attack.profile;
            node.deploy(deploy).await.unwrap();
            let reply = ask(node, &name, "{}")
                .await
                .unwrap()
                .reply
                .unwrap_or_else(|| panic!("{limit} was not answered"));
            assert_eq!(reply.message.performative, Performative::Failure);
            let said = reply.message.content.value();
            faulted(limit, said["code"].as_str().unwrap())
        }
        By::Code(attack) => {
            let text = until_refused(Kind::Agent, &attack);
            node.deploy(deploy(&name, &text, attack.limits))
                .await
                .unwrap();
            node.post(post(&name, "{}"), None).await.unwrap();
            answered(limit, &line(node, &name, "code -").await)
        }
        By::Http(changed) => {
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = server.local_addr().unwrap();
            let fields = format!(
                r#"(import "caxton" "http_request" (func $f (param i32 i32) (result i32)))
                (data (i32.const 2000) "{{\"url\":\"http://{address}/\"}}")"#
            );
            let length = format!(r#"{{"url":"http://{address}/"}}"#).len();
            let body = format!("(call $f (i32.const 2000) (i32.const {length}))");
            let text = until_refused_with(Kind::Agent, &fields, &body);
            let mut deploy = deploy(&name, &text, changed);
            deploy.granted = Arc::new(vec![crate::granted(&format!("http:read={address}/**"))]);
            node.deploy(deploy).await.unwrap();
            node.post(post(&name, "{}"), None).await.unwrap();
            tokio::select! {
                line = line(node, &name, "code -") => answered(limit, &line),
                () = crate::http::serve(&server) => unreachable!("it serves for ever"),
            }
        }
        By::Logs => {
            let log = r#"(import "caxton" "console_log" (func $f (param i32 i32)))"#;
            let body = "(loop $more (call $f (i32.const 256) (i32.const 4)) (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $more (i32.lt_s (local.get $n) (i32.const 300)))) (i32.const 0)";
            let text = module(Kind::Agent, log, body);
            node.deploy(deploy(&name, &text, &[])).await.unwrap();
            let deadline = tokio::time::Instant::now() + PATIENCE;
            // The second message's lines say how many of the first one's were dropped.
            while !node
                .logs(None, 0, 10_000)
                .iter()
                .any(|line| *line.name == *name && line.text.contains("log lines were dropped"))
            {
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "no line was dropped"
                );
                node.post(post(&name, "{}"), None).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            "dropped, counted and said".to_owned()
        }
        By::Mail => {
            let code = mail(node, limit, &name).await;
            assert_eq!(code, limit.code().as_str());
            "refused".to_owned()
        }
        By::Module => {
            let text = module(Kind::Agent, "", "(i32.const 0)");
            let refusal = node
                .deploy(deploy(&name, &text, &[(limit, 10)]))
                .await
                .unwrap_err();
            assert_eq!(refusal.code, limit.code(), "{refusal}");
            "refused".to_owned()
        }
        By::SideBySide => {
            side_by_side(node, &name).await;
            "one turn at a time".to_owned()
        }
        By::NoMeaning(why) => format!("no meaning: {why}"),
        By::Alone(found) => format!("{found} (`caxton run`)"),
        By::Payload | By::Places => panic!("no attack of an agent's"),
    }
}

/// A host that has nothing and remembers one line.
#[derive(Default)]
struct Nothing {
    line: String,
}

impl HostCalls for Nothing {
    fn send_message(&mut self, _: &[u8]) -> Result<(), HostCode> {
        Ok(())
    }
    fn send_local_message(&mut self, _: &str, _: &[u8]) -> Result<(), HostCode> {
        Ok(())
    }
    fn broadcast(&mut self, _: &[u8], _: &[u8]) -> Result<u32, HostCode> {
        Ok(0)
    }
    fn subscribe(&mut self, _: &[u8]) -> Result<i32, HostCode> {
        Ok(1)
    }
    fn unsubscribe(&mut self, _: i32) -> Result<(), HostCode> {
        Ok(())
    }
    fn fetch(&mut self, _: &[u8]) -> Option<Fetch> {
        None
    }
    fn fetched(&mut self, _: &[u8], _: Result<Option<Bytes>, HostCode>) {}
    fn load(&mut self, _: &[u8]) -> Result<Option<Bytes>, HostCode> {
        Ok(None)
    }
    fn store(&mut self, _: &[u8], _: &[u8]) -> Result<(), HostCode> {
        Ok(())
    }
    fn delete(&mut self, _: &[u8]) -> Result<(), HostCode> {
        Ok(())
    }
    fn set_timer(&mut self, _: Micros) -> Result<i32, HostCode> {
        Ok(1)
    }
    fn cancel_timer(&mut self, _: i32) -> Result<(), HostCode> {
        Ok(())
    }
    fn now(&mut self) -> Timestamp {
        Timestamp(0)
    }
    fn random_u32(&mut self) -> u32 {
        0
    }
    fn log(&mut self, _: LogLevel, text: &str) {
        text.clone_into(&mut self.line);
    }
    fn register_capabilities(&mut self, _: &[u8]) -> Result<(), HostCode> {
        Ok(())
    }
    fn config_get(&mut self, _: &str) -> Option<String> {
        None
    }
    fn metric(&mut self, _: MetricKind, _: &str, _: f64) -> Result<(), HostCode> {
        Ok(())
    }
    fn as_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

async fn called(
    engine: &Engine,
    kind: Kind,
    text: &str,
    profile: EngineProfile,
    input: &[u8],
    limits: &Limits,
) -> Processed {
    let bytes = wat::parse_str(text).unwrap();
    let verified = caxton_package::verify(bytes, &caxton_model::Limits::unlimited()).unwrap();
    let compiled = engine.compile(&verified, profile, kind).unwrap();
    let linked = engine
        .link(&compiled, &caxton_model::Permissions::new())
        .unwrap();
    let host = Box::<Nothing>::default();
    match kind {
        Kind::Processor => {
            let input = Bytes::copy_from_slice(input);
            linked.process(input, None, limits, host).await
        }
        _ => linked.call_extension(input, limits, host).await,
    }
}

/// As many calls at once as there are places and more; the faults of those that found none.
async fn places(engine: &Engine, kind: Kind, limits: &Limits) -> Vec<Fault> {
    // A good end: a processor answers with a place in its memory, an extension with 0.
    let good = if kind == Kind::Processor { 1_024 } else { 0 };
    let sleeps = module(
        kind,
        r#"(import "caxton" "sleep_micros" (func $f (param i64)))"#,
        &format!("(call $f (i64.const 300000)) (i32.const {good})"),
    );
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (engine, text, limits) = (engine.clone(), sleeps.clone(), limits.clone());
        calls.spawn(async move {
            let hardened = EngineProfile::Hardened;
            called(&engine, kind, &text, hardened, b"x", &limits)
                .await
                .result
        });
    }
    let done = calls.join_all().await;
    done.into_iter().filter_map(Result::err).collect()
}

async fn called_cell(engine: &Engine, kind: Kind, limit: LimitName) -> String {
    let hardened = EngineProfile::Hardened;
    match by_called(limit, kind) {
        By::Engine(attack) => {
            let text = module(kind, attack.fields, attack.body);
            let limits = limits_of(kind, attack.limits);
            let done = called(engine, kind, &text, attack.profile, b"{}", &limits).await;
            faulted(limit, done.result.expect_err(limit.as_str()).code.as_str())
        }
        By::Payload => {
            let text = module(kind, "", "(i32.const 0)");
            let limits = limits_of(kind, &[(limit, 100)]);
            let done = called(engine, kind, &text, hardened, &[1; 101], &limits).await;
            faulted(limit, done.result.unwrap_err().code.as_str());
            if kind == Kind::Processor {
                // The output's length stands where the third parameter points.
                let large = "(i32.store (local.get 2) (i32.const 101)) (i32.const 1024)";
                let text = module(kind, "", large);
                let done = called(engine, kind, &text, hardened, b"x", &limits).await;
                faulted(limit, done.result.unwrap_err().code.as_str());
            }
            "refused".to_owned()
        }
        By::Module => {
            let bytes = wat::parse_str(module(kind, "", "(i32.const 0)")).unwrap();
            let limits = limits_of(kind, &[(limit, 10)]);
            let error = caxton_package::verify(bytes, &limits).unwrap_err();
            assert_eq!(error.code(), limit.code());
            "refused".to_owned()
        }
        By::Places => {
            let refused = places(engine, kind, &limits_of(kind, &[])).await;
            assert!(
                !refused.is_empty() && refused.len() < 12,
                "{}",
                refused.len()
            );
            for fault in refused {
                faulted(limit, fault.code.as_str());
            }
            "refused".to_owned()
        }
        By::Code(attack) => {
            let text = until_refused(kind, &attack);
            let limits = limits_of(kind, attack.limits);
            let done = called(engine, kind, &text, hardened, b"{}", &limits).await;
            let host = done.host.as_any().downcast::<Nothing>().unwrap();
            answered(limit, &host.line)
        }
        By::NoMeaning(why) => format!("no meaning: {why}"),
        By::Alone(found) => format!("{found} (`caxton run`)"),
        By::Http(_) | By::Logs | By::Mail | By::SideBySide => panic!("no attack of a {kind}"),
    }
}

/// A row for each limit, a cell for each kind, as this engine has it.
async fn cells(engine: EngineKind) -> Vec<[String; 3]> {
    let options = NodeOptions {
        shards: 2,
        engine,
        ..NodeOptions::default()
    };
    let node = Node::start(options).await.unwrap();
    let called = Engine::new(EngineOptions {
        kind: engine,
        pool_slots: 4,
        agents_max: 1,
        ..EngineOptions::default()
    })
    .unwrap();
    let mut rows = Vec::new();
    for limit in LimitName::ALL {
        rows.push([
            agents_cell(&node, *limit).await,
            called_cell(&called, Kind::Processor, *limit).await,
            called_cell(&called, Kind::Extension, *limit).await,
        ]);
    }
    node.shutdown(Duration::ZERO).await;
    rows
}

fn page(rows: &[[String; 3]]) -> String {
    let mut text = String::from(
        "# Limits, tested\n\n\
        <!-- Made from the code: `cargo xtask docs` rewrites it. -->\n\n\
        For each limit and kind of guest a hostile guest attacks it, on both engines; this is what became of it.\n\
        *Ended* means a fault with the error named; *answered* is the number that the host function gave.\n\
        A kind that a limit has no meaning for says so. What says `caxton run` is held by that command,\n\
        the only one that calls such a guest where the limit has a meaning.\n\
        Apps are not callable yet and stand in no column.\n\n\
        | limit | error | agent | processor | extension |\n|---|---|---|---|---|\n",
    );
    for (limit, [agent, processor, extension]) in LimitName::ALL.iter().zip(rows) {
        let code = limit.code();
        writeln!(
            text,
            "| `{limit}` | [`{code}`](errors/{}.md) | {agent} | {processor} | {extension} |",
            code.page()
        )
        .unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_is_attacked_by_every_kind_on_both_engines_as_the_golden_page_says() {
    let cranelift = cells(EngineKind::Cranelift).await;
    let pulley = cells(EngineKind::Pulley).await;
    assert_eq!(cranelift, pulley, "the engines differ");
    assert!(cranelift.iter().flatten().all(|cell| !cell.is_empty()));
    let not_meant = |cell: &&String| cell.starts_with("no meaning") && cell.len() < 20;
    assert_eq!(cranelift.iter().flatten().find(not_meant), None);
    let text = page(&cranelift);
    println!("{text}");
    expect_test::expect_file!["../../../../docs/limits-tested.md"].assert_eq(&text);
}
