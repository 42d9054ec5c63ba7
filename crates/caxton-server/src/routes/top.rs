//! How the node is loaded, and by whom.

use caxton_api::{
    AgentCounts, BusyAgent, KeptFor, MemoryUse, Rates, TopSort, TopView, Totals, Waiting,
};
use caxton_kernel::{Listing, Verb, border::Target};
use caxton_model::{AgentId, AgentStatus, ErrorCode, UNLIMITED};
use caxton_node::{Activity, Census, Footprint, Pulse};
use http::StatusCode;

use super::node::journal_view;
use crate::{
    call::Call,
    names,
    refuse::{Answered, Failure, json},
};

/// An agent beside what it did and has.
struct Row {
    listing: Listing,
    done: Activity,
    memory_bytes: u64,
}

impl Row {
    fn weight(&self, sort: TopSort) -> u64 {
        match sort {
            TopSort::Cpu => self.done.cpu_nanos,
            TopSort::Turns => self.done.turns,
            TopSort::Mailbox => u64::from(self.listing.gauge.messages()),
            TopSort::Memory => self.memory_bytes,
            TopSort::Faults => self.done.faults,
        }
    }
}

pub(super) async fn read(call: &Call) -> Answered {
    let limit = call.query.limit()?;
    let sort = call.query.get("sort").map(sort_of).transpose()?;
    let node = &call.app.node;
    let (health, pulse) = (node.health(), node.pulse());
    let Some(footprint) = node.footprint().await else {
        return Err(Failure::new(
            ErrorCode::ShuttingDown,
            "the node is shutting down",
        ));
    };
    let mut listings = node.agents();
    listings.retain(|listing| call.caller.learns_of(&listing.spec.name));
    let census = Census::of(&listings);
    let agents = AgentCounts {
        total: listings.len() as u64,
        running: census.with(AgentStatus::Running),
        passivated: census.with(AgentStatus::Passivated),
        failed: census.with(AgentStatus::Failed),
        stopped: census.with(AgentStatus::Stopped),
    };
    let rows = rows(call, listings, &pulse, sort.unwrap_or_default());
    let rate = |count: u64| per_second(count, &pulse);
    let whole = Whole::of(call, &pulse, &footprint, &rows);
    let view = TopView {
        uptime_secs: health.uptime.as_secs(),
        span_micros: u64::try_from(pulse.span.as_micros()).unwrap_or(u64::MAX),
        agents,
        rates: Rates {
            turns_per_second: rate(whole.done.turns),
            messages_per_second: rate(whole.messages),
            faults_per_second: rate(whole.done.faults),
            cpu_percent: rate(whole.done.cpu_nanos) / 1e7,
        },
        totals: whole.totals,
        waiting: Waiting {
            messages: census.waiting_messages,
            bytes: census.waiting_bytes,
        },
        journal: journal_view(call, &health),
        memory: whole.memory,
        busiest: rows
            .iter()
            .take(limit)
            .map(|row| show(row, &pulse))
            .collect(),
        kept: kept(call, limit),
    };
    json(StatusCode::OK, &view)
}

/// What all that the caller may learn of does and takes together.
struct Whole {
    done: Activity,
    messages: u64,
    totals: Totals,
    memory: MemoryUse,
}

impl Whole {
    /// Of the node; for a caller that ends at a namespace of its agents, where what is counted for
    /// the whole node alone is 0.
    fn of(call: &Call, pulse: &Pulse, footprint: &Footprint, rows: &[Row]) -> Self {
        if !call.caller.may_do(Verb::LearnOf, Target::Node) {
            let mut own = Self {
                done: Activity::default(),
                messages: 0,
                totals: Totals::default(),
                memory: MemoryUse::default(),
            };
            for row in rows {
                own.done.turns += row.done.turns;
                own.done.faults += row.done.faults;
                own.done.cpu_nanos += row.done.cpu_nanos;
                own.memory.guest_bytes += row.memory_bytes;
            }
            return own;
        }
        Self {
            done: pulse.done,
            messages: pulse.messages,
            totals: Totals {
                turns: pulse.total.turns,
                messages: pulse.messages_total,
                faults: pulse.total.faults,
            },
            memory: MemoryUse {
                guest_bytes: footprint.guest_bytes,
                packed_bytes: footprint.packed_bytes,
                stack_bytes: footprint.stack_bytes,
                code_bytes: footprint.code_bytes,
                resident_bytes: footprint.resident_bytes,
                page_table_bytes: footprint.page_table_bytes,
            },
        }
    }
}

/// The agents, busiest first.
fn rows(call: &Call, listings: Vec<Listing>, pulse: &Pulse, sort: TopSort) -> Vec<Row> {
    let mut memory: Vec<(AgentId, u64)> = listings
        .iter()
        .map(|listing| (listing.spec.id, 0))
        .collect();
    call.app.node.memory_bytes(&mut memory);
    let mut rows: Vec<Row> = listings
        .into_iter()
        .zip(memory)
        .map(|(listing, (id, bytes))| Row {
            done: pulse.agents.get(&id).copied().unwrap_or_default(),
            memory_bytes: match listing.status {
                AgentStatus::Running | AgentStatus::Draining => bytes,
                // Its last instance is gone, and the next one is not yet there.
                _ => 0,
            },
            listing,
        })
        .collect();
    call.caller.work.visit(rows.len());
    rows.sort_by(|a, b| {
        let names = || {
            a.listing
                .spec
                .name
                .as_str()
                .cmp(b.listing.spec.name.as_str())
        };
        b.weight(sort).cmp(&a.weight(sort)).then_with(names)
    });
    rows
}

/// For whom the host keeps most, of those that the caller may see.
pub(super) fn kept(call: &Call, limit: usize) -> Vec<KeptFor> {
    let mut kept = call.app.node.kept();
    kept.retain(|kept| names::sees_party(&call.app.node, &call.caller, &kept.owner));
    call.caller.work.visit(kept.len());
    kept.sort_by(|a, b| {
        let bytes = b.used.bytes.cmp(&a.used.bytes);
        bytes.then_with(|| a.owner.cmp(&b.owner))
    });
    kept.truncate(limit);
    kept.into_iter()
        .map(|kept| KeptFor {
            owner: kept.owner.to_string(),
            bytes: kept.used.bytes,
            peak_bytes: kept.used.peak_bytes,
            limit: Some(kept.limit).filter(|limit| *limit != UNLIMITED),
        })
        .collect()
}

fn show(row: &Row, pulse: &Pulse) -> BusyAgent {
    let listing = &row.listing;
    BusyAgent {
        id: listing.spec.id.to_string(),
        name: listing.spec.name.to_string(),
        status: listing.status,
        turns_per_second: per_second(row.done.turns, pulse),
        faults_per_second: per_second(row.done.faults, pulse),
        cpu_percent: per_second(row.done.cpu_nanos, pulse) / 1e7,
        mailbox: crate::views::mailbox(listing),
        memory_bytes: row.memory_bytes,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn per_second(count: u64, pulse: &Pulse) -> f64 {
    let secs = pulse.span.as_secs_f64();
    if secs > 0.0 { count as f64 / secs } else { 0.0 }
}

fn sort_of(text: &str) -> Result<TopSort, Failure> {
    TopSort::ALL
        .into_iter()
        .find(|sort| sort.as_str() == text)
        .ok_or_else(|| {
            let all = TopSort::ALL.map(TopSort::as_str).join(", ");
            let shown: String = text.chars().take(100).collect();
            Failure::malformed(format!(
                "query parameter `sort`: expected one of {all}, got `{shown}`"
            ))
        })
}
