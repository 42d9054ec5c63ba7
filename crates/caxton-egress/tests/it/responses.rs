//! Servers that misbehave: each is met by a limit of its own.

use std::time::Duration;

use caxton_egress::{Bounds, Budgets, Egress, EgressOptions};
use caxton_model::{HostCode, LimitName};

use crate::harness::{
    Answer, Guest, Server, bounds, call, egress, get, limits, ok, options, send, write,
};

async fn word_for(answer: &'static str) -> &'static str {
    let server = Server::start(move |_, _| Answer::Close(answer.as_bytes().to_vec())).await;
    match send(&egress(), get(&server.url("/"))).await {
        Ok(reply) => panic!("{answer:?} was taken for {reply:?}"),
        Err(failure) => {
            assert_eq!(failure.code(), HostCode::Unavailable, "{failure}");
            assert!(failure.to_string().contains(&server.address.to_string()));
            failure.word()
        }
    }
}

#[tokio::test]
async fn a_response_that_can_be_read_in_two_ways_is_refused() {
    let ambiguous = [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody1",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nX\0: y\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbodyX",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "body without a head\r\n\r\n",
    ];
    for answer in ambiguous {
        assert_eq!(word_for(answer).await, "bad-response", "{answer:?}");
    }
}

#[tokio::test]
async fn a_response_that_ends_early_is_not_taken_for_a_whole_one() {
    let cut = [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
    ];
    for answer in cut {
        assert_eq!(word_for(answer).await, "connection-closed", "{answer:?}");
    }
}

#[tokio::test]
async fn chunks_and_bodies_to_the_connections_end_are_read_whole() {
    let bodies = [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nX-T: u\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nbody",
        "HTTP/1.0 200 OK\r\n\r\nbody",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    ];
    for body in bodies {
        let server = Server::start(move |_, _| Answer::Close(body.as_bytes().to_vec())).await;
        let reply = send(&egress(), get(&server.url("/"))).await.unwrap();
        assert_eq!(&*reply.body, b"body", "{body:?}");
        assert!(
            reply
                .headers
                .iter()
                .all(|(name, _)| name != "transfer-encoding")
        );
    }
}

#[tokio::test]
async fn compressed_bytes_are_passed_as_they_are() {
    // A gzip of a megabyte of zeros would be as small; nobody unpacks it here.
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x08\x01\x02";
    let server = Server::start(move |_, _| write(answer)).await;
    let reply = send(&egress(), get(&server.url("/"))).await.unwrap();
    assert_eq!(&*reply.body, b"\x1f\x08\x01\x02");
    assert!(!server.seen()[0].to_lowercase().contains("accept-encoding"));
}

fn small(budgets: &Budgets) -> Bounds<'_> {
    Bounds {
        limits: limits(&[(LimitName::HttpBodyBytes, 10_000)]),
        field_bytes: 1_000,
        ..bounds(budgets)
    }
}

#[tokio::test]
async fn a_body_over_the_limit_ends_the_request_however_it_comes() {
    let kinds: [fn() -> Answer; 4] = [
        || write("HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n"),
        || write("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551613\r\n\r\n"),
        || {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            Answer::Endless(head.to_vec(), b"3\r\nabc\r\n".to_vec())
        },
        || Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"abc".to_vec()),
    ];
    for kind in kinds {
        let server = Server::start(move |_, _| kind()).await;
        let (egress, budgets, guest) = (egress(), Budgets::default(), Guest::default());
        let failure = egress
            .send(get(&server.url("/")), guest.caller(), small(&budgets), None)
            .await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.word(), "http-body-too-large", "{failure}");
        assert_eq!(failure.code(), HostCode::TooLarge);
        assert!(failure.to_string().contains("`http_body_bytes` = 9.8 KiB"));
    }
    let exact = Server::start(|_, _| ok(&"x".repeat(10_000))).await;
    let (budgets, guest) = (Budgets::default(), Guest::default());
    let reply = egress()
        .send(get(&exact.url("/")), guest.caller(), small(&budgets), None)
        .await;
    assert_eq!(reply.unwrap().body.len(), 10_000);
}

