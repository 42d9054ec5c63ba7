//! Runs the steps of a longer chore, measures them, and remembers what became of each.

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What became of a step. The order is that of the summary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// A tool is missing, so that the step could not be done at all.
    NotRun(String),
    Failed(String),
    Passed,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    outcome: Outcome,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verdict, reason) = match &self.outcome {
            Outcome::NotRun(reason) => ("NOT RUN", Some(reason)),
            Outcome::Failed(reason) => ("FAILED", Some(reason)),
            Outcome::Passed => ("ok", None),
        };
        let seconds = self.took.as_secs_f64();
        write!(f, "{verdict:<7} {seconds:>7.1} s  {}", self.name)?;
        match reason.and_then(|reason| reason.lines().next()) {
            Some(line) => write!(f, ": {line}"),
            None => Ok(()),
        }
    }
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
    missing: BTreeSet<&'static str>,
    /// Whether a step that could not be run fails the chore, as in CI.
    strict: bool,
}

impl Steps {
    /// With `strict`, nothing may be left out.
    pub(crate) fn new(strict: bool) -> Self {
        Self {
            strict,
            ..Self::default()
        }
    }

    /// Gets a tool for later steps, which are not run if it cannot be had.
    pub(crate) fn get<T>(
        &mut self,
        tool: &'static str,
        get: impl FnOnce() -> anyhow::Result<T>,
    ) -> Option<T> {
        let begun = Instant::now();
        let got = get();
        let outcome = match &got {
            Ok(_) => Outcome::Passed,
            Err(error) => {
                self.missing.insert(tool);
                Outcome::NotRun(format!("{error:#}"))
            }
        };
        self.end(&format!("tool: {tool}"), begun, outcome);
        got.ok()
    }

    /// Runs a step; a failure is kept and the next step still runs.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<()>) -> bool {
        self.run_with(name, &[], step)
    }

    /// Runs a step that needs tools, unless one of them could not be had.
    pub(crate) fn run_with(
        &mut self,
        name: &str,
        tools: &[&str],
        step: impl FnOnce() -> anyhow::Result<()>,
    ) -> bool {
        println!("\n== {name}");
        let begun = Instant::now();
        let outcome = match tools.iter().find(|tool| self.missing.contains(*tool)) {
            Some(tool) => Outcome::NotRun(format!("needs the tool `{tool}`")),
            None => match step() {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::Failed(format!("{error:#}")),
            },
        };
        self.end(name, begun, outcome)
    }

    fn end(&mut self, name: &str, begun: Instant, outcome: Outcome) -> bool {
        match &outcome {
            Outcome::NotRun(reason) => eprintln!("{name}: NOT RUN: {reason}"),
            Outcome::Failed(reason) => eprintln!("{name}: {reason}"),
            Outcome::Passed => {}
        }
        let passed = outcome == Outcome::Passed;
        self.done.push(Step {
            name: name.to_owned(),
            took: begun.elapsed(),
            outcome,
        });
        passed
    }

    /// What became of each step and how long it took: first what could not be run, then what failed.
    fn summary(&self) -> String {
        let mut order: Vec<&Step> = self.done.iter().collect();
        order.sort_by_key(|step| match step.outcome {
            Outcome::NotRun(_) => 0,
            Outcome::Failed(_) => 1,
            Outcome::Passed => 2,
        });
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        let lines: Vec<String> = order.iter().map(|step| format!("{step}\n")).collect();
        format!(
            "{}        {:>7.1} s  in all",
            lines.concat(),
            total.as_secs_f64()
        )
    }

    /// Prints the summary and ends the chore.
    ///
    /// Errors: names the steps that went wrong, and if `strict` those that could not be run.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        println!("\n== steps\n{}", self.summary());
        let names = |wanted: fn(&Outcome) -> bool| {
            let steps = self.done.iter().filter(|step| wanted(&step.outcome));
            let names: Vec<_> = steps.map(|step| step.name.as_str()).collect();
            names.join(", ")
        };
        let not_run = names(|outcome| matches!(outcome, Outcome::NotRun(_)));
        let failed = names(|outcome| matches!(outcome, Outcome::Failed(_)));
        anyhow::ensure!(
            not_run.is_empty() || !self.strict,
            "could not be run: {not_run}; failed: {}",
            if failed.is_empty() { "none" } else { &failed }
        );
        anyhow::ensure!(failed.is_empty(), "failed: {failed}");
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

    fn without_rust(strict: bool) -> Steps {
        let mut steps = Steps::new(strict);
        steps.run("build", || Ok(()));
        steps.run("lints", || anyhow::bail!("unused variable\nat line 7"));
        let got = steps.get("rust", || {
            anyhow::bail!("rustc-web is version 1.85, and version 1.96 or newer is needed")
                as anyhow::Result<()>
        });
        assert!(got.is_none());
        steps.run_with("guests in rust", &["rust"], || {
            panic!("its tool is missing")
        });
        steps
    }

    #[test]
    fn the_summary_names_first_what_could_not_be_run() {
        let summary = without_rust(false).summary();
        let lines: Vec<_> = summary.lines().collect();
        assert!(
            lines[0].starts_with("NOT RUN")
                && lines[0].contains("tool: rust: rustc-web is version 1.85")
        );
        assert!(
            lines[1].starts_with("NOT RUN")
                && lines[1].ends_with("guests in rust: needs the tool `rust`")
        );
        assert!(lines[2].starts_with("FAILED") && lines[2].ends_with("lints: unused variable"));
        assert!(lines[3].starts_with("ok") && lines[3].ends_with("build"));
        assert!(lines[4].ends_with("in all"));
    }

    #[test]
    fn where_nothing_may_be_left_out_a_missing_tool_is_a_failure() {
        let error = without_rust(true).finish().unwrap_err().to_string();
        assert_eq!(
            error,
            "could not be run: tool: rust, guests in rust; failed: lints"
        );
        let mut steps = Steps::new(false);
        steps.get("go", || anyhow::bail!("no network") as anyhow::Result<()>);
        steps.finish().unwrap();
    }
}
