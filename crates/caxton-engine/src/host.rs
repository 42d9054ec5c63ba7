//! What a guest's host functions reach: implemented by the node (and by tests), called by the engine.

use std::{any::Any, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use caxton_gate::Denied;
use caxton_model::{Fault, HostCode, Micros, Timestamp};
use serde::{Deserialize, Serialize};

use crate::HostResources;

/// A value on its way from the disk.
pub type Fetch = Pin<Box<dyn Future<Output = Result<Option<Bytes>, HostCode>> + Send>>;

/// What comes of an access: the recorded form, `caxton_model::split_outcome` takes it apart.
pub type AccessOutcome = Pin<Box<dyn Future<Output = Arc<[u8]>> + Send>>;

/// Why an access was not performed.
#[derive(Debug)]
pub enum AccessRefused {
    /// The guest gets this number.
    Code(HostCode),
    /// The turn ends with this fault.
    Fault(Fault),
}

impl From<HostCode> for AccessRefused {
    fn from(code: HostCode) -> Self {
        Self::Code(code)
    }
}
impl From<Fault> for AccessRefused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// How loud a guest's line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Step by step.
    Trace,
    /// For whoever writes the guest.
    Debug,
    /// What happened.
    Info,
    /// What might become a problem.
    Warn,
    /// What went wrong.
    Error,
}

impl LogLevel {
    /// From a guest's number: 0 trace to 4 error; anything else is `Info`.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Trace,
            1 => Self::Debug,
            3 => Self::Warn,
            4 => Self::Error,
            _ => Self::Info,
        }
    }
}

/// What a guest's metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl MetricKind {
    /// From a guest's number: 0 counter, 1 gauge, 2 histogram.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Counter),
            1 => Some(Self::Gauge),
            2 => Some(Self::Histogram),
            _ => None,
        }
    }
}

/// The host's side of one turn or call.
///
/// Every answer is immediate, on the shard's thread: nothing here may block. What needs the disk
/// says so in [`HostCalls::fetch`]; the engine suspends the guest, awaits, and hands the value to
/// [`HostCalls::fetched`] before it asks again.
///
/// Messages, state and timers are an agent's: a host of another kind of guest leaves them out, and its
/// guest is answered `Unavailable`.
///
/// Errors: a [`HostCode`] is what the guest gets; faults are made by the engine alone.
pub trait HostCalls: Send {
    /// Records a message to be sent when the turn is done. `json` is at most `message_bytes`.
    fn send_message(&mut self, _json: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// The same, to an agent of this node only.
    fn send_local_message(&mut self, _id: &str, _json: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Sends to all that fit the filter; how many it reached.
    fn broadcast(&mut self, _filter: &[u8], _json: &[u8]) -> Result<u32, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Emits an event to all that have subscribed to its topic; how many it reached.
    fn event_emit(&mut self, _topic: &str, _json: &[u8]) -> Result<u32, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Subscribes to broadcasts or events; the subscription's id.
    fn subscribe(&mut self, _filter: &[u8]) -> Result<i32, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Ends a subscription.
    fn unsubscribe(&mut self, _id: i32) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Whether the key's value must be fetched before `load`, `store` or `delete` can answer.
    fn fetch(&mut self, _key: &[u8]) -> Option<Fetch> {
        None
    }
    /// Takes what [`HostCalls::fetch`] brought.
    fn fetched(&mut self, _key: &[u8], _value: Result<Option<Bytes>, HostCode>) {}
    /// A value, with the turn's own writes seen.
    fn load(&mut self, _key: &[u8]) -> Result<Option<Bytes>, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Records a write.
    fn store(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Records a removal; `NotFound` if there is nothing.
    fn delete(&mut self, _key: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Records a timer; its id, above 0.
    fn set_timer(&mut self, _delay: Micros) -> Result<i32, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Records that a timer is cancelled.
    fn cancel_timer(&mut self, _id: i32) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// The time the guest sees: the wall clock's.
    fn now(&mut self) -> Timestamp;
    /// The time of a clock that no step of the wall clock moves.
    fn steady(&mut self) -> Timestamp {
        self.now()
    }
    /// The next number of the turn's seeded generator.
    fn random_u32(&mut self) -> u32;
    /// A line of the guest's log; at most 8 KiB. Rate limits are the implementor's.
    fn log(&mut self, level: LogLevel, text: &str);
    /// Replaces the registered descriptor.
    fn register_capabilities(&mut self, json: &[u8]) -> Result<(), HostCode>;
    /// A value of the guest's own configuration.
    fn config_get(&mut self, key: &str) -> Option<String>;
    /// A guest's metric.
    fn metric(&mut self, kind: MetricKind, name: &str, value: f64) -> Result<(), HostCode>;
    /// The value of a row of a shared table, with the turn's own writes seen. `row` is JSON:
    /// [`caxton_model::RowName`].
    fn data_get(&mut self, _row: &[u8]) -> Result<Option<Bytes>, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Records that a row is written. `value` is JSON.
    fn data_put(&mut self, _row: &[u8], _value: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Records that a row is deleted; `NotFound` if there is none.
    fn data_delete(&mut self, _row: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    /// A page of a shared table's rows, as JSON. `query` is JSON: [`caxton_model::RowQuery`].
    fn data_list(&mut self, _query: &[u8]) -> Result<Bytes, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Asks for an HTTP request, as JSON; the guest is suspended until it has an outcome, which then
    /// goes to [`HostCalls::accessed`].
    fn http_request(&mut self, _json: &[u8]) -> Result<AccessOutcome, AccessRefused> {
        Err(AccessRefused::Code(HostCode::Unavailable))
    }
    /// The value of a secret of the vault; `NotFound` if there is none of that name.
    fn vault_get(&mut self, _name: &str) -> Result<Bytes, HostCode> {
        Err(HostCode::Unavailable)
    }
    /// Asks for a secret to be set in the vault; suspends the guest as [`HostCalls::http_request`] does.
    fn vault_put(&mut self, _name: &str, _value: &[u8]) -> Result<AccessOutcome, AccessRefused> {
        Err(AccessRefused::Code(HostCode::Unavailable))
    }
    /// Takes note of what the guest is given for its access.
    fn accessed(&mut self, _outcome: &[u8]) {}
    /// What lies outside of the guest, and its gate. Asked once for each instance that was linked with
    /// a grant of files, environment or randomness; `None`: nothing does.
    fn resources(&mut self) -> Option<HostResources> {
        None
    }
    /// Tells the guest's people what its gate refused.
    fn denied(&mut self, denied: &Denied) {
        self.log(LogLevel::Warn, &denied.to_string());
    }
    /// A part of what a WASI command writes to standard output, as it writes it. The call's result
    /// holds all of it as well.
    fn output(&mut self, _part: &[u8]) {}
    /// The guest's memories are now so large, all together. Unit: bytes.
    fn memory_is(&mut self, _bytes: u64) {}
    /// So that the caller gets its own type back.
    fn as_any(self: Box<Self>) -> Box<dyn Any>;
}

/// Stands in a store between turns. Of no size, so that boxing it allocates nothing.
pub(crate) struct Detached;

impl HostCalls for Detached {
    fn now(&mut self) -> Timestamp {
        Timestamp(0)
    }
    fn random_u32(&mut self) -> u32 {
        0
    }
    fn log(&mut self, _: LogLevel, _: &str) {}
    fn register_capabilities(&mut self, _: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    fn config_get(&mut self, _: &str) -> Option<String> {
        None
    }
    fn metric(&mut self, _: MetricKind, _: &str, _: f64) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    fn as_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
