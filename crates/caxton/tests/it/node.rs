//! A node as a process of its own: started, found by its one line, stopped, killed.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use caxton_client::CaxtonClient;
use tempfile::TempDir;

use crate::command::{Done, program, run};

/// A node that runs, in a home of its own unless it shares one.
pub(crate) struct NodeProcess {
    child: Child,
    pub(crate) url: String,
    pub(crate) data: PathBuf,
    pub(crate) started_in: Duration,
    _home: Option<TempDir>,
}

/// The call that starts a node over a directory.
pub(crate) fn up(data: &Path) -> Command {
    let mut command = program(data);
    command
        .args(["up", "--listen", "127.0.0.1:0", "--log", "warn", "--data"])
        .arg(data)
        .stdin(Stdio::null());
    command
}

/// The same under a limit that the shell's `ulimit` sets, such as `-n 200`.
pub(crate) fn up_under(limit: &str, data: &Path) -> Command {
    let node = up(data);
    let mut command = Command::new("sh");
    command
        .env_clear()
        .envs(
            node.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"])
        .arg(node.get_program())
        .args(node.get_args())
        .stdin(Stdio::null());
    command
}

impl NodeProcess {
    /// A node with a new directory.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut node = Self::start_in(home.path(), &[]);
        node._home = Some(home);
        node
    }
    /// A node over a directory; it may have run there before.
    pub(crate) fn start_in(data: &Path, more: &[&str]) -> Self {
        Self::start_by(up(data).args(more), data)
    }
    /// The same; what it says on stderr goes into a file.
    pub(crate) fn start_said(data: &Path, said: &Path) -> Self {
        Self::start_by(up(data).stderr(File::create(said).unwrap()), data)
    }
    /// A node by a call of [`up`], with more of its own.
    pub(crate) fn start_by(command: &mut Command, data: &Path) -> Self {
        Self::try_start(command, data)
            .unwrap_or_else(|code| panic!("the node did not start; it ended with {code}"))
    }
    /// The same; the number that the call ended with where no node has started.
    pub(crate) fn try_start(command: &mut Command, data: &Path) -> Result<Self, i32> {
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            return Err(child.wait().unwrap().code().unwrap_or(-1));
        };
        Ok(Self {
            child,
            url: url.to_owned(),
            data: data.to_owned(),
            started_in: begun.elapsed(),
            _home: None,
        })
    }
    /// A command about this node.
    pub(crate) fn caxton(&self, args: &[&str]) -> Done {
        run(
            program(&self.data).args(args).arg("--data").arg(&self.data),
            b"",
        )
    }
    /// A client with the operator's token.
    pub(crate) fn client(&self) -> CaxtonClient {
        let token = std::fs::read_to_string(self.data.join("admin-token")).unwrap();
        CaxtonClient::with_token(&self.url, token.trim()).unwrap()
    }
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
    /// What of it is in memory. Unit: bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }
    /// Files and sockets it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(path).unwrap().count()
    }
    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// SIGTERM; the number it ends with.
    pub(crate) fn terminate(self) -> i32 {
        self.end_by("-TERM")
    }
    /// A signal; the number it ends with.
    pub(crate) fn end_by(self, signal: &str) -> i32 {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(killed.success());
        self.ended()
    }
    /// Waits until it ends of its own; the number it ends with.
    pub(crate) fn ended(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Either is an error only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
