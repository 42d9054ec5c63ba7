//! `caxton permissions`: the least that a module must ask for, beside what its manifest asks for.

use std::{fs, path::PathBuf};

use caxton_package::{PermissionNeed, StaticComparison};
use serde::Serialize;

use crate::{
    commands::{agent::read_package, inspect::reasons_text},
    failure::{Exit, Failure},
    output::Output,
};

/// Which module.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The module, or a package's caxton.toml
    file: PathBuf,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    /// The permissions that the imports need.
    needs: Vec<PermissionNeed>,
    /// The smallest `[permissions]` for them.
    table: String,
    /// The comparison with the manifest, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<StaticComparison>,
}

/// Does it. A right that is imported and not asked for ends the command with 4.
pub(crate) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let (path, manifest) = read_package(&args.file, output)?;
    let bytes = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
    let report = caxton_package::inspect(&bytes);
    if report.imports.is_empty() && !report.reasons.is_empty() {
        let reasons = reasons_text(&report);
        return Err(Failure::new(Exit::Refused, reasons, ""));
    }
    let found = Found {
        needs: report.permissions_needed(),
        table: report.permissions_table(),
        manifest: manifest.map(|(manifest, _)| {
            let asked = manifest.permissions.into_keys().collect();
            report.compare_permissions(&asked)
        }),
    };
    output.value(&found, |found| found.table.clone())?;
    let Some(compared) = &found.manifest else {
        return Ok(());
    };
    for warning in compared.warnings() {
        output.note(&warning);
    }
    let errors = compared.errors();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Refused,
        errors.join("\n"),
        "add the rows above to [permissions], with the patterns that the module needs",
    ))
}
