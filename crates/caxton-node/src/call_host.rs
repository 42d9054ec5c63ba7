//! Answers the host calls of one call of a processor: time, random numbers, log, configuration,
//! metrics, and what it is granted. It has no state, no mail and no timers.

use std::{
    any::Any,
    sync::{Arc, PoisonError, atomic::AtomicU64, atomic::Ordering::Relaxed},
};

use caxton_engine::{
    AccessOutcome, AccessRefused, HostCalls, HostResources, LogLevel, LogVerdict, MetricKind,
};
use caxton_model::{Digest, EngineProfile, HostCode, LimitName, Timestamp};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{clock, host::push_line_of, http, processors::Processor, shared::Shared};

/// One call's host.
pub(crate) struct CallHost {
    shared: Arc<Shared>,
    processor: Arc<Processor>,
    /// The guest's memory, for the budget's watcher. Unit: bytes.
    bytes: Arc<AtomicU64>,
    random: StdRng,
}

impl CallHost {
    /// A host for a call with this input. Under `deterministic` its random numbers follow from the
    /// input.
    pub(crate) fn new(
        shared: Arc<Shared>,
        processor: Arc<Processor>,
        bytes: Arc<AtomicU64>,
        input: &[u8],
    ) -> Self {
        let random = match processor.spec.profile {
            EngineProfile::Deterministic => StdRng::from_seed(*Digest::of(input).as_bytes()),
            _ => StdRng::from_seed(rand::random()),
        };
        Self {
            shared,
            processor,
            bytes,
            random,
        }
    }
    fn say(&self, at: Timestamp, level: LogLevel, text: &str) {
        say(&self.shared, &self.processor, at, level, text);
    }
}

/// Adds a line to a processor's log.
pub(crate) fn say(
    shared: &Shared,
    processor: &Processor,
    at: Timestamp,
    level: LogLevel,
    text: &str,
) {
    let spec = &processor.spec;
    push_line_of(shared, (spec.id, spec.name.shared()), at, level, text);
}

impl HostCalls for CallHost {
    fn now(&mut self) -> Timestamp {
        clock::wall()
    }
    fn steady(&mut self) -> Timestamp {
        clock::now()
    }
    fn random_u32(&mut self) -> u32 {
        self.random.random()
    }
    fn log(&mut self, level: LogLevel, text: &str) {
        let (now, spec) = (clock::now(), &self.processor.spec);
        let per_second = spec.limits.get(LimitName::LogLinesPerSecond);
        let log = &self.processor.counters.log;
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = log.line(now, per_second);
        drop(log);
        match verdict {
            LogVerdict::Dropped => self.shared.meters.log_line_dropped(spec.id, now),
            LogVerdict::Kept(dropped) => {
                if let Some(dropped) = dropped {
                    self.say(now, LogLevel::Warn, &dropped);
                }
                self.say(now, level, text);
            }
        }
    }
    fn register_capabilities(&mut self, _: &[u8]) -> Result<(), HostCode> {
        Err(HostCode::Unavailable)
    }
    fn config_get(&mut self, key: &str) -> Option<String> {
        let mut config = self.processor.spec.config.iter();
        let found = config.find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone())
    }
    fn metric(&mut self, kind: MetricKind, name: &str, value: f64) -> Result<(), HostCode> {
        let spec = &self.processor.spec;
        let most = spec.limits.get(LimitName::HostBytes);
        let charge = |all: u64| match all > most {
            true => Err(HostCode::QuotaReached),
            false => Ok(()),
        };
        let meters = &self.shared.meters;
        meters.guest_metric(spec.id, kind, name, value, charge)
    }
    fn http_request(&mut self, json: &[u8]) -> Result<AccessOutcome, AccessRefused> {
        let call = http::read(json).map_err(AccessRefused::Code)?;
        let gate = self.processor.gate.clone();
        let allowed = http::check(&gate, &call).map_err(|(code, denied)| {
            self.log(LogLevel::Warn, &denied.to_string());
            AccessRefused::Code(code)
        })?;
        let (spec, shown) = (
            Arc::clone(&self.processor.spec),
            allowed.access().to_string(),
        );
        // Nothing of a call is recorded, so nothing repeats it.
        Ok(http::performer(&self.shared, spec, call, shown, gate)(None))
    }
    fn resources(&mut self) -> Option<HostResources> {
        let options = &self.shared.options;
        Some(HostResources {
            gate: self.processor.gate.clone(),
            now: clock::wall,
            directories: Arc::clone(&options.directories),
            environment: Arc::clone(&options.environment),
            usage: Arc::clone(&self.processor.counters.files),
        })
    }
    fn memory_is(&mut self, bytes: u64) {
        self.bytes.store(bytes, Relaxed);
    }
    fn as_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
