//! The audit log over the API: each route that changes something has its records, refused tokens have
//! theirs, and nothing of a body or a secret is in any.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use caxton_client::{
    AuditFilter, ClientError,
    api::{AuditEntry, RouteId, Scope},
};
use caxton_node::NodeOptions;
use serde_json::{Value, json};

use crate::harness::{Harness, guest};

/// What a body says and no record may.
const SECRET: &str = "hush-hush";

async fn start(data: &Path) -> Harness {
    let options = NodeOptions {
        data: Some(data.join("node")),
        vault_key: Some(data.join("key")),
        shards: 1,
        ..NodeOptions::default()
    };
    let harness = Harness::of(options).await;
    for name in ["gone", "silent"] {
        harness.deploy(name, "echo-c.wasm").await;
    }
    harness
}

async fn records(harness: &Harness, from: u64) -> Vec<AuditEntry> {
    let cursor = from.to_string();
    let page = harness
        .client()
        .audit(&AuditFilter::default(), Some(&cursor), 1_000)
        .await
        .unwrap();
    assert_eq!(page.next_cursor, None);
    page.items
}

async fn last_place(harness: &Harness) -> u64 {
    let last = harness.client().audit_tail(1).await.unwrap();
    last.last().map_or(0, |entry| entry.place)
}

fn module() -> String {
    STANDARD.encode(guest("echo-c.wasm"))
}

/// The request of a route: method, path, body.
fn request(route: RouteId, token: &str, letter: &str) -> (&'static str, String, Value) {
    let post = |end: &str, body: Value| ("POST", format!("/api/v1/{end}"), body);
    let delete = |end: &str| ("DELETE", format!("/api/v1/{end}"), Value::Null);
    match route {
        RouteId::DeployAgent => {
            let grants = json!({ "http:read": { "to": ["api.example/**"] } });
            let config = json!({ "secret": SECRET });
            let agent = json!({
                "wasm_module": module(), "name": "a", "grants": grants, "config": config,
            });
            post("agents", agent)
        }
        RouteId::RemoveAgent => delete("agents/gone"),
        RouteId::StopAgent => post("agents/a/stop", json!({ "drain": true })),
        RouteId::StartAgent => post("agents/a/start", Value::Null),
        RouteId::UpdateAgent => post("agents/a/update", json!({ "wasm_module": module() })),
        RouteId::RollbackAgent => post("agents/a/rollback", Value::Null),
        RouteId::RegisterAgent => {
            let services = json!({ "services": [{ "name": "sum" }] });
            post("agents/a/capabilities", services)
        }
        RouteId::DeregisterAgent => delete("agents/a/capabilities"),
        RouteId::ChangeGrants => post("agents/a/grants", change_of_grants()),
        RouteId::ChangeProcessorGrants => post("processors/p/grants", change_of_grants()),
        RouteId::CreateToken => post("tokens", json!({ "name": "other", "scopes": ["read"] })),
        RouteId::DeleteToken => delete(&format!("tokens/{token}")),
        RouteId::DeployProcessor => {
            let module = STANDARD.encode(guest("reverse-bytes-c.wasm"));
            let grants = json!({ "http:read": { "to": ["api.example/**"] } });
            post(
                "processors",
                json!({ "wasm_module": module, "name": "p", "grants": grants }),
            )
        }
        RouteId::CallProcessor => post("processors/p/call", json!(SECRET)),
        RouteId::RemoveProcessor => delete("processors/p"),
        RouteId::SetSecret => post("vault", json!({ "name": "s", "value": SECRET })),
        RouteId::RemoveSecret => delete("vault/s"),
        RouteId::RotateVaultKey => post("vault-key/rotate", Value::Null),
        RouteId::SendMessage => post("messages", message(&["a"])),
        RouteId::DropMessages => delete("messages?receiver=me&id=m-0-1-0"),
        RouteId::ResendDeadLetter => post(&format!("dead-letters/{letter}/resend"), Value::Null),
        RouteId::DeleteDeadLetter => delete(&format!("dead-letters/{letter}")),
        other => panic!("there is no request for {}", other.as_str()),
    }
}

fn change_of_grants() -> Value {
    json!({ "grant": ["http:write=api.example/**"], "revoke": ["http:read=api.example/**"] })
}

