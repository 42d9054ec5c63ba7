//! Heads of requests: hosts, encodings, queries.

use crate::harness::{Harness, answer};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_one_host() {
    let harness = Harness::start().await;
    let with = async |version: &str, hosts: &str| {
        let request = format!("GET /health/live {version}\r\n{hosts}connection: close\r\n\r\n");
        answer(&harness.raw(request.as_bytes()).await)
    };
    for (version, hosts) in [
        ("HTTP/1.1", "host: x\r\n"),
        ("HTTP/1.1", "Host: 127.0.0.1:8080\r\n"),
        ("HTTP/1.1", "host: [::1]:8080\r\n"),
        ("HTTP/1.1", "host:\r\n"),
        ("HTTP/1.0", ""),
        ("HTTP/1.0", "host: x\r\n"),
    ] {
        assert_eq!(with(version, hosts).await.status, 200, "{version} {hosts}");
    }
    for (version, hosts) in [
        ("HTTP/1.1", ""),
        ("HTTP/1.1", "host: x\r\nhost: x\r\n"),
        ("HTTP/1.1", "host: x\r\nHost: y\r\n"),
        ("HTTP/1.0", "host: x\r\nhost: y\r\n"),
        ("HTTP/1.1", "host: x, y\r\n"),
        ("HTTP/1.1", "host: x y\r\n"),
        ("HTTP/1.1", "host: x/y\r\n"),
        ("HTTP/1.1", "host: a@x\r\n"),
        ("HTTP/1.1", "host: x:y\r\n"),
        ("HTTP/1.1", "host: :80\r\n"),
        ("HTTP/1.1", "x-host: x\r\n"),
    ] {
        let refused = with(version, hosts).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "malformed-request"),
            "{version} {hosts}"
        );
        assert!(
            refused.json()["detail"]
                .as_str()
                .unwrap()
                .contains("`Host`")
        );
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_an_encoding_is_refused_with_the_reason() {
    let harness = Harness::start().await;
    let token = format!("authorization: Bearer {}\r\n", harness.server.admin_token());
    let post = async |path: &str, more: &str, media_type: &str, body: &[u8]| {
        let headers = format!("{token}{more}");
        harness
            .call_with("POST", path, &headers, Some((media_type, body)))
            .await
    };
    let plain = br#"{"name":"a","scopes":["read"]}"#;
    for more in [
        "content-encoding: gzip\r\n",
        "content-encoding: br\r\n",
        "content-encoding: GZIP\r\n",
        "content-encoding: identity, gzip\r\n",
        "content-encoding: identity\r\ncontent-encoding: deflate\r\n",
    ] {
        for path in ["/api/v1/tokens", "/api/v1/messages", "/api/v1/agents"] {
            let refused = post(path, more, "application/json", plain).await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (415, "unsupported-media-type"),
                "{path} {more}"
            );
            assert!(
                refused.head.contains("accept-encoding: identity"),
                "{refused:?}"
            );
            let detail = refused.json()["detail"].to_string();
            assert!(detail.contains("content-encoding"), "{detail}");
        }
    }
    let utf16 = "application/json; charset=utf-16";
    let refused = post("/api/v1/tokens", "", utf16, plain).await;
    assert_eq!(refused.status, 415, "{refused:?}");
    let part = b"--b\r\ncontent-disposition: form-data; name=\"module\"\r\ncontent-transfer-encoding: base64\r\n\r\nAGFzbQ==\r\n--b--\r\n";
    let form = "multipart/form-data; boundary=b";
    let refused = post("/api/v1/agents", "", form, part).await;
    assert_eq!(refused.status, 415, "{refused:?}");
    for (name, more, media_type) in [
        ("a", "content-encoding: identity\r\n", "application/json"),
        ("b", "", "application/json; charset=UTF-8"),
        ("c", "", "application/json; charset=\"utf-8\""),
    ] {
        let plain = format!(r#"{{"name":"{name}","scopes":["read"]}}"#);
        let made = post("/api/v1/tokens", more, media_type, plain.as_bytes()).await;
        assert_eq!(made.status, 201, "{more} {media_type} {made:?}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_query_that_is_no_utf_8_is_called_so() {
    let harness = Harness::start().await;
    for (query, status) in [
        ("name=%EF%BF%BD", 200),
        ("name=%C3%A9+x", 200),
        ("name=%FF", 400),
        ("name=%EF%BF", 400),
    ] {
        let answered = harness
            .call("GET", &format!("/api/v1/agents?{query}"), None)
            .await;
        assert_eq!(answered.status, status, "{query}: {answered:?}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loopback_may_be_listened_on_in_every_spelling() {
    for address in ["127.0.0.1:0", "127.9.9.9:0", "[::ffff:127.0.0.1]:0"] {
        assert!(
            !caxton_server::is_public(address.parse().unwrap()),
            "{address}"
        );
    }
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "[::ffff:0.0.0.0]:0",
        "[::ffff:10.0.0.1]:0",
    ] {
        assert!(
            caxton_server::is_public(address.parse().unwrap()),
            "{address}"
        );
    }
    let node = caxton_node::Node::start(caxton_node::NodeOptions {
        shards: 1,
        ..caxton_node::NodeOptions::default()
    })
    .await
    .unwrap();
    let options = caxton_server::ServerOptions {
        listen: "[::ffff:127.0.0.1]:0".parse().unwrap(),
        ..caxton_server::ServerOptions::default()
    };
    let server = caxton_server::serve(node, options).await.unwrap();
    let url = server.url();
    assert!(url.starts_with("http://[::ffff:127.0.0.1]:"), "{url}");
    let client = caxton_client::CaxtonClient::with_token(&url, server.admin_token()).unwrap();
    client.version().await.unwrap();
}
