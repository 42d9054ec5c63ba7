//! Runs the command blocks of the documents, and compares what they print with what the pages show.
//!
//! The `sh` blocks of a page are one shell session, in order, beside a node of its own. A `text` or
//! `json` block that follows one, with only blank lines or a line that ends with `:` between, is what it
//! prints on stdout; `…` in it stands for anything, and a line that is only `…` for any lines.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    node::Node,
    step::Steps,
    toolchains::{Tool, Toolchains, cargo_home},
};

/// What is not run as it is written: how a line begins, what is run instead, and why.
const INSTEAD: [(&str, &str, &str); 11] = [
    (
        "cargo run --release -- demo",
        "caxton demo --exit",
        "the demo waits for Ctrl-C; the program is built already",
    ),
    ("cargo xtask test", ":", "it is what runs these blocks"),
    ("cargo build --release", ":", "the program is built already"),
    (
        "./target/release/caxton up",
        ":",
        "the node of the page runs already",
    ),
    (
        "caxton up --vault-key",
        ":",
        "the node of the page runs already, with a vault",
    ),
    (
        "cargo build --profile dist",
        ":",
        "another profile alone, and many minutes",
    ),
    (
        "caxton up --listen 0.0.0.0:8443",
        ":",
        "it would listen beyond this machine; the server's tests speak TLS on the loopback",
    ),
    (
        "caxton doctor",
        ":",
        "a test runs it, on a node and on its own",
    ),
    (
        "caxton bench",
        ":",
        "minutes; the quick one is a step of `cargo xtask test`",
    ),
    ("cargo xtask bench", ":", "minutes"),
    (
        "cargo test --release -p caxton-sim",
        ":",
        "a step of `cargo xtask test`",
    ),
];

/// The address that the pages show; the node of a page has another port.
const SHOWN_URL: &str = "http://127.0.0.1:8080";

/// A page's session may take this long; a Rust project is built in it. Unit: seconds.
const SESSION_SECONDS_MAX: &str = "600";

/// How long a command that follows something runs. Unit: seconds.
const FOLLOW_SECONDS: u32 = 3;

/// What `timeout` answers if it ended the command.
const TIMED_OUT: u32 = 124;

/// A block of commands.
#[derive(Debug)]
struct Block {
    /// The line of its first command, from 1.
    line: usize,
    commands: String,
    /// What the page says that it prints.
    shown: Option<String>,
}

/// `README.md` and the pages of `docs/` that have commands, each as a step.
pub(crate) fn add(steps: &mut Steps, root: &Path) -> anyhow::Result<()> {
    for page in all(root)? {
        let text = fs::read_to_string(root.join(&page))?;
        if blocks(&text).is_empty() {
            continue;
        }
        let builds = text.contains("caxton build");
        let tools: &[&str] = if builds { &["rust"] } else { &[] };
        let name = format!("documented commands: {page}");
        steps.run_with(&name, tools, || {
            let tool = builds.then(|| Toolchains::of(root)?.rust()).transpose()?;
            let session = Session::with_node(root, tool.as_ref())?;
            session.run(&text)
        });
    }
    Ok(())
}

