//! Repeated POSTs under one key.

use caxton_client::AgentFilter;

use crate::harness::{Harness, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_deploy_under_one_key_makes_one_agent() {
    let harness = Harness::start().await;
    let client = harness.client();
    let headers = |key: &str| {
        format!(
            "authorization: Bearer {}\r\nidempotency-key: {key}\r\n",
            harness.server.admin_token()
        )
    };
    let token = async |key: &str, body: &str| {
        harness
            .call_with(
                "POST",
                "/api/v1/tokens",
                &headers(key),
                Some(("application/json", body.as_bytes())),
            )
            .await
    };
    let (one, two) = (
        r#"{"name":"a","scopes":["read"]}"#,
        r#"{"name":"b","scopes":["read"]}"#,
    );
    let first = token("k", one).await;
    let again = token("k", one).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert!(again.head.contains("idempotent-replayed: true"));
    let other = token("k", two).await;
    assert_eq!((other.status, other.code().as_str()), (409, "conflict"));
    assert_ne!(token("k2", one).await.json()["id"], first.json()["id"]);
    assert_eq!(token("", one).await.status, 400);
    assert_eq!(
        token(&"k".repeat(300), one).await.code(),
        "malformed-request"
    );
    assert_eq!(client.tokens().await.unwrap().len(), 3);

    // Two bodies of a form differ in their boundary, so the raw form is sent twice here.
    let module = crate::harness::guest("echo-c.wasm");
    let mut body = b"--b\r\ncontent-disposition: form-data; name=\"config\"\r\n\r\n{\"name\":\"once\"}\r\n--b\r\ncontent-disposition: form-data; name=\"module\"\r\n\r\n".to_vec();
    body.extend(&module);
    body.extend(b"\r\n--b--\r\n");
    let form = "multipart/form-data; boundary=b";
    let deploy = async || {
        harness
            .call_with("POST", "/api/v1/agents", &headers("d"), Some((form, &body)))
            .await
    };
    let (first, again) = (deploy().await, deploy().await);
    assert_eq!(
        (first.status, again.status),
        (201, 201),
        "{first:?} {again:?}"
    );
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(
        client.agents(&AgentFilter::default()).await.unwrap().len(),
        1
    );
    let without_key = client
        .deploy_agent(request("once", "echo-c.wasm"))
        .await
        .unwrap_err();
    assert_eq!(without_key.problem().unwrap().code, "name-taken");
    harness.stop().await;
}
