//! Every guest of `guests/wat`, on both engines: each ends as the contract says, and its neighbour
//! goes on.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use caxton_model::{EngineKind, ErrorCode, Message, Performative};
use caxton_node::{Deploy, Node, NodeOptions};

use crate::{PATIENCE, agent, ask, content, guests, post};

/// What becomes of a guest.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// Its deploy is refused with this code.
    Refused(ErrorCode),
    /// Its first message is answered `failure` with this code.
    Faults(ErrorCode),
    /// So many messages are taken without a fault, and a log line with this text comes.
    Logs(u32, &'static str),
    /// So many messages are taken without a fault; the report of the last says that the host's
    /// function worked at least and at most so often, and then answered this code.
    Reports(u32, (u32, u32), i32),
    /// A message is answered with this performative, under the guest's own name; whether the turn
    /// was a good one.
    Replies(Performative, bool),
    /// A message is taken, and the guest returns this.
    Returns(bool),
    /// No agent: tested with the engine.
    Processor,
}
use Ends::{Faults, Logs, Processor, Refused, Replies, Reports, Returns};
use ErrorCode as C;

const GUESTS: &[(&str, Ends)] = &[
    ("answers", Returns(true)),
    ("bindgen", Refused(C::UnmetImport)),
    ("deep-json", Logs(1, "code -2")),
    ("env-void-send", Returns(true)),
    ("file-flood", Reports(1, (0, 0), -8)),
    ("file-growth", Reports(1, (0, 0), -8)),
    ("forged-sender", Replies(Performative::Inform, true)),
    ("grow-null", Faults(C::MemoryLimit)),
    ("grow-often", Faults(C::AllocationLimit)),
    ("grow-polite", Returns(true)),
    ("grow-trap", Faults(C::MemoryLimit)),
    ("host-call-flood", Faults(C::HostCallLimit)),
    ("http-flood", Refused(C::PermissionRequired)),
    ("init-fails", Refused(C::InitFailed)),
    ("log-flood", Logs(2, "log lines were dropped")),
    ("loop-init", Refused(C::InitFailed)),
    ("loop-message", Faults(C::CpuLimit)),
    ("loop-start", Refused(C::InitFailed)),
    ("loop-timer", Returns(true)),
    ("mailbox", Returns(true)),
    ("malformed-send", Returns(false)),
    ("many-memories", Refused(C::ProfileRequired)),
    ("memory-declared", Refused(C::MemoryLimit)),
    ("memory-fill", Faults(C::CpuLimit)),
    ("message-flood", Reports(1, (100, 899), -5)),
    ("nap", Returns(true)),
    ("no-allocator", Refused(C::UnsupportedModule)),
    ("no-form", Refused(C::UnsupportedModule)),
    ("no-memory", Refused(C::UnsupportedModule)),
    ("out-of-bounds", Faults(C::BadPointer)),
    ("out-of-bounds-load", Faults(C::BadPointer)),
    ("processor-loop", Processor),
    ("processor-loud", Processor),
    ("processor-null", Processor),
    ("processor-unterminated", Processor),
    ("processor-wild-length", Processor),
    ("quiet", Returns(true)),
    ("recursion", Faults(C::StackLimit)),
    (
        "reply-then-one",
        Replies(Performative::NotUnderstood, false),
    ),
    ("returns-one", Returns(false)),
    ("sleep", Faults(C::WallLimit)),
    ("state-flood", Reports(1, (63, 63), -7)),
    ("subscription-flood", Reports(1, (100, 100), -7)),
    ("table-declared", Refused(C::TableLimit)),
    ("table-growth", Faults(C::TableLimit)),
    ("timer-flood", Reports(2, (100, 100), -7)),
    ("timer-without-handler", Refused(C::UnsupportedModule)),
    ("trap", Faults(C::Trap)),
    ("trap-after-effects", Faults(C::Trap)),
    ("two-types", Refused(C::UnmetImport)),
    ("unknown-imports", Refused(C::UnmetImport)),
    ("wants-http", Refused(C::PermissionRequired)),
    ("wants-threads", Refused(C::UnsupportedModule)),
    ("wide-json", Logs(1, "code -2")),
    ("wrong-type", Refused(C::UnmetImport)),
];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/wat"))
}

fn guest(name: &str) -> Deploy {
    let path = folder().join(format!("{name}.wat"));
    let message = r#"{"performative":"inform","receiver":"quiet-one","content":1}"#;
    Deploy {
        config: vec![("message".into(), message.into())],
        ..agent(name, &std::fs::read_to_string(path).unwrap())
    }
}

#[test]
fn every_guest_has_its_line() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let lines: BTreeSet<String> = GUESTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, lines);
}

async fn reply(node: &Node, name: &str) -> Message {
    let posted = ask(node, name, "{}").await.unwrap();
    posted
        .reply
        .unwrap_or_else(|| panic!("{name} was not answered for"))
        .message
}

