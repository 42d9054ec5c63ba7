//! What is counted: limits used and reached, per agent; and the node's metric families.
//!
//! The families' names are a golden file of the server's; see `docs/api/metrics.txt`.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use caxton_egress::Budgets;
use caxton_engine::{MetricKind, Usage};
use caxton_model::{AgentId, ById, Fault, HostCode, LimitName, Limits, Timestamp};
use crossbeam_utils::CachePadded;

use crate::{activity::Activity, guest_metrics::GuestMetrics};

/// Parts of what is known of agents, each with a lock.
const PARTS: usize = 32;

/// One limit's use by one agent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    pub(crate) used: u64,
    pub(crate) peak: u64,
    pub(crate) last_breach: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct AgentMeters {
    /// Used now and at most, of each limit.
    used: [(u64, u64); LimitName::ALL.len()],
    /// Limits that were reached, and when last: few ever are.
    breaches: Vec<(LimitName, Timestamp)>,
    guest_metrics: GuestMetrics,
    /// The agent's buckets for limits a minute, once it sent a request. They outlive the instance, so
    /// that no restart fills the buckets.
    budgets: Option<Arc<Budgets>>,
}

impl AgentMeters {
    fn used(&mut self, name: LimitName, used: u64, peak: u64) {
        // There is a place for each name.
        if let Some(place) = self.used.get_mut(name as usize) {
            *place = (used, place.1.max(peak));
        }
    }
    fn breached(&mut self, name: LimitName, asked: u64, at: Timestamp) {
        if let Some((_, peak)) = self.used.get_mut(name as usize) {
            *peak = asked.max(*peak);
        }
        self.breaches.retain(|(other, _)| *other != name);
        self.breaches.push((name, at));
    }
    fn get(&self, name: LimitName) -> Meter {
        let (used, peak) = self.used.get(name as usize).copied().unwrap_or_default();
        let breach = self.breaches.iter().find(|(other, _)| *other == name);
        Meter {
            used,
            peak,
            last_breach: breach.map(|(_, at)| *at),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    agents: ById<AgentMeters>,
    /// What was done since the last pulse, by those who did something.
    recent: ById<Activity>,
}

/// All meters of this process.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// By the agent's id, so that shards seldom wait for each other.
    known: [CachePadded<Mutex<Known>>; PARTS],
    /// Messages sent, from the start.
    sent: AtomicU64,
    /// The most memory one instance has had. Unit: bytes.
    memory_peak: AtomicU64,
}

impl Meters {
    fn known(&self, agent: AgentId) -> MutexGuard<'_, Known> {
        #[allow(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
        #[allow(
            clippy::cast_possible_truncation,
            reason = "any bits of the id will do"
        )]
        let part = &self.known[agent.0 as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Notes messages that were sent.
    pub(crate) fn sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }
    /// Messages sent, from the start.
    pub(crate) fn messages(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
    /// What was done since this was asked last. Cost under a lock: none that grows.
    pub(crate) fn take_recent(&self) -> ById<Activity> {
        let mut all = ById::default();
        for part in &self.known {
            let mut known = part.lock().unwrap_or_else(PoisonError::into_inner);
            let recent = std::mem::take(&mut known.recent);
            drop(known);
            all.extend(recent);
        }
        all
    }
    /// Memory of agents after their last turn. Unit: bytes.
    pub(crate) fn memory_bytes(&self, agents: &mut [(AgentId, u64)]) {
        for (agent, bytes) in agents {
            *bytes = self.get(*agent, LimitName::Memory).used;
        }
    }
    /// Notes what a turn used.
    pub(crate) fn turn(&self, agent: AgentId, usage: &Usage) {
        let mut known = self.known(agent);
        let recent = known.recent.entry(agent).or_default();
        recent.turns += 1;
        recent.cpu_nanos = recent.cpu_nanos.saturating_add(usage.cpu_nanos);
        self.used(&mut known, agent, usage);
    }
    /// Notes what a call of a processor used; `payload_bytes` is its input's or output's size, the
    /// larger of both.
    pub(crate) fn call(&self, processor: AgentId, usage: &Usage, payload_bytes: u64) {
        let mut known = self.known(processor);
        self.used(&mut known, processor, usage);
        let meters = known.agents.entry(processor).or_default();
        meters.used(LimitName::PayloadBytes, payload_bytes, payload_bytes);
    }
    fn used(&self, known: &mut Known, guest: AgentId, usage: &Usage) {
        let used = [
            (
                LimitName::Memory,
                usage.memory_bytes,
                usage.memory_peak_bytes,
            ),
            (
                LimitName::TableElements,
                usage.table_elements,
                usage.table_elements,
            ),
            (
                LimitName::Cpu,
                usage.cpu_nanos / 1_000,
                usage.cpu_nanos / 1_000,
            ),
            (
                LimitName::Wall,
                usage.wall_nanos() / 1_000,
                usage.wall_nanos() / 1_000,
            ),
            (LimitName::Fuel, usage.fuel, usage.fuel),
            (LimitName::HostCalls, usage.host_calls, usage.host_calls),
            (LimitName::Allocations, usage.allocations, usage.allocations),
        ];
        let meters = known.agents.entry(guest).or_default();
        let peak = usage.memory_peak_bytes;
        // Looked at first: most turns need no place that all threads write to.
        if peak > self.memory_peak.load(Ordering::Relaxed)
            && peak > self.memory_peak.fetch_max(peak, Ordering::Relaxed)
        {
            #[allow(clippy::cast_precision_loss, reason = "a gauge is shown, not added up")]
            metrics::gauge!("caxton_memory_peak_bytes").set(usage.memory_peak_bytes as f64);
        }
        for (name, used, peak) in used {
            meters.used(name, used, peak);
        }
    }
    /// Notes that a limit was reached.
    pub(crate) fn breach(&self, guest: AgentId, name: LimitName, asked: u64, at: Timestamp) {
        metrics::counter!("caxton_limit_traps_total", "limit" => name.as_str()).increment(1);
        let mut known = self.known(guest);
        let meters = known.agents.entry(guest).or_default();
        meters.breached(name, asked, at);
    }
    /// Notes a fault of an agent; where a limit caused it, that limit's breach.
    pub(crate) fn fault(&self, agent: AgentId, fault: &Fault, at: Timestamp) {
        self.known(agent).recent.entry(agent).or_default().faults += 1;
        self.fault_of_call(agent, fault, at);
    }
    /// Notes a fault of a call to a processor, which no pulse counts; where a limit caused it, its breach.
    pub(crate) fn fault_of_call(&self, guest: AgentId, fault: &Fault, at: Timestamp) {
        metrics::counter!("caxton_faults_total", "code" => fault.code.as_str()).increment(1);
        if let Some(name) = LimitName::ALL
            .iter()
            .copied()
            .find(|name| name.code() == fault.code)
        {
            self.breach(guest, name, 0, at);
        }
    }
    /// What a guest has used of its limits a minute.
    pub(crate) fn budgets(&self, guest: AgentId) -> Arc<Budgets> {
        let mut known = self.known(guest);
        let meters = known.agents.entry(guest).or_default();
        Arc::clone(meters.budgets.get_or_insert_default())
    }
    /// Notes what a request has used: of the limits a minute, and the larger of its two bodies.
    pub(crate) fn request(
        &self,
        guest: AgentId,
        limits: &Limits,
        budgets: &Budgets,
        body_bytes: u64,
    ) {
        let mut known = self.known(guest);
        // One that was removed meanwhile stays forgotten.
        let Some(meters) = known.agents.get_mut(&guest) else {
            return;
        };
        for (name, used) in budgets.used(limits) {
            meters.used(name, used, used);
        }
        meters.used(LimitName::HttpBodyBytes, body_bytes, body_bytes);
    }
    /// Notes a log line that was over the rate.
    pub(crate) fn log_line_dropped(&self, guest: AgentId, at: Timestamp) {
        metrics::counter!("caxton_log_lines_dropped_total").increment(1);
        let mut known = self.known(guest);
        let meters = known.agents.entry(guest).or_default();
        meters.breached(LimitName::LogLinesPerSecond, 0, at);
    }
    /// What is known of one limit of one agent.
    pub(crate) fn get(&self, agent: AgentId, name: LimitName) -> Meter {
        self.known(agent)
            .agents
            .get(&agent)
            .map(|meters| meters.get(name))
            .unwrap_or_default()
    }
    /// Forgets an agent that is gone.
    pub(crate) fn forget(&self, agent: AgentId) {
        let mut known = self.known(agent);
        known.agents.remove(&agent);
        known.recent.remove(&agent);
    }
    /// Takes a value of a guest's own metric; `charge` as for [`GuestMetrics::record`].
    pub(crate) fn guest_metric(
        &self,
        agent: AgentId,
        kind: MetricKind,
        name: &str,
        value: f64,
        charge: impl FnOnce(u64) -> Result<(), HostCode>,
    ) -> Result<(), HostCode> {
        let mut known = self.known(agent);
        let meters = known.agents.entry(agent).or_default();
        meters.guest_metrics.record(kind, name, value, charge)
    }
    /// What a guest has recorded about itself.
    pub(crate) fn guest_metrics(&self, agent: AgentId) -> Option<GuestMetrics> {
        let known = self.known(agent);
        let metrics = &known.agents.get(&agent)?.guest_metrics;
        metrics.iter().next().is_some().then(|| metrics.clone())
    }
}
