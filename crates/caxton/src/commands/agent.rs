//! `caxton agent`: deploy, list, look, stop, start, update, roll back, remove.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use caxton_client::{
    AgentConfig, AgentFilter, DeployAgentRequest, Deployment, Durability, LogEvent,
    api::{AskedValue, NotGranted, PermissionChange, Registration},
};
use caxton_model::{LimitName, Micros, RequestedRule};
use caxton_package::Manifest;
use clap::Subcommand;

use crate::{
    commands::{
        agent_text::{
            acts_table, agents_table, detail_text, log_line, lost_lines, not_granted, status_line,
            word,
        },
        follow::Followed,
        guest_options::GuestOptions,
    },
    connection::Connection,
    environment::Environment,
    failure::Failure,
    output::{Output, one_line},
};

/// What to do with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy an agent: a module, or a package by its caxton.toml
    Deploy(DeployArgs),
    /// List agents
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one agent: state, limits, counters, last fault
    Inspect(OneArgs),
    /// Read an agent's log
    Logs(LogsArgs),
    /// Stop an agent; it keeps its state and takes no more messages
    Stop(StopArgs),
    /// Start an agent that was stopped or has failed
    Start(OneArgs),
    /// Switch an agent to another module; its state stays
    Update(UpdateArgs),
    /// Switch an agent back to what it was before its last update
    Rollback(OneArgs),
    /// Enter what an agent offers in the directory, in place of what it registered
    Register(RegisterArgs),
    /// Take an agent's entry out of the directory
    Deregister(OneArgs),
    /// Show the accesses of an agent's unfinished turn: what it asked for, and what came of it
    Acts(OneArgs),
    /// Remove an agent with its mail, timers and state
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

impl Command {
    /// Whether it changes nothing on the node.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::List(_) | Self::Inspect(_) | Self::Logs(_) | Self::Acts(_)
        )
    }
}

/// Which module, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    /// The module, or a package's caxton.toml
    file: PathBuf,
    /// The agent's name; default: the package's name, else the file's
    #[arg(long)]
    name: Option<String>,
    /// Whether its state survives a restart of the node
    #[arg(long, value_name = "durable|memory", value_parser = read_durability)]
    durability: Option<Durability>,
    /// A capability it is said to have until it registers its own; may be repeated
    #[arg(long = "capability", value_name = "NAME")]
    capabilities: Vec<String>,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    connection: Connection,
}

/// Which agent, which module, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct UpdateArgs {
    /// The agent, by name or id
    agent: String,
    #[command(flatten)]
    deploy: DeployArgs,
}

/// Which agents.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only names that fit this pattern, such as `worker-*`
    #[arg(long)]
    name: Option<String>,
    /// Only agents in this place of their life, such as running
    #[arg(long)]
    status: Option<String>,
    /// Only agents that offer this
    #[arg(long)]
    capability: Option<String>,
    /// Only agents of this namespace
    #[arg(long)]
    namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Which agent.
#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The agent, by name or id
    agent: String,
    #[command(flatten)]
    connection: Connection,
}

/// Which agent, and what it offers.
#[derive(Debug, clap::Args)]
pub(crate) struct RegisterArgs {
    /// The agent, by name or id
    agent: String,
    /// A file with the descriptor as JSON, such as `{"services": [{"name": "translate"}]}`
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// Which agent, and whether to ask first.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// The agents, by name or id
    #[arg(required = true)]
    agents: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Which lines.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The agent, by name or id
    agent: String,
    /// Go on with new lines
    #[arg(long, short)]
    follow: bool,
    /// At most so many of the last lines, up to 1000
    #[arg(long, default_value_t = 100, value_name = "LINES",
        value_parser = clap::value_parser!(u32).range(..=1_000))]
    tail: u32,
    #[command(flatten)]
    connection: Connection,
}

/// How to stop.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// The agent, by name or id
    agent: String,
    /// First work off what waits in the mailbox
    #[arg(long)]
    drain: bool,
    /// How long that may take, such as 10s
    #[arg(long, value_name = "DURATION", value_parser = read_micros)]
    grace: Option<Micros>,
    #[command(flatten)]
    connection: Connection,
}

fn read_durability(text: &str) -> Result<Durability, String> {
    match text {
        "durable" => Ok(Durability::Durable),
        "memory" => Ok(Durability::Memory),
        _ => Err("use durable or memory".to_owned()),
    }
}

pub(crate) fn read_micros(text: &str) -> Result<Micros, String> {
    text.parse()
        .map_err(|error: caxton_model::UnitError| error.to_string())
}

