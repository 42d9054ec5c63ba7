//! Who may do what to whom: every cell, written by hand.

use std::sync::Arc;

use caxton_model::Grants;

use crate::{
    Verb, Verdict,
    border::{Agent, By, Client, Principal, Target, Token},
    decide,
};

/// The columns: agents of `acme`, `beta` and `main` by name, id and capability; clients of the
/// same; the host's own agents; the node.
const TARGETS: [Target<'static>; 17] = {
    const fn agent(name: &'static str, by: By<'static>) -> Target<'static> {
        Target::Agent { name, by }
    }
    const SUM: By<'static> = By::Capability("sum");
    [
        agent("acme/a", By::Name),
        agent("acme/w", By::Name),
        agent("acme/w", By::Id),
        agent("acme/w", SUM),
        agent("beta/x", By::Name),
        agent("beta/x", By::Id),
        agent("beta/x", SUM),
        agent("m", By::Name),
        agent("m", By::Id),
        Target::Client("acme/ci"),
        Target::Client("acme/other"),
        Target::Client("beta/other"),
        Target::Client("ci"),
        Target::Client("other"),
        Target::BuiltIn("df"),
        Target::BuiltIn("ams"),
        Target::Node,
    ]
};

const VERBS: [Verb; 4] = [Verb::Address, Verb::See, Verb::AnswerFor, Verb::LearnOf];

/// `+` allowed, `d` denied, `.` absent. The lines of each are: address, see, answer for, learn of.
#[rustfmt::skip]
const TABLE: [(&str, [&str; 4]); 18] = [
    //                  acme  beta  main clients host node
    ("operator", [     "++++  +++   ++   +++++   ++   d",
                       "++++  +++   ++   +++++   ++   +",
                       "dddd  ddd   dd   +++++   dd   d",
                       "++++  +++   ++   +++++   ++   +"]),
    ("main send", [    "dd..  d..   ++   ddd++   ++   d",
                       "dddd  ddd   dd   ddd+d   dd   d",
                       "dddd  ddd   dd   ddd+d   dd   d",
                       "....  ...   ++   ...++   ++   d"]),
    ("main read", [    "dddd  ddd   dd   ddddd   dd   d",
                       "....  ...   ++   ...++   ..   d",
                       "dddd  ddd   dd   ddddd   dd   d",
                       "....  ...   ++   ...++   ++   d"]),
    ("main operate", [ "dd..  d..   ++   ddd++   ++   d",
                       "dddd  ddd   dd   ddd+d   dd   d",
                       "dddd  ddd   dd   ddd++   dd   d",
                       "....  ...   ++   ...++   ++   d"]),
    ("acme send", [    "++++  d..   d.   ++ddd   ++   d",
                       "dddd  ddd   dd   +dddd   dd   d",
                       "dddd  ddd   dd   +dddd   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("acme read", [    "dddd  ddd   dd   ddddd   dd   d",
                       "++++  ...   ..   ++...   ..   d",
                       "dddd  ddd   dd   ddddd   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("acme all", [     "++++  d..   d.   ++ddd   ++   d",
                       "++++  ...   ..   ++...   ..   d",
                       "dddd  ddd   dd   ++ddd   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("any send", [     "++++  +++   ++   +++++   ++   d",
                       "dddd  ddd   dd   ddd+d   dd   d",
                       "dddd  ddd   dd   ddd+d   dd   d",
                       "++++  +++   ++   +++++   ++   +"]),
    ("any read", [     "dddd  ddd   dd   ddddd   dd   d",
                       "++++  +++   ++   +++++   ++   +",
                       "dddd  ddd   dd   ddddd   dd   d",
                       "++++  +++   ++   +++++   ++   +"]),
    ("acme/a", [       "++++  d..   d.   ++ddd   ++   d",
                       "+...  ...   ..   .....   ..   d",
                       "+ddd  ...   ..   dd...   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("acme/a granted", [
                       "+dd+  +++   d.   ddddd   +d   d",
                       "+...  ...   ..   .....   ..   d",
                       "+ddd  ...   ..   dd...   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("acme/a mute", [  "+ddd  d..   d.   ddddd   dd   d",
                       "+...  ...   ..   .....   ..   d",
                       "+ddd  ...   ..   dd...   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("acme/a asked", [ "++++  +++   d.   +++dd   ++   d",
                       "+...  ...   ..   .....   ..   d",
                       "+ddd  ...   ..   dd...   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("a", [            "dd..  d..   ++   ddd++   ++   d",
                       "....  ...   ..   .....   ..   d",
                       "....  ...   dd   ...dd   dd   d",
                       "....  ...   ++   ...++   ++   d"]),
    ("client acme/ci", [
                       "++++  d..   d.   ++ddd   ++   d",
                       "....  ...   ..   +....   ..   d",
                       "dddd  ...   ..   +d...   dd   d",
                       "++++  ...   ..   ++...   ++   d"]),
    ("client of the operator", [
                       "++++  +++   ++   +++++   ++   d",
                       "....  ...   ..   ...+.   ..   d",
                       "dddd  ddd   dd   ddd+d   dd   d",
                       "++++  +++   ++   +++++   ++   d"]),
    ("client of main", [
                       "dd..  d..   ++   ddd++   ++   d",
                       "....  ...   ..   ...+.   ..   d",
                       "....  ...   dd   ...+d   dd   d",
                       "....  ...   ++   ...++   ++   d"]),
    ("host", [         "++++  +++   ++   +++++   ++   d",
                       "++++  +++   ++   +++++   ++   +",
                       "++++  +++   ++   ddddd   ++   d",
                       "++++  +++   ++   +++++   ++   +"]),
];

