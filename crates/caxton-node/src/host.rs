//! Answers one turn's host calls: messages and timers from the kernel's context, state from memory
//! and store, log lines to the ring.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use caxton_engine::{
    AccessOutcome, AccessRefused, Fetch, HostCalls, HostResources, LogLevel, LogVerdict, MetricKind,
};
use caxton_gate::{
    Access, Allowed, EventEmit, EventListen, Gate, HttpRequest, Malformed, VaultRead, VaultWrite,
};
use caxton_kernel::{Listing, NextAccess, TurnCtx, TurnEffects, topics_of_filter};
use caxton_model::{
    AgentId, AgentSpec, Digest, HostCode, LimitName, Micros, StateWrite, Timestamp,
};
use zeroize::Zeroizing;

use crate::{
    access::{self, Perform},
    clock, http, listeners,
    memory::AgentMemory,
    request::LogLine,
    rights::AgentGate,
    shared::{ShardShared, Shared},
    tables::TurnRows,
    vault::{self, AgentSecrets, VaultRefused},
};

mod row_calls;

/// Bytes of one key of an agent's state.
const KEY_BYTES_MAX: usize = 1_024;

type Value = Option<Arc<[u8]>>;

/// One turn's host.
pub(crate) struct TurnHost {
    shared: ShardShared,
    spec: Arc<AgentSpec>,
    ctx: Option<Box<TurnCtx>>,
    memory: Arc<Mutex<AgentMemory>>,
    /// Whether the store may hold keys that are not in memory.
    stored: bool,
    writes: HashMap<Arc<[u8]>, Value>,
    fetched: HashMap<Arc<[u8]>, Result<Value, HostCode>>,
    state_bytes: u64,
    state_keys: u64,
    /// Once the turn has used a shared table.
    rows: Option<TurnRows>,
}

impl TurnHost {
    /// A host for one turn of an agent that has so much state.
    pub(crate) fn new(
        shared: ShardShared,
        spec: Arc<AgentSpec>,
        ctx: Box<TurnCtx>,
        memory: Arc<Mutex<AgentMemory>>,
        stored: bool,
        (state_bytes, state_keys): (u64, u64),
    ) -> Self {
        Self {
            shared,
            spec,
            ctx: Some(ctx),
            memory,
            stored,
            writes: HashMap::new(),
            fetched: HashMap::new(),
            state_bytes,
            state_keys,
            rows: None,
        }
    }

    /// What the turn wants done, and what holds the room for the rows in it until they are written.
    pub(crate) fn finish(mut self) -> (TurnEffects, Option<TurnRows>) {
        let mut effects = self.ctx.take().map(|ctx| ctx.finish()).unwrap_or_default();
        effects.writes = self
            .writes
            .drain()
            .map(|(key, value)| StateWrite { key, value })
            .collect();
        effects.writes.sort_by(|a, b| a.key.cmp(&b.key));
        effects.state_bytes = self.state_bytes;
        effects.state_keys = self.state_keys;
        effects.rows = self.rows.as_ref().map(TurnRows::writes).unwrap_or_default();
        (effects, self.rows)
    }

    fn memory(&self) -> MutexGuard<'_, AgentMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value as the turn sees it: its own writes, then memory, then what was fetched.
    fn see(&self, key: &[u8]) -> Result<Value, HostCode> {
        self.visit(key.len());
        if let Some(written) = self.writes.get(key) {
            return Ok(written.clone());
        }
        if let Some(known) = self.memory().get(key) {
            return Ok(known);
        }
        self.fetched.get(key).cloned().unwrap_or(Ok(None))
    }

