//! The host's side of a guest that runs alone: state in memory, messages kept, log to stderr.

use std::{any::Any, collections::BTreeMap};

use bytes::Bytes;
use caxton_engine::{Fetch, HostCalls, LogLevel, MetricKind};
use caxton_model::{HostCode, Micros, Timestamp};

/// Metrics a guest may have; as many as a node shows.
const METRICS_MAX: usize = 100;

/// What the guest did.
#[derive(Debug)]
pub(super) struct RunHost {
    /// Messages it sent, as JSON.
    pub(super) sent: Vec<String>,
    /// Its metrics, by name.
    pub(super) metrics: BTreeMap<String, f64>,
    state: BTreeMap<Vec<u8>, Bytes>,
    config: BTreeMap<String, String>,
    is_agent: bool,
    now: Timestamp,
    random: u32,
    timers: i32,
}

impl RunHost {
    /// A host for one run. Time stands still at `now`; random numbers follow `seed`.
    pub(super) fn new(
        is_agent: bool,
        config: &[(String, String)],
        now: Timestamp,
        seed: u32,
    ) -> Self {
        Self {
            sent: Vec::new(),
            metrics: BTreeMap::new(),
            state: BTreeMap::new(),
            config: config.iter().cloned().collect(),
            is_agent,
            now,
            // A xorshift must not start at 0.
            random: seed | 1,
            timers: 0,
        }
    }
    /// A processor has no state, no mail and no timers.
    fn of_agent(&self) -> Result<(), HostCode> {
        if self.is_agent {
            Ok(())
        } else {
            Err(HostCode::Unavailable)
        }
    }
}

/// The time at which a run begins.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place where a run without a node reads it"
)]
pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }))
}

impl HostCalls for RunHost {
    fn send_message(&mut self, json: &[u8]) -> Result<(), HostCode> {
        self.of_agent()?;
        let text = std::str::from_utf8(json).map_err(|_| HostCode::Malformed)?;
        serde_json::from_str::<caxton_client::FipaMessage>(text)
            .map_err(|_| HostCode::Malformed)?;
        self.sent.push(text.to_owned());
        Ok(())
    }
    fn send_local_message(&mut self, _: &str, _: &[u8]) -> Result<(), HostCode> {
        // There is nobody else here.
        Err(HostCode::NotFound)
    }
    fn broadcast(&mut self, _: &[u8], _: &[u8]) -> Result<u32, HostCode> {
        self.of_agent().map(|()| 0)
    }
    fn subscribe(&mut self, _: &[u8]) -> Result<i32, HostCode> {
        self.of_agent().map(|()| 1)
    }
    fn unsubscribe(&mut self, _: i32) -> Result<(), HostCode> {
        self.of_agent()
    }
    fn fetch(&mut self, _: &[u8]) -> Option<Fetch> {
        None
    }
    fn fetched(&mut self, _: &[u8], _: Result<Option<Bytes>, HostCode>) {}
    fn load(&mut self, key: &[u8]) -> Result<Option<Bytes>, HostCode> {
        self.of_agent()?;
        Ok(self.state.get(key).cloned())
    }
    fn store(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostCode> {
        self.of_agent()?;
        self.state
            .insert(key.to_vec(), Bytes::copy_from_slice(value));
        Ok(())
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), HostCode> {
        self.of_agent()?;
        self.state.remove(key).map(|_| ()).ok_or(HostCode::NotFound)
    }
    fn set_timer(&mut self, _: Micros) -> Result<i32, HostCode> {
        self.of_agent()?;
        self.timers += 1;
        Ok(self.timers)
    }
    fn cancel_timer(&mut self, _: i32) -> Result<(), HostCode> {
        self.of_agent()
    }
    fn now(&mut self) -> Timestamp {
        self.now
    }
    fn random_u32(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
    fn log(&mut self, level: LogLevel, text: &str) {
        use std::io::Write as _;
        let level = format!("{level:?}").to_lowercase();
        // A closed stderr must not end the guest.
        let _ = writeln!(std::io::stderr(), "{level:5} {text}");
    }
    fn register_capabilities(&mut self, _: &[u8]) -> Result<(), HostCode> {
        self.of_agent()
    }
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }
    fn metric(&mut self, _: MetricKind, name: &str, value: f64) -> Result<(), HostCode> {
        if self.metrics.len() >= METRICS_MAX && !self.metrics.contains_key(name) {
            return Err(HostCode::QuotaReached);
        }
        self.metrics.insert(name.to_owned(), value);
        Ok(())
    }
    fn as_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
