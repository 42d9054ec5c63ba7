//! The check: revocation, expiry, lent grants, counts, the audit, and what a refusal says.

use std::sync::Arc;

use caxton_gate::{
    Checks, EnvRead, EventListen, FileOpen, Gate, Grant, GuestPath, HttpConnect, HttpRequest,
    NameLookup, PathChange, PathLook, RandomSecure, Refusal, Rights, Rule,
};
use caxton_model::{ErrorCode, Permission, Timestamp};

use crate::{Audit, NOW, check, gate, granted, grants, requested};

fn env(name: &str) -> EnvRead {
    EnvRead::new(name).unwrap()
}

#[test]
fn without_a_grant_nothing_is_allowed_whatever_is_asked_for() {
    let asked = Rights::asked(requested(&["env:read=*", "random:secure"]));
    assert!(gate(&asked).check(env("TZ"), NOW).is_err());
    assert!(gate(&asked).check(RandomSecure, NOW).is_err());
    assert!(gate(&Rights::default()).check(env("TZ"), NOW).is_err());
}

#[test]
fn a_guest_has_what_is_asked_for_and_granted() {
    let asked = Rights::asked(requested(&["env:read=T*"]));
    let both = asked.intersection(&granted(&["env:read=TZ", "env:read=HOME"]));
    let gate = gate(&both);
    assert!(gate.check(env("TZ"), NOW).is_ok());
    assert_eq!(
        gate.check(env("HOME"), NOW).unwrap_err().refusal,
        Refusal::NotRequested
    );
    assert_eq!(
        gate.check(env("TERM"), NOW).unwrap_err().refusal,
        Refusal::NotGranted
    );
}

#[test]
fn a_manifest_need_not_know_the_operators_addresses_and_cannot_reach_them_by_itself() {
    let asked = Rights::asked(requested(&["http:read=db.example"]));
    let given = granted(&["http:read=db.example", "http:read=[10.0.0.0/8]"]);
    let gate = gate(&asked.intersection(&given));
    let request = HttpRequest::new("GET", "https://db.example/").unwrap();
    let request = gate.check(request, NOW).unwrap();
    let connect = HttpConnect::new(&request, "10.0.0.7".parse().unwrap());
    assert!(gate.check(connect, NOW).is_ok());
    let literal = HttpRequest::new("GET", "https://10.0.0.7/").unwrap();
    assert_eq!(
        gate.check(literal, NOW).unwrap_err().refusal,
        Refusal::NotRequested
    );
}

#[test]
fn a_revocation_is_seen_by_the_next_check_of_every_clone() {
    let gate = gate(&granted(&["env:read=TZ"]));
    let in_a_turn = gate.clone();
    let mut allowed = in_a_turn.check(env("TZ"), NOW).unwrap();
    assert!(in_a_turn.recheck(&mut allowed, NOW).is_ok());
    gate.replace(&granted(&[]));
    assert_eq!(gate.epoch(), 1);
    assert!(in_a_turn.check(env("TZ"), NOW).is_err());
    assert!(in_a_turn.recheck(&mut allowed, NOW).is_err());
    gate.replace(&granted(&["env:read=*"]));
    assert!(in_a_turn.recheck(&mut allowed, NOW).is_ok());
}

#[test]
fn a_grant_that_has_ended_denies_and_so_does_what_was_opened_by_it() {
    let mut until = grants(&[]);
    let rule = Rule::parse(Permission::EnvRead, "TZ").unwrap();
    until.grant(
        Permission::EnvRead,
        Grant {
            rule: rule.clone(),
            expires: Some(Timestamp(10)),
            reason: Some("a try".to_owned()),
            by: "operator".to_owned(),
            at: Timestamp(0),
        },
    );
    let gate = gate(&Rights::granted(until));
    let mut allowed = gate.check(env("TZ"), Timestamp(9)).unwrap();
    assert_eq!(allowed.expires(), Some(Timestamp(10)));
    assert!(gate.recheck(&mut allowed, Timestamp(9)).is_ok());
    let ended = Refusal::Expired {
        rule,
        at: Timestamp(10),
    };
    assert_eq!(
        gate.check(env("TZ"), Timestamp(10)).unwrap_err().refusal,
        ended
    );
    assert_eq!(
        gate.recheck(&mut allowed, Timestamp(10))
            .unwrap_err()
            .refusal,
        ended
    );
}

