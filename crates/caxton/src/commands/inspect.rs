//! `caxton inspect`: what a module is, without running it.

use std::{fs, path::PathBuf, thread};

use caxton_package::{ModuleReport, VerifyError};

use crate::{
    commands::agent::read_package,
    failure::{Exit, Failure},
    output::{Output, one_line},
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
    let mut report = caxton_package::inspect(&bytes);
    if let Some(component) = &mut report.component {
        match wit_of(bytes) {
            Ok(wit) => component.wit = Some(wit),
            Err(reason) => report
                .warnings
                .push(format!("its world can't be shown as WIT text: {reason}")),
        }
    }
    output.value(&report, text)?;
    match report.reasons.as_slice() {
        [] => Ok(()),
        [reason] => Err(Failure::new(
            Exit::Refused,
            one_line(&reason.text),
            one_line(&reason.remedy),
        )),
        several => Err(Failure::new(
            Exit::Refused,
            format!("{} reasons to refuse the module", several.len()),
            "mend what is listed above, each with its own remedy",
        )),
    }
}

/// The report for people. Its names and texts are the module's: each stays in its line.
fn text(report: &ModuleReport) -> String {
    let mut report = report.clone();
    if let Some(component) = &mut report.component {
        let names = component.imports.iter_mut().chain(&mut component.exports);
        names.for_each(|name| *name = one_line(name));
        let lines = component
            .wit
            .as_deref()
            .map(|wit| wit.lines().map(one_line));
        component.wit = lines.map(|lines| lines.collect::<Vec<_>>().join("\n"));
    }
    let imports = report.imports.iter_mut();
    let exports = report.exports.iter_mut().map(|export| &mut export.name);
    let reasons = report.reasons.iter_mut();
    imports
        .flat_map(|import| [&mut import.module, &mut import.name])
        .chain(exports)
        .chain(reasons.flat_map(|reason| [&mut reason.text, &mut reason.remedy]))
        .chain(&mut report.warnings)
        .for_each(|text| *text = one_line(text));
    report.to_string()
}

/// Why a module is refused, a line for each reason.
pub(super) fn refused_text(error: &VerifyError) -> String {
    match error {
        VerifyError::Refused { report } => reasons_text(report),
        other => one_line(&other.to_string()),
    }
}

/// The reasons to refuse a module, a line for each.
pub(super) fn reasons_text(report: &ModuleReport) -> String {
    let reasons = report.reasons.iter();
    let lines: Vec<_> = reasons
        .map(|reason| one_line(&reason.to_string()))
        .collect();
    lines.join("\n")
}

/// Stack of the thread that decodes a component. Unit: bytes. Only what is used is in memory.
const WIT_STACK_BYTES: usize = 256 << 20;

/// The world of a component, decoded on a thread of its own: the decoder recurses deeply.
fn wit_of(bytes: Vec<u8>) -> Result<String, String> {
    thread::Builder::new()
        .stack_size(WIT_STACK_BYTES)
        .spawn(move || caxton_package::component_wit(&bytes))
        .map_err(|error| error.to_string())?
        .join()
        .unwrap_or_else(|_| Err("the decoder failed".to_owned()))
}