async fn list(args: ListArgs, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let filter = AgentFilter {
        name: args.name,
        status: args.status,
        capability: args.capability,
        namespace: args.namespace,
    };
    let agents = client.agents(&filter).await?;
    output.value(&agents, |agents| agents_table(agents, output))
}

/// Does it.
pub(crate) async fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Deploy(args) => {
            let client = args.connection.client(environment).await?;
            let request = request(args, output, true)?;
            let deployed = client.deploy_agent(request).await?;
            show_deployed(&deployed, "deployed", output)
        }
        Command::Update(args) => {
            let client = args.deploy.connection.client(environment).await?;
            let request = request(args.deploy, output, false)?;
            let updated = client.update_agent(&args.agent, request).await?;
            show_deployed(&updated, "updated", output)
        }
        Command::List(args) => list(args, output, environment).await,
        Command::Inspect(args) => {
            let client = args.connection.client(environment).await?;
            let agent = client.agent(&args.agent).await?;
            output.value(&agent, detail_text)
        }
        Command::Logs(args) => logs(args, output, environment).await,
        Command::Stop(args) => {
            let client = args.connection.client(environment).await?;
            let grace = args.grace.map(Micros::duration);
            let agent = client.stop_agent(&args.agent, args.drain, grace).await?;
            output.value(&agent, |agent| status_line(agent, output))
        }
        Command::Start(args) => {
            let client = args.connection.client(environment).await?;
            let agent = client.start_agent(&args.agent).await?;
            output.value(&agent, |agent| status_line(agent, output))
        }
        Command::Rollback(args) => {
            let client = args.connection.client(environment).await?;
            let agent = client.rollback_agent(&args.agent).await?;
            output.value(&agent, |agent| status_line(agent, output))
        }
        Command::Register(args) => {
            let registration = registration(&args.file)?;
            let client = args.connection.client(environment).await?;
            let agent = client.register_agent(&args.agent, &registration).await?;
            output.value(&agent, |agent| status_line(agent, output))
        }
        Command::Deregister(args) => {
            let client = args.connection.client(environment).await?;
            client.deregister_agent(&args.agent).await?;
            let agent = &args.agent;
            output.entry(&BTreeMap::from([("deregistered", agent)]), |_| {
                format!("deregistered {agent}")
            })
        }
        Command::Acts(args) => acts(args, output, environment).await,
        Command::Remove(args) => {
            let client = args.connection.client(environment).await?;
            for agent in &args.agents {
                client.remove_agent(agent).await?;
                output
                    .entry(&BTreeMap::from([("removed", agent)]), |_| {
                        format!("removed {agent}")
                    })
                    .or_else(Failure::unless_reader_gone)?;
            }
            Ok(())
        }
    }
}

async fn acts(args: OneArgs, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let acts = client.agent_acts(&args.agent).await?;
    output.value(&acts, |acts| acts_table(acts))
}

/// Reads what an agent is to be registered with.
fn registration(file: &Path) -> Result<Registration, Failure> {
    let text = fs::read(file).map_err(|error| Failure::file(file, &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::usage(
            format!("{}: no descriptor: {error}", file.display()),
            "write it as {\"services\": [{\"name\": \"translate\"}]}",
        )
    })
}

/// Reads module and manifest, and lays the flags over what the manifest says.
fn request(args: DeployArgs, output: &Output, is_new: bool) -> Result<DeployAgentRequest, Failure> {
    let (module_path, manifest) = read_package(&args.file, output)?;
    let wasm_module =
        fs::read(&module_path).map_err(|error| Failure::file(&module_path, &error))?;
    let limits = args.guest.limits.over(manifest.as_ref().map(|(m, _)| m));
    let mut config = AgentConfig {
        limits: asked(&limits),
        ..AgentConfig::default()
    };
    if let Some((manifest, text)) = manifest {
        config.name = manifest.name.as_str().to_owned();
        config.version = Some(manifest.version.clone());
        config.durability = manifest.agent.durability;
        config.supervision = Some(manifest.agent.supervision.clone());
        config.profile = manifest.agent.profile;
        config.passivate_after = manifest.agent.passivate_after;
        config.manifest = Some(text);
    }
    if let Some(name) = args.name {
        config.name = name;
    }
    if config.name.is_empty() && is_new {
        config.name = name_of_file(&module_path)?;
    }
    if let Some(durability) = args.durability {
        config.durability = durability;
    }
    if let Some(profile) = args.guest.engine_profile {
        config.profile = profile;
    }
    config.grants.extend(args.guest.asked_grants()?);
    config.capabilities = args.capabilities;
    config.config = args.guest.config.into_iter().collect();
    Ok(DeployAgentRequest {
        wasm_module,
        config,
    })
}

