//! Another program that does the same work: asked by lines, in turns with ours.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::row::failed;
use crate::failure::Failure;

/// The program of `bench-peers/`, at work.
pub(super) struct Peers {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peers {
    pub(super) fn start(program: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::file(program, &error))?;
        let no_pipe = || failed("the peers' program has no pipes");
        let orders = child.stdin.take().ok_or_else(no_pipe)?;
        let answers = child.stdout.take().ok_or_else(no_pipe)?;
        Ok(Self {
            child,
            orders: Some(orders),
            answers: BufReader::new(answers),
        })
    }
    fn ask(&mut self, order: &str) -> Result<String, Failure> {
        if let Some(orders) = &mut self.orders {
            writeln!(orders, "{order}")?;
        }
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(failed(format!("the peers' program ended at `{order}`")));
        }
        Ok(answer)
    }
    /// How long each of so many took.
    pub(super) fn times(&mut self, order: &str, count: usize) -> Result<Vec<Duration>, Failure> {
        let answer = self.ask(&format!("{order} {count}"))?;
        let nanos = answer.split_whitespace().map(str::parse);
        let times: Result<Vec<_>, _> = nanos.map(|nanos| nanos.map(Duration::from_nanos)).collect();
        times.map_err(failed)
    }
    /// Where its axum echoes, until this is dropped.
    pub(super) fn axum(&mut self) -> Result<SocketAddr, Failure> {
        self.ask("axum")?.trim().parse().map_err(failed)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // Without orders it ends.
        self.orders = None;
        // If it can't be waited for, it is gone.
        let _ = self.child.wait();
    }
}
