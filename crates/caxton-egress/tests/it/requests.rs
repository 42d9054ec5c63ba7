//! What of a request reaches the wire, and what is refused before.

use bytes::Bytes;
use caxton_egress::{Bounds, Budgets, Egress, EgressOptions};
use caxton_model::{HostCode, LimitName};

use crate::harness::{
    Guest, Server, TestResolver, bounds, call, egress, get, limits, ok, options, send, send_as,
    with,
};

#[tokio::test]
async fn a_request_arrives_as_it_was_given_and_its_response_comes_back() {
    let server = Server::start(|_, _| {
        crate::harness::write(
            "HTTP/1.1 201 Created\r\nX-One: 1\r\nx-one: 2\r\nConnection: keep-alive\r\n\
             Keep-Alive: timeout=5\r\nContent-Length: 4\r\n\r\nbody",
        )
    })
    .await;
    let given = with(
        call("post", &server.url("/a%20b?q=1#part"), "hello"),
        &[
            ("X-Custom", "one"),
            ("x-custom", "two"),
            ("Accept", "text/*"),
        ],
    );
    let reply = send(&egress(), given).await.unwrap();
    assert_eq!(reply.status, 201);
    assert_eq!(&*reply.body, b"body");
    let names: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["x-one", "x-one", "content-length"]);
    assert_eq!(reply.url, server.url("/a%20b?q=1"));
    assert!(reply.sent > 5 && reply.received > 4);
    let seen = server.seen().remove(0);
    let version = env!("CARGO_PKG_VERSION");
    let host = server.address;
    assert_eq!(
        seen,
        format!(
            "POST /a%20b?q=1 HTTP/1.1\r\nx-custom: one\r\nx-custom: two\r\naccept: text/*\r\n\
             user-agent: caxton/{version}\r\nhost: {host}\r\ncontent-length: 5\r\n\r\nhello"
        )
    );
}

