//! `caxton inspect`: what a module is, without running it.

use std::{collections::BTreeMap, fs, path::PathBuf, thread};

use caxton_model::{Kind, LimitName, Limits};
use caxton_package::{ModuleReport, Verified, VerifyError};

use crate::{
    commands::{agent::read_package, guest_options::LimitOptions},
    failure::{Exit, Failure},
    output::{Output, one_line},
};

/// Which module.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The module, or a package's caxton.toml
    file: PathBuf,
    #[command(flatten)]
    limits: LimitOptions,
}

/// The limits that flags and manifest ask for, where no operator sets a ceiling.
///
/// Errors: every limit that can't be as it is asked for.
pub(super) fn limits_for(kind: Kind, asked: &BTreeMap<LimitName, u64>) -> Result<Limits, Failure> {
    let limits = Limits::for_kind(kind).asked(asked, &Limits::unlimited());
    limits.map_err(|errors| {
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Failure::usage(texts.join("\n"), "correct the limits")
    })
}

/// The verdict on a module, as a node without ceilings gives it when the module is deployed.
pub(super) fn verify(
    bytes: Vec<u8>,
    asked: &BTreeMap<LimitName, u64>,
) -> Result<Result<Verified, VerifyError>, Failure> {
    caxton_package::verify_by_kind(bytes, |kind| limits_for(kind, asked))
}

/// Does it. A module that would be refused ends the command with 4.
pub(crate) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let (path, manifest) = read_package(&args.file, output)?;
    let bytes = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
    let asked = args.limits.over(manifest.as_ref().map(|(m, _)| m));
    let mut report = match verify(bytes.clone(), &asked)? {
        Ok(verified) => ModuleReport::clone(verified.report()),
        Err(refused) => *refused.report,
    };
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
    reasons_text(&error.report)
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