fn all(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root.join("docs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    Ok(pages)
}

/// A folder and an environment to run a page in.
pub(crate) struct Session {
    folder: PathBuf,
    env: Vec<(String, String)>,
    /// In place of [`SHOWN_URL`].
    url: String,
    /// The node and its home; both end with the session.
    _node: Option<(Node, tempfile::TempDir)>,
}

impl Session {
    /// In a folder that is there, with the environment of a tool and without a node. The home is the
    /// user's, since it may configure the package managers.
    pub(crate) fn in_folder(root: &Path, folder: &Path, tool: &Tool) -> anyhow::Result<Self> {
        Self::new(root, folder.to_owned(), None, Some(tool))
    }

    /// In an empty folder, beside a node in the home's usual data directory.
    fn with_node(root: &Path, tool: Option<&Tool>) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let folder = home.path().join("work");
        fs::create_dir(&folder)?;
        // The pages name the guests as from the repository's root.
        std::os::unix::fs::symlink(root.join("guests"), folder.join("guests"))?;
        let node = Node::start(root, &home.path().join(".local/share/caxton"))?;
        Self::new(root, folder, Some((node, home)), tool)
    }

    fn new(
        root: &Path,
        folder: PathBuf,
        node: Option<(Node, tempfile::TempDir)>,
        tool: Option<&Tool>,
    ) -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let built = [root.join("target/release")];
        let beside = tool
            .and_then(|tool| tool.program.parent())
            .map(Path::to_owned);
        let path = built
            .into_iter()
            .chain(beside.filter(|folder| folder.is_absolute()))
            .chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path)?.to_string_lossy().into_owned();
        let mut env: Vec<(String, String)> = tool.map(|tool| tool.env.clone()).unwrap_or_default();
        // Tests are run natively; the projects' builds name their target themselves.
        env.retain(|(name, _)| !matches!(name.as_str(), "GOOS" | "GOARCH"));
        let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
        let rustup = rustup.or_else(|| Some(std::env::home_dir()?.join(".rustup")));
        for (name, value) in [
            ("RUSTUP_HOME", rustup.context("no home folder is known")?),
            ("CARGO_HOME", cargo_home()?),
        ] {
            env.push((name.to_owned(), value.display().to_string()));
        }
        env.push(("PATH".to_owned(), path));
        let mut url = String::new();
        if let Some((node, home)) = &node {
            env.push(("HOME".to_owned(), home.path().display().to_string()));
            url.clone_from(&node.url);
        }
        Ok(Self {
            folder,
            env,
            url,
            _node: node,
        })
    }

    /// Runs the blocks of a page and compares what each printed.
    pub(crate) fn run(&self, page: &str) -> anyhow::Result<()> {
        let blocks = blocks(page);
        ensure!(!blocks.is_empty(), "the page has no command block");
        let mut script = String::new();
        for block in &blocks {
            script.push_str(&format!("printf '{MARK}\\n'\n"));
            script.push_str(&adapted(&block.commands, &self.url));
        }
        let mut shell = Command::new("timeout");
        shell
            .args([SESSION_SECONDS_MAX, "sh", "-eu", "-c", &script])
            .current_dir(&self.folder);
        for name in [
            "CAXTON_URL",
            "CAXTON_DATA",
            "CAXTON_TOKEN",
            "CAXTON_CONFIG",
            "XDG_DATA_HOME",
            "CARGO_TARGET_DIR",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
        ] {
            shell.env_remove(name);
        }
        let output = shell
            .envs(self.env.iter().cloned())
            .output()
            .context("cannot start a shell")?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let printed: Vec<&str> = stdout.split(&format!("{MARK}\n")).skip(1).collect();
        if !output.status.success() {
            let block = printed
                .len()
                .checked_sub(1)
                .and_then(|last| blocks.get(last));
            bail!(
                "line {}: the commands ended with {}:\n{}{}",
                block.map_or(0, |block| block.line),
                output.status,
                printed.last().unwrap_or(&""),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        for (block, printed) in blocks.iter().zip(printed) {
            let Some(shown) = &block.shown else { continue };
            let fits = fits(&lines(shown), &lines(printed));
            ensure!(
                fits,
                "line {}: the page shows\n{shown}\nand the commands print\n{printed}",
                block.line
            );
        }
        Ok(())
    }
}

/// Between the outputs of two blocks.
const MARK: &str = "==== the next block ====";

/// A page's blocks of commands, each with the output that the page shows.
fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    // Whether nothing that parts them was read since the last block of commands.
    let mut adjacent = false;
    let mut lines = page.lines().zip(1..);
    while let Some((line, at)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            adjacent &= line.trim().is_empty() || line.ends_with(':');
            continue;
        };
        let inside = lines
            .by_ref()
            .map(|(line, _)| line)
            .take_while(|line| *line != "```");
        let text: String = inside.flat_map(|line| [line, "\n"]).collect();
        match (language, found.last_mut()) {
            ("sh", _) => found.push(Block {
                line: at + 1,
                commands: text,
                shown: None,
            }),
            ("text" | "json", Some(block)) if adjacent => block.shown = Some(text),
            _ => {}
        }
        adjacent = language == "sh";
    }
    found
}

/// The commands as they are run here.
fn adapted(commands: &str, url: &str) -> String {
    commands
        .lines()
        .map(|line| adapted_line(line, url))
        .collect()
}