#[tokio::test]
async fn a_method_without_a_body_says_so_where_servers_expect_one() {
    let server = Server::start(|_, _| ok("")).await;
    let egress = egress();
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE", "X-OWN"] {
        send(&egress, call(method, &server.url("/"), ""))
            .await
            .unwrap();
        let last = server.seen().pop().unwrap();
        let says = last.contains("content-length: 0\r\n");
        assert_eq!(says, ["POST", "PUT", "PATCH"].contains(&method), "{method}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn urls_that_are_no_web_addresses_are_refused_before_anything_is_asked() {
    let guest = Guest::default();
    let egress = egress();
    let refusals = [
        ("ftp://example.com/", "unsupported-scheme"),
        ("file:///etc/passwd", "unsupported-scheme"),
        ("javascript:alert(1)", "unsupported-scheme"),
        ("ws://example.com/", "unsupported-scheme"),
        ("http+unix://x/", "unsupported-scheme"),
        ("/path", "bad-url"),
        ("", "bad-url"),
        ("http://", "bad-url"),
        ("http://./", "bad-url"),
        ("http://../", "bad-url"),
        ("http://example.com./", "bad-url"),
        ("http://user@example.com/", "bad-url"),
        ("http://user:word@example.com/", "bad-url"),
        ("http://example.com:0/", "bad-url"),
        ("http://example.com:99999/", "bad-url"),
        ("http://exa mple.com/", "bad-url"),
        ("http://example.com/a\r\nHost: evil", "bad-url"),
        ("ht\ntp://example.com/", "bad-url"),
        ("http://example.com/a\tb", "bad-url"),
        ("http://example.com/\0", "bad-url"),
        ("http://example.com\\@evil.example/", "bad-url"),
        ("http://[::1/", "bad-url"),
        ("http://[fe80::1%25eth0]/", "bad-url"),
        ("http://1.2.3.4.5.6/", "bad-url"),
        ("http://0x100000000/", "bad-url"),
    ];
    for (url, word) in refusals {
        let failure = send_as(&egress, &guest, get(url)).await.unwrap_err();
        assert_eq!(failure.word(), word, "{url}: {failure}");
    }
    let long = format!("http://example.com/{}", "a".repeat(9000));
    let failure = send_as(&egress, &guest, get(&long)).await.unwrap_err();
    assert_eq!(
        (failure.word(), failure.code()),
        ("bad-url", HostCode::Malformed)
    );
    assert!(
        guest
            .audited()
            .iter()
            .all(|line| line.starts_with("denied"))
    );
    assert_eq!(guest.audited().len(), refusals.len() + 1);
}

#[tokio::test]
async fn methods_that_open_tunnels_or_show_secrets_are_refused() {
    let egress = egress();
    for method in [
        "CONNECT",
        "connect",
        "TRACE",
        "TRACK",
        "",
        "GE T",
        "GET\r\nX: y",
        "É",
    ] {
        let failure = send(&egress, call(method, "http://127.0.0.1/", "")).await;
        assert_eq!(failure.unwrap_err().word(), "bad-method", "{method:?}");
    }
}

#[tokio::test]
async fn headers_that_could_split_or_smuggle_a_request_are_refused() {
    let egress = egress();
    let refused = [
        ("X-A", "b\r\nX-C: d"),
        ("X-A", "b\nc"),
        ("X-A", "b\0c"),
        ("X-A\r\nX-B", "c"),
        ("X A", "b"),
        ("", "b"),
        (":authority", "b"),
        ("Transfer-Encoding", "chunked"),
        ("transfer-ENCODING", "identity"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Upgrade", "websocket"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Proxy-Connection", "close"),
        ("HTTP2-Settings", "x"),
        ("Host", "other.example"),
        ("Content-Length", "3"),
        ("Content-Length", "4, 4"),
        ("Content-Length", "+4"),
        ("Connection", "upgrade"),
        ("Connection", "X-Removed"),
    ];
    for (name, value) in refused {
        let given = with(
            call("POST", "http://127.0.0.1:9/", "body"),
            &[(name, value)],
        );
        let failure = send(&egress, given).await.unwrap_err();
        assert_eq!(failure.word(), "bad-header", "{name:?}: {value:?}");
        let is_shown = value.len() > 4 && failure.to_string().contains(value);
        assert!(!is_shown, "{failure}");
    }
}

#[tokio::test]
async fn headers_that_repeat_what_the_broker_sends_are_dropped() {
    let server = Server::start(|_, _| ok("")).await;
    let host = server.address.to_string();
    let given = with(
        call("POST", &server.url("/"), "body"),
        &[
            ("Host", &host),
            ("Content-Length", "4"),
            ("Connection", "keep-alive"),
            ("Keep-Alive", "timeout=9"),
            ("User-Agent", "own"),
        ],
    );
    send(&egress(), given).await.unwrap();
    let seen = server.seen().remove(0);
    for once in ["host: ", "content-length: ", "user-agent: own\r\n"] {
        assert_eq!(seen.matches(once).count(), 1, "{seen}");
    }
    assert!(!seen.contains("keep-alive"), "{seen}");
}

#[tokio::test]
async fn a_key_for_retries_is_added_unless_the_guest_has_its_own() {
    let server = Server::start(|_, _| ok("")).await;
    let (egress, guest, budgets) = (egress(), Guest::default(), Budgets::default());
    let url = server.url("/");
    let plain = call("POST", &url, "");
    let own = with(plain.clone(), &[("Idempotency-Key", "own")]);
    for given in [plain, own] {
        let limits = bounds(&budgets);
        let sent = egress.send(given, guest.caller(), limits, Some("turn-7"));
        sent.await.unwrap();
    }
    let seen = server.seen();
    assert!(seen[0].contains("idempotency-key: turn-7\r\n"));
    assert!(seen[1].contains("idempotency-key: own\r\n"));
    assert!(!seen[1].contains("turn-7"));
}

#[tokio::test]
async fn a_request_over_its_limits_is_not_sent() {
    let server = Server::start(|_, _| ok("")).await;
    let (egress, guest, budgets) = (egress(), Guest::default(), Budgets::default());
    let small = Bounds {
        limits: limits(&[(LimitName::HttpBodyBytes, 10)]),
        field_bytes: 100,
        ..bounds(&budgets)
    };
    let url = server.url("/");
    let whole = egress
        .send(
            call("POST", &url, "0123456789"),
            guest.caller(),
            small,
            None,
        )
        .await;
    assert_eq!(whole.unwrap().status, 200);
    let body = egress
        .send(
            call("POST", &url, "0123456789a"),
            guest.caller(),
            small,
            None,
        )
        .await;
    let body = body.unwrap_err();
    assert_eq!(
        (body.word(), body.code()),
        ("http-body-too-large", HostCode::TooLarge)
    );
    assert!(body.to_string().contains("11 bytes") && body.to_string().contains("= 10 bytes"));
    let long = with(get(&url), &[("x", &"v".repeat(100))]);
    let long = egress
        .send(long, guest.caller(), small, None)
        .await
        .unwrap_err();
    assert_eq!(long.word(), "request-headers-too-large");
    let mut many = get(&url);
    many.headers = vec![("x".to_owned(), Bytes::new()); 101];
    let many = egress
        .send(many, guest.caller(), small, None)
        .await
        .unwrap_err();
    assert_eq!(many.word(), "request-headers-too-large");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn requests_and_bytes_a_minute_are_the_guests_own() {
    let server = Server::start(|_, _| ok(&"b".repeat(1000))).await;
    let (egress, guest) = (egress(), Guest::default());
    let url = server.url("/");
    let ask = async |limits, budgets: &Budgets| {
        let bounds = Bounds {
            limits,
            ..bounds(budgets)
        };
        egress.send(get(&url), guest.caller(), bounds, None).await
    };
    let (few, budgets) = (limits(&[(LimitName::HttpPerMinute, 2)]), Budgets::default());
    for _ in 0..2 {
        ask(few, &budgets).await.unwrap();
    }
    let over = ask(few, &budgets).await.unwrap_err();
    assert_eq!(
        (over.word(), over.code(), over.limit()),
        (
            "http-rate-limit",
            HostCode::RateLimited,
            Some(LimitName::HttpPerMinute)
        )
    );
    let text = over.to_string();
    assert!(
        text.contains("`http_per_minute` = 2: try again in "),
        "{text}"
    );
    assert_eq!(server.seen().len(), 2, "what is refused is not sent");
    for (name, word) in [
        (LimitName::HttpBytesPerMinute, "http-byte-rate-limit"),
        (LimitName::NetBytesPerMinute, "net-byte-rate-limit"),
    ] {
        let (small, budgets) = (limits(&[(name, 500)]), Budgets::default());
        let over = ask(small, &budgets).await.unwrap_err();
        assert_eq!((over.word(), over.code()), (word, HostCode::RateLimited));
        let text = over.to_string();
        let says = format!("`{name}` = 500 bytes: try again in ");
        assert!(text.contains(&says), "{text}");
        // The next one is refused before it is sent: it has to wait for what arrived too much.
        let seen = server.seen().len();
        assert_eq!(ask(small, &budgets).await.unwrap_err().word(), word);
        assert_eq!(server.seen().len(), seen);
    }
    ask(few, &Budgets::default()).await.unwrap();
}

#[tokio::test]
async fn a_request_that_no_minute_can_take_says_so_and_uses_nothing() {
    let server = Server::start(|_, _| ok("")).await;
    let (egress, guest, budgets) = (egress(), Guest::default(), Budgets::default());
    let limits = limits(&[
        (LimitName::HttpPerMinute, 1),
        (LimitName::HttpBytesPerMinute, 500),
        (LimitName::NetBytesPerMinute, 500),
    ]);
    let bounds = Bounds {
        limits,
        ..bounds(&budgets)
    };
    let large = call("POST", &server.url("/"), &"x".repeat(500));
    let over = egress.send(large, guest.caller(), bounds, None).await;
    let text = over.unwrap_err().to_string();
    assert!(text.contains("more than a minute may have"), "{text}");
    assert!(budgets.used(limits).iter().all(|(_, used)| *used == 0));
    let small = egress.send(get(&server.url("/")), guest.caller(), bounds, None);
    small.await.unwrap();
    let used = budgets.used(limits);
    assert_eq!(used[0], (LimitName::HttpPerMinute, 1));
    assert!(used[1].1 > 50 && used[1].1 == used[2].1, "{used:?}");
}

#[tokio::test]
async fn each_redirect_is_a_request_of_its_own() {
    let server = Server::start(|_, _| {
        crate::harness::write("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let (guest, budgets) = (Guest::default(), Budgets::default());
    let bounds = Bounds {
        limits: limits(&[(LimitName::HttpPerMinute, 3)]),
        ..bounds(&budgets)
    };
    let sent = egress()
        .send(get(&server.url("/")), guest.caller(), bounds, None)
        .await;
    assert_eq!(sent.unwrap_err().word(), "http-rate-limit");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn names_are_asked_for_in_their_ascii_form_and_in_one_form() {
    let server = Server::start(|_, _| ok("")).await;
    let home: &[_] = &[server.address.ip()];
    let resolver = TestResolver::new(&[("xn--bcher-kva.example", &[home])]);
    let egress = Egress::new(EgressOptions {
        resolver: Some(resolver.clone()),
        ..options()
    });
    let guest = Guest::default();
    let port = server.address.port();
    let url = format!("HTTP://BÜCHER.example:{port}/a/../b");
    send_as(&egress.unwrap(), &guest, get(&url)).await.unwrap();
    let seen = server.seen().remove(0);
    assert!(seen.starts_with("GET /b HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: xn--bcher-kva.example:{port}\r\n")));
    assert_eq!(
        guest.audited(),
        [
            format!("allowed GET http://xn--bcher-kva.example:{port}/b"),
            format!("allowed xn--bcher-kva.example:{port} at 127.0.0.1"),
        ]
    );
}

#[tokio::test]
async fn a_refused_request_does_not_even_reach_the_name_server() {
    let resolver = TestResolver::new(&[]);
    let egress = Egress::new(EgressOptions {
        resolver: Some(resolver.clone()),
        ..options()
    });
    let guest = Guest::without(&["*.evil.example"]);
    let denied = send_as(&egress.unwrap(), &guest, get("http://data.evil.example/")).await;
    let denied = denied.unwrap_err();
    assert_eq!(
        (denied.word(), denied.code()),
        ("request-denied", HostCode::Denied)
    );
    assert!(denied.to_string().contains("http:read"));
    assert!(resolver.asked.lock().unwrap().is_empty());
}

#[test]
fn what_is_printed_of_a_request_holds_no_values() {
    let mut given = with(get("http://h/?token=hidden"), &[("X-Key", "hidden")]);
    given.body = Bytes::from_static(b"hidden");
    let shown = format!("{given:?}");
    assert!(
        shown.contains("X-Key") && !shown.contains("hidden"),
        "{shown}"
    );
}
