//! TLS and HTTP/2.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use caxton_egress::{Budgets, Egress, EgressOptions, OptionsError};
use caxton_model::HostCode;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

use crate::harness::{
    Guest, TestResolver, background, bounds, call, get, local, options, send, send_as, with,
};

struct Tls {
    address: SocketAddr,
    authority: Vec<u8>,
    connections: Arc<AtomicUsize>,
    arrived: mpsc::Receiver<()>,
    dropped: mpsc::Receiver<()>,
}

/// Tells when the server gives up a request.
struct Tell(mpsc::Sender<()>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

async fn answer(
    request: Request<Incoming>,
    arrived: mpsc::Sender<()>,
    dropped: mpsc::Sender<()>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let _ = arrived.send(()).await;
    if request.uri().path() == "/never" {
        let _tell = Tell(dropped);
        std::future::pending::<()>().await;
    }
    let headers = request.headers().len();
    let version = request.version();
    let what = format!("{version:?} {} {}", request.method(), request.uri());
    let host = request.headers().get("host").cloned();
    let large = request.uri().path() == "/large-head";
    let body = request.into_body().collect().await?.to_bytes();
    let host = host.map(|host| host.to_str().unwrap().to_owned());
    let said = format!(
        "{what} {host:?} {headers} {}",
        String::from_utf8_lossy(&body)
    );
    let mut response = Response::new(Full::new(Bytes::from(said)));
    if large {
        let value = "y".repeat(100_000).parse().unwrap();
        response.headers_mut().insert("x", value);
    }
    Ok(response)
}

async fn serve(protocols: &[&[u8]]) -> Tls {
    let names = ["tls.example".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (arrived_tell, arrived) = mpsc::channel(1024);
    let (dropped_tell, dropped) = mpsc::channel(1024);
    let count = Arc::clone(&connections);
    background(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            let (arrived, dropped) = (arrived_tell.clone(), dropped_tell.clone());
            background(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service =
                    service_fn(move |request| answer(request, arrived.clone(), dropped.clone()));
                let stream = TokioIo::new(stream);
                if is_http2 {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(stream, service).await;
                } else {
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(stream, service).await;
                }
            });
        }
    });
    Tls {
        address,
        authority: made.cert.pem().into_bytes(),
        connections,
        arrived,
        dropped,
    }
}

fn trusting(tls: &Tls) -> Egress {
    let home: &[_] = &[local(1)];
    Egress::new(EgressOptions {
        authorities: vec![tls.authority.clone()],
        resolver: Some(TestResolver::new(&[
            ("tls.example", &[home]),
            ("other.example", &[home]),
        ])),
        ..options()
    })
    .unwrap()
}

impl Tls {
    fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.address.port())
    }
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_offers_it_over_one_connection() {
    let tls = serve(&[b"h2", b"http/1.1"]).await;
    let egress = trusting(&tls);
    let url = tls.url("tls.example", "/a?b=c");
    let given = with(
        call("POST", &url, "body"),
        &[("Connection", "close"), ("X", "y")],
    );
    let reply = send(&egress, given).await.unwrap();
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(said, format!("HTTP/2.0 POST {url} None 3 body"));
    let many = (0..50).map(|_| send(&egress, get(&url)));
    for reply in futures_util::future::join_all(many).await {
        assert_eq!(reply.unwrap().status, 200);
    }
    assert_eq!(tls.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_shared_http2_connection_serves_nobody_who_may_not_make_it() {
    let tls = serve(&[b"h2"]).await;
    let egress = trusting(&tls);
    let url = tls.url("tls.example", "/");
    send(&egress, get(&url)).await.unwrap();
    let narrow = Guest::without(&["127.0.0.1"]);
    let denied = send_as(&egress, &narrow, get(&url)).await.unwrap_err();
    assert_eq!(denied.word(), "address-denied");
}

#[tokio::test]
async fn http1_is_spoken_over_tls_where_the_server_has_no_other() {
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let tls = serve(protocols).await;
        let egress = trusting(&tls);
        for _ in 0..3 {
            let reply = send(&egress, get(&tls.url("127.0.0.1", "/a")))
                .await
                .unwrap();
            let said = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(said.starts_with("HTTP/1.1 GET /a Some("), "{said}");
        }
        assert_eq!(tls.connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_for_the_name_that_was_asked() {
    let tls = serve(&[b"h2"]).await;
    let stranger = Egress::new(options()).unwrap();
    let other = trusting(&tls);
    let cases = [
        (&stranger, tls.url("127.0.0.1", "/")),
        (&other, tls.url("other.example", "/")),
    ];
    for (egress, url) in cases {
        let failure = send(egress, get(&url)).await.unwrap_err();
        assert_eq!(
            (failure.word(), failure.code()),
            ("tls-failed", HostCode::Unavailable)
        );
        assert!(failure.to_string().contains("certificate"), "{failure}");
    }
    // No request is sent in plain instead.
    let plain = format!("http://127.0.0.1:{}/", tls.address.port());
    assert!(send(&stranger, get(&plain)).await.is_err());
}

#[tokio::test]
async fn dropping_a_request_resets_its_stream_and_leaves_the_others() {
    let mut tls = serve(&[b"h2"]).await;
    let egress = trusting(&tls);
    let (budgets, guest) = (Budgets::default(), Guest::default());
    let limits = bounds(&budgets);
    let url = tls.url("tls.example", "/");
    send(&egress, get(&url)).await.unwrap();
    tls.arrived.recv().await.unwrap();
    let never = tls.url("tls.example", "/never");
    tokio::select! {
        biased;
        ended = egress.send(get(&never), guest.caller(), limits, None) => panic!("{ended:?}"),
        _ = tls.arrived.recv() => {}
    }
    tls.dropped.recv().await.unwrap();
    send(&egress, get(&url)).await.unwrap();
    assert_eq!(tls.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_large_head_over_http2_ends_the_request() {
    let tls = serve(&[b"h2"]).await;
    let failure = send(&trusting(&tls), get(&tls.url("tls.example", "/large-head"))).await;
    let failure = failure.unwrap_err();
    assert!(
        [
            "response-headers-too-large",
            "bad-response",
            "connection-closed"
        ]
        .contains(&failure.word()),
        "{failure}"
    );
}

#[test]
fn an_authority_that_is_none_is_named() {
    for (pem, what) in [
        ("", "no certificate"),
        ("-----BEGIN CERTIFICATE-----\nx", ""),
    ] {
        let refused = Egress::new(EgressOptions {
            authorities: vec![pem.as_bytes().to_vec()],
            ..options()
        });
        let refused = refused.unwrap_err();
        assert!(matches!(refused, OptionsError::Authority { number: 1, .. }));
        assert!(refused.to_string().contains(what), "{refused}");
    }
}
