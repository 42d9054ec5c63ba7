//! `caxton run`: one module, no node to set up.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use caxton_engine::{Engine, EngineOptions, Linked};
use caxton_gate::{PermissionRule, PermissionRuleError};
use caxton_model::{
    EngineKind, EngineProfile, Fault, GrantedRule, Grants, Limits, Micros, Permission, Permissions,
    permissions_of,
};
use caxton_package::{Form, Verified};

use crate::{
    commands::{
        agent::read_package,
        guest_options::GuestOptions,
        inspect::{limits_for, refused_text, verify},
        until_interrupted,
    },
    environment::Environment,
    failure::{Exit, Failure},
    output::{Output, one_line},
    start_failure::{compile_failure, engine_failure},
};

use resources::{Outside, ResourceOptions};

mod agent;
mod host;
mod messages;
mod processor;
mod profile;
mod resources;

/// Which module, on what, and under which bounds.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The module, or a package's caxton.toml
    file: PathBuf,
    /// For WASI commands: the arguments it is called with, behind `--`
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    /// For agents: a message as JSON; without a performative it is the content of a request. For
    /// processors: an input. May be repeated. Default: JSON lines from stdin until its end
    #[arg(long, value_name = "JSON", conflicts_with = "input")]
    message: Vec<String>,
    /// For processors: the input; default: stdin. For extensions: JSON `{"action", "input"}`
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// For processors: the input's content type
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// For WASI commands: end with the command's own exit code. Without it, a command that exits
    /// with another code than 0 ends `caxton run` with 1
    #[arg(long)]
    passthrough_exit_code: bool,
    /// For agents: how long to wait for each reply, such as 5s
    #[arg(long, default_value = "10s", value_parser = crate::commands::agent::read_micros)]
    wait: Micros,
    /// What turns guest code into action: cranelift or pulley
    #[arg(long, default_value = "cranelift", value_parser = str::parse::<EngineKind>)]
    engine: EngineKind,
    /// For agents: write the guest's sampled stacks as JSON for the Firefox profiler
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// For agents: write the lines of a manifest that would allow what the agent was refused. It is
    /// still refused what it is not granted
    #[arg(long, conflicts_with = "profile")]
    learn: bool,
    /// Write a map with which `perf record` shows guest functions
    #[arg(long)]
    perf: bool,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    resources: ResourceOptions,
}

/// A module that is ready to run, with its bounds.
struct Ready {
    engine: Engine,
    verified: Verified,
    linked: Linked,
    profile: EngineProfile,
    limits: Limits,
    outside: Outside,
}

/// Does it.
pub(crate) fn run(args: Args, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let (path, manifest) = read_package(&args.file, output)?;
    let bytes = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
    let asked = args.guest.limits.over(manifest.as_ref().map(|(m, _)| m));
    let verified = verify(bytes, &asked)?
        .map_err(|error| Failure::new(Exit::Refused, refused_text(&error), ""))?;
    let limits = limits_for(verified.report().kind.unwrap_or_default(), &asked)?;
    let form = verified.report().form;
    let from_manifest = manifest
        .as_ref()
        .map(|(manifest, _)| manifest.agent.profile);
    let default = match form {
        Some(Form::AgentCore) => from_manifest.unwrap_or_default(),
        // A program like any other: the machine's clocks and random numbers.
        Some(Form::WasiCommand) => EngineProfile::Hardened,
        // What comes from outside is not the same for the same bytes.
        _ if !verified.report().permissions_needed().is_empty() => EngineProfile::Hardened,
        _ => EngineProfile::Deterministic,
    };
    if let Some(form) = form.filter(|form| *form != Form::WasiCommand) {
        refuse_command_options(&args, form)?;
    }
    let profile = args.guest.engine_profile.unwrap_or(default);
    let mut granted = args.guest.granted()?;
    let receivers = granted.remove(&Permission::MessageSend);
    let grants = Grants {
        message_send: receivers.or_else(|| manifest.as_ref().and_then(|(m, _)| m.message_send())),
    };
    let granted = rules(granted)?;
    let outside = Outside::open(&args.resources, &granted, environment, args.learn)?;
    match form {
        Some(Form::AgentCore) => {
            if let Some(file) = &args.profile {
                return block_on(async {
                    let ready = ready(verified, profile, limits, &granted, outside, &args).await?;
                    profile::run(&args, file, ready, &path, output).await
                });
            }
            let deploy = agent::Deployment {
                path,
                verified,
                profile,
                asked,
                grants,
                granted,
                outside,
                manifest,
            };
            // What Ctrl-C cut short it says itself, and then it stops its node.
            on_runtime(agent::run(&args, deploy, output))
        }
        _ => block_on(async {
            refuse_agent_options(&args)?;
            let ready = ready(verified, profile, limits, &granted, outside, &args).await?;
            processor::run(&args, ready, output).await
        }),
    }
}

