//! Secrets of the vault: set, carried by requests of agents to where they are for, and found nowhere
//! else; against guests, servers and whoever touches the files.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    command::{Done, program, run},
    node::NodeProcess,
};

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cr3t-0f-th3-v4ult";

/// A server that keeps the requests it gets.
struct Outside {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    /// `answer` makes the response, from its status line on, of a request.
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { address, seen }
    }
    /// One that sends the whole request back in its body and in a header.
    fn echo() -> Self {
        Self::start(|request| {
            let line = request
                .lines()
                .find(|line| line.starts_with("authorization"));
            let (line, length) = (line.unwrap_or_default(), request.len());
            format!(
                "HTTP/1.1 200 OK\r\nx-echo: {line}\r\ncontent-length: {length}\r\n\r\n{request}"
            )
        })
    }
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut request, mut body) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                body = length.trim().parse().unwrap();
            }
            request.push_str(&line);
            if line.trim().is_empty() {
                break;
            }
        }
        let mut bytes = vec![0; body];
        reader.read_exact(&mut bytes).unwrap();
        request.push_str(&String::from_utf8_lossy(&bytes));
        let response = answer(&request);
        seen.lock().unwrap().push(request);
        if stream.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

/// A node with a vault, and a folder beside its data for the key.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }
    fn data(&self) -> std::path::PathBuf {
        self.root.path().join("data")
    }
    fn key(&self) -> String {
        self.root.path().join("key").display().to_string()
    }
    fn start(&self) -> NodeProcess {
        NodeProcess::start_in(&self.data(), &["--vault-key", &self.key()])
    }
}

fn set(node: &NodeProcess, name: &str, value: &str) -> Done {
    let mut command = program(&node.data);
    command
        .args(["vault", "set", name, "--data"])
        .arg(&node.data);
    run(&mut command, format!("{value}\n").as_bytes())
}

/// Deploys an agent that will send this request.
fn deploy(node: &NodeProcess, name: &str, request: &serde_json::Value, grants: &[&str]) {
    let module = node.data.with_file_name("ask.wasm");
    fs::write(&module, wat::parse_str(include_str!("ask.wat")).unwrap()).unwrap();
    let request = format!("request={request}");
    let mut args = vec!["agent", "deploy", module.to_str().unwrap(), "--name", name];
    args.extend([
        "--set",
        &request,
        "--limit",
        "wall=60s",
        "--durability",
        "durable",
    ]);
    for grant in grants {
        args.extend(["--grant", grant]);
    }
    node.caxton(&args).ok();
}

fn ask(node: &NodeProcess, name: &str) {
    node.caxton(&["send", name, "1", "--sender", "ann"]).ok();
}

/// What an agent's log says once it says this.
fn log_says(node: &NodeProcess, name: &str, words: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = node.caxton(&["agent", "logs", name]).ok().stdout;
        if log.contains(words) {
            return log;
        }
        assert!(Instant::now() < until, "no `{words}` in: {log}");
        std::thread::yield_now();
    }
}

/// The reply of an agent.
fn reply(node: &NodeProcess, name: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let args = ["messages", "--receiver", "ann", "--output", "json"];
        let mail = node.caxton(&args).ok().json();
        let mail = mail.as_array().cloned().unwrap_or_default();
        let of = |mail: &&serde_json::Value| {
            mail["message"]["sender"] == name && mail["message"]["performative"] == "inform"
        };
        if let Some(mail) = mail.iter().find(of) {
            return mail.to_string();
        }
        assert!(Instant::now() < until, "{mail:?}");
        std::thread::yield_now();
    }
}

