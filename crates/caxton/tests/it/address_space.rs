//! A machine that gives the program little address space (`ulimit -v`): the cause is named at the start,
//! and where there is enough, agents run.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    command::{Done, guest, program, run},
    node::{NodeProcess, up_under},
};

const CAUSE: [&str; 3] = ["no address space", "ulimit -v unlimited", "help: "];

/// `caxton run` in so little address space.
fn run_in(gib: u64, home: &Path, module: &str, message: &str) -> Done {
    let limit = format!("ulimit -v {} && exec \"$@\"", gib << 20);
    let mut command = Command::new("sh");
    command
        .args(["-c", &limit, "sh"])
        .arg(program(home).get_program())
        .args(["run", &guest(module), "--message", message])
        .env("HOME", home);
    run(&mut command, b"")
}

#[test]
fn too_small_an_address_space_is_named_as_the_cause() {
    let home = tempfile::tempdir().unwrap();
    for (gib, is_enough) in [
        (1, false),
        (4, false),
        (8, false),
        (16, false),
        (64, false),
        (72, true),
    ] {
        let data = home.path().join(gib.to_string());
        let said = home.path().join("said");
        let mut command = up_under(&format!("-v {}", gib << 20), &data);
        command
            .stdin(Stdio::null())
            .stderr(File::create(&said).unwrap());
        let started = NodeProcess::try_start(&mut command, &data);
        let text = std::fs::read_to_string(&said).unwrap();
        match started {
            Ok(node) => {
                assert!(is_enough, "{gib} GiB: {text}");
                node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
                    .ok();
                node.caxton(&["send", "echo", "{}", "--wait", "20s"]).ok();
                assert_eq!(node.terminate(), 0, "{gib} GiB");
            }
            Err(code) => {
                assert!(!is_enough && code == 1, "{gib} GiB: {code} {text}");
                for words in CAUSE {
                    assert!(text.contains(words), "{gib} GiB: {text}");
                }
            }
        }
        let agent = run_in(gib, home.path(), "echo-c", "{}");
        match is_enough {
            true => drop(agent.ok()),
            false => drop(agent.fails(1, &CAUSE)),
        }
        // A processor has a pool of its own, which is as small as it must be.
        let processor = run_in(gib, home.path(), "reverse-bytes-c", "abc");
        match gib >= 64 {
            true => assert_eq!(processor.ok().stdout, "cba"),
            false => drop(processor.fails(1, &CAUSE)),
        }
    }
}
