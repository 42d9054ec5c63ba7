//! Secrets go into the header and host that they are for, and nowhere else.

use bytes::Bytes;
use caxton_egress::{Bounds, Budgets};
use caxton_model::{HostCode, LimitName};

use crate::harness::{
    Guest, Server, bounds, call, egress, get, limits, ok, send, send_as, with, write,
};

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

#[tokio::test]
async fn a_secret_that_the_server_sends_back_is_its_placeholder_to_the_guest() {
    const ODD: &str = r#"s3cr3t "with" \\ and +/="#;
    for (secret, echoes) in [
        (TOKEN, vec![TOKEN.to_owned()]),
        (
            ODD,
            vec![
                ODD.to_owned(),
                ODD.replace('\\', "\\\\").replace('"', "\\\""),
                "s3cr3t%20%22with%22%20%5C%5C%20and%20%2B%2F%3D".to_owned(),
            ],
        ),
    ] {
        for echo in echoes {
            let body = format!("<{echo}{echo}>");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nX-Echo: Bearer {echo}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let server = Server::start(move |_, _| write(&answer)).await;
            let place = format!(
                "127.0.0.1:{} Authorization: Bearer {{}}",
                server.address.port()
            );
            let guest = Guest::with_secrets(&[("odd", &place, secret)]);
            let headers = [
                ("Authorization", "Bearer {{secret:odd}}"),
                ("Accept-Encoding", "gzip"),
                ("Range", "bytes=0-3"),
            ];
            let given = with(get(&server.url("/")), &headers);
            let reply = send_as(&egress(), &guest, given).await.unwrap();
            assert_eq!(reply.body, "<{{secret:odd}}{{secret:odd}}>", "{echo}");
            let header = reply.headers.iter().find(|(name, _)| name == "x-echo");
            assert_eq!(header.unwrap().1, "Bearer {{secret:odd}}");
            let seen = server.seen().remove(0);
            assert!(seen.contains("accept-encoding: identity\r\n"), "{seen}");
            assert!(!seen.contains("range:") && !seen.contains("gzip"), "{seen}");
        }
    }
}

#[tokio::test]
async fn a_response_in_which_a_secret_could_hide_is_refused() {
    for (head, word) in [
        ("200 OK\r\nContent-Encoding: gzip", "unreadable-body"),
        (
            "200 OK\r\nContent-Encoding: identity, br",
            "unreadable-body",
        ),
        ("302 Found\r\nLocation: /s3cr3t-t0ken", "misplaced-secret"),
        (
            "302 Found\r\nLocation: http://elsewhere.example/?t=s3cr3t-t0ken",
            "misplaced-secret",
        ),
    ] {
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 1\r\n\r\nx");
        let server = Server::start(move |_, _| write(&answer)).await;
        let headers = [("Authorization", "Bearer {{secret:github-token}}")];
        let given = with(get(&server.url("/")), &headers);
        let guest = guest(server.address.port());
        let failure = send_as(&egress(), &guest, given).await.unwrap_err();
        assert_eq!(failure.word(), word, "{head}: {failure}");
        let told = format!("{failure} {failure:?} {:?}", guest.audited());
        assert!(!told.contains(TOKEN), "{told}");
        // Without a secret nothing is looked at.
        if word == "unreadable-body" {
            send(&egress(), get(&server.url("/"))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_response_that_placeholders_make_too_large_is_refused() {
    let body = TOKEN.repeat(1_000);
    let server = Server::start(move |_, _| ok(&body)).await;
    let headers = [("Authorization", "Bearer {{secret:github-token}}")];
    let given = with(get(&server.url("/")), &headers);
    let (guest, budgets) = (guest(server.address.port()), Budgets::default());
    let bounds = Bounds {
        limits: limits(&[(LimitName::HttpBodyBytes, 1_000 * TOKEN.len() as u64)]),
        ..bounds(&budgets)
    };
    let refused = egress().send(given, guest.caller(), bounds, None).await;
    assert_eq!(refused.unwrap_err().word(), "http-body-too-large");
}