#[test]
fn lent_grants_are_for_one_call_and_never_above_a_forbid() {
    let own = gate(&granted(&["env:read=TZ", "env:read=!HOME"]));
    let lent = own.lend(&granted(&["env:read=*"]));
    assert!(lent.check(env("LANG"), NOW).is_ok());
    assert!(lent.check(env("TZ"), NOW).is_ok());
    assert!(lent.check(env("HOME"), NOW).is_err());
    assert!(own.check(env("LANG"), NOW).is_err());
    own.replace(&granted(&["env:read=!*"]));
    assert!(lent.check(env("LANG"), NOW).is_err());
}

#[test]
fn every_check_is_counted_and_audited_once() {
    let audit = Arc::new(Audit::default());
    let gate = Gate::new("fetcher", &granted(&["http:read=a.example"]), audit.clone());
    let ask = |url: &str| gate.check(HttpRequest::new("GET", url).unwrap(), NOW);
    assert!(ask("https://a.example/x?token=hunter2#frag").is_ok());
    assert!(ask("https://b.example/y?token=hunter2").is_err());
    let malformed = HttpRequest::new("GET", "https://me:hunter2@a.example/z?hunter2").unwrap_err();
    let denied = gate.refuse(&malformed, NOW);
    assert!(!denied.to_string().contains("hunter2"), "{denied}");
    assert_eq!(denied.command(), None);
    let entries = audit.entries.lock().unwrap().clone();
    assert_eq!(
        entries,
        [
            "fetcher allowed http:read: GET https://a.example/x @0",
            "fetcher denied http:read: GET https://b.example/y @0",
            "fetcher denied http:read: a.example/z @0",
        ]
    );
    let counted = Checks {
        allowed: 1,
        denied: 2,
    };
    assert_eq!(gate.checks(Permission::HttpRead), counted);
    assert_eq!(gate.checks(Permission::EnvRead), Checks::default());
}

#[test]
fn what_the_audit_cannot_take_is_refused() {
    let audit = Arc::new(Audit::default());
    let gate = Gate::new("fetcher", &granted(&["env:read=TZ"]), audit.clone());
    *audit.is_full.lock().unwrap() = true;
    let denied = gate.check(env("TZ"), NOW).unwrap_err();
    assert_eq!(
        denied.refusal,
        Refusal::Unaudited("the disk is full".to_owned())
    );
    assert_eq!(denied.code(), ErrorCode::AuditUnavailable);
    assert_eq!(gate.checks(Permission::EnvRead).denied, 1);
    *audit.is_full.lock().unwrap() = false;
    assert!(gate.check(env("TZ"), NOW).is_ok());
}

#[test]
fn a_refusal_says_what_which_rule_and_the_command_that_allows_it() {
    let denied = |granted_: &[&str], access: HttpRequest| check(granted_, access).unwrap_err();
    let post = || HttpRequest::new("POST", "https://api.example.com/it's?q=1").unwrap();
    let refused = denied(&[], post());
    assert_eq!(refused.code(), ErrorCode::Denied);
    assert_eq!(
        refused.to_string(),
        "`guest` was refused `POST https://api.example.com/it's` (http:write): nothing granted to it \
         takes this; to allow it: caxton grant guest \
         'http:write=POST api.example.com/it'\\''s'"
    );
    let refused = denied(&["http:write=*", "http:write=!api.example.com"], post());
    assert_eq!(
        refused.command().as_deref(),
        Some("caxton revoke guest 'http:write=!api.example.com'")
    );
    let local = HttpRequest::new("GET", "http://127.0.0.1/x").unwrap();
    let refused = denied(&["http:read=*"], local);
    assert!(
        refused.to_string().contains("the address is loopback"),
        "{refused}"
    );
    let command = refused.command().unwrap();
    assert_eq!(command, "caxton grant guest 'http:read=127.0.0.1:80/x'");
}

#[test]
fn the_command_of_a_refusal_grants_exactly_what_was_refused() {
    let gate = |rule: &str| gate(&granted(&[rule]));
    macro_rules! grants_it {
        ($($access:expr),* $(,)?) => {$(
            let denied = check(&[], $access).unwrap_err();
            let rule = denied.permission_rule();
            assert!(gate(&rule).check($access, NOW).is_ok(), "{rule}");
        )*};
    }
    let path = || GuestPath::parse("/data/in/a b'c").unwrap();
    grants_it!(
        HttpRequest::new("GET", "http://a.example:8080/x/%2A*/y%20z").unwrap(),
        HttpRequest::new("PUT", "https://[::1]/x/").unwrap(),
        HttpRequest::new("GET", "https://localhost").unwrap(),
        FileOpen::new(path(), false),
        FileOpen::new(GuestPath::parse("/etc/x").unwrap(), true),
        PathChange::new(path()),
        PathLook::new(path()),
        NameLookup::new("Db.example").unwrap(),
        env("A B"),
        RandomSecure,
    );
}

