//! A host in memory with virtual time, so that a guest's code runs in an ordinary `cargo test`.
//!
//! One host per thread, so one per test. Nothing waits: time moves by [`advance`].

use std::{cell::RefCell, collections::BTreeMap, sync::Arc, time::Duration};

use caxton_model::{
    FipaMessage, HostCode, RowName, RowQuery, RowWrite, Tables, list_rows, row_value, write_row,
};
use serde_json::Value;

use crate::{
    http::{self, Request, Response},
    rt,
};

/// Where virtual time begins. Unit: microseconds since 1970.
const EPOCH_MICROS: i64 = 1_700_000_000_000_000;

type HttpAnswer = Box<dyn FnMut(&Request) -> Result<Response, HostCode>>;

/// What the host knows of the guest.
pub(crate) struct Host {
    now: i64,
    seed: u32,
    sent: Vec<FipaMessage>,
    logged: Vec<String>,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    tables: Tables,
    config: BTreeMap<String, String>,
    timers: BTreeMap<i32, i64>,
    timers_made: i32,
    subscriptions: BTreeMap<i32, Value>,
    capabilities: Option<Value>,
    responded: Option<Value>,
    http: Option<HttpAnswer>,
    http_response: Option<Vec<u8>>,
    vault: Option<BTreeMap<String, Vec<u8>>>,
    refuse: Option<HostCode>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            now: EPOCH_MICROS,
            seed: 1,
            sent: Vec::new(),
            logged: Vec::new(),
            state: BTreeMap::new(),
            tables: Tables::new(),
            config: BTreeMap::new(),
            timers: BTreeMap::new(),
            timers_made: 0,
            subscriptions: BTreeMap::new(),
            capabilities: None,
            responded: None,
            http: None,
            http_response: None,
            vault: None,
            refuse: None,
        }
    }
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

pub(crate) fn host_mut<R>(use_it: impl FnOnce(&mut Host) -> R) -> R {
    HOST.with_borrow_mut(use_it)
}

/// Begins anew: no state, no timers, no instance, time at its beginning.
pub fn reset() {
    rt::restart();
    HOST.take();
}

/// Drops the instance and keeps state and timers, as a crash and a restart do.
pub fn restart() {
    rt::restart();
}

/// Gives the agent a message; answers its number for the host.
///
/// The agent is the one whose export (`agent_init` or `handle_message`) was called before.
pub fn deliver(message: &Value) -> i32 {
    rt::deliver(message.to_string().as_bytes())
}

/// Takes what was sent since the last time, broadcasts included.
pub fn take_sent() -> Vec<FipaMessage> {
    host_mut(|host| std::mem::take(&mut host.sent))
}

/// Takes the log since the last time.
pub fn take_log() -> Vec<String> {
    host_mut(|host| std::mem::take(&mut host.logged))
}

/// The bytes under a key of the state.
#[must_use]
pub fn stored(key: &str) -> Option<Vec<u8>> {
    host_mut(|host| host.state.get(key.as_bytes()).cloned())
}

/// The value of a row of a shared table, as JSON.
#[must_use]
pub fn row(table: &str, key: &str) -> Option<Value> {
    let value = host_mut(|host| host.tables.get(table)?.get(key).cloned());
    serde_json::from_str(&value?).ok()
}

/// Sets a value of the agent's configuration.
pub fn set_config(key: &str, value: &str) {
    host_mut(|host| host.config.insert(key.to_owned(), value.to_owned()));
}

/// What was registered last as the agent's capabilities.
#[must_use]
pub fn capabilities() -> Option<Value> {
    host_mut(|host| host.capabilities.clone())
}

/// The filters the agent is subscribed to.
#[must_use]
pub fn subscriptions() -> Vec<Value> {
    host_mut(|host| host.subscriptions.values().cloned().collect())
}

/// What an extension's last call responded.
pub fn take_response() -> Option<Value> {
    host_mut(|host| host.responded.take())
}

/// Who answers outbound requests; without one they are denied.
pub fn answer_http(answer: impl FnMut(&Request) -> Result<Response, HostCode> + 'static) {
    host_mut(|host| host.http = Some(Box::new(answer)));
}

/// Sets a secret of the vault. Without any, the vault is denied.
pub fn set_secret(name: &str, value: &[u8]) {
    let entry = (name.to_owned(), value.to_vec());
    host_mut(|host| host.vault.get_or_insert_default().extend([entry]));
}

/// The value of a secret of the vault.
#[must_use]
pub fn secret(name: &str) -> Option<Vec<u8>> {
    host_mut(|host| host.vault.as_ref()?.get(name).cloned())
}

