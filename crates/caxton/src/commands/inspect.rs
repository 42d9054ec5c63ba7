//! `caxton inspect`: what a module is, without running it.

use std::{fs, path::PathBuf};

use crate::{
    commands::agent::read_package,
    failure::{Exit, Failure},
    output::Output,
};

/// Which module.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The module, or a package's caxton.toml
    file: PathBuf,
}

/// Does it. A module that would be refused ends the command with 4.
pub(crate) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let (path, _) = read_package(&args.file, output)?;
    let bytes = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
    let report = caxton_package::inspect(&bytes);
    output.value(&report, ToString::to_string)?;
    match report.reasons.as_slice() {
        [] => Ok(()),
        [reason] => Err(Failure::new(
            Exit::Refused,
            reason.text.clone(),
            reason.remedy.clone(),
        )),
        several => Err(Failure::new(
            Exit::Refused,
            format!("{} reasons to refuse the module", several.len()),
            "mend what is listed above, each with its own remedy",
        )),
    }
}
