//! Requests through an operator's proxy.

use std::sync::{Arc, Mutex};

use caxton_egress::{Egress, EgressOptions, OptionsError, Proxies};
use caxton_model::HostCode;
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::harness::{
    Guest, Server, TestResolver, background, get, local, ok, options, read_request, send, send_as,
};

/// A proxy that opens tunnels to whatever it is asked for; every other name is `home`.
async fn tunnels(home: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&asked);
    background(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (all, home) = (Arc::clone(&all), home.clone());
            background(async move {
                let Some(head) = read_request(&mut stream).await else {
                    return;
                };
                let to = head.split(' ').nth(1).unwrap().to_owned();
                all.lock().unwrap().push(head);
                let to = if to.starts_with("127.") { to } else { home };
                let mut there = TcpStream::connect(to).await.unwrap();
                let granted = b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n";
                stream.write_all(granted).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut there).await;
            });
        }
    });
    (format!("http://us%20er:w%3Ard@{address}"), asked)
}

fn through(proxy: &str, resolve_names: bool, no_proxy: &[&str]) -> Egress {
    let home: &[_] = &[local(1)];
    Egress::new(EgressOptions {
        proxies: Proxies {
            http: Some(proxy.to_owned()),
            https: Some(proxy.to_owned()),
            no_proxy: no_proxy.iter().map(|&entry| entry.to_owned()).collect(),
            resolve_names,
        },
        resolver: Some(TestResolver::new(&[("name.example", &[home])])),
        ..options()
    })
    .unwrap()
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_to_the_address_that_was_checked() {
    let server = Server::start(|_, _| ok("body")).await;
    let (proxy, asked) = tunnels(String::new()).await;
    let egress = through(&proxy, false, &[]);
    let guest = Guest::default();
    let url = format!("http://name.example:{}/", server.address.port());
    for _ in 0..2 {
        let reply = send_as(&egress, &guest, get(&url)).await.unwrap();
        assert_eq!(&*reply.body, b"body");
    }
    let address = server.address;
    let expected = format!(
        "CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\
         Proxy-Authorization: Basic dXMgZXI6dzpyZA==\r\n\r\n"
    );
    assert_eq!(*asked.lock().unwrap(), [expected]);
    assert!(guest.audited().contains(&format!(
        "allowed name.example:{} at 127.0.0.1",
        address.port()
    )));
    let seen = server.seen().remove(0);
    assert!(seen.starts_with("GET / HTTP/1.1\r\n") && seen.contains("host: name.example"));
    assert!(!seen.to_lowercase().contains("proxy"), "{seen}");
    let denied = Guest::without(&["127.0.0.1"]);
    let denied = send_as(&egress, &denied, get(&url)).await.unwrap_err();
    assert_eq!(denied.word(), "address-denied");
}

#[tokio::test]
async fn a_proxy_that_resolves_names_is_given_the_name_but_addresses_are_checked() {
    let proxy = Server::start(|_, _| ok("from the proxy")).await;
    let url = format!("http://u:p@{}", proxy.address);
    let egress = through(&url, true, &[]);
    let reply = send(&egress, get("http://only-there.example/a?b"))
        .await
        .unwrap();
    assert_eq!(&*reply.body, b"from the proxy");
    let seen = proxy.seen().remove(0);
    assert!(
        seen.starts_with("GET http://only-there.example/a?b HTTP/1.1\r\n"),
        "{seen}"
    );
    assert!(seen.contains("proxy-authorization: Basic dTpw\r\n"));
    let denied = send(&egress, get("http://10.0.0.1/")).await.unwrap_err();
    assert_eq!(denied.word(), "request-denied");
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_tunnel_by_name_carries_tls() {
    let (proxy, asked) = tunnels("127.0.0.1:9".to_owned()).await;
    let egress = through(&proxy, true, &[]);
    let failure = send(&egress, get("https://only-there.example/"))
        .await
        .unwrap_err();
    assert_eq!(failure.code(), HostCode::Unavailable);
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("CONNECT only-there.example:443 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn hosts_of_no_proxy_are_connected_to_directly() {
    let server = Server::start(|_, _| ok("direct")).await;
    let port = server.address.port();
    let cases = [
        ("*", "name.example"),
        ("name.example", "name.example"),
        ("EXAMPLE", "name.example"),
        (".example", "name.example"),
        ("*.example", "name.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.0/8", "127.0.0.1"),
    ];
    for (entry, host) in cases {
        let egress = through("http://127.0.0.1:9", false, &[entry]);
        let reply = send(&egress, get(&format!("http://{host}:{port}/"))).await;
        assert_eq!(&*reply.unwrap().body, b"direct", "{entry}");
    }
    for entry in ["ame.example", "other.name.example", "128.0.0.0/8", "::1"] {
        let egress = through("http://127.0.0.1:9", false, &[entry]);
        let host = if entry.contains("example") {
            "name.example"
        } else {
            "127.0.0.1"
        };
        let failure = send(&egress, get(&format!("http://{host}:{port}/"))).await;
        assert_eq!(failure.unwrap_err().word(), "proxy-failed", "{entry}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_the_one_that_did() {
    let answers = [
        ("HTTP/1.1 407 Authenticate\r\n\r\n", "status 407"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "status 502"),
        ("SSH-2.0-x\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 200", ""),
    ];
    for (answer, what) in answers {
        let proxy =
            Server::start(move |_, _| crate::harness::Answer::Close(answer.as_bytes().to_vec()))
                .await;
        let egress = through(&format!("http://u:hidden@{}", proxy.address), false, &[]);
        let failure = send(&egress, get("https://name.example/"))
            .await
            .unwrap_err();
        assert_eq!(
            (failure.word(), failure.code()),
            ("proxy-failed", HostCode::Unavailable)
        );
        assert!(failure.to_string().contains(what), "{failure}");
        assert!(!failure.to_string().contains("hidden"));
    }
}

#[test]
fn settings_of_proxies_that_make_no_sense_are_refused() {
    for proxy in ["https://p:1", "socks5://p:1", "p:1", "", "http://"] {
        let refused = Egress::new(EgressOptions {
            proxies: Proxies {
                https: Some(proxy.to_owned()),
                ..Proxies::default()
            },
            ..options()
        });
        assert!(
            matches!(refused, Err(OptionsError::Proxy { .. })),
            "{proxy}"
        );
    }
    for entry in ["", "10.0.0.0/33", "a b", "http://x", "x:80", "::/129"] {
        let refused = Egress::new(EgressOptions {
            proxies: Proxies {
                no_proxy: vec![entry.to_owned()],
                ..Proxies::default()
            },
            ..options()
        });
        assert!(
            matches!(refused, Err(OptionsError::NoProxy { .. })),
            "{entry}"
        );
    }
}