/// Refuses all sends, stores and timers from now on; `None` ends that.
pub fn refuse(code: Option<HostCode>) {
    host_mut(|host| host.refuse = code);
}

/// How many timers are set.
#[must_use]
pub fn timers() -> usize {
    host_mut(|host| host.timers.len())
}

/// Lets time pass; timers that fall due in it fire, each at its own time, in their order.
///
/// Answers how many of them the agent answered with something other than 0.
pub fn advance(by: Duration) -> usize {
    let until = host_mut(|host| host.now.saturating_add(micros(by)));
    let mut errors = 0;
    loop {
        let due = host_mut(|host| {
            let (id, at) = host
                .timers
                .iter()
                .map(|(id, at)| (*id, *at))
                .min_by_key(|(id, at)| (*at, *id))?;
            (at <= until).then(|| {
                host.timers.remove(&id);
                host.now = host.now.max(at);
                id
            })
        });
        let Some(id) = due else { break };
        errors += usize::from(rt::fire(id) != 0);
    }
    host_mut(|host| host.now = until);
    errors
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What a host function does. Each has the name it has in `sys`.
impl Host {
    pub(crate) fn send(&mut self, json: &[u8]) -> i32 {
        if let Some(code) = self.refuse {
            return code.as_i32();
        }
        match serde_json::from_slice(json) {
            Ok(message) => {
                self.sent.push(message);
                0
            }
            Err(_) => HostCode::Malformed.as_i32(),
        }
    }

    pub(crate) fn send_local(&mut self, id: &[u8], json: &[u8]) -> i32 {
        let code = self.send(json);
        if let (0, Some(message)) = (code, self.sent.last_mut()) {
            message.receiver = Value::String(String::from_utf8_lossy(id).into_owned());
        }
        code
    }

    pub(crate) fn broadcast(&mut self, filter: &[u8], json: &[u8]) -> i32 {
        let Ok(filter) = serde_json::from_slice(filter) else {
            return HostCode::Malformed.as_i32();
        };
        let code = self.send(json);
        if let (0, Some(message)) = (code, self.sent.last_mut()) {
            message.receiver = filter;
            return 1;
        }
        code
    }

    pub(crate) fn emit(&mut self, topic: &[u8], json: &[u8]) -> i32 {
        let Ok(content) = serde_json::from_slice::<Value>(json) else {
            return HostCode::Malformed.as_i32();
        };
        let event = serde_json::json!({
            "performative": "inform", "sender": "", "receiver": "*", "content": content,
            "protocol": "caxton-event", "ontology": String::from_utf8_lossy(topic),
        });
        match self.send(event.to_string().as_bytes()) {
            0 => 1,
            code => code,
        }
    }

    pub(crate) fn subscribe(&mut self, filter: &[u8]) -> i32 {
        let Ok(filter) = serde_json::from_slice(filter) else {
            return HostCode::Malformed.as_i32();
        };
        let id = self.subscriptions.keys().last().map_or(1, |last| last + 1);
        self.subscriptions.insert(id, filter);
        id
    }

    pub(crate) fn unsubscribe(&mut self, id: i32) -> i32 {
        found(self.subscriptions.remove(&id).is_some())
    }

    pub(crate) fn store(&mut self, key: &[u8], value: &[u8]) -> i32 {
        if let Some(code) = self.refuse {
            return code.as_i32();
        }
        self.state.insert(key.to_vec(), value.to_vec());
        0
    }

    pub(crate) fn load(&mut self, key: &[u8], into: &mut [u8]) -> i32 {
        fill(self.state.get(key).map(Vec::as_slice), into)
    }

    pub(crate) fn delete(&mut self, key: &[u8]) -> i32 {
        found(self.state.remove(key).is_some())
    }

    pub(crate) fn data_get(&mut self, row: &[u8], into: &mut [u8]) -> i32 {
        match RowName::read(row) {
            Ok(row) => {
                let rows = self.tables.get(&*row.table);
                fill(
                    rows.and_then(|rows| rows.get(&*row.key))
                        .map(|value| value.as_bytes()),
                    into,
                )
            }
            Err(code) => code.as_i32(),
        }
    }

    pub(crate) fn data_put(&mut self, row: &[u8], value: &[u8]) -> i32 {
        if let Some(code) = self.refuse {
            return code.as_i32();
        }
        match RowName::read(row).and_then(|row| Ok((row, row_value(value)?))) {
            Ok((row, value)) => {
                self.write_row(row, Some(value));
                0
            }
            Err(code) => code.as_i32(),
        }
    }

    pub(crate) fn data_delete(&mut self, row: &[u8]) -> i32 {
        match RowName::read(row) {
            Ok(row) => {
                let rows = self.tables.get(&*row.table);
                let is_there = rows.is_some_and(|rows| rows.contains_key(&*row.key));
                self.write_row(row, None);
                found(is_there)
            }
            Err(code) => code.as_i32(),
        }
    }

    fn write_row(&mut self, row: RowName, value: Option<Arc<str>>) {
        let (table, key) = (row.table.into(), row.key.into());
        write_row(&mut self.tables, &RowWrite { table, key, value });
    }

    pub(crate) fn data_list(&mut self, query: &[u8], into: &mut [u8]) -> i32 {
        match RowQuery::read(query) {
            Ok(query) => {
                let page = list_rows(&self.tables, &query.table, &query);
                fill(Some(page.as_bytes()), into)
            }
            Err(code) => code.as_i32(),
        }
    }

    pub(crate) fn config_get(&mut self, key: &[u8], into: &mut [u8]) -> i32 {
        let key = String::from_utf8_lossy(key);
        fill(self.config.get(&*key).map(String::as_bytes), into)
    }

    pub(crate) fn set_timer(&mut self, delay_micros: i64) -> i32 {
        if let Some(code) = self.refuse {
            return code.as_i32();
        }
        self.timers_made += 1;
        self.timers.insert(
            self.timers_made,
            self.now.saturating_add(delay_micros.max(0)),
        );
        self.timers_made
    }

    pub(crate) fn cancel_timer(&mut self, id: i32) -> i32 {
        found(self.timers.remove(&id).is_some())
    }

    pub(crate) fn now(&mut self) -> i64 {
        self.now
    }

    /// A small generator with one known sequence: tests must not depend on luck.
    pub(crate) fn random(&mut self) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed
    }

    pub(crate) fn sleep(&mut self, micros: i64) {
        self.now = self.now.saturating_add(micros.max(0));
    }

    pub(crate) fn log(&mut self, line: &[u8]) {
        self.logged.push(String::from_utf8_lossy(line).into_owned());
    }

    pub(crate) fn error(&mut self, line: &[u8]) {
        self.log(line);
    }

    pub(crate) fn log_record(&mut self, _: i32, json: &[u8]) {
        self.log(json);
    }

    pub(crate) fn metric(&mut self, _: i32, name: &[u8], value: f64) -> i32 {
        if name.is_empty() || !value.is_finite() {
            return HostCode::Malformed.as_i32();
        }
        0
    }

    pub(crate) fn register(&mut self, json: &[u8]) -> i32 {
        self.capabilities = serde_json::from_slice(json).ok();
        if self.capabilities.is_some() {
            0
        } else {
            HostCode::Malformed.as_i32()
        }
    }

    pub(crate) fn http_request(&mut self, json: &[u8]) -> i32 {
        let Some(request) = http::fake::request(json) else {
            return HostCode::Malformed.as_i32();
        };
        let Some(answer) = &mut self.http else {
            return HostCode::Denied.as_i32();
        };
        match answer(&request) {
            Ok(response) => {
                self.http_response = Some(http::fake::response(response));
                0
            }
            Err(code) => code.as_i32(),
        }
    }

    pub(crate) fn read_response(&mut self, into: &mut [u8]) -> i32 {
        fill(self.http_response.as_deref(), into)
    }

    pub(crate) fn vault_get(&mut self, name: &[u8], into: &mut [u8]) -> i32 {
        let Some(vault) = &self.vault else {
            return HostCode::Denied.as_i32();
        };
        let name = String::from_utf8_lossy(name);
        fill(vault.get(&*name).map(Vec::as_slice), into)
    }

    pub(crate) fn vault_put(&mut self, name: &[u8], value: &[u8]) -> i32 {
        let Some(vault) = &mut self.vault else {
            return HostCode::Denied.as_i32();
        };
        match value.len() {
            0..8 => HostCode::Malformed.as_i32(),
            8..=65_536 => {
                let name = String::from_utf8_lossy(name).into_owned();
                vault.insert(name, value.to_vec());
                0
            }
            _ => HostCode::TooLarge.as_i32(),
        }
    }

    pub(crate) fn respond(&mut self, json: &[u8]) -> i32 {
        self.responded = serde_json::from_slice(json).ok();
        0
    }
}

fn found(is_found: bool) -> i32 {
    if is_found {
        0
    } else {
        HostCode::NotFound.as_i32()
    }
}

fn fill(value: Option<&[u8]>, into: &mut [u8]) -> i32 {
    let Some(value) = value else {
        return HostCode::NotFound.as_i32();
    };
    for (to, from) in into.iter_mut().zip(value) {
        *to = *from;
    }
    i32::try_from(value.len()).unwrap_or(i32::MAX)
}
