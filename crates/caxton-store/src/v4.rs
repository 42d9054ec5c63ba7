//! Version 4 of what is stored: agents with what their manifests ask for, in records and in a
//! checkpoint. Everything else is as in `v1.rs`, `v2.rs` and `v3.rs`; the list of all kinds of records
//! stands in `v5.rs`.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use caxton_model as model;

use crate::{
    form::{Form, In, Out, form},
    v1::{
        AgentId, AgentName, AgentStatus, Capabilities, Digest, Durability, EngineProfile, Fault,
        Grants, Limits, Micros, Pending, Subscription, Supervision, Timer, Timestamp,
    },
};

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
