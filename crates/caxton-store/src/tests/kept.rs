//! Whatever is admitted, with all that the host adds to it, is read back as it was: from the journal
//! and from the checkpoint.

use std::{collections::BTreeSet, sync::Arc};

use caxton_model::*;
use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Strategy};

use super::sample::{assert_same_state, spec, turn};
use crate::{
    checkpoint::Loading,
    decode_entry, encode_entry,
    part_key::{part_key, text_key},
    part_value::encode_part,
    texts::Cuts,
};

const NOW: Timestamp = Timestamp(1_767_225_600_000_000);
const AGENT: AgentId = AgentId(7);

/// Any text, often at the bound.
fn text(bytes_max: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}",
        ".{0,40}".prop_map(|text| text),
        Just("\u{1b}[2J\"\\\n\u{202e}é\0".to_owned()),
        Just("n".repeat(bytes_max)),
    ]
}

/// JSON of any form, up to `depth_max` levels deep.
fn json(depth_max: usize) -> impl Strategy<Value = String> {
    let number = select(vec![
        "0",
        "-0",
        "1.50",
        "1e300",
        "123456789012345678901234567890",
        "-1E-400",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        number.prop_map(str::to_owned),
        text(200).prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud83d\ude00 \u0000""#.to_owned()),
    ];
    let tree = leaf.prop_recursive(4, 20, 4, |inner| {
        let pairs = vec((text(20), inner.clone()), 0..4).prop_map(|pairs| {
            let pairs = pairs.into_iter();
            let pairs = pairs
                .map(|(name, value)| format!("{}: {value}", serde_json::to_string(&name).unwrap()));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        });
        let list = vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" , ")));
        prop_oneof![pairs, list]
    });
    (tree, 0..=depth_max.saturating_sub(4))
        .prop_map(|(tree, more)| format!("{}{tree}{}", "[".repeat(more), "]".repeat(more)))
}

fn receiver() -> impl Strategy<Value = Receiver> {
    let name = || {
        text(1_024)
            .prop_filter("a name", |n| !n.is_empty())
            .prop_map(Arc::<str>::from)
    };
    prop_oneof![
        name().prop_map(Receiver::One),
        name().prop_map(Receiver::Capability),
        vec(name(), 1..5).prop_map(Receiver::List),
        name().prop_map(|name| Receiver::List(vec![name; 1_000])),
    ]
}

/// A message as a sender may give it; what is not admitted is none.
fn admitted() -> impl Strategy<Value = Fields> {
    let texts = vec(option::of(text(1_024)), 8);
    let extra = prop_oneof![
        vec((text(100), json(60)), 0..4),
        vec(("x", Just("0".to_owned())), 100),
    ];
    (
        select(Performative::ALL.to_vec()),
        receiver(),
        json(63),
        texts,
        option::of(select(vec![
            "2026-02-28T12:00:00.5Z",
            "20260131T120000000Z",
            "9999-12-31T23:59:59Z",
        ])),
        extra,
    )
        .prop_filter_map(
            "admitted",
            |(performative, receiver, content, texts, by, extra)| {
                let mut fields = Fields::new(performative, "", "", &serde_json::Value::Null);
                fields.receiver = receiver;
                fields.content = RawJson::parse(&content).ok()?;
                let mut texts = texts.into_iter().map(|text| text.map(Arc::<str>::from));
                fields.conversation_id = texts.next()?;
                fields.reply_with = texts.next()?;
                fields.in_reply_to = texts.next()?;
                fields.reply_to = texts.next()?;
                fields.protocol = texts.next()?;
                fields.ontology = texts.next()?;
                fields.language = texts.next()?;
                fields.reply_by_text = by.map(|by| RawJson::from(&serde_json::Value::from(by)));
                let mut names = BTreeSet::new();
                for (at, (name, value)) in extra.into_iter().enumerate() {
                    let name = if name == "x" {
                        format!("x{at:03}")
                    } else {
                        name
                    };
                    if names.insert(name.clone()) {
                        fields
                            .extra
                            .push((name.into(), RawJson::parse(&value).ok()?));
                    }
                }
                let json = fields.seal();
                Fields::parse(json.json().as_bytes(), 4 << 20).ok()
            },
        )
}

