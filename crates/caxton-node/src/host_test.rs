//! What the node answers of a guest's calls: the work for each grows with its input at most, and
//! what is kept is charged.

use std::sync::{Arc, Mutex};

use caxton_engine::{HostCalls, LogLevel, MetricKind};
use caxton_kernel::{Directory, Effect, Event, Kernel, KernelOptions, ShardPart, Ticket};
use caxton_model::{
    AgentId, AgentSpec, Digest, Durability, EngineProfile, GrantedRule, Grants, HostCode, Kind,
    LimitName, Limits, Supervision, Timestamp,
};
use caxton_package::OFFERED;

use crate::{Node, NodeOptions, host::TurnHost, memory::AgentMemory};

/// The smaller input.
const SIZE: usize = 32;

/// What the agent is granted.
const ALL_RIGHTS: [&str; 4] = [
    "vault:read=*",
    "vault:write=*",
    "data:read=*",
    "data:write=*",
];

fn granted(rule: &str) -> GrantedRule {
    GrantedRule {
        rule: rule.to_owned(),
        expires: None,
        reason: None,
        by: "operator".to_owned(),
        at: Timestamp(0),
    }
}

/// Who answers an import.
enum Answered {
    /// [`TurnHost`] itself; it is called with an input of that size.
    Here(fn(&mut TurnHost, usize)),
    /// The kernel, or its `TurnCtx`: its own test doubles their inputs.
    ByTheKernel,
    /// The gate and the broker, once the request was read: their own tests bound their work.
    ByTheBroker,
    /// The engine, which asks nobody.
    ByTheEngine,
}

fn reads_config(host: &mut TurnHost, size: usize) {
    assert!(host.config_get(&format!("name-{}", size - 1)).is_some());
}

/// Who answers an import of that name. What is offered must be here.
fn answered(name: &str) -> Option<Answered> {
    let answered = match name {
        "store_data" => Answered::Here(|host, size| {
            host.store(b"long", &vec![0; 64 * size]).unwrap();
            keys(size).for_each(|key| host.store(&key, b"value").unwrap());
        }),
        "load_data" => Answered::Here(|host, size| {
            host.store(b"long", &vec![0; 64 * size]).unwrap();
            assert!(host.load(b"long").unwrap().is_some());
            keys(size).for_each(|key| assert!(host.load(&key).unwrap().is_none()));
        }),
        "delete_data" => Answered::Here(|host, size| {
            keys(size).for_each(|key| host.store(&key, b"value").unwrap());
            keys(size).for_each(|key| host.delete(&key).unwrap());
        }),
        "console_log" | "console_error" | "log_record" => Answered::Here(|host, size| {
            host.log(LogLevel::Info, &"x".repeat(64 * size));
        }),
        "metric" => Answered::Here(|host, size| {
            let names = (0..size).map(|i| format!("name_{i}"));
            names.for_each(|name| host.metric(MetricKind::Gauge, &name, 1.0).unwrap());
        }),
        "config_get" => Answered::Here(reads_config),
        "send_message"
        | "send_local_message"
        | "broadcast_message"
        | "event_emit"
        | "subscribe_messages"
        | "unsubscribe_messages"
        | "set_timer"
        | "cancel_timer"
        | "current_timestamp"
        | "random_u32"
        | "register_capabilities"
        | "seed" => Answered::ByTheKernel,
        "sleep_micros" | "respond" | "abort" | "read_response" => Answered::ByTheEngine,
        "http_request" | "host_network_request" => Answered::ByTheBroker,
        "vault_get" => Answered::Here(|host, size| {
            let value = host.vault_get(&format!("secret-{size}")).unwrap();
            assert_eq!(value.len(), 64 * size);
        }),
        "vault_put" => Answered::Here(|host, size| {
            // It is performed when the future is polled.
            drop(host.vault_put("put", &vec![b'x'; 64 * size]).unwrap());
        }),
        "data_put" => Answered::Here(|host, size| {
            let long = format!("\"{}\"", "x".repeat(64 * size));
            host.data_put(&row("long"), long.as_bytes()).unwrap();
            (0..size).for_each(|i| host.data_put(&row(&format!("{i}")), b"1").unwrap());
        }),
        "data_get" => Answered::Here(|host, size| {
            let long = format!("\"{}\"", "x".repeat(64 * size));
            host.data_put(&row("long"), long.as_bytes()).unwrap();
            assert!(host.data_get(&row("long")).unwrap().is_some());
            (0..size)
                .for_each(|i| assert!(host.data_get(&row(&format!("{i}"))).unwrap().is_none()));
        }),
        "data_delete" => Answered::Here(|host, size| {
            (0..size).for_each(|i| host.data_put(&row(&format!("{i}")), b"1").unwrap());
            (0..size).for_each(|i| host.data_delete(&row(&format!("{i}"))).unwrap());
        }),
        "data_list" => Answered::Here(|host, size| {
            (0..size).for_each(|i| host.data_put(&row(&format!("{i}")), b"1").unwrap());
            host.data_list(br#"{"table":"t"}"#).unwrap();
        }),
        _ => return None,
    };
    Some(answered)
}

fn keys(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|i| format!("key-{i}").into_bytes())
}

