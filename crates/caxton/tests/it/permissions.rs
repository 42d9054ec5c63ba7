//! What an agent may do: its manifest's request, the operator's grants, the site's policy; and learning it.

use std::path::{Path, PathBuf};

use crate::{
    access::{Outside, ask, log_says, replies},
    command::{Done, caxton},
    node::NodeProcess,
};

/// A package of `fetch.wat` with these rows of `[permissions]`.
fn package(folder: &Path, version: &str, rows: &str) -> PathBuf {
    let module = wat::parse_str(include_str!("fetch.wat")).unwrap();
    write_package(folder, version, rows, &module)
}

fn write_package(folder: &Path, version: &str, rows: &str, module: &[u8]) -> PathBuf {
    std::fs::write(folder.join("fetch.wasm"), module).unwrap();
    let file = folder.join("caxton.toml");
    let text = format!(
        "[package]\nname = \"fetch\"\nversion = \"{version}\"\nkind = \"agent\"\n\
         module = \"fetch.wasm\"\n[permissions]\n{rows}\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// Deploys a package, or updates to it; the agent asks for `/things` of the server.
fn put(node: &NodeProcess, verb: &[&str], file: &Path, outside: &Outside, more: &[&str]) -> Done {
    let url = format!("url=http://{}/things", outside.address);
    let file = file.to_str().unwrap();
    let set = ["--set", &url, "--limit", "wall=60s"];
    node.caxton(&[&["agent"], verb, &[file], &set, more].concat())
}

#[test]
fn what_a_manifest_asks_for_is_granted_by_the_command_that_the_answer_names() {
    let (node, outside) = (NodeProcess::start(), Outside::start());
    let folder = tempfile::tempdir().unwrap();
    let there = outside.address;
    let none = package(folder.path(), "1.0.0", "");
    put(&node, &["deploy"], &none, &outside, &[]).fails(4, &["does not ask for `http:read`"]);

    let row = format!("\"http:read\" = {{ to = [\"{there}/things\"], reason = \"reads things\" }}");
    let file = package(folder.path(), "1.0.0", &row);
    let said = put(&node, &["deploy"], &file, &outside, &[]).ok().stderr;
    let rule = format!("http:read={there}/things");
    let command = format!("caxton grant fetch '{rule}'");
    assert!(
        said.contains(&command) && said.contains("(reads things)"),
        "{said}"
    );
    ask(&node);
    log_says(&node, &command);
    assert!(outside.requests.try_recv().is_err(), "a request left");
    node.caxton(&["grant", "fetch", &rule, "--reason", "agreed"])
        .ok();
    ask(&node);
    outside.next().1.send(()).unwrap();
    replies(&node, 1);
    let detail = node
        .caxton(&["agent", "inspect", "fetch", "--output", "json"])
        .ok()
        .json();
    assert_eq!(detail["requested"][0]["rule"], rule.as_str(), "{detail}");
    let grant = &detail["grants"][0];
    assert_eq!(
        (&grant["rule"], &grant["requested"]),
        (&rule.as_str().into(), &true.into())
    );
    assert_eq!(grant["reason"], "agreed", "{grant}");
    let text = node.caxton(&["agent", "inspect", "fetch"]).ok().stdout;
    assert!(
        text.contains("ASKED FOR") && text.contains("agreed"),
        "{text}"
    );

    // What is granted beyond the request gives nothing.
    node.caxton(&["grant", "fetch", "net:tcp=db.example.com:5432"])
        .fails(2, &["does nothing behind"]);
    let wide = format!("http:write={there}/**");
    node.caxton(&["grant", "fetch", &wide]).ok();
    let listed = node.caxton(&["grant", "fetch"]).ok().stdout;
    assert!(listed.contains("no: it gives nothing"), "{listed}");
}

#[test]
fn an_update_that_asks_for_more_shows_what_changes_and_gets_no_more_than_is_granted() {
    let (node, outside) = (NodeProcess::start(), Outside::start());
    let folder = tempfile::tempdir().unwrap();
    let there = outside.address;
    let row = |to: &str, reason: &str| {
        format!("\"http:read\" = {{ to = [{to}], reason = \"{reason}\" }}\n")
    };
    let narrow = row(&format!("\"{there}/other\""), "reads others");
    let file = package(folder.path(), "1.0.0", &narrow);
    let grants = ["--grant", &format!("http:read={there}/**")];
    put(&node, &["deploy"], &file, &outside, &grants).ok();
    // The grant takes it, and the manifest does not ask for it.
    ask(&node);
    log_says(&node, "its manifest does not ask for it");
    assert!(outside.requests.try_recv().is_err(), "a request left");

    let rows = row(&format!("\"{there}/things\""), "reads things")
        + &format!("\"http:write\" = {{ to = [\"POST {there}/x\"], reason = \"writes\" }}");
    let file = package(folder.path(), "2.0.0", &rows);
    let said = put(&node, &["update", "fetch"], &file, &outside, &[])
        .ok()
        .stderr;
    for wanted in [
        format!("widened: http:read={there}/things (reads things)"),
        format!("dropped: without http:read={there}/other (reads others)"),
        format!("new: http:write=POST {there}/x (writes)"),
        format!("caxton grant fetch 'http:write=POST {there}/x'"),
    ] {
        assert!(said.contains(&wanted), "no `{wanted}` in: {said}");
    }
    // The new version asks for what had been granted.
    ask(&node);
    outside.next().1.send(()).unwrap();
    replies(&node, 1);
    // Back to the request of the version before, also after a restart.
    node.caxton(&["agent", "rollback", "fetch"]).ok();
    ask(&node);
    let refused = node
        .caxton(&["agent", "inspect", "fetch", "--output", "json"])
        .ok()
        .json();
    let rule = format!("http:read={there}/other");
    assert_eq!(refused["requested"][0]["rule"], rule.as_str(), "{refused}");
    assert!(outside.requests.try_recv().is_err(), "a request left");
}

#[test]
fn the_policy_of_a_site_grants_by_itself_and_forbids_whatever_is_granted() {
    let outside = Outside::start();
    let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let there = outside.address;
    let policy = folder.path().join("policy.toml");
    let named = policy.to_str().unwrap().to_owned();
    let line = |kind: &str, path: &str| {
        format!("[[{kind}]]\npermission = \"http:read\"\npattern = \"{there}{path}\"\n")
    };
    std::fs::write(
        &policy,
        line("allow", "/things") + &line("forbid", "/secret"),
    )
    .unwrap();
    let up = ["--policy", &named];
    let node = NodeProcess::start_in(home.path(), &up);
    let row = format!("\"http:read\" = {{ to = [\"{there}/things\", \"{there}/secret\"] }}");
    let file = package(folder.path(), "1.0.0", &row);
    let said = put(&node, &["deploy"], &file, &outside, &[]).ok().stderr;
    assert!(said.contains(&format!("{named}:4 forbids it")), "{said}");
    ask(&node);
    outside.next().1.send(()).unwrap();
    replies(&node, 1);
    let listed = node.caxton(&["grant", "fetch"]).ok().stdout;
    assert!(listed.contains(&format!("{named}:1")), "{listed}");
    let secret = format!("http:read={there}/secret");
    node.caxton(&["grant", "fetch", &secret])
        .fails(4, &[&format!("{named}:4")]);
    let forbidden = ["--grant", &secret, "--name", "other"];
    put(&node, &["deploy"], &file, &outside, &forbidden).fails(4, &[&format!("{named}:4")]);
    assert_eq!(node.terminate(), 0);

    // What was granted while the policy allowed it is forbidden by another one after the start.
    std::fs::write(&policy, line("forbid", "")).unwrap();
    let node = NodeProcess::start_in(home.path(), &up);
    ask(&node);
    log_says(&node, &format!("{named}:1"));
    assert!(outside.requests.try_recv().is_err(), "a request left");
    assert_eq!(node.terminate(), 0);
    std::fs::write(&policy, "[[forbid]]\npermission = \"http:raed\"\n").unwrap();
    let wrong = caxton(&["policy", "test", &named]);
    wrong.fails(2, &[&format!("{named}:1: "), "did you mean `http:read`"]);
}

#[test]
fn a_policy_stands_above_processors_and_messages_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let lines = "[[forbid]]\nnamespace = \"guests\"\n\
                 [[forbid]]\npermission = \"message:send\"\npattern = \"acme/*\"\n";
    std::fs::write(&policy, lines).unwrap();
    let named = policy.to_str().unwrap();
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &["--policy", named]);
    let reverse = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../guests/prebuilt/reverse-bytes-c.wasm")
        .display()
        .to_string();
    let deploy = |name: &str| node.caxton(&["processor", "deploy", &reverse, "--name", name]);
    deploy("reverse").ok();
    deploy("guests/reverse").fails(4, &[&format!("{named}:1")]);
    let module = folder.path().join("fetch.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("fetch.wat")).unwrap()).unwrap();
    let send = [
        "--grant",
        "http:read=a.example",
        "--grant",
        "message:send=acme/x",
    ];
    let agent = ["agent", "deploy", module.to_str().unwrap()];
    node.caxton(&[&agent[..], &send].concat())
        .fails(4, &[&format!("{named}:3")]);
    node.caxton(&[&agent[..], &send[..2]].concat()).ok();
}

#[test]
fn a_policy_explains_its_decisions_by_their_lines_and_runs_its_own_tests() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let lines = "[[forbid]]\nnamespace = \"guests\"\npermission = \"http:read\"\n\
                 pattern = \"evil.example\"\nreason = \"known to be bad\"\n\
                 [[test]]\nnamespace = \"guests\"\npermission = \"http:read\"\n\
                 pattern = \"evil.example/x\"\nexpect = \"forbid\"\n";
    std::fs::write(&policy, lines).unwrap();
    let file = policy.to_str().unwrap();
    let check = |agent: &str| {
        let rule = "http:read=evil.example/x";
        caxton(&[
            "policy",
            "check",
            file,
            "--agent",
            agent,
            "--permission",
            rule,
        ])
        .ok()
        .stdout
    };
    let said = check("guests/fetch");
    assert!(
        said.contains(&format!("forbidden by {file}:1 (known to be bad)")),
        "{said}"
    );
    assert!(check("fetch").contains("for a person to decide"));
    assert!(
        caxton(&["policy", "check", file, "--agent", "a"])
            .ok()
            .stdout
            .contains("allowed")
    );
    let held = caxton(&["policy", "test", file]).ok().stdout;
    assert_eq!(held.trim(), "1 of 1 test passed");
    std::fs::write(&policy, format!("{lines}[[test]]\nexpect = \"ask\"\n")).unwrap();
    caxton(&["policy", "test", file]).fails(1, &[&format!("{file}:11: expected `ask`")]);
}

