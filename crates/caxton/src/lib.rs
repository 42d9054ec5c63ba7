//! The `caxton` program: parse, configure, run, and say what went wrong in words that help.
//!
//! A library, so that the program and the one that tests look for faults in are the same code.

use std::process::ExitCode;

mod bench;
mod cli;
mod commands;
mod config;
mod connection;
mod directories;
mod environment;
mod failure;
mod logging;
mod output;
mod serving;
mod start_failure;

/// A turn makes some dozens of small allocations, on one thread, and frees half of them on another:
/// that is what this one is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The whole program; the number it ends with.
#[must_use]
pub fn main() -> ExitCode {
    program(&environment::Environment::read())
}

/// The same with the fault planted that `CAXTON_PLANTED` names, as `without:LIMIT`.
#[cfg(feature = "planted")]
#[must_use]
pub fn main_planted() -> ExitCode {
    let environment = environment::Environment::read();
    match environment.planted() {
        Ok(planted) => caxton_model::planted::plant(planted),
        Err(text) => {
            output::write_stderr(&output::one_line(&format!("error: {text}")));
            return failure::Exit::Usage.into();
        }
    }
    program(&environment)
}

fn program(environment: &environment::Environment) -> ExitCode {
    let cli = match cli::Cli::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(answer) => return output::answer_of_parser(&answer, environment),
    };
    if matches!(cli.command, commands::Command::CompileWorker) {
        return caxton_engine::compile_worker_main();
    }
    let output = output::Output::new(&cli.global, environment);
    match commands::run(cli.command, &output, environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}