fn adapted_line(line: &str, url: &str) -> String {
    if let Some((_, instead, _)) = INSTEAD.iter().find(|(begin, _, _)| line.starts_with(begin)) {
        return format!("{instead}\n");
    }
    let line = line.replace(SHOWN_URL, url);
    if !line.contains(" --follow") {
        return line + "\n";
    }
    // It ends only at Ctrl-C: here it is ended soon, and may not have failed before.
    let command = line.split(" #").next().unwrap_or(&line);
    format!("timeout {FOLLOW_SECONDS} {command} || [ $? = {TIMED_OUT} ]\n")
}

/// Without the blanks at the ends, which no page can show.
fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

/// Whether printed lines are those that are shown.
fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((line, rest)), None) => line.trim() == "…" && fits(rest, printed),
        (Some((line, rest)), Some((_, later))) if line.trim() == "…" => {
            fits(rest, printed) || fits(shown, later)
        }
        (Some((line, rest)), Some((first, later))) => line_fits(line, first) && fits(rest, later),
        _ => false,
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        Some((begin, rest)) => printed.strip_prefix(begin).is_some_and(|later| {
            let ends = later.char_indices().map(|(at, _)| at).chain([later.len()]);
            ends.into_iter()
                .any(|at| later.get(at..).is_some_and(|tail| line_fits(rest, tail)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pages_blocks_are_found_with_what_they_print() {
        let page = "# Page\n\n```sh\na\nb\n```\n\n```text\nout\n```\n\n```sh\nc\n```\nprose.\n```json\n{}\n```\n```toml\nx\n```\n";
        let found: Vec<_> = blocks(page)
            .into_iter()
            .map(|block| (block.line, block.commands, block.shown))
            .collect();
        assert_eq!(
            found,
            [
                (4, "a\nb\n".to_owned(), Some("out\n".to_owned())),
                (13, "c\n".to_owned(), None)
            ]
        );
    }

    #[test]
    fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
        assert!(line_fits("accepted … (durable)", "accepted m-17 (durable)"));
        assert!(line_fits("…", "") && line_fits("a…b…c", "abc"));
        assert!(!line_fits("a…b", "ac") && !line_fits("a", "a b"));
        assert!(fits(&["a", "…", "z"], &["a", "b", "c", "z"]));
        assert!(fits(&["a", "…"], &["a"]));
        assert!(
            !fits(&["a", "…", "z"], &["a", "b"])
                && !fits(&["a"], &["a", "b"])
                && !fits(&["a"], &[])
        );
    }

    #[test]
    fn what_a_session_prints_is_compared_and_a_failure_names_its_line() {
        let (root, folder) = (crate::root(), tempfile::tempdir().unwrap());
        let tool = Tool {
            program: "sh".into(),
            args: Vec::new(),
            env: Vec::new(),
            fingerprint: String::new(),
        };
        let session = Session::in_folder(&root, folder.path(), &tool).unwrap();
        session
            .run("```sh\nx=1\n```\n```sh\necho $x$x\n```\n```text\n1…\n```\n")
            .unwrap();
        let error = session
            .run("```sh\necho 1\n```\n```text\n2\n```\n")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 2: the page shows\n2"), "{error}");
        let error = session
            .run("```sh\ntrue\n```\n```sh\necho why >&2; false\n```\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("line 5: ") && error.contains("why"),
            "{error}"
        );
    }

    #[test]
    fn a_command_that_follows_is_ended_and_its_own_failure_counts() {
        let line = adapted_line("sh -c 'exit 1' --follow    # soon", "");
        let ends = |line: &str| {
            Command::new("sh")
                .args(["-c", line])
                .status()
                .unwrap()
                .success()
        };
        assert!(!ends(&line), "{line}");
        assert!(ends(&adapted_line("tail --follow /dev/null", "")));
    }

    /// A block without a language would be run by nobody; a line of the table that no page has is left over.
    #[test]
    fn every_block_has_a_language_and_every_replacement_a_page() {
        let root = crate::root();
        let mut commands = String::new();
        for page in all(&root).unwrap() {
            let text = fs::read_to_string(root.join(&page)).unwrap();
            let mut fences = text.lines().filter(|line| line.starts_with("```"));
            while let Some(begin) = fences.next() {
                assert_ne!(begin, "```", "{page}: a block names its language");
                fences.next();
            }
            commands.extend(blocks(&text).into_iter().map(|block| block.commands));
        }
        for (begin, _, reason) in INSTEAD {
            assert!(
                commands.lines().any(|line| line.starts_with(begin)),
                "no page has `{begin}`"
            );
            assert!(!reason.is_empty());
        }
    }
}