/// A guest that makes each of these requests and returns 1 where any was refused.
fn asks(requests: &[(&str, String)]) -> Vec<u8> {
    let (mut data, mut calls) = (String::new(), String::new());
    for (number, (method, url)) in requests.iter().enumerate() {
        let (at, json) = (
            1_000 * (number + 1),
            format!(r#"{{\"method\":\"{method}\",\"url\":\"{url}\"}}"#),
        );
        let length = json.replace('\\', "").len();
        data += &format!("(data (i32.const {at}) \"{json}\")\n");
        calls += &format!(
            "(local.set $all (i32.or (local.get $all) (call $http (i32.const {at}) (i32.const {length}))))\n"
        );
    }
    let text = format!(
        r#"(module (import "caxton" "http_request" (func $http (param i32 i32) (result i32)))
        (memory (export "memory") 2) {data}
        (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "caxton_free") (param i32 i32))
        (func (export "handle_message") (param i32 i32) (result i32) (local $all i32)
          {calls} (i32.ne (local.get $all) (i32.const 0))))"#
    );
    wat::parse_str(text).unwrap()
}

/// Runs a package with these rows of `[permissions]` and gives it one message.
fn run_package(folder: &Path, rows: &str, module: &[u8], more: &[&str]) -> Done {
    let file = write_package(folder, "1.0.0", rows, module);
    let message = r#"{"performative":"inform","content":1}"#;
    let bounds = ["--message", message, "--limit", "wall=60s", "--wait", "60s"];
    caxton(&[&["run", file.to_str().unwrap()], &bounds[..], more].concat())
}

