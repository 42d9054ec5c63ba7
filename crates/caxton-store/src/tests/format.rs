//! The format, byte by byte, as `docs/specs/journal.md` shows it.

use std::fmt::Write as _;

use std::sync::Arc;

use caxton_model::*;
use expect_test::expect_file;

use super::{
    journal::{OPTIONS, open_with},
    sample::{message, spec, turn, write},
};
use crate::{
    FaultyFiles, JournalOptions, decode_entry,
    frame::{encode_value, segment_name},
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
    ]
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
        encode_value(&entry, &mut body).unwrap();
        assert_eq!(decode_entry(&body).unwrap(), entry);
        let _ = writeln!(text, "{}, {} bytes", entry.record.kind(), body.len());
        text.push_str(&hex(&body));
        text.push('\n');
    }
    expect_file!["../../../../docs/specs/journal-records.txt"].assert_eq(&text);
}
