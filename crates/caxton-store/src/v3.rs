//! Version 3 of what is stored: records of processors, and the part of a checkpoint that keeps them.
//! Everything else is as in `v1.rs` and `v2.rs`; the list of all kinds of records stands in `v5.rs`.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use caxton_model as model;

use crate::{
    form::{Form, In, Out, form, unknown},
    v1::{AgentId, AgentName, Digest, EngineProfile, Limits, Timestamp},
};

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
    } without { requested: None }
}
form! { enum Kind { 0 Agent, 1 Processor, 2 Extension, 3 App } }
