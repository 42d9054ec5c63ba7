//! One file per command; this one is the menu.

use clap::Subcommand;

use crate::{
    environment::Environment,
    failure::{Exit, Failure},
    output::Output,
};

mod agent;
mod agent_text;
mod audit;
mod bench;
mod build;
mod cache;
mod call;
mod completions;
mod config;
mod conversation;
mod dead_letters;
mod demo;
mod doctor;
mod events;
mod follow;
mod grant;
mod guest_options;
mod inspect;
mod journal;
mod man;
mod messages;
mod missing_tool;
mod new;
mod permissions;
mod policy;
mod processor;
mod run;
mod send;
mod token;
mod top;
mod top_text;
mod up;
mod vault;

pub(crate) use policy::read_policy;

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a node
    Up(up::Args),
    /// Show a node at work: agents in four languages, in a throw-away directory
    Demo(demo::Args),
    /// Run one module without a node: an agent on messages, a processor on bytes
    #[command(visible_alias = "run-agent")]
    Run(run::Args),
    /// Begin a project for an agent or a processor
    New(new::Args),
    /// Build a project's module with size optimisation
    Build(build::Args),
    /// Say what a module is, what it imports, and why it would be refused
    Inspect(inspect::Args),
    /// Write the smallest [permissions] that a module's imports need, and compare the manifest's
    Permissions(permissions::Args),
    /// What a site's policy allows and forbids
    #[command(subcommand)]
    Policy(policy::Command),
    /// Deploy agents and look after them
    #[command(subcommand)]
    Agent(agent::Command),
    /// Deploy processors and extensions and look after them
    #[command(subcommand)]
    Processor(processor::Command),
    /// Call a processor, or an action of an extension
    Call(call::Args),
    /// Let an agent reach something beyond its own memory, or list what it may
    Grant(grant::GrantArgs),
    /// Take a grant back; the agent's next access sees it
    Revoke(grant::RevokeArgs),
    /// Send a message
    Send(send::Args),
    /// Read messages, or follow them as they are sent
    Messages(messages::Args),
    /// Draw a conversation
    Conversation(conversation::Args),
    /// Messages that could not be delivered
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Watch what happens on a node
    Events(events::Args),
    /// Watch how a node is loaded, and by which agents
    Top(top::Args),
    /// Tokens of the API
    #[command(subcommand)]
    Token(token::Command),
    /// Who did what on a node, and whether the record of it is whole
    #[command(subcommand)]
    Audit(audit::Command),
    /// Secrets that agents' requests may carry without seeing them
    #[command(subcommand)]
    Vault(vault::Command),
    /// Look into a stopped node's journal
    #[command(subcommand)]
    Journal(journal::Command),
    /// Compiled modules kept on disk
    #[command(subcommand)]
    Cache(cache::Command),
    /// A node's configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Measure this machine: each figure beside that of the bare part
    Bench(bench::Args),
    /// Attack every limit of a node, beside an agent that must go on, and say which hold
    Doctor(doctor::Args),
    /// Completions for a shell
    Completions(completions::Args),
    /// Manual pages
    Man(man::Args),
    /// Compile one module from stdin to stdout under limits; the node starts it
    #[command(hide = true)]
    CompileWorker,
}

/// What is said where Ctrl-C ends a command whose request the node may have got.
const MAY_GO_ON: &str = "interrupted: the node may still do what it was asked";
const UNANSWERED: &str = "interrupted: the node had not answered whether it accepted the message";

/// Runs a command.
pub(crate) fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Up(args) => up::run(args, output, environment),
        Command::Demo(args) => demo::run(args, output),
        Command::Run(args) => run::run(args, output, environment),
        Command::New(args) => new::run(&args, output),
        Command::Build(args) => build::run(&args, output),
        Command::Inspect(args) => inspect::run(&args, output),
        Command::Permissions(args) => permissions::run(&args, output),
        Command::Policy(command) => policy::run(command, output),
        Command::Agent(command) => {
            let told = if command.only_reads() { "" } else { MAY_GO_ON };
            wait(told, agent::run(command, output, environment))
        }
        Command::Processor(command) => {
            let told = if command.only_reads() { "" } else { MAY_GO_ON };
            wait(told, processor::run(command, output, environment))
        }
        Command::Call(args) => wait("", call::run(args, output, environment)),
        Command::Grant(args) => wait(MAY_GO_ON, grant::grant(args, output, environment)),
        Command::Revoke(args) => wait(MAY_GO_ON, grant::revoke(args, output, environment)),
        Command::Send(args) => wait(UNANSWERED, send::run(args, output, environment)),
        Command::Messages(args) => wait("", messages::run(args, output, environment)),
        Command::Conversation(args) => wait("", conversation::run(args, output, environment)),
        Command::DeadLetters(command) => {
            wait(MAY_GO_ON, dead_letters::run(command, output, environment))
        }
        Command::Events(args) => wait("", events::run(args, output, environment)),
        Command::Top(args) => wait("", top::run(args, output, environment)),
        Command::Token(command) => wait(MAY_GO_ON, token::run(command, output, environment)),
        Command::Audit(command) => wait("", audit::run(command, output, environment)),
        Command::Vault(command) => wait(MAY_GO_ON, vault::run(command, output, environment)),
        Command::Journal(command) => journal::run(command, output, environment),
        Command::Cache(command) => cache::run(command, output, environment),
        Command::Config(command) => config::run(command, output, environment),
        Command::Bench(args) => bench::run(&args, output),
        Command::Doctor(args) => doctor::run(args, output, environment),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        // Its own number tells the node what happened, so it never comes this far.
        Command::CompileWorker => Ok(()),
    }
}

/// Waits for a command that only talks to a node; Ctrl-C ends it, and `told` is said then.
fn wait(told: &str, command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("no runtime: {error}"),
            "free file descriptors or memory",
        )
    })?;
    let result = runtime.block_on(until_interrupted(told, command));
    // A read of stdin that is under way must not hold the program.
    runtime.shutdown_background();
    result
}

/// A command's result, or its end by Ctrl-C. A command that has more to say about that listens to
/// [`interrupted`] itself, and is asked first; it must end then without waiting for anything.
async fn until_interrupted(
    told: &str,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::select! {
        biased;
        result = command => result,
        () = interrupted() => Err(Failure::interrupted(told, "")),
    }
}

/// Waits for Ctrl-C.
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // It can't be heard, so it ends the process by itself.
        std::future::pending().await
    }
}