    fn write(&mut self, key: &[u8], value: Value) -> Result<(), HostCode> {
        if key.is_empty() {
            return Err(HostCode::Malformed);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(HostCode::TooLarge);
        }
        self.visit(key.len() + value.as_ref().map_or(0, |value| value.len()));
        let size = |value: &Value| value.as_ref().map(|v| (v.len() + key.len()) as u64);
        let (before, after) = (size(&self.see(key)?), size(&value));
        let bytes = self
            .state_bytes
            .saturating_sub(before.unwrap_or(0))
            .saturating_add(after.unwrap_or(0));
        let keys = (self.state_keys + u64::from(after.is_some()))
            .saturating_sub(u64::from(before.is_some()));
        let limits = &self.spec.limits;
        let grows = bytes > self.state_bytes || keys > self.state_keys;
        if grows {
            self.has_bytes()?;
        }
        let over = [(LimitName::StateBytes, bytes), (LimitName::StateKeys, keys)]
            .into_iter()
            .find(|(name, asked)| *asked > limits.get(*name));
        if let Some((name, asked)) = over.filter(|_| grows) {
            let now = clock::now();
            self.shared.meters.breach(self.spec.id, name, asked, now);
            return Err(HostCode::QuotaReached);
        }
        (self.state_bytes, self.state_keys) = (bytes, keys);
        self.writes.insert(key.into(), value);
        Ok(())
    }

    /// Counts what a call looks at or copies.
    fn visit(&self, bytes: usize) {
        if let Some(ctx) = &self.ctx {
            ctx.visit(bytes);
        }
    }

    /// Whether the node has room for what stays: mail, values.
    fn has_bytes(&self) -> Result<(), HostCode> {
        let shared = &self.shared;
        if shared.budget.is_out_of_bytes() || shared.adds_too_much(self.spec.name.as_str()) {
            return Err(HostCode::Unavailable);
        }
        Ok(())
    }

    /// The agent's gate.
    fn gate(&self) -> Gate {
        let mut memory = self.memory();
        let made = || {
            let granted = self.ctx.as_ref().and_then(|ctx| ctx.granted());
            let granted = granted.cloned().unwrap_or_default();
            AgentGate::new(&self.shared, &self.spec, granted)
        };
        let gate = memory.gate.get_or_insert_with(made);
        gate.of(&self.shared, &self.spec)
    }

    /// Checks an access at the gate. The guest's log says why one is refused.
    fn check<A: Access>(
        &mut self,
        gate: &Gate,
        access: Result<A, Malformed>,
    ) -> Result<Allowed<A>, HostCode> {
        access::check(gate, access).map_err(|(code, denied)| {
            self.log(LogLevel::Warn, &denied.to_string());
            code
        })
    }

    /// Has an access performed that cannot be taken back, or finds what came of it before a crash.
    fn perform(
        &mut self,
        digest: Digest,
        shown: &str,
        perform: Perform,
    ) -> Result<AccessOutcome, AccessRefused> {
        match self.ctx()?.next_access(digest, shown)? {
            NextAccess::Known(outcome) => Ok(Box::pin(std::future::ready(outcome))),
            NextAccess::Perform => Ok(perform(None)),
            NextAccess::Ask(asked) => {
                let memory = Arc::clone(&self.memory);
                Ok(Box::pin(access::ask(memory, asked, perform)))
            }
        }
    }

    /// The secrets of the agent's namespace.
    fn secrets(&self) -> AgentSecrets {
        AgentSecrets::new(&self.shared, self.spec.name.namespace())
    }

    /// The code that the vault's refusal is answered with. The guest's log has the reason, except for
    /// an absent secret, which may be what the guest wants to know.
    fn vault_code(&mut self, refused: &VaultRefused) -> HostCode {
        if refused.code != HostCode::NotFound {
            self.log(LogLevel::Warn, &refused.text);
        }
        refused.code
    }

    /// What the guest reads from a clock is in the turn's record.
    fn read_clock(&mut self, shown: Timestamp) -> Timestamp {
        self.ctx
            .as_deref_mut()
            .map_or(shown, |ctx| ctx.read_clock(shown))
    }

    fn ctx(&mut self) -> Result<&mut TurnCtx, HostCode> {
        self.ctx.as_deref_mut().ok_or(HostCode::Unavailable)
    }
}