/// The files below a folder in which these bytes are.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if path.is_file() {
            let whole = fs::read(&path).unwrap();
            if whole.windows(bytes.len()).any(|part| part == bytes) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_secret_reaches_its_host_in_its_header_and_is_kept_nowhere_even_if_it_comes_back() {
    let (place, outside) = (Place::new(), Outside::echo());
    let said = place.root.path().join("said");
    let (data, at) = (place.data(), outside.address);
    let mut command = program(&data);
    let filter = "trace,wasmtime=info,cranelift=info";
    command.args([
        "up",
        "--listen",
        "127.0.0.1:0",
        "--log",
        filter,
        "--vault-key",
    ]);
    command.arg(place.key()).arg("--data").arg(&data);
    let node = NodeProcess::start_by(command.stderr(fs::File::create(&said).unwrap()), &data);
    set(&node, "github-token", SECRET).ok();
    let listed = node.caxton(&["vault", "list", "--output", "json"]).ok();
    assert_eq!(listed.json()[0]["name"], "github-token", "{listed:?}");
    assert!(!listed.stdout.contains(SECRET));

    let request = serde_json::json!({
        "method": "POST", "url": format!("http://{at}/issues"), "body": "plain",
        "headers": [["Authorization", "Bearer {{secret:github-token}}"], ["Accept-Encoding", "gzip"]],
    });
    let http = format!("http:write={at}/**");
    // By a pattern of the name, as operators write it.
    let secret = format!("secret:use=github-*@{at} Authorization: Bearer {{}}");
    deploy(&node, "asks", &request, &[&http, &secret]);
    ask(&node, "asks");
    let mail = reply(&node, "asks");
    assert!(mail.contains("Bearer {{secret:github-token}}"), "{mail}");
    assert!(!mail.contains(SECRET), "{mail}");
    let seen = outside.seen();
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].contains(&format!("authorization: Bearer {SECRET}\r\n")),
        "{seen:?}"
    );
    for args in [
        &["agent", "logs", "asks"][..],
        &["agent", "acts", "asks"],
        &["agent", "inspect", "asks", "--output", "json"],
        &["messages", "--receiver", "ann", "--output", "json"],
    ] {
        let shown = node.caxton(args);
        assert!(!format!("{shown:?}").contains(SECRET), "{args:?}");
    }
    // While it runs, after it ended, and after it was recovered.
    assert_eq!(files_with(&data, SECRET.as_bytes()), Vec::<String>::new());
    assert_eq!(node.terminate(), 0);
    assert_eq!(
        files_with(place.root.path(), SECRET.as_bytes()),
        Vec::<String>::new()
    );
    let node = place.start();
    ask(&node, "asks");
    let until = Instant::now() + PATIENCE;
    while outside.seen().len() < 2 {
        assert!(Instant::now() < until, "it did not ask again");
        std::thread::yield_now();
    }
    assert!(outside.seen()[1].contains(SECRET));
    node.kill();
    assert_eq!(
        files_with(place.root.path(), SECRET.as_bytes()),
        Vec::<String>::new()
    );
    assert!(fs::read_to_string(said).unwrap().contains("secret set"));
}

