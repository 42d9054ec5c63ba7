//! Connections: kept, used again, given up.

use std::{sync::Arc, time::Duration};

use caxton_egress::{Budgets, Egress, EgressOptions};
use caxton_model::HostCode;

use crate::harness::{
    Answer, Guest, Server, background, bounds, call, egress, get, ok, options, send, with,
};

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(|_, _| ok("body")).await;
    let egress = egress();
    for _ in 0..20 {
        send(&egress, get(&server.url("/"))).await.unwrap();
    }
    assert_eq!((server.connections(), server.seen().len()), (1, 20));
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_not_used_again() {
    let server = Server::start(|_, _| {
        Answer::Write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec())
    })
    .await;
    let egress = egress();
    for _ in 0..3 {
        send(&egress, get(&server.url("/"))).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let server = Server::start(|_, _| {
        Answer::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())
    })
    .await;
    let egress = egress();
    for sent in 1..=3 {
        // Not even a POST is lost or sent twice.
        send(&egress, call("POST", &server.url("/"), "body"))
            .await
            .unwrap();
        server.gone().await;
        assert_eq!(server.seen().len(), sent);
    }
}

#[tokio::test]
async fn what_a_server_says_unasked_is_not_taken_for_the_next_response() {
    let server = Server::start(|before, _| {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        match before {
            0 => crate::harness::write(&format!("{whole}one{whole}bad")),
            _ => ok("two"),
        }
    })
    .await;
    let egress = egress();
    assert_eq!(
        &*send(&egress, get(&server.url("/"))).await.unwrap().body,
        b"one"
    );
    assert_eq!(
        &*send(&egress, get(&server.url("/"))).await.unwrap().body,
        b"two"
    );
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_request_that_may_have_been_done_is_not_sent_twice() {
    for (method, key, times) in [("POST", false, 2), ("POST", true, 3), ("GET", false, 3)] {
        // The second request on the connection is read, and then the server is gone.
        let server = Server::start(|before, _| match before {
            1 => Answer::Close(Vec::new()),
            _ => ok(""),
        })
        .await;
        let egress = egress();
        let url = server.url("/");
        send(&egress, get(&url)).await.unwrap();
        let mut given = call(method, &url, "");
        if key {
            given = with(given, &[("Idempotency-Key", "k")]);
        }
        let second = send(&egress, given).await;
        assert_eq!(second.is_ok(), times == 3, "{method}");
        if let Err(failure) = second {
            assert_eq!(failure.word(), "connection-closed");
            assert_eq!(failure.code(), HostCode::Unavailable);
        }
        assert_eq!(server.seen().len(), times, "{method}");
    }
}

#[tokio::test]
async fn dropping_the_request_closes_it() {
    let heads: [&'static [u8]; 3] = [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
    ];
    for head in heads {
        let server = Server::start(move |_, _| Answer::Stall(head.to_vec())).await;
        let (egress, budgets, guest) = (egress(), Budgets::default(), Guest::default());
        let limits = bounds(&budgets);
        let sending = egress.send(get(&server.url("/")), guest.caller(), limits, None);
        tokio::select! {
            biased;
            ended = sending => panic!("{ended:?}"),
            () = server.arrived() => {}
        }
        server.gone().await;
    }
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_time() {
    let server = Server::start(|_, _| ok("")).await;
    let egress = Egress::new(EgressOptions {
        idle_time: Duration::from_millis(5),
        ..options()
    })
    .unwrap();
    for _ in 0..3 {
        send(&egress, get(&server.url("/"))).await.unwrap();
        server.gone().await;
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_there_may_be() {
    let egress = Egress::new(EgressOptions {
        idle_max: 2,
        ..options()
    })
    .unwrap();
    let mut servers = Vec::new();
    for _ in 0..3 {
        let server = Server::start(|_, _| ok("")).await;
        send(&egress, get(&server.url("/"))).await.unwrap();
        servers.push(server);
    }
    servers[0].gone().await;
    for server in &servers[1..] {
        send(&egress, get(&server.url("/"))).await.unwrap();
        assert_eq!(server.connections(), 1);
    }
    let none = Egress::new(EgressOptions {
        idle_max: 0,
        ..options()
    })
    .unwrap();
    send(&none, get(&servers[2].url("/"))).await.unwrap();
    servers[2].gone().await;
}

#[tokio::test]
async fn requests_over_the_nodes_number_wait_for_their_turn() {
    let server = Server::start(|_, _| ok("")).await;
    let egress = Egress::new(EgressOptions {
        in_flight_max: 1,
        ..options()
    })
    .unwrap();
    let sends = (0..10).map(|_| send(&egress, get(&server.url("/"))));
    let replies = futures_util::future::join_all(sends).await;
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(server.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_use_as_many_connections_and_keep_them() {
    let server = Server::start(|_, _| ok("body")).await;
    let egress = Arc::new(egress());
    for _ in 0..5 {
        let (tell, mut done) = tokio::sync::mpsc::channel(32);
        for _ in 0..32 {
            let (egress, url, tell) = (Arc::clone(&egress), server.url("/"), tell.clone());
            background(async move {
                let reply = send(&egress, get(&url)).await;
                tell.send(reply.map(|reply| reply.body)).await.unwrap();
            });
        }
        drop(tell);
        while let Some(body) = done.recv().await {
            assert_eq!(&*body.unwrap(), b"body");
        }
    }
    assert_eq!(server.seen().len(), 160);
    assert!(server.connections() <= 64, "{}", server.connections());
}
