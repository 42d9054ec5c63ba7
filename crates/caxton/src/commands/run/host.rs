//! The host's side of a guest that runs alone: state in memory, messages kept, log to stderr.

use std::{any::Any, collections::BTreeMap, time::Instant};

use bytes::Bytes;
use caxton_engine::{
    AccessOutcome, AccessRefused, Fetch, HostCalls, HostResources, LogLevel, LogRate, LogVerdict,
    MetricKind,
};
use caxton_gate::{Access, DataRead, DataWrite, Denied, Malformed};
use caxton_model::{
    Digest, EngineProfile, HostCode, LimitName, Limits, Micros, RowName, RowQuery, RowWrite,
    Tables, Timestamp, list_rows, row_value, write_row,
};
use caxton_node::LoneHttp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    failure::Failure,
    output::{write_guest_log, write_guest_output},
};

/// Metrics a guest may have; as many as a node shows.
const METRICS_MAX: usize = 100;

/// What the guest did.
#[derive(Debug)]
pub(super) struct RunHost {
    /// Messages it sent, as JSON.
    pub(super) sent: Vec<String>,
    /// Its metrics, by name.
    pub(super) metrics: BTreeMap<String, f64>,
    sent_bytes: usize,
    state: BTreeMap<Vec<u8>, Bytes>,
    state_bytes: usize,
    /// Rows of shared tables, which nobody else shares here; what a turn writes is there at once.
    tables: Tables,
    config: BTreeMap<String, String>,
    is_agent: bool,
    began: (Timestamp, Instant),
    random: StdRng,
    /// Whether a command's output is written to stdout as it comes, and how that failed.
    streams: bool,
    pub(super) stream_error: Option<Failure>,
    timers: i32,
    limits: Limits,
    log: LogRate,
    resources: Option<HostResources>,
    http: LoneHttp,
}