#[test]
fn a_placeholder_anywhere_else_makes_the_request_fail_and_says_so() {
    let place = Place::new();
    let other = Outside::echo();
    let (there, port) = (other.address, other.address.port());
    let to_there = format!(
        "HTTP/1.1 307 Moved\r\nlocation: http://{there}/there\r\ncontent-length: 0\r\n\r\n"
    );
    let outside = Outside::start(move |_| to_there.clone());
    let at = outside.address;
    let node = place.start();
    for name in ["github-token", "gitlab-token", "acme/github-token"] {
        set(&node, name, SECRET).ok();
    }
    let header = |name: &str, value: &str| serde_json::json!([[name, value]]);
    let placeholder = "{{secret:github-token}}";
    let bearer = format!("Bearer {placeholder}");
    let url = |path: &str| format!("http://{at}/{path}");
    let none = serde_json::json!([]);
    let misplaced = "a secret's placeholder is in the";
    let attacks = [
        ("path", url(placeholder), none.clone(), "", misplaced),
        (
            "escaped",
            url("%7B%7Bsecret%3Agithub-token%7D%7D"),
            none.clone(),
            "",
            misplaced,
        ),
        (
            "query",
            url(&format!("?q={placeholder}")),
            none.clone(),
            "",
            misplaced,
        ),
        ("body", url(""), none, placeholder, misplaced),
        (
            "header",
            url(""),
            header("X-Key", &bearer),
            "",
            "was not sent",
        ),
        (
            "value",
            url(""),
            header("Authorization", &format!("Basic {placeholder}")),
            "",
            "was not sent",
        ),
        (
            "host",
            format!("http://127.0.0.2:{port}/"),
            header("Authorization", &bearer),
            "",
            "was not sent",
        ),
        (
            "port",
            format!("http://{there}/"),
            header("Authorization", &bearer),
            "",
            "was not sent",
        ),
        (
            "name",
            url(""),
            header("Authorization", "Bearer {{secret:gitlab-token}}"),
            "",
            "was not sent",
        ),
        (
            "unknown",
            url(""),
            header("Authorization", "Bearer {{secret:github-none}}"),
            "",
            "there is no secret",
        ),
        (
            "twice",
            url(""),
            header(
                "Authorization",
                &format!("Bearer {placeholder}{placeholder}"),
            ),
            "",
            misplaced,
        ),
        (
            "redirect",
            url("moved"),
            header("Authorization", &bearer),
            "",
            "was not sent",
        ),
    ];
    let grants = [
        format!("http:write={at}/**"),
        format!("http:write={there}/**"),
        format!("http:write=127.0.0.2:{port}/**"),
        format!("secret:use=github-*@{at} Authorization: Bearer {{}}"),
    ];
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    for (name, url, headers, body, says) in attacks {
        let request = serde_json::json!({
            "method": "POST", "url": url, "headers": headers, "body": body,
        });
        deploy(&node, name, &request, &grants);
        ask(&node, name);
        let log = log_says(&node, name, says);
        assert!(!log.contains(SECRET), "{log}");
    }
    // An agent of another namespace has the secrets of its own: here none of that name.
    let request = serde_json::json!({
        "method": "POST", "url": url(""), "headers": header("Authorization", "Bearer {{secret:gitlab-token}}"),
    });
    let all = format!("secret:use=*@{at}");
    deploy(&node, "acme/asks", &request, &[grants[0], &all]);
    ask(&node, "acme/asks");
    log_says(&node, "acme/asks", "there is no secret `acme/gitlab-token`");
    assert_eq!(other.seen(), Vec::<String>::new());
    let seen = outside.seen();
    assert_eq!(seen.len(), 1, "only what was redirected left: {seen:?}");
    assert!(seen[0].starts_with("POST /moved "), "{seen:?}");
    assert_eq!(
        files_with(place.root.path(), SECRET.as_bytes()),
        Vec::<String>::new()
    );
}

#[test]
fn a_kill_in_the_middle_of_a_set_leaves_the_old_value_or_the_new_one() {
    let (place, outside) = (Place::new(), Outside::echo());
    let at = outside.address;
    let http = format!("http:read={at}/**");
    let secret = format!("secret:use=key@{at} X-Key: {{}}");
    let request = serde_json::json!({
        "url": format!("http://{at}/"), "headers": [["X-Key", "{{secret:key}}"]],
    });
    let node = place.start();
    set(&node, "key", "value-00000000").ok();
    deploy(&node, "asks", &request, &[&http, &secret]);
    node.kill();
    let mut acknowledged = 0;
    for round in 0..4_usize {
        let node = place.start();
        let client = node.client();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Sets until the node is gone; it is killed once it has acknowledged a few.
        let pid = node.pid().to_string();
        let (mut killing, first) = (None, acknowledged + 1);
        for number in first.. {
            let new = caxton_client::api::NewSecret {
                name: "key".to_owned(),
                value: Some(format!("value-{number:08}")),
                value_base64: None,
            };
            if runtime.block_on(client.set_secret(&new)).is_err() {
                break;
            }
            acknowledged = number;
            if number == first + round {
                let mut kill = std::process::Command::new("kill");
                killing = Some(kill.args(["-KILL", &pid]).spawn().unwrap());
            }
        }
        killing.unwrap().wait().unwrap();
        drop(node);
        let before = outside.seen().len();
        let node = place.start();
        let listed = node
            .caxton(&["vault", "list", "--output", "json"])
            .ok()
            .json();
        assert!(listed[0].get("problem").is_none(), "{listed}");
        ask(&node, "asks");
        let until = Instant::now() + PATIENCE;
        while outside.seen().len() == before {
            assert!(Instant::now() < until, "it did not ask");
            std::thread::yield_now();
        }
        let seen = outside.seen().pop().unwrap();
        let value = |number: usize| seen.contains(&format!("x-key: value-{number:08}\r\n"));
        assert!(
            value(acknowledged) || value(acknowledged + 1),
            "{acknowledged}: {seen}"
        );
        acknowledged += 1;
        node.kill();
    }
}