/// A row of a table, as a guest names it.
fn row(key: &str) -> Vec<u8> {
    format!(r#"{{"table":"t","key":"{key}"}}"#).into_bytes()
}

/// The host of an agent's first turn, with a configuration of so many entries.
fn host(node: &Node, host_bytes: u64, config: usize) -> TurnHost {
    let mut limits = Limits::for_kind(Kind::Agent);
    limits.set(LimitName::HostBytes, host_bytes);
    let entry = |i: usize| (format!("name-{i}"), "value".to_owned());
    let spec = Arc::new(AgentSpec {
        id: AgentId(10),
        name: "a".parse().unwrap(),
        module: Digest::of(b"module"),
        version: "1.0.0".into(),
        durability: Durability::Memory,
        supervision: Supervision::default(),
        limits,
        grants: Grants::default(),
        requested: None,
        profile: EngineProfile::default(),
        declared: Vec::new(),
        config: (0..config).map(entry).collect(),
        passivate_after_micros: None,
        deployed_at: Timestamp(0),
    });
    let options = KernelOptions {
        shard: 0,
        journal: false,
        seed: 1,
    };
    let mut kernel = Kernel::new(options, Directory::new(1), ShardPart::default());
    let (mut effects, ticket) = (Vec::new(), Ticket(1));
    let deploy = Event::Deploy {
        ticket,
        spec: Arc::clone(&spec),
        granted: ALL_RIGHTS.map(granted).to_vec().into(),
    };
    kernel.step(Timestamp(0), deploy, &mut effects);
    let run = effects.into_iter().find_map(|effect| match effect {
        Effect::Run(run) => Some(run),
        _ => None,
    });
    let memory = AgentMemory::new(&spec.limits, Timestamp(0));
    TurnHost::new(
        Arc::new(Arc::clone(&node.shared)),
        spec,
        run.unwrap().ctx,
        Arc::new(Mutex::new(memory)),
        false,
        (0, 0),
    )
}

async fn node() -> Node {
    let options = NodeOptions {
        shards: 1,
        ..NodeOptions::default()
    };
    Node::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_the_input_of_a_call_that_the_node_answers_is_at_most_twice_its_work() {
    let (node, mut wrong) = (node().await, Vec::new());
    for size in [SIZE, 2 * SIZE] {
        let (name, value) = (format!("secret-{size}"), vec![b'x'; 64 * size]);
        let set = node
            .shared
            .vault
            .set(&name.parse().unwrap(), &value, Timestamp(0));
        set.unwrap();
    }
    for row in OFFERED {
        let Some(answered) = answered(row.name) else {
            wrong.push(format!("{} has no entry", row.name));
            continue;
        };
        let Answered::Here(call) = answered else {
            continue;
        };
        let mut visited = Vec::new();
        for size in [SIZE, 2 * SIZE] {
            let mut host = host(&node, u64::MAX, size);
            call(&mut host, size);
            visited.push(host.finish().0.visited);
            // A guest's metrics are kept from turn to turn.
            node.shared.meters.forget(AgentId(10));
        }
        let [once, twice] = visited[..] else { continue };
        // What one call costs whatever it is given is a few elements.
        if once < SIZE as u64 / 2 || twice > 2 * once || twice <= once {
            wrong.push(format!("{}: {once}, then {twice}", row.name));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    node.shutdown(std::time::Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_own_metrics_are_charged_to_it_and_refused_at_its_limit() {
    let node = node().await;
    let mut host = host(&node, 2_000, 0);
    let name = |i: usize| format!("{i:0>100}");
    let mut kept = 0;
    let refused = loop {
        match host.metric(MetricKind::Counter, &name(kept), 1.0) {
            Ok(()) => kept += 1,
            Err(code) => break code,
        }
    };
    assert_eq!((kept, refused), (10, HostCode::QuotaReached));
    // Values for names that are there take nothing more.
    host.metric(MetricKind::Counter, &name(0), 1.0).unwrap();
    assert_eq!(host.finish().0.metric_bytes, Some(2_000));
    node.shutdown(std::time::Duration::from_secs(10)).await;
}