pub(crate) fn asked(limits: &BTreeMap<LimitName, u64>) -> BTreeMap<String, AskedValue> {
    let value = |value: u64| match value {
        caxton_model::UNLIMITED => AskedValue::Unlimited,
        value => AskedValue::Number(value),
    };
    limits
        .iter()
        .map(|(name, number)| (name.to_string(), value(*number)))
        .collect()
}

/// The module of a package or a plain module, and the manifest with its text.
pub(crate) fn read_package(
    file: &std::path::Path,
    output: &Output,
) -> Result<(PathBuf, Option<(Manifest, String)>), Failure> {
    let is_manifest = file.is_dir()
        || file
            .extension()
            .is_some_and(|extension| extension == "toml" || extension == "json");
    if !is_manifest {
        return Ok((file.to_owned(), None));
    }
    let file = if file.is_dir() {
        file.join("caxton.toml")
    } else {
        file.to_owned()
    };
    let (manifest, text) = read_manifest(&file)?;
    for note in manifest.notes() {
        output.note(&note);
    }
    let folder = file.parent().unwrap_or(std::path::Path::new("."));
    Ok((folder.join(&manifest.module), Some((manifest, text))))
}

/// Reads a manifest; what is wrong is drawn.
pub(crate) fn read_manifest(file: &std::path::Path) -> Result<(Manifest, String), Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::file(file, &error))?;
    match Manifest::read(&file.display().to_string(), &text) {
        Ok(manifest) => Ok((manifest, text)),
        Err(error) => Err(crate::config::drawing::document_failure(error, "manifest")),
    }
}

/// A file's name as an agent's, where it is one.
pub(crate) fn name_of_file(path: &std::path::Path) -> Result<String, Failure> {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match stem.parse::<caxton_model::AgentName>() {
        Ok(_) => Ok(stem),
        Err(error) => Err(Failure::usage(
            format!("the file's name can't be the agent's: {error}"),
            "name the agent with --name",
        )),
    }
}

/// What a manifest asks for.
///
/// Errors: patterns that are none.
pub(crate) fn requested(manifest: &Manifest) -> Result<Vec<RequestedRule>, Failure> {
    caxton_node::requested_rules(manifest).map_err(|problems| {
        Failure::usage(
            problems.join("\n"),
            "correct the patterns in [permissions]; docs/permissions.md has their forms",
        )
    })
}

/// What an operator should know of a deployment, a line each.
pub(crate) fn note_permissions(
    warnings: &[String],
    changes: &[PermissionChange],
    missing: &[NotGranted],
    output: &Output,
) {
    for warning in warnings {
        output.note(warning);
    }
    for change in changes {
        output.note(&format!("permissions {}", one_line(&change.text)));
    }
    for missing in missing {
        output.note(&not_granted(missing));
    }
}

fn show_deployed(deployed: &Deployment, verb: &str, output: &Output) -> Result<(), Failure> {
    note_permissions(
        &deployed.warnings,
        &deployed.permission_changes,
        &deployed.not_granted,
        output,
    );
    output.value(&deployed.agent, |agent| {
        format!(
            "{verb} {} ({}), version {}, {}",
            one_line(&agent.name),
            one_line(&agent.id),
            one_line(&agent.version),
            word(agent)
        )
    })
}

async fn logs(args: LogsArgs, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let mut node = Followed::find(&args.connection, environment, output).await?;
    // Also where none are shown: following begins behind the last one.
    let asked = args.tail.max(1);
    let lines = node.client().agent_logs(&args.agent, None, asked).await?;
    let mut last = lines.last().map(|line| line.id.clone());
    let surplus = lines.len().saturating_sub(args.tail as usize);
    for line in lines.iter().skip(surplus) {
        output.entry(line, |line| log_line(line, output))?;
    }
    if !args.follow {
        return Ok(());
    }
    node.reached();
    loop {
        let mut error = None;
        match node
            .client()
            .follow_logs(&args.agent, last.as_deref())
            .await
        {
            Err(refused) => error = Some(refused),
            Ok(mut stream) => {
                node.reached();
                while let Some(line) = stream.next().await {
                    match line {
                        Ok(LogEvent::Line(line)) => {
                            output.entry(&line, |line| log_line(line, output))?;
                        }
                        Ok(LogEvent::Gap(gap)) => output.note(&lost_lines(&gap)),
                        Err(broken) => {
                            error = Some(broken);
                            break;
                        }
                    }
                }
                last = stream.last_event_id().map(str::to_owned).or(last);
            }
        }
        // A stream that the node closed: it stops, or the agent was updated.
        node.pause(error).await?;
    }
}
