//! The format, byte by byte, as `docs/specs/journal.md` shows it.

use std::fmt::Write as _;

use std::sync::Arc;

use caxton_model::*;
use expect_test::expect_file;

use super::{
    journal::{OPTIONS, open_with},
    sample::{assert_same_state, message, spec, turn, write},
};
use crate::{
    FaultyFiles, JournalOptions, checkpoint::Loading, decode_entry, encode_entry,
    frame::segment_name, part_key::part_key, part_value::encode_part, texts::Cuts,
};

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, sixteen) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:04x} ", row * 16);
        for byte in sixteen {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_worked_example_of_the_specification() {
    let files = FaultyFiles::default();
    let options = JournalOptions {
        segment_bytes: 512,
        ..OPTIONS
    };
    let mut writer = open_with(&files, &options).unwrap().0;
    writer
        .append_group(&[Entry {
            shard: 0,
            seq: 1,
            at: Timestamp(1_700_000_000_000_000),
            record: Record::NodeStarted {
                shards: 2,
                version: "0.1.0".to_owned(),
            },
        }
        .into()])
        .unwrap();
    let segment = files.bytes(&segment_name(1));
    let used = segment.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let head = files.bytes("head");
    let text = format!(
        "0000000001.seg, {used} bytes, then zeros\n{}\nhead, slot 0\n{}\nhead, slot 1\n{}",
        hex(&segment[..used]),
        hex(&head[..128]),
        hex(&head[4096..4096 + 128]),
    );
    let page = include_str!("../../../../docs/specs/journal.md");
    assert!(
        page.contains(text.trim_end()),
        "the page should show\n{text}"
    );
}

fn sent(to: Destination) -> Sent {
    Sent {
        message: message("a", "b", "1").seal(),
        to: vec![to],
    }
}

/// One record of each kind, with something in most fields.
fn one_of_each() -> Vec<Record> {
    let key = MessageKey {
        shard: 1,
        seq: 300,
        index: 2,
    };
    let agent = AgentId(7);
    let spec = spec(7, Durability::Durable);
    let Record::Turn(mut whole) = turn(0, 9, 7, vec![write("k", "v")]).record else {
        unreachable!("made as a turn");
    };
    whole.input = InputRef::Message(key);
    whole.sent = vec![sent(Destination::Agent(AgentId(8)))];
    whole.timers_set = vec![TimerSet {
        id: 3,
        due: Timestamp(1_000),
    }];
    whole.timers_cancelled = vec![2];
    whole.capabilities = Some(Arc::new(Capabilities::default()));
    whole.subscribed = vec![Subscription {
        id: 1,
        filter: Filter::default(),
        by_init: true,
    }];
    whole.clock_reads = vec![Timestamp(5)];
    let mut faulted = whole.clone();
    faulted.result = TurnResult::Faulted(Fault::new(ErrorCode::CpuLimit, "too long"));
    faulted.input = InputRef::Init(StartReason::Wake);
    let mut full = whole.clone();
    full.input = InputRef::Migrate("0.9.0".to_owned());
    full.result = TurnResult::Ended;
    full.writes.push(StateWrite {
        key: [0, 255].as_slice().into(),
        value: None,
    });
    full.capabilities = Some(Arc::new(capabilities()));
    full.subscribed = vec![subscription()];
    full.unsubscribed = vec![-1, 4];
    full.rows = vec![
        row("main/tasks", "k", Some("{\"a\":1}")),
        row("acme/t", "\u{e9}", None),
    ];
    vec![
        Record::NodeStarted {
            shards: 2,
            version: "0.1.0".to_owned(),
        },
        Record::Deployed {
            spec: Arc::clone(&spec),
        },
        Record::Updated {
            spec,
            rollback: true,
        },
        Record::Removed {
            agent,
            sent: vec![sent(Destination::Dead {
                intended: "b".into(),
                code: ErrorCode::Undeliverable,
                reason: "gone".to_owned(),
            })],
        },
        Record::StatusChanged {
            agent,
            status: AgentStatus::Failed,
            reason: "init".to_owned(),
        },
        Record::InstanceStarted {
            agent,
            reason: StartReason::AfterFault,
        },
        Record::Posted {
            client: "c".into(),
            message_id: Some("1".into()),
            sent: vec![sent(Destination::Client("c".into()))],
        },
        Record::Turn(whole),
        Record::Turn(faulted),
        Record::Turn(full),
        Record::Deployed { spec: full_spec() },
        Record::HostSent { sent: Vec::new() },
        Record::Accepted {
            deliveries: vec![(agent, key, message("a", "b", "1").seal())],
        },
        Record::Refused {
            agent,
            key,
            sent: Vec::new(),
        },
        Record::DeadLettersTaken {
            keys: vec![key],
            sent: Vec::new(),
        },
        Record::RepliesDropped {
            client: "c".into(),
            keys: vec![key],
        },
        Record::Directory {
            request: key,
            capabilities: vec![(agent, None)],
            subscribed: vec![DfSubscription {
                subscriber: "c".into(),
                conversation: "w".into(),
                reply_with: Some("r".into()),
                service: "s".to_owned(),
                template: RawJson::default(),
                told: 9,
            }],
            cancelled: vec![("c".into(), "x".into())],
            sent: Vec::new(),
        },
        Record::Intent(Box::new(Intent {
            agent,
            turn: 3,
            input: InputRef::Message(key),
            seed: 77,
            clock_reads: vec![Timestamp(1), Timestamp(2)],
            number: 0,
            digest: Digest::of(b"request"),
            shown: "GET http://a.example/x".into(),
        })),
        Record::GrantsChanged {
            agent,
            rules: granted(),
        },
        Record::Outcome {
            agent,
            number: 0,
            outcome: (*b"answer").into(),
        },
        Record::ProcessorDeployed { spec: processor() },
        Record::ProcessorRemoved {
            name: "acme/upper".into(),
        },
        Record::RowsWritten {
            rows: vec![row("main/tasks", "k", Some("null"))],
        },
    ]
}

fn row(table: &str, key: &str, value: Option<&str>) -> RowWrite {
    RowWrite {
        table: table.into(),
        key: key.into(),
        value: value.map(Arc::from),
    }
}

fn processor() -> Arc<ProcessorSpec> {
    Arc::new(ProcessorSpec {
        id: AgentId(8),
        name: "acme/upper".parse().unwrap(),
        kind: Kind::Extension,
        module: Digest::of(b"module"),
        version: "1.2.0".to_owned(),
        limits: Limits::for_kind(Kind::Extension),
        requested: Some(vec![RequestedRule {
            rule: "env:read=TZ".to_owned(),
            reason: None,
        }]),
        profile: EngineProfile::Metered,
        config: vec![("k".to_owned(), "v".to_owned())],
        deployed_at: Timestamp(23),
    })
}

fn granted() -> GrantedRules {
    let rule = GrantedRule {
        rule: "http:read=a.example/**".to_owned(),
        expires: Some(Timestamp(30)),
        reason: Some("reads".to_owned()),
        by: "admin".to_owned(),
        at: Timestamp(22),
    };
    vec![rule].into()
}

fn capabilities() -> Capabilities {
    Capabilities {
        version: "2.0.0".to_owned(),
        performatives: vec![Performative::Request, Performative::QueryRef],
        protocols: vec!["fipa-request".to_owned()],
        ontologies: vec!["sums".to_owned()],
        resource_requirements: ResourceRequirements {
            min_memory_mb: 1,
            preferred_memory_mb: 300,
            cpu_intensive: true,
            network_access: false,
            persistence_needed: true,
        },
        services: vec![ServiceDescription {
            name: "add".to_owned(),
            description: "adds".to_owned(),
            input_schema: RawJson::parse("{\"type\": \"array\"}").unwrap(),
            output_schema: RawJson::parse("1.50").unwrap(),
            estimated_latency_ms: 200,
            kind: "sum".to_owned(),
            protocols: vec!["p".to_owned()],
            ontologies: vec!["o".to_owned()],
            languages: vec!["l".to_owned()],
            properties: RawJson::parse("{\"b\":1,\"a\":2}").unwrap(),
        }],
        languages: vec!["json".to_owned()],
    }
}

fn subscription() -> Subscription {
    Subscription {
        id: 1,
        filter: Filter {
            capabilities: vec!["sums".to_owned()],
            performative: Some(Performative::Inform),
            protocol: Some("p".to_owned()),
            ontology: Some("o".to_owned()),
            name: Some("a*".to_owned()),
        },
        by_init: false,
    }
}

/// Nothing in it has its default.
fn full_spec() -> Arc<AgentSpec> {
    let mut limits = Limits::for_kind(Kind::Agent);
    limits.set(LimitName::Memory, 1);
    Arc::new(AgentSpec {
        name: "acme/worker".parse().unwrap(),
        durability: Durability::Memory,
        supervision: Supervision {
            restart: Restart::Temporary,
            group: Some(SupervisionGroup {
                name: "pair".to_owned(),
                strategy: Strategy::RestForOne,
            }),
            max_failures: 1,
            window_micros: Micros(2),
            backoff_micros: Micros(3),
            backoff_max_micros: Micros(4),
            max_attempts: 5,
        },
        limits,
        grants: Grants {
            message_send: Some(vec!["beta/*".to_owned()]),
        },
        requested: Some(vec![RequestedRule {
            rule: "http:read=a.example/**".to_owned(),
            reason: Some("reads".to_owned()),
        }]),
        profile: EngineProfile::Wide,
        passivate_after_micros: Some(Micros::secs(60)),
        ..(*spec(9, Durability::Memory)).clone()
    })
}

fn key(index: u32) -> MessageKey {
    MessageKey {
        shard: 1,
        seq: 300,
        index,
    }
}

fn pending(index: u32) -> Pending {
    Pending {
        key: key(index),
        message: message("a", "b", "1").seal(),
        at: Timestamp(7),
        attempts: 2,
    }
}

/// A state with one part of each kind, something in each field.
fn state_with_all() -> State {
    let mut state = State::default();
    let mut agent = AgentState::new(spec(7, Durability::Durable));
    agent.previous = Some(full_spec());
    agent.status = AgentStatus::Failed;
    agent.status_reason = "init".to_owned();
    agent.turns = 1_000;
    agent.errors = 2;
    agent.faults = 3;
    agent.last_fault = Some((
        Timestamp(-5),
        Fault {
            backtrace: vec![Frame {
                function: "run".to_owned(),
                source: Some("main.rs:7".to_owned()),
                module_offset: 129,
            }],
            ..Fault::new(ErrorCode::Trap, "unreachable")
        },
    ));
    agent.cpu_micros = 4;
    agent.messages_sent = 5;
    agent.mailbox = [pending(1), pending(2)].into();
    agent.mailbox_bytes = 132;
    agent.timers = [
        (
            3,
            Timer {
                due: Timestamp(9),
                by_init: true,
            },
        ),
        (
            -1,
            Timer {
                due: Timestamp(8),
                by_init: false,
            },
        ),
    ]
    .into();
    agent.next_timer = 4;
    agent.subscriptions = vec![subscription()];
    agent.next_subscription = 2;
    agent.capabilities = Some(Arc::new(capabilities()));
    agent.state_bytes = 6;
    agent.state_keys = 7;
    state.agents.insert(AgentId(7), agent);
    state.clients.insert(
        "c".into(),
        [pending(3)]
            .into_iter()
            .collect::<std::collections::VecDeque<_>>()
            .into(),
    );
    state.dead.insert(
        key(4),
        DeadLetter {
            key: key(4),
            intended: "nobody".into(),
            code: ErrorCode::Undeliverable,
            reason: "gone".to_owned(),
            message: message("a", "nobody", "1").seal(),
            at: Timestamp(8),
        },
    );
    state.posts.insert(
        ("c".into(), "id-1".into()),
        PostSeen {
            at: Timestamp(9),
            key: key(5),
            message: message("c", "b", "null").seal(),
            durable: true,
        },
    );
    state.conversations.insert("talk".into(), conversation());
    state.open.insert(
        ("c".into(), "r".into()),
        OpenRequest {
            asker: Destination::Client("c".into()),
            message: message("c", "b", "1").seal(),
            reply_by: Timestamp(10),
        },
    );
    state.df_subscriptions = vec![DfSubscription {
        subscriber: "c".into(),
        conversation: "w".into(),
        reply_with: Some("r".into()),
        service: "s".to_owned(),
        template: RawJson::default(),
        told: 9,
    }];
    state.held = [(AgentId(2), pending(6))].into();
    state.migrating.insert(AgentId(7), full_spec());
    let access = |outcome: Option<&[u8]>| RecordedAccess {
        at: Timestamp(21),
        digest: Digest::of(b"request"),
        shown: "GET http://a.example/x".into(),
        outcome: outcome.map(Arc::from),
    };
    let accesses = TurnAccesses {
        input: InputRef::Timer {
            id: 4,
            due: Timestamp(20),
        },
        turn: 3,
        seed: 77,
        clock_reads: vec![Timestamp(19)],
        accesses: vec![access(Some(b"answer")), access(None)],
    };
    state.accesses.insert(AgentId(7), accesses);
    state.granted.insert(AgentId(7), granted());
    state.processors.insert("acme/upper".into(), processor());
    let table = state.tables.entry("main/tasks".into()).or_default();
    table.insert("k".into(), "{\"a\":1}".into());
    state.spent.restore(
        3,
        SpentBlock {
            last: Timestamp(11),
            hashes: vec![1, u64::MAX],
        },
    );
    state.spent.until = Some(Timestamp(12));
    state.dead_order = [key(4)].into();
    state.posts_order = [("c".into(), "id-1".into())].into();
    state.recount();
    state
}

fn conversation() -> Conversation {
    let line = |message| ConversationLine {
        key: key(7),
        at: Timestamp(13),
        message,
        performative: Performative::Request,
        sender: "a".into(),
        to: vec![
            Destination::Agent(AgentId(7)),
            Destination::Dead {
                intended: "x".into(),
                code: ErrorCode::QueueFull,
                reason: "full".to_owned(),
            },
        ],
        bytes: 66,
    };
    Conversation {
        lines: [line(None), line(Some(message("a", "b", "1").seal()))].into(),
        count: 3,
        bytes: 666,
        last: Timestamp(14),
    }
}

fn state_subscription() -> Part {
    let state = state_with_all();
    let one = &state.df_subscriptions[0];
    Part::DfSubscription(one.subscriber.clone(), one.conversation.clone())
}

/// One part of each kind that [`state_with_all`] has.
fn all_parts() -> [Part; 15] {
    [
        Part::Agent(AgentId(7)),
        Part::Client("c".into()),
        Part::Dead(key(4)),
        Part::Post("c".into(), "id-1".into()),
        Part::Conversation("talk".into()),
        Part::Open("c".into(), "r".into()),
        state_subscription(),
        Part::Held,
        Part::Migrating(AgentId(7)),
        Part::Accesses(AgentId(7)),
        Part::Granted(AgentId(7)),
        Part::SpentIds(3),
        Part::SpentUntil,
        Part::Processor("acme/upper".into()),
        Part::Row("main/tasks".into(), "k".into()),
    ]
}

/// A change here is a change of the format: checkpoints that were written could not be read any more.
#[test]
fn the_form_of_each_kind_of_part_stays() {
    let state = state_with_all();
    let mut text = String::new();
    let mut loading = Loading::default();
    for part in all_parts() {
        let (stored_key, value) = (
            part_key(&part),
            encode_part(&state, &part, 5, &mut Cuts::default())
                .unwrap()
                .unwrap(),
        );
        loading.take(&stored_key, &value).unwrap();
        let kind = format!("{part:?}");
        let kind = kind.split('(').next().unwrap();
        let _ = writeln!(text, "{kind}, the key\n{}", hex(&stored_key));
        let _ = writeln!(text, "{kind}, the value\n{}", hex(&value));
    }
    assert_same_state(&loading.finish(None).unwrap().0, &state);
    expect_file!["../../../../docs/specs/checkpoint-parts.txt"].assert_eq(&text);
}

/// A change here is a change of the format: journals that were written could not be read any more.
#[test]
fn the_form_of_each_kind_of_record_stays() {
    let mut text = String::new();
    for record in one_of_each() {
        let entry = Entry {
            shard: 0,
            seq: 9,
            at: Timestamp(1_700_000_000_000_000),
            record,
        };
        let mut body = Vec::new();
        encode_entry(&entry, &mut body).unwrap();
        assert_eq!(decode_entry(&body).unwrap(), entry);
        let _ = writeln!(text, "{}, {} bytes", entry.record.kind(), body.len());
        text.push_str(&hex(&body));
        text.push('\n');
    }
    expect_file!["../../../../docs/specs/journal-records.txt"].assert_eq(&text);
}
