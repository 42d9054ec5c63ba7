//! What a run puts on the node, under names of its own, and takes away again.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::{Duration, Instant},
};

use caxton_client::{
    AgentConfig, CaxtonClient, ClientError, DeployAgentRequest, Deployment, Durability,
    FipaMessage, MailFilter,
    api::{AgentDetail, AgentSummary, AskedValue, SendOptions},
};
use caxton_model::{ErrorCode, LimitName};
use serde_json::Value;

use super::guests;
use crate::failure::{Exit, Failure};

/// How long a turn may take to come and go, on a node that is busy with others.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at whether a turn has ended.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// Replies that are dropped with one request: their ids stand in its address.
const DROPPED_AT_ONCE: usize = 100;

/// A namespace that is not the run's.
pub(super) const BEYOND: &str = "doctor-beyond";

/// The run's own corner of the node.
pub(super) struct Ward {
    pub(super) client: CaxtonClient,
    /// Before each name: the namespace `doctor`, or a word where the token ends at another one.
    prefix: &'static str,
    /// After each name, so that two runs never meet.
    run: String,
    /// Names of agents that were deployed, or were about to be.
    placed: Vec<String>,
    /// Names under which the run sends.
    senders: Vec<String>,
    /// The agent that takes everything and says nothing.
    pub(super) sink: String,
    /// The namespace that the run has come to stand in, with its `/`.
    namespace: String,
}

impl Ward {
    /// Nothing is on the node yet.
    pub(super) fn new(client: CaxtonClient) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self {
            client,
            prefix: "doctor/",
            run: format!("{:08x}", random >> 32),
            placed: Vec::new(),
            senders: Vec::new(),
            sink: String::new(),
            namespace: String::new(),
        }
    }
    /// Deploys the sink, and learns which namespace the token allows.
    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        let module = guests::module(guests::QUIET)?;
        let config = memory();
        let mut placed = self.place("sink", module.clone(), config.clone()).await;
        if let Err(error) = &placed
            && error.code() == Some(ErrorCode::Forbidden)
        {
            self.prefix = "doctor-";
            placed = self.place("sink", module, config).await;
        }
        let placed = placed?;
        self.namespace = match placed.name.split_once('/') {
            Some((namespace, _)) => format!("{namespace}/"),
            None => String::new(),
        };
        self.sink = placed.name;
        Ok(())
    }
    /// The word that no other run has.
    pub(super) fn run(&self) -> &str {
        &self.run
    }
    /// Whether the node reaches servers on this machine's loopback, as far as its address says.
    pub(super) fn is_on_this_machine(&self) -> bool {
        let url = self.client.url();
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|local| host.starts_with(local))
    }
    /// A name for an agent of this run.
    fn name(&self, agent: &str) -> String {
        format!("{}{agent}-{}", self.prefix, self.run)
    }
    /// A name under which the run sends, in full, as a guest must write it.
    pub(super) fn sender(&mut self, name: &str) -> String {
        let name = self.name(name);
        let bare = name.rsplit('/').next().unwrap_or(&name);
        let full = format!("{}{bare}", self.namespace);
        if !self.senders.contains(&full) {
            self.senders.push(full.clone());
        }
        full
    }
    /// Deploys a guest under a name of this run.
    pub(super) async fn place(
        &mut self,
        agent: &str,
        wasm_module: Vec<u8>,
        config: AgentConfig,
    ) -> Result<Deployment, ClientError> {
        let name = self.name(agent);
        self.place_as(name, wasm_module, config).await
    }
    /// Deploys a guest beyond the run's namespace; `None` where the token does not reach there.
    pub(super) async fn place_beyond(
        &mut self,
        agent: &str,
        wasm_module: Vec<u8>,
    ) -> Result<Option<Deployment>, ClientError> {
        let name = format!("{BEYOND}/{agent}-{}", self.run);
        match self.place_as(name, wasm_module, memory()).await {
            Ok(placed) => Ok(Some(placed)),
            Err(error) if error.code() == Some(ErrorCode::Forbidden) => Ok(None),
            Err(error) => Err(error),
        }
    }
    async fn place_as(
        &mut self,
        name: String,
        wasm_module: Vec<u8>,
        config: AgentConfig,
    ) -> Result<Deployment, ClientError> {
        self.placed.push(name.clone());
        let config = AgentConfig { name, ..config };
        let request = DeployAgentRequest {
            wasm_module,
            config,
        };
        self.client.deploy_agent(request).await
    }
    /// Sends a message, and waits until the agent has made a turn of it.
    pub(super) async fn turn(
        &mut self,
        agent: &AgentSummary,
        performative: &str,
    ) -> Result<Turn, Failure> {
        let sender = self.sender("asker");
        let before = self.client.agent(&agent.name).await?.counters;
        let message = message(&sender, &agent.name, performative, Value::Null);
        let begun = Instant::now();
        let sent = self
            .client
            .send_with(&message, &SendOptions::default())
            .await?;
        loop {
            let detail = self.client.agent(&agent.name).await?;
            let (turns, faults) = (detail.counters.turns, detail.counters.faults);
            if (turns, faults) != (before.turns, before.faults) {
                return Ok(Turn {
                    faulted: faults > before.faults,
                    detail,
                    in_reply_to: sent.reply_with,
                    sender,
                });
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("no turn ended within {PATIENCE:?}"),
                    "look at the node's log",
                ));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    /// Removes everything. What could not be removed, in words.
    pub(super) async fn clear(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        // The neighbour late: its last question may still be on its way.
        for name in std::mem::take(&mut self.placed).into_iter().rev() {
            match self.client.remove_agent(&name).await {
                Ok(()) => {}
                // Refused at its deploy, or named where the token does not reach.
                Err(error)
                    if matches!(
                        error.code(),
                        Some(ErrorCode::NotFound | ErrorCode::Forbidden)
                    ) => {}
                Err(error) => left.push(format!("{name}: {error}")),
            }
        }
        for sender in std::mem::take(&mut self.senders) {
            if let Err(error) = drop_mail(&self.client, &sender).await {
                left.push(format!("replies to {sender}: {error}"));
            }
        }
        if let Err(error) = self.drop_letters().await {
            left.push(format!("dead letters: {error}"));
        }
        left
    }
    /// Deletes the dead letters that this run's agents sent.
    async fn drop_letters(&self) -> Result<(), ClientError> {
        for letter in self.client.dead_letters().await? {
            if !letter.message.sender.ends_with(&self.run) {
                continue;
            }
            match self.client.delete_dead_letter(&letter.id).await {
                // A newer one has pushed it out meanwhile.
                Err(error) if error.code() == Some(ErrorCode::NotFound) => {}
                deleted => deleted?,
            }
        }
        Ok(())
    }
}

