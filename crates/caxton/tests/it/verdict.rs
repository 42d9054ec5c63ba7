//! One verdict on a module, whether it is looked at or deployed.

use crate::{
    command::{Done, caxton},
    node::NodeProcess,
};

/// An agent with these fields beside its handler.
fn agent(fields: &str) -> String {
    format!(
        r#"(module {fields} (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#
    )
}

const MEMORY: &str = r#"(memory (export "memory") 1)"#;

#[test]
fn inspect_accepts_what_a_node_deploys_and_refuses_the_rest_with_the_same_cause() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(&home.path().join("node"), &[]);
    let file = home.path().join("guest.wasm");
    let path = file.to_str().unwrap();
    let judged = |text: &str, flags: &[&str]| -> [Done; 3] {
        std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
        let deploy = ["agent", "deploy", path, "--name", "guest"];
        let deployed = node.caxton(&[&deploy[..], flags].concat());
        if deployed.code == 0 {
            node.caxton(&["agent", "remove", "guest"]).ok();
        }
        let run = ["run", path, "--message", "{}", "--wait", "1s"];
        [
            caxton(&[&["inspect", path][..], flags].concat()),
            deployed,
            caxton(&[&run[..], flags].concat()),
        ]
    };
    let large = agent(r#"(memory (export "memory") 900 65536)"#);
    let table = agent(&format!("{MEMORY} (table 30000 funcref)"));
    let outside = agent(&format!(r#"{MEMORY} (data (i32.const 65535) "ab")"#));
    for (text, flags, words) in [
        (&agent(MEMORY), &[][..], None),
        (&agent(r#"(memory (export "memory") 1 65536)"#), &[], None),
        (&large, &[], Some("--limit memory=57MiB")),
        (&large, &["--limit", "memory=57MiB"], None),
        (&table, &[], Some("--limit table_elements=30000")),
        (&table, &["--limit", "table_elements=30000"], None),
        (
            &agent(MEMORY),
            &["--limit", "module_bytes=20"],
            Some("--limit module_bytes=1MiB"),
        ),
        (&outside, &[], Some("data segment 0")),
    ] {
        for done in judged(text, flags) {
            match words {
                None => assert_eq!(done.code, 0, "{text}: {done:#?}"),
                Some(words) => {
                    assert_ne!(done.code, 0, "{text}: {done:#?}");
                    assert!(done.stderr.contains(words), "{text}: {done:#?}");
                }
            }
        }
    }
    let traps = agent(&format!("{MEMORY} (func $s unreachable) (start $s)"));
    let [inspected, deployed, run] = judged(&traps, &[]);
    let said = "its start function: not run by an inspection";
    assert!(inspected.ok().stdout.contains(said));
    assert!(
        deployed.code != 0 && run.code != 0,
        "{deployed:#?} {run:#?}"
    );
}

#[test]
fn inspect_judges_a_package_under_its_own_limits() {
    let folder = tempfile::tempdir().unwrap();
    let module = agent(r#"(memory (export "memory") 900)"#);
    let module = wat::parse_str(module).unwrap();
    std::fs::write(folder.path().join("a.wasm"), module).unwrap();
    let write = |memory: &str| {
        let head = "[package]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"agent\"\nmodule = \"a.wasm\"\n[build]\ncommand = \"true\"\n";
        let text = format!("{head}[limits]\nmemory = \"{memory}\"\n");
        std::fs::write(folder.path().join("caxton.toml"), text).unwrap();
    };
    let package = folder.path().display().to_string();
    for command in ["inspect", "build"] {
        write("56MiB");
        caxton(&[command, &package]).fails(4, &["`memory` is 56 MiB", "memory=57MiB"]);
        write("57MiB");
        caxton(&[command, &package]).ok();
    }
    caxton(&["inspect", &package, "--limit", "memory=1MiB"]).fails(4, &["`memory` is 1 MiB"]);
}
