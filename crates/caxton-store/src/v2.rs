//! Version 2 of what is stored: records of accesses inside turns, and the part of a checkpoint that
//! keeps them. Everything else is as in `v1.rs`.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use std::sync::Arc;

use caxton_model as model;

use crate::{
    form::{Form, In, Out, form, unknown},
    v1::{
        AgentId, AgentSpec, AgentStatus, Bytes, Capabilities, DfSubscription, Digest, InputRef,
        Message, MessageKey, Sent, StartReason, Timestamp, TurnRecord,
    },
};

form! {
    struct Entry {
        shard: u16,
        seq: u64,
        at: Timestamp,
        record: Record,
    }
}

form! {
    enum Record {
        0 NodeStarted { shards: u16, version: String },
        1 Deployed { spec: Arc<AgentSpec> },
        2 Updated { spec: Arc<AgentSpec>, rollback: bool },
        3 Removed { agent: AgentId, sent: Vec<Sent> },
        4 StatusChanged { agent: AgentId, status: AgentStatus, reason: String },
        5 InstanceStarted { agent: AgentId, reason: StartReason },
        6 Posted { client: Arc<str>, message_id: Option<Arc<str>>, sent: Vec<Sent> },
        7 Turn(turn: Box<TurnRecord>),
        8 HostSent { sent: Vec<Sent> },
        9 Accepted { deliveries: Vec<(AgentId, MessageKey, Message)> },
        10 Refused { agent: AgentId, key: MessageKey, sent: Vec<Sent> },
        11 DeadLettersTaken { keys: Vec<MessageKey>, sent: Vec<Sent> },
        12 RepliesDropped { client: Arc<str>, keys: Vec<MessageKey> },
        13 Directory {
            request: MessageKey,
            capabilities: Vec<(AgentId, Option<Arc<Capabilities>>)>,
            subscribed: Vec<DfSubscription>,
            cancelled: Vec<(Arc<str>, Arc<str>)>,
            sent: Vec<Sent>,
        },
        14 Intent(intent: Box<Intent>),
        15 Outcome { agent: AgentId, number: u32, outcome: Bytes },
        16 GrantsChanged { agent: AgentId, rules: Arc<Vec<GrantedRule>> },
    }
}

form! {
    struct Intent {
        agent: AgentId,
        turn: u64,
        input: InputRef,
        seed: u64,
        clock_reads: Vec<Timestamp>,
        number: u32,
        digest: Digest,
        shown: Arc<str>,
    }
    struct TurnAccesses {
        input: InputRef,
        turn: u64,
        seed: u64,
        clock_reads: Vec<Timestamp>,
        accesses: Vec<RecordedAccess>,
    }
    struct GrantedRule {
        rule: String,
        expires: Option<Timestamp>,
        reason: Option<String>,
        by: String,
        at: Timestamp,
    }
    struct RecordedAccess {
        at: Timestamp,
        digest: Digest,
        shown: Arc<str>,
        outcome: Option<Bytes>,
    }
}
