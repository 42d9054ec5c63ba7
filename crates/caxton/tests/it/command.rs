//! One call of the program: what it printed, and the number it ended with.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What a call did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// It worked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
    /// It ended with this number and said all of this on stderr, with a remedy.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "stderr does not say `{word}`: {self:#?}"
            );
        }
        self
    }
    /// Its stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The program with an environment of its own: no variable, no data of whoever runs the tests.
pub(crate) fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caxton"));
    command
        .env_clear()
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("data"));
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs it in a home of its own.
pub(crate) fn caxton(args: &[&str]) -> Done {
    let home = tempfile::tempdir().unwrap();
    run(program(home.path()).args(args), b"")
}

/// Runs it with an input.
pub(crate) fn caxton_with(args: &[&str], input: &[u8]) -> Done {
    let home = tempfile::tempdir().unwrap();
    run(program(home.path()).args(args), input)
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it; that is no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A committed guest's file.
pub(crate) fn guest(name: &str) -> String {
    format!(
        "{}/../../guests/prebuilt/{name}.wasm",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// A guest written as text, made into a file.
pub(crate) fn text_guest(folder: &Path, name: &str) -> String {
    let source = format!("{}/../../guests/wat/{name}.wat", env!("CARGO_MANIFEST_DIR"));
    let path: PathBuf = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, wat::parse_file(source).unwrap()).unwrap();
    path.display().to_string()
}
