//! What this machine does: each figure beside that of the bare part, in one process and one run.
//!
//! Ours and the bare part are measured in turns, so that what else the machine does meets both.

use std::path::PathBuf;

use crate::{failure::Failure, output::table};

mod agents;
mod ended;
mod guests;
mod http;
mod journal;
mod kernels;
mod memory;
mod neighbours;
mod node;
mod one_way;
mod peers;
mod processor;
mod record;
mod row;
mod start;

pub(crate) use row::Row;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// A processor: a fresh instance and one call; a live instance and one call
    Processor,
    /// An agent's turn with a message of 256 bytes
    Turn,
    /// Request and reply between two agents on one shard
    RoundTrip,
    /// The same between agents on two shards, busy and idle ones
    AcrossShards,
    /// Messages one way between two agents
    OneWay,
    /// Requests over HTTP to a durable agent, and its replies
    Http,
    /// Compiling modules
    Compile,
    /// Starting a module out of the cache
    CachedStart,
    /// Records made durable by the journal
    Journal,
    /// Starting a node, empty and with many agents
    NodeStart,
    /// Computing as an agent and natively
    Kernels,
    /// A good agent and the API beside agents in endless loops
    Neighbours,
    /// How soon an endless loop is ended
    Ended,
    /// Memory of idle agents, up to 100,000 of them: takes minutes and gigabytes, so only if named
    Memory,
    #[value(hide = true)]
    MemoryTiny,
    #[value(hide = true)]
    MemoryRust,
    #[value(hide = true)]
    MemoryPassivated,
    #[value(hide = true)]
    MemoryData,
}

impl Measure {
    /// All of them, in the order of the table.
    const ALL: [Self; 18] = [
        Self::Processor,
        Self::Turn,
        Self::RoundTrip,
        Self::AcrossShards,
        Self::OneWay,
        Self::Http,
        Self::Compile,
        Self::CachedStart,
        Self::Journal,
        Self::NodeStart,
        Self::Kernels,
        Self::Neighbours,
        Self::Ended,
        Self::Memory,
        Self::MemoryTiny,
        Self::MemoryRust,
        Self::MemoryPassivated,
        Self::MemoryData,
    ];

    /// Whether it is measured where nothing is named.
    fn is_usual(self) -> bool {
        self != Self::Memory && !memory::PARTS.contains(&self)
    }

    async fn rows(self, plan: &Plan) -> Result<Vec<Row>, Failure> {
        match self {
            Self::Processor => processor::rows(plan).await,
            Self::Turn => agents::turn(plan).await,
            Self::RoundTrip => agents::round_trip(plan).await,
            Self::AcrossShards => agents::across_shards(plan).await,
            Self::OneWay => one_way::rows(plan).await,
            Self::Http => http::rows(plan).await,
            Self::Compile => start::compile(plan),
            Self::CachedStart => start::cached(plan).await,
            Self::Journal => journal::rows(plan),
            Self::NodeStart => start::node(plan).await,
            Self::Kernels => kernels::rows(plan).await,
            Self::Neighbours => neighbours::rows(plan).await,
            Self::Ended => ended::rows(plan).await,
            Self::Memory => memory::rows(plan).await,
            // What ran before in this process would be counted with it.
            part if plan.only.len() > 1 && memory::PARTS.contains(&part) => {
                memory::apart(plan, part).await
            }
            Self::MemoryTiny => memory::tiny(plan).await,
            Self::MemoryRust => memory::rust(plan).await,
            Self::MemoryPassivated => memory::passivated(plan).await,
            Self::MemoryData => memory::data(plan).await,
        }
    }
}

/// How much is measured, and where.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// A look, not a measurement: some seconds for all of it.
    pub(crate) quick: bool,
    /// Which; empty: all that are usual.
    pub(crate) only: Vec<Measure>,
    /// The program of `bench-peers/`, if ours is measured beside it too.
    pub(crate) peers: Option<PathBuf>,
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
        let wanted = match plan.only.as_slice() {
            [] => measure.is_usual(),
            only => only.contains(&measure),
        };
        if !wanted {
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
        "target",
        "verdict",
        "bare part",
    ];
    table(head, rows.iter().map(Row::cells))
}
