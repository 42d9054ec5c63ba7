//! The table of routes and the document against what is really served.

use std::collections::BTreeSet;

use caxton_client::api::{Method, ROUTES, Route};
use serde_json::Value;

use crate::harness::{Answer, Harness};

/// Statuses that the document promises for a route.
fn promised(document: &Value, route: &Route) -> BTreeSet<u16> {
    let method = route.method.as_str().to_lowercase();
    document["paths"][route.path][&method]["responses"]
        .as_object()
        .unwrap_or_else(|| panic!("{} is not in the document", route.path))
        .keys()
        .map(|status| status.parse().unwrap())
        .collect()
}

fn plain(path: &str) -> String {
    path.replace("{id}", "none")
        .replace("{key}", "k")
        .replace("{name}", "n")
        .replace("{code}", "CX4005")
}

fn check(document: &Value, route: &Route, answer: &Answer, what: &str) {
    let id = route.id.as_str();
    assert!(answer.status < 500, "{id} on {what}: {answer:?}");
    assert!(
        promised(document, route).contains(&answer.status),
        "{id} on {what}: {} is not promised",
        answer.status
    );
    assert!(answer.head.contains("x-request-id: "), "{answer:?}");
    if answer.status >= 400 {
        answer.code();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_the_answer_is_one_that_the_document_promises() {
    let harness = Harness::start().await;
    let document = harness.client().openapi().await.unwrap();
    assert_eq!(document, caxton_client::api::openapi());
    let bodies: [(&str, &[u8]); 9] = [
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"null"),
        ("application/json", b"[]"),
        ("application/json", b"{\"nonsense\":true}"),
        ("application/json", b"\xff\xfe\x00"),
        ("text/plain", b"hello"),
        ("multipart/form-data; boundary=b", b"--b\r\n"),
        ("nonsense", b"x"),
    ];
    for route in ROUTES
        .iter()
        .filter(|route| route.id.as_str() != "streamEvents")
    {
        let (method, path) = (route.method.as_str(), plain(route.path));
        let answer = harness.call(method, &path, None).await;
        check(&document, route, &answer, "nothing");
        if route.method == Method::Post {
            for (media_type, body) in bodies {
                let answer = harness.call(method, &path, Some((media_type, body))).await;
                check(&document, route, &answer, &format!("{media_type} {body:?}"));
            }
        }
        let answer = harness
            .call(method, &format!("{path}?nonsense=1"), None)
            .await;
        assert_eq!(answer.code(), "unknown-field", "{path}");
        check(&document, route, &answer, "a query");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_say_nothing_are_answered_as_promised() {
    let harness = Harness::start().await;
    let document = harness.client().openapi().await.unwrap();
    let values = [
        "",
        "a%20b",
        "%ff",
        "%00",
        "-1",
        "1e9",
        "true",
        "ams",
        "a-0000000000000000",
        "m-0-0-0",
    ];
    for route in ROUTES {
        if matches!(route.id.as_str(), "streamEvents" | "agentLogs") {
            continue;
        }
        for name in route.query_names() {
            for value in values {
                let path = format!("{}?{name}={value}", plain(route.path));
                let answer = harness.call(route.method.as_str(), &path, None).await;
                check(&document, route, &answer, &path);
            }
        }
    }
    for query in [
        "receiver=a%20b",
        "receiver=df",
        "receiver=nobody",
        "conversation_id=x",
        "receiver=a&wait_ms=1",
    ] {
        for method in [Method::Get, Method::Delete] {
            let route = ROUTES
                .iter()
                .find(|route| route.path == "/api/v1/messages" && route.method == method)
                .unwrap();
            let path = format!("/api/v1/messages?{query}&id=m-0-1-0");
            let path = match method {
                Method::Delete => path,
                _ => path.replace("&id=m-0-1-0", ""),
            };
            let answer = harness.call(method.as_str(), &path, None).await;
            check(&document, route, &answer, &path);
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_says_which_methods_it_takes() {
    let harness = Harness::start().await;
    for route in ROUTES {
        for method in ["PUT", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = harness.call(method, &plain(route.path), None).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (405, "method-not-allowed"),
                "{method} {}",
                route.path
            );
            let allow = answer
                .head
                .lines()
                .find(|line| line.starts_with("allow: "))
                .unwrap();
            assert!(
                allow.contains(&route.method.as_str().to_lowercase()),
                "{allow}"
            );
        }
    }
    let head = harness.call("HEAD", "/health/live", None).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_a_problem_too() {
    let harness = Harness::start().await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/agents/",
        "/api/v2/agents",
        "/api/v1/workflows",
        "/api/v1/packages",
        "//",
        "/../etc/passwd",
        "/api/v1/agents/a/b/c/d",
        "/%00",
        "/api/v1/%ff",
    ] {
        let answer = harness.call("GET", path, None).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "not-found"),
            "{path}"
        );
    }
    let near = harness.call("GET", "/api/v1/agent", None).await;
    assert!(
        near.json()["detail"]
            .as_str()
            .unwrap()
            .contains("/api/v1/agents"),
        "{near:?}"
    );
    for path in ["/api/v1/agents/%ff", "/api/v1/conversations/%ff"] {
        let answer = harness.call("GET", path, None).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "malformed-request"),
            "{path}"
        );
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_says_how_it_is() {
    let harness = Harness::start().await;
    let client = harness.client();
    assert_eq!(client.health_live().await.unwrap().status, "live");
    assert_eq!(client.health_ready().await.unwrap().status, "ready");
    assert_eq!(client.version().await.unwrap().api, "v1");
    assert!(!client.journal().await.unwrap().durable);
    let page = client.error_page("CX1001").await.unwrap();
    assert!(page.starts_with("# CX1001: `memory-limit`"));
    let metrics = client.metrics().await.unwrap();
    for family in caxton_server::FAMILIES {
        assert!(
            metrics.contains(&format!("# TYPE {} ", family.name)),
            "{}",
            family.name
        );
    }
    assert!(
        metrics.contains(r#"caxton_http_requests_total{route="getVersion",status="200"}"#),
        "{metrics}"
    );
    harness.stop().await;
}