/// A message as it travels: with everything that the host adds.
fn sealed() -> impl Strategy<Value = Message> {
    admitted().prop_map(|mut fields| {
        let own = |name: &Arc<str>| -> Arc<str> { format!("{}/{name}", "n".repeat(63)).into() };
        fields.sender = own(&"s".repeat(63).into());
        fields.receiver = match fields.receiver {
            Receiver::One(name) => Receiver::One(own(&name)),
            Receiver::List(names) => Receiver::List(names.iter().map(own).collect()),
            Receiver::Capability(name) => Receiver::Capability(name),
        };
        fields.reply_to = fields.reply_to.as_ref().map(own);
        fields.conversation_id.get_or_insert_with(|| "c-0-1".into());
        fields.reply_with.get_or_insert_with(|| "c-0-1".into());
        let host = RawJson::parse("\"00-e827820eaa0cf0de4182657c5e7e4f7c-0c14458ad9984587-00\"");
        for name in ["traceparent", "caxton-namespace"] {
            fields
                .extra
                .push((name.into(), host.as_ref().unwrap().clone()));
        }
        fields.seal()
    })
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let destination = prop_oneof![
        Just(Destination::Agent(AGENT)),
        text(130).prop_map(|name| Destination::Client(name.into())),
        (text(1_100), select(ErrorCode::ALL.to_vec()), text(5_000)).prop_map(
            |(intended, code, reason)| Destination::Dead {
                intended: intended.into(),
                code,
                reason,
            }
        ),
    ];
    vec((sealed(), vec(destination, 1..4)), 0..3).prop_map(|sent| {
        let sent = sent.into_iter();
        sent.map(|(message, to)| Sent { message, to }).collect()
    })
}

fn capabilities() -> impl Strategy<Value = Arc<Capabilities>> {
    (json(50), text(1_000), vec(text(200), 0..5)).prop_filter_map(
        "admitted",
        |(any, name, protocols)| {
            let json = serde_json::json!({
                "version": name,
                "protocols": protocols,
                "services": [{"name": format!("x{name}"), "description": name}],
            });
            // The schema as it was written, which a value would not keep.
            let text = json.to_string();
            let text = text.replacen(
                "\"description\"",
                &format!("\"input_schema\":{any},\"description\""),
                1,
            );
            Capabilities::from_json(text.as_bytes()).ok().map(Arc::new)
        },
    )
}

fn agent_spec() -> impl Strategy<Value = Arc<AgentSpec>> {
    let number = || prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)];
    (
        vec(text(60_000), 0..6),
        vec(number(), LimitName::ALL.len()),
        (number(), number(), number()),
        option::of(number()),
        any::<i64>(),
        any::<bool>(),
    )
        .prop_map(|(texts, limits, (window, first, last), idle, at, far)| {
            let mut spec = (*spec(AGENT.0, Durability::Durable)).clone();
            if far {
                spec.name = format!("{}/{}", "n".repeat(63), "a".repeat(63))
                    .parse()
                    .unwrap();
            }
            for (name, value) in LimitName::ALL.iter().zip(limits) {
                spec.limits.set(*name, value);
            }
            spec.config = texts.iter().map(|t| (t.clone(), t.clone())).collect();
            spec.grants.message_send = Some(texts.clone());
            spec.version = texts.first().cloned().unwrap_or_default();
            spec.declared = texts;
            spec.supervision.window_micros = Micros(window);
            spec.supervision.backoff_micros = Micros(first);
            spec.supervision.backoff_max_micros = Micros(last);
            spec.passivate_after_micros = idle.map(Micros);
            spec.deployed_at = Timestamp(at);
            Arc::new(spec)
        })
}

