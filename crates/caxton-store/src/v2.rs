//! Version 2 of what is stored: records of accesses inside turns and of grants, and the parts of a
//! checkpoint that keep them. Everything else is as in `v1.rs`; the list of all kinds of records stands
//! in `v5.rs`.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use std::sync::Arc;

use caxton_model as model;

use crate::{
    form::{Form, In, Out, form},
    v1::{AgentId, Bytes, Digest, InputRef, Timestamp},
};

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