async fn turns(node: &Node, name: &str, at_least: u64) -> caxton_model::AgentState {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let state = node.agent(name).await.unwrap().state;
        if state.turns >= at_least {
            return state;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{name} made only {} turns",
            state.turns
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ends_so(node: &Node, name: &str, ends: Ends) {
    let deployed = node.deploy(guest(name)).await;
    match ends {
        Refused(code) => {
            let refusal = deployed
                .err()
                .unwrap_or_else(|| panic!("{name} was deployed"));
            assert_eq!(refusal.code, code, "{name}: {refusal}");
            return;
        }
        Processor => return,
        _ => {
            deployed.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        }
    }
    match ends {
        Faults(code) => {
            let reply = reply(node, name).await;
            assert_eq!(reply.performative, Performative::Failure, "{name}");
            let said = reply.content.value();
            assert_eq!(said["code"], code.as_str(), "{name}: {said}");
            if code == C::MemoryLimit {
                assert!(
                    said["error"].as_str().unwrap().contains("memory"),
                    "{name}: {said}"
                );
            }
        }
        Logs(messages, text) => {
            for n in 0..messages {
                node.post(post(name, "{}"), None).await.unwrap();
                turns(node, name, u64::from(n) + 2).await;
                if n + 1 < messages {
                    // The bucket fills again with time; that is what the second message shows.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            let lines = node.logs(None, 0, 10_000);
            let fits =
                |line: &&caxton_node::LogLine| &*line.name == name && line.text.contains(text);
            assert!(
                lines.iter().any(|line| fits(&line)),
                "{name} logged nothing with `{text}`"
            );
            assert_eq!(node.agent(name).await.unwrap().state.faults, 0, "{name}");
        }
        Reports(messages, (least, most), code) => {
            for n in 0..messages {
                node.post(post(name, "{}"), None).await.unwrap();
                turns(node, name, u64::from(n) + 2).await;
            }
            let report = node.state_value(name, b"report").await.unwrap().unwrap();
            let number = |at: usize| u32::from_le_bytes(report[at..at + 4].try_into().unwrap());
            assert_eq!(number(4).cast_signed(), code, "{name}");
            assert!((least..=most).contains(&number(0)), "{name}: {}", number(0));
            assert_eq!(node.agent(name).await.unwrap().state.faults, 0, "{name}");
        }
        Replies(performative, good) => {
            let reply = reply(node, name).await;
            assert_eq!((&*reply.sender, reply.performative), (name, performative));
            let state = turns(node, name, 2).await;
            assert_eq!(
                (state.faults, state.errors),
                (0, u64::from(!good)),
                "{name}"
            );
        }
        Returns(good) => {
            node.post(post(name, "{}"), None).await.unwrap();
            let state = turns(node, name, 2).await;
            assert_eq!(
                (state.faults, state.errors),
                (0, u64::from(!good)),
                "{name}"
            );
        }
        Refused(_) | Processor => {}
    }
}

/// Bytes that are no module, or one with a lie in it.
async fn broken_modules(node: &Node) {
    let good = guest("trap").module;
    let mut garbage: Vec<u8> = (0..100_000_u32).map(|n| (n * 7) as u8).collect();
    garbage[..8].copy_from_slice(&good[..8]);
    let mut large = vec![0; 100 << 20];
    large[..8].copy_from_slice(&good[..8]);
    for (what, bytes, code) in [
        ("nothing", Vec::new(), C::InvalidModule),
        (
            "truncated",
            good[..good.len() / 2].to_vec(),
            C::InvalidModule,
        ),
        ("garbage", garbage, C::InvalidModule),
        ("100 MiB", large, C::ModuleTooLarge),
    ] {
        let mut deploy = guest("quiet");
        deploy.name = "broken".parse().unwrap();
        deploy.module = bytes;
        let refusal = node.deploy(deploy).await.err();
        let refusal = refusal.unwrap_or_else(|| panic!("{what} was deployed"));
        assert_eq!(refusal.code, code, "{what}: {refusal}");
    }
    // A name section that claims four thousand million names is no reason to refuse, and the fault's
    // backtrace does without it.
    let mut bomb = guest("trap");
    bomb.name = "bomb".parse().unwrap();
    bomb.module.extend([
        0, 12, 4, b'n', b'a', b'm', b'e', 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f,
    ]);
    node.deploy(bomb).await.unwrap();
    let said = reply(node, "bomb").await.content.value();
    assert_eq!(said["code"], C::Trap.as_str(), "{said}");
}

async fn all_end_so(engine: EngineKind) {
    let options = NodeOptions {
        shards: 2,
        engine,
        ..NodeOptions::default()
    };
    let node = Node::start(options).await.unwrap();
    node.deploy(agent("neighbour", guests::COUNTER))
        .await
        .unwrap();
    let quiet = std::fs::read_to_string(folder().join("quiet.wat")).unwrap();
    node.deploy(agent("quiet-one", &quiet)).await.unwrap();
    let mut wrong = Vec::new();
    for (at, (name, ends)) in (1_001..).zip(GUESTS) {
        let mut one = tokio::task::JoinSet::new();
        let inner = node.clone();
        one.spawn(async move { ends_so(&inner, name, *ends).await });
        if one.join_next().await.is_some_and(|ended| ended.is_err()) {
            wrong.push(*name);
        }
        let counted = content(&ask(&node, "neighbour", "{}").await.unwrap());
        assert_eq!(&*counted, at.to_string(), "the neighbour of {name}");
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    broken_modules(&node).await;
    let counted = content(&ask(&node, "neighbour", "{}").await.unwrap());
    assert_eq!(&*counted, (1_001 + GUESTS.len()).to_string());
    let sink = node.dead_letters(10).await.unwrap();
    assert!(
        sink.iter().all(|letter| &*letter.intended != "sink"),
        "an effect of a fault got out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_cranelift() {
    all_end_so(EngineKind::Cranelift).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_pulley() {
    all_end_so(EngineKind::Pulley).await;
}
