//! Version 3 of what is stored: records of processors, and the part of a checkpoint that keeps them.
//! Everything else is as in `v1.rs` and `v2.rs`.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use std::sync::Arc;

use caxton_model as model;

use crate::{
    form::{Form, In, Out, form, unknown},
    v1::{
        AgentId, AgentName, AgentSpec, AgentStatus, Bytes, Capabilities, DfSubscription, Digest,
        EngineProfile, Limits, Message, MessageKey, Sent, StartReason, Timestamp, TurnRecord,
    },
    v2::{GrantedRule, Intent},
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
        17 ProcessorDeployed { spec: Arc<ProcessorSpec> },
        18 ProcessorRemoved { name: Arc<str> },
    }
}

form! {
    struct ProcessorSpec {
        id: AgentId,
        name: AgentName,
        kind: Kind,
        module: Digest,
        version: String,
        limits: Limits,
        profile: EngineProfile,
        config: Vec<(String, String)>,
        deployed_at: Timestamp,
    }
}
form! { enum Kind { 0 Agent, 1 Processor, 2 Extension, 3 App } }