impl HostCalls for TurnHost {
    fn send_message(&mut self, json: &[u8]) -> Result<(), HostCode> {
        self.has_bytes()?;
        self.ctx()?.send_message(clock::now(), json)
    }
    fn send_local_message(&mut self, id: &str, json: &[u8]) -> Result<(), HostCode> {
        self.has_bytes()?;
        self.ctx()?.send_local_message(clock::now(), id, json)
    }
    fn broadcast(&mut self, filter: &[u8], json: &[u8]) -> Result<u32, HostCode> {
        self.has_bytes()?;
        self.ctx()?.broadcast(clock::now(), filter, json)
    }
    fn event_emit(&mut self, topic: &str, json: &[u8]) -> Result<u32, HostCode> {
        self.has_bytes()?;
        let gate = self.gate();
        let allowed = self.check(&gate, EventEmit::new(topic))?.into_access();
        let shared = Arc::clone(&*self.shared);
        let may_hear = |listing: &Listing| listeners::may_hear(&shared, listing, &allowed);
        self.ctx()?
            .emit(clock::now(), allowed.name(), json, may_hear)
    }
    fn subscribe(&mut self, filter: &[u8]) -> Result<i32, HostCode> {
        if let Some(topics) = topics_of_filter(filter)? {
            let gate = self.gate();
            self.check(&gate, EventListen::new(&topics))?;
        }
        self.ctx()?.subscribe(filter)
    }
    fn unsubscribe(&mut self, id: i32) -> Result<(), HostCode> {
        self.ctx()?.unsubscribe(id)
    }
    fn fetch(&mut self, key: &[u8]) -> Option<Fetch> {
        let known = !self.stored
            || self.writes.contains_key(key)
            || self.fetched.contains_key(key)
            || self.memory().get(key).is_some();
        if known {
            return None;
        }
        let (shared, agent, key) = (Arc::clone(&*self.shared), self.spec.id, key.to_vec());
        Some(Box::pin(async move {
            let read = shared
                .clone()
                .blocking(move || shared.store.read(agent, &key))
                .await;
            match read {
                Some(Ok(value)) => Ok(value.map(Bytes::from)),
                Some(Err(error)) => {
                    tracing::error!(%agent, %error, "reading an agent's state failed");
                    Err(HostCode::Unavailable)
                }
                None => Err(HostCode::Unavailable),
            }
        }))
    }
    fn fetched(&mut self, key: &[u8], value: Result<Option<Bytes>, HostCode>) {
        let bytes = value.as_ref().ok().and_then(Option::as_ref);
        self.visit(key.len() + bytes.map_or(0, Bytes::len));
        self.fetched.insert(
            key.into(),
            value.map(|value| value.map(|bytes| Arc::from(&*bytes))),
        );
    }
    fn load(&mut self, key: &[u8]) -> Result<Option<Bytes>, HostCode> {
        Ok(self.see(key)?.map(Bytes::from_owner))
    }
    fn store(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostCode> {
        self.write(key, Some(value.into()))
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), HostCode> {
        match self.see(key)? {
            Some(_) => self.write(key, None),
            None => Err(HostCode::NotFound),
        }
    }
    fn data_get(&mut self, row: &[u8]) -> Result<Option<Bytes>, HostCode> {
        self.get_row(row)
    }
    fn data_put(&mut self, row: &[u8], value: &[u8]) -> Result<(), HostCode> {
        self.put_row(row, value)
    }
    fn data_delete(&mut self, row: &[u8]) -> Result<(), HostCode> {
        self.delete_row(row)
    }
    fn data_list(&mut self, query: &[u8]) -> Result<Bytes, HostCode> {
        self.list_rows(query)
    }
    fn http_request(&mut self, json: &[u8]) -> Result<AccessOutcome, AccessRefused> {
        let call = http::read(json).map_err(AccessRefused::Code)?;
        let gate = self.gate();
        let allowed = self.check(&gate, HttpRequest::new(&call.method, &call.url))?;
        let shown = allowed.access().to_string();
        let perform = http::performer(
            &self.shared,
            Arc::clone(&self.spec),
            call,
            shown.clone(),
            gate,
        );
        self.perform(Digest::of(json), &shown, perform)
    }
    fn vault_get(&mut self, name: &str) -> Result<Bytes, HostCode> {
        let gate = self.gate();
        let allowed = self.check(&gate, VaultRead::new(name))?;
        let value = self.secrets().get(allowed);
        let value = value.map_err(|refused| self.vault_code(&refused))?;
        self.visit(name.len() + value.len());
        Ok(value)
    }
    fn vault_put(&mut self, name: &str, value: &[u8]) -> Result<AccessOutcome, AccessRefused> {
        self.has_bytes()?;
        let gate = self.gate();
        let allowed = self.check(&gate, VaultWrite::new(name))?;
        let digest = self.secrets().digest(name, value);
        let digest = digest.map_err(|refused| self.vault_code(&refused))?;
        self.visit(name.len() + value.len());
        let shown = allowed.access().to_string();
        let whose = (Arc::clone(&*self.shared), Arc::clone(&self.spec));
        let value = Zeroizing::new(value.to_vec());
        self.perform(
            digest,
            &shown,
            vault::performer(whose, gate, allowed, value),
        )
    }
    fn accessed(&mut self, outcome: &[u8]) {
        if let Some(ctx) = &mut self.ctx {
            ctx.access_ended(outcome);
        }
    }
    fn set_timer(&mut self, delay: Micros) -> Result<i32, HostCode> {
        self.ctx()?.set_timer(clock::now(), delay)
    }
    fn cancel_timer(&mut self, id: i32) -> Result<(), HostCode> {
        self.ctx()?.cancel_timer(id)
    }
    fn now(&mut self) -> Timestamp {
        self.read_clock(clock::wall())
    }
    fn steady(&mut self) -> Timestamp {
        self.read_clock(clock::now())
    }
    fn random_u32(&mut self) -> u32 {
        self.ctx.as_deref_mut().map_or(0, TurnCtx::random_u32)
    }
    fn log(&mut self, level: LogLevel, text: &str) {
        let now = clock::now();
        let per_second = self.spec.limits.get(LimitName::LogLinesPerSecond);
        self.visit(text.len());
        let verdict = self.memory().log.line(now, per_second);
        match verdict {
            LogVerdict::Dropped => self.shared.meters.log_line_dropped(self.spec.id, now),
            LogVerdict::Kept(dropped) => {
                if let Some(dropped) = dropped {
                    push_line(&self.shared, &self.spec, now, LogLevel::Warn, &dropped);
                }
                push_line(&self.shared, &self.spec, now, level, text);
            }
        }
    }
    fn register_capabilities(&mut self, json: &[u8]) -> Result<(), HostCode> {
        self.ctx()?.register_capabilities(json)
    }
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.spec
            .config
            .iter()
            .find(|(name, _)| {
                self.visit(0);
                name == key
            })
            .map(|(_, value)| {
                self.visit(value.len());
                value.clone()
            })
    }
    fn metric(&mut self, kind: MetricKind, name: &str, value: f64) -> Result<(), HostCode> {
        self.visit(name.len());
        let ctx = self.ctx.as_deref_mut().ok_or(HostCode::Unavailable)?;
        self.shared
            .meters
            .guest_metric(self.spec.id, kind, name, value, |all| ctx.keep_metrics(all))
    }
    fn resources(&mut self) -> Option<HostResources> {
        let gate = self.gate();
        let usage = Arc::clone(self.memory().files.get_or_insert_default());
        let options = &self.shared.options;
        Some(HostResources {
            gate,
            now: clock::wall,
            directories: Arc::clone(&options.directories),
            environment: Arc::clone(&options.environment),
            usage,
        })
    }
    fn memory_is(&mut self, bytes: u64) {
        self.memory().guest_bytes = bytes;
    }
    fn as_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Adds a line to an agent's log.
pub(crate) fn push_line(
    shared: &Shared,
    spec: &AgentSpec,
    at: Timestamp,
    level: LogLevel,
    text: &str,
) {
    push_line_of(shared, (spec.id, spec.name.shared()), at, level, text);
}

/// Adds a line to the log of a guest, by its id and name.
pub(crate) fn push_line_of(
    shared: &Shared,
    (agent, name): (AgentId, Arc<str>),
    at: Timestamp,
    level: LogLevel,
    text: &str,
) {
    shared.lines.push(|number| LogLine {
        number,
        at,
        agent,
        name,
        level: level_text(level),
        text: text.to_owned(),
    });
}

const fn level_text(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}
