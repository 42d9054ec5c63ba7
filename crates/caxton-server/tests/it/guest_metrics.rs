//! What guests record about themselves, as `/metrics` shows it.

use std::collections::BTreeMap;

use caxton_client::{AgentConfig, DeployAgentRequest};

use crate::harness::Harness;

const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const HISTOGRAM: i32 = 2;

/// An agent whose `agent_init` records a value of each of these.
fn recorder(name: &str, metrics: &[(i32, &str)]) -> DeployAgentRequest {
    let (mut data, mut calls) = (String::new(), String::new());
    for (place, (kind, metric)) in metrics.iter().enumerate() {
        let (at, length) = (1024 + 128 * place, metric.len());
        data.push_str(&format!("(data (i32.const {at}) \"{metric}\")\n"));
        calls.push_str(&format!(
            "(call $metric (i32.const {kind}) (i32.const {at}) (i32.const {length}) (f64.const 1))\n"
        ));
    }
    let text = format!(
        r#"(module
            (import "caxton" "metric" (func $metric (param i32 i32 i32 f64)))
            (memory (export "memory") 3)
            {data}
            (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
            (func (export "caxton_free") (param i32 i32))
            (func (export "agent_init") (result i32) {calls} (i32.const 0))
            (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#
    );
    DeployAgentRequest {
        wasm_module: wat::parse_str(&text).unwrap(),
        config: AgentConfig {
            name: name.to_owned(),
            ..AgentConfig::default()
        },
    }
}

/// Each family's types, and whose series are there, as a strict reader of the text form sees them.
fn families(text: &str) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let mut families: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    let mut samples: BTreeMap<String, String> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            families
                .entry(current.clone())
                .or_default()
                .0
                .push(kind.to_owned());
        } else if !line.starts_with('#') && !line.is_empty() {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with(&current), "{line} under {current}");
            let of = samples
                .entry(name.to_owned())
                .or_insert_with(|| current.clone());
            assert_eq!(*of, current, "{line} belongs to two families");
            if let Some((_, rest)) = line.split_once("agent=\"") {
                let agent = rest.split('"').next().unwrap();
                families.get_mut(&current).unwrap().1.push(agent.to_owned());
            }
        }
    }
    for (_, agents) in families.values_mut() {
        agents.dedup();
    }
    families
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_has_one_type_whatever_guests_record_and_goes_with_them() {
    let harness = Harness::start().await;
    let client = harness.client();
    let agents: [(&str, &[(i32, &str)]); 4] = [
        (
            "one",
            &[(COUNTER, "x"), (GAUGE, "x"), (HISTOGRAM, "x"), (GAUGE, "y")],
        ),
        ("two", &[(GAUGE, "x"), (COUNTER, "y")]),
        ("three", &[(HISTOGRAM, "z"), (GAUGE, "z_sum"), (GAUGE, "y")]),
        ("four", &[(GAUGE, "z_bucket"), (COUNTER, "x")]),
    ];
    for (name, metrics) in agents {
        client.deploy_agent(recorder(name, metrics)).await.unwrap();
    }
    let shown = families(&client.metrics().await.unwrap());
    let of = |name: &str| {
        let (kinds, agents) = shown.get(&format!("caxton_guest_{name}"))?;
        Some((kinds.join(","), agents.join(",")))
    };
    for (name, kind, agents) in [
        ("x", "counter", "one,four"),
        ("x_gauge", "gauge", "two"),
        ("y", "gauge", "one,three"),
        ("y_counter", "counter", "two"),
        ("z", "histogram", "three"),
        ("z_sum_gauge", "gauge", "three"),
        ("z_bucket_gauge", "gauge", "four"),
    ] {
        assert_eq!(
            of(name),
            Some((kind.to_owned(), agents.to_owned())),
            "{name}"
        );
    }
    for (family, (kinds, _)) in &shown {
        assert_eq!(kinds.len(), 1, "{family}");
    }
    for (name, _) in agents {
        client.remove_agent(name).await.unwrap();
        let left = client.metrics().await.unwrap();
        assert!(
            !left.contains(&format!("agent=\"{name}\"")),
            "{name}: {left}"
        );
    }
    assert!(!client.metrics().await.unwrap().contains("caxton_guest_"));
    harness.stop().await;
}
