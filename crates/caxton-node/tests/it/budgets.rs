//! Budgets of the node that are no memory: the newest request is refused, by name.

use caxton_model::ErrorCode;
use caxton_node::{Node, NodeOptions};

use crate::{PATIENCE, agent, ask, guests, node_at, post};

#[tokio::test(flavor = "multi_thread")]
async fn many_deploys_at_once_are_never_too_many_agents() {
    let options = NodeOptions {
        shards: 2,
        agents_max: 3,
        ..NodeOptions::default()
    };
    let node = Node::start(options).await.unwrap();
    let mut deploys = tokio::task::JoinSet::new();
    for n in 0..12 {
        let (node, deploy) = (node.clone(), agent(&format!("a-{n}"), guests::COUNTER));
        deploys.spawn(async move { node.deploy(deploy).await });
    }
    let mut refused = 0;
    while let Some(done) = deploys.join_next().await {
        if let Err(refusal) = done.unwrap() {
            assert_eq!(refusal.code, ErrorCode::NodeBudget, "{refusal}");
            assert!(refusal.text.contains("budgets.agents"), "{refusal}");
            refused += 1;
        }
    }
    assert!(refused >= 9 && node.agents().len() <= 3);
    // Those that were refused hold no names: the places that are left can be taken.
    while node.agents().len() < 3 {
        let name = format!("b-{}", node.agents().len());
        node.deploy(agent(&name, guests::COUNTER)).await.unwrap();
    }
    let first = node.agents()[0].spec.id.to_string();
    node.remove(&first).await.unwrap();
    node.deploy(agent("c", guests::COUNTER)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_budget_of_the_disk_the_newest_request_is_refused_and_the_node_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = NodeOptions {
        data: Some(dir.path().to_owned()),
        shards: 2,
        disk_bytes_max: 1,
        ..NodeOptions::default()
    };
    let node = Node::start(options).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let refusal = loop {
        match node.deploy(agent("a", guests::COUNTER)).await {
            Err(refusal) if refusal.code == ErrorCode::NodeBudget => break refusal,
            Err(refusal) => assert_eq!(refusal.code, ErrorCode::NameTaken),
            Ok(_) => {}
        }
        assert!(tokio::time::Instant::now() < deadline, "never refused");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(refusal.text.contains("budgets.disk"), "{refusal}");
    let refusal = node.post(post("a", "{}"), None).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NodeBudget, "{refusal}");
    // What frees the disk is not refused, and neither is looking.
    assert!(node.health().ready);
    for one in node.agents() {
        node.remove(&one.spec.id.to_string()).await.unwrap();
    }
    node.shutdown(PATIENCE).await;
    // With a larger budget the same directory takes requests again.
    let node = node_at(dir.path()).await;
    node.deploy(agent("a", guests::COUNTER)).await.unwrap();
    assert!(ask(&node, "a", "{}").await.is_ok());
    node.shutdown(PATIENCE).await;
}
