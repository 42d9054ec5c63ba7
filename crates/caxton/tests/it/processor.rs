//! Processors on a node: deployed, called, bounded, there after a restart, gone when removed.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use caxton_client::{Call, CaxtonClient, ClientError, api::ProcessorConfig};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    command::{guest, program, run},
    node::NodeProcess,
};

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The module of a guest that is written as text.
fn wat_guest(name: &str) -> Vec<u8> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/wat");
    wat::parse_file(guests.join(format!("{name}.wat"))).unwrap()
}

fn named(name: &str, limits: Value) -> ProcessorConfig {
    serde_json::from_value(json!({ "name": name, "limits": limits })).unwrap()
}

async fn deploy(client: &CaxtonClient, module: Vec<u8>, name: &str, limits: Value) {
    client
        .deploy_processor(module, &named(name, limits), None)
        .await
        .unwrap();
}

fn reverse_bytes() -> Vec<u8> {
    std::fs::read(guest("reverse-bytes-c")).unwrap()
}

fn call(input: &[u8]) -> Call {
    Call {
        input: input.to_vec(),
        ..Call::default()
    }
}

#[allow(clippy::disallowed_methods, reason = "tests need no task kinds")]
fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

/// The code that a refused request is answered with.
fn code<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (String, u16, Option<u64>) {
    match answer.unwrap_err() {
        ClientError::Refused(problem) => {
            let Value::Object(fields) = serde_json::to_value(&*problem).unwrap() else {
                panic!("a problem is an object");
            };
            let retry_after = fields.get("retry_after_secs").and_then(Value::as_u64);
            (problem.code.clone(), problem.status, retry_after)
        }
        other => panic!("no problem: {other}"),
    }
}

/// Waits until so many calls of a processor run.
async fn runs(client: &CaxtonClient, name: &str, wanted: u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let running = client.processor(name).await.unwrap().counters.running;
        if running == wanted {
            return;
        }
        assert!(Instant::now() < until, "{running} calls run, not {wanted}");
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_processor_is_deployed_called_listed_updated_and_removed_by_commands() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    let module = guest("reverse-bytes-c");
    let input = home.path().join("input");
    std::fs::write(&input, b"abc\0\xff").unwrap();
    let input = input.display().to_string();
    let deployed = node
        .caxton(&["processor", "deploy", &module, "--name", "turn"])
        .ok();
    assert!(
        deployed.stdout.starts_with("deployed processor turn,"),
        "{deployed:#?}"
    );
    let mut command = program(&node.data);
    command
        .args(["call", "turn", "--input", "-", "--data"])
        .arg(&node.data);
    assert_eq!(run(&mut command, b"hello").ok().stdout, "olleh");
    let measured = node
        .caxton(&["call", "turn", "--input", &input, "--output", "json"])
        .ok()
        .json();
    assert_eq!(measured["output_bytes"], 5);
    assert!(
        measured["measures"]["memory_peak_bytes"].as_u64() > Some(0),
        "{measured}"
    );

    // Another version in its place; the name stays, and the counters.
    let again = [
        "processor",
        "deploy",
        &module,
        "--name",
        "turn",
        "--limit",
        "memory=8MiB",
    ];
    assert!(node.caxton(&again).ok().stdout.starts_with("updated"));
    let listed = node.caxton(&["processor", "list"]).ok().stdout;
    assert_eq!(listed.matches("turn").count(), 1, "{listed}");
    let shown = node.caxton(&["processor", "inspect", "turn"]).ok().stdout;
    for words in [
        "2 (0 errors, 0 faults), 0 running",
        "8 MiB",
        "concurrent_calls",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }

    // It is there after a kill and after a stop.
    node.kill();
    let node = NodeProcess::start_in(home.path(), &[]);
    let done = node.caxton(&["call", "turn", "--input", &input, "--output", "json"]);
    assert_eq!(done.ok().json()["output_bytes"], 5);
    assert_eq!(node.terminate(), 0);
    let node = NodeProcess::start_in(home.path(), &[]);
    let shown = node.caxton(&["processor", "inspect", "turn"]).ok().stdout;
    assert!(shown.contains("8 MiB"), "{shown}");
    node.caxton(&["call", "turn", "--input", &input]).ok();
    node.caxton(&["processor", "remove", "turn"]).ok();
    node.caxton(&["call", "turn"]).fails(
        1,
        &["there is no processor `turn`", "caxton processor list"],
    );
    assert_eq!(node.terminate(), 0);
    let node = NodeProcess::start_in(home.path(), &[]);
    node.caxton(&["processor", "inspect", "turn"])
        .fails(1, &["not-found"]);
}

