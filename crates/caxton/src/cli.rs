//! The command line as one tree of types.

use clap::{
    Args, ColorChoice, Parser,
    builder::styling::{AnsiColor, Styles},
};

use crate::{commands::Command, output::Format};

/// What the numbers mean that commands end with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it did not: the guest reported an error, the node could not be reached, there is no such thing
  2  wrong use: arguments, manifest or configuration
  3  a guest faulted or reached a limit; which one stands on stderr
  4  refused: the module, the package, or what the token may do";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// A secure host for WebAssembly agents.
#[derive(Debug, Parser)]
#[command(
    name = "caxton",
    version,
    styles = STYLES,
    color = ColorChoice::Auto,
    after_help = EXIT_CODES,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    infer_long_args = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Print without colours
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