#[test]
fn the_command_for_a_guarded_address_names_the_address() {
    let gate = gate(&granted(&["http:read=a.example"]));
    let request = HttpRequest::new("GET", "https://a.example/x").unwrap();
    let request = gate.check(request, NOW).unwrap();
    let connect = HttpConnect::new(&request, "10.0.0.7".parse().unwrap());
    let denied = gate.check(connect, NOW).unwrap_err();
    assert_eq!(denied.permission_rule(), "http:read=10.0.0.7:443/x");
}

#[test]
fn whoever_may_read_or_write_a_path_may_look_at_it() {
    let look = || PathLook::new(GuestPath::parse("/data/a").unwrap());
    assert!(check(&["fs:read=/data/**"], look()).is_ok());
    assert!(check(&["fs:write=/data/**"], look()).is_ok());
    assert!(
        check(
            &["fs:read=/data/**", "fs:write=/data/**", "fs:write=!/data/a"],
            look()
        )
        .is_ok()
    );
    assert!(check(&["fs:read=/data/b"], look()).is_err());
}

#[test]
fn listening_to_a_pattern_needs_all_of_it_and_meets_no_forbid() {
    for (granted_, pattern, allowed) in [
        (&["event:listen=issues.*"][..], "issues.*", true),
        (&["event:listen=issues.*"], "issues.new", true),
        (&["event:listen=issues.*"], "issues.new.*", true),
        (&["event:listen=issues.new"], "issues.*", false),
        (&["event:listen=issues.*"], "*", false),
        (
            &["event:listen=*", "event:listen=!issues.secret"],
            "issues.*",
            false,
        ),
        (
            &["event:listen=*", "event:listen=!issues.secret"],
            "issues.s*",
            false,
        ),
        (
            &["event:listen=*", "event:listen=!*.secret"],
            "issues.*",
            false,
        ),
        (
            &["event:listen=*", "event:listen=!*.secret"],
            "issues.new",
            true,
        ),
        (
            &["event:listen=*", "event:listen=!issues.secret"],
            "mail.*",
            true,
        ),
        (&["event:listen=*", "event:listen=!a*"], "b*", true),
        (&["event:listen=*", "event:listen=!a*c"], "*b", true),
        (&["event:listen=*", "event:listen=!a*b"], "*bb", false),
    ] {
        let listen = EventListen::new(pattern).unwrap();
        assert_eq!(
            check(granted_, listen).is_ok(),
            allowed,
            "{granted_:?} {pattern}"
        );
    }
}

#[test]
fn what_a_manifest_forbids_its_guest_is_said_to_be_the_manifests() {
    let asked = Rights::asked(requested(&["env:read=*", "env:read=!HOME"]));
    let gate = gate(&asked.intersection(&granted(&["env:read=*"])));
    let denied = gate.check(env("HOME"), NOW).unwrap_err();
    assert_eq!(denied.command(), None);
    assert!(denied.to_string().contains("its own manifest"), "{denied}");
}

#[test]
fn the_audit_names_the_permission_that_allowed() {
    let audit = Arc::new(Audit::default());
    let gate = Gate::new("guest", &granted(&["fs:write=/data/**"]), audit.clone());
    let look = PathLook::new(GuestPath::parse("/data/a").unwrap());
    assert!(gate.check(look, NOW).is_ok());
    assert_eq!(
        *audit.entries.lock().unwrap(),
        ["guest allowed fs:write: look at /data/a @0"]
    );
}

#[test]
fn whoever_may_connect_to_a_host_may_look_it_up() {
    let look = || NameLookup::new("db.example").unwrap();
    for rule in [
        "net:tcp=db.example:5432",
        "net:udp=db.example:53",
        "net:tcp=db.example",
    ] {
        assert!(check(&[rule], look()).is_ok(), "{rule}");
    }
    assert!(check(&["net:tcp=other.example:5432"], look()).is_err());
}
