//! Every metric family of a node moves: one node does what each of them counts.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use caxton_client::{
    AgentConfig, Call, CaxtonClient, DeployAgentRequest, FipaMessage, api::AskedValue,
};
use caxton_server::{FAMILIES, FamilyKind};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    command::{guest, text_guest},
    node::NodeProcess,
};

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Takes 50 MiB in its init, untouched, and touches it at a message, which goes on until its limit.
const SLY: &str = r#"(module
  (memory (export "memory") 2)
  (func (export "allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "deallocate") (param i32 i32))
  (func (export "agent_init") (result i32)
    (if (i32.eq (memory.grow (i32.const 798)) (i32.const -1)) (then unreachable))
    (i32.const 0))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.const 131072))
    (loop $touch
      (i32.store (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $touch (i32.lt_u (local.get $at) (i32.const 52428800))))
    (loop $forever (br $forever))
    (i32.const 0)))"#;

/// Agents of that kind: more than the budget has room for.
const SLY_AGENTS: usize = 16;
/// The budget `agents`: all that are deployed here, and none more.
const AGENTS_MAX: usize = SLY_AGENTS + 4;

async fn deploy(client: &CaxtonClient, file: &str, name: &str, cpu: &str) -> bool {
    let limits = [("cpu", cpu), ("wall", "60s")];
    let limits = limits.map(|(name, value)| (name.to_owned(), AskedValue::Text(value.to_owned())));
    let request = DeployAgentRequest {
        wasm_module: std::fs::read(file).unwrap(),
        config: AgentConfig {
            name: name.to_owned(),
            limits: limits.into(),
            ..AgentConfig::default()
        },
    };
    client.deploy_agent(request).await.is_ok()
}

fn message(to: &str) -> FipaMessage {
    let message =
        json!({ "performative": "request", "sender": "me", "receiver": to, "content": 1 });
    serde_json::from_value(message).unwrap()
}

/// The families of which a series is above zero.
fn moved(text: &str) -> BTreeSet<&'static str> {
    let above_zero = |family: &&caxton_server::Family| {
        let name = match family.kind {
            FamilyKind::Histogram => format!("{}_count", family.name),
            _ => family.name.to_owned(),
        };
        text.lines().any(|line| {
            let Some((series, value)) = line.rsplit_once(' ') else {
                return false;
            };
            let base = series.split('{').next().unwrap_or_default();
            base == name && value.parse::<f64>().is_ok_and(|value| value > 0.0)
        })
    };
    let families = FAMILIES.iter().filter(above_zero);
    families.map(|family| family.name).collect()
}

fn start(data: &Path, config: &Path) -> NodeProcess {
    NodeProcess::start_in(data, &["--config", config.to_str().unwrap()])
}

/// What each family counts but those of load: done once.
async fn everything_once(node: &NodeProcess, client: &CaxtonClient, folder: &Path) {
    let counter = guest("counter-c");
    assert!(deploy(client, &counter, "counter", "100ms").await);
    for (name, agent) in [("log-flood", "loud"), ("loop-message", "loops")] {
        let file = text_guest(folder, name);
        assert!(deploy(client, &file, agent, "100ms").await);
        client.send_message(message(agent)).await.unwrap();
    }
    let both = json!({ "performative": "inform", "sender": "me", "receiver": ["counter", "nobody"], "content": 1 });
    let both: FipaMessage = serde_json::from_value(both).unwrap();
    client.send_message(both).await.unwrap();
    node.caxton(&["agent", "deploy", &text_guest(folder, "wants-http")])
        .fails(4, &["http:read"]);
    let turn = std::fs::read(guest("reverse-bytes-c")).unwrap();
    let config = serde_json::from_value(json!({ "name": "turn" })).unwrap();
    client.deploy_processor(turn, &config, None).await.unwrap();
    client.call("turn", Call::default()).await.unwrap();
}

/// Agents that want more memory than the budget has, once all are there; and one agent too many.
async fn beyond_the_budgets(client: &CaxtonClient, folder: &Path) {
    let sly = folder.join("sly.wasm");
    std::fs::write(&sly, wat::parse_str(SLY).unwrap()).unwrap();
    let sly = sly.to_str().unwrap();
    let until = Instant::now() + PATIENCE;
    for n in 0..SLY_AGENTS {
        // Near the budget a deployment is refused until idle instances have gone.
        while !deploy(client, sly, &format!("sly-{n}"), "30s").await {
            assert!(Instant::now() < until, "the node takes no agent any more");
        }
    }
    // The one place that was left, and one more than that.
    let counter = guest("counter-c");
    let mut taken = 0;
    while deploy(client, &counter, &format!("more-{taken}"), "100ms").await {
        taken += 1;
    }
    for n in 0..SLY_AGENTS {
        let to = format!("sly-{n}");
        while client.send_message(message(&to)).await.is_err() {
            assert!(Instant::now() < until, "the node takes no message any more");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_family_moves() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("node.toml"));
    let text = format!("[budgets]\nmemory = \"400MiB\"\nagents = {AGENTS_MAX}\n");
    std::fs::write(&config, text).unwrap();
    let guests: PathBuf = folder.path().join("guests");
    std::fs::create_dir(&guests).unwrap();
    std::fs::create_dir(&data).unwrap();
    let node = start(&data, &config);
    everything_once(&node, &node.client(), &guests).await;
    let mut seen = moved(&node.client().metrics().await.unwrap());
    node.kill();

    // After a start what was compiled comes from the cache.
    let node = start(&data, &config);
    let client = node.client();
    client.send_message(message("counter")).await.unwrap();
    client.send_message(message("loud")).await.unwrap();
    let endless = std::fs::read(text_guest(&guests, "processor-loop")).unwrap();
    let limits = json!({ "name": "endless", "limits": { "cpu": "10m", "wall": "10m" } });
    let limits = serde_json::from_value(limits).unwrap();
    client
        .deploy_processor(endless, &limits, None)
        .await
        .unwrap();
    let mut load = JoinSet::new();
    let calling = client.clone();
    load.spawn(async move {
        let _ = calling.call("endless", Call::default()).await;
    });
    for _ in 0..4 {
        let client = client.clone();
        load.spawn(async move {
            loop {
                let _ = client.send_message(message("counter")).await;
            }
        });
    }
    beyond_the_budgets(&client, &guests).await;
    let until = Instant::now() + PATIENCE;
    loop {
        seen.extend(moved(&client.metrics().await.unwrap()));
        let missing: Vec<&str> = FAMILIES
            .iter()
            .map(|family| family.name)
            .filter(|name| !seen.contains(name))
            .collect();
        if missing.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "these never moved: {missing:?}");
    }
    load.abort_all();
}
