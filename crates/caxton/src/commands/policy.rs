//! `caxton policy`: what a site's policy says, and whether it says what its author expects.

use std::{
    fs,
    path::{Path, PathBuf},
};

use caxton_gate::{PermissionRule, Policy, PolicyQuestion, PolicySubject};
use caxton_model::{AgentName, EngineProfile};
use clap::Subcommand;
use serde::Serialize;

use crate::{
    failure::{Exit, Failure},
    output::{Output, count},
};

/// What stands under every policy, and no policy has to say.
const BUILT_IN: &str = "Beneath every policy, wildcards reach neither an address that is not public \
    nor, for writes, a path outside /data: a grant names the host and port, the range or the directory.";

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what the policy decides for an agent, and by which line
    Check(CheckArgs),
    /// Run the `[[test]]` tables of the policy
    Test(TestArgs),
}

/// The arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The policy
    file: PathBuf,
    /// The agent's name, which says its namespace
    #[arg(long, value_name = "NAME")]
    agent: AgentName,
    /// What it would be granted; default: whether it may run at all
    #[arg(long, value_name = "PERMISSION=PATTERN")]
    permission: Option<PermissionRule>,
    /// The engine profile that it runs under
    #[arg(long, value_name = "PROFILE", default_value = "hardened", value_parser = str::parse::<EngineProfile>)]
    engine_profile: EngineProfile,
    /// Who signed its package; default: nobody
    #[arg(long, value_name = "NAME")]
    publisher: Option<String>,
}

/// The arguments of `policy test`.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// The policy
    file: PathBuf,
}

/// A decision for programs.
#[derive(Serialize)]
struct Shown {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    text: String,
}

/// How a policy's tests ended, for programs.
#[derive(Serialize)]
struct Tested {
    tests: usize,
    failures: Vec<String>,
}

/// Does it.
pub(crate) fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Check(args) => check(&args, output),
        Command::Test(args) => test(&args, output),
    }
}

/// Reads a policy.
///
/// Errors: everything that is wrong with it, by its lines.
pub(crate) fn read_policy(file: &Path) -> Result<Policy, Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::file(file, &error))?;
    Policy::parse(&file.display().to_string(), &text).map_err(|error| {
        Failure::usage(
            error.to_string(),
            "correct these lines; docs/operating.md has the form of a policy",
        )
    })
}

fn check(args: &CheckArgs, output: &Output) -> Result<(), Failure> {
    let policy = read_policy(&args.file)?;
    let whom = PolicySubject {
        publisher: args.publisher.as_deref(),
        namespace: args.agent.namespace().as_str(),
        profile: args.engine_profile,
    };
    let (question, asked) = match &args.permission {
        Some(asked) if asked.rule.forbids => {
            let what = format!("`{asked}` takes something away, which no policy forbids");
            return Err(Failure::usage(what, "ask for the permission without `!`"));
        }
        Some(asked) => (
            PolicyQuestion::Grant(asked.permission, &asked.rule.pattern),
            format!("granting `{asked}` to `{}`", args.agent),
        ),
        None => (
            PolicyQuestion::Run,
            format!("running `{}` under `{}`", args.agent, args.engine_profile),
        ),
    };
    let decision = policy.decide(whom, question);
    let shown = Shown {
        verdict: decision.verdict.as_str(),
        text: format!("{asked} is {decision}"),
        line: decision.line,
        reason: decision.reason,
    };
    let is_grant = args.permission.is_some();
    output.value(&shown, |shown| match is_grant {
        true => format!("{}\n{BUILT_IN}", shown.text),
        false => shown.text.clone(),
    })
}

fn test(args: &TestArgs, output: &Output) -> Result<(), Failure> {
    let (tests, failures) = read_policy(&args.file)?.run_tests();
    let tested = Tested { tests, failures };
    output.value(&tested, |tested| {
        let held = tested.tests - tested.failures.len();
        format!("{held} of {} passed", count(tested.tests as u64, "test"))
    })?;
    if tested.failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        tested.failures.join("\n"),
        "correct the lines that decide, or the expectations",
    ))
}
