//! Runs an agent in a node of its own that keeps nothing and listens nowhere.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use caxton_kernel::{NodeEvent, Post, Refusal};
use caxton_model::{
    AskedLimits, Durability, EngineProfile, Fault, Fields, GrantedRule, Grants, LimitName, Limits,
    Message, MessageKey, Receiver,
};
use caxton_node::{Deploy, Node, NodeOptions};
use caxton_package::{Manifest, Verified};

use super::{Args, Outside, fault_failure, messages::Messages};
use crate::{
    commands::{
        agent::{name_of_file, requested},
        interrupted,
    },
    failure::{Exit, Failure},
    output::{Output, count, json_line, write_guest_log},
};

/// The name of an agent whose file's name can be none: nobody else is there to confuse it with.
const UNNAMED: &str = "agent";

/// What is deployed.
pub(super) struct Deployment {
    pub(super) path: PathBuf,
    pub(super) verified: Verified,
    pub(super) profile: EngineProfile,
    pub(super) asked: BTreeMap<LimitName, u64>,
    pub(super) grants: Grants,
    pub(super) granted: Vec<GrantedRule>,
    pub(super) outside: Outside,
    pub(super) manifest: Option<(Manifest, String)>,
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::of(refusal.code, refusal.text.clone())
}

/// Does it: deploy, send each message, print what comes back, stop.
pub(super) async fn run(
    args: &Args,
    deployment: Deployment,
    output: &Output,
) -> Result<(), Failure> {
    let options = NodeOptions {
        shards: 1,
        engine: args.engine,
        perf_map: args.perf,
        directories: Arc::clone(&deployment.outside.directories),
        environment: Arc::clone(&deployment.outside.environment),
        learn: args.learn,
        ..NodeOptions::default()
    };
    let node = Node::start(options)
        .await
        .map_err(|error| crate::start_failure::start_failure(&error))?;
    let name = match &deployment.manifest {
        Some((manifest, _)) => manifest.name.as_str().to_owned(),
        None => name_of_file(&deployment.path).unwrap_or_else(|_| UNNAMED.to_owned()),
    };
    let mut session = Session {
        node: &node,
        output,
        name,
        lines: 0,
        events: 0,
        client: Arc::default(),
        accepted: 0,
        last_fault: None,
    };
    let result = tokio::select! {
        biased;
        result = session.run(args, deployment) => result,
        () = interrupted() => match session.print_sent().await {
            Ok(_) => Err(session.cut_short()),
            Err(failure) => Err(failure),
        },
    };
    session.print_logs();
    let result = match args.learn {
        true => session.print_learned().await.and(result),
        false => result,
    };
    node.shutdown(Duration::from_secs(1)).await;
    result
}

struct Session<'a> {
    node: &'a Node,
    output: &'a Output,
    /// The agent's name.
    name: String,
    /// The last log line and the last event that were looked at.
    lines: u64,
    events: u64,
    /// Under which name the last message was sent.
    client: Arc<str>,
    /// Messages that the agent's node took.
    accepted: u64,
    last_fault: Option<Fault>,
}

/// The rows of `[permissions]` that would allow what an agent was refused.
#[derive(serde::Serialize)]
struct Learned {
    permissions: Vec<String>,
}

/// The events since the last look: messages that were delivered, and keys of those that were not.
#[derive(Default)]
struct Seen {
    sent: Vec<Message>,
    dead: Vec<MessageKey>,
}

