//! The node's slow pulse: gauges for whoever scrapes, what was done since the last one, and modules
//! that nobody uses any more.
//!
//! Task kind: `sampler`. On error: none can happen. On shutdown: ends by itself within a pulse.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{activity::Census, shared::Shared};

/// Between two pulses.
const PULSE: Duration = Duration::from_secs(1);

/// Starts the pulse; it ends with the node.
pub(crate) fn start(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    shared.io.spawn(pulse(weak));
}

async fn pulse(node: Weak<Shared>) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(PULSE).await;
        let Some(shared) = node.upgrade() else { return };
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        measure_disk(&shared).await;
        let now = Instant::now();
        sample(&shared, now.duration_since(last));
        last = now;
    }
}

/// What the data directory has, for the budget `disk`. The cache has a bound of its own.
async fn measure_disk(shared: &Arc<Shared>) {
    if !shared.durable() {
        return;
    }
    let inner = Arc::clone(shared);
    let blobs = shared
        .clone()
        .blocking(move || inner.store.blobs().bytes().unwrap_or(0));
    let store = shared.store.metrics();
    let kept = store.journal_bytes.saturating_add(store.checkpoint_bytes);
    if let Some(blobs) = blobs.await {
        shared.budget.note_disk(kept.saturating_add(blobs));
    }
}

#[allow(clippy::cast_precision_loss, reason = "gauges are shown, not added up")]
fn sample(shared: &Shared, span: Duration) {
    let agents = shared.directory.all();
    let processors = shared.processors.all();
    let of_processors = processors.iter().map(|processor| processor.spec.module);
    let used: HashSet<_> = agents
        .iter()
        .map(|listing| listing.spec.module)
        .chain(of_processors)
        .collect();
    shared.modules.keep_only(|digest| used.contains(digest));
    let pulse = Arc::new(shared.pulse().next(shared, span));
    *shared.pulse.lock().unwrap_or_else(PoisonError::into_inner) = pulse;
    let census = Census::of(&agents);
    let store = shared.store.metrics();
    let (memory, memory_budget) = shared.budget.memory();
    let (disk, disk_budget) = shared.budget.disk();
    for (name, used, budget) in [
        ("memory", memory, memory_budget),
        ("disk", disk, disk_budget),
    ] {
        metrics::gauge!("caxton_budget_used_bytes", "budget" => name).set(used as f64);
        metrics::gauge!("caxton_budget_bytes", "budget" => name).set(budget as f64);
    }
    metrics::gauge!("caxton_agents").set(agents.len() as f64);
    metrics::gauge!("caxton_processors").set(processors.len() as f64);
    metrics::gauge!("caxton_calls_running").set(shared.processors.under_way() as f64);
    for status in caxton_model::AgentStatus::ALL {
        let count = census.with(status);
        metrics::gauge!("caxton_agents_by_status", "status" => status.as_str()).set(count as f64);
    }
    metrics::gauge!("caxton_instances").set(shared.instances.load(Ordering::Relaxed) as f64);
    metrics::gauge!("caxton_mailbox_depth").set(census.waiting_messages as f64);
    metrics::gauge!("caxton_journal_queue_depth").set(store.queued_records as f64);
    metrics::gauge!("caxton_journal_lag_records")
        .set(store.place.saturating_sub(store.durable_place) as f64);
    metrics::gauge!("caxton_journal_lag_seconds").set(store.lag_micros as f64 / 1e6);
    metrics::gauge!("caxton_journal_sync_seconds").set(store.last_sync_micros as f64 / 1e6);
}
