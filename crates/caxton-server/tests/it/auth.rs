//! Tokens: needed everywhere but at the health routes, bounded by scope and namespace.

use caxton_client::{
    AgentFilter,
    api::{NewToken, ROUTES, Scope},
};
use serde_json::json;

use crate::harness::{Harness, message, request};

fn token(name: &str, scopes: &[Scope], namespace: Option<&str>) -> NewToken {
    NewToken {
        name: name.to_owned(),
        scopes: scopes.to_vec(),
        namespace: namespace.map(str::to_owned),
        clients: Vec::new(),
    }
}

fn plain(path: &str) -> String {
    path.replace("{id}", "x")
        .replace("{key}", "k")
        .replace("{name}", "n")
        .replace("{code}", "not-found")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_health_is_open_and_each_route_wants_its_scope() {
    let harness = Harness::start().await;
    let client = harness.client();
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        let made = client
            .create_token(&token(&format!("t-{scope}"), &[scope], None))
            .await
            .unwrap();
        tokens.push((scope, made.token));
    }
    for route in ROUTES {
        let (method, path) = (route.method.as_str(), plain(route.path));
        let bare = harness.call_with(method, &path, "", None).await;
        let Some(needed) = route.scope else {
            assert_eq!(bare.status, 200, "{path}");
            continue;
        };
        assert_eq!(
            (bare.status, bare.code().as_str()),
            (401, "unauthorized"),
            "{method} {path}"
        );
        assert!(bare.head.contains("www-authenticate: bearer"));
        let wrong = harness
            .call_with(method, &path, "authorization: Bearer cxt_wrong\r\n", None)
            .await;
        assert_eq!(wrong.status, 401, "{method} {path}");
        for (scope, token) in &tokens {
            if *scope == Scope::Admin || *scope == needed || route.id.as_str() == "streamEvents" {
                continue;
            }
            let headers = format!("authorization: Bearer {token}\r\n");
            let answer = harness.call_with(method, &path, &headers, None).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "forbidden"),
                "{method} {path} {scope}"
            );
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_namespace_sees_and_reaches_only_that() {
    let harness = Harness::start().await;
    let client = harness.client();
    let scopes = [Scope::Read, Scope::Send, Scope::Operate];
    let made = client
        .create_token(&token("acme-ci", &scopes, Some("acme")))
        .await
        .unwrap();
    let acme = harness.client_with(&made.token);
    harness.deploy("secret", "counter-c.wasm").await;
    let own = acme
        .deploy_agent(request("worker", "echo-c.wasm"))
        .await
        .unwrap();
    assert_eq!(own.name, "acme/worker");
    let seen: Vec<_> = acme
        .agents(&AgentFilter::default())
        .await
        .unwrap()
        .into_iter()
        .map(|a| a.name)
        .collect();
    assert_eq!(seen, ["acme/worker"]);
    let id = client.agent("secret").await.unwrap().agent.id;
    for other in ["secret", id.as_str()] {
        assert_eq!(
            acme.agent(other)
                .await
                .unwrap_err()
                .problem()
                .unwrap()
                .status,
            404
        );
        assert_eq!(
            acme.remove_agent(other)
                .await
                .unwrap_err()
                .problem()
                .unwrap()
                .status,
            404
        );
    }
    let reply = acme
        .send_message_and_wait(
            message("me", "worker", json!("hello")),
            std::time::Duration::from_secs(20),
        )
        .await
        .unwrap();
    assert_eq!(
        (reply.content, reply.sender.as_str()),
        (json!("hello"), "acme/worker")
    );
    // An id does not say where its agent is: it is answered as one that nobody has.
    for (to, code) in [("main/secret", "forbidden"), (id.as_str(), "not-found")] {
        let refused = acme
            .send_message(message("me", to, json!(1)))
            .await
            .unwrap_err();
        assert_eq!(refused.problem().unwrap().code, code, "{to}");
    }
    let mut elsewhere = request("main/x", "echo-c.wasm");
    let outside = acme.deploy_agent(elsewhere.clone()).await.unwrap_err();
    assert_eq!(outside.problem().unwrap().code, "forbidden");
    elsewhere.config.name = "granted".to_owned();
    elsewhere
        .config
        .grants
        .insert("message:send".to_owned(), Default::default());
    let granting = acme.deploy_agent(elsewhere).await.unwrap_err();
    assert_eq!(granting.problem().unwrap().code, "forbidden");
    harness.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn tokens_outlive_a_restart_and_their_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let data = Some(directory.path().to_owned());
    let harness = Harness::with(Default::default(), data.clone()).await;
    let admin = harness.server.admin_token().to_owned();
    let made = harness
        .client()
        .create_token(&token("ci", &[Scope::Read], None))
        .await
        .unwrap();
    for file in ["admin-token", "tokens.json"] {
        let mode = std::fs::metadata(directory.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    harness.stop().await;
    let harness = Harness::with(Default::default(), data).await;
    assert_eq!(harness.server.admin_token(), admin);
    harness.client_with(&made.token).version().await.unwrap();
    harness.client().delete_token(&made.entry.id).await.unwrap();
    let refused = harness
        .client_with(&made.token)
        .version()
        .await
        .unwrap_err();
    assert_eq!(refused.problem().unwrap().code, "unauthorized");
    assert_eq!(harness.client().tokens().await.unwrap().len(), 1);
    harness.stop().await;
}
