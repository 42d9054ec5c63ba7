//! `caxton demo`: a node in a throw-away directory, agents in four languages, and what they do.

use std::{pin::pin, time::Duration};

use caxton_client::{
    AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage, ResourceLimits,
    api::{ConversationView, SendOptions},
};
use caxton_model::ErrorCode;
use serde_json::{Value, json};

use crate::{
    commands::conversation::diagram,
    config::{NodeConfig, layers::Layers},
    environment::Environment,
    failure::{Exit, Failure},
    output::Output,
    serving::{self, Serving},
};

/// How long an answer may take: the first turn of an agent includes making its instance.
const PATIENCE: Duration = Duration::from_secs(20);

/// The committed guests. One program in four languages, then two that play with each other, and
/// one that wants too much.
const SAMPLES: [(&str, &str, &[u8]); 4] = [
    (
        "rusty",
        "Rust",
        include_bytes!("../../../../guests/prebuilt/sample-agent-rust.wasm"),
    ),
    (
        "scripty",
        "AssemblyScript",
        include_bytes!("../../../../guests/prebuilt/sample-agent-assemblyscript.wasm"),
    ),
    (
        "seasoned",
        "C",
        include_bytes!("../../../../guests/prebuilt/sample-agent-c.wasm"),
    ),
    (
        "gopher",
        "Go",
        include_bytes!("../../../../guests/prebuilt/sample-agent-go.wasm"),
    ),
];
const PING: &[u8] = include_bytes!("../../../../guests/prebuilt/ping-c.wasm");
const PONG: &[u8] = include_bytes!("../../../../guests/prebuilt/pong-c.wasm");
const HUNGRY: &[u8] = include_bytes!("../../../../guests/prebuilt/memory-hungry-rust.wasm");

/// How it is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End after the show instead of waiting for Ctrl-C
    #[arg(long)]
    exit: bool,
    /// Where the API listens; default: a free port of this machine
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
}

/// Does it.
pub(crate) fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("caxton-demo-").tempdir()?;
    let flags = vec![
        ("http.listen", "--listen", args.listen.into()),
        ("data", "--data", folder.path().into()),
        ("log.filter", "--log", "error".into()),
    ];
    let layers = Layers::read(None, &Environment::default(), &flags)
        .map_err(|error| Failure::usage(error.to_string().trim_end(), "give another --listen"))?;
    let config = NodeConfig::from_layers(&layers, folder.path().to_owned());
    let _logging = crate::logging::start(&config.log, &Environment::default())?;
    let result = serving::runtime()?.block_on(async {
        let mut stop = pin!(serving::stop_signal(Some(&config.data))?);
        let serving = Serving::start(&config).await?;
        let client = serving.client()?;
        let shown = tokio::select! {
            shown = show(&client, output) => Some(shown),
            _ = &mut stop => None,
        };
        if let Some(Ok(())) = shown {
            output.line(&format!(
                "\nThe node listens on {url}\n  caxton agent list --data {data}\n  caxton send rusty \
                 '{{\"action\":\"get_status\"}}' --wait 5s --data {data}",
                url = serving.url(),
                data = folder.path().display(),
            ))?;
            if !args.exit {
                output.line("\nCtrl-C ends it and removes everything.")?;
                stop.await;
            }
        }
        serving.stop(config.shutdown_grace.duration()).await;
        shown.unwrap_or(Ok(()))
    });
    folder.close()?;
    result
}

/// The show: each step says what it is, does it over the API, and prints what came of it.
async fn show(client: &CaxtonClient, output: &Output) -> Result<(), Failure> {
    output.line("1. The same agent in four languages, deployed over the API:")?;
    deploy(client).await?;
    for (name, language, module) in SAMPLES {
        let agent = client.agent(name).await?;
        let size = caxton_model::ByteSize(module.len() as u64);
        output.line(&format!(
            "   {name:<9} {language:<15} {size:>9}  {}",
            agent.agent.id
        ))?;
    }
    output.line("\n2. Each is asked to make a text upper case:")?;
    for (name, ..) in SAMPLES {
        let reply = ask(client, request(name, "hello world", "uppercase")).await?;
        output.line(&format!("   {name:<9} {}", reply.content))?;
    }
    output.line(
        "\n3. They talk to each other: each answers to the next one, whatever its language:",
    )?;
    output.line(&indented(&diagram(&ring(client).await?)))?;
    output.line("\n4. Two agents play three rounds by themselves:")?;
    output.line(&format!("   {}", rounds(client).await?))?;
    output
        .line("\n5. Whoever offers `data_processing` may answer, not a name but a capability:")?;
    let mut message = request("", "four languages", "reverse");
    message.receiver = json!({ "capability": "data_processing" });
    let reply = ask(client, message).await?;
    output.line(&format!("   {} answered {}", reply.sender, reply.content))?;
    output.line(
        "\n6. An agent with 1 MiB of memory takes 2 MiB; its sender hears why, nobody else does:",
    )?;
    let refusal = hungry(client).await?;
    output.line(&format!("   {refusal}"))?;
    let health = client.health_ready().await?;
    output.line(&format!(
        "   {} agents on, the node is {}",
        health.agents.unwrap_or_default(),
        health.status
    ))
}