#[test]
fn with_the_lines_that_were_learned_a_run_passes_and_without_any_one_it_fails() {
    let outside = Outside::start();
    let there = outside.address;
    // Answers whatever is asked.
    let requests = outside.requests;
    std::thread::spawn(move || {
        for (_, answer) in requests {
            let _ = answer.send(());
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let tried = [
        ("GET", format!("http://{there}/repos/a/issues")),
        ("GET", format!("http://{there}/repos/b/issues?page=2")),
        ("GET", format!("http://{there}/user")),
        ("POST", format!("http://{there}/repos/a/issues")),
    ];
    let module = asks(&tried);
    let run = |rows: &str, more: &[&str]| run_package(folder.path(), rows, &module, more);
    let done = run("", &["--learn"]).fails(1, &["was refused"]);
    let learned = done.stdout;
    let expected = format!(
        "[permissions]\n\
         \"http:read\" = {{ to = [\"{there}/repos/*/issues\", \"{there}/user\"] }}\n\
         \"http:write\" = {{ to = [\"POST {there}/repos/a/issues\"] }}\n"
    );
    assert_eq!(learned, expected);
    // The operator of the run grants the whole server, so that the manifest alone decides.
    let grants = [
        format!("http:read={there}/**"),
        format!("http:write={there}/**"),
    ];
    let grants = ["--grant", &grants[0], "--grant", &grants[1]];
    let rows = learned.strip_prefix("[permissions]\n").unwrap();
    run(rows, &grants).ok();
    let again = run(rows, &[&grants[..], &["--learn"]].concat()).ok();
    assert_eq!(again.stdout, "# it was refused nothing\n");
    for pattern in [
        format!("\"{there}/repos/*/issues\", "),
        format!(", \"{there}/user\""),
    ] {
        assert!(rows.contains(&pattern));
        run(&rows.replace(&pattern, ""), &grants).fails(1, &["does not ask for it"]);
    }
    for line in rows.lines() {
        run(&rows.replace(line, ""), &grants).fails(1, &["does not ask for it"]);
    }
    run("", &["--learn", "--profile", "x"]).fails(2, &["--learn"]);
}

/// Reads `TZ`, takes a random number, and opens `a.txt` in the first directory that is mapped. Returns 0
/// if it got the file and one variable.
const READS: &str = r#"(module
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $variables (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 2) (data (i32.const 0) "a.txt")
    (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
    (func (export "caxton_free") (param i32 i32))
    (func (export "handle_message") (param i32 i32) (result i32)
      (drop (call $random (i32.const 200) (i32.const 4)))
      (drop (call $variables (i32.const 100) (i32.const 104)))
      (i32.or (i32.ne (i32.load (i32.const 100)) (i32.const 1))
        (i32.ne (i32.const 0) (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 5)
          (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 108))))))"#;

#[test]
fn files_and_variables_are_learned_and_random_numbers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let input = tempfile::tempdir().unwrap();
    std::fs::write(input.path().join("a.txt"), "text").unwrap();
    let module = wat::parse_str(READS).unwrap();
    let mapped = format!("/data/in={}", input.path().display());
    let run = |rows: &str, more: &[&str]| {
        let mapped = ["--dir", &mapped, "--env", "TZ=UTC"];
        run_package(folder.path(), rows, &module, &[&mapped, more].concat())
    };
    let learned = run("", &["--learn"]).fails(1, &[]).stdout;
    let rows =
        "\"fs:read\" = { paths = [\"/data/in/a.txt\"] }\n\"env:read\" = { names = [\"TZ\"] }\n";
    assert_eq!(learned, format!("[permissions]\n{rows}"));
    let grants = ["--grant", "fs:read=/data/in/**", "--grant", "env:read=TZ"];
    run(rows, &grants).ok();
    for line in rows.lines() {
        run(&rows.replace(line, ""), &grants).fails(1, &[]);
    }
}

#[test]
fn the_use_of_a_secret_is_learned() {
    let outside = Outside::start();
    let there = outside.address;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{there}/x");
    let header = r#"\",\"headers\":[[\"Authorization\",\"Bearer {{secret:token}}\"]],\"body\":\""#;
    let module = asks(&[("GET", format!("{url}{header}"))]);
    let grant = format!("http:read={there}/**");
    let more = ["--learn", "--grant", &grant];
    let learned = run_package(
        folder.path(),
        &format!("\"http:read\" = {{ to = [\"{there}/**\"] }}"),
        &module,
        &more,
    );
    let learned = learned.fails(1, &["token"]).stdout;
    assert_eq!(
        learned,
        format!(
            "[permissions]\n\"secret:use\" = {{ names = [\"token\"], hosts = [\"{there}\"], header = \"authorization: Bearer {{}}\" }}\n"
        )
    );
    assert!(outside.requests.try_recv().is_err(), "a request left");
}