fn message(to: &[&str]) -> Value {
    json!({ "performative": "inform", "sender": "me", "receiver": to, "content": SECRET })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_that_changes_something_has_its_records_and_no_others() {
    let data = tempfile::tempdir().unwrap();
    let harness = start(data.path()).await;
    let token = json!({ "name": "ci", "scopes": ["read"] });
    let token = harness.json("POST", "/api/v1/tokens", &token).await.json();
    let lost = message(&["silent", "nobody"]);
    harness.json("POST", "/api/v1/messages", &lost).await;
    let letters = harness
        .call("GET", "/api/v1/dead-letters", None)
        .await
        .json();
    let letter = letters["items"][0]["id"].as_str().unwrap().to_owned();
    for (route, actions) in caxton_server::AUDITED {
        let (method, path, body) = request(*route, token["id"].as_str().unwrap(), &letter);
        let before = last_place(&harness).await;
        let answer = match &body {
            Value::Null => harness.call(method, &path, None).await,
            body => harness.json(method, &path, body).await,
        };
        let name = route.as_str();
        if !actions.is_empty() {
            assert!((200..300).contains(&answer.status), "{name}: {answer:?}");
        }
        let found = records(&harness, before + 1).await;
        for outcome in ["requested", "succeeded"] {
            let of = found.iter().filter(|entry| entry.outcome == outcome);
            let of: Vec<&str> = of.map(|entry| &*entry.action).collect();
            let expected: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
            assert_eq!(of, expected, "{name} {outcome}: {found:?}");
        }
        assert_eq!(found.len(), 2 * actions.len(), "{name}: {found:?}");
        for entry in &found {
            assert_eq!(entry.subject.kind, "operator", "{entry:?}");
            assert!(entry.target.is_some(), "{entry:?}");
        }
    }
    let deployed = AuditFilter {
        action: Some("deploy".to_owned()),
        outcome: Some("succeeded".to_owned()),
        subject: Some("admin".to_owned()),
        namespace: Some("main".to_owned()),
        text: Some("a".to_owned()),
        ..AuditFilter::default()
    };
    let page = harness.client().audit(&deployed, None, 100).await.unwrap();
    let names = page
        .items
        .iter()
        .map(|entry| entry.target.as_deref().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["gone", "silent", "a", "p"]);
    assert!(
        page.items[0].details["digest"].starts_with("sha256:"),
        "{page:?}"
    );
    let all = format!("{:?}", records(&harness, 1).await);
    assert!(!all.contains(SECRET), "a body is in the audit log");
    assert!(!all.contains("cxt_"), "a secret is in the audit log");
    let check = harness.client().verify_audit(None).await.unwrap();
    assert!(check.good, "{check:?}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_and_what_was_refused_say_so() {
    let data = tempfile::tempdir().unwrap();
    let harness = start(data.path()).await;
    let before = last_place(&harness).await;
    let rollback = "/api/v1/agents/silent/rollback";
    let failed = harness.call("POST", rollback, None).await;
    let unknown = "authorization: Bearer cxt_none\r\n";
    harness
        .call_with("GET", "/api/v1/agents", unknown, None)
        .await;
    let new = json!({ "name": "reader", "scopes": ["read"] });
    let reader = harness.json("POST", "/api/v1/tokens", &new).await.json();
    let reader = format!(
        "authorization: Bearer {}\r\n",
        reader["token"].as_str().unwrap()
    );
    for path in [
        "/api/v1/audit",
        "/api/v1/audit/head",
        "/api/v1/audit/verify",
    ] {
        let answer = harness.call_with("GET", path, &reader, None).await;
        assert_eq!(answer.code(), "forbidden", "{path}");
    }
    let found = records(&harness, before + 1).await;
    let seen: Vec<(&str, &str)> = found.iter().map(|e| (&*e.action, &*e.outcome)).collect();
    let expected = [
        ("rollback", "requested"),
        ("rollback", "failed"),
        ("login", "denied"),
        ("key-change", "requested"),
        ("key-change", "succeeded"),
        ("api-refusal", "denied"),
        ("api-refusal", "denied"),
        ("api-refusal", "denied"),
    ];
    assert_eq!(seen, expected, "{found:?}");
    assert_eq!(found[1].details["code"], failed.code());
    assert_eq!(found[2].details["peer"], "127.0.0.1");
    assert_eq!(found[2].details["route"], "listAgents");
    assert_eq!(
        (&*found[5].subject.kind, &*found[5].subject.name),
        ("token", "reader")
    );
    assert_eq!(found[5].details["route"], "searchAudit");
    let scopes = [Scope::Read, Scope::Send, Scope::Operate, Scope::Admin];
    assert_eq!(scopes, Scope::ALL, "only the last one reads the audit log");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_records_goes_on_at_its_cursor_and_a_head_fits_the_log() {
    let data = tempfile::tempdir().unwrap();
    let harness = start(data.path()).await;
    let client = harness.client();
    let all = records(&harness, 1).await;
    let (mut paged, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = client
            .audit(&AuditFilter::default(), cursor.as_deref(), 2)
            .await
            .unwrap();
        assert!(page.items.len() <= 2);
        paged.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(paged, all);
    assert_eq!(client.audit_tail(2).await.unwrap(), all[all.len() - 2..]);
    let head = client.audit_head().await.unwrap();
    assert_eq!(head.place, all.len() as u64);
    let line = serde_json::to_string(&head).unwrap();
    let check = client.verify_audit(Some(&line)).await.unwrap();
    assert!(check.good && check.signed_place >= head.place, "{check:?}");
    let forged = line.replace(&format!("\"place\":{}", head.place), "\"place\":1");
    let check = client.verify_audit(Some(&forged)).await.unwrap();
    assert!(!check.good && check.damage.is_some(), "{check:?}");
    let check = client.verify_audit(Some("{}")).await.unwrap();
    let damage = check.damage.unwrap_or_default();
    assert!(!check.good && damage.contains("no signed head"), "{damage}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_data_directory_says_that_it_keeps_no_audit_log() {
    let harness = Harness::start().await;
    let refused = harness.client().audit_head().await.unwrap_err();
    let ClientError::Refused(problem) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(problem.code, "not-found");
    assert!(problem.detail.contains("--data"), "{problem:?}");
    harness.stop().await;
}
