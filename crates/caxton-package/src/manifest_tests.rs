use caxton_model::ByteSize;

use super::*;

const GOOD: &str = r#"
[package]
name = "acme/worker"
version = "1.2.0"
kind = "agent"
description = "counts"
authors = ["A. Writer"]
module = "target/worker.wasm"

[build]
command = "make"

[permissions]
"message:send" = { to = ["df", "worker-*"], reason = "asks its peers" }
"ext:call" = { actions = ["jira:create-issue"] }

[limits]
memory = "64MiB"
cpu = "250ms"
host_calls = 5_000

[agent]
durability = "memory"
passivate_after = "60s"
supervision = { restart = "transient", max_failures = 3, group = { name = "g", strategy = "one-for-all" } }
"#;

#[test]
fn a_manifest_is_read_with_its_units_and_defaults() {
    let manifest = Manifest::read("caxton.toml", GOOD).unwrap();
    assert_eq!(manifest.name.as_str(), "acme/worker");
    assert_eq!(
        manifest.limits.get(&LimitName::Memory),
        Some(&ByteSize::mib(64).0)
    );
    assert_eq!(manifest.limits.get(&LimitName::Cpu), Some(&250_000));
    assert_eq!(manifest.limits.get(&LimitName::HostCalls), Some(&5_000));
    assert_eq!(manifest.agent.durability, Durability::Memory);
    assert_eq!(manifest.agent.passivate_after, Some(Micros::secs(60)));
    assert_eq!(manifest.agent.supervision.restart, Restart::Transient);
    assert_eq!(manifest.agent.supervision.max_failures, 3);
    assert_eq!(
        manifest.agent.supervision.group.as_ref().unwrap().strategy,
        Strategy::OneForAll
    );
    assert_eq!(
        manifest.message_send(),
        Some(vec!["df".to_owned(), "worker-*".to_owned()])
    );
    assert_eq!(manifest.notes().len(), 1);
    assert!(manifest.notes()[0].contains("ext:call"));
}

#[test]
fn json_says_the_same_as_toml() {
    let json = r#"{
        "package": {"name": "acme/worker", "version": "1.2.0", "kind": "agent", "description": "counts",
                    "authors": ["A. Writer"], "module": "target/worker.wasm"},
        "build": {"command": "make"},
        "permissions": {"message:send": {"to": ["df", "worker-*"], "reason": "asks its peers"},
                        "ext:call": {"actions": ["jira:create-issue"]}},
        "limits": {"memory": "64MiB", "cpu": "250ms", "host_calls": 5000},
        "agent": {"durability": "memory", "passivate_after": "60s",
                  "supervision": {"restart": "transient", "max_failures": 3,
                                  "group": {"name": "g", "strategy": "one-for-all"}}}
    }"#;
    assert_eq!(
        Manifest::read("caxton.json", json).unwrap(),
        Manifest::read("caxton.toml", GOOD).unwrap()
    );
}

