//! Manifests: every complaint has a place and words, and what is accepted says the same as JSON.

use caxton_package::{DocumentError, Manifest};
use serde_json::{Map, Value, json};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Manifest::read("caxton.toml", text) {
        Err(error) => check_complaints(&error, text),
        Ok(manifest) => {
            assert!(manifest.notes().len() <= manifest.permissions.len());
            let json = as_json(&manifest).to_string();
            match Manifest::read("caxton.toml", &json) {
                Ok(again) => assert_eq!(again, manifest, "{json}"),
                Err(error) => panic!("{error}: {json}"),
            }
        }
    }
}

fn check_complaints(error: &DocumentError, text: &str) {
    assert!(!error.problems.is_empty());
    let shown = error.to_string();
    for problem in &error.problems {
        assert!(!problem.what.is_empty());
        assert!(shown.contains(&problem.what), "{shown}");
        let span = &problem.span;
        assert!(
            span.start <= span.end && span.end <= text.len(),
            "{problem:?}"
        );
        assert!(text.is_char_boundary(span.start), "{problem:?}");
        let (line, column) = error.position(span.start);
        assert!(line >= 1 && column >= 1);
        assert!(line <= text.matches('\n').count() + 1);
    }
}

/// The manifest again, with every key that has a value.
fn as_json(manifest: &Manifest) -> Value {
    let package = json!({
        "name": manifest.name.as_str(),
        "version": manifest.version,
        "kind": manifest.kind.to_string(),
        "description": manifest.description,
        "license": manifest.license,
        "authors": manifest.authors,
        "homepage": manifest.homepage,
        "keywords": manifest.keywords,
        "module": manifest.module,
    });
    let mut root = Map::new();
    root.insert("package".to_owned(), without_null(package));
    if let Some(command) = &manifest.build {
        root.insert("build".to_owned(), json!({ "command": command }));
    }
    if let Some(schema) = &manifest.config_schema {
        root.insert("config".to_owned(), json!({ "schema": schema }));
    }
    let limits: Map<_, _> = manifest
        .limits
        .iter()
        .map(|(name, value)| (name.to_string(), Value::String(limit(*name, *value))))
        .collect();
    root.insert("limits".to_owned(), Value::Object(limits));
    let permissions: Map<_, _> = manifest.permissions.iter().map(permission).collect();
    root.insert("permissions".to_owned(), Value::Object(permissions));
    if manifest.kind == caxton_model::Kind::Agent {
        root.insert("agent".to_owned(), agent(manifest));
    }
    let actions: Vec<_> = manifest
        .actions
        .iter()
        .map(|action| {
            without_null(json!({
                "name": action.name,
                "description": action.description,
                "input": action.input,
                "output": action.output,
            }))
        })
        .collect();
    root.insert("actions".to_owned(), Value::Array(actions));
    Value::Object(root)
}

/// A limit's value, as it is shown if that is the very value.
fn limit(name: caxton_model::LimitName, value: u64) -> String {
    let shown = name.show(value);
    match name.read(&shown) {
        Ok(read) if read == value => shown,
        _ => value.to_string(),
    }
}

fn permission(
    (permission, request): (
        &caxton_model::Permission,
        &caxton_package::PermissionRequest,
    ),
) -> (String, Value) {
    let mut table: Map<String, Value> = request
        .patterns
        .iter()
        .map(|(key, patterns)| ((*key).to_owned(), json!(patterns)))
        .collect();
    if let Some(header) = &request.header {
        table.insert("header".to_owned(), json!(header));
    }
    if request.public {
        table.insert("public".to_owned(), json!(true));
    }
    if let Some(reason) = &request.reason {
        table.insert("reason".to_owned(), json!(reason));
    }
    (permission.to_string(), Value::Object(table))
}

fn agent(manifest: &Manifest) -> Value {
    let agent = &manifest.agent;
    let supervision = &agent.supervision;
    let group = supervision
        .group
        .as_ref()
        .map(|group| json!({ "name": group.name, "strategy": group.strategy }));
    without_null(json!({
        "durability": agent.durability,
        "passivate_after": agent.passivate_after.map(|time| time.to_string()),
        "profile": agent.profile,
        "supervision": without_null(json!({
            "restart": supervision.restart,
            "group": group,
            "max_failures": supervision.max_failures,
            "window": supervision.window_micros.to_string(),
            "backoff": supervision.backoff_micros.to_string(),
            "backoff_max": supervision.backoff_max_micros.to_string(),
            "max_attempts": supervision.max_attempts,
        })),
    }))
}

fn without_null(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        other => other,
    }
}
