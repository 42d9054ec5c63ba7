//! Manifests' rows, and how two versions differ.

use caxton_gate::{ChangeKind, ManifestRow, Requested};
use caxton_model::Permission;

use crate::requested;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn each_form_of_a_manifest_is_read() {
    let mut asked = Requested::default();
    let mut ask = |permission: &str, key, list: &[&str]| {
        let list = texts(list);
        let row = ManifestRow {
            lists: vec![(key, &list)],
            reason: Some("because"),
            ..ManifestRow::default()
        };
        asked.ask(permission.parse().unwrap(), &row).unwrap();
    };
    ask("http:read", "to", &["api.github.com/repos/**"]);
    ask("http:read", "hosts", &["a.example:8080"]);
    ask("http:write", "to", &["POST api.github.com/repos/*/issues"]);
    ask("fs:read", "paths", &["/data/in/**", "!/data/in/private/**"]);
    ask("env:read", "names", &["TZ"]);
    ask("net:tcp", "to", &["db.example:5432"]);
    ask("event:emit", "topics", &["issues.*"]);
    ask("data:read", "tables", &["tasks"]);
    ask(
        "message:send",
        "to",
        &["df", "worker-*", "capability:translate"],
    );
    ask("workflow:run", "names", &["nightly-*"]);
    ask("ext:call", "actions", &["jira:create-issue"]);
    ask("random:secure", "", &[]);
    let (names, hosts) = (texts(&["token"]), texts(&["api.github.com", "b.example"]));
    let secret = ManifestRow {
        lists: vec![("names", &names), ("hosts", &hosts)],
        header: Some("Authorization: Bearer {}"),
        ..ManifestRow::default()
    };
    asked.ask(Permission::SecretUse, &secret).unwrap();
    let public = ManifestRow {
        public: true,
        ..ManifestRow::default()
    };
    asked.ask(Permission::HttpServe, &public).unwrap();
    asked
        .ask(Permission::HttpServe, &ManifestRow::default())
        .unwrap();
    let rules: Vec<String> = asked
        .iter()
        .flat_map(|(p, request)| request.rules.iter().map(move |rule| format!("{p} {rule}")))
        .collect();
    assert_eq!(
        rules,
        [
            "http:read a.example:8080",
            "http:read api.github.com/repos/**",
            "http:write POST api.github.com/repos/*/issues",
            "http:serve ",
            "fs:read /data/in/**",
            "fs:read !/data/in/private/**",
            "env:read TZ",
            "net:tcp db.example:5432",
            "secret:use token@api.github.com authorization: Bearer {}",
            "secret:use token@b.example authorization: Bearer {}",
            "event:emit issues.*",
            "data:read tasks",
            "message:send capability:translate",
            "message:send df",
            "message:send worker-*",
            "workflow:run nightly-*",
            "ext:call jira:create-issue",
            "random:secure ",
        ]
    );
}

#[test]
fn every_wrong_pattern_of_a_row_is_named_and_nothing_is_asked_for() {
    let list = texts(&["a.example/x", "b.example", "c..example"]);
    let row = ManifestRow {
        lists: vec![("hosts", &list)],
        ..ManifestRow::default()
    };
    let mut asked = Requested::default();
    let problems = asked.ask(Permission::HttpRead, &row).unwrap_err();
    let named: Vec<_> = problems
        .iter()
        .map(|problem| problem.text.as_str())
        .collect();
    assert_eq!(named, ["a.example/x", "c..example"]);
    assert_eq!(asked, Requested::default());
    let (names, hosts) = (texts(&["t"]), texts(&["a.example"]));
    let row = ManifestRow {
        lists: vec![("names", &names), ("hosts", &hosts)],
        ..ManifestRow::default()
    };
    let problems = asked.ask(Permission::SecretUse, &row).unwrap_err();
    assert!(problems[0].to_string().contains("in which header"));
}

#[test]
fn a_diff_names_what_is_new_widened_narrowed_and_dropped() {
    for (old, new, kinds) in [
        (&[][..], &["env:read=TZ"][..], &[ChangeKind::New][..]),
        (
            &["env:read=TZ"],
            &["env:read=TZ", "env:read=A"],
            &[ChangeKind::Widened],
        ),
        (
            &["env:read=*"],
            &["env:read=A"],
            &[ChangeKind::Narrowed, ChangeKind::Dropped],
        ),
        (&["env:read=TZ"], &[], &[ChangeKind::Dropped]),
        (
            &["env:read=*"],
            &["env:read=*", "env:read=!A"],
            &[ChangeKind::Narrowed],
        ),
        (
            &["env:read=*", "env:read=!A"],
            &["env:read=*"],
            &[ChangeKind::Widened],
        ),
        (&["env:read=TZ"], &["env:read=TZ"], &[]),
        (
            &["http:read=a.example/x/**"],
            &["http:read=a.example"],
            &[ChangeKind::Widened, ChangeKind::Dropped],
        ),
    ] {
        let diff = requested(old).diff(&requested(new));
        let got: Vec<_> = diff.changes.iter().map(|change| change.kind).collect();
        assert_eq!(got, kinds, "{old:?} {new:?}");
        let more = kinds
            .iter()
            .any(|k| matches!(k, ChangeKind::New | ChangeKind::Widened));
        assert_eq!(diff.asks_for_more(), more);
    }
}

#[test]
fn a_change_is_shown_with_its_reason() {
    let mut new = Requested::default();
    let rule = caxton_gate::Rule::parse(Permission::EnvRead, "TZ").unwrap();
    new.add(Permission::EnvRead, rule, Some("local times"));
    let diff = Requested::default().diff(&new);
    let shown: Vec<_> = diff.changes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["new: env:read=TZ (local times)"]);
    assert_eq!(Requested::default().apply(&diff), new);
    let gone = new.diff(&Requested::default());
    assert_eq!(
        gone.changes[0].to_string(),
        "dropped: without env:read=TZ (local times)"
    );
}