/// How a turn ended.
pub(super) struct Turn {
    pub(super) faulted: bool,
    pub(super) detail: AgentDetail,
    in_reply_to: Option<String>,
    sender: String,
}

impl Turn {
    /// The code of the `failure` that the sender was answered; `None`: there was no fault.
    pub(super) async fn failure_code(
        &self,
        client: &CaxtonClient,
    ) -> Result<Option<String>, ClientError> {
        if !self.faulted {
            return Ok(None);
        }
        let filter = MailFilter {
            receiver: Some(self.sender.clone()),
            in_reply_to: self.in_reply_to.clone(),
            wait: Some(PATIENCE),
            ..MailFilter::default()
        };
        let mail = client.messages(&filter).await?;
        Ok(mail.first().map(|mail| {
            let content = mail.message.content.value();
            let code = content.get("code").and_then(Value::as_str);
            code.unwrap_or("a reply without a code").to_owned()
        }))
    }
    /// The most of a limit that the agent has used, as the node shows it.
    pub(super) fn peak(&self, limit: LimitName) -> u64 {
        let shown = self.detail.limits.iter();
        let mut shown = shown.filter(|row| row.name == limit.as_str());
        shown.next().map_or(0, |row| row.peak)
    }
}

/// A message of the run.
pub(super) fn message(
    sender: &str,
    receiver: &str,
    performative: &str,
    content: Value,
) -> FipaMessage {
    FipaMessage {
        performative: performative.to_owned(),
        sender: sender.to_owned(),
        receiver: receiver.into(),
        content,
        ..FipaMessage::default()
    }
}

/// Settings of an agent whose state need not survive.
pub(super) fn memory() -> AgentConfig {
    AgentConfig {
        durability: Durability::Memory,
        ..AgentConfig::default()
    }
}

/// The same with one limit asked for.
pub(super) fn limited(limit: LimitName, value: u64) -> AgentConfig {
    AgentConfig {
        limits: [(limit.to_string(), AskedValue::Number(value))].into(),
        ..memory()
    }
}

/// Drops every reply that waits for a sender outside.
pub(super) async fn drop_mail(client: &CaxtonClient, sender: &str) -> Result<(), ClientError> {
    let filter = MailFilter {
        receiver: Some(sender.to_owned()),
        ..MailFilter::default()
    };
    let mail = client.messages(&filter).await?;
    let ids: Vec<String> = mail.into_iter().map(|mail| mail.id).collect();
    for ids in ids.chunks(DROPPED_AT_ONCE) {
        client.drop_messages(sender, ids).await?;
    }
    Ok(())
}
