//! The node: joins engine, kernel and store, runs guests on shards, and is what embedders use.

mod access;
mod activity;
mod agents;
mod audit;
#[cfg(test)]
mod audit_test;
mod budget;
mod call_host;
mod calls;
mod clock;
mod counted;
mod gauge;
mod grants;
mod guest_metrics;
mod host;
#[cfg(test)]
mod host_test;
mod http;
pub mod journal;
mod listeners;
mod memory;
mod messages;
mod meters;
mod modules;
mod node;
mod options;
mod processors;
mod request;
mod rights;
mod rings;
mod sampler;
mod shard;
mod shared;
mod signal;
mod tables;
mod tickets;
mod turn;
mod vault;
mod waiters;

pub use activity::{Activity, Census, Footprint, Pulse};
pub use calls::{Call, CallEnded, DeployProcessor, DeployedProcessor, ProcessorDetail};
pub use caxton_egress::{EgressOptions, OptionsError, Proxies};
pub use caxton_engine::{Directory, EngineError, Usage};
pub use caxton_store::{
    AuditOptions, AuditPage, AuditQuery, AuditReport, File, Files, OpenError, RealFiles,
    SignedHead, StoreOptions, VaultEntry, VaultError,
};
pub use clock::shown;
pub use guest_metrics::{GuestHistogram, GuestMetric, GuestMetrics};
pub use http::LoneHttp;
pub use node::Node;
pub use options::{NodeOptions, StartError};
pub use request::{
    AgentDetail, Deploy, Deployed, Health, KeptFor, LimitUsage, LogLine, NotGranted, NumberedEvent,
    Posted, StateKey,
};
pub use rights::{is_requested, request_of, requested_rules};
