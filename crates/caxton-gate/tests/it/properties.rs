//! What holds for any rights and any access.

use caxton_gate::{
    Access, EnvRead, FileOpen, Gate, GuestPath, HttpRequest, MessageSend, Pattern, PermissionRule,
    Policy, PolicyQuestion, PolicySubject, RandomSecure, Requested, Rights, Rule, SiteForbid,
    Verdict,
};
use caxton_model::Permission;
use proptest::{prelude::*, sample::select};

use crate::{NOW, gate, grants};

fn http_pattern() -> impl Strategy<Value = String> {
    let host = select(vec![
        "a.example",
        "b.a.example",
        "*.example",
        "*.a.example",
        "*",
        "10.0.0.1",
    ]);
    let port = select(vec!["", ":8080", ":*"]);
    let path = select(vec!["", "/", "/x", "/x/**", "/**/y", "/x/*/y", "/x*", "/*"]);
    (host, port, path).prop_map(|(host, port, path)| format!("{host}{port}{path}"))
}
fn path_pattern() -> impl Strategy<Value = String> {
    let segment = select(vec!["data", "in", "*", "**", "i*", "x"]);
    prop::collection::vec(segment, 1..4).prop_map(|segments| format!("/{}", segments.join("/")))
}
fn rule_text() -> impl Strategy<Value = String> {
    let http = (select(vec!["http:read", "http:write"]), http_pattern());
    let path = (select(vec!["fs:read", "fs:write"]), path_pattern());
    let name = (
        select(vec!["env:read", "message:send"]),
        select(vec!["A", "A*", "*", "*B", "own:*"]).prop_map(str::to_owned),
    );
    let ruled = prop_oneof![http.boxed(), path.boxed(), name.boxed()];
    let ruled = (ruled, any::<bool>()).prop_map(|((permission, pattern), forbids)| {
        let mark = if forbids { "!" } else { "" };
        format!("{permission}={mark}{pattern}")
    });
    prop_oneof![9 => ruled, 1 => Just("random:secure".to_owned())]
}
fn rules() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(rule_text(), 0..12)
}

#[derive(Debug, Clone)]
enum Try {
    Http(String, String),
    File(String, bool),
    Env(String),
    Message(String, bool),
    Random,
}
fn tries() -> impl Strategy<Value = Try> {
    let host = select(vec![
        "a.example",
        "b.a.example",
        "c.example",
        "10.0.0.1",
        "localhost",
    ]);
    let port = select(vec!["", ":8080"]);
    let path = select(vec!["", "/x", "/x/z/y", "/y", "/x/", "/xx"]);
    let method = select(vec!["GET", "POST"]);
    let http = (method, host, port, path).prop_map(|(method, host, port, path)| {
        Try::Http(method.to_owned(), format!("https://{host}{port}{path}"))
    });
    let path = select(vec![
        "/",
        "/data",
        "/data/in",
        "/data/in/x",
        "/x",
        "/x/in",
        "/in/data/x",
    ]);
    let name = || select(vec!["A", "AB", "B", "C"]).prop_map(str::to_owned);
    prop_oneof![
        http,
        (path, any::<bool>()).prop_map(|(path, write)| Try::File(path.to_owned(), write)),
        name().prop_map(Try::Env),
        (name(), any::<bool>()).prop_map(|(to, own)| Try::Message(to, own)),
        Just(Try::Random),
    ]
}

fn allows(gate: &Gate, attempt: &Try) -> bool {
    fn ask<A: Access>(gate: &Gate, access: A) -> bool {
        gate.check(access, NOW).is_ok()
    }
    match attempt {
        Try::Http(method, url) => ask(gate, HttpRequest::new(method, url).unwrap()),
        Try::File(path, write) => ask(gate, FileOpen::new(GuestPath::parse(path).unwrap(), *write)),
        Try::Env(name) => ask(gate, EnvRead::new(name).unwrap()),
        Try::Message(to, own) => ask(gate, MessageSend::new(to, *own).unwrap()),
        Try::Random => ask(gate, RandomSecure),
    }
}