#[test]
fn an_action_of_an_extension_is_called_by_its_name() {
    let node = NodeProcess::start();
    let module = guest("upper-extension-c");
    node.caxton(&["processor", "deploy", &module, "--name", "words"])
        .ok();
    let described = node.caxton(&["call", "words"]).ok().stdout;
    assert!(described.contains("upper"), "{described}");
    let input = node.data.join("input.json");
    std::fs::write(&input, r#"{"text":"loud"}"#).unwrap();
    let input = input.display().to_string();
    let said = node.caxton(&["call", "words", "upper", "--input", &input]);
    assert!(said.ok().stdout.contains("LOUD"));
    node.caxton(&["call", "words", "none", "--input", &input])
        .fails(1, &["guest-error"]);
    std::fs::write(node.data.join("input.json"), "{").unwrap();
    node.caxton(&["call", "words", "upper", "--input", &input])
        .fails(2, &["is JSON"]);
}

#[test]
fn what_is_no_processor_is_refused_with_the_command_that_takes_it() {
    let node = NodeProcess::start();
    node.caxton(&["processor", "deploy", &guest("counter-c")])
        .fails(4, &["caxton agent deploy", "unsupported-module"]);
    node.caxton(&["agent", "deploy", &guest("reverse-bytes-c")])
        .fails(4, &["caxton processor deploy", "unsupported-module"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_calls_run_at_once_and_one_more_is_refused() {
    let node = NodeProcess::start();
    let client = node.client();
    deploy(&client, reverse_bytes(), "turn", json!({})).await;
    let calls = (0..64_u32).map(|number| {
        let client = client.clone();
        start(async move {
            let input = number.to_le_bytes();
            let mut expected = input.to_vec();
            expected.reverse();
            let done = client.call("turn", call(&input)).await.unwrap();
            assert_eq!(done.output, expected);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let detail = client.processor("turn").await.unwrap();
    assert_eq!(detail.counters.calls, 64);

    // Two that never end, where two may run: the third is refused at once, and told when to come again.
    let limits = json!({ "concurrent_calls": 2, "cpu": "10m", "wall": "10m" });
    deploy(&client, wat_guest("processor-loop"), "loop", limits).await;
    let loops: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            start(async move { client.call("loop", call(b"x")).await })
        })
        .collect();
    runs(&client, "loop", 2).await;
    let refused = code(client.call("loop", call(b"x")).await);
    assert_eq!(refused, ("concurrency-limit".to_owned(), 429, Some(1)));

    // An update while they run: they go on, others have the new version and the same places.
    let limits = json!({ "concurrent_calls": 3 });
    deploy(&client, reverse_bytes(), "loop", limits).await;
    let done = client.call("loop", call(b"ab")).await.unwrap();
    assert_eq!(done.output, b"ba");
    assert_eq!(client.processor("loop").await.unwrap().counters.running, 2);

    // Whoever hangs up ends its call.
    for one in loops {
        one.abort();
    }
    runs(&client, "loop", 0).await;
    let limit = client.processor("loop").await.unwrap().limits;
    let limit = limit.iter().find(|limit| limit.name == "concurrent_calls");
    let limit = limit.unwrap();
    assert_eq!((limit.limit, limit.used, limit.peak), (Some(3), 0, 3));
    assert!(limit.last_breach.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_loops_keeps_no_agent_waiting_and_ends_at_its_limit() {
    let node = NodeProcess::start();
    let client = node.client();
    node.caxton(&["agent", "deploy", &guest("counter-c"), "--name", "counter"])
        .ok();
    let limits = json!({ "cpu": "10m", "wall": "10m" });
    deploy(&client, wat_guest("processor-loop"), "loop", limits).await;
    let loops: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            start(async move { client.call("loop", call(b"x")).await })
        })
        .collect();
    runs(&client, "loop", 8).await;
    for _ in 0..5 {
        node.caxton(&["send", "counter", "{}", "--wait", "60s"])
            .ok();
    }
    assert_eq!(client.processor("loop").await.unwrap().counters.running, 8);

    let limits = json!({ "cpu": "50ms" });
    deploy(&client, wat_guest("processor-loop"), "short", limits).await;
    let ended = code(client.call("short", call(b"x")).await);
    assert_eq!((&*ended.0, ended.1), ("cpu-limit", 422));
    let detail = client.processor("short").await.unwrap();
    assert_eq!((detail.counters.calls, detail.counters.faults), (1, 1));
    let cpu = detail.limits.iter().find(|limit| limit.name == "cpu");
    assert!(cpu.unwrap().last_breach.is_some());
    let log = node.caxton(&["processor", "logs", "short"]).ok().stdout;
    assert!(log.contains("cpu-limit"), "{log}");
    let metrics = client.metrics().await.unwrap();
    for line in [
        "caxton_calls_total ",
        "caxton_limit_traps_total{limit=\"cpu\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }

    // A node that goes down ends what runs, and does not wait for it.
    assert_eq!(node.terminate(), 0);
    for one in loops {
        assert!(one.await.unwrap().is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_inputs_that_are_refused_are_problems_with_the_codes_of_agents() {
    let node = NodeProcess::start();
    let client = node.client();
    let limits = json!({ "payload_bytes": "1KiB", "memory": "1MiB" });
    deploy(&client, reverse_bytes(), "small", limits).await;
    let large = code(client.call("small", call(&[7; 1_025])).await);
    assert_eq!((&*large.0, large.1), ("payload-too-large", 413));
    let exact = client.call("small", call(&[7; 1_024])).await.unwrap();
    assert_eq!(exact.output, [7; 1_024]);
    let empty = client.call("small", call(b"")).await.unwrap();
    assert_eq!(empty.output, b"");
    for (guest, expected) in [
        ("processor-null", "guest-error"),
        ("processor-unterminated", "bad-return"),
        ("processor-wild-length", "payload-too-large"),
    ] {
        deploy(&client, wat_guest(guest), "bad", json!({})).await;
        let ended = code(client.call("bad", call(b"x")).await);
        assert_eq!(ended.0, expected, "{guest}");
    }
    let missing = code(client.call("none", call(b"x")).await);
    assert_eq!((&*missing.0, missing.1), ("not-found", 404));
    let odd = Call {
        function: Some("f".to_owned()),
        ..call(b"x")
    };
    assert_eq!(code(client.call("small", odd).await).0, "malformed-request");
    // What is larger than the node could ever hold is refused by what it says of itself.
    let token = std::fs::read_to_string(node.data.join("admin-token")).unwrap();
    let mut stream = TcpStream::connect(node.url.strip_prefix("http://").unwrap()).unwrap();
    let request = format!(
        "POST /api/v1/processors/small/call HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: 1099511627776\r\n\r\n",
        token.trim()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // The node may drop the connection once it has answered.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_of_other_namespaces_look_as_if_they_were_not_there() {
    let node = NodeProcess::start();
    let client = node.client();
    for name in ["acme/turn", "other/turn", "turn"] {
        deploy(&client, reverse_bytes(), name, json!({})).await;
    }
    let token = |name: &str, scopes: &[&str]| {
        let mut args = vec!["token", "create", name, "--namespace", "acme"];
        args.extend(["--output", "json"]);
        args.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
        let made = node.caxton(&args).ok().json();
        let secret = made["token"].as_str().unwrap().to_owned();
        CaxtonClient::with_token(&node.url, secret).unwrap()
    };
    let inside = token("all", &["read", "send", "operate"]);
    let listed = inside.processors(None, None).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["acme/turn"]);
    let done = inside.call("turn", call(b"ab")).await.unwrap();
    assert_eq!(done.output, b"ba", "a bare name is of the own namespace");
    for there in ["other/turn", "main/turn", "other/none"] {
        assert_eq!(code(inside.call(there, call(b"x")).await).0, "not-found");
        assert_eq!(code(inside.processor(there).await).0, "not-found");
        assert_eq!(code(inside.remove_processor(there).await).0, "not-found");
        let refused = inside
            .deploy_processor(reverse_bytes(), &named(there, json!({})), None)
            .await;
        assert_eq!(code(refused).0, "forbidden", "{there}");
    }
    let reader = token("reader", &["read"]);
    assert_eq!(code(reader.call("turn", call(b"x")).await).0, "forbidden");
    assert!(reader.processor("turn").await.is_ok());
}
