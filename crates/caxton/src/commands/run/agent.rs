//! Runs an agent in a node of its own that keeps nothing and listens nowhere.

use std::{
    collections::BTreeMap,
    io::BufRead as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use caxton_kernel::{NodeEvent, Post, Refusal};
use caxton_model::{
    AskedLimits, Durability, EngineProfile, Fault, Fields, Grants, LimitName, Limits, Performative,
    RawJson, is_reserved_name,
};
use caxton_node::{Deploy, Node, NodeOptions};
use caxton_package::{Manifest, Verified};
use serde_json::Value;

use super::{Args, fault_failure};
use crate::{
    commands::agent::name_of_file,
    failure::{Exit, Failure},
    output::Output,
};

/// Under which name messages are sent.
const SENDER: &str = "operator";

/// What is deployed.
pub(super) struct Deployment {
    pub(super) path: PathBuf,
    pub(super) verified: Verified,
    pub(super) profile: EngineProfile,
    pub(super) asked: BTreeMap<LimitName, u64>,
    pub(super) grants: Grants,
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
        ..NodeOptions::default()
    };
    let node = Node::start(options)
        .await
        .map_err(|error| crate::start_failure::start_failure(&error))?;
    let mut session = Session {
        node: &node,
        output,
        lines: 0,
        events: 0,
        last_fault: None,
    };
    let result = session.run(args, deployment).await;
    session.print_logs();
    node.shutdown(Duration::from_secs(1)).await;
    result
}

struct Session<'a> {
    node: &'a Node,
    output: &'a Output,
    /// The last log line and the last event that were looked at.
    lines: u64,
    events: u64,
    last_fault: Option<Fault>,
}

impl Session<'_> {
    async fn run(&mut self, args: &Args, deployment: Deployment) -> Result<(), Failure> {
        let name = match &deployment.manifest {
            Some((manifest, _)) => manifest.name.as_str().to_owned(),
            None => name_of_file(&deployment.path)?,
        };
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
        let mut no_reply = 0;
        for fields in messages(args, &name, limits.get(LimitName::MessageBytes))? {
            let replied = self.ask(&name, fields?, args.wait.duration()).await?;
            no_reply += u32::from(!replied);
        }
        self.judge(&name, no_reply).await
    }

    fn deploy(&self, args: &Args, name: &str, deployment: Deployment) -> Result<Deploy, Failure> {
        let manifest = deployment.manifest.map(|(manifest, _)| manifest);
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
            declared: Vec::new(),
            config: args.guest.config.clone(),
            profile: deployment.profile,
            passivate_after: None,
        })
    }

    /// Sends one message and prints the reply. Stops waiting when none can come any more: the turn
    /// is over and no timer runs.
    async fn ask(&mut self, name: &str, fields: Fields, wait: Duration) -> Result<bool, Failure> {
        let before = self.finished_turns(name).await?;
        let post = Post {
            client: SENDER.into(),
            namespace: None,
            message_id: None,
            fields,
        };
        let posted = self
            .node
            .post(post, None)
            .await
            .map_err(|refusal| refused(&refusal))?;
        let until = Instant::now() + wait;
        let mut replied = false;
        loop {
            let silent = self.is_silent(name, before).await?;
            let replies = self
                .node
                .replies(SENDER)
                .await
                .map_err(|refusal| refused(&refusal))?;
            for reply in &replies {
                replied |= reply.message.in_reply_to == posted.message.reply_with
                    || reply.message.conversation_id == posted.message.conversation_id;
                let value: Value = serde_json::from_str(reply.message.json()).unwrap_or_default();
                self.output
                    .entry(&value, |_| reply.message.json().to_owned())?;
            }
            let keys = replies.iter().map(|reply| reply.key).collect();
            self.node
                .drop_replies(SENDER, keys)
                .map_err(|refusal| refused(&refusal))?;
            self.print_logs();
            if replied || silent || Instant::now() > until {
                return Ok(replied);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
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

    fn print_logs(&mut self) {
        use std::io::Write as _;
        for line in self.node.logs(None, self.lines, usize::MAX) {
            self.lines = line.number;
            // A closed stderr must not end the run.
            let _ = writeln!(std::io::stderr(), "{:5} {}", line.level, line.text);
        }
    }
    fn look_at_events(&mut self) {
        for event in self.node.events_after(self.events) {
            self.events = event.number;
            if let NodeEvent::Fault { fault, .. } = event.event {
                self.last_fault = Some(fault);
            }
        }
    }

    /// The end of the command: a fault, an error, or all is well.
    async fn judge(&mut self, name: &str, no_reply: u32) -> Result<(), Failure> {
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
                    "the agent returned an error from {} of its turns",
                    detail.state.errors
                ),
                "read its replies and log lines",
            ));
        }
        if no_reply > 0 {
            self.output
                .note(&format!("{no_reply} messages got no reply"));
        }
        Ok(())
    }
}

