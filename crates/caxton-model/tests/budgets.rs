//! What one shard keeps for others is bounded: dead letters, conversations, capabilities.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails here has failed"
)]

use std::sync::Arc;

use caxton_model::{
    AgentId, CONVERSATIONS_MAX, Capabilities, CapabilitiesError, DEAD_LETTERS_MAX, Destination,
    Entry, ErrorCode, Fields, MessageKey, Record, Sent, State, Timestamp,
};

/// A message that nobody took, in a conversation of its own.
fn refused(number: u64) -> Entry {
    let json = format!(
        r#"{{"performative":"request","receiver":"nobody","content":1,"conversation_id":"c-{number}"}}"#
    );
    let message = Fields::parse(json.as_bytes(), 1_000).unwrap().seal();
    let nobody = Destination::Dead {
        intended: "nobody".into(),
        code: ErrorCode::Undeliverable,
        reason: "there is no such agent".into(),
    };
    Entry {
        shard: 0,
        seq: number,
        at: Timestamp(1_000_000 + i64::try_from(number).unwrap()),
        record: Record::Refused {
            agent: AgentId(7),
            key: MessageKey {
                shard: 9,
                seq: number,
                index: 0,
            },
            sent: vec![Sent {
                message,
                to: vec![nobody],
            }],
        },
    }
}

#[test]
fn dead_letters_and_conversations_are_bounded_and_the_oldest_go() {
    let mut state = State::default();
    let last = u64::try_from(DEAD_LETTERS_MAX).unwrap() + 500;
    let mut most = 0;
    for number in 1..=last {
        state.apply(&refused(number), true);
        most = most.max(state.conversations.len());
    }
    assert_eq!(state.dead.len(), DEAD_LETTERS_MAX);
    let seqs: Vec<u64> = state.dead.keys().map(|key| key.seq).collect();
    assert_eq!((seqs[0], *seqs.last().unwrap()), (501, last));
    assert!(most <= CONVERSATIONS_MAX, "{most}");
    assert!(state.conversations.len() > CONVERSATIONS_MAX / 2);
    let kept = |number: u64| {
        let id: Arc<str> = format!("c-{number}").into();
        state.conversations.contains_key(&id)
    };
    assert!(kept(last) && !kept(1));
}

#[test]
fn an_agent_has_at_most_1_000_capabilities() {
    let json = |count: usize| {
        let services: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"name":"s-{n}"}}"#))
            .collect();
        format!(r#"{{"services":[{}]}}"#, services.join(","))
    };
    assert!(Capabilities::from_json(json(1_000).as_bytes()).is_ok());
    assert!(matches!(
        Capabilities::from_json(json(1_001).as_bytes()),
        Err(CapabilitiesError::TooMany { count: 1_001 })
    ));
}
