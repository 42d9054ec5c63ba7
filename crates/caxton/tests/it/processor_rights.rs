//! What a processor may reach: what it was granted, on a node and in a run without one.

use std::path::PathBuf;

use crate::{
    access::Outside,
    command::{Done, caxton},
    node::NodeProcess,
};

/// A processor that sends its input as a request.
pub(crate) fn module(folder: &std::path::Path) -> PathBuf {
    let module = folder.join("get.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("get.wat")).unwrap()).unwrap();
    module
}

fn request(outside: &Outside) -> String {
    format!(
        r#"{{"url":"http://{}/things?token=hidden"}}"#,
        outside.address
    )
}

/// Answers all that an outside server is asked, and counts it.
fn answering(outside: Outside) -> std::sync::mpsc::Receiver<Option<String>> {
    let (tell, keys) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((key, answer)) = outside.requests.recv() {
            let _ = tell.send(key);
            let _ = answer.send(());
        }
    });
    keys
}

pub(crate) fn call(node: &NodeProcess, request: &str) -> Done {
    let input = node.data.join("request.json");
    std::fs::write(&input, request).unwrap();
    node.caxton(&["call", "get", "--input", input.to_str().unwrap()])
}

#[test]
fn a_processor_reaches_what_it_is_granted_and_its_log_names_the_command() {
    let (data, outside) = (tempfile::tempdir().unwrap(), Outside::start());
    let node = NodeProcess::start_in(data.path(), &[]);
    let module = module(&node.data);
    let (request, rule) = (
        request(&outside),
        format!("http:read={}/things", outside.address),
    );
    let keys = answering(outside);
    let module = module.to_str().unwrap();
    let deploy = ["processor", "deploy", module, "--name", "get"];
    node.caxton(&deploy).fails(4, &["http:read"]);
    let denied = "http:read=denied.example";
    node.caxton(&[&deploy[..], &["--grant", denied]].concat())
        .ok();

    // -3: denied.
    assert_eq!(call(&node, &request).ok().stdout.trim_end(), "3");
    let log = node.caxton(&["processor", "logs", "get"]).ok().stdout;
    let command = format!("caxton grant processor:get '{rule}'");
    assert!(log.contains(&command), "{log}");

    let granted = node.caxton(&["grant", "processor:get", &rule]).ok().stdout;
    assert!(
        granted.contains(&rule) && granted.contains(denied),
        "{granted}"
    );
    let answer = call(&node, &request).ok().stdout;
    assert!(answer.contains("granted"), "{answer}");
    assert_eq!(
        keys.try_iter().collect::<Vec<_>>(),
        [None],
        "nothing of a call is repeated"
    );

    // Another version has what the one before was granted.
    node.caxton(&deploy).ok();
    assert!(call(&node, &request).ok().stdout.contains("granted"));
    node.kill();
    let node = NodeProcess::start_in(data.path(), &[]);
    assert!(call(&node, &request).ok().stdout.contains("granted"));
    let detail = node.caxton(&["processor", "inspect", "get"]).ok().stdout;
    assert!(detail.contains(&rule), "{detail}");

    node.caxton(&["revoke", "processor:get", &rule]).ok();
    assert_eq!(call(&node, &request).ok().stdout.trim_end(), "3");
    node.caxton(&["revoke", "processor:get", denied]).ok();
    let refused = call(&node, &request);
    refused.fails(4, &["http_request", "http:read"]);
    assert_eq!(keys.try_iter().count(), 2, "no other request left");

    node.caxton(&["grant", "processor:none", &rule])
        .fails(1, &["no processor `none`"]);
    node.caxton(&["grant", "get", &rule])
        .fails(1, &["no agent `get`"]);
    let sends = ["--grant", "message:send=x"];
    node.caxton(&[&deploy[..], &sends].concat())
        .fails(2, &["a processor sends no messages"]);
}

