//! Agents over HTTP: deploy, list, look, change, remove.

use std::time::Duration;

use caxton_client::{
    AgentConfig, AgentFilter, DeployAgentRequest, Durability,
    api::{AskedValue, GrantPattern},
};
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, guest, message, request};

const BASE64: &str = "AGFzbQEAAAA=";

async fn form(harness: &Harness, parts: &[(&str, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (name, bytes) in parts {
        body.extend(
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n").bytes(),
        );
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--b--\r\n");
    harness
        .call(
            "POST",
            "/api/v1/agents",
            Some(("multipart/form-data; boundary=b", &body)),
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_lives_its_life_over_http() {
    let harness = Harness::start().await;
    let client = harness.client();
    let mut first = request("worker", "counter-c.wasm");
    first.config.version = Some("1.0.0".to_owned());
    first.config.durability = Durability::Memory;
    first
        .config
        .limits
        .insert("mailbox".to_owned(), AskedValue::Number(7));
    first
        .config
        .config
        .insert("mode".to_owned(), "fast".to_owned());
    let deployed = client.deploy_agent(first).await.unwrap();
    assert_eq!(
        (deployed.name.as_str(), deployed.version.as_str()),
        ("worker", "1.0.0")
    );

    let count = async || {
        let sent = message("me", "worker", json!({}));
        client
            .send_message_and_wait(sent, Duration::from_secs(10))
            .await
            .unwrap()
            .content["result"]
            .clone()
    };
    assert_eq!((count().await, count().await), (json!(1), json!(2)));

    let detail = client.agent(&deployed.agent_id).await.unwrap();
    let mailbox = detail
        .limits
        .iter()
        .find(|limit| limit.name == "mailbox")
        .unwrap();
    assert_eq!(
        (mailbox.limit, detail.config_keys.as_slice()),
        (Some(7), &["mode".to_owned()][..])
    );
    assert_eq!((detail.counters.state_keys, detail.counters.faults), (1, 0));
    let keys = client.agent_state("worker").await.unwrap();
    assert_eq!((keys.len(), keys[0].key.as_deref()), (1, Some("count")));
    assert_eq!(
        client.agent_state_value("worker", "count").await.unwrap(),
        b"2"
    );
    let absent = client
        .agent_state_value("worker", "other")
        .await
        .unwrap_err();
    assert_eq!(absent.problem().unwrap().code, "not-found");

    let mut second = request("ignored", "counter-c.wasm");
    second.config.version = Some("2.0.0".to_owned());
    let updated = client.update_agent("worker", second).await.unwrap();
    assert_eq!(
        (updated.agent_id.as_str(), updated.version.as_str()),
        (deployed.agent_id.as_str(), "2.0.0")
    );
    assert_eq!(count().await, json!(3));
    let back = client.rollback_agent("worker").await.unwrap();
    assert_eq!(back.version, "1.0.0");
    assert_eq!(count().await, json!(4));

    let stopped = client.stop_agent("worker", false, None).await.unwrap();
    assert_eq!(serde_json::to_value(stopped.status).unwrap(), "stopped");
    client.start_agent("worker").await.unwrap();
    assert_eq!(count().await, json!(5));
    client.remove_agent("worker").await.unwrap();
    let gone = client.agent("worker").await.unwrap_err();
    assert_eq!(gone.problem().unwrap().status, 404);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_come_in_pages() {
    let harness = Harness::start().await;
    let client = harness.client();
    for name in ["alpha", "beta", "acme/alpha", "gamma"] {
        harness.deploy(name, "echo-c.wasm").await;
    }
    let names = async |filter: AgentFilter| {
        let mut names: Vec<_> = client
            .agents(&filter)
            .await
            .unwrap()
            .into_iter()
            .map(|agent| agent.name)
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(AgentFilter::default()).await.len(), 4);
    let alpha = AgentFilter {
        name: Some("al*".to_owned()),
        ..AgentFilter::default()
    };
    assert_eq!(names(alpha).await, ["acme/alpha", "alpha"]);
    let acme = AgentFilter {
        namespace: Some("acme".to_owned()),
        ..AgentFilter::default()
    };
    assert_eq!(names(acme).await, ["acme/alpha"]);
    let stopped = AgentFilter {
        status: Some("stopped".to_owned()),
        ..AgentFilter::default()
    };
    assert!(names(stopped).await.is_empty());
    let first = harness
        .call("GET", "/api/v1/agents?limit=3", None)
        .await
        .json();
    assert_eq!(first["items"].as_array().unwrap().len(), 3);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = harness
        .call(
            "GET",
            &format!("/api/v1/agents?limit=3&cursor={cursor}"),
            None,
        )
        .await
        .json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("next_cursor"), None);
    let one = harness
        .call("GET", "/api/v1/agents/acme%2Falpha", None)
        .await;
    assert_eq!(one.json()["namespace"], "acme");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_are_found_by_name() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("translator", "capability-c.wasm").await;
    let none = client.capability("translate").await.unwrap_err();
    assert_eq!(none.problem().unwrap().code, "no-capability");
    let register = message("me", "translator", json!({ "register": true }));
    client
        .send_message_and_wait(register, Duration::from_secs(10))
        .await
        .unwrap();
    let all = client.capabilities().await.unwrap();
    assert_eq!((all[0].name.as_str(), all[0].agents), ("translate", 1));
    let offers = client.capability("translate").await.unwrap();
    assert_eq!(
        (
            offers[0].name.as_str(),
            offers[0].service.description.as_str()
        ),
        ("translator", "Says it did")
    );
    let detail = client.agent("translator").await.unwrap();
    assert_eq!(detail.descriptor.unwrap().services[0].name, "translate");
    let by_capability = AgentFilter {
        capability: Some("translate".to_owned()),
        ..AgentFilter::default()
    };
    assert_eq!(client.agents(&by_capability).await.unwrap().len(), 1);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_json_forms_and_the_form_deploy() {
    let harness = Harness::start().await;
    let module = guest("echo-c.wasm");
    let base64 = {
        use std::fmt::Write as _;
        // Base64 by hand, so that the test does not trust the code it tests.
        const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in module.chunks(3) {
            let bits = chunk
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let sign = if i > chunk.len() {
                    '='
                } else {
                    SIGNS[(bits >> (18 - 6 * i) & 63) as usize] as char
                };
                write!(text, "{sign}").unwrap();
            }
        }
        text
    };
    let flat = json!({ "wasm_module": base64, "name": "flat", "limits": { "memory": "2MiB" } });
    let flat = harness.json("POST", "/api/v1/agents", &flat).await;
    assert_eq!(
        (flat.status, flat.json()["name"].clone()),
        (201, json!("flat")),
        "{flat:?}"
    );
    let nested = json!({ "wasm_module": base64, "config": { "name": "nested", "resources": { "max_memory_bytes": 2_000_000 } } });
    assert_eq!(
        harness.json("POST", "/api/v1/agents", &nested).await.status,
        201
    );
    let manifest = "[package]\nname = \"packed\"\nversion = \"3.2.1\"\nkind = \"agent\"\ndescription = \"Echoes.\"\nmodule = \"echo.wasm\"\n\n[limits]\nmailbox = 9\n";
    let packed = form(
        &harness,
        &[("manifest", manifest.as_bytes()), ("module", &module)],
    )
    .await;
    assert_eq!(packed.status, 201, "{packed:?}");
    assert_eq!(
        (
            packed.json()["name"].clone(),
            packed.json()["version"].clone()
        ),
        (json!("packed"), json!("3.2.1"))
    );
    let detail = harness.client().agent("packed").await.unwrap();
    assert_eq!(
        detail
            .limits
            .iter()
            .find(|l| l.name == "mailbox")
            .unwrap()
            .limit,
        Some(9)
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_deployed_is_refused_with_its_reason() {
    let harness = Harness::start().await;
    harness.deploy("taken", "echo-c.wasm").await;
    let deploy = async |body: Value| {
        let answer = harness.json("POST", "/api/v1/agents", &body).await;
        (answer.status, answer.code(), answer.json())
    };
    for (body, status, code) in [
        (json!({ "name": "a" }), 400, "malformed-request"),
        (json!({ "wasm_module": BASE64 }), 400, "malformed-request"),
        (
            json!({ "wasm_module": "AAAA", "name": "a" }),
            422,
            "invalid-module",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a" }),
            422,
            "unsupported-module",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "1" }),
            422,
            "invalid-name",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "ams" }),
            403,
            "reserved-name",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "taken" }),
            409,
            "name-taken",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a", "limits": { "memmory": 1 } }),
            400,
            "unknown-field",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a", "limits": { "cpu": "ten" } }),
            422,
            "invalid-limit",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a", "limits": { "cpu": 0 } }),
            422,
            "invalid-limit",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a", "grants": { "http:read": {} } }),
            422,
            "invalid-config",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a", "grants": { "ext:call": { "to": ["x"] } } }),
            422,
            "invalid-config",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a", "grants": { "http:read": { "to": ["a b"] } } }),
            422,
            "invalid-config",
        ),
        (
            json!({ "wasm_module": BASE64, "name": "a", "profil": "wide" }),
            400,
            "unknown-field",
        ),
    ] {
        let (got, got_code, problem) = deploy(body.clone()).await;
        assert_eq!((got, got_code.as_str()), (status, code), "{body} {problem}");
    }
    let (_, _, problem) =
        deploy(json!({ "wasm_module": BASE64, "name": "a", "durabilty": "memory" })).await;
    assert_eq!(problem["nearest"], "durability");
    for (file, code) in [
        ("init-fails.wat", "init-failed"),
        ("unknown-imports.wat", "unmet-import"),
        ("wants-http.wat", "permission-required"),
        ("no-form.wat", "unsupported-module"),
    ] {
        let error = harness
            .client()
            .deploy_agent(request("bad", file))
            .await
            .unwrap_err();
        assert_eq!(error.problem().unwrap().code, code, "{file}: {error}");
    }
    assert_eq!(
        harness
            .client()
            .agents(&AgentFilter::default())
            .await
            .unwrap()
            .len(),
        1
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_forms_are_refused() {
    let harness = Harness::start().await;
    let module = guest("echo-c.wasm");
    let config = br#"{"name":"a"}"#;
    for (parts, code) in [
        (vec![], "malformed-request"),
        (vec![("config", &config[..])], "malformed-request"),
        (vec![("module", &module[..])], "malformed-request"),
        (
            vec![("module", &module[..]), ("module", &module[..])],
            "malformed-request",
        ),
        (vec![("modul", &module[..])], "unknown-field"),
        (
            vec![("module", &module[..]), ("config", b"{")],
            "malformed-request",
        ),
        (
            vec![("module", &module[..]), ("manifest", b"[package")],
            "invalid-manifest",
        ),
        (
            vec![("module", &module[..]), ("manifest", b"\xff")],
            "invalid-manifest",
        ),
    ] {
        let answer = form(&harness, &parts).await;
        assert_eq!(answer.code(), code, "{answer:?}");
    }
    for (media_type, body) in [
        ("multipart/form-data", "--b--"),
        ("multipart/form-data; boundary=b", "no form at all"),
        (
            "multipart/form-data; boundary=b",
            "--b\r\ncontent-disposition: form-data; name=\"module\"\r\n\r\ncut",
        ),
    ] {
        let answer = harness
            .call(
                "POST",
                "/api/v1/agents",
                Some((media_type, body.as_bytes())),
            )
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "malformed-request"),
            "{answer:?}"
        );
    }
    for media_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let answer = harness
            .call("POST", "/api/v1/agents", Some((media_type, b"{}")))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (415, "unsupported-media-type")
        );
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_shown_and_an_unsafe_stop_is_refused() {
    let harness = Harness::start().await;
    let client = harness.client();
    let mut granted = DeployAgentRequest {
        wasm_module: guest("echo-c.wasm"),
        config: AgentConfig {
            name: "granted".to_owned(),
            ..AgentConfig::default()
        },
    };
    let to = GrantPattern {
        to: vec!["acme/*".to_owned()],
        reason: None,
    };
    granted.config.grants.insert("message:send".to_owned(), to);
    client.deploy_agent(granted).await.unwrap();
    let detail = client.agent("granted").await.unwrap();
    assert_eq!(detail.message_send, Some(vec!["acme/*".to_owned()]));
    let long = json!({ "grace_ms": 1_000_000_000 });
    let answer = harness
        .json("POST", "/api/v1/agents/granted/stop", &long)
        .await;
    assert_eq!(answer.code(), "malformed-request");
    let none = harness
        .call("POST", "/api/v1/agents/granted/rollback", None)
        .await;
    assert!(none.status == 409 || none.status == 404, "{none:?}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_registers_what_an_agent_offers() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("worker", "echo-c.wasm").await;
    harness.deploy("other", "echo-c.wasm").await;
    let services = json!({"services": [{"name": "translate", "description": "Says it did"}]});
    let registration = serde_json::from_value(services).unwrap();
    client
        .register_agent("worker", &registration)
        .await
        .unwrap();
    let offers = client.capability("translate").await.unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!(
        (&*offers[0].name, &*offers[0].service.description),
        ("worker", "Says it did")
    );
    // What was registered goes: one descriptor replaces the other.
    let services = json!({"services": [{"name": "sing"}], "performatives": ["request"]});
    let registration = serde_json::from_value(services).unwrap();
    client
        .register_agent("worker", &registration)
        .await
        .unwrap();
    let gone = client.capability("translate").await.unwrap_err();
    assert_eq!(gone.problem().unwrap().code, "no-capability");
    assert_eq!(client.capability("sing").await.unwrap().len(), 1);
    client.deregister_agent("worker").await.unwrap();
    assert!(client.capabilities().await.unwrap().is_empty());
    client.deregister_agent("worker").await.unwrap();

    let path = "/api/v1/agents/worker/capabilities";
    for (body, says) in [
        (r#"{"service": []}"#, "did you mean `services`"),
        (r#"{"services": [{"name": ""}]}"#, "service 0 has no name"),
        (r#"{"performatives": ["shout"]}"#, "shout"),
        ("[]", "JSON"),
    ] {
        let body = ("application/json", body.as_bytes());
        let answer = harness.call("POST", path, Some(body)).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains(says), "{says}: {}", answer.body);
    }
    let nobody = "/api/v1/agents/nobody/capabilities";
    let body = ("application/json", &b"{}"[..]);
    assert_eq!(harness.call("POST", nobody, Some(body)).await.status, 404);
    assert_eq!(harness.call("DELETE", nobody, None).await.status, 404);
    harness.stop().await;
}