/// The messages one after the other: flags, a file, or lines of stdin.
pub(super) fn messages<'a>(
    args: &'a Args,
    name: &'a str,
    bytes_max: u64,
) -> Result<Box<dyn Iterator<Item = Result<Fields, Failure>> + 'a>, Failure> {
    let read = move |text: &str| read_message(text, name, bytes_max);
    if !args.message.is_empty() {
        return Ok(Box::new(args.message.iter().map(move |text| read(text))));
    }
    if let Some(path) = &args.input {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        return Ok(Box::new(
            lines
                .into_iter()
                .filter_map(move |line| line_message(&line, read)),
        ));
    }
    let lines = std::io::stdin().lock().lines();
    Ok(Box::new(lines.filter_map(move |line| match line {
        Ok(line) => line_message(&line, read),
        Err(error) => Some(Err(error.into())),
    })))
}

fn line_message(
    line: &str,
    read: impl Fn(&str) -> Result<Fields, Failure>,
) -> Option<Result<Fields, Failure>> {
    if line.trim().is_empty() {
        None
    } else {
        Some(read(line))
    }
}

/// Reads one message, for the one agent there is unless it is for the host's own; bare content
/// becomes a request.
fn read_message(text: &str, name: &str, bytes_max: u64) -> Result<Fields, Failure> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Failure::usage(
            format!("a message is no JSON: {error}"),
            r#"write it as {"performative":"request","content":{}}"#,
        )
    })?;
    let is_message = value.get("performative").is_some();
    if !is_message {
        let content = RawJson::from(&value);
        let mut fields = Fields::new(Performative::Request, SENDER, name, &Value::Null);
        fields.content = content;
        return Ok(fields);
    }
    let mut value = value;
    if let Some(object) = value.as_object_mut()
        && !object
            .get("receiver")
            .and_then(Value::as_str)
            .is_some_and(is_reserved_name)
    {
        object.insert("receiver".to_owned(), name.into());
    }
    Fields::parse(value.to_string().as_bytes(), bytes_max)
        .map_err(|error| Failure::of(error.code(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_content_becomes_a_request_and_a_message_keeps_what_it_says() {
        let name = "greeter";
        let fields = read_message(r#"{"action":"greet"}"#, name, 1_000).unwrap();
        assert_eq!(fields.performative, Performative::Request);
        assert_eq!(fields.content.as_str(), r#"{"action":"greet"}"#);
        let fields = read_message(r#"{"performative":"inform","content":1}"#, name, 1_000).unwrap();
        assert_eq!(fields.performative, Performative::Inform);
        assert_eq!(
            fields.receiver,
            caxton_model::Receiver::One("greeter".into())
        );
        for (written, meant) in [("somebody", "greeter"), ("df", "df")] {
            let text = format!(r#"{{"performative":"inform","receiver":"{written}"}}"#);
            let fields = read_message(&text, name, 1_000).unwrap();
            assert_eq!(fields.receiver, caxton_model::Receiver::One(meant.into()));
        }
    }

    #[test]
    fn what_is_no_message_says_how_one_looks() {
        let failure = read_message("hello", "a", 1_000).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.help.contains("performative"));
        let failure = read_message(r#"{"performative":"shout"}"#, "a", 1_000).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let failure =
            read_message(r#"{"performative":"inform","content":"xxxx"}"#, "a", 9).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
    }
}
