//! The node from outside: deployed agents, messages, restarts, through the embedder's interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here has failed"
)]

mod budgets;
mod files;
mod guests;
mod hostile;
mod http;
mod languages;
mod life;
mod limits_tested;
mod messages;
mod no_grant;
mod scenarios;
mod tables;

use std::{sync::Arc, time::Duration};

use caxton_kernel::{Post, Refusal};
use caxton_model::{
    Durability, EngineProfile, Fields, GrantedRule, Grants, Supervision, Timestamp,
};
use caxton_node::{Deploy, Node, NodeOptions, Posted};

/// Long enough for a busy machine; reaching it is a failure, not a measurement.
const PATIENCE: Duration = Duration::from_secs(20);

async fn node() -> Node {
    Node::start(NodeOptions {
        shards: 2,
        ..NodeOptions::default()
    })
    .await
    .expect("the node starts")
}

async fn node_at(dir: &std::path::Path) -> Node {
    let data = Some(dir.to_owned());
    Node::start(NodeOptions {
        data,
        shards: 2,
        ..NodeOptions::default()
    })
    .await
    .expect("the node starts")
}

fn agent(name: &str, wat: &str) -> Deploy {
    Deploy {
        name: name.parse().expect("a name"),
        module: wat::parse_str(wat).expect("valid text"),
        version: "0.0.0".into(),
        limits: Default::default(),
        durability: Durability::Durable,
        supervision: Supervision::default(),
        grants: Grants::default(),
        granted: Default::default(),
        requested: None,
        declared: vec![],
        config: vec![],
        profile: EngineProfile::Hardened,
        passivate_after: None,
    }
}

/// A rule that an operator granted.
fn granted(rule: &str) -> GrantedRule {
    GrantedRule {
        rule: rule.to_owned(),
        expires: None,
        reason: None,
        by: "operator".to_owned(),
        at: Timestamp(0),
    }
}

fn post(to: &str, content: &str) -> Post {
    let json = format!(
        r#"{{"performative":"request","receiver":"{to}","content":{content},"reply_with":"q1"}}"#
    );
    Post {
        client: "tester".into(),
        namespace: None,
        message_id: None,
        fields: Fields::parse(json.as_bytes(), 1 << 20).expect("a message"),
    }
}

async fn ask(node: &Node, to: &str, content: &str) -> Result<Posted, Refusal> {
    node.post(post(to, content), Some(PATIENCE)).await
}

fn content(posted: &Posted) -> Arc<str> {
    posted
        .reply
        .as_ref()
        .map_or_else(|| "no reply".into(), |r| r.message.content.as_str().into())
}