impl Session<'_> {
    async fn run(&mut self, args: &Args, deployment: Deployment) -> Result<(), Failure> {
        let name = self.name.clone();
        let limits = Limits::for_kind(caxton_model::Kind::Agent)
            .asked(&deployment.asked, &Limits::unlimited())
            .map_err(|_| Failure::usage("the limits can't be used", "correct them"))?;
        let deploy = self.deploy(args, &name, deployment)?;
        if let Err(refusal) = self.node.deploy(deploy).await {
            self.look_at_events();
            return Err(match self.last_fault.take() {
                Some(fault) => fault_failure(&fault),
                None => refused(&refusal),
            });
        }
        let mut no_reply = 0_u64;
        let mut messages = Messages::of(args, &name, limits.get(LimitName::MessageBytes))?;
        while let Some(fields) = messages.next().await {
            let replied = self.ask(&name, fields?, args.wait.duration()).await?;
            no_reply += u64::from(!replied);
        }
        self.judge(&name, no_reply).await
    }

    fn deploy(&self, args: &Args, name: &str, deployment: Deployment) -> Result<Deploy, Failure> {
        let manifest = deployment.manifest.map(|(manifest, _)| manifest);
        let requested = manifest.as_ref().map(requested).transpose()?;
        Ok(Deploy {
            name: name.parse().map_err(|error: caxton_model::NameError| {
                Failure::usage(error.to_string(), "rename the package or the file")
            })?,
            module: deployment.verified.bytes().to_vec(),
            version: manifest
                .as_ref()
                .map_or("0.0.0".to_owned(), |m| m.version.clone()),
            limits: AskedLimits(deployment.asked),
            durability: Durability::Memory,
            supervision: manifest.map(|m| m.agent.supervision).unwrap_or_default(),
            grants: deployment.grants,
            granted: deployment.granted.into(),
            requested,
            declared: Vec::new(),
            config: args.guest.config.clone(),
            profile: deployment.profile,
            passivate_after: None,
        })
    }

    /// Sends one message and prints what the agent sends. Stops waiting when no reply can come any
    /// more: the turn is over and no timer runs.
    async fn ask(&mut self, name: &str, fields: Fields, wait: Duration) -> Result<bool, Failure> {
        let before = self.finished_turns(name).await?;
        self.client = Arc::clone(&fields.sender);
        let post = Post {
            client: Arc::clone(&fields.sender),
            namespace: None,
            message_id: None,
            fields,
        };
        let posted = self
            .node
            .post(post, None)
            .await
            .map_err(|refusal| refused(&refusal))?;
        self.accepted += 1;
        let until = Instant::now() + wait;
        let mut replied = false;
        loop {
            let silent = self.is_silent(name, before).await?;
            let sent = self.print_sent().await?;
            replied |= sent.iter().any(|sent| answers(sent, &posted.message));
            self.empty_mailbox().await?;
            self.print_logs();
            if replied || silent || Instant::now() > until {
                return Ok(replied);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Prints what the agent sent since the last look, whoever it is for, and what others answered.
    async fn print_sent(&mut self) -> Result<Vec<Message>, Failure> {
        let Seen { mut sent, dead } = self.look_at_events();
        if !dead.is_empty() {
            let letters = self.node.dead_letters(usize::MAX).await;
            let letters = letters.map_err(|refusal| refused(&refusal))?;
            let mut missed: Vec<Message> = letters
                .into_iter()
                .rev()
                .filter(|letter| dead.contains(&letter.key))
                .map(|letter| letter.message)
                .collect();
            // A message to several stands once, wherever it went.
            missed.dedup();
            missed.retain(|message| !sent.contains(message));
            sent.extend(missed);
        }
        sent.retain(|message| *message.sender == *self.name || is_for(message, &self.client));
        for message in &sent {
            self.output
                .entry(message, |message| json_line(message.json()))?;
        }
        Ok(sent)
    }

    /// Takes what waits for whoever asked: a long run must not fill its mailbox.
    async fn empty_mailbox(&self) -> Result<(), Failure> {
        let client = &*self.client;
        let waiting = self.node.replies(client).await;
        let waiting = waiting.map_err(|refusal| refused(&refusal))?;
        let keys = waiting.iter().map(|mail| mail.key).collect();
        self.node
            .drop_replies(client, keys)
            .map_err(|refusal| refused(&refusal))
    }

    /// The run was ended by Ctrl-C.
    fn cut_short(&self) -> Failure {
        let accepted = count(self.accepted, "message");
        Failure::interrupted(
            format!("interrupted: {accepted} reached the agent; what it sent stands above"),
            "",
        )
    }

    async fn finished_turns(&self, name: &str) -> Result<u64, Failure> {
        let detail = self
            .node
            .agent(name)
            .await
            .map_err(|refusal| refused(&refusal))?;
        Ok(detail.state.turns)
    }
    async fn is_silent(&self, name: &str, before: u64) -> Result<bool, Failure> {
        let waiting = self
            .node
            .mailbox(name)
            .await
            .map_err(|refusal| refused(&refusal))?;
        let detail = self
            .node
            .agent(name)
            .await
            .map_err(|refusal| refused(&refusal))?;
        Ok(detail.state.turns > before && waiting.is_empty() && detail.state.timers.is_empty())
    }

    /// Prints the lines of a manifest that would allow what the agent was refused.
    async fn print_learned(&self) -> Result<(), Failure> {
        let Ok(permissions) = self.node.learned(&self.name).await else {
            // The agent was never deployed, and the error says why.
            return Ok(());
        };
        let learned = Learned { permissions };
        self.output
            .value(&learned, |learned| match learned.permissions.as_slice() {
                [] => "# it was refused nothing".to_owned(),
                lines => format!("[permissions]\n{}", lines.join("\n")),
            })
    }
    fn print_logs(&mut self) {
        for line in self.node.logs(None, self.lines, usize::MAX) {
            self.lines = line.number;
            write_guest_log(line.level, &line.text);
        }
    }
    fn look_at_events(&mut self) -> Seen {
        let mut seen = Seen::default();
        for event in self.node.events_after(self.events) {
            let missed = event.number - self.events - 1;
            if missed > 0 {
                let events = count(missed, "event");
                self.output
                    .note(&format!("{events} came too fast to be shown"));
            }
            self.events = event.number;
            match event.event {
                NodeEvent::Fault { fault, .. } => self.last_fault = Some(fault),
                NodeEvent::Sent { message, .. } => seen.sent.push(message),
                NodeEvent::DeadLetter { key, .. } => seen.dead.push(key),
                NodeEvent::Status { .. } | NodeEvent::HostBytes { .. } => {}
            }
        }
        seen
    }

    /// The end of the command: a fault, an error, or all is well.
    async fn judge(&mut self, name: &str, no_reply: u64) -> Result<(), Failure> {
        let detail = self
            .node
            .agent(name)
            .await
            .map_err(|refusal| refused(&refusal))?;
        self.look_at_events();
        if let Some(fault) = self.last_fault.take() {
            return Err(fault_failure(&fault));
        }
        if let Some((_, fault)) = &detail.state.last_fault {
            return Err(fault_failure(fault));
        }
        if detail.state.errors > 0 {
            return Err(Failure::new(
                Exit::Failed,
                format!(
                    "the agent returned an error from {}",
                    count(detail.state.errors, "turn")
                ),
                "read its replies and log lines",
            ));
        }
        if no_reply > 0 {
            self.output
                .note(&format!("{} got no reply", count(no_reply, "message")));
        }
        Ok(())
    }
}

/// Whether a message answers another: by what it refers to, or by who it is for.
fn answers(message: &Message, asked: &Message) -> bool {
    let refers = asked.reply_with.is_some() && message.in_reply_to == asked.reply_with;
    refers || is_for(message, asked.answer_to())
}

fn is_for(message: &Message, party: &Arc<str>) -> bool {
    match &message.receiver {
        Receiver::One(name) => name == party,
        Receiver::List(names) => names.contains(party),
        Receiver::Capability(_) => false,
    }
}