#[test]
fn another_key_or_another_record_gives_no_secret_and_is_told_by_name() {
    let (place, outside) = (Place::new(), Outside::echo());
    let at = outside.address;
    let node = NodeProcess::start_in(&place.data(), &[]);
    set(&node, "one", SECRET).fails(1, &["the vault is closed", "--vault-key FILE"]);
    node.kill();
    let node = place.start();
    set(&node, "one", SECRET).ok();
    set(&node, "two", "another-secret").ok();
    set(&node, "short", "1234567").fails(2, &["7 bytes"]);
    set(&node, "df", SECRET).fails(4, &["reserved"]);
    let request = serde_json::json!({
        "url": format!("http://{at}/"), "headers": [["X-Key", "{{secret:one}}"]],
    });
    let grants = [
        format!("http:read={at}/**"),
        format!("secret:use=*@{at} X-Key: {{}}"),
    ];
    deploy(&node, "asks", &request, &[&grants[0], &grants[1]]);
    assert_eq!(node.terminate(), 0);

    let other = place.root.path().join("other");
    fs::write(&other, format!("{}\n", "ab".repeat(32))).unwrap();
    let node = NodeProcess::start_in(&place.data(), &["--vault-key", other.to_str().unwrap()]);
    set(&node, "three", SECRET).fails(1, &["no secret in it was sealed with the key"]);
    ask(&node, "asks");
    log_says(&node, "asks", "the vault is closed");
    assert_eq!(node.terminate(), 0);

    let vault = place.data().join("vault/main");
    let one = fs::read(vault.join("one")).unwrap();
    fs::copy(vault.join("two"), vault.join("one")).unwrap();
    let node = place.start();
    let listed = node
        .caxton(&["vault", "list", "--output", "json"])
        .ok()
        .json();
    let problems: BTreeMap<String, bool> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["name"].as_str().unwrap().to_owned(),
                entry.get("problem").is_some(),
            )
        })
        .collect();
    assert_eq!(
        problems,
        [("one".to_owned(), true), ("two".to_owned(), false)].into()
    );
    ask(&node, "asks");
    log_says(&node, "asks", "the secret `one` is damaged");
    node.caxton(&["vault", "rotate-key"])
        .fails(1, &["`one` is damaged"]);
    assert_eq!(node.terminate(), 0);
    assert_eq!(outside.seen(), Vec::<String>::new());

    // Restored, sealed with a new key, and used by a node that has that one.
    fs::write(vault.join("one"), one).unwrap();
    let old = fs::read_to_string(place.key()).unwrap();
    let node = place.start();
    node.caxton(&["vault", "rotate-key"]).ok();
    node.caxton(&["vault", "remove", "two"]).ok();
    node.caxton(&["vault", "remove", "two"])
        .fails(1, &["no secret `two`"]);
    assert_eq!(node.terminate(), 0);
    assert_ne!(fs::read_to_string(place.key()).unwrap(), old);
    let node = place.start();
    ask(&node, "asks");
    assert!(reply(&node, "asks").contains("{{secret:one}}"));
    assert!(outside.seen()[0].contains(SECRET));
    node.kill();
}

/// What the agent of `vault.wat` puts.
fn computed() -> String {
    (0..32_u8)
        .map(|i| char::from(b'a' + i.wrapping_mul(7) % 26))
        .collect()
}