impl RunHost {
    /// A host for one run. Time is the machine's. Random numbers are the machine's as well, except
    /// under `deterministic`, where they follow from the input.
    pub(super) fn new(
        is_agent: bool,
        config: &[(String, String)],
        profile: EngineProfile,
        input: &[u8],
        limits: &Limits,
    ) -> Self {
        let now = now();
        Self {
            sent: Vec::new(),
            sent_bytes: 0,
            metrics: BTreeMap::new(),
            state: BTreeMap::new(),
            state_bytes: 0,
            tables: Tables::new(),
            config: config.iter().cloned().collect(),
            is_agent,
            began: (now, Instant::now()),
            random: if profile == EngineProfile::Deterministic {
                StdRng::from_seed(*Digest::of(input).as_bytes())
            } else {
                StdRng::from_os_rng()
            },
            streams: false,
            stream_error: None,
            timers: 0,
            limits: limits.clone(),
            log: LogRate::new(limits.get(LimitName::LogLinesPerSecond), now),
            resources: None,
            http: LoneHttp::default(),
        }
    }
    /// Writes a command's output to stdout as it comes.
    pub(super) fn streaming(mut self) -> Self {
        self.streams = true;
        self
    }
    /// Gives the guest the directories, the environment, the randomness and the network of this machine.
    pub(super) fn with_resources(mut self, resources: HostResources, http: LoneHttp) -> Self {
        self.resources = Some(resources);
        self.http = http;
        self
    }
    /// Whether so much more of what a limit bounds is within it.
    fn within(&self, name: LimitName, asked: usize) -> Result<(), HostCode> {
        if asked as u64 > self.limits.get(name) {
            return Err(name.code().host_code().unwrap_or(HostCode::QuotaReached));
        }
        Ok(())
    }
    /// A run has no vault.
    fn no_vault(&mut self) -> HostCode {
        let text = "a run has no vault; deploy the agent to a node that was started with `--vault-key FILE`";
        self.log(LogLevel::Warn, text);
        HostCode::Unavailable
    }
    /// Checks an access to a table at the gate of the run.
    fn check<A: Access>(&mut self, access: Result<A, Malformed>) -> Result<(), HostCode> {
        self.of_agent()?;
        let resources = self.resources.as_ref().ok_or(HostCode::Denied)?;
        let checked = match access {
            Ok(access) => resources.gate.check(access, now()).map(drop),
            Err(malformed) => Err(resources.gate.refuse(&malformed, now())),
        };
        checked.map_err(|denied| {
            self.denied(&denied);
            HostCode::Denied
        })
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

impl Drop for RunHost {
    fn drop(&mut self) {
        let per_second = self.limits.get(LimitName::LogLinesPerSecond);
        if let Some(dropped) = self.log.take_dropped(per_second) {
            write_line(LogLevel::Warn, &dropped);
        }
    }
}

fn write_line(level: LogLevel, text: &str) {
    write_guest_log(&format!("{level:?}").to_lowercase(), text);
}

impl HostCalls for RunHost {
    fn send_message(&mut self, json: &[u8]) -> Result<(), HostCode> {
        self.of_agent()?;
        let text = std::str::from_utf8(json).map_err(|_| HostCode::Malformed)?;
        serde_json::from_str::<caxton_client::FipaMessage>(text)
            .map_err(|_| HostCode::Malformed)?;
        self.within(LimitName::MailboxBytes, self.sent_bytes + text.len())?;
        self.sent_bytes += text.len();
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
    fn event_emit(&mut self, _: &str, _: &[u8]) -> Result<u32, HostCode> {
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
        let before = self.state.get(key).map(|value| key.len() + value.len());
        let bytes = self.state_bytes + key.len() + value.len() - before.unwrap_or(0);
        self.within(LimitName::StateBytes, bytes)?;
        let new = usize::from(before.is_none());
        self.within(LimitName::StateKeys, self.state.len() + new)?;
        self.state_bytes = bytes;
        self.state
            .insert(key.to_vec(), Bytes::copy_from_slice(value));
        Ok(())
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), HostCode> {
        self.of_agent()?;
        let value = self.state.remove(key).ok_or(HostCode::NotFound)?;
        self.state_bytes -= key.len() + value.len();
        Ok(())
    }
    fn data_get(&mut self, row: &[u8]) -> Result<Option<Bytes>, HostCode> {
        let row = RowName::read(row)?;
        self.check(DataRead::new(&row.table, 1))?;
        let found = self.tables.get(&*row.table);
        let value = found.and_then(|rows| rows.get(&*row.key));
        Ok(value.map(|value| Bytes::copy_from_slice(value.as_bytes())))
    }
    fn data_put(&mut self, row: &[u8], value: &[u8]) -> Result<(), HostCode> {
        let row = RowName::read(row)?;
        self.check(DataWrite::new(&row.table, 1))?;
        let write = RowWrite {
            table: row.table.into(),
            key: row.key.into(),
            value: Some(row_value(value)?),
        };
        write_row(&mut self.tables, &write);
        Ok(())
    }
    fn data_delete(&mut self, row: &[u8]) -> Result<(), HostCode> {
        let row = RowName::read(row)?;
        self.check(DataWrite::new(&row.table, 1))?;
        let found = self.tables.get(&*row.table);
        if !found.is_some_and(|rows| rows.contains_key(&*row.key)) {
            return Err(HostCode::NotFound);
        }
        let write = RowWrite {
            table: row.table.into(),
            key: row.key.into(),
            value: None,
        };
        write_row(&mut self.tables, &write);
        Ok(())
    }
    fn data_list(&mut self, query: &[u8]) -> Result<Bytes, HostCode> {
        let query = RowQuery::read(query)?;
        self.check(DataRead::new(&query.table, query.limit()))?;
        Ok(list_rows(&self.tables, &query.table, &query).into())
    }
    fn set_timer(&mut self, _: Micros) -> Result<i32, HostCode> {
        self.of_agent()?;
        self.within(
            LimitName::Timers,
            usize::try_from(self.timers).unwrap_or(0) + 1,
        )?;
        self.timers += 1;
        Ok(self.timers)
    }
    fn cancel_timer(&mut self, _: i32) -> Result<(), HostCode> {
        self.of_agent()
    }
    fn now(&mut self) -> Timestamp {
        // The machine's clock may be set during the run; the guest's only goes forward.
        let (at, began) = self.began;
        let since = i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp(at.0.saturating_add(since))
    }
    fn random_u32(&mut self) -> u32 {
        self.random.random()
    }
    fn output(&mut self, part: &[u8]) {
        if !self.streams || self.stream_error.is_some() {
            return;
        }
        self.stream_error = write_guest_output(part).err();
    }
    fn log(&mut self, level: LogLevel, text: &str) {
        let per_second = self.limits.get(LimitName::LogLinesPerSecond);
        if let LogVerdict::Kept(dropped) = self.log.line(now(), per_second) {
            if let Some(dropped) = dropped {
                write_line(LogLevel::Warn, &dropped);
            }
            write_line(level, text);
        }
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
    fn http_request(&mut self, json: &[u8]) -> Result<AccessOutcome, AccessRefused> {
        let unavailable = AccessRefused::Code(HostCode::Unavailable);
        let gate = self.resources.as_ref().map(|resources| &resources.gate);
        let gate = gate.ok_or(unavailable)?.clone();
        let tell = |text: &str| write_line(LogLevel::Warn, text);
        let asked = self.http.request(json, &gate, &self.limits, tell);
        asked.map_err(|(code, denied)| {
            if let Some(denied) = denied {
                self.denied(&denied);
            }
            AccessRefused::Code(code)
        })
    }
    fn vault_get(&mut self, _: &str) -> Result<Bytes, HostCode> {
        Err(self.no_vault())
    }
    fn vault_put(&mut self, _: &str, _: &[u8]) -> Result<AccessOutcome, AccessRefused> {
        Err(self.no_vault().into())
    }
    fn resources(&mut self) -> Option<HostResources> {
        self.resources.clone()
    }
    fn denied(&mut self, denied: &Denied) {
        let text = denied.to_string();
        let told = match denied.command() {
            Some(command) => text.replace(
                &format!("to allow it: {command}"),
                &format!("to allow it, add --grant '{}'", denied.permission_rule()),
            ),
            None => text,
        };
        self.log(LogLevel::Warn, &told);
    }
    fn as_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
