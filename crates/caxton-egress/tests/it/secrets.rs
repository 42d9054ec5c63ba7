//! Secrets go into the header and host that they are for, and nowhere else.

use bytes::Bytes;
use caxton_model::HostCode;

use crate::harness::{Guest, Server, call, egress, get, ok, send_as, with};

const TOKEN: &str = "s3cr3t-t0ken";

fn guest(port: u16) -> Guest {
    let here = format!("127.0.0.1:{port}");
    let key = format!("{here} X-Key: {{}}");
    Guest::with_secrets(&[
        (
            "github-token",
            &format!("{here} Authorization: Bearer {{}}"),
            TOKEN,
        ),
        ("broken", &key, "a\r\nX-Injected: s3cr3t"),
        ("braces", &key, "{{secret:github-token}}"),
    ])
}

#[tokio::test]
async fn a_placeholder_is_replaced_in_the_header_that_the_secret_is_for() {
    let server = Server::start(|_, _| ok("")).await;
    let headers = [("Authorization", "Bearer {{secret:github-token}}")];
    let given = with(get(&server.url("/")), &headers);
    send_as(&egress(), &guest(server.address.port()), given)
        .await
        .unwrap();
    let line = format!("authorization: Bearer {TOKEN}\r\n");
    assert!(server.seen()[0].contains(&line));
}

#[tokio::test]
async fn a_secret_that_looks_like_a_placeholder_is_sent_as_it_is() {
    let server = Server::start(|_, _| ok("")).await;
    let given = with(get(&server.url("/")), &[("X-Key", "{{secret:braces}}")]);
    send_as(&egress(), &guest(server.address.port()), given)
        .await
        .unwrap();
    assert!(server.seen()[0].contains("x-key: {{secret:github-token}}\r\n"));
}

#[tokio::test]
async fn a_placeholder_in_another_header_host_or_spelling_is_refused() {
    let server = Server::start(|_, _| ok("")).await;
    let port = server.address.port();
    let here = server.url("/");
    let elsewhere = format!("http://127.0.0.2:{port}/");
    let cases = [
        (
            &elsewhere,
            "Authorization",
            "Bearer {{secret:github-token}}",
            "secret-denied",
        ),
        (
            &here,
            "X-Other",
            "Bearer {{secret:github-token}}",
            "secret-denied",
        ),
        (
            &here,
            "Authorization",
            "Basic {{secret:github-token}}",
            "secret-denied",
        ),
        (
            &here,
            "Authorization",
            "Bearer {{secret:github-token}}x",
            "secret-denied",
        ),
        (
            &here,
            "Authorization",
            "Bearer {{secret:unknown}}",
            "secret-denied",
        ),
        (
            &here,
            "Authorization",
            "Bearer {{secret:}}",
            "misplaced-secret",
        ),
        (
            &here,
            "Authorization",
            "Bearer {{secret:github-token",
            "misplaced-secret",
        ),
        (
            &here,
            "Authorization",
            "Bearer {{secret:github token}}",
            "misplaced-secret",
        ),
        (
            &here,
            "X-Key",
            "{{secret:a}}{{secret:b}}",
            "misplaced-secret",
        ),
        (
            &here,
            "X-Key",
            "{{secret:{{secret:github-token}}}}",
            "misplaced-secret",
        ),
        (&here, "X-Key", "{{secret:broken}}", "bad-header"),
    ];
    for (url, header, value, word) in cases {
        let given = with(get(url), &[(header, value)]);
        let failure = send_as(&egress(), &guest(server.address.port()), given)
            .await
            .unwrap_err();
        assert_eq!(failure.word(), word, "{header}: {value}");
        assert!(!failure.to_string().contains("s3cr3t"), "{failure}");
        assert!(!format!("{failure:?}").contains("s3cr3t"));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_placeholder_outside_the_headers_makes_the_request_fail() {
    let server = Server::start(|_, _| ok("")).await;
    let places = [
        call("POST", &server.url("/"), "x={{secret:github-token}}"),
        call("POST", &server.url("/"), "{{secret:"),
        get(&server.url("/{{secret:github-token}}")),
        get(&server.url("/?q=%7B%7Bsecret%3Agithub-token%7D%7D")),
        get(&server.url("/?q=%7b{secret:github-token}}")),
    ];
    for given in places {
        let failure = send_as(&egress(), &guest(server.address.port()), given)
            .await
            .unwrap_err();
        assert_eq!(failure.word(), "misplaced-secret");
        assert_eq!(failure.code(), HostCode::Malformed);
        assert!(failure.to_string().contains("{{secret:NAME}}"), "{failure}");
    }
    let mut split = get(&server.url("/"));
    split.headers = vec![("X-{{secret:github-token}}".to_owned(), Bytes::new())];
    let failure = send_as(&egress(), &guest(server.address.port()), split)
        .await
        .unwrap_err();
    assert_eq!(failure.word(), "bad-header");
    assert_eq!(server.connections(), 0);
}
