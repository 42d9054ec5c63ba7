//! Requests that are wrong in one thing each: the answer names it, and the node goes on serving.

use std::time::Duration;

use caxton_client::api::{NewToken, Scope};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Harness, answer, guest, message, read_all, request};

/// A message goes through and its reply comes back.
async fn still_serves(harness: &Harness, after: &str) {
    let reply = harness
        .client()
        .send_message_and_wait(message("me", "echo", json!(after)), Duration::from_secs(20))
        .await
        .unwrap_or_else(|error| panic!("after {after}: {error}"));
    assert_eq!(reply.content, json!(after));
}

async fn with_echo() -> Harness {
    let harness = Harness::start().await;
    harness.deploy("echo", "echo-c.wasm").await;
    harness
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_the_wrong_form_or_type_is_refused_by_its_name() {
    let harness = with_echo().await;
    const MALFORMED: (u16, &str) = (400, "malformed-request");
    const MESSAGE: (u16, &str) = (400, "malformed-message");
    const UNKNOWN: (u16, &str) = (400, "unknown-field");
    let cases: &[(&str, &str, (u16, &str))] = &[
        ("agents", r#"{"wasm_module":5,"name":"a"}"#, MALFORMED),
        ("agents", r#"{"wasm_module":"?","name":"a"}"#, MALFORMED),
        ("agents", r#"{"name":"a"}"#, MALFORMED),
        ("agents", r#"{"wasm_module":"","name":5}"#, MALFORMED),
        ("agents", r#"{"wasm_module":"","name":null}"#, MALFORMED),
        ("agents", r#"{"wasm_module":"","name":""}"#, MALFORMED),
        (
            "agents",
            r#"{"wasm_module":"","name":"a b"}"#,
            (422, "invalid-name"),
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"df"}"#,
            (403, "reserved-name"),
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","nmae":1}"#,
            UNKNOWN,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","limits":[]}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","limits":{"memory":-1}}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","limits":{"memory":1.5}}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","limits":{"memory":1e99}}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","limits":{"memory":"lots"}}"#,
            (422, "invalid-limit"),
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","limits":{"memmory":1}}"#,
            UNKNOWN,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","capabilities":"x"}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","durability":true}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","supervision":[]}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","supervision":{"restart":1}}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","grants":{"message:send":[]}}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"","name":"a","passivate_after":"soon"}"#,
            MALFORMED,
        ),
        (
            "agents",
            r#"{"wasm_module":"AAAA","name":"a"}"#,
            (422, "invalid-module"),
        ),
        ("messages", r#""#, MESSAGE),
        ("messages", r#"{"performative":"request"}"#, MESSAGE),
        (
            "messages",
            r#"{"performative":5,"receiver":"echo"}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"shout","receiver":"echo"}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":5}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":[]}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":[1]}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":{}}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","sender":5}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","performative":"inform"}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","content":NaN}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","wait_ms":"1"}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","wait_ms":-1}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","wait_ms":60001}"#,
            MALFORMED,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","message_id":5}"#,
            MESSAGE,
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"nobody"}"#,
            (404, "not-found"),
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","sender":"df"}"#,
            (403, "reserved-name"),
        ),
        (
            "messages",
            r#"{"performative":"request","receiver":"echo","sender":"echo"}"#,
            (403, "reserved-name"),
        ),
        ("tokens", r#"{"name":"a","scopes":"read"}"#, MALFORMED),
        ("tokens", r#"{"name":"a","scopes":["reed"]}"#, MALFORMED),
        ("tokens", r#"{"name":"a","scopes":[]}"#, MALFORMED),
        ("tokens", r#"{"name":["a"],"scopes":["read"]}"#, MALFORMED),
        (
            "tokens",
            r#"{"name":"a","scopes":["read"],"scope":"read"}"#,
            UNKNOWN,
        ),
        ("agents/echo/stop", r#"{"drain":"yes"}"#, MALFORMED),
        ("agents/echo/stop", r#"{"grace_ms":-1}"#, MALFORMED),
        ("agents/echo/stop", r#"{"grace_ms":99999999999}"#, MALFORMED),
        (
            "agents/echo/stop",
            r#"{"grace_ms":1}{"grace_ms":1}"#,
            MALFORMED,
        ),
    ];
    for (path, body, expected) in cases {
        let path = format!("/api/v1/{path}");
        let answered = harness
            .call("POST", &path, Some(("application/json", body.as_bytes())))
            .await;
        assert_eq!(
            (answered.status, answered.code().as_str()),
            *expected,
            "{path} {body}: {answered:?}"
        );
    }
    still_serves(&harness, "wrong JSON").await;
    harness.stop().await;
}

/// One part of a form.
fn part(head: &str, body: &[u8]) -> Vec<u8> {
    [b"--b\r\n", head.as_bytes(), b"\r\n\r\n", body, b"\r\n"].concat()
}

fn named(name: &str, body: &[u8]) -> Vec<u8> {
    part(
        &format!("content-disposition: form-data; name=\"{name}\""),
        body,
    )
}

/// What it is; the media type and the body sent; the status and code expected.
type Case<'a> = (&'a str, &'a str, Vec<u8>, (u16, &'a str));

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_the_wrong_shape_are_refused_by_what_is_wrong() {
    let harness = with_echo().await;
    let form = "multipart/form-data; boundary=b";
    let module = guest("echo-c.wasm");
    let (whole, config) = (
        named("module", &module),
        named("config", br#"{"name":"f"}"#),
    );
    let end = b"--b--\r\n".to_vec();
    let flood: Vec<u8> = (0..10_000).flat_map(|_| named("x", b"")).collect();
    let cases: Vec<Case<'_>> = vec![
        (
            "no boundary",
            "multipart/form-data",
            end.clone(),
            (400, "malformed-request"),
        ),
        ("nothing", form, Vec::new(), (400, "malformed-request")),
        ("no part", form, end.clone(), (400, "malformed-request")),
        (
            "another boundary",
            "multipart/form-data; boundary=c",
            [&whole[..], &end].concat(),
            (400, "malformed-request"),
        ),
        (
            "no end",
            form,
            [&config[..], &whole].concat(),
            (400, "malformed-request"),
        ),
        (
            "cut in the module",
            form,
            [&config[..], &whole[..whole.len() / 2]].concat(),
            (400, "malformed-request"),
        ),
        (
            "a part without a name",
            form,
            [&part("x-y: z", b"")[..], &end].concat(),
            (400, "unknown-field"),
        ),
        (
            "a part without a head",
            form,
            b"--b\r\nnonsense".to_vec(),
            (400, "malformed-request"),
        ),
        (
            "an endless head of a part",
            form,
            part(&format!("x: {}", "y".repeat(1 << 20)), b""),
            (400, "unknown-field"),
        ),
        (
            "an unknown part",
            form,
            [&named("modul", b"")[..], &end].concat(),
            (400, "unknown-field"),
        ),
        ("10,000 parts", form, flood, (400, "unknown-field")),
        (
            "a part twice",
            form,
            [&config[..], &config, &whole, &end].concat(),
            (400, "malformed-request"),
        ),
        (
            "no module",
            form,
            [&config[..], &end].concat(),
            (400, "malformed-request"),
        ),
        (
            "a config that is no JSON",
            form,
            [&named("config", b"{")[..], &whole, &end].concat(),
            (400, "malformed-request"),
        ),
        (
            "a config that is a list",
            form,
            [&named("config", b"[]")[..], &whole, &end].concat(),
            (400, "malformed-request"),
        ),
        (
            "a config of 2 MiB",
            form,
            [&named("config", &vec![b' '; 2 << 20])[..], &whole, &end].concat(),
            (413, "payload-too-large"),
        ),
        (
            "a manifest that is no text",
            form,
            [&named("manifest", b"\xff")[..], &whole, &end].concat(),
            (422, "invalid-manifest"),
        ),
        (
            "a manifest that is no manifest",
            form,
            [&named("manifest", b"x = 1")[..], &whole, &end].concat(),
            (422, "invalid-manifest"),
        ),
        (
            "a module that is none",
            form,
            [&config[..], &named("module", b"MZ"), &end].concat(),
            (422, "invalid-module"),
        ),
        (
            "half a module",
            form,
            [
                &config[..],
                &named("module", &module[..module.len() / 2]),
                &end,
            ]
            .concat(),
            (422, "invalid-module"),
        ),
        (
            "no name",
            form,
            [&whole[..], &end].concat(),
            (400, "malformed-request"),
        ),
    ];
    for (what, media_type, body, expected) in &cases {
        let answered = harness
            .call("POST", "/api/v1/agents", Some((media_type, body)))
            .await;
        assert_eq!(
            (answered.status, answered.code().as_str()),
            *expected,
            "{what}: {answered:?}"
        );
    }
    let good = [&config[..], &whole, &end].concat();
    let deployed = harness
        .call("POST", "/api/v1/agents", Some((form, &good)))
        .await;
    assert_eq!(deployed.status, 201, "{deployed:?}");
    still_serves(&harness, "wrong forms").await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_in_one_form_only() {
    let harness = with_echo().await;
    let client = harness.client();
    let new = NewToken {
        name: "gone".to_owned(),
        scopes: vec![Scope::Read],
        namespace: None,
        clients: Vec::new(),
    };
    let gone = client.create_token(&new).await.unwrap();
    client.delete_token(&gone.entry.id).await.unwrap();
    let admin = harness.server.admin_token().to_owned();
    let cut = &admin[..admin.len() - 1];
    let long = "x".repeat(20_000);
    let wrong = [
        String::new(),
        "authorization:\r\n".to_owned(),
        "authorization: Bearer\r\n".to_owned(),
        format!("authorization: {admin}\r\n"),
        format!("authorization: Basic {admin}\r\n"),
        format!("authorization: Bearer {cut}\r\n"),
        format!("authorization: Bearer {admin}x\r\n"),
        format!("authorization: Bearer {admin} {admin}\r\n"),
        format!("authorization: Bearer {}\r\n", admin.to_uppercase()),
        format!("authorization: Bearer {}\r\n", gone.token),
        format!("authorization: Bearer {long}\r\n"),
        "authorization: Bearer \u{fc}\r\n".to_owned(),
        format!("authorization: Bearer {admin}\r\nauthorization: Bearer {admin}\r\n"),
        format!("x-authorization: Bearer {admin}\r\ncookie: token={admin}\r\n"),
    ];
    for headers in &wrong {
        for path in ["/api/v1/agents", "/metrics", "/api/v1/events"] {
            let answered = harness.call_with("GET", path, headers, None).await;
            assert_eq!(
                (answered.status, answered.code().as_str()),
                (401, "unauthorized"),
                "{path} {headers}"
            );
            assert!(answered.head.contains("www-authenticate: bearer"));
            assert!(!answered.body.contains(&admin), "{answered:?}");
        }
    }
    let in_query = format!("/api/v1/agents?token={admin}");
    assert_eq!(
        harness.call_with("GET", &in_query, "", None).await.status,
        401
    );
    still_serves(&harness, "wrong tokens").await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_once_however_many_ask_for_it_at_once() {
    let harness = with_echo().await;
    let client = harness.client();
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..20 {
        let client = client.clone();
        // The default namespace has a long and a short form: both are the same name.
        let name = if i % 2 == 0 { "wanted" } else { "main/wanted" };
        asking.spawn(async move { client.deploy_agent(request(name, "echo-c.wasm")).await });
    }
    let (mut made, mut refused) = (0, 0);
    while let Some(answered) = asking.join_next().await {
        match answered.unwrap() {
            Ok(_) => made += 1,
            Err(error) => {
                let problem = error.problem().unwrap();
                assert_eq!((problem.status, problem.code.as_str()), (409, "name-taken"));
                assert!(problem.remedy.contains("another name"), "{problem}");
                refused += 1;
            }
        }
    }
    assert_eq!((made, refused), (1, 19));
    client.remove_agent("wanted").await.unwrap();
    harness.deploy("wanted", "echo-c.wasm").await;
    still_serves(&harness, "a fight over a name").await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_say_two_things_about_the_body_are_not_believed() {
    let harness = with_echo().await;
    let token = harness.server.admin_token().to_owned();
    let smuggled =
        format!("GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    let heads = [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: -1\r\n",
        "content-length: 0x10\r\n",
        "content-length: 99999999999999999999999999\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, identity\r\n",
    ];
    for head in heads {
        let text = format!(
            "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{head}\r\n{smuggled}"
        );
        let text = harness.raw(text.as_bytes()).await;
        // One answer at most, and no good one: what stands behind the head is nobody's request.
        assert!(text.matches("HTTP/1.1 ").count() <= 1, "{head}: {text}");
        assert!(
            text.is_empty() || (400..500).contains(&answer(&text).status),
            "{head}: {text}"
        );
    }
    // A length beside chunks: the chunks count, and what follows them is not read as a request.
    let text = format!(
        "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{smuggled}"
    );
    let text = harness.raw(text.as_bytes()).await;
    assert!(
        text.matches("HTTP/1.1 ").count() <= 1 && !text.contains(" 200 "),
        "{text}"
    );
    for chunks in ["zz\r\n", "ffffffffffffffffff\r\n", "5\r\nabc", "1;"] {
        let text = format!(
            "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
        );
        let mut stream = harness.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let text = read_all(&mut stream).await;
        assert!(
            text.is_empty() || (400..500).contains(&answer(&text).status),
            "{chunks}: {text}"
        );
    }
    still_serves(&harness, "two lengths").await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_one_piece_are_answered_in_their_order() {
    let harness = with_echo().await;
    let token = harness.server.admin_token().to_owned();
    let mut all = String::new();
    for i in 0..200 {
        let last = if i == 199 {
            "connection: close\r\n"
        } else {
            ""
        };
        let path = if i % 2 == 0 { "/version" } else { "/nowhere" };
        all.push_str(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{last}\r\n"
        ));
    }
    let text = harness.raw(all.as_bytes()).await;
    let statuses: Vec<&str> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    let expected: Vec<&str> = (0..200)
        .map(|i| if i % 2 == 0 { "200" } else { "404" })
        .collect();
    assert_eq!(statuses, expected);
    still_serves(&harness, "a pipeline").await;
    harness.stop().await;
}
