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
