//! The node: joins engine, kernel and store, runs guests on shards, and is what embedders use.

mod clock;
mod handle;
mod options;

pub use handle::{
    LimitUsage,
    AgentDetail, Deploy, Deployed, Health, LogLine, Node, NumberedEvent, Posted, StateKey,
};
pub use options::{NodeOptions, StartError};
