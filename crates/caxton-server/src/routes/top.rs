//! How the node is loaded, and by whom.

use caxton_api::{AgentCounts, BusyAgent, MemoryUse, Rates, TopSort, TopView, Totals, Waiting};
use caxton_kernel::Listing;
use caxton_model::{AgentId, AgentStatus, ErrorCode};
use caxton_node::{Activity, Census, Pulse};
use http::StatusCode;

use super::node::journal_view;
use crate::{
    call::Call,
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
    let listings = node.agents();
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
    let view = TopView {
        uptime_secs: health.uptime.as_secs(),
        span_micros: u64::try_from(pulse.span.as_micros()).unwrap_or(u64::MAX),
        agents,
        rates: Rates {
            turns_per_second: rate(pulse.done.turns),
            messages_per_second: rate(pulse.messages),
            faults_per_second: rate(pulse.done.faults),
            cpu_percent: rate(pulse.done.cpu_nanos) / 1e7,
        },
        totals: Totals {
            turns: pulse.total.turns,
            messages: pulse.messages_total,
            faults: pulse.total.faults,
        },
        waiting: Waiting {
            messages: census.waiting_messages,
            bytes: census.waiting_bytes,
        },
        journal: journal_view(&health),
        memory: MemoryUse {
            guest_bytes: footprint.guest_bytes,
            packed_bytes: footprint.packed_bytes,
            stack_bytes: footprint.stack_bytes,
            code_bytes: footprint.code_bytes,
            resident_bytes: footprint.resident_bytes,
            page_table_bytes: footprint.page_table_bytes,
        },
        busiest: rows
            .iter()
            .take(limit)
            .map(|row| show(row, &pulse))
            .collect(),
    };
    json(StatusCode::OK, &view)
}

/// The agents that the caller may see, busiest first.
fn rows(call: &Call, mut listings: Vec<Listing>, pulse: &Pulse, sort: TopSort) -> Vec<Row> {
    listings.retain(|listing| call.caller.sees(listing.spec.name.namespace()));
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
