//! The command line as one tree of types.

use std::ffi::OsString;

use clap::{
    Args, ColorChoice, CommandFactory as _, Parser,
    builder::styling::{AnsiColor, Styles},
    error::{ContextKind, ContextValue},
};

use crate::{commands::Command, output::Format};

/// What the numbers mean that commands end with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it did not: the guest reported an error, the node could not be reached, there is no such thing
  2  wrong use: arguments, manifest or configuration
  3  a guest faulted or reached a limit; which one stands on stderr
  4  refused: the module, the package, or what the token may do
  130  ended by Ctrl-C; what was accepted by then stands on stderr";

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

/// What the parser says instead of a command: help, the version, or what is wrong.
pub(crate) struct ParserAnswer {
    pub(crate) error: clap::Error,
    /// Whether `--no-color` is among the arguments, which were not all understood.
    pub(crate) no_color: bool,
}

impl Cli {
    /// Reads the command line.
    ///
    /// Errors: there is no command to run.
    pub(crate) fn read(args: Vec<OsString>) -> Result<Self, ParserAnswer> {
        Self::try_parse_from(&args).map_err(|mut error| {
            suggest(&mut error, &args);
            let given = args.iter().take_while(|arg| *arg != "--");
            let no_color = given.into_iter().any(|arg| arg == "--no-color");
            ParserAnswer { error, no_color }
        })
    }
}

/// Names the nearest command or value where the parser, which is no good at short words, has none.
fn suggest(error: &mut clap::Error, args: &[OsString]) {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && error.get(ContextKind::SuggestedSubcommand).is_none()
    {
        let mut level = Cli::command();
        for arg in args.iter().skip(1).take_while(|arg| **arg != **word) {
            if let Some(deeper) = level.find_subcommand(arg) {
                level = deeper.clone();
            }
        }
        let shown = level
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        let names: Vec<&str> = shown
            .flat_map(clap::Command::get_name_and_visible_aliases)
            .collect();
        if let Some(near) = caxton_model::nearest(word, names) {
            let near = ContextValue::Strings(vec![near.to_owned()]);
            error.insert(ContextKind::SuggestedSubcommand, near);
        }
    } else if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidValue)
        && let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
        && error.get(ContextKind::SuggestedValue).is_none()
        && let Some(near) = caxton_model::nearest(word, valid.iter().map(String::as_str))
    {
        let near = ContextValue::String(near.to_owned());
        error.insert(ContextKind::SuggestedValue, near);
    }
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
