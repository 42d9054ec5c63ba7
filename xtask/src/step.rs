//! Runs the steps of a longer chore, measures them, and remembers which went wrong.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, Option<String>)>,
}

impl Steps {
    /// Runs a step; a failure is kept and the next step still runs.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<()>) -> bool {
        println!("\n== {name}");
        let begun = Instant::now();
        let failure = step().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            eprintln!("{name}: {failure}");
        }
        let well = failure.is_none();
        self.done.push((name.to_owned(), begun.elapsed(), failure));
        well
    }
    /// Prints what each step took.
    pub(crate) fn print(&self) {
        println!("\n== steps");
        for (name, took, failure) in &self.done {
            let verdict = if failure.is_none() { "ok" } else { "FAILED" };
            println!("{verdict:<7} {:>7.1} s  {name}", took.as_secs_f64());
        }
    }
    /// Ends the chore.
    ///
    /// Errors: names the steps that went wrong.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|step| step.2.is_some())
            .map(|step| step.0.as_str())
            .collect();
        anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }
}

/// Runs cargo in the repository, its output passed through.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> anyhow::Result<()> {
    cargo_with(root, args, &[])
}

/// Runs cargo with more environment.
pub(crate) fn cargo_with(root: &Path, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut command = Command::new(crate::cargo());
    command
        .args(args)
        .current_dir(root)
        .envs(env.iter().copied());
    // What the outer `cargo run` set for this program is not meant for the inner one.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_PKG_NAME",
        "CARGO_PKG_VERSION",
        "RUST_RECURSION_COUNT",
    ] {
        command.env_remove(name);
    }
    let status = command.status()?;
    anyhow::ensure!(status.success(), "cargo {}: {status}", args.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_does_not_stop_the_next_and_fails_the_whole() {
        let mut steps = Steps::default();
        assert!(!steps.run("one", || anyhow::bail!("broken")));
        assert!(steps.run("two", || Ok(())));
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: one");
    }
}
