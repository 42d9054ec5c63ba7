//! `policy.toml`: what decides, by which line, and what is wrong with one.

use caxton_gate::{EnvRead, Pattern, Policy, PolicyQuestion, PolicySubject, Rights, Verdict};
use caxton_model::{EngineProfile, Permission};

use crate::{NOW, gate, granted};

const SITE: &str = r#"
[[allow]]
publisher = "acme/*"
permission = "http:read"
pattern = "*.example.com"
reason = "our own services"

[[forbid]]
permission = "http:read"
pattern = "evil.example.com"

[[forbid]]
publisher = "unsigned"
permission = "http:write"

[[forbid]]
namespace = "guests"
profile = "wide"

[[allow]]
profile = "wide"
namespace = "lab"

[[forbid]]
permission = "env:read"
pattern = "*SECRET*"
"#;

fn whom<'a>(publisher: Option<&'a str>, namespace: &'a str) -> PolicySubject<'a> {
    PolicySubject {
        publisher,
        namespace,
        profile: EngineProfile::Hardened,
    }
}

#[test]
fn forbids_win_and_the_deciding_line_is_named() {
    let policy = Policy::parse("policy.toml", SITE).unwrap();
    let acme = whom(Some("acme/web"), "main");
    let nobody = whom(None, "main");
    for (whom, permission, pattern, said) in [
        (
            acme,
            "http:read",
            "api.example.com/x",
            "allowed by policy.toml:2 (our own services)",
        ),
        (
            acme,
            "http:read",
            "evil.example.com/x",
            "forbidden by policy.toml:8",
        ),
        (
            acme,
            "http:read",
            "evil.example.com:8080",
            "forbidden by policy.toml:8",
        ),
        (
            acme,
            "http:read",
            "other.example",
            "for a person to decide: no line of the policy speaks of it",
        ),
        (
            nobody,
            "http:read",
            "api.example.com/x",
            "for a person to decide: no line of the policy speaks of it",
        ),
        (
            nobody,
            "http:write",
            "api.example.com",
            "forbidden by policy.toml:12",
        ),
        (
            acme,
            "http:write",
            "api.example.com",
            "for a person to decide: no line of the policy speaks of it",
        ),
        (acme, "env:read", "MY_SECRET", "forbidden by policy.toml:24"),
    ] {
        let permission: Permission = permission.parse().unwrap();
        let pattern = Pattern::parse(permission, pattern).unwrap();
        let decision = policy.decide(whom, PolicyQuestion::Grant(permission, &pattern));
        assert_eq!(decision.to_string(), said, "{permission} {pattern}");
    }
}

#[test]
fn profiles_run_by_policy() {
    let policy = Policy::parse("policy.toml", SITE).unwrap();
    let run = |namespace, profile| {
        let whom = PolicySubject {
            profile,
            ..whom(None, namespace)
        };
        policy.decide(whom, PolicyQuestion::Run).verdict
    };
    assert_eq!(run("main", EngineProfile::Hardened), Verdict::Allow);
    assert_eq!(run("main", EngineProfile::Wide), Verdict::Ask);
    assert_eq!(run("lab", EngineProfile::Wide), Verdict::Allow);
    assert_eq!(run("guests", EngineProfile::Wide), Verdict::Forbid);
    // An allow of a profile hands out no rights.
    let wide = PolicySubject {
        profile: EngineProfile::Wide,
        ..whom(None, "lab")
    };
    let question = PolicyQuestion::Grant(Permission::RandomSecure, &Pattern::WHOLE);
    assert_eq!(policy.decide(wide, question).verdict, Verdict::Ask);
}

#[test]
fn without_a_policy_a_person_decides_everything_but_running() {
    let policy = Policy::default();
    let question = PolicyQuestion::Grant(Permission::RandomSecure, &Pattern::WHOLE);
    assert_eq!(
        policy.decide(whom(None, "main"), question).verdict,
        Verdict::Ask
    );
    assert_eq!(
        policy
            .decide(whom(None, "main"), PolicyQuestion::Run)
            .verdict,
        Verdict::Allow
    );
    assert!(policy.forbids(whom(None, "main")).is_empty());
}

#[test]
fn what_a_site_forbids_no_grant_gives_and_the_refusal_names_the_line() {
    let policy = Policy::parse("policy.toml", SITE).unwrap();
    let site = Rights::forbidden(policy.forbids(whom(None, "main")));
    let gate = gate(&granted(&["env:read=*", "env:read=MY_SECRET"]).intersection(&site));
    assert!(gate.check(EnvRead::new("TZ").unwrap(), NOW).is_ok());
    let denied = gate
        .check(EnvRead::new("MY_SECRET").unwrap(), NOW)
        .unwrap_err();
    assert_eq!(denied.command(), None);
    assert!(denied.to_string().contains("policy.toml:24"), "{denied}");
}