fn turn_record() -> impl Strategy<Value = Record> {
    let write = (
        vec(any::<u8>(), 0..1_024),
        option::of(vec(any::<u8>(), 0..3_000)),
    );
    (
        sent(),
        vec(write, 0..3),
        vec((any::<i32>(), any::<i64>()), 0..3),
        option::of(capabilities()),
        option::of(text(5_000)),
    )
        .prop_map(|(sent, writes, timers, capabilities, fault)| {
            let entry = turn(0, 2, AGENT.0, Vec::new());
            let Record::Turn(mut turn) = entry.record else {
                unreachable!("made as a turn");
            };
            let writes = writes.into_iter().map(|(key, value)| StateWrite {
                key: key.into(),
                value: value.map(Into::into),
            });
            turn.writes = writes.collect();
            let timers = timers.into_iter();
            let timers = timers.map(|(id, due)| TimerSet {
                id,
                due: Timestamp(due),
            });
            turn.timers_set = timers.collect();
            turn.sent = sent;
            turn.capabilities = capabilities;
            if let Some(text) = fault {
                turn.result = TurnResult::Faulted(Fault::new(ErrorCode::Trap, text));
            }
            Record::Turn(turn)
        })
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (text(120), option::of(text(255)), sent()).prop_map(|(client, id, sent)| Record::Posted {
            client: client.into(),
            message_id: id.map(Into::into),
            sent,
        }),
        turn_record(),
        sent().prop_map(|sent| Record::HostSent { sent }),
        agent_spec().prop_map(|spec| Record::Updated {
            spec,
            rollback: false
        }),
        text(5_000).prop_map(|reason| Record::StatusChanged {
            agent: AGENT,
            status: AgentStatus::Failed,
            reason,
        }),
        (capabilities(), text(1_024), json(60), sent()).prop_map(
            |(capabilities, name, template, sent)| Record::Directory {
                request: MessageKey {
                    shard: 0,
                    seq: 0,
                    index: 0
                },
                capabilities: vec![(AGENT, Some(capabilities))],
                subscribed: vec![DfSubscription {
                    subscriber: name.clone().into(),
                    conversation: name.clone().into(),
                    reply_with: Some(name.clone().into()),
                    service: name,
                    template: RawJson::parse(&template).unwrap(),
                    told: 1,
                }],
                cancelled: Vec::new(),
                sent,
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_admitted_is_read_back(spec in agent_spec(), records in vec(record(), 1..6)) {
        let mut state = State::tracked();
        let records = std::iter::once(Record::Deployed { spec }).chain(records);
        for (seq, record) in (1..).zip(records) {
            let entry = Entry { shard: 0, seq, at: NOW, record };
            let mut body = Vec::new();
            encode_entry(&entry, &mut body).unwrap();
            let read = decode_entry(&body);
            prop_assert_eq!(read.as_ref(), Ok(&entry));
            state.replay(&entry);
        }
        let (mut loading, mut cuts) = (Loading::default(), Cuts::default());
        for (place, part) in (1..).zip(state.touched.take().unwrap()) {
            if let Some(value) = encode_part(&state, &part, place, &mut cuts) {
                for (hash, message) in cuts.take() {
                    loading.take(&text_key(&hash), message.json().as_bytes()).unwrap();
                }
                let read = loading.take(&part_key(&part), &value.unwrap());
                prop_assert!(read.is_ok(), "{part:?}: {read:?}");
            }
        }
        let mut loaded = loading.finish(None).unwrap().0;
        loaded.seqs = state.seqs.clone();
        loaded.posts_order = state.posts_order.clone();
        // Their order is that of their last changes, which are not told apart here.
        let name = |s: &DfSubscription| (s.subscriber.clone(), s.conversation.clone());
        loaded.df_subscriptions.sort_by_key(name);
        state.df_subscriptions.sort_by_key(name);
        assert_same_state(&loaded, &state);
    }
}
