//! `caxton processor`: deploy, list, look, read its log, remove.

use std::{collections::BTreeMap, fs, path::PathBuf};

use caxton_client::api::{DeployedProcessor, ProcessorConfig, ProcessorDetail, ProcessorSummary};
use caxton_model::Micros;
use clap::Subcommand;

use crate::{
    commands::{
        agent::{asked, name_of_file, note_permissions, read_package},
        agent_text::{limits_table, log_line, rights_tables},
        guest_options::GuestOptions,
    },
    connection::Connection,
    environment::Environment,
    failure::Failure,
    output::{Output, count, one_line, pairs, table},
};

/// What to do with processors.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy a processor or an extension, in place of the one of its name
    Deploy(DeployArgs),
    /// List processors
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one processor: limits, grants and counters
    Inspect(OneArgs),
    /// Read a processor's log
    Logs(LogsArgs),
    /// Remove processors; calls that run go on to their end
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

impl Command {
    /// Whether it changes nothing on the node.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self, Self::List(_) | Self::Inspect(_) | Self::Logs(_))
    }
}

/// Which module, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    /// The module, or a package's caxton.toml
    file: PathBuf,
    /// The processor's name; default: the package's name, else the file's
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    connection: Connection,
}

/// Which processors.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only names that fit this pattern, such as `resize-*`
    #[arg(long)]
    name: Option<String>,
    /// Only processors of this namespace
    #[arg(long)]
    namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Which processor.
#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The processor's name
    name: String,
    #[command(flatten)]
    connection: Connection,
}

/// Which lines.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The processor's name
    name: String,
    /// At most so many of the last lines, up to 1000
    #[arg(long, default_value_t = 100, value_name = "LINES",
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tail: u32,
    #[command(flatten)]
    connection: Connection,
}

/// Which processors go.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// The processors' names
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub(crate) async fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Deploy(args) => deploy(args, output, environment).await,
        Command::List(args) => {
            let client = args.connection.client(environment).await?;
            let (name, namespace) = (args.name.as_deref(), args.namespace.as_deref());
            let processors = client.processors(name, namespace).await?;
            output.value(&processors, |processors| processors_table(processors))
        }
        Command::Inspect(args) => {
            let client = args.connection.client(environment).await?;
            let processor = client.processor(&args.name).await?;
            output.value(&processor, detail_text)
        }
        Command::Logs(args) => {
            let client = args.connection.client(environment).await?;
            for line in client.processor_logs(&args.name, args.tail).await? {
                output.entry(&line, |line| log_line(line, output))?;
            }
            Ok(())
        }
        Command::Remove(args) => {
            let client = args.connection.client(environment).await?;
            for name in &args.names {
                client.remove_processor(name).await?;
                output
                    .entry(&BTreeMap::from([("removed", name)]), |_| {
                        format!("removed {name}")
                    })
                    .or_else(Failure::unless_reader_gone)?;
            }
            Ok(())
        }
    }
}

async fn deploy(
    args: DeployArgs,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let (path, manifest) = read_package(&args.file, output)?;
    let module = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
    let limits = args.guest.limits.over(manifest.as_ref().map(|(m, _)| m));
    let name = match (args.name, &manifest) {
        (Some(name), _) => name,
        // The manifest says it.
        (None, Some(_)) => String::new(),
        (None, None) => name_of_file(&path)?,
    };
    let config = ProcessorConfig {
        name,
        version: None,
        limits: asked(&limits),
        grants: args.guest.asked_grants()?,
        config: args.guest.config.into_iter().collect(),
        profile: args.guest.engine_profile,
    };
    let client = args.connection.client(environment).await?;
    let manifest = manifest.map(|(_, text)| text);
    let deployed = client.deploy_processor(module, &config, manifest).await?;
    note_permissions(
        &deployed.warnings,
        &deployed.permission_changes,
        &deployed.not_granted,
        output,
    );
    output.value(&deployed, deployed_text)
}

fn deployed_text(deployed: &DeployedProcessor) -> String {
    let processor = &deployed.processor;
    format!(
        "{} {} {}, version {}",
        if deployed.replaced {
            "updated"
        } else {
            "deployed"
        },
        processor.kind,
        one_line(&processor.name),
        one_line(&processor.version)
    )
}

fn processors_table(processors: &[ProcessorSummary]) -> String {
    if processors.is_empty() {
        return "no processors; deploy one with `caxton processor deploy FILE`".to_owned();
    }
    let rows = processors.iter().map(|processor| {
        [
            processor.name.clone(),
            processor.kind.to_string(),
            processor.version.clone(),
            processor.profile.to_string(),
            processor.deployed_at.clone(),
        ]
    });
    table(["name", "kind", "version", "profile", "deployed"], rows)
}

fn detail_text(detail: &ProcessorDetail) -> String {
    let (processor, counters) = (&detail.processor, &detail.counters);
    let lines = [
        ("name", processor.name.clone()),
        ("kind", processor.kind.to_string()),
        ("version", processor.version.clone()),
        ("module", processor.module.clone()),
        ("profile", processor.profile.to_string()),
        ("deployed", processor.deployed_at.clone()),
        (
            "calls",
            format!(
                "{} ({}, {}), {} running",
                counters.calls,
                count(counters.errors, "error"),
                count(counters.faults, "fault"),
                counters.running
            ),
        ),
        ("cpu", Micros(counters.cpu_micros).to_string()),
    ];
    let mut parts = vec![pairs(&lines), limits_table(&detail.limits)];
    parts.extend(rights_tables(detail.requested.as_deref(), &detail.grants));
    parts.join("\n")
}
