//! Messages over HTTP: acknowledged, answered, read, listed, dead and sent again.

use std::time::Duration;

use caxton_client::{ClientError, MailFilter, api::SendOptions};
use serde_json::json;

use crate::harness::{Harness, message, request};

const WAIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_how_durable_the_acknowledgement_is() {
    let harness = Harness::start().await;
    harness.deploy("echo", "echo-c.wasm").await;
    let sent =
        json!({ "performative": "REQUEST", "receiver": "echo", "content": 1, "x-own": [1, 2] });
    let answer = harness.json("POST", "/api/v1/messages", &sent).await;
    assert_eq!(
        (answer.status, &answer.json()["acknowledged"]),
        (202, &json!("memory")),
        "{answer:?}"
    );
    harness.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let harness = Harness::with(Default::default(), Some(directory.path().to_owned())).await;
    harness.deploy("echo", "echo-c.wasm").await;
    let answer = harness.json("POST", "/api/v1/messages", &sent).await;
    assert_eq!(answer.json()["acknowledged"], "durable", "{answer:?}");
    let journal = harness.client().journal().await.unwrap();
    assert!(journal.durable && journal.durable_place > Some(0));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_waits_for_and_drops_its_replies() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("echo", "echo-c.wasm").await;
    let mut sent = message("me", "echo", json!({ "n": 1 }));
    sent.reply_with = Some("r-1".to_owned());
    let result = client.send_message(sent).await.unwrap();
    let filter = MailFilter {
        receiver: Some("me".to_owned()),
        in_reply_to: Some("r-1".to_owned()),
        wait: Some(WAIT),
        ..MailFilter::default()
    };
    let mail = client.messages(&filter).await.unwrap();
    assert_eq!(
        (mail.len(), mail[0].message.content.value()),
        (1, json!({ "n": 1 }))
    );
    assert_eq!(
        mail[0].message.conversation_id.as_deref(),
        result.conversation_id.as_deref()
    );
    client
        .drop_messages("me", std::slice::from_ref(&mail[0].id))
        .await
        .unwrap();
    let after = MailFilter {
        receiver: Some("me".to_owned()),
        ..MailFilter::default()
    };
    assert!(client.messages(&after).await.unwrap().is_empty());
    let conversation = client
        .conversation(result.conversation_id.as_deref().unwrap())
        .await
        .unwrap();
    let said: Vec<_> = conversation
        .lines
        .iter()
        .map(|line| line.performative.as_str())
        .collect();
    assert_eq!(said, ["request", "inform"]);
    let unknown = client.conversation("none").await.unwrap_err();
    assert_eq!(unknown.problem().unwrap().status, 404);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_message_id_is_harmless() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("counter", "counter-c.wasm").await;
    let options = SendOptions {
        message_id: Some("once".to_owned()),
        wait_ms: Some(20_000),
    };
    let sent = message("me", "counter", json!({}));
    let first = client.send_with(&sent, &options).await.unwrap();
    let again = client.send_with(&sent, &options).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.id, again.id);
    assert_eq!(first.reply.unwrap().content.value(), json!({ "result": 1 }));
    assert_eq!(again.reply.unwrap().content.value(), json!({ "result": 1 }));
    let key = format!(
        "authorization: Bearer {}\r\nidempotency-key: once\r\n",
        harness.server.admin_token()
    );
    let body = br#"{"performative":"request","sender":"me","receiver":"counter","content":{}}"#;
    let third = harness
        .call_with(
            "POST",
            "/api/v1/messages",
            &key,
            Some(("application/json", body)),
        )
        .await;
    assert_eq!(third.json()["duplicate"], true, "{third:?}");
    let other = client
        .send_message_and_wait(message("me", "counter", json!({})), WAIT)
        .await
        .unwrap();
    assert_eq!(other.content, json!({ "result": 2 }));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_id_belongs_to_one_message() {
    let harness = Harness::start().await;
    harness.deploy("quiet", "quiet.wat").await;
    harness.deploy("other", "quiet.wat").await;
    let first = r#"{"performative":"request","sender":"me","receiver":"quiet","content":{"a":1,"b":[1.10,"é"]},"x":{"u":1,"v":2},"message_id":"one"}"#;
    let post = async |body: &str| {
        let body = Some(("application/json", body.as_bytes()));
        harness.call("POST", "/api/v1/messages", body).await
    };
    let sent = post(first).await;
    assert_eq!(
        (sent.status, &sent.json()["duplicate"]),
        (202, &json!(false))
    );
    for again in [
        first.to_owned(),
        r#"{"message_id":"one","x":{"v":2, "u":1},"content":{"b":[1.10,"\u00e9"],"a":1},"receiver":"main/quiet","sender":"me","performative":"REQUEST"}"#.to_owned(),
        first.replace("\"sender\"", "\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\",\"sender\""),
        first.replace("\"message_id\"", "\"wait_ms\":1,\"message_id\""),
    ] {
        let answered = post(&again).await;
        assert_eq!((answered.status, &answered.json()["duplicate"]), (202, &json!(true)), "{again}");
        assert_eq!(answered.json()["id"], sent.json()["id"]);
    }
    for (from, to) in [
        ("\"a\":1", "\"a\":2"),
        ("1.10", "1.1"),
        ("\"quiet\"", "\"other\""),
        ("\"quiet\"", "[\"quiet\"]"),
        ("request", "inform"),
        ("\"u\":1", "\"u\":3"),
        ("\"x\"", "\"y\""),
        ("\"message_id\"", "\"conversation_id\":\"c\",\"message_id\""),
        (
            "\"message_id\"",
            "\"reply_with\":\"r\",\"wait_ms\":1,\"message_id\"",
        ),
        ("\"message_id\"", "\"protocol\":\"p\",\"message_id\""),
    ] {
        let answered = post(&first.replacen(from, to, 1)).await;
        assert_eq!(
            (answered.status, answered.code().as_str()),
            (409, "duplicate-message"),
            "{from} -> {to}: {answered:?}"
        );
        let detail = answered.json()["detail"].to_string();
        let id = sent.json()["id"].as_str().unwrap().to_owned();
        assert!(detail.contains("`one`") && detail.contains(&id), "{detail}");
    }
    // A header is an id as well, and another client's id is another one.
    let key = format!(
        "authorization: Bearer {}\r\nidempotency-key: one\r\n",
        harness.server.admin_token()
    );
    let body = first
        .replace(",\"message_id\":\"one\"", "")
        .replace("\"a\":1", "\"a\":5");
    let body = Some(("application/json", body.as_bytes()));
    let answered = harness
        .call_with("POST", "/api/v1/messages", &key, body)
        .await;
    assert_eq!(answered.code(), "duplicate-message");
    let elsewhere = post(&first.replace("\"me\"", "\"you\"")).await;
    assert_eq!(elsewhere.json()["duplicate"], false);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_conversation_is_on_one_of_its_pages() {
    let harness = Harness::start().await;
    harness.deploy("echo", "echo-c.wasm").await;
    let client = harness.client();
    for n in 0..65 {
        let mut request = message("me", "echo", json!(n));
        request.conversation_id = Some("long".to_owned());
        client.send_message_and_wait(request, WAIT).await.unwrap();
    }
    for (query, all) in [
        ("conversation_id=long", 130),
        ("receiver=me", 65),
        ("receiver=me&conversation_id=long", 65),
    ] {
        for limit in [1, 50, 64, 65, 100, 129, 130, 1_000] {
            let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let path = format!("/api/v1/messages?{query}&limit={limit}{cursor}");
                let page = harness.call("GET", &path, None).await.json();
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= limit);
                seen.extend(
                    items
                        .iter()
                        .map(|item| item["id"].as_str().unwrap().to_owned()),
                );
                pages += 1;
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(
                (seen.len(), pages),
                (all, usize::div_ceil(all, limit)),
                "{query} {limit}"
            );
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), all, "{query} {limit}: an entry is there twice");
        }
    }
    let filter = MailFilter {
        conversation_id: Some("long".to_owned()),
        ..MailFilter::default()
    };
    assert_eq!(client.messages(&filter).await.unwrap().len(), 130);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reply_in_time_is_no_failure_of_the_message() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("quiet", "quiet.wat").await;
    let waited = Duration::from_millis(200);
    let error = client
        .send_message_and_wait(message("me", "quiet", json!(1)), waited)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::NoReply { .. }), "{error}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_are_refused_with_a_reason() {
    let harness = Harness::start().await;
    harness.deploy("echo", "echo-c.wasm").await;
    for (body, status, code) in [
        (json!({ "receiver": "echo" }), 400, "malformed-message"),
        (
            json!({ "performative": "requst", "receiver": "echo" }),
            400,
            "malformed-message",
        ),
        (
            json!({ "performative": "request" }),
            400,
            "malformed-message",
        ),
        (
            json!({ "performative": "request", "receiver": 1 }),
            400,
            "malformed-message",
        ),
        (
            json!({ "performative": "request", "receiver": "echo", "reply_by": "2026-02-30T12:00:00Z" }),
            400,
            "malformed-message",
        ),
        (
            json!({ "performative": "request", "receiver": "echo", "wait_ms": "long" }),
            400,
            "malformed-message",
        ),
        (
            json!({ "performative": "request", "receiver": "echo", "wait_ms": 3_600_000 }),
            400,
            "malformed-request",
        ),
        (
            json!({ "performative": "request", "receiver": "echo", "message_id": "" }),
            400,
            "malformed-message",
        ),
        (
            json!({ "performative": "request", "receiver": "echo", "sender": "echo" }),
            403,
            "reserved-name",
        ),
        (
            json!({ "performative": "request", "receiver": "echo", "sender": "df" }),
            403,
            "reserved-name",
        ),
        (
            json!({ "performative": "request", "receiver": "echo", "sender": "a b" }),
            422,
            "invalid-name",
        ),
        (json!([]), 400, "malformed-message"),
    ] {
        let answer = harness.json("POST", "/api/v1/messages", &body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{body} {answer:?}"
        );
    }
    let large =
        json!({ "performative": "request", "receiver": "echo", "content": "x".repeat(1_500_000) });
    let answer = harness.json("POST", "/api/v1/messages", &large).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "message-too-large"),
        "{answer:?}"
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_read_and_sent_again() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("echo", "echo-c.wasm").await;
    client.stop_agent("echo", false, None).await.unwrap();
    // Refused at once or found later: either way it must not vanish.
    let sent = client
        .send_message(message("me", "echo", json!("lost")))
        .await;
    let letters = client.dead_letters().await.unwrap();
    match sent {
        Ok(_) => assert_eq!(letters.len(), 1, "accepted, and neither delivered nor kept"),
        Err(error) => {
            assert_eq!(error.problem().unwrap().code, "agent-stopped", "{error}");
            harness.stop().await;
            return;
        }
    }
    client.start_agent("echo").await.unwrap();
    let letter = letters.first().unwrap();
    assert_eq!(
        (letter.intended.as_str(), letter.code.as_str()),
        ("echo", "agent-stopped")
    );
    assert_eq!(
        client.resend_dead_letter(&letter.id).await.unwrap().taken,
        1
    );
    let filter = MailFilter {
        receiver: Some("me".to_owned()),
        conversation_id: letter.message.conversation_id.as_deref().map(str::to_owned),
        wait: Some(WAIT),
        ..MailFilter::default()
    };
    let mut informs = 0;
    for _ in 0..20 {
        let mail = client.messages(&filter).await.unwrap();
        informs = mail
            .iter()
            .filter(|mail| mail.message.content.value() == json!("lost"))
            .count();
        if informs > 0 {
            break;
        }
    }
    assert_eq!(informs, 1);
    let again = client.resend_dead_letter(&letter.id).await.unwrap_err();
    assert_eq!(again.problem().unwrap().status, 404);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_whose_receiver_is_not_there_stays_one() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("echo", "echo-c.wasm").await;
    let mut sent = message("me", "", json!("early"));
    sent.receiver = json!(["echo", "late"]);
    client.send_message(sent).await.unwrap();
    let letters = client.dead_letters().await.unwrap();
    assert_eq!((letters.len(), letters[0].intended.as_str()), (1, "late"));
    let id = &letters[0].id;
    let refused = async |why: &str| {
        let error = client.resend_dead_letter(id).await.unwrap_err();
        let problem = error.problem().unwrap().clone();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (422, "undeliverable")
        );
        let expected = format!("the receiver `late` of the dead letter `{id}` {why};");
        assert!(problem.detail.starts_with(&expected), "{problem}");
        assert!(problem.remedy.starts_with("deploy or start"), "{problem}");
        assert_eq!(client.dead_letters().await.unwrap().len(), 1);
    };
    refused("is not there").await;
    harness.deploy("late", "echo-c.wasm").await;
    client.stop_agent("late", false, None).await.unwrap();
    refused("is stopped").await;
    client.start_agent("late").await.unwrap();
    assert_eq!(client.resend_dead_letter(id).await.unwrap().taken, 1);
    let again = client.resend_dead_letter(id).await.unwrap_err();
    assert_eq!(again.problem().unwrap().code, "not-found");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_in_through_the_message_and_out() {
    let harness = Harness::start().await;
    harness.deploy("echo", "echo-c.wasm").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = format!(
        "authorization: Bearer {}\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n",
        harness.server.admin_token()
    );
    let body =
        br#"{"performative":"request","sender":"me","receiver":"echo","conversation_id":"traced"}"#;
    let answer = harness
        .call_with(
            "POST",
            "/api/v1/messages",
            &headers,
            Some(("application/json", body)),
        )
        .await;
    assert!(
        answer.head.contains(&format!("traceparent: 00-{trace}-")),
        "{answer:?}"
    );
    let conversation = harness.client().conversation("traced").await.unwrap();
    let sent = conversation.lines[0].message.as_ref().unwrap();
    let carried = sent
        .extra
        .iter()
        .find(|(name, _)| &**name == "traceparent")
        .unwrap();
    assert!(
        carried
            .1
            .value()
            .as_str()
            .unwrap()
            .starts_with(&format!("00-{trace}-"))
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_is_answered_429() {
    let harness = Harness::start().await;
    let client = harness.client();
    let mut slow = request("slow", "sleep.wat");
    slow.config.limits.insert(
        "mailbox".to_owned(),
        caxton_client::api::AskedValue::Number(2),
    );
    slow.config.limits.insert(
        "wall".to_owned(),
        caxton_client::api::AskedValue::Text("20s".to_owned()),
    );
    client.deploy_agent(slow).await.unwrap();
    let mut refused = None;
    for n in 0..10 {
        if let Err(error) = client.send_message(message("me", "slow", json!(n))).await {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.expect("a mailbox of two takes no ten messages");
    let problem = refused.problem().unwrap();
    assert_eq!(
        (problem.code.as_str(), problem.status),
        ("queue-full", 429),
        "{problem:?}"
    );
    assert!(problem.retry_after_secs.is_some());
    assert!(!client.agent_messages("slow").await.unwrap().is_empty());
    harness.stop().await;
}
