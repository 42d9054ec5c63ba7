//! A node to measure, and how it is asked.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use caxton_kernel::Post;
use caxton_model::{
    AskedLimits, Durability, EngineProfile, Fields, Grants, LimitName, Performative, Supervision,
    UNLIMITED,
};
use caxton_node::{Deploy, Node, NodeOptions};
use serde_json::Value;

use super::{
    guests::{CLIENT, REPLY},
    row::failed,
};
use crate::{failure::Failure, serving};

/// How long one answer may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ids are drawn at random: so often an agent is deployed again until its shard is the wanted one.
const DRAWS_MAX: usize = 200;

/// A node, and the directory it writes to.
pub(super) struct Measured {
    pub(super) node: Node,
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
        Ok(Self {
            node: start(data, shards).await?,
            folder,
        })
    }
    /// Ends it, and removes what it wrote.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.node.shutdown(Duration::from_secs(5)).await;
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
        for _ in 0..DRAWS_MAX {
            deploy(&self.node, agent(name, module, durability)?).await?;
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
        let post = post(CLIENT, name);
        let begun = Instant::now();
        let posted = self.node.post(post, Some(PATIENCE)).await;
        let took = begun.elapsed();
        let posted = posted.map_err(|refusal| failed(refusal.text))?;
        let reply = posted
            .reply
            .ok_or_else(|| failed(format!("`{name}` did not answer")))?;
        if reply.message.performative == Performative::Failure {
            return Err(failed(reply.message.json()));
        }
        self.node
            .drop_replies(CLIENT, vec![reply.key])
            .map_err(|refusal| failed(refusal.text))?;
        Ok(took)
    }
}

/// A request of a client's to an agent.
pub(super) fn post(client: &str, to: &str) -> Post {
    let mut fields = Fields::new(Performative::Request, client, to, &Value::Null);
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
        .map_err(|error| serving::start_failure(&error))
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
        declared: Vec::new(),
        config: Vec::new(),
        profile: EngineProfile::Hardened,
        passivate_after: None,
    })
}

/// Deploys it.
pub(super) async fn deploy(node: &Node, deploy: Deploy) -> Result<(), Failure> {
    node.deploy(deploy)
        .await
        .map(drop)
        .map_err(|refusal| failed(refusal.text))
}
