//! TLS by files, and the refusal to be open without it.

use std::{path::PathBuf, time::Duration};

use caxton_client::CaxtonClient;
use caxton_node::{Node, NodeOptions};
use caxton_server::{ServeError, ServerLimits, ServerOptions, TlsFiles, serve};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::harness::PATIENCE;

async fn node() -> Node {
    Node::start(NodeOptions {
        shards: 1,
        ..NodeOptions::default()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_speaks_tls_with_the_files_it_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: directory.path().join("cert.pem"),
        key: directory.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let node = node().await;
    let options = ServerOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: Some(files.clone()),
        limits: ServerLimits {
            head_timeout: Duration::from_secs(1),
            ..ServerLimits::default()
        },
        ..ServerOptions::default()
    };
    let server = serve(node.clone(), options.clone()).await.unwrap();
    assert!(server.url().starts_with("https://"));
    let url = format!("https://localhost:{}", server.addr().port());
    let client = CaxtonClient::with_token(&url, server.admin_token()).unwrap();
    assert!(
        client.version().await.is_err(),
        "an unknown certificate was trusted"
    );
    let client = client.trusting(made.cert.pem().as_bytes()).unwrap();
    assert_eq!(client.version().await.unwrap().name, "caxton");
    // Who opens a connection and says nothing does not keep it.
    let mut silent = TcpStream::connect(server.addr()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut bytes))
        .await
        .expect("closed");
    server.shutdown(Duration::from_secs(5)).await;

    for (certificate, key) in [
        (PathBuf::from("/nowhere/cert.pem"), files.key.clone()),
        (files.certificate.clone(), files.certificate.clone()),
        (files.key.clone(), files.key.clone()),
    ] {
        let tls = Some(TlsFiles { certificate, key });
        let error = serve(
            node.clone(),
            ServerOptions {
                tls,
                ..options.clone()
            },
        )
        .await
        .unwrap_err();
        assert!(matches!(error, ServeError::Tls { .. }), "{error}");
    }
    node.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_without_tls_is_refused_unless_allowed() {
    let node = node().await;
    let public = ServerOptions {
        listen: ([0, 0, 0, 0], 0).into(),
        ..ServerOptions::default()
    };
    let error = serve(node.clone(), public.clone()).await.unwrap_err();
    assert!(matches!(error, ServeError::PlainPublic { .. }), "{error}");
    let allowed = ServerOptions {
        allow_plain_public: true,
        ..public
    };
    let server = serve(node.clone(), allowed).await.unwrap();
    let taken = ServerOptions {
        listen: server.addr(),
        allow_plain_public: true,
        ..ServerOptions::default()
    };
    let error = serve(node.clone(), taken).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind { .. }), "{error}");
    server.shutdown(Duration::from_secs(5)).await;
    node.shutdown(Duration::from_secs(5)).await;
}
