//! Version 4 of what is stored: agents with what their manifests ask for, in records and in a
//! checkpoint. Everything else is as in `v1.rs`, `v2.rs` and `v3.rs`.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use caxton_model as model;

use crate::{
    form::{Form, In, Out, form, unknown},
    v1::{
        self, AgentId, AgentName, AgentStatus, Bytes, Capabilities, DfSubscription, Digest,
        Durability, EngineProfile, Fault, Grants, Limits, Message, MessageKey, Micros, Pending,
        Sent, StartReason, Subscription, Supervision, Timer, Timestamp, TurnRecord,
    },
    v2::{GrantedRule, Intent},
    v3::ProcessorSpec,
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
        19 Deployed { spec: Arc<AgentSpec> },
        20 Updated { spec: Arc<AgentSpec>, rollback: bool },
    } formerly {
        1 Deployed { spec: Arc<v1::AgentSpec> },
        2 Updated { spec: Arc<v1::AgentSpec>, rollback: bool },
    }
}

form! {
    struct RequestedRule { rule: String, reason: Option<String> }
    struct AgentSpec {
        id: AgentId,
        name: AgentName,
        module: Digest,
        version: String,
        durability: Durability,
        supervision: Supervision,
        limits: Limits,
        grants: Grants,
        requested: Option<Vec<RequestedRule>>,
        profile: EngineProfile,
        declared: Vec<String>,
        config: Vec<(String, String)>,
        passivate_after_micros: Option<Micros>,
        deployed_at: Timestamp,
    }
    struct AgentState {
        spec: Arc<AgentSpec>,
        previous: Option<Arc<AgentSpec>>,
        status: AgentStatus,
        status_reason: String,
        turns: u64,
        errors: u64,
        faults: u64,
        last_fault: Option<(Timestamp, Fault)>,
        cpu_micros: u64,
        messages_sent: u64,
        mailbox: VecDeque<Pending>,
        mailbox_bytes: u64,
        timers: BTreeMap<i32, Timer>,
        next_timer: i32,
        subscriptions: Vec<Subscription>,
        next_subscription: i32,
        capabilities: Option<Arc<Capabilities>>,
        state_bytes: u64,
        state_keys: u64,
    }
}
