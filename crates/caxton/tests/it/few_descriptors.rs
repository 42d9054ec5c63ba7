//! A node that may open few files, and strangers who take all of them: who has a token is served, and
//! the journal and the checkpoint go on.

use std::{fs, net::TcpStream, path::Path, time::Duration};

use caxton_client::{AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage, api::AskedValue};

use crate::{
    command::guest,
    node::{NodeProcess, up_under},
};

const ALLOWED: usize = 200;
const STRANGERS: usize = 400;
/// Messages of 900 KiB: more than a segment of the journal (64 MiB) holds.
const MESSAGES: u64 = 90;
/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

async fn deploy(client: &CaxtonClient, name: &str, module: &str) {
    let mut config = AgentConfig {
        name: name.to_owned(),
        ..AgentConfig::default()
    };
    config
        .limits
        .insert("messages_per_second".to_owned(), AskedValue::Unlimited);
    let request = DeployAgentRequest {
        wasm_module: fs::read(guest(module)).unwrap(),
        config,
    };
    client.deploy_agent(request).await.unwrap();
}

fn message(to: &str, pad_bytes: usize) -> FipaMessage {
    FipaMessage {
        performative: "request".to_owned(),
        sender: "me".to_owned(),
        receiver: to.into(),
        content: serde_json::json!({ "count": true, "pad": "x".repeat(pad_bytes) }),
        ..FipaMessage::default()
    }
}

async fn count(client: &CaxtonClient) -> String {
    let value = client.agent_state_value("counter", "count").await.unwrap();
    String::from_utf8(value).unwrap()
}

/// The newest segment of a journal.
fn newest_segment(data: &Path) -> String {
    let names = fs::read_dir(data.join("journal")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".seg")).max().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_few_descriptors_strangers_stop_neither_callers_nor_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let mut command = up_under(&format!("-n {ALLOWED}"), &data);
    let node = NodeProcess::start_by(&mut command, &data);
    let client = node.client();
    deploy(&client, "counter", "counter-c").await;
    let first = newest_segment(&data);
    let address = node.url.strip_prefix("http://").unwrap().to_owned();
    let stranger = || TcpStream::connect(&address).unwrap();
    let mut strangers: Vec<TcpStream> = (0..STRANGERS).map(|_| stranger()).collect();
    for sent in 1..=MESSAGES {
        let asked = message("counter", 900 << 10);
        let reply = client.send_message_and_wait(asked, PATIENCE).await.unwrap();
        assert_eq!(reply.performative, "inform", "{sent}: {reply:?}");
        // Each that the node closed is followed by another.
        strangers.push(stranger());
        assert!(node.descriptors() <= ALLOWED);
    }
    assert_ne!(newest_segment(&data), first, "a new segment was needed");
    // What needs most files: a compile worker with its pipes, the module, its compiled code.
    deploy(&client, "echo", "echo-c").await;
    let echoed = client
        .send_message_and_wait(message("echo", 0), PATIENCE)
        .await;
    assert_eq!(echoed.unwrap().performative, "inform");
    node.caxton(&["agent", "list"]).ok();
    let ready = client.health_ready().await.unwrap();
    drop(strangers);
    let asked = message("echo", 0);
    for _ in 0..10 {
        let fresh = node.client();
        fresh
            .send_message_and_wait(asked.clone(), PATIENCE)
            .await
            .unwrap();
    }
    assert_eq!(count(&client).await, MESSAGES.to_string(), "{ready:?}");
    node.kill();
    let node = NodeProcess::start_by(&mut command, &data);
    assert_eq!(count(&node.client()).await, MESSAGES.to_string());
    assert_eq!(node.terminate(), 0);
}