fn granted(texts: &[String]) -> Rights {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Rights::granted(grants(&texts))
}
fn requested(texts: &[String], reason: Option<&str>) -> Requested {
    let mut requested = Requested::default();
    for text in texts {
        let PermissionRule { permission, rule } = text.parse().unwrap();
        requested.add(permission, rule, reason);
    }
    requested
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn removing_a_grant_or_adding_a_forbid_never_permits_more(
        given in rules(), at in any::<prop::sample::Index>(), forbid in rule_text(),
        attempts in prop::collection::vec(tries(), 1..20),
    ) {
        let all = gate(&granted(&given));
        let is_forbid = |text: &String| text.contains('!');
        let mut fewer = given.clone();
        if !fewer.is_empty() {
            let at = at.index(fewer.len());
            if !is_forbid(&fewer[at]) {
                fewer.remove(at);
            }
        }
        let fewer = gate(&granted(&fewer));
        let forbidding = match forbid.split_once('=') {
            Some((permission, pattern)) => format!("{permission}=!{}", pattern.trim_start_matches('!')),
            None => "random:secure=!".to_owned(),
        };
        let mut narrowed = given.clone();
        narrowed.push(forbidding.clone());
        let narrowed = gate(&granted(&narrowed));
        let PermissionRule { permission, rule } = forbidding.parse().unwrap();
        let site = SiteForbid { permission, pattern: rule.pattern, origin: "line 1".to_owned() };
        let site = gate(&granted(&given).intersection(&Rights::forbidden([site])));
        for attempt in &attempts {
            prop_assert!(allows(&all, attempt) || !allows(&fewer, attempt), "{attempt:?}");
            prop_assert!(allows(&all, attempt) || !allows(&narrowed, attempt), "{attempt:?}");
            prop_assert_eq!(allows(&narrowed, attempt), allows(&site, attempt));
        }
    }

    #[test]
    fn the_intersection_is_commutative_idempotent_and_never_more_than_either(
        asked in rules(), first in rules(), second in rules(),
        attempts in prop::collection::vec(tries(), 1..20),
    ) {
        let asked = Rights::asked(requested(&asked, None));
        let (first, second) = (granted(&first), granted(&second));
        let both = first.intersection(&second);
        prop_assert_eq!(&both, &second.intersection(&first));
        prop_assert_eq!(&both, &both.intersection(&both));
        prop_assert_eq!(&both, &both.intersection(&first));
        let bounded = asked.intersection(&first);
        prop_assert_eq!(&bounded, &first.intersection(&asked));
        let gates = [&first, &second, &both, &bounded].map(gate);
        for attempt in &attempts {
            let [first, second, both, bounded] = gates.each_ref().map(|g| allows(g, attempt));
            prop_assert!(!both || (first && second), "{attempt:?}");
            prop_assert_eq!(both, first && second, "{:?}", attempt);
            prop_assert!(!bounded || first, "{attempt:?}");
        }
    }

    #[test]
    fn a_policy_that_forbids_more_never_permits_more(
        given in rules(), lines in rules(), more in rule_text(),
        attempts in prop::collection::vec(tries(), 1..20),
    ) {
        let row = |kind: &str, text: &String| match text.split_once('=') {
            Some((permission, pattern)) => format!(
                "[[{kind}]]\npermission = \"{permission}\"\npattern = \"{}\"\n",
                pattern.trim_start_matches('!')
            ),
            None => format!("[[{kind}]]\npermission = \"{text}\"\n"),
        };
        let kind = |text: &String| if text.contains('!') { "forbid" } else { "allow" };
        let text: String = lines.iter().map(|line| row(kind(line), line)).collect();
        let before = Policy::parse("p", &text).unwrap();
        let after = Policy::parse("p", &format!("{text}{}", row("forbid", &more))).unwrap();
        let whom = PolicySubject {
            publisher: None,
            namespace: "main",
            profile: caxton_model::EngineProfile::Hardened,
        };
        // What the policy grants by itself shrinks as well.
        let rights = |policy: &Policy| {
            let allowed = lines.iter().chain(&given).filter(|text| {
                let PermissionRule { permission, rule } = text.parse().unwrap();
                let question = PolicyQuestion::Grant(permission, &rule.pattern);
                let verdict = policy.decide(whom, question).verdict;
                let is_given = given.contains(text) && verdict != Verdict::Forbid;
                !rule.forbids && (is_given || verdict == Verdict::Allow)
            });
            let allowed: Vec<String> = allowed.cloned().collect();
            granted(&allowed).intersection(&Rights::forbidden(policy.forbids(whom)))
        };
        let (wide, narrow) = (gate(&rights(&before)), gate(&rights(&after)));
        for attempt in &attempts {
            prop_assert!(allows(&wide, attempt) || !allows(&narrow, attempt), "{attempt:?}");
        }
    }

    #[test]
    fn what_is_asked_for_and_granted_is_not_missing(asked in rules(), given in rules()) {
        let requested = requested(&asked, Some("why"));
        let now = caxton_model::Timestamp(0);
        let missing = |given: &[String]| {
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            let given = grants(&given);
            requested.missing_in(&given, now).map(|(rule, _)| rule.to_string()).collect::<Vec<_>>()
        };
        let before = missing(&given);
        // With what is missing granted, nothing is.
        let all: Vec<String> = given.iter().chain(&before).cloned().collect();
        prop_assert_eq!(missing(&all), Vec::<String>::new());
        for rule in &before {
            prop_assert!(requested.asks_for(&rule.parse().unwrap()), "{rule}");
        }
    }

    #[test]
    fn a_diff_applied_to_the_old_gives_the_new(
        old in rules(), new in rules(), why in select(vec![None, Some("a"), Some("b")]),
    ) {
        let (old, new) = (requested(&old, Some("a")), requested(&new, why));
        prop_assert_eq!(old.apply(&old.diff(&new)), new.clone());
        prop_assert!(new.diff(&new).changes.is_empty());
    }

    #[test]
    fn a_diff_that_asks_for_no_more_permits_no_more(
        old in rules(), more in rules(), kept in any::<u16>(),
        attempts in prop::collection::vec(tries(), 1..20),
    ) {
        // Some of the old rules, and others that as a rule narrow them.
        let is_kept = |(at, _): &(usize, &String)| kept >> at & 1 == 1;
        let mut new: Vec<_> = old.iter().enumerate().filter(is_kept).map(|(_, r)| r.clone()).collect();
        new.extend(more.into_iter().filter(|rule| rule.contains('!')));
        let (before, after) = (requested(&old, None), requested(&new, None));
        if before.diff(&after).asks_for_more() {
            return Ok(());
        }
        let everything = ["http:read=*:*", "http:write=*:*", "http:read=10.0.0.1:443",
            "fs:read=/**", "fs:write=/**", "env:read=*", "message:send=*", "message:send=own:*",
            "random:secure"].map(str::to_owned);
        let gate_of = |asked| gate(&Rights::asked(asked).intersection(&granted(&everything)));
        let (before, after) = (gate_of(before), gate_of(after));
        for attempt in &attempts {
            prop_assert!(allows(&before, attempt) || !allows(&after, attempt), "{attempt:?}");
        }
    }

    #[test]
    fn what_includes_a_pattern_allows_all_that_it_allows(
        wide in rule_text(), narrow in rule_text(),
        attempts in prop::collection::vec(tries(), 1..40),
    ) {
        let parse = |text: &str| text.replace('!', "").parse::<PermissionRule>().unwrap();
        let (wide, narrow) = (parse(&wide), parse(&narrow));
        prop_assert!(narrow.rule.includes(&narrow.rule));
        if wide.permission != narrow.permission || !wide.rule.includes(&narrow.rule) {
            return Ok(());
        }
        // As requests: there, no guard asks for more than that the pattern takes it.
        let everything = ["http:read=*:*", "http:write=*:*", "http:read=10.0.0.1:*",
            "fs:read=/**", "fs:write=/**", "env:read=*", "message:send=*", "message:send=own:*",
            "random:secure"].map(str::to_owned);
        let gate_of = |rule: &PermissionRule| {
            let mut asked = Requested::default();
            asked.add(rule.permission, rule.rule.clone(), None);
            gate(&Rights::asked(asked).intersection(&granted(&everything)))
        };
        let (wide, narrow) = (gate_of(&wide), gate_of(&narrow));
        for attempt in &attempts {
            prop_assert!(allows(&wide, attempt) || !allows(&narrow, attempt), "{attempt:?}");
        }
    }

    #[test]
    fn a_pattern_is_read_again_as_it_is_written(text in rule_text()) {
        let rule: PermissionRule = text.parse().unwrap();
        prop_assert_eq!(rule.to_string().parse::<PermissionRule>().unwrap(), rule);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,40}", at in 0..Permission::ALL.len()) {
        let permission = Permission::ALL[at];
        if let Ok(pattern) = Pattern::parse(permission, &text) {
            let again = Pattern::parse(permission, &pattern.to_string());
            prop_assert_eq!(again, Ok(pattern));
        }
        let _ = (Rule::parse(permission, &text), GuestPath::parse(&text));
        for url in [text.clone(), format!("https://{text}"), format!("https://a.example/{text}")] {
            if let Ok(request) = HttpRequest::new("GET", &url) {
                let again = HttpRequest::new("GET", request.url().as_str()).unwrap();
                prop_assert_eq!(again.url(), request.url());
            }
        }
    }
}

#[test]
fn of_a_thousand_patterns_the_index_finds_the_one_that_a_scan_finds() {
    let texts: Vec<String> = (0..1_000)
        .map(|i| match i % 5 {
            0 => format!("http:read=h{i}.example"),
            1 => format!("http:read=one.example/a{i}/**"),
            2 => format!("http:read=*.u{i}.example/x"),
            3 => format!("http:read=one.example/*/b{i}"),
            _ => format!("http:read=h{i}.example:{}/x/y", i + 1_000),
        })
        .collect();
    let gate = gate(&granted(&texts));
    let allowed = |url: String| {
        gate.check(HttpRequest::new("GET", &url).unwrap(), NOW)
            .is_ok()
    };
    for i in 0..1_000 {
        let url = |i: usize| match i % 5 {
            0 => format!("https://h{i}.example/q"),
            1 => format!("https://one.example/a{i}/z/z"),
            2 => format!("https://a.b.u{i}.example/x"),
            3 => format!("https://one.example/q/b{i}"),
            _ => format!("https://h{i}.example:{}/x/y", i + 1_000),
        };
        assert!(allowed(url(i)), "{}", url(i));
        assert!(!allowed(url(i + 1_000)), "{}", url(i + 1_000));
    }
}
