//! The `caxton` program: parse, configure, run, and say what went wrong in words that help.

use std::process::ExitCode;

use clap::Parser as _;

mod bench;
mod cli;
mod commands;
mod config;
mod connection;
mod environment;
mod failure;
mod logging;
mod output;
mod serving;

/// A turn makes some dozens of small allocations, on one thread, and frees half of them on another:
/// that is what this one is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if matches!(cli.command, commands::Command::CompileWorker) {
        return caxton_engine::compile_worker_main();
    }
    let environment = environment::Environment::read();
    let output = output::Output::new(&cli.global, &environment);
    match commands::run(cli.command, &output, &environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}
