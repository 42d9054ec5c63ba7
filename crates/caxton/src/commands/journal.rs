//! `caxton journal`: is it whole, and what stands in it.

use std::path::PathBuf;

use caxton_model::AgentId;
use caxton_store::ShowFilter;
use clap::Subcommand;
use serde::Serialize;

use crate::{
    environment::Environment,
    failure::{Exit, Failure},
    output::{Output, json_line, pairs},
    start_failure::store_failure,
};

/// What to do with the journal.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check every record and link of the chain, the checkpoint and the modules; changes nothing
    Verify(VerifyArgs),
    /// Show records, oldest first
    Show(ShowArgs),
}

/// Which journal.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// First place
    #[arg(long, default_value_t = 1, value_name = "PLACE")]
    from: u64,
    /// Last place
    #[arg(long, default_value_t = u64::MAX, value_name = "PLACE", hide_default_value = true)]
    to: u64,
    /// Only what an agent made, got or is the matter of, by id
    #[arg(long, value_name = "ID", value_parser = read_agent)]
    agent: Option<AgentId>,
    /// Only records of this kind, such as turn or posted
    #[arg(long)]
    kind: Option<String>,
    /// At most so many records
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
}

fn read_agent(text: &str) -> Result<AgentId, String> {
    text.parse()
        .map_err(|_| "an agent's id is `a-` and 16 hex digits".to_owned())
}

/// What a check found, as printed.
#[derive(Serialize)]
struct Verified {
    good: bool,
    begins: u64,
    place: u64,
    durable_place: u64,
    records: u64,
    groups: u64,
    segments: u64,
    bytes: u64,
    chain: String,
    damage: Option<String>,
    checkpoint_place: Option<u64>,
    checkpoint_damage: Option<String>,
    module_damage: Vec<String>,
    torn_tail: Option<String>,
    notices: Vec<String>,
}

/// One record, as printed.
#[derive(Serialize)]
struct Shown<'a> {
    place: u64,
    shard: u16,
    seq: u64,
    at: String,
    kind: &'static str,
    record: &'a caxton_model::Record,
}

/// Does it.
pub(crate) fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Verify(args) => verify(
            &environment.used_data_directory(args.data.as_deref())?,
            output,
        ),
        Command::Show(args) => show(args, output, environment),
    }
}

fn verify(data: &std::path::Path, output: &Output) -> Result<(), Failure> {
    let report = caxton_store::verify(data).map_err(|error| store_failure(&error))?;
    let shown = Verified {
        good: report.is_good(),
        begins: report.begins,
        place: report.place,
        durable_place: report.head_place,
        records: report.records,
        groups: report.groups,
        segments: report.segments,
        bytes: report.bytes,
        chain: report.chain.clone(),
        damage: report.damage.as_ref().map(ToString::to_string),
        checkpoint_place: report.checkpoint_place,
        checkpoint_damage: report.checkpoint_damage.clone(),
        module_damage: report.module_damage.clone(),
        torn_tail: report.torn.as_ref().map(ToString::to_string),
        notices: report.notices.clone(),
    };
    output.value(&shown, verified_text)?;
    match (report.damage, report.checkpoint_damage) {
        (None, None) if report.module_damage.is_empty() => Ok(()),
        (None, None) => Err(Failure::new(
            Exit::Failed,
            format!(
                "a stored module is damaged: {}",
                report.module_damage.join("; ")
            ),
            "restore it from a copy of the directory, or deploy the module again",
        )),
        (Some(damage), _) => Err(Failure::new(
            Exit::Failed,
            format!("the journal is damaged: {damage}"),
            "keep the directory as it is, and restore it from a copy",
        )),
        (None, Some(damage)) => Err(Failure::new(
            Exit::Failed,
            format!("the checkpoint is damaged: {damage}"),
            if report.begins > 1 {
                "keep the directory as it is, and restore it from a copy: the journal does not reach back far enough to build the checkpoint anew"
            } else {
                "start the node: it builds the checkpoint anew from the journal"
            },
        )),
    }
}

fn verified_text(report: &Verified) -> String {
    let mut lines = vec![
        (
            "verdict",
            if report.good { "good" } else { "damaged" }.to_owned(),
        ),
        (
            "records",
            format!("{} ({} to {})", report.records, report.begins, report.place),
        ),
        ("durable to", report.durable_place.to_string()),
        ("groups", report.groups.to_string()),
        (
            "segments",
            format!(
                "{}, {}",
                report.segments,
                caxton_model::ByteSize(report.bytes)
            ),
        ),
        ("chain", report.chain.clone()),
    ];
    if let Some(place) = report.checkpoint_place {
        lines.push(("checkpoint", format!("up to place {place}")));
    }
    let more = [
        ("damage", &report.damage),
        ("checkpoint damage", &report.checkpoint_damage),
        ("torn tail", &report.torn_tail),
    ];
    lines.extend(
        more.into_iter()
            .filter_map(|(name, text)| Some((name, text.clone()?))),
    );
    let modules = report.module_damage.iter();
    lines.extend(modules.map(|text| ("module damage", text.clone())));
    lines.extend(
        report
            .notices
            .iter()
            .map(|notice| ("notice", notice.clone())),
    );
    pairs(&lines)
}

fn show(args: ShowArgs, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let data = environment.used_data_directory(args.data.as_deref())?;
    let filter = ShowFilter {
        from: args.from,
        to: args.to,
        agent: args.agent,
        kind: args.kind,
        limit: args.limit,
    };
    for found in caxton_store::show(&data, filter).map_err(|error| store_failure(&error))? {
        let (place, entry) = found.map_err(|error| store_failure(&error))?;
        let shown = Shown {
            place,
            shard: entry.shard,
            seq: entry.seq,
            at: caxton_model::format_rfc3339(entry.at),
            kind: entry.record.kind(),
            record: &entry.record,
        };
        output.entry(&shown, |shown| {
            let record = json_line(&serde_json::to_string(shown.record).unwrap_or_default());
            format!(
                "{} {} shard {} {} {record}",
                shown.place, shown.at, shown.shard, shown.kind
            )
        })?;
    }
    Ok(())
}
