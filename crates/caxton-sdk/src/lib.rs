//! Write agents, processors and extensions for Caxton in ordinary Rust.
//!
//! An agent is a type with [`Agent`] (or a function that registers handlers) under `#[agent]`:
//!
//! ```
//! use caxton_sdk::*;
//! use serde_json::{Value, json};
//!
//! #[agent]
//! fn start() {
//!     register_handler("greet", greet);
//! }
//!
//! fn greet(message: &FipaMessage) -> Result<(), String> {
//!     let name = message.content["name"].as_str().ok_or("`name` is missing")?;
//!     send_inform_response(message, &json!({ "greeting": format!("Hello {name}") }));
//!     Ok(())
//! }
//!
//! // The same code runs natively, against a host in memory with virtual time:
//! assert_eq!(agent_init(), 0);
//! testing::deliver(&json!({"performative": "request", "sender": "you", "receiver": "me",
//!     "content": {"action": "greet", "name": "Ada"}, "reply_with": "1"}));
//! assert_eq!(testing::take_sent()[0].content["result"]["greeting"], "Hello Ada");
//! ```
//!
//! Build it with `cargo build --release --target wasm32-unknown-unknown`. A host function that is
//! not used is not imported, so a guest asks for no right that it does not need.

mod agent;
mod alloc;
mod content;
pub mod data;
mod extension;
mod handlers;
pub mod http;
mod log;
mod message;
mod outcome;
mod processor;
mod profile;
mod refusal;
mod state;
mod sys;
mod time;
mod timer;
pub mod vault;
mod wire;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[doc(hidden)]
pub mod rt;

pub use agent::Agent;
pub use alloc::{AllocStats, alloc_stats};
pub use caxton_model::{
    Capabilities, FipaMessage, HostCode, Performative, ResourceRequirements, ServiceDescription,
};
pub use caxton_sdk_macros::{agent, extension, processor};
pub use content::{ContentLimits, set_content_limits};
pub use extension::{ActionInfo, Extension, ExtensionInfo};
pub use handlers::{dispatch, register_handler, register_performative, register_resume};
pub use log::{
    LogLevel, MetricKind, console_error, console_log, log_debug, log_error, log_info, log_record,
    log_trace, log_warn, metric,
};
pub use message::{
    broadcast, broadcast_to_capability, emit, event_topic, message_to, register_capabilities,
    reply, reply_with, send_accept_proposal, send_agree, send_cancel, send_confirm,
    send_disconfirm, send_failure, send_inform, send_inform_response, send_message,
    send_not_understood, send_propose, send_refuse, send_reject_proposal, send_to_agent,
    subscribe_messages, unsubscribe_messages,
};
pub use outcome::Outcome;
pub use processor::{BytesResult, TextResult};
pub use profile::{profile_end, profile_start, set_profiling};
pub use refusal::Refusal;
pub use state::{State, config, delete, load, load_bytes, store, store_bytes};
pub use time::{current_timestamp, random_u32, sleep_micros};
pub use timer::{HostTimer, spawn};
