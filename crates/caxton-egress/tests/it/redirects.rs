//! Redirects: each is a request of its own to the guest.

use caxton_egress::{Egress, EgressOptions};
use caxton_model::HostCode;

use crate::harness::{
    Answer, Guest, Server, TestResolver, call, egress, get, ok, options, send, send_as, with, write,
};

fn to(status: u16, location: &str) -> Answer {
    let head =
        format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    write(&head)
}

#[tokio::test]
async fn a_redirect_is_followed_with_the_method_that_its_status_asks_for() {
    let cases = [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (303, "HEAD", "HEAD", "body"),
        (301, "PUT", "PUT", "body"),
        (302, "DELETE", "DELETE", "body"),
        (307, "POST", "POST", "body"),
        (308, "POST", "POST", "body"),
    ];
    for (status, method, next, body) in cases {
        let server = Server::start(move |before, _| match before {
            0 => to(status, "next?x=1"),
            _ => ok(""),
        })
        .await;
        let given = with(
            call(method, &server.url("/a/b"), "body"),
            &[("Content-Type", "t/x")],
        );
        let reply = send(&egress(), given).await.unwrap();
        assert_eq!(reply.url, server.url("/a/next?x=1"));
        let seen = server.seen().remove(1);
        assert!(
            seen.starts_with(&format!("{next} /a/next?x=1 HTTP/1.1\r\n")),
            "{seen}"
        );
        assert!(
            seen.ends_with(&format!("\r\n\r\n{body}")),
            "{status} {method}: {seen}"
        );
        assert_eq!(seen.contains("content-type"), !body.is_empty(), "{seen}");
        assert!(!seen.to_lowercase().contains("referer"));
    }
}

#[tokio::test]
async fn what_is_no_redirect_is_given_to_the_guest() {
    for head in [
        "304 Not Modified\r\nLocation: /x",
        "300 Choices\r\nLocation: /x",
        "302 Found",
    ] {
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n");
        let status = head[9..12].parse::<u16>().unwrap();
        let server = Server::start(move |_, _| write(&head)).await;
        let reply = send(&egress(), get(&server.url("/"))).await.unwrap();
        assert_eq!(reply.status, status);
    }
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_origin() {
    let other = Server::start(|_, _| ok("")).await;
    let there = other.url("/there");
    let first = Server::start(move |before, _| match before {
        0 => to(302, "/here"),
        _ => to(307, &there),
    })
    .await;
    let headers = [
        ("Authorization", "Bearer b"),
        ("Cookie", "c=d"),
        ("X-Plain", "kept"),
    ];
    let given = with(get(&first.url("/")), &headers);
    send(&egress(), given).await.unwrap();
    for seen in first.seen() {
        assert!(seen.contains("authorization: Bearer b") && seen.contains("cookie: c=d"));
    }
    let seen = other.seen().remove(0);
    assert!(seen.contains("x-plain: kept"));
    for gone in ["authorization", "cookie"] {
        assert!(!seen.contains(gone), "{seen}");
    }
}

#[tokio::test]
async fn a_secret_follows_a_redirect_only_to_where_it_is_granted() {
    let other = Server::start(|_, _| ok("")).await;
    let there = other.url("/there");
    let first = Server::start(move |before, _| match before % 2 {
        0 => to(302, "/here"),
        _ => to(307, &there),
    })
    .await;
    let at = |server: &Server| format!("127.0.0.1:{}", server.address.port());
    for header in ["X-Key", "Authorization"] {
        let place = |server: &Server| format!("{} {header}: {{}}", at(server));
        let given = || with(get(&first.url("/")), &[(header, "{{secret:key}}")]);
        let narrow = Guest::with_secrets(&[("key", &place(&first), "s3cr3t-k3y")]);
        let refused = send_as(&egress(), &narrow, given()).await.unwrap_err();
        assert_eq!(refused.word(), "secret-denied");
        assert!(refused.to_string().contains(&at(&other)), "{refused}");
        assert!(!refused.to_string().contains("s3cr3t-k3y"), "{refused}");
        assert!(other.seen().is_empty(), "it was asked");
        assert!(first.seen().iter().all(|seen| seen.contains("s3cr3t-k3y")));
    }
    let both = [
        ("key", &*format!("{} X-Key: {{}}", at(&first)), "s3cr3t-k3y"),
        ("key", &*format!("{} X-Key: {{}}", at(&other)), "s3cr3t-k3y"),
    ];
    let given = with(get(&first.url("/")), &[("X-Key", "{{secret:key}}")]);
    let guest = Guest::with_secrets(&both);
    send_as(&egress(), &guest, given).await.unwrap();
    assert!(other.seen()[0].contains("x-key: s3cr3t-k3y"));
}

#[tokio::test]
async fn a_redirect_to_what_is_not_granted_is_refused_before_it_is_asked() {
    let other = Server::start(|_, _| ok("")).await;
    let there = other.url("/private");
    let first = Server::start(move |_, _| to(302, &there)).await;
    let guest = Guest::without(&["127.0.0.1/private"]);
    let denied = send_as(&egress(), &guest, get(&first.url("/")))
        .await
        .unwrap_err();
    assert_eq!(denied.word(), "request-denied");
    assert!(
        denied.to_string().contains(&other.address.to_string()),
        "{denied}"
    );
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_redirect_to_an_address_that_is_not_granted_is_refused() {
    let targets = [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "http://0x0a000001/",
        "//10.1/",
        "http://inside.example/",
    ];
    for target in targets {
        let server = Server::start(move |_, _| to(302, target)).await;
        let ten: &[_] = &["10.0.0.1".parse().unwrap()];
        let egress = Egress::new(EgressOptions {
            resolver: Some(TestResolver::new(&[("inside.example", &[ten])])),
            ..options()
        });
        let denied = send(&egress.unwrap(), get(&server.url("/")))
            .await
            .unwrap_err();
        let is_name = target.contains("inside");
        let word = if is_name {
            "address-denied"
        } else {
            "request-denied"
        };
        assert_eq!((denied.word(), denied.code()), (word, HostCode::Denied));
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_redirect_to_another_scheme_or_to_nonsense_has_its_own_failure() {
    let cases = [
        ("ftp://127.0.0.1/", "unsupported-scheme"),
        ("file:///etc/passwd", "unsupported-scheme"),
        ("data:text/plain,x", "unsupported-scheme"),
        ("http://user:word@127.0.0.1/", "bad-url"),
        ("http://127.0.0.1:0/", "bad-url"),
        ("/a b", "bad-url"),
        ("/{{secret:key}}", "misplaced-secret"),
        ("/%7b%7Bsecret:key}}", "misplaced-secret"),
    ];
    for (location, word) in cases {
        let server = Server::start(move |_, _| to(302, location)).await;
        let failure = send(&egress(), get(&server.url("/"))).await.unwrap_err();
        assert_eq!(failure.word(), word, "{location}");
    }
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_sixth() {
    for (redirects, is_answered) in [(5, true), (6, false)] {
        let server = Server::start(move |before, _| {
            if before < redirects {
                to(302, "/again")
            } else {
                ok("")
            }
        })
        .await;
        let answer = send(&egress(), get(&server.url("/"))).await;
        match answer {
            Ok(reply) => assert!(is_answered && reply.status == 200),
            Err(failure) => {
                assert!(!is_answered);
                assert_eq!(failure.word(), "too-many-redirects");
            }
        }
        assert_eq!(server.seen().len(), 6);
    }
}
