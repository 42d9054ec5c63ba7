//! `caxton build`: a project's module, by the project's own command, then checked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use caxton_model::ByteSize;
use serde::Serialize;

use crate::{
    commands::{agent::read_manifest, inspect, missing_tool},
    failure::{Exit, Failure},
    output::{Output, one_line},
};

/// Which project.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// What was built, as printed.
#[derive(Serialize)]
struct Built {
    module: String,
    digest: String,
    bytes: u64,
    form: Option<&'static str>,
    permissions: Vec<caxton_model::Permission>,
    warnings: Vec<String>,
}

/// Does it. The command's own output goes to stderr.
pub(crate) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let file = args.folder.join("caxton.toml");
    let (manifest, _) = read_manifest(&file)?;
    for note in manifest.notes() {
        output.note(&note);
    }
    let Some(command) = &manifest.build else {
        return Err(Failure::usage(
            format!("{} has no `[build] command`", file.display()),
            "add the command that makes the module, such as `make`",
        ));
    };
    build(command, &args.folder, output)?;
    let module = args.folder.join(&manifest.module);
    let bytes = fs::read(&module).map_err(|error| {
        Failure::usage(
            format!("`{command}` made no {}: {error}", module.display()),
            "make `package.module` and `build.command` in caxton.toml agree",
        )
    })?;
    let verdict = inspect::verify(bytes, &manifest.limits)?;
    let report = match &verdict {
        Ok(verified) => verified.report(),
        Err(refused) => &*refused.report,
    };
    let built = Built {
        module: module.display().to_string(),
        digest: report.digest.to_string(),
        bytes: report.size_bytes,
        form: report.form.map(caxton_package::Form::what),
        permissions: report.permissions.clone(),
        warnings: report.warnings.clone(),
    };
    for warning in &built.warnings {
        output.note(warning);
    }
    if let Some(kind) = report.kind.filter(|kind| *kind != manifest.kind) {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "the manifest says `{}`, the module is for `{kind}`",
                manifest.kind
            ),
            "correct `package.kind` in caxton.toml",
        ));
    }
    if !report.reasons.is_empty() {
        return Err(Failure::new(
            Exit::Refused,
            inspect::reasons_text(report),
            "mend the source and build again",
        ));
    }
    output.value(&built, |built| {
        format!(
            "{}  {}  {}",
            one_line(&built.module),
            ByteSize(built.bytes),
            built.form.unwrap_or_default()
        )
    })
}

/// Runs the command in the project's folder, through the shell that its author wrote it for.
fn build(command: &str, folder: &Path, output: &Output) -> Result<(), Failure> {
    let progress = output.shows_progress().then(|| {
        let bar = indicatif::ProgressBar::new_spinner();
        bar.set_message(format!("building: {}", one_line(command)));
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        bar
    });
    let begun = Instant::now();
    let done = Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(folder)
        .output();
    if let Some(progress) = progress {
        progress.finish_and_clear();
    }
    let done = done.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("`sh` can't be started: {error}"),
            "install a shell",
        )
    })?;
    if done.status.success() {
        output.note(&format!("built in {:.1} s", begun.elapsed().as_secs_f64()));
        return Ok(());
    }
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(missing_tool::find(command, &said).unwrap_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("`{command}` failed ({}):\n{}", done.status, said.trim_end()),
            "correct what the compiler reports; the project's README names the tools it needs",
        )
    }))
}