/// Deploys the agent that gets and puts, with so much of its configuration and these grants.
fn deploy_keeper(node: &NodeProcess, name: &str, config: &[&str], grants: &[&str]) {
    let module = node.data.with_file_name("vault.wasm");
    fs::write(&module, wat::parse_str(include_str!("vault.wat")).unwrap()).unwrap();
    let mut args = vec!["agent", "deploy", module.to_str().unwrap(), "--name", name];
    args.extend(["--limit", "wall=60s", "--durability", "durable"]);
    for setting in config {
        args.extend(["--set", setting]);
    }
    for grant in grants {
        args.extend(["--grant", grant]);
    }
    node.caxton(&args).ok();
}

/// The latest content that an agent sent to ann.
fn told(node: &NodeProcess, name: &str) -> Vec<String> {
    let args = ["messages", "--receiver", "ann", "--output", "json"];
    let mail = node.caxton(&args).ok().json();
    let mail = mail.as_array().cloned().unwrap_or_default();
    let of = |mail: &&serde_json::Value| mail["message"]["sender"] == name;
    let content = |mail: &serde_json::Value| {
        mail["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    mail.iter().filter(of).map(content).collect()
}

fn is_told(node: &NodeProcess, name: &str, count: usize) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = told(node, name);
        if told.len() >= count {
            return told;
        }
        assert!(Instant::now() < until, "{told:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_guest_gets_a_secret_only_while_it_is_granted_and_only_of_its_namespace() {
    let place = Place::new();
    let node = place.start();
    set(&node, "token", "of-main-0123").ok();
    set(&node, "acme/token", "of-acme-0123").ok();
    let module = node.data.with_file_name("bare.wasm");
    fs::write(&module, wat::parse_str(include_str!("vault.wat")).unwrap()).unwrap();
    let module = module.to_str().unwrap();
    let bare = ["agent", "deploy", module, "--name", "bare"];
    node.caxton(&bare).fails(4, &["vault:read"]);

    let grants = ["vault:read=other", "vault:write=other"];
    deploy_keeper(&node, "keeper", &["get=token", "put=token"], &grants);
    ask(&node, "keeper");
    log_says(&node, "keeper", "caxton grant keeper 'vault:read=token'");
    log_says(&node, "keeper", "caxton grant keeper 'vault:write=token'");
    log_says(&node, "keeper", "put: -3");
    log_says(&node, "keeper", "get: -3");
    node.caxton(&["grant", "keeper", "vault:read=token"]).ok();
    ask(&node, "keeper");
    assert_eq!(is_told(&node, "keeper", 1), ["of-main-0123"]);
    node.caxton(&["revoke", "keeper", "vault:read=token"]).ok();
    ask(&node, "keeper");
    let until = Instant::now() + PATIENCE;
    while node
        .caxton(&["agent", "logs", "keeper"])
        .ok()
        .stdout
        .matches("get: -3")
        .count()
        < 2
    {
        assert!(Instant::now() < until, "it was not refused again");
        std::thread::yield_now();
    }
    assert_eq!(told(&node, "keeper").len(), 1);

    // Each agent has the secrets of its namespace, by names without one.
    let all = ["vault:read=*", "vault:write=other"];
    deploy_keeper(&node, "beta/keeper", &["get=token"], &all);
    ask(&node, "beta/keeper");
    log_says(&node, "beta/keeper", "get: -1");
    deploy_keeper(&node, "across", &["get=acme/token"], &all);
    ask(&node, "across");
    log_says(&node, "across", "get: -2");
    let found = node
        .caxton(&["audit", "search", "--text", "vault entry token"])
        .ok();
    assert!(
        found.stdout.contains("vault:read") && !found.stdout.contains("of-main"),
        "{found:?}"
    );
    node.kill();

    // A node without the key has the vault closed.
    let node = NodeProcess::start_in(&place.data(), &[]);
    node.caxton(&["grant", "keeper", "vault:*=token"])
        .fails(2, &["vault:*"]);
    node.caxton(&["grant", "keeper", "vault:read=token"]).ok();
    ask(&node, "keeper");
    log_says(&node, "keeper", "get: -8");
    log_says(&node, "keeper", "the vault is closed");
    node.kill();
}

#[test]
fn what_a_guest_puts_is_in_the_vault_and_in_no_file_as_it_is() {
    let place = Place::new();
    let node = place.start();
    let grants = ["vault:read=made-*", "vault:write=made-*"];
    deploy_keeper(
        &node,
        "keeper",
        &["put=made-here", "get=made-here"],
        &grants,
    );
    deploy_keeper(&node, "puts", &["put=made-too"], &grants);
    for name in ["puts", "puts"] {
        ask(&node, name);
    }
    log_says(&node, "puts", "put: -0");
    let value = computed();
    let found = node
        .caxton(&["audit", "search", "--action", "vault-use"])
        .ok();
    assert!(
        found.stdout.contains("made-too") && !found.stdout.contains(&value),
        "{found:?}"
    );
    let shown = node.caxton(&["agent", "logs", "puts"]).ok();
    assert!(!format!("{shown:?}").contains(&value), "{shown:?}");
    assert_eq!(
        files_with(place.root.path(), value.as_bytes()),
        Vec::<String>::new()
    );
    assert_eq!(node.terminate(), 0);
    assert_eq!(
        files_with(place.root.path(), value.as_bytes()),
        Vec::<String>::new()
    );

    // Its bytes come back, also after a start; a guest that sends them has given them away.
    let node = place.start();
    ask(&node, "keeper");
    assert_eq!(is_told(&node, "keeper", 1), [value]);
    node.kill();
}

#[test]
fn a_kill_between_a_put_and_the_end_of_its_turn_leaves_the_vault_whole() {
    let (place, outside) = (Place::new(), crate::access::Outside::start());
    let node = place.start();
    let url = format!("http://{}/", outside.address);
    let module = node.data.with_file_name("puts.wasm");
    let import = r#"(import "caxton" "http_request" (func $http (param i32 i32) (result i32)))
  (import "caxton" "send_message""#;
    let request = format!("{{\\\"url\\\":\\\"{url}\\\"}}");
    let length = format!("{{\"url\":\"{url}\"}}").len();
    let text = include_str!("vault.wat")
        .replace(r#"(import "caxton" "send_message""#, import)
        .replace("(data (i32.const 0)", &format!("(data (i32.const 2000) \"{request}\")\n(data (i32.const 0)"))
        .replace(
            "(i32.const 1000) (i32.const 32)))))",
            &format!("(i32.const 1000) (i32.const 32)))\n(drop (call $http (i32.const 2000) (i32.const {length})))))"),
        );
    fs::write(&module, wat::parse_str(text).unwrap()).unwrap();
    let (read, write) = (
        format!("http:read={}/**", outside.address),
        "vault:write=made",
    );
    node.caxton(&[
        "agent",
        "deploy",
        module.to_str().unwrap(),
        "--name",
        "puts",
        "--set",
        "put=made",
        "--limit",
        "wall=60s",
        "--durability",
        "durable",
        "--grant",
        &read,
        "--grant",
        write,
        "--grant",
        "vault:read=made",
    ])
    .ok();
    ask(&node, "puts");
    let (key, unanswered) = outside.next();
    let acts = node
        .caxton(&["agent", "acts", "puts", "--output", "json"])
        .ok();
    let listed = acts.json();
    assert_eq!(listed[0]["access"], "vault entry made", "{listed}");
    assert!(
        listed[0].get("outcome").is_some() && listed[1].get("outcome").is_none(),
        "{listed}"
    );
    assert!(!acts.stdout.contains(&computed()));
    node.kill();
    drop(unanswered);
    assert_eq!(
        files_with(place.root.path(), computed().as_bytes()),
        Vec::<String>::new()
    );

    let node = place.start();
    let (again, answer) = outside.next();
    assert_eq!(again, key, "the turn goes on where it was");
    answer.send(()).unwrap();
    log_says(&node, "puts", "put: -0");
    let listed = node
        .caxton(&["vault", "list", "--output", "json"])
        .ok()
        .json();
    assert!(
        listed[0]["name"] == "made" && listed[0].get("problem").is_none(),
        "{listed}"
    );
    deploy_keeper(
        &node,
        "keeper",
        &["get=made"],
        &["vault:read=made", "vault:write=made"],
    );
    ask(&node, "keeper");
    assert_eq!(is_told(&node, "keeper", 1), [computed()]);
    node.kill();
}
