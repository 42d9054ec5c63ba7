//! The project's chores, one subcommand and one module each; run as `cargo xtask NAME`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

mod api_clients;
mod bench;
mod check;
mod crash;
mod docs;
mod fuzz;
mod guests;
mod mutants;
mod node;
mod pages;
mod schemathesis;
mod sim;
mod step;
mod test;
mod tidy;
mod toolchains;

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Form, lints, house rules and dependencies, without running a test.
    Check,
    /// The house rules alone.
    Tidy,
    /// Everything: tools, guests, checks, measurements, all tests.
    Test(test::Args),
    /// As `test`, and nothing may be left out.
    Ci,
    /// Find or install the guests' toolchains, and check their versions.
    Toolchains,
    /// Build the guests of `guests/` with their toolchains, or check the committed ones.
    Guests(guests::Args),
    /// Rewrite the documents that are made from the code, or check them.
    Docs(docs::Args),
    /// The shipped measurements on this machine.
    Bench {
        /// Beside Extism and axum too, which are built first.
        #[arg(long)]
        peers: bool,
        /// Passed on to `caxton bench`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Kill a loaded node again and again, and count what became of every acknowledged message.
    Crash(crash::Args),
    /// Drive a node with a client that a generator made from its OpenAPI document.
    ApiClients,
    /// Hold a node's answers against its OpenAPI document, with Schemathesis.
    Schemathesis(schemathesis::Args),
    /// Look for inputs on which a parser of outside bytes breaks its word.
    Fuzz(fuzz::Args),
    /// Change the gate in one place after the other, and see each change found by its tests.
    Mutants(mutants::Args),
    /// Run the simulator of kernel, store and disk.
    Sim(sim::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> anyhow::Result<()> {
    let root = root();
    let in_ci = std::env::var_os("CI").is_some();
    match chore {
        Chore::Check => check::run(&root, in_ci),
        Chore::Tidy => tidy::run(&root),
        Chore::Test(args) => test::run(&root, &args, in_ci),
        Chore::Ci => test::run(&root, &test::Args::default(), true),
        Chore::Toolchains => toolchains::run_all(&root),
        Chore::Guests(args) => guests::run(&args),
        Chore::Docs(args) => docs::run(&root, &args),
        Chore::Bench { peers, args } => {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            bench::run(&root, peers, &args)
        }
        Chore::Crash(args) => crash::run(&root, &args),
        Chore::Fuzz(args) => fuzz::run(&root, &args),
        Chore::Mutants(args) => mutants::run(&root, &args),
        Chore::ApiClients => api_clients::run(&root),
        Chore::Schemathesis(args) => schemathesis::run(&root, &args),
        Chore::Sim(args) => sim::run(&root, &args),
    }
}

/// The repository's root: the folder above this crate.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The cargo that runs this program, so that both are of one toolchain.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