/// Refuses what only agents have: options that observe them.
fn refuse_agent_options(args: &Args) -> Result<(), Failure> {
    let (what, help) = if args.learn {
        (
            "--learn observes agents only",
            "use `caxton permissions FILE` for what the imports of a module need",
        )
    } else if args.profile.is_some() {
        (
            "--profile samples agents only",
            "use --perf with `perf record`, which shows every guest's functions",
        )
    } else {
        return Ok(());
    };
    Err(Failure::usage(what, help))
}

/// Refuses what only WASI commands have: arguments and an exit code of their own.
fn refuse_command_options(args: &Args, form: Form) -> Result<(), Failure> {
    let (what, help) = if !args.arguments.is_empty() {
        (
            "takes arguments",
            "leave out `--` and what follows it; agents take --message, processors and extensions --input",
        )
    } else if args.passthrough_exit_code {
        (
            "has an exit code of its own",
            "leave out --passthrough-exit-code",
        )
    } else {
        return Ok(());
    };
    Err(Failure::usage(
        format!(
            "only a WASI command {what}; this module serves as {}",
            form.what()
        ),
        help,
    ))
}

/// Waits for a run; Ctrl-C ends it, also while it reads its input or compiles.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let told = "interrupted: the guest had not ended";
    on_runtime(until_interrupted(told, work))
}

fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = crate::serving::runtime()?;
    let result = runtime.block_on(work);
    // A read of stdin that is under way must not hold the program.
    runtime.shutdown_background();
    result
}

/// The rules that flags grant for this run.
fn rules(granted: BTreeMap<Permission, Vec<String>>) -> Result<Vec<GrantedRule>, Failure> {
    let texts = granted.into_iter().flat_map(|(permission, patterns)| {
        let rule = move |pattern: String| match &*pattern {
            "" => permission.to_string(),
            pattern => format!("{permission}={pattern}"),
        };
        patterns.into_iter().map(rule)
    });
    let rules = texts.map(|text| {
        let rule: PermissionRule = text.parse().map_err(|error: PermissionRuleError| {
            Failure::usage(
                format!("`--grant {text}`: {error}"),
                "write it as PERMISSION=PATTERN, such as http:read=api.example.com/repos/**",
            )
        })?;
        Ok(GrantedRule {
            rule: rule.to_string(),
            expires: None,
            reason: None,
            by: "--grant".to_owned(),
            at: host::now(),
        })
    });
    rules.collect()
}

/// Does what blocks beside the run, so that Ctrl-C need not wait for it.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error).into()),
    }
}

async fn ready(
    verified: Verified,
    profile: EngineProfile,
    limits: Limits,
    granted: &[GrantedRule],
    outside: Outside,
    args: &Args,
) -> Result<Ready, Failure> {
    let (kind, perf_map) = (args.engine, args.perf);
    let granted = permissions_of(granted);
    beside(move || {
        let (engine, linked) = compile(&verified, profile, &granted, kind, perf_map)?;
        Ok(Ready {
            engine,
            verified,
            linked,
            profile,
            limits,
            outside,
        })
    })
    .await
}

/// Compiles and links.
fn compile(
    verified: &Verified,
    profile: EngineProfile,
    granted: &Permissions,
    kind: EngineKind,
    perf_map: bool,
) -> Result<(Engine, Linked), Failure> {
    let options = EngineOptions {
        kind,
        perf_map,
        pool_slots: 4,
        agents_max: 4,
        ..EngineOptions::default()
    };
    let engine = Engine::new(options).map_err(|error| engine_failure(&error))?;
    let compiled = engine
        .compile(
            verified,
            profile,
            verified.report().kind.unwrap_or_default(),
        )
        .map_err(|error| compile_failure(&error))?;
    let linked = engine
        .link(&compiled, granted)
        .map_err(|error| Failure::of(error.code(), error.to_string()))?;
    Ok((engine, linked))
}

/// What a guest without a node is called: its file.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// A fault as the end of the command: which limit or trap, where, and what to do.
fn fault_failure(fault: &Fault) -> Failure {
    let mut what = format!("{}: {}", fault.code, one_line(&fault.text));
    for frame in &fault.backtrace {
        what.push_str(&format!("\n  at {}", one_line(&frame.function)));
        match &frame.source {
            Some(source) => what.push_str(&format!(" ({})", one_line(source))),
            None => what.push_str(&format!(" (module offset {:#x})", frame.module_offset)),
        }
    }
    let mut failure = Failure::of(fault.code, what);
    if failure.exit == Exit::Failed && fault.code != caxton_model::ErrorCode::GuestError {
        failure.exit = Exit::Fault;
    }
    failure
}
