//! The record of a usual turn: a message taken, one sent, one value written; and of the agents
//! whose turns they are.

use std::sync::Arc;

use caxton_model::{
    AgentId, AgentSpec, Destination, Digest, Durability, EngineProfile, Entry, Fields, Grants,
    InputRef, Kind, Limits, MessageKey, Performative, Record, Sent, StateWrite, Supervision,
    Timestamp, TurnRecord, TurnResult,
};
use serde_json::json;

/// Agents that the records are of.
pub(super) const AGENTS: u64 = 1_000;

/// The time all records bear: some day in 2026.
const AT: Timestamp = Timestamp(1_780_000_000_000_000);

/// The first records, up to that of number [`AGENTS`]: the agents' deployment. A message for one that
/// was never deployed would be held for it, for ever.
pub(super) fn of_agents() -> Result<Vec<Arc<Entry>>, caxton_model::NameError> {
    let deployed = (1..=AGENTS).map(|seq| {
        let agent = agent_of(seq);
        let spec = AgentSpec {
            id: agent,
            name: format!("agent-{}", agent.0).parse()?,
            module: Digest::of(b"a module"),
            version: "1.0.0".to_owned(),
            durability: Durability::Durable,
            supervision: Supervision::default(),
            limits: Limits::for_kind(Kind::Agent),
            grants: Grants::default(),
            requested: None,
            profile: EngineProfile::Hardened,
            declared: Vec::new(),
            config: Vec::new(),
            passivate_after_micros: None,
            deployed_at: AT,
        };
        let record = Record::Deployed {
            spec: Arc::new(spec),
        };
        Ok(entry(seq, record))
    });
    deployed.collect()
}

fn agent_of(seq: u64) -> AgentId {
    AgentId(10_000 + seq % AGENTS)
}

fn entry(seq: u64, record: Record) -> Arc<Entry> {
    Arc::new(Entry {
        shard: 0,
        seq,
        at: AT,
        record,
    })
}

/// Turn number `seq` of the node's one shard, about 400 bytes: the agent takes the message of the turn
/// before and sends one to the agent of the next.
pub(super) fn of_turn(seq: u64) -> Arc<Entry> {
    let agent = agent_of(seq);
    let content = json!({ "action": "process_data", "data": "x".repeat(60) });
    let message = Fields::new(Performative::Request, "one", "another", &content).seal();
    let turn = TurnRecord {
        agent,
        turn: seq,
        input: InputRef::Message(MessageKey {
            shard: 0,
            seq: seq - 1,
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
        rows: Vec::new(),
        sent: vec![Sent {
            message,
            to: vec![Destination::Agent(agent_of(seq + 1))],
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
    entry(seq, Record::Turn(Box::new(turn)))
}
