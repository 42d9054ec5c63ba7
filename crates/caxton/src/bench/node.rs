//! A node to measure, and how it is asked.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use caxton_kernel::Post;
use caxton_model::{
    AskedLimits, Durability, EngineProfile, Fields, Grants, LimitName, Performative, Supervision,
    Timestamp, UNLIMITED,
};
use caxton_node::{Deploy, Node, NodeOptions};
use caxton_server::{Server, ServerOptions, serve};
use serde_json::Value;

use super::{
    guests::{CLIENT, REPLY, micros},
    row::failed,
};
use crate::failure::Failure;

/// How long one answer may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any measurement. Unit: microseconds.
const LONG_MICROS: u64 = 3_600_000_000;

/// Ids are drawn at random: so often an agent is deployed again until its shard is the wanted one.
const DRAWS_MAX: usize = 200;

/// A node with its server, as `caxton serve` runs it: what it notes for `/metrics` is noted here too.
pub(super) struct Measured {
    pub(super) node: Node,
    server: Server,
    /// Removed when it is dropped.
    folder: Option<tempfile::TempDir>,
}

impl Measured {
    /// A node with so many shards, in memory or on the disk.
    pub(super) async fn start(
        durability: Durability,
        shards: u16,
        dir: &Path,
    ) -> Result<Self, Failure> {
        let folder = match durability {
            Durability::Durable => Some(folder(dir)?),
            Durability::Memory => None,
        };
        let data = folder.as_ref().map(|folder| folder.path().join("node"));
        let node = start(data, shards).await?;
        let options = ServerOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..ServerOptions::default()
        };
        Ok(Self {
            server: serve(node.clone(), options).await.map_err(failed)?,
            node,
            folder,
        })
    }
    /// Where its server listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.server.addr()
    }
    /// The head of an operator's request, but for its end.
    pub(super) fn head(&self, request: &str) -> String {
        format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n",
            self.server.admin_token(),
        )
    }
    /// Ends it, and removes what it wrote.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.stop_within(Duration::from_secs(5)).await
    }
    /// The same; turns get so long to end.
    pub(super) async fn stop_within(self, grace: Duration) -> Result<(), Failure> {
        self.server.shutdown(Duration::from_secs(5)).await;
        self.node.shutdown(grace).await;
        self.folder.map_or(Ok(()), |folder| Ok(folder.close()?))
    }
    /// Deploys an agent; where `shard` says so, on that one.
    pub(super) async fn deploy(
        &self,
        name: &str,
        module: &[u8],
        durability: Durability,
        shard: Option<u16>,
    ) -> Result<(), Failure> {
        self.place(agent(name, module, durability)?, shard).await
    }
    /// Deploys that; where `shard` says so, on that one.
    pub(super) async fn place(&self, asked: Deploy, shard: Option<u16>) -> Result<(), Failure> {
        let name = asked.name.as_str();
        for _ in 0..DRAWS_MAX {
            deploy(&self.node, asked.clone()).await?;
            let listing = self
                .node
                .find(name)
                .map_err(|refusal| failed(refusal.text))?;
            if shard.is_none_or(|shard| listing.shard == shard) {
                return Ok(());
            }
            self.node
                .remove(name)
                .await
                .map_err(|refusal| failed(refusal.text))?;
        }
        Err(failed("no agent came to lie on the wanted shard"))
    }
    /// Asks an agent, waits until it answers, and gives how long that took.
    pub(super) async fn ask(&self, name: &str) -> Result<Duration, Failure> {
        Ok(ask(&self.node, CLIENT, name, &Value::Null).await?.took)
    }
    /// Asks an asker, and gives what it measured itself. Unit: microseconds.
    pub(super) async fn rounds(&self, name: &str) -> Result<Vec<u32>, Failure> {
        micros(&ask(&self.node, CLIENT, name, &Value::Null).await?.content)
    }
}

/// An agent's answer to a client.
pub(super) struct Answer {
    /// From the question to the answer, as the client sees it.
    pub(super) took: Duration,
    /// When the agent's turn ended, by the node's clock.
    pub(super) at: Timestamp,
    /// What it said: JSON.
    pub(super) content: String,
}

/// Asks an agent as that client, and waits until it answers.
pub(super) async fn ask(
    node: &Node,
    client: &str,
    name: &str,
    content: &Value,
) -> Result<Answer, Failure> {
    let post = post(client, name, content);
    let begun = Instant::now();
    let posted = node.post(post, Some(PATIENCE)).await;
    let took = begun.elapsed();
    let posted = posted.map_err(|refusal| failed(refusal.text))?;
    let reply = posted
        .reply
        .ok_or_else(|| failed(format!("`{name}` did not answer")))?;
    if reply.message.performative == Performative::Failure {
        return Err(failed(reply.message.json()));
    }
    node.drop_replies(client, vec![reply.key])
        .map_err(|refusal| failed(refusal.text))?;
    Ok(Answer {
        took,
        at: reply.at,
        content: reply.message.content.as_str().to_owned(),
    })
}

/// A request of a client's to an agent.
pub(super) fn post(client: &str, to: &str, content: &Value) -> Post {
    let mut fields = Fields::new(Performative::Request, client, to, content);
    fields.reply_with = Some(REPLY.into());
    Post {
        client: client.into(),
        namespace: None,
        message_id: None,
        fields,
    }
}

/// A directory for one measurement.
pub(super) fn folder(dir: &Path) -> Result<tempfile::TempDir, Failure> {
    Ok(tempfile::Builder::new()
        .prefix("caxton-bench-")
        .tempdir_in(dir)?)
}

/// A node on that directory.
pub(super) async fn start(data: Option<PathBuf>, shards: u16) -> Result<Node, Failure> {
    let options = NodeOptions {
        data,
        shards,
        ..NodeOptions::default()
    };
    Node::start(options)
        .await
        .map_err(|error| crate::start_failure::start_failure(&error))
}

/// An agent that may send as fast as it can.
pub(super) fn agent(name: &str, module: &[u8], durability: Durability) -> Result<Deploy, Failure> {
    let mut limits = AskedLimits::default();
    limits.0.insert(LimitName::MessagesPerSecond, UNLIMITED);
    Ok(Deploy {
        name: name.parse().map_err(failed)?,
        module: module.to_vec(),
        version: "0.0.0".to_owned(),
        limits,
        durability,
        supervision: Supervision::default(),
        grants: Grants::default(),
        granted: Default::default(),
        requested: None,
        declared: Vec::new(),
        config: Vec::new(),
        profile: EngineProfile::Hardened,
        passivate_after: None,
    })
}

/// One in memory that may compute for longer than any measurement lasts; its limits are on.
pub(super) fn unhurried(name: &str, module: &[u8]) -> Result<Deploy, Failure> {
    let mut deploy = agent(name, module, Durability::Memory)?;
    for limit in [LimitName::Cpu, LimitName::Wall] {
        deploy.limits.0.insert(limit, LONG_MICROS);
    }
    Ok(deploy)
}

/// Deploys it.
pub(super) async fn deploy(node: &Node, deploy: Deploy) -> Result<(), Failure> {
    node.deploy(deploy)
        .await
        .map(drop)
        .map_err(|refusal| failed(refusal.text))
}