#[test]
fn http_is_asked_for_with_paths_without_them_or_both() {
    let head = GOOD.split("[permissions]").next().unwrap();
    let of = |row: &str| {
        let text = format!("{head}[permissions]\n\"http:read\" = {row}\n");
        let manifest = Manifest::read("m", &text)?;
        let patterns = &manifest.permissions[&Permission::HttpRead].patterns;
        Ok::<_, DocumentError>(patterns.values().flatten().cloned().collect::<Vec<_>>())
    };
    assert_eq!(of(r#"{ to = ["a.example/x"] }"#).unwrap(), ["a.example/x"]);
    assert_eq!(of(r#"{ hosts = ["a.example"] }"#).unwrap(), ["a.example"]);
    let both = of(r#"{ to = ["a.example/x"], hosts = ["b.example"] }"#).unwrap();
    assert_eq!(both.len(), 2);
    for (row, said) in [
        ("{}", "add `to = "),
        ("{ to = [] }", "empty list of to"),
        (
            r#"{ to = ["a.example"], hosts = [] }"#,
            "empty list of hosts",
        ),
    ] {
        let problems = of(row).unwrap_err().problems;
        assert_eq!(problems.len(), 1, "{row}");
        let text = format!("{} {}", problems[0].what, problems[0].remedy);
        assert!(text.contains(said), "{text}");
    }
}

/// Each line of what a bad manifest is answered with.
fn complaints(text: &str) -> Vec<String> {
    let error = Manifest::read("m", text).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_line_and_column() {
    let text = r#"[package]
name = "Bad Name"
version = "1.x"
kind = "agnet"
module = "../up.wasm"
licence = "MIT"

[limits]
memmory = "64MiB"
cpu = "fast"

[permissions]
"http:raed" = { hosts = ["x"] }
"http:write" = { reason = "no hosts" }
"message:send" = { to = [], extra = 1 }

[agent]
durability = "forever"
supervision = { restart = "permanent", max_failures = 0 }

[unknown]
"#;
    let said = complaints(text);
    for (place, words) in [
        ("m:2:8: ", "`Bad Name` is no package name"),
        ("m:3:11: ", "`1.x` is no semver version"),
        ("m:4:8: ", "did you mean `agent`?"),
        ("m:5:10: ", "no file beside the manifest"),
        ("m:6:1: ", "did you mean `license`?"),
        ("m:9:1: ", "did you mean `memory`?"),
        ("m:10:7: ", "250ms"),
        ("m:13:1: ", "did you mean `http:read`?"),
        ("m:14:1: ", "add `to = "),
        ("m:15:25: ", "empty list of to"),
        (
            "m:15:29: ",
            "`permissions.message:send.extra` is no key here",
        ),
        ("m:18:14: ", "use one of durable, memory"),
        ("m:19:55: ", "use 1 to 1000"),
        ("m:21:2: ", "`unknown` is no key here"),
    ] {
        assert!(
            said.iter()
                .any(|line| line.starts_with(place) && line.contains(words)),
            "nothing at {place} says {words}: {said:#?}"
        );
    }
    assert_eq!(said.len(), 14, "{said:#?}");
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    let said = complaints("[package]\n");
    for key in ["name", "version", "kind", "module"] {
        assert!(
            said.iter()
                .any(|line| line.contains(&format!("add `{key} = "))),
            "{said:#?}"
        );
    }
    assert!(complaints("")[0].contains("begin the file with `[package]`"));
}

#[test]
fn types_are_checked_everywhere() {
    let said = complaints(
        "[package]\nname = 1\nversion = []\nkind = true\nmodule = 1.5\nauthors = \"me\"\nkeywords = [1]\n\
         [limits]\nmemory = [1]\n[[actions]]\nname = 3\n[agent]\nsupervision = 1\npassivate_after = -1\n",
    );
    assert!(said.len() >= 9, "{said:#?}");
    assert!(
        said.iter()
            .all(|line| line.contains("expected") || line.contains("can't")),
        "{said:#?}"
    );
}

#[test]
fn an_agent_section_needs_an_agent() {
    let text = "[package]\nname = \"p\"\nversion = \"1.0.0\"\nkind = \"processor\"\nmodule = \"p.wasm\"\n[agent]\n";
    assert!(complaints(text)[0].contains("`[agent]` is for agents"));
}

#[test]
fn a_key_given_twice_in_json_is_named() {
    let said = complaints(
        r#"{"package": {"name": "a", "name": "b", "version": "1.0.0", "kind": "agent", "module": "a.wasm"}}"#,
    );
    assert!(
        said[0].contains("`package.name` is given twice"),
        "{said:#?}"
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    for text in [
        "{",
        "{}",
        "[",
        "\u{0}",
        "package = 1",
        "{\"package\": null}",
        "[package",
        "a.b.c = 1\na = 2",
    ] {
        assert!(Manifest::read("m", text).is_err(), "{text:?} was accepted");
    }
}
