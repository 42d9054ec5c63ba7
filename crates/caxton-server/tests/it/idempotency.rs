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
    let (one, two, three) = (
        r#"{"name":"a","scopes":["read"]}"#,
        r#"{"name":"b","scopes":["read"]}"#,
        r#"{"name":"c","scopes":["read"]}"#,
    );
    let first = token("k", one).await;
    let again = token("k", one).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert!(again.head.contains("idempotent-replayed: true"));
    let other = token("k", two).await;
    assert_eq!((other.status, other.code().as_str()), (409, "conflict"));
    assert_eq!(token("k1", one).await.code(), "name-taken");
    assert_ne!(token("k2", three).await.json()["id"], first.json()["id"]);
    assert_eq!(token("", one).await.status, 400);
    assert_eq!(
        token(&"k".repeat(300), one).await.code(),
        "malformed-request"
    );
    assert_eq!(client.tokens().await.unwrap().len(), 3);

    let (few, many) = (
        r#"{"name":"s","scopes":["read","send"]}"#,
        r#"{"scopes":["send","read","send"],"name":"s"}"#,
    );
    let scopes = token("s", few).await;
    assert_eq!(scopes.status, 201, "{scopes:?}");
    assert_eq!(token("s", many).await.json(), scopes.json());

    let spaced = "{ \"scopes\" : [\"read\"] , \"n\\u0061me\":\"a\" , \"namespace\":null }";
    let spelled = token("k", spaced).await;
    assert_eq!(
        spelled.json(),
        first.json(),
        "the same request in another spelling"
    );

    // The same form with another boundary, with its parts in another order and otherwise headed.
    let module = crate::harness::guest("echo-c.wasm");
    let form = |boundary: &str, config: &str, last: bool| {
        let config = format!("content-disposition: form-data; name=\"config\"\r\n\r\n{config}");
        let mut file = format!("content-disposition: form-data; name=\"module\"; filename=\"{boundary}.wasm\"\r\ncontent-type: application/wasm\r\n\r\n").into_bytes();
        file.extend(&module);
        let mut parts = [config.into_bytes(), file];
        if last {
            parts.reverse();
        }
        let mut body = Vec::new();
        for part in parts {
            body.extend(format!("--{boundary}\r\n").bytes());
            body.extend(part);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        body
    };
    let deploy = async |boundary: &str, config: &str, last: bool| {
        let media_type = format!("multipart/form-data; boundary={boundary}");
        let body = form(boundary, config, last);
        let body = Some((media_type.as_str(), &body[..]));
        harness
            .call_with("POST", "/api/v1/agents", &headers("d"), body)
            .await
    };
    let once = r#"{"name":"once","version":"1.0.0"}"#;
    let first = deploy("b", once, false).await;
    assert_eq!(first.status, 201, "{first:?}");
    for (boundary, config, last) in [
        ("b", once, false),
        ("another", once, false),
        ("b", r#"{ "version": "1.0.0", "name": "once" }"#, true),
    ] {
        let again = deploy(boundary, config, last).await;
        assert_eq!(again.status, 201, "{boundary} {config}: {again:?}");
        assert_eq!(first.json()["id"], again.json()["id"]);
    }
    for (method_path, config) in [
        ("/api/v1/agents", r#"{"name":"once","version":"1.0.1"}"#),
        ("/api/v1/agents", r#"{"name":"twice","version":"1.0.0"}"#),
        ("/api/v1/agents/once/update", once),
    ] {
        let body = form("b", config, false);
        let body = Some(("multipart/form-data; boundary=b", &body[..]));
        let other = harness
            .call_with("POST", method_path, &headers("d"), body)
            .await;
        assert_eq!(
            (other.status, other.code().as_str()),
            (409, "conflict"),
            "{config}"
        );
        let detail = other.json()["detail"].to_string();
        let id = other.json()["request_id"].as_str().unwrap().to_owned();
        for named in ["`d`", "POST /api/v1/agents)", method_path, &id] {
            assert!(detail.contains(named), "{named}: {detail}");
        }
    }
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
