//! `[egress]` of a node's configuration: outgoing requests take the proxy, and what can't be used refuses
//! the start.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    sync::mpsc::channel,
    time::Duration,
};

use crate::{
    node::{NodeProcess, up},
    processor_rights::{call, module},
};

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_request_takes_the_proxy_and_a_host_without_one_is_connected_to() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        // Each connection is closed once it has said what it wants.
        for stream in proxy.incoming().map_while(Result::ok) {
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
            tell.send(line).unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let config = format!(
        "[egress]\nhttp_proxy = \"http://{address}\"\nno_proxy = \"127.0.0.2, x.example\"\n"
    );
    std::fs::write(&file, config).unwrap();
    let data = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(data.path(), &["--config", file.to_str().unwrap()]);
    let module = module(&node.data);
    let deploy = [
        "processor",
        "deploy",
        module.to_str().unwrap(),
        "--name",
        "get",
    ];
    let grants = [
        "--grant",
        "http:read=127.0.0.1:9/**",
        "--grant",
        "http:read=127.0.0.2:9/**",
    ];
    node.caxton(&[&deploy[..], &grants].concat()).ok();
    call(&node, r#"{"url":"http://127.0.0.1:9/things"}"#).ok();
    let line = asked.recv_timeout(PATIENCE).unwrap();
    assert!(line.starts_with("CONNECT 127.0.0.1:9 "), "{line}");
    call(&node, r#"{"url":"http://127.0.0.2:9/things"}"#).ok();
    assert!(
        asked.try_recv().is_err(),
        "the exception went through the proxy"
    );
}

#[test]
fn what_cant_be_used_refuses_the_start_and_says_where_to_mend_it() {
    for (config, words) in [
        (
            "http_proxy = \"ftp://proxy.example:1\"",
            "the proxy for `http` can't be used",
        ),
        ("no_proxy = \"10.0.0.0/99\"", "`10.0.0.0/99` in no_proxy"),
        (
            "authorities = \"FILE\"",
            "certificate authority 1 of the private ones",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let authorities = folder.path().join("ca.pem");
        std::fs::write(&authorities, "no certificate").unwrap();
        let config = config.replace("FILE", authorities.to_str().unwrap());
        let file = folder.path().join("node.toml");
        std::fs::write(&file, format!("[egress]\n{config}\n")).unwrap();
        let mut command = up(&folder.path().join("data"));
        let ended = command
            .args(["--config", file.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(words) && said.contains("[egress]"), "{said}");
    }
}
