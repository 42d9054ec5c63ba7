//! `caxton compile-worker`: the process in which a node compiles what it does not trust.

use crate::failure::Failure;

/// What the node tells it.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// As the engine writes them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Does it, and ends the process with the worker's own number.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    std::process::exit(caxton_engine::compile_worker(&args.args))
}
