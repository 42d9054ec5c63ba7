//! Messages in, turns, replies out.

use caxton_model::{ErrorCode, Performative};

use crate::{agent, ask, content, guests, node, post};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered() {
    let node = node().await;
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1001"
    );
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1002"
    );
    let value = node.state_value("counter", b"n").await.unwrap().unwrap();
    assert_eq!(value, 2_u32.to_le_bytes());
    let keys = node.state_keys("counter", None, 10).await.unwrap();
    assert_eq!((keys.len(), keys[0].value_bytes), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_becomes_a_failure_with_its_cause_and_the_neighbour_goes_on() {
    let node = node().await;
    node.deploy(agent("traps", guests::TRAPS)).await.unwrap();
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    let reply = ask(&node, "traps", "{}")
        .await
        .unwrap()
        .reply
        .unwrap()
        .message;
    assert_eq!(reply.performative, Performative::Failure);
    assert_eq!(reply.in_reply_to.as_deref(), Some("q1"));
    let said = reply.content.value();
    assert_eq!(said["code"], "trap");
    let detail = node.agent("traps").await.unwrap();
    let (_, fault) = detail.state.last_fault.unwrap();
    assert!(
        fault
            .backtrace
            .iter()
            .any(|frame| frame.function.contains("inner")),
        "{fault}"
    );
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1001"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_ends_at_its_limit() {
    let node = node().await;
    node.deploy(agent("spins", guests::SPINS)).await.unwrap();
    let reply = ask(&node, "spins", "{}")
        .await
        .unwrap()
        .reply
        .unwrap()
        .message;
    assert_eq!(reply.content.value()["code"], "cpu-limit");
    let detail = node.agent("spins").await.unwrap();
    let cpu = detail
        .usage
        .iter()
        .find(|u| u.name.as_str() == "cpu")
        .unwrap();
    assert!(cpu.last_breach.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_at_once() {
    let node = node().await;
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    let refusal = node.post(post("countre", "{}"), None).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotFound, "{refusal}");
    let mut reserved = post("counter", "{}");
    reserved.client = "df".into();
    assert_eq!(
        node.post(reserved, None).await.unwrap_err().code,
        ErrorCode::ReservedName
    );
    let mut forged = post("counter", "{}");
    forged.client = "counter".into();
    assert_eq!(
        node.post(forged, None).await.unwrap_err().code,
        ErrorCode::ReservedName
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_the_same_id_is_harmless() {
    let node = node().await;
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    for retry in [false, true, true] {
        let mut again = post("counter", "{}");
        again.message_id = Some("once".into());
        let posted = node.post(again, Some(crate::PATIENCE)).await.unwrap();
        assert_eq!((posted.duplicate, &*content(&posted)), (retry, "1001"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires() {
    let node = node().await;
    node.deploy(agent("timer", guests::TIMER)).await.unwrap();
    assert_eq!(
        &*content(&ask(&node, "timer", "{}").await.unwrap()),
        "\"rang\""
    );
}