#[test]
fn a_forbid_without_a_permission_forbids_every_one() {
    let text = "[[forbid]]\nnamespace = \"guests\"\n";
    let policy = Policy::parse("p", text).unwrap();
    let forbids = policy.forbids(whom(None, "guests"));
    for permission in Permission::ALL {
        assert!(
            forbids.iter().any(|f| f.permission == *permission),
            "{permission}"
        );
    }
    assert!(policy.forbids(whom(None, "main")).is_empty());
}

#[test]
fn everything_wrong_with_a_policy_is_named_by_its_line() {
    let text = "[[allow]]\npermission = \"http:raed\"\n[[forbid]]\nreason = \"x\"\n\
                [[forbid]]\npattern = \"x\"\nprofile = \"fast\"\n[[allow]]\n\
                permission = \"http:read\"\npattern = \"https://x\"\n";
    let problems = Policy::parse("policy.toml", text).unwrap_err().problems;
    for (problem, line, said) in [
        (&problems[0], 1, "did you mean `http:read`"),
        (&problems[1], 3, "neither of whom nor of what"),
        (&problems[2], 5, "fast"),
        (&problems[3], 5, "without a `permission`"),
        (&problems[4], 8, "without a scheme"),
    ] {
        assert!(
            problem.starts_with(&format!("policy.toml:{line}:")),
            "{problem}"
        );
        assert!(problem.contains(said), "{problem}");
    }
    let unknown = Policy::parse("policy.toml", "[[allow]]\nhost = 1\n").unwrap_err();
    assert!(
        unknown.to_string().starts_with("policy.toml:2:"),
        "{unknown}"
    );
}

#[test]
fn the_tests_of_a_policy_say_which_expectation_is_not_met() {
    let tests = r#"
[[test]]
namespace = "main"
publisher = "acme/web"
permission = "http:read"
pattern = "api.example.com/x"
expect = "allow"

[[test]]
permission = "http:read"
pattern = "evil.example.com"
expect = "ask"

[[test]]
namespace = "guests"
profile = "wide"
expect = "forbid"
"#;
    let policy = Policy::parse("policy.toml", &format!("{SITE}{tests}")).unwrap();
    let (count, failures) = policy.run_tests();
    assert_eq!(count, 3);
    assert_eq!(
        failures,
        [
            "policy.toml:35: expected `ask`, but `http:read=evil.example.com` in `main` is forbidden by policy.toml:8"
        ]
    );
    let wrong = "[[test]]\npattern = \"x\"\nprofile = \"fast\"\nexpect = \"yes\"\n";
    let problems = Policy::parse("p", wrong).unwrap_err().problems;
    for said in ["`yes` is no verdict", "fast", "without a `permission`"] {
        assert!(
            problems
                .iter()
                .any(|p| p.starts_with("p:1: ") && p.contains(said)),
            "{problems:?}"
        );
    }
}

#[test]
fn an_allow_by_a_wildcard_grants_no_address_that_is_not_public_and_no_write_outside_data() {
    let text = "[[allow]]\npermission = \"http:read\"\npattern = \"*:*\"\n\
                [[allow]]\npermission = \"http:read\"\npattern = \"10.0.0.1:80\"\n\
                [[allow]]\npermission = \"fs:write\"\npattern = \"/**\"\n";
    let policy = Policy::parse("p", text).unwrap();
    for (permission, pattern, verdict) in [
        ("http:read", "api.example.com:8080", Verdict::Allow),
        ("http:read", "127.0.0.1:8080/x", Verdict::Ask),
        ("http:read", "localhost:8080", Verdict::Ask),
        ("http:read", "[10.0.0.0/8]", Verdict::Ask),
        ("http:read", "10.0.0.1:80/x", Verdict::Allow),
        ("fs:write", "/data/x", Verdict::Allow),
        ("fs:write", "/etc/x", Verdict::Ask),
    ] {
        let permission: Permission = permission.parse().unwrap();
        let pattern = Pattern::parse(permission, pattern).unwrap();
        let question = PolicyQuestion::Grant(permission, &pattern);
        let decision = policy.decide(whom(None, "main"), question);
        assert_eq!(decision.verdict, verdict, "{pattern}");
    }
}
