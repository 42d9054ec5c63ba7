//! Learn mode: the lines allow what was tried, none of them is needless, no wildcard is a guess.

use std::{collections::BTreeSet, sync::Arc};

use caxton_gate::{
    EnvRead, FileOpen, Gate, GuestPath, HttpRequest, NameLookup, PathLook, Pattern, PermissionRule,
    RandomSecure, Rights, Rule,
};
use caxton_model::Permission;

use crate::{Audit, NOW, gate, grants};

/// A guest: what it tries, in order, and whether all of it was allowed.
fn run(gate: &Gate) -> bool {
    let get = |url: &str| {
        gate.check(HttpRequest::new("GET", url).unwrap(), NOW)
            .is_ok()
    };
    let path = |text: &str| GuestPath::parse(text).unwrap();
    [
        get("https://api.example.com/repos/a/issues"),
        get("https://api.example.com/repos/b/issues"),
        get("https://api.example.com/repos/b/issues?page=2"),
        get("https://api.example.com/user"),
        get("http://127.0.0.1:8080/x"),
        gate.check(
            HttpRequest::new("POST", "https://b.example/x").unwrap(),
            NOW,
        )
        .is_ok(),
        gate.check(FileOpen::new(path("/data/in/a.txt"), false), NOW)
            .is_ok(),
        gate.check(FileOpen::new(path("/data/out/b"), true), NOW)
            .is_ok(),
        gate.check(PathLook::new(path("/data/out/b")), NOW).is_ok(),
        gate.check(PathLook::new(path("/data/out/c")), NOW).is_ok(),
        gate.check(EnvRead::new("TZ").unwrap(), NOW).is_ok(),
        gate.check(NameLookup::new("db.example").unwrap(), NOW)
            .is_ok(),
        gate.check(RandomSecure, NOW).is_ok(),
    ]
    .into_iter()
    .all(|allowed| allowed)
}

fn learned() -> Vec<(Permission, Pattern)> {
    let gate = Gate::learning(
        "guest",
        &Rights::granted(grants(&[])),
        Arc::new(Audit::default()),
    );
    assert!(!run(&gate));
    let patterns = gate.learned().unwrap().patterns();
    let flat = patterns
        .into_iter()
        .flat_map(|(p, of)| of.into_iter().map(move |x| (p, x)));
    flat.collect()
}

fn gate_of(patterns: &[(Permission, Pattern)]) -> Gate {
    let mut all = grants(&[]);
    for (permission, pattern) in patterns {
        let rule = Rule::allow(pattern.clone());
        let rule = PermissionRule {
            permission: *permission,
            rule,
        };
        let one = caxton_gate::Grants::from_rules([rule], "operator", NOW);
        for (permission, grant) in one.iter() {
            all.grant(permission, grant.clone());
        }
    }
    gate(&Rights::granted(all))
}

#[test]
fn with_what_was_learned_the_run_passes_and_without_any_one_it_fails() {
    let learned = learned();
    assert!(run(&gate_of(&learned)));
    for at in 0..learned.len() {
        let mut fewer = learned.clone();
        let removed = fewer.remove(at);
        assert!(!run(&gate_of(&fewer)), "{} {}", removed.0, removed.1);
    }
}

#[test]
fn the_lines_hold_no_wildcard_that_two_refusals_do_not_justify() {
    let gate = Gate::learning(
        "guest",
        &Rights::granted(grants(&[])),
        Arc::new(Audit::default()),
    );
    run(&gate);
    assert_eq!(
        gate.learned().unwrap().manifest_lines(),
        [
            r#""http:read" = { to = ["api.example.com/repos/*/issues", "api.example.com/user", "127.0.0.1:8080/x"] }"#,
            r#""http:write" = { to = ["POST b.example/x"] }"#,
            r#""fs:read" = { paths = ["/data/in/a.txt", "/data/out/c"] }"#,
            r#""fs:write" = { paths = ["/data/out/b"] }"#,
            r#""env:read" = { names = ["TZ"] }"#,
            r#""net:tcp" = { to = ["db.example"] }"#,
            r#""random:secure" = {}"#,
        ]
    );
}

#[test]
fn neither_hosts_nor_first_segments_nor_names_become_wildcards() {
    let gate = Gate::learning(
        "guest",
        &Rights::granted(grants(&[])),
        Arc::new(Audit::default()),
    );
    for url in [
        "https://a.example/x",
        "https://b.example/x",
        "https://a.example/y",
    ] {
        assert!(
            gate.check(HttpRequest::new("GET", url).unwrap(), NOW)
                .is_err()
        );
    }
    for name in ["AA", "AB"] {
        assert!(gate.check(EnvRead::new(name).unwrap(), NOW).is_err());
    }
    let patterns = gate.learned().unwrap().patterns();
    let texts: BTreeSet<String> = patterns
        .values()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let expected = ["AA", "AB", "a.example/x", "a.example/y", "b.example/x"];
    assert_eq!(texts, expected.map(str::to_owned).into());
}

#[test]
fn what_is_forbidden_is_not_learned() {
    let rights = Rights::granted(grants(&["env:read=!HOME"]));
    let gate = Gate::learning("guest", &rights, Arc::new(Audit::default()));
    assert!(gate.check(EnvRead::new("HOME").unwrap(), NOW).is_err());
    assert!(gate.learned().unwrap().patterns().is_empty());
}
