//! Version 5 of what is stored: turns with the rows of shared tables that they wrote, records of rows
//! alone, and processors with what their manifests ask for, in records and in a checkpoint. Everything else is as in `v1.rs` to `v4.rs`.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use std::sync::Arc;

use caxton_model as model;

use crate::{
    form::{Form, In, Out, form, unknown},
    v1::{
        self, AgentId, AgentName, AgentStatus, Bytes, Capabilities, DfSubscription, Digest,
        EngineProfile, InputRef, Limits, Message, MessageKey, Sent, StartReason, StateWrite,
        Subscription, TimerSet, Timestamp, TurnResult,
    },
    v2::{GrantedRule, Intent},
    v3,
    v4::{AgentSpec, RequestedRule},
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
        3 Removed { agent: AgentId, sent: Vec<Sent> },
        4 StatusChanged { agent: AgentId, status: AgentStatus, reason: String },
        5 InstanceStarted { agent: AgentId, reason: StartReason },
        6 Posted { client: Arc<str>, message_id: Option<Arc<str>>, sent: Vec<Sent> },
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
        18 ProcessorRemoved { name: Arc<str> },
        19 Deployed { spec: Arc<AgentSpec> },
        20 Updated { spec: Arc<AgentSpec>, rollback: bool },
        21 Turn(turn: Box<TurnRecord>),
        22 RowsWritten { rows: Vec<RowWrite> },
        23 ProcessorDeployed { spec: Arc<ProcessorSpec> },
    } formerly {
        1 Deployed { spec: Arc<v1::AgentSpec> },
        2 Updated { spec: Arc<v1::AgentSpec>, rollback: bool },
        7 Turn(turn: Box<v1::TurnRecord>),
        17 ProcessorDeployed { spec: Arc<v3::ProcessorSpec> },
    }
}

form! {
    struct ProcessorSpec {
        id: AgentId,
        name: AgentName,
        kind: v3::Kind,
        module: Digest,
        version: String,
        limits: Limits,
        requested: Option<Vec<RequestedRule>>,
        profile: EngineProfile,
        config: Vec<(String, String)>,
        deployed_at: Timestamp,
    }
}

form! {
    struct TurnRecord {
        agent: AgentId,
        turn: u64,
        input: InputRef,
        consumed: bool,
        result: TurnResult,
        writes: Vec<StateWrite>,
        state_bytes: u64,
        state_keys: u64,
        rows: Vec<RowWrite>,
        sent: Vec<Sent>,
        timers_set: Vec<TimerSet>,
        timers_cancelled: Vec<i32>,
        capabilities: Option<Arc<Capabilities>>,
        subscribed: Vec<Subscription>,
        unsubscribed: Vec<i32>,
        seed: u64,
        clock_reads: Vec<Timestamp>,
        cpu_micros: u64,
    }
    struct RowWrite { table: Arc<str>, key: Arc<str>, value: Option<Arc<str>> }
}
