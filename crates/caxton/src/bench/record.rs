//! The record of a usual turn: one message sent, one value written.

use std::sync::Arc;

use caxton_model::{
    AgentId, Destination, Entry, Fields, InputRef, MessageKey, Performative, Record, Sent,
    StateWrite, Timestamp, TurnRecord, TurnResult,
};
use serde_json::json;

/// Agents that the records are of.
const AGENTS: u64 = 1_000;

/// The time all records bear: some day in 2026.
const AT: Timestamp = Timestamp(1_780_000_000_000_000);

/// Turn number `seq` of the node's one shard: about 400 bytes.
pub(super) fn of_turn(seq: u64) -> Arc<Entry> {
    let agent = AgentId(10_000 + seq % AGENTS);
    let content = json!({ "action": "process_data", "data": "x".repeat(60) });
    let message = Fields::new(Performative::Request, "one", "another", &content).seal();
    let turn = TurnRecord {
        agent,
        turn: seq,
        input: InputRef::Message(MessageKey {
            shard: 0,
            seq,
            index: 0,
        }),
        consumed: true,
        result: TurnResult::Returned(0),
        writes: vec![StateWrite {
            key: format!("key-{}", seq % 50).into_bytes().into(),
            value: Some(vec![b'v'; 100].into()),
        }],
        state_bytes: 5_000,
        state_keys: 50,
        sent: vec![Sent {
            message,
            to: vec![Destination::Agent(AgentId(10_000))],
        }],
        timers_set: Vec::new(),
        timers_cancelled: Vec::new(),
        capabilities: None,
        subscribed: Vec::new(),
        unsubscribed: Vec::new(),
        seed: seq,
        clock_reads: Vec::new(),
        cpu_micros: 12,
    };
    Arc::new(Entry {
        shard: 0,
        seq,
        at: AT,
        record: Record::Turn(Box::new(turn)),
    })
}