#[tokio::test]
async fn a_head_over_the_limit_ends_the_request_however_it_comes() {
    let kinds: [fn() -> Answer; 5] = [
        || {
            write(&format!(
                "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
                "y".repeat(2_000)
            ))
        },
        || {
            write(&format!(
                "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
                "y".repeat(100_000)
            ))
        },
        || {
            write(&format!(
                "HTTP/1.1 200 OK\r\n{}\r\n",
                "X: y\r\n".repeat(101)
            ))
        },
        || Answer::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'y'; 1_000]),
        || Answer::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".to_vec()),
    ];
    for kind in kinds {
        let server = Server::start(move |_, _| kind()).await;
        let (egress, budgets, guest) = (egress(), Budgets::default(), Guest::default());
        let failure = egress
            .send(get(&server.url("/")), guest.caller(), small(&budgets), None)
            .await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.word(), "response-headers-too-large", "{failure}");
        assert_eq!(failure.code(), HostCode::TooLarge);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_guests_time_or_the_hosts() {
    let server = Server::start(|_, _| Answer::Stall(Vec::new())).await;
    let (egress, budgets, guest) = (egress(), Budgets::default(), Guest::default());
    let short = Duration::from_millis(20);
    let own = caxton_egress::HttpCall {
        timeout: Some(short),
        ..get(&server.url("/"))
    };
    let host = Bounds {
        total: short,
        ..bounds(&budgets)
    };
    for (given, limits) in [(own, bounds(&budgets)), (get(&server.url("/")), host)] {
        let failure = egress
            .send(given, guest.caller(), limits, None)
            .await
            .unwrap_err();
        assert_eq!(
            (failure.word(), failure.code()),
            ("http-timeout", HostCode::Unavailable)
        );
        assert!(failure.to_string().contains("20ms"), "{failure}");
        server.gone().await;
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_ends_the_request() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc";
    let stalled = Server::start(move |_, _| Answer::Stall(head.as_bytes().to_vec())).await;
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let dripping =
        Server::start(|_, _| Answer::Endless(chunked.to_vec(), b"1\r\nx\r\n".to_vec())).await;
    let options = EgressOptions {
        body_rate_min: 1 << 50,
        body_rate_grace: Duration::from_millis(20),
        ..options()
    };
    let egress = Egress::new(options).unwrap();
    let (budgets, guest) = (Budgets::default(), Guest::default());
    let wide = Bounds {
        limits: limits(&[(LimitName::HttpBodyBytes, u64::MAX)]),
        ..bounds(&budgets)
    };
    for server in [stalled, dripping] {
        let failure = egress
            .send(get(&server.url("/")), guest.caller(), wide, None)
            .await
            .unwrap_err();
        assert_eq!(
            (failure.word(), failure.code()),
            ("response-too-slow", HostCode::Unavailable)
        );
        server.gone().await;
    }
}

#[tokio::test]
async fn bytes_are_counted_while_they_pass() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server =
        Server::start(|_, _| Answer::Endless(head.to_vec(), b"3\r\nabc\r\n".to_vec())).await;
    let (guest, budgets) = (Guest::default(), Budgets::default());
    let url = server.url("/");
    let bounds = Bounds {
        limits: limits(&[(LimitName::HttpBytesPerMinute, 10_000)]),
        ..bounds(&budgets)
    };
    let failure = egress()
        .send(get(&url), guest.caller(), bounds, None)
        .await
        .unwrap_err();
    assert_eq!(failure.word(), "http-byte-rate-limit");
    server.gone().await;
}

#[tokio::test]
async fn responses_of_all_guests_together_take_no_more_memory_than_they_may() {
    let server = Server::start(|_, _| ok(&"x".repeat(2_000))).await;
    let options = EgressOptions {
        buffered_bytes_max: 1_999,
        ..options()
    };
    let egress = Egress::new(options).unwrap();
    for _ in 0..2 {
        let failure = send(&egress, get(&server.url("/"))).await.unwrap_err();
        assert_eq!(
            (failure.word(), failure.code()),
            ("egress-busy", HostCode::QuotaReached)
        );
    }
}

#[tokio::test]
async fn responses_without_bodies_are_whole() {
    let server = Server::start(|before, _| match before {
        0 => write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"),
        1 => write("HTTP/1.1 204 No Content\r\n\r\n"),
        _ => write("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    })
    .await;
    let egress = egress();
    for method in ["HEAD", "GET", "GET"] {
        let reply = send(&egress, call(method, &server.url("/"), ""))
            .await
            .unwrap();
        assert!(reply.body.is_empty());
    }
    assert_eq!(server.connections(), 1);
}