/// Deploys the samples and the two players, if they are not there.
pub(crate) async fn deploy(client: &CaxtonClient) -> Result<(), Failure> {
    let samples = SAMPLES.map(|(name, _, module)| (name, module));
    for (name, module) in samples.into_iter().chain([("ping", PING), ("pong", PONG)]) {
        deploy_one(client, name, module, ResourceLimits::default()).await?;
    }
    Ok(())
}

async fn deploy_one(
    client: &CaxtonClient,
    name: &str,
    module: &[u8],
    resources: ResourceLimits,
) -> Result<(), Failure> {
    let config = AgentConfig {
        name: name.to_owned(),
        resources,
        ..AgentConfig::default()
    };
    let request = DeployAgentRequest {
        wasm_module: module.to_vec(),
        config,
    };
    match client.deploy_agent(request).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(ErrorCode::NameTaken) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn request(to: &str, text: &str, operation: &str) -> FipaMessage {
    FipaMessage {
        performative: "request".to_owned(),
        sender: "you".to_owned(),
        receiver: to.into(),
        content: json!({ "action": "process_data", "data": text, "operation": operation }),
        ..FipaMessage::default()
    }
}

async fn ask(client: &CaxtonClient, message: FipaMessage) -> Result<FipaMessage, Failure> {
    Ok(client.send_message_and_wait(message, PATIENCE).await?)
}

/// Each sample is asked in your name and answers to the next; the last one answers to you.
async fn ring(client: &CaxtonClient) -> Result<ConversationView, Failure> {
    let conversation = "ring-of-four-languages";
    let names = SAMPLES.map(|(name, ..)| name);
    for (i, name) in names.iter().enumerate() {
        let next = names.get(i + 1).copied();
        let mut message = request(name, &format!("from {name}"), "reverse");
        message.conversation_id = Some(conversation.to_owned());
        message.reply_to = next.map(str::to_owned);
        if next.is_none() {
            ask(client, message).await?;
        } else {
            client.send_with(&message, &SendOptions::default()).await?;
        }
    }
    said(client, conversation, names.len() * 2).await
}

/// `ping` plays three rounds with `pong`, then tells you; what they said is in their counters.
async fn rounds(client: &CaxtonClient) -> Result<String, Failure> {
    let message = FipaMessage {
        performative: "request".to_owned(),
        sender: "you".to_owned(),
        receiver: "ping".into(),
        content: json!({ "to": "pong", "rounds": 3 }),
        ..FipaMessage::default()
    };
    ask(client, message).await?;
    let ping = client.agent("ping").await?.counters;
    let pong = client.agent("pong").await?.counters;
    Ok(format!(
        "ping sent {} messages in {} turns, pong {} in {}",
        ping.messages_sent, ping.turns, pong.messages_sent, pong.turns
    ))
}

/// A conversation once so many lines of it are there, with names instead of ids.
async fn said(client: &CaxtonClient, id: &str, lines: usize) -> Result<ConversationView, Failure> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut conversation = client.conversation(id).await?;
        if conversation.lines.len() >= lines || tokio::time::Instant::now() > until {
            crate::commands::conversation::name_parties(client, &mut conversation).await?;
            return Ok(conversation);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn hungry(client: &CaxtonClient) -> Result<String, Failure> {
    let resources = ResourceLimits {
        max_memory_bytes: 1024 * 1024,
        ..ResourceLimits::default()
    };
    deploy_one(client, "hungry", HUNGRY, resources).await?;
    let message = FipaMessage {
        performative: "request".to_owned(),
        sender: "you".to_owned(),
        receiver: "hungry".into(),
        content: json!({ "action": "allocate_large_buffer", "size": 2 * 1024 * 1024 }),
        ..FipaMessage::default()
    };
    let reply = ask(client, message).await?;
    let words = reply
        .content
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if reply.performative != "failure" {
        return Err(Failure::new(
            Exit::Failed,
            format!("the limit did not hold: {}", reply.content),
            "report this with the output of `caxton --version`",
        ));
    }
    Ok(format!("failure: {words}"))
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("   {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