/// Grants that name receivers, and grants that name none.
struct Given {
    none: Grants,
    some: Grants,
    mute: Grants,
    ci: [Arc<str>; 2],
    acme_ci: [Arc<str>; 2],
}

impl Given {
    fn new() -> Self {
        let to = |patterns: &[&str]| Grants {
            message_send: Some(patterns.iter().map(|p| (*p).to_owned()).collect()),
        };
        Self {
            none: Grants::default(),
            some: to(&["beta/x", "capability:sum", "df"]),
            mute: to(&[]),
            ci: ["second".into(), "ci".into()],
            acme_ci: ["acme/second".into(), "acme/ci".into()],
        }
    }

    fn principal(&self, name: &str) -> Principal<'_> {
        let token = |namespace, clients, scopes: &str| {
            Principal::Token(Token {
                namespace,
                clients,
                read: scopes.contains('r'),
                send: scopes.contains('s'),
                operate: scopes.contains('o'),
            })
        };
        let agent = |name, grants| Agent {
            name,
            grants,
            asker: None,
            reply_to: None,
        };
        let client = |name, namespace| Principal::Client(Client { name, namespace });
        let (main, acme) = (Some("main"), Some("acme"));
        match name {
            "operator" => Principal::Operator,
            "main send" => token(main, &self.ci, "s"),
            "main read" => token(main, &self.ci, "r"),
            "main operate" => token(main, &self.ci, "so"),
            "acme send" => token(acme, &self.acme_ci, "s"),
            "acme read" => token(acme, &self.acme_ci, "r"),
            "acme all" => token(acme, &self.acme_ci, "rso"),
            "any send" => token(None, &self.ci, "s"),
            "any read" => token(None, &self.ci, "r"),
            "acme/a" => Principal::Agent(agent("acme/a", &self.none)),
            "acme/a granted" => Principal::Agent(agent("acme/a", &self.some)),
            "acme/a mute" => Principal::Agent(agent("acme/a", &self.mute)),
            "acme/a asked" => Principal::Agent(Agent {
                asker: Some("beta/x"),
                reply_to: Some("beta/other"),
                ..agent("acme/a", &self.none)
            }),
            "a" => Principal::Agent(agent("a", &self.none)),
            "client acme/ci" => client("acme/ci", acme),
            "client of the operator" => client("ci", None),
            "client of main" => client("ci", main),
            "host" => Principal::BuiltIn,
            other => panic!("{other} is in the table only"),
        }
    }
}

#[test]
fn every_principal_may_what_the_table_says_and_nothing_else() {
    let given = Given::new();
    let mut wrong = Vec::new();
    for (name, lines) in TABLE {
        for (verb, line) in VERBS.into_iter().zip(lines) {
            let cells: Vec<char> = line.chars().filter(|c| !c.is_whitespace()).collect();
            assert_eq!(cells.len(), TARGETS.len(), "{name} {verb:?}: an empty cell");
            for (target, expected) in TARGETS.into_iter().zip(cells) {
                let found = match decide(given.principal(name), verb, target) {
                    Verdict::Allow => '+',
                    Verdict::Deny => 'd',
                    Verdict::Absent => '.',
                };
                if found != expected {
                    wrong.push(format!(
                        "{name} {verb:?} {target:?}: {found} for {expected}"
                    ));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
