//! Deploy, stop, start, remove; and what a restart keeps.

use std::time::Duration;

use caxton_model::{AgentStatus, ErrorCode, Micros};

use crate::{agent, ask, content, guests, node, node_at};

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_init_refuses_the_deploy_and_gives_the_name_back() {
    let node = node().await;
    let refusal = node.deploy(agent("a", guests::REFUSES)).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::InitFailed);
    assert!(node.agents().is_empty());
    node.deploy(agent("a", guests::COUNTER)).await.unwrap();
    let refusal = node.deploy(agent("a", guests::COUNTER)).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NameTaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_none_is_refused_with_its_reasons() {
    let node = node().await;
    let mut bad = agent("a", guests::COUNTER);
    bad.module = b"not wasm at all".to_vec();
    assert_eq!(
        node.deploy(bad).await.unwrap_err().code,
        ErrorCode::InvalidModule
    );
    let unmet = agent(
        "a",
        r#"(module (import "caxton" "launch_missiles" (func)) (memory (export "memory") 1)
            (func (export "allocate") (param i32) (result i32) (i32.const 64))
            (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#,
    );
    let refusal = node.deploy(unmet).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::UnmetImport);
    assert!(refusal.text.contains("launch_missiles"), "{refusal}");
    assert!(node.agents().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_start_and_remove() {
    let node = node().await;
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    ask(&node, "counter", "{}").await.unwrap();
    let stopped = node.stop("counter", true, Micros::secs(5)).await.unwrap();
    assert_eq!(stopped.status, AgentStatus::Stopped);
    assert_eq!(
        ask(&node, "counter", "{}").await.unwrap_err().code,
        ErrorCode::AgentStopped
    );
    node.start_agent("counter").await.unwrap();
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1002"
    );
    node.remove("counter").await.unwrap();
    assert_eq!(
        ask(&node, "counter", "{}").await.unwrap_err().code,
        ErrorCode::NotFound
    );
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1001"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_agents_state_and_mailboxes_of_clients() {
    let dir = tempfile::tempdir().unwrap();
    let node = node_at(dir.path()).await;
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    for n in 1..=5 {
        let posted = ask(&node, "counter", "{}").await.unwrap();
        assert_eq!(&*content(&posted), (1000 + n).to_string());
        assert!(posted.durable);
    }
    node.shutdown(Duration::from_secs(5)).await;
    drop(node);
    let node = node_at(dir.path()).await;
    assert_eq!(node.agents().len(), 1);
    assert_eq!(
        node.health().instances,
        0,
        "nothing is instantiated before it is needed"
    );
    assert_eq!(node.replies("tester").await.unwrap().len(), 5);
    assert_eq!(
        &*content(&ask(&node, "counter", "{}").await.unwrap()),
        "1006"
    );
    node.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agents_stack_is_given_back_and_it_answers_again() {
    let node = node().await;
    node.deploy(agent("counter", guests::COUNTER))
        .await
        .unwrap();
    for n in 1001..1004 {
        let posted = ask(&node, "counter", "{}").await.unwrap();
        assert_eq!(*content(&posted), n.to_string());
        let deadline = tokio::time::Instant::now() + crate::PATIENCE;
        while node.footprint().await.unwrap().stack_bytes > 0 {
            assert!(tokio::time::Instant::now() < deadline, "it is kept");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(node.health().instances, 1, "the agent stays live");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_memory_is_packed_when_it_is_idle_for_long_and_it_answers_again() {
    let node = node().await;
    // Counts in its memory alone.
    let load = "(drop (call $load (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 4)))";
    let forgetful = guests::COUNTER.replace(load, "");
    assert_ne!(forgetful, guests::COUNTER);
    node.deploy(agent("counter", &forgetful)).await.unwrap();
    for n in 1001..1003 {
        let posted = ask(&node, "counter", "{}").await.unwrap();
        assert_eq!(*content(&posted), n.to_string());
        assert_eq!(node.footprint().await.unwrap().packed_bytes, 0);
        let deadline = tokio::time::Instant::now() + crate::PATIENCE;
        while node.footprint().await.unwrap().packed_bytes == 0 {
            assert!(tokio::time::Instant::now() < deadline, "it is not packed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(node.health().instances, 1, "the agent stays live");
    }
}
