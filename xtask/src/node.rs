//! A node of the built program, on a free port of the loopback, for chores that ask one.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};

/// The program that was built last.
pub(crate) fn program(root: &Path) -> PathBuf {
    root.join("target/release/caxton")
}

/// A node that ends when this is dropped.
pub(crate) struct Node {
    child: std::cell::RefCell<Child>,
    pub(crate) url: String,
    pub(crate) data: PathBuf,
}

impl Node {
    /// Starts one, with a vault whose key is beside the data.
    pub(crate) fn start(root: &Path, data: &Path) -> anyhow::Result<Self> {
        let program = program(root);
        let mut child = Command::new(&program)
            .args(["up", "--listen", "127.0.0.1:0", "--log", "error", "--data"])
            .arg(data)
            .env("CAXTON_VAULT_KEY", data.with_extension("vault-key"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                let shown = program.display();
                format!("cannot start {shown}; build it with `cargo build --release`")
            })?;
        let stdout = child.stdout.take();
        let mut node = Self {
            child: child.into(),
            url: String::new(),
            data: data.to_owned(),
        };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().strip_prefix("listening on ") {
            Some(url) => node.url = url.to_owned(),
            None => bail!("the node did not start: `{}`", line.trim()),
        }
        Ok(node)
    }

    pub(crate) fn lives(&self) -> anyhow::Result<bool> {
        Ok(self.child.borrow_mut().try_wait()?.is_none())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // Either is an error only if it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}
