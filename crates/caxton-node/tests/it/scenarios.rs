//! Several agents and some time: broadcasts, timers over a restart, answers that come too late,
//! updates that a shutdown meets, agents that end themselves.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use caxton_kernel::{NodeEvent, Post};
use caxton_model::{
    AgentStatus, ErrorCode, Fields, Message, Micros, Performative, Restart, Supervision, Timestamp,
};
use caxton_node::{Deploy, Node, NodeOptions};
use serde_json::{Value, json};

use crate::{PATIENCE, agent, ask, content, guests, languages::prebuilt, node, node_at, post};

#[allow(
    clippy::disallowed_methods,
    reason = "what is due is due by the machine's clock"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

/// A request of `tester` under its own name, and more fields.
fn request(to: &str, name: &str, content: &Value, more: &Value) -> Post {
    let mut fields = json!({
        "performative": "request", "receiver": to, "content": content, "reply_with": name,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        fields[key] = value.clone();
    }
    Post {
        client: "tester".into(),
        namespace: None,
        message_id: None,
        fields: Fields::parse(fields.to_string().as_bytes(), 1 << 20).unwrap(),
    }
}

async fn answer(node: &Node, to: &str, name: &str, content: Value) -> Value {
    let post = request(to, name, &content, &json!({}));
    let posted = node.post(post, Some(PATIENCE)).await.unwrap();
    result(&posted.reply.expect("a reply").message)
}

/// What a guest informs of: the C helpers put it under `result`.
fn result(message: &Message) -> Value {
    let content = message.content.value();
    content.get("result").cloned().unwrap_or(content)
}

/// Waits until `tester` has such a reply.
async fn reply(node: &Node, wanted: impl Fn(&Message) -> bool) -> Message {
    let mut events = node.watch_events();
    loop {
        let replies = node.replies("tester").await.unwrap();
        if let Some(found) = replies.iter().find(|mail| wanted(&mail.message)) {
            return found.message.clone();
        }
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        event.expect("the reply comes").unwrap();
    }
}

fn said(conversation: &str, performative: Performative) -> impl Fn(&Message) -> bool {
    move |message| {
        message.performative == performative && message.in_reply_to.as_deref() == Some(conversation)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_reaches_whom_its_filter_names_and_whoever_subscribed() {
    let node = node().await;
    for name in ["r-one", "r-two", "elsewhere/r-three", "other"] {
        node.deploy(prebuilt("subscriber-c", name)).await.unwrap();
    }
    node.deploy(prebuilt("capability-c", "translator"))
        .await
        .unwrap();
    // Its subscription selects what somebody else says: it hears nothing of this one.
    let elsewhere = guests::SUBSCRIBES_TO_NOBODY;
    node.deploy(agent("deaf", elsewhere)).await.unwrap();
    node.deploy(prebuilt("broadcaster-c", "speaker"))
        .await
        .unwrap();
    answer(&node, "translator", "t", json!({"register": true})).await;

    let mut number = 0;
    let mut say = async |filter: Value, say: Value| {
        number += 1;
        let asked = json!({"filter": filter, "say": say});
        answer(&node, "speaker", &format!("b{number}"), asked).await
    };
    assert_eq!(say(json!({"name": "r-*"}), json!("to two")).await, 2);
    assert_eq!(
        say(json!({"capabilities": ["translate"]}), json!(1)).await,
        1
    );
    assert_eq!(say(json!({"capabilities": ["sing"]}), json!(1)).await, 0);
    assert_eq!(say(json!({"performative": "cfp"}), json!(1)).await, 0);
    assert_eq!(say(json!({"nmae": "r-*"}), json!(1)).await, -2);
    for (name, heard) in [
        ("r-one", json!("to two")),
        ("r-two", json!("to two")),
        ("other", Value::Null),
        ("elsewhere/r-three", Value::Null),
    ] {
        assert_eq!(answer(&node, name, name, json!({})).await, heard, "{name}");
    }
    // Everybody of the namespace but the speaker and the one that listens to somebody else.
    assert_eq!(say(json!({}), json!("to all")).await, 4);
    assert_eq!(answer(&node, "other", "o", json!({})).await, "to all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_after_a_restart_and_its_lateness_is_said() {
    let mut wait_ms = 500;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let node = node_at(dir.path()).await;
        node.deploy(prebuilt("timer-c", "timer")).await.unwrap();
        let set = answer(&node, "timer", "q1", json!({"delay": wait_ms * 1_000})).await;
        assert_eq!(set, json!({"timer": 1}));
        node.shutdown(Duration::from_secs(5)).await;
        drop(node);
        let due = now().after(Micros::millis(wait_ms + 1_100));
        // The node is down while its time comes.
        while now() < due {
            tokio::task::yield_now().await;
        }
        let node = node_at(dir.path()).await;
        let reply = reply(&node, said("q1", Performative::Inform)).await;
        assert_eq!(result(&reply), "time is over");
        let id = node.find("timer").unwrap().spec.id;
        let lines = node.logs(Some(id), 0, 10);
        let late = lines
            .iter()
            .find(|line| line.text.contains("timer 1 was due at"));
        if let Some(late) = late {
            assert!(
                late.text.ends_with("ms late") || late.text.ends_with("s late"),
                "{late:?}"
            );
            assert_eq!(late.level, "warn");
            node.shutdown(Duration::from_secs(5)).await;
            return;
        }
        // So slow a machine that it fired before the node was down: more time for that.
        wait_ms *= 2;
        assert!(wait_ms < 60_000, "it never fires late: {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_follows_the_timeout_into_the_askers_mailbox() {
    // One shard, so that what is due first happens first.
    let node = Node::start(NodeOptions {
        shards: 1,
        ..NodeOptions::default()
    })
    .await
    .unwrap();
    node.deploy(prebuilt("late-reply-rust", "slow"))
        .await
        .unwrap();
    let asked = json!({"action": "long_operation", "delay_ms": 200});
    let until = now().after(Micros::millis(100));
    let more = json!({"reply_by": until.to_string(), "conversation_id": "late"});
    let posted = node
        .post(request("slow", "q1", &asked, &more), Some(PATIENCE))
        .await
        .unwrap();
    let first = posted.reply.expect("the failure").message;
    assert_eq!(first.performative, Performative::Failure);
    assert_eq!(first.content.value()["code"], "timeout");
    let late = reply(&node, said("q1", Performative::Inform)).await;
    assert_eq!(&*late.sender, "slow");
    let replies = node.replies("tester").await.unwrap();
    let spoken: Vec<_> = replies
        .iter()
        .map(|mail| mail.message.performative)
        .collect();
    assert_eq!(spoken, [Performative::Failure, Performative::Inform]);
    let lines = node.conversation("late").await.unwrap();
    let spoken: Vec<_> = lines.iter().map(|line| line.performative).collect();
    assert_eq!(
        spoken,
        [
            Performative::Request,
            Performative::Failure,
            Performative::Inform
        ]
    );
    assert!(node.dead_letters(10).await.unwrap().is_empty());
}

/// The counter, as another version that traps in `migrate` where it is told so.
fn counter(version: &str, migrate: &str) -> Deploy {
    let text = guests::COUNTER.trim_end().strip_suffix(')').unwrap();
    let text = format!(
        r#"{text} (func (export "migrate") (param i32 i32) (result i32) {migrate} (i32.const 0)))"#
    );
    Deploy {
        version: version.to_owned(),
        ..agent("counter", &text)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_migrate_fails_runs_the_old_module_again() {
    let dir = tempfile::tempdir().unwrap();
    let node = node_at(dir.path()).await;
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1001"
    );
    // Another module than before, which would answer nothing.
    let mut other = agent(
        "counter",
        r#"(module (memory (export "memory") 1)
          (func (export "allocate") (param i32) (result i32) (i32.const 64))
          (func (export "migrate") (param i32 i32) (result i32) unreachable)
          (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#,
    );
    other.version = "2.0.0".into();
    let refusal = node.update("counter", other).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::InitFailed);
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1002"
    );
    assert_eq!(node.find("counter").unwrap().spec.version, "0.0.0");
    node.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own task, awaited at its end"
)]
async fn an_update_that_the_shutdown_meets_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(node_at(dir.path()).await);
    node.deploy(counter("1.0.0", "")).await.unwrap();
    let updating = {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.update("counter", counter("2.0.0", "(nop)")).await })
    };
    node.shutdown(Duration::from_secs(5)).await;
    // Done, or refused: but an answer, and within the time a node takes to go down.
    let answer = tokio::time::timeout(PATIENCE, updating).await;
    let answer = answer.expect("an answer").unwrap();
    if let Err(refusal) = &answer {
        assert_eq!(refusal.code, ErrorCode::ShuttingDown, "{refusal}");
    }
    drop(node);
    let node = node_at(dir.path()).await;
    let version = node.find("counter").unwrap().spec.version.clone();
    if answer.is_ok() {
        assert_eq!(version, "2.0.0");
    }
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1001"
    );
    node.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_itself_stays_or_comes_again_as_its_supervision_says() {
    let dir = tempfile::tempdir().unwrap();
    let node = node_at(dir.path()).await;
    let kinds = [
        ("permanent", Restart::Permanent),
        ("transient", Restart::Transient),
        ("temporary", Restart::Temporary),
    ];
    for (name, restart) in kinds {
        node.deploy(Deploy {
            supervision: Supervision {
                restart,
                ..Supervision::default()
            },
            ..agent(name, guests::ENDS_ITSELF)
        })
        .await
        .unwrap();
        // What it said before its end goes out.
        assert_eq!(&*content(&ask(&node, name, "{}").await.unwrap()), "\"bye\"");
    }
    let status = |node: &Node, name: &str| node.find(name).unwrap().status;
    assert_eq!(
        &*content(&ask(&node, "permanent", "{}").await.unwrap()),
        "\"bye\""
    );
    for name in ["transient", "temporary"] {
        assert_eq!(status(&node, name), AgentStatus::Stopped);
        let refusal = ask(&node, name, "{}").await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::AgentStopped);
    }
    let ended: BTreeSet<_> = node
        .events_after(0)
        .into_iter()
        .filter_map(|event| match event.event {
            NodeEvent::Status { name, reason, .. } if reason == "it ended itself" => Some(name),
            _ => None,
        })
        .collect();
    let ended: Vec<&str> = ended.iter().map(|name| &**name).collect();
    assert_eq!(ended, ["temporary", "transient"]);
    node.shutdown(Duration::from_secs(5)).await;
    drop(node);
    let node = node_at(dir.path()).await;
    assert_eq!(status(&node, "transient"), AgentStatus::Stopped);
    node.start_agent("transient").await.unwrap();
    assert_eq!(
        &*content(&ask(&node, "transient", "{}").await.unwrap()),
        "\"bye\""
    );
    node.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_waits_when_the_node_ends_is_answered_after_the_start_without_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let node = node_at(dir.path()).await;
    for name in ["one", "two", "three"] {
        node.deploy(agent(name, guests::THINKS)).await.unwrap();
    }
    let mut conversations = Vec::new();
    for name in ["one", "two", "three"] {
        let posted = node.post(post(name, "{}"), None).await.unwrap();
        assert!(posted.durable);
        conversations.push(posted.message.conversation_id.clone().unwrap());
    }
    // No time for the turns: what they began did not happen.
    node.shutdown(Duration::ZERO).await;
    drop(node);
    let node = node_at(dir.path()).await;
    // On both shards, and nobody writes to either.
    for sender in ["one", "two", "three"] {
        reply(&node, |message| &*message.sender == sender).await;
    }
    for conversation in conversations {
        let lines = node.conversation(&conversation).await.unwrap();
        assert_eq!(lines.first().unwrap().performative, Performative::Request);
    }
    node.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own task, awaited at its end"
)]
async fn whoever_waits_for_a_turn_that_the_shutdown_drops_is_told() {
    let node = Arc::new(node().await);
    let deploying = {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.deploy(agent("slow", guests::STARTS_SLOWLY)).await })
    };
    node.shutdown(Duration::ZERO).await;
    let answer = tokio::time::timeout(PATIENCE, deploying).await;
    let refusal = answer.expect("an answer").unwrap();
    if let Err(refusal) = refusal {
        assert_eq!(refusal.code, ErrorCode::ShuttingDown, "{refusal}");
    }
}
