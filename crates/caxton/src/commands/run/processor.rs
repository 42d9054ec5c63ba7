//! Runs a processor on bytes, or an extension on an action.

use std::{fs, io::Read as _, path::PathBuf};

use caxton_engine::{Arguments, Usage};
use caxton_model::{ByteSize, Fault, LimitName};
use caxton_package::Form;
use serde::Serialize;

use super::{Args, Ready, beside, fault_failure, host::RunHost, name_of};
use crate::{
    failure::{Exit, Failure},
    output::{Format, Output, write_guest_output},
};

/// The result with its measures, as printed.
#[derive(Serialize)]
struct Ran {
    /// Absent where the output is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    output_bytes: usize,
    output_digest: String,
    /// The code that a WASI command exited with by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    measures: Measures,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    metrics: std::collections::BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct Measures {
    cpu_micros: u64,
    wall_micros: u64,
    memory_peak_bytes: u64,
    host_calls: u64,
    allocations: u64,
    fuel: u64,
}

impl From<&Usage> for Measures {
    fn from(usage: &Usage) -> Self {
        Self {
            cpu_micros: usage.cpu_nanos / 1_000,
            wall_micros: usage.wall_nanos() / 1_000,
            memory_peak_bytes: usage.memory_peak_bytes,
            host_calls: usage.host_calls,
            allocations: usage.allocations,
            fuel: usage.fuel,
        }
    }
}

/// Does it: each input in its turn.
pub(super) async fn run(args: &Args, ready: Ready, output: &Output) -> Result<(), Failure> {
    let inputs = inputs(args, ready.limits.get(LimitName::PayloadBytes)).await?;
    let is_one = inputs.len() == 1;
    for input in inputs {
        run_once(args, &ready, input, is_one, output).await?;
    }
    Ok(())
}

/// What a WASI command is given as its arguments.
fn arguments(args: &Args) -> Result<Arguments, Failure> {
    Arguments::new(&args.arguments).map_err(|fault| {
        Failure::usage(
            fault.text,
            "see `caxton run --help` for what a command takes",
        )
    })
}

/// Runs on one input and prints the result; of several, each is an entry of a list.
async fn run_once(
    args: &Args,
    ready: &Ready,
    input: Vec<u8>,
    is_one: bool,
    output: &Output,
) -> Result<(), Failure> {
    let Ready {
        engine,
        verified,
        linked,
        profile,
        limits,
        outside,
    } = ready;
    let arguments = arguments(args)?;
    let is_command = linked.form() == Form::WasiCommand;
    let streams = is_command && output.format == Format::Table;
    let host = RunHost::new(false, &args.guest.config, *profile, &input, limits);
    let host = host.with_resources(
        outside.resources(&name_of(&args.file)),
        outside.http.clone(),
    );
    let host = Box::new(if streams { host.streaming() } else { host });
    let mut done = match linked.form() {
        Form::ExtensionCore => linked.call_extension(&input, limits, host).await,
        _ => {
            let content_type = args.content_type.as_deref();
            linked
                .process_with(input.into(), arguments, content_type, limits, host)
                .await
        }
    };
    let failure = done.result.as_mut().err().map(|fault| {
        engine.symbolise(verified, fault);
        failure_of(fault, done.exit_code.filter(|_| args.passthrough_exit_code))
    });
    let ended = failure.map_or(Ok(()), Err);
    let bytes = done.result.unwrap_or(done.partial_output);
    let mut host = done.host.as_any().downcast::<RunHost>().ok();
    if let Some(error) = host.as_mut().and_then(|host| host.stream_error.take()) {
        ended?;
        return Err(error);
    }
    if output.format == Format::Table {
        ended?;
        if !streams {
            write_guest_output(&bytes)?;
        }
        return Ok(());
    }
    let ran = Ran {
        output_bytes: bytes.len(),
        output_digest: caxton_model::Digest::of(&bytes).to_string(),
        output: String::from_utf8(bytes).ok(),
        exit_code: done.exit_code,
        measures: Measures::from(&done.usage),
        metrics: host
            .map(|mut host| std::mem::take(&mut host.metrics))
            .unwrap_or_default(),
    };
    if is_one {
        output.value(&ran, |_| String::new())?;
    } else {
        output.entry(&ran, |_| String::new())?;
    }
    ended
}

/// A fault as the end of the command, with the command's own exit code where that is passed on.
fn failure_of(fault: &Fault, exit_code: Option<i32>) -> Failure {
    let mut failure = fault_failure(fault);
    if let Some(code) = exit_code {
        // As a shell shows it, except that a failure never ends as 0.
        failure.exit = Exit::Guest(u8::try_from(code & 0xff).unwrap_or(u8::MAX).max(1));
    }
    failure
}

/// The inputs: those of `--message`, else the one of a file or stdin.
async fn inputs(args: &Args, most: u64) -> Result<Vec<Vec<u8>>, Failure> {
    if !args.message.is_empty() {
        let messages = args.message.iter();
        return Ok(messages.map(|text| text.clone().into_bytes()).collect());
    }
    let path = args.input.clone();
    let input = beside(move || input(path, most)).await?;
    Ok(vec![input])
}

/// One input; one byte over the limit is enough to refuse it.
fn input(path: Option<PathBuf>, most: u64) -> Result<Vec<u8>, Failure> {
    let bound = most.saturating_add(1);
    let mut bytes = Vec::new();
    match path {
        Some(path) => {
            let file = fs::File::open(&path).map_err(|error| Failure::file(&path, &error))?;
            file.take(bound)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::file(&path, &error))?;
        }
        None => {
            std::io::stdin()
                .lock()
                .take(bound)
                .read_to_end(&mut bytes)?;
        }
    }
    if bytes.len() as u64 > most {
        let code = caxton_model::ErrorCode::PayloadTooLarge;
        let what = format!(
            "the input has more than `payload_bytes` allows: {}",
            ByteSize(most)
        );
        let mut failure = Failure::of(code, what);
        failure.exit = crate::failure::Exit::Fault;
        return Err(failure);
    }
    Ok(bytes)
}