#[test]
fn the_audit_log_has_what_a_processor_asked_for_and_what_came_of_it() {
    let (node, outside) = (NodeProcess::start(), Outside::start());
    let module = module(&node.data);
    let (request, rule) = (
        request(&outside),
        format!("http:read={}/things", outside.address),
    );
    let _keys = answering(outside);
    let module = module.to_str().unwrap();
    node.caxton(&[
        "processor",
        "deploy",
        module,
        "--name",
        "get",
        "--grant",
        &rule,
    ])
    .ok();
    call(&node, &request).ok();
    let log = node.caxton(&["audit", "search", "--output", "json"]).ok();
    let lines = log.stdout.lines();
    let records: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let has = |action: &str, outcome: &str| {
        records.iter().any(|record| {
            record["action"] == action
                && record["outcome"] == outcome
                && record["subject"]["name"] == "get"
        })
    };
    assert!(has("gate-decision", "allowed"), "{records:?}");
    assert!(has("outbound-request", "succeeded"), "{records:?}");
    assert!(
        !log.stdout.contains("token=hidden"),
        "a query may be secret"
    );
}

#[test]
fn a_run_without_a_node_reaches_what_flags_grant() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), Outside::start());
    let module = module(folder.path());
    let (request, rule) = (
        request(&outside),
        format!("http:read={}/things", outside.address),
    );
    let keys = answering(outside);
    let with = |grant: &str| {
        let args = [
            module.to_str().unwrap(),
            "--grant",
            grant,
            "--message",
            &request,
        ];
        caxton(&[&["run"], &args[..]].concat())
    };
    let denied = with("http:read=denied.example/**").ok();
    assert_eq!(denied.stdout.trim_end(), "3");
    let wanted = format!("add --grant '{rule}'");
    assert!(denied.stderr.contains(&wanted), "{}", denied.stderr);
    assert_eq!(keys.try_iter().count(), 0);
    let granted = with(&rule).ok();
    assert!(granted.stdout.contains("granted"), "{}", granted.stdout);
    assert_eq!(keys.try_iter().count(), 1);
}

#[test]
fn the_manifest_of_a_processor_bounds_what_it_is_granted() {
    let (node, outside) = (NodeProcess::start(), Outside::start());
    module(&node.data);
    let (request, rule) = (
        request(&outside),
        format!("http:read={}/things", outside.address),
    );
    let _keys = answering(outside);
    let manifest = node.data.join("caxton.toml");
    let write = |to: &str| {
        let text = format!(
            "[package]\nname = \"get\"\nversion = \"1.0.0\"\nkind = \"processor\"\nmodule = \"get.wasm\"\n\
             [permissions]\n\"http:read\" = {{ to = [\"{to}\"], reason = \"gets things\" }}\n"
        );
        std::fs::write(&manifest, text).unwrap();
        node.caxton(&["processor", "deploy", manifest.to_str().unwrap()])
            .ok()
    };
    let deployed = write("asked.example");
    let command = "caxton grant processor:get 'http:read=asked.example'";
    assert!(deployed.stderr.contains(command), "{}", deployed.stderr);
    node.caxton(&["grant", "processor:get", &rule]).ok();
    // Granted, and not asked for.
    assert_eq!(call(&node, &request).ok().stdout.trim_end(), "3");
    let shown = node.caxton(&["grant", "processor:get"]).ok().stdout;
    assert!(shown.contains("no: it gives nothing"), "{shown}");

    // Another version asks for it, and has it at once, since it was granted.
    let updated = write(rule.strip_prefix("http:read=").unwrap());
    assert!(
        updated.stderr.contains("permissions widened"),
        "{}",
        updated.stderr
    );
    assert!(call(&node, &request).ok().stdout.contains("granted"));
    let detail = node.caxton(&["processor", "inspect", "get"]).ok().stdout;
    assert!(detail.contains("gets things"), "{detail}");
}
