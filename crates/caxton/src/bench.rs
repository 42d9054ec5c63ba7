//! What this machine does: each figure beside that of the bare part, in one process and one run.
//!
//! Ours and the bare part are measured in turns, so that what else the machine does meets both.

use std::path::PathBuf;

use crate::{failure::Failure, output::table};

mod agents;
mod guests;
mod http;
mod journal;
mod neighbours;
mod node;
mod processor;
mod record;
mod row;
mod start;

pub(crate) use row::Row;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// A processor: a fresh instance and one call
    Processor,
    /// An agent's turn with a message of 256 bytes
    Turn,
    /// Request and reply between two agents on one shard
    RoundTrip,
    /// The same between agents on two shards
    AcrossShards,
    /// Messages one way between two agents
    OneWay,
    /// Requests over HTTP to a durable agent, and its replies
    Http,
    /// Compiling a module, and starting it out of the cache
    CachedStart,
    /// Records made durable by the journal
    Journal,
    /// Starting a node, empty and with many agents
    NodeStart,
    /// A good agent beside agents in endless loops
    Neighbours,
}

impl Measure {
    /// All of them, in the order of the table.
    const ALL: [Self; 10] = [
        Self::Processor,
        Self::Turn,
        Self::RoundTrip,
        Self::AcrossShards,
        Self::OneWay,
        Self::Http,
        Self::CachedStart,
        Self::Journal,
        Self::NodeStart,
        Self::Neighbours,
    ];

    async fn rows(self, plan: &Plan) -> Result<Vec<Row>, Failure> {
        match self {
            Self::Processor => processor::rows(plan).await,
            Self::Turn => agents::turn(plan).await,
            Self::RoundTrip => agents::round_trip(plan).await,
            Self::AcrossShards => agents::across_shards(plan).await,
            Self::OneWay => agents::one_way(plan).await,
            Self::Http => http::rows(plan).await,
            Self::CachedStart => start::cached(plan).await,
            Self::Journal => journal::rows(plan),
            Self::NodeStart => start::node(plan).await,
            Self::Neighbours => neighbours::rows(plan).await,
        }
    }
}

/// How much is measured, and where.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// A look, not a measurement: some seconds for all of it.
    pub(crate) quick: bool,
    /// Which; empty: all.
    pub(crate) only: Vec<Measure>,
    /// Where what is durable is written.
    pub(crate) dir: PathBuf,
}

impl Plan {
    /// The one number or the other.
    const fn pick(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// Measures what the plan asks for, and says each row as soon as it is known.
///
/// Errors: one that broke off ends it; the rows before it are given all the same.
pub(crate) async fn run(
    plan: &Plan,
    mut tell: impl FnMut(&Row),
) -> (Vec<Row>, Result<(), Failure>) {
    let mut all = Vec::new();
    for measure in Measure::ALL {
        if !plan.only.is_empty() && !plan.only.contains(&measure) {
            continue;
        }
        match measure.rows(plan).await {
            Ok(rows) => {
                rows.iter().for_each(&mut tell);
                all.extend(rows);
            }
            Err(failure) => return (all, Err(failure)),
        }
    }
    (all, Ok(()))
}

/// The table for people.
pub(crate) fn show(rows: &[Row]) -> String {
    let head = [
        "what",
        "ours",
        "p99 / worst second",
        "unit",
        "bare",
        "ratio",
        "bare part",
    ];
    table(head, rows.iter().map(Row::cells))
}
