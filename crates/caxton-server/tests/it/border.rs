//! The border of namespaces, over the API and by real guests: who may do what to whom, every cell
//! written by hand, and each way across that somebody has tried.

use std::time::Duration;

use caxton_client::{
    AgentConfig, CaxtonClient, DeployAgentRequest, MailFilter,
    api::{AskedValue, NewToken, Scope},
};
use caxton_model::CLIENT_REPLIES_MAX;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, guest, message, request};

const WAIT: Duration = Duration::from_secs(30);

/// Somebody who calls the API.
struct Caller {
    headers: String,
    client: CaxtonClient,
}

async fn caller(harness: &Harness, name: &str) -> Caller {
    let token = match name {
        "operator" => harness.server.admin_token().to_owned(),
        _ => {
            let (namespace, scopes) = name.split_once(' ').unwrap();
            let scopes = scopes.chars().map(|scope| match scope {
                'r' => Scope::Read,
                's' => Scope::Send,
                _ => Scope::Operate,
            });
            let namespace = (namespace != "any").then(|| namespace.to_owned());
            // A client is bound to one token: the one before it goes.
            for known in harness.client().tokens().await.unwrap() {
                if (known.name.as_str(), &known.namespace) == ("ci", &namespace) {
                    harness.client().delete_token(&known.id).await.unwrap();
                }
            }
            let new = NewToken {
                name: "ci".to_owned(),
                scopes: scopes.collect(),
                namespace,
                clients: Vec::new(),
            };
            harness.client().create_token(&new).await.unwrap().token
        }
    };
    Caller {
        headers: format!("authorization: Bearer {token}\r\n"),
        client: harness.client_with(&token),
    }
}

impl Caller {
    async fn get(&self, harness: &Harness, path: &str) -> Answer {
        let path = format!("/api/v1{path}");
        harness.call_with("GET", &path, &self.headers, None).await
    }
    async fn post(&self, harness: &Harness, path: &str, body: &Value) -> Answer {
        let (path, body) = (format!("/api/v1{path}"), body.to_string());
        let body = Some(("application/json", body.as_bytes()));
        harness.call_with("POST", &path, &self.headers, body).await
    }
    async fn send(&self, harness: &Harness, to: Value) -> Answer {
        let message = json!({ "performative": "inform", "receiver": to, "content": 1 });
        self.post(harness, "/messages", &message).await
    }
    async fn send_as(&self, harness: &Harness, sender: &str) -> Answer {
        let message = json!({
            "performative": "inform", "sender": sender, "receiver": "acme/echo", "content": 1,
        });
        self.post(harness, "/messages", &message).await
    }
}

/// Agents in three namespaces; the one in `beta` offers `sum`.
async fn town(harness: &Harness) -> Town {
    let deployed = |name: &'static str| harness.deploy(name, "echo-c.wasm");
    deployed("echo").await;
    let own = deployed("acme/echo").await;
    let other = deployed("beta/echo").await;
    let sum = json!({ "services": [{ "name": "sum" }] });
    let path = format!("/api/v1/agents/{}/capabilities", other.agent.id);
    let registered = harness.json("POST", &path, &sum).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    // A client of each, which has written once.
    for (client, to) in [("acme/other", "acme/echo"), ("beta/other", "beta/echo")] {
        let sent = message(client, to, json!("secret"));
        harness.client().send_message(sent).await.unwrap();
    }
    Town {
        own: own.agent.id,
        other: other.agent.id,
    }
}

struct Town {
    own: String,
    other: String,
}

/// What each caller is answered. Columns, in this order:
/// send to `acme/echo`, to its id, to `beta/echo`, to `beta/nobody`, to the id of `beta/echo`, to
/// an id that nobody has, to the capability `sum`, to `none`, to `["acme/echo","beta/echo"]`, to
/// `df` | send as `acme/ci`, as `acme/other`, as `beta/other` | look up `acme/echo`, `beta/echo`,
/// `beta/nobody`, the id of `beta/echo`, the capability `sum`, `none` | the mail of `acme/echo`, of
/// `beta/echo`, of `acme/ci`, of `acme/other`, of `beta/other` | dead letters.
#[rustfmt::skip]
const ANSWERS: [(&str, [u16; 25]); 8] = [
    ("operator",  [202, 202, 202, 404, 202, 404, 202, 404, 202, 202,  202, 202, 202,
                   200, 200, 404, 200, 200, 404,  200, 200, 200, 200, 200,  200]),
    ("acme s",    [202, 202, 403, 403, 404, 404, 404, 404, 202, 202,  202, 403, 403,
                   403, 403, 403, 403, 403, 403,  403, 403, 200, 403, 403,  403]),
    ("acme so",   [202, 202, 403, 403, 404, 404, 404, 404, 202, 202,  202, 202, 403,
                   403, 403, 403, 403, 403, 403,  403, 403, 200, 200, 403,  403]),
    ("acme r",    [403, 403, 403, 403, 403, 403, 403, 403, 403, 403,  403, 403, 403,
                   200, 404, 404, 404, 404, 404,  403, 403, 403, 403, 403,  200]),
    ("acme rso",  [202, 202, 403, 403, 404, 404, 404, 404, 202, 202,  202, 202, 403,
                   200, 404, 404, 404, 404, 404,  200, 403, 200, 200, 403,  200]),
    ("beta rs",   [403, 404, 202, 404, 202, 404, 202, 404, 202, 202,  403, 403, 403,
                   404, 200, 404, 200, 200, 404,  403, 200, 403, 403, 403,  200]),
    ("any s",     [202, 202, 202, 404, 202, 404, 202, 404, 202, 202,  403, 403, 403,
                   403, 403, 403, 403, 403, 403,  403, 403, 403, 403, 403,  403]),
    ("any r",     [403, 403, 403, 403, 403, 403, 403, 403, 403, 403,  403, 403, 403,
                   200, 200, 404, 200, 200, 404,  403, 403, 403, 403, 403,  200]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_is_answered_as_the_table_says() {
    let harness = Harness::start().await;
    let town = town(&harness).await;
    let absent = "a-00000000000000ff";
    let mut wrong = Vec::new();
    for (name, expected) in ANSWERS {
        let caller = caller(&harness, name).await;
        let mut found = Vec::new();
        for to in [
            json!("acme/echo"),
            json!(town.own),
            json!("beta/echo"),
            json!("beta/nobody"),
            json!(town.other),
            json!(absent),
            json!({ "capability": "sum" }),
            json!({ "capability": "none" }),
            json!(["acme/echo", "beta/echo"]),
            json!("df"),
        ] {
            found.push(caller.send(&harness, to).await.status);
        }
        for sender in ["acme/ci", "acme/other", "beta/other"] {
            found.push(caller.send_as(&harness, sender).await.status);
        }
        let other = format!("/agents/{}", town.other);
        for path in [
            "/agents/acme%2Fecho",
            "/agents/beta%2Fecho",
            "/agents/beta%2Fnobody",
            &other,
            "/capabilities/sum",
            "/capabilities/none",
            "/messages?receiver=acme/echo",
            "/messages?receiver=beta/echo",
            "/messages?receiver=acme/ci",
            "/messages?receiver=acme/other",
            "/messages?receiver=beta/other",
            "/dead-letters",
        ] {
            found.push(caller.get(&harness, path).await.status);
        }
        for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
            if *found != expected {
                wrong.push(format!("{name}, column {column}: {found} for {expected}"));
            }
        }
        assert_eq!(found.len(), expected.len(), "an empty cell");
    }
    assert_eq!(wrong, Vec::<String>::new());
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_sends_and_reads_as_the_clients_it_is_bound_to_and_as_no_other() {
    let harness = Harness::start().await;
    town(&harness).await;
    let new = NewToken {
        name: "ci".to_owned(),
        scopes: vec![Scope::Send],
        namespace: Some("acme".to_owned()),
        clients: vec!["web".to_owned(), "cron".to_owned()],
    };
    let made = harness.client().create_token(&new).await.unwrap();
    let acme = Caller {
        headers: format!("authorization: Bearer {}\r\n", made.token),
        client: harness.client_with(&made.token),
    };
    for (sender, sent, read) in [
        ("acme/web", 202, 200),
        ("cron", 202, 200),
        ("acme/ci", 403, 403),
        ("acme/other", 403, 403),
        ("beta/other", 403, 403),
    ] {
        let answer = acme.send_as(&harness, sender).await;
        assert_eq!(answer.status, sent, "{sender}: {answer:?}");
        let answer = acme
            .get(&harness, &format!("/messages?receiver={sender}"))
            .await;
        assert_eq!(answer.status, read, "{sender}: {answer:?}");
    }
    let refused = acme.send_as(&harness, "acme/ci").await.body;
    assert!(refused.contains("`acme/web`, `acme/cron`"), "{refused}");
    let asked = json!({
        "performative": "request", "receiver": "echo", "content": 1, "wait_ms": 20_000,
    });
    let replied = acme.post(&harness, "/messages", &asked).await.json();
    assert_eq!(replied["reply"]["receiver"], "acme/web", "{replied}");
    harness.stop().await;
}

/// An answer without what tells two requests apart anyway.
fn shape(answer: &Answer, name: &str) -> String {
    let mut body = answer.json();
    let fields = body.as_object_mut().unwrap();
    fields.remove("request_id");
    let text = format!("{} {body}", answer.status);
    text.replace(name, "NAME")
}

#[tokio::test(flavor = "multi_thread")]
async fn across_the_border_forbidden_looks_like_absent() {
    let harness = Harness::start().await;
    let town = town(&harness).await;
    let acme = caller(&harness, "acme rso").await;
    let absent = "a-00000000000000ff";
    let pairs = [(town.other.as_str(), absent), ("beta/echo", "beta/nobody")];
    for (there, nobody) in pairs {
        let answers = [
            acme.send(&harness, json!(there)).await,
            acme.send(&harness, json!(nobody)).await,
        ];
        assert_eq!(shape(&answers[0], there), shape(&answers[1], nobody));
        for path in [
            "/agents/NAME",
            "/agents/NAME/logs",
            "/messages?receiver=NAME",
            "/events?agent=NAME",
        ] {
            let path = |name: &str| path.replace("NAME", &name.replace('/', "%2F"));
            let answers = [
                acme.get(&harness, &path(there)).await,
                acme.get(&harness, &path(nobody)).await,
            ];
            assert_eq!(shape(&answers[0], there), shape(&answers[1], nobody));
        }
    }
    for path in ["/capabilities/NAME"] {
        let answers = [
            acme.get(&harness, &path.replace("NAME", "sum")).await,
            acme.get(&harness, &path.replace("NAME", "smu")).await,
        ];
        assert_eq!(shape(&answers[0], "sum"), shape(&answers[1], "smu"));
    }
    // Nor does a hint, a metric or a count name what is there.
    let near = acme.get(&harness, "/agents/beta%2Fech").await.body;
    assert!(!near.contains("beta/echo"), "{near}");
    let near = acme.get(&harness, "/agents/ech").await.body;
    assert!(
        near.contains("acme/echo") && !near.contains("`echo`"),
        "{near}"
    );
    let metrics = harness
        .call_with("GET", "/metrics", &acme.headers, None)
        .await;
    assert!(!metrics.body.contains("caxton_agents"), "{metrics:?}");
    let top = acme.get(&harness, "/top").await.json();
    assert_eq!(top["agents"]["total"], 1, "{top}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_over_all_namespaces_is_shown_to_nobody_who_ends_at_one() {
    let harness = Harness::start().await;
    town(&harness).await;
    let ready = async |headers: &str| {
        let answer = harness
            .call_with("GET", "/health/ready", headers, None)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let (acme, sender) = (
        caller(&harness, "acme r").await,
        caller(&harness, "any s").await,
    );
    let unknown = "authorization: Bearer no\r\n";
    for headers in ["", unknown, &acme.headers, &sender.headers] {
        assert_eq!(
            ready(headers).await,
            json!({ "status": "ready" }),
            "{headers}"
        );
    }
    let any = caller(&harness, "any r").await;
    let shown = ready(&any.headers).await;
    assert_eq!(shown["agents"], 3, "{shown}");
    assert_eq!(shown["budgets"][0]["used"], 3, "{shown}");
    let journal = acme.get(&harness, "/journal").await.json();
    assert_eq!(journal, json!({ "durable": false }));
    let top = acme.get(&harness, "/top").await.json();
    assert_eq!(top["journal"], json!({ "durable": false }), "{top}");
    let journal = any.get(&harness, "/journal").await.json();
    assert!(
        journal["durable_place"].is_u64() && journal["lag_records"].is_u64(),
        "{journal}"
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_sent_again_only_where_the_caller_may_send() {
    let harness = Harness::start().await;
    town(&harness).await;
    let acme = caller(&harness, "acme rso").await;
    let turns = async || {
        harness
            .client()
            .agent("beta/echo")
            .await
            .unwrap()
            .counters
            .turns
    };
    let before = turns().await;
    let (mut paths, mut shapes) = (Vec::new(), Vec::new());
    let there = harness.client().agent("beta/echo").await.unwrap().agent.id;
    let by_id = ["a-ffffffffffffffff", there.as_str()];
    for to in ["beta/nobody", "beta/echo"].into_iter().chain(by_id) {
        let sent = acme.send(&harness, json!(["acme/echo", to])).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        let letters = acme.get(&harness, "/dead-letters").await.json();
        let letters = letters["items"].as_array().unwrap();
        let letter = letters.iter().find(|letter| letter["intended"] == *to);
        let letter = letter.unwrap_or_else(|| panic!("{letters:?}"));
        let id = letter["id"].as_str().unwrap();
        let path = format!("/dead-letters/{id}/resend");
        let refused = acme.post(&harness, &path, &json!({})).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (422, "undeliverable")
        );
        shapes.push(shape(&refused, to).replace(id, "ID"));
        paths.push(path);
    }
    // Who is there and may not be written to looks like nobody.
    assert_eq!(shapes[0], shapes[1]);
    assert_eq!(shapes[2], shapes[3]);
    let path = &paths[1];
    // It is not what the other side was sent, and not for it to see.
    let beta = caller(&harness, "beta rs").await;
    let seen = beta.get(&harness, "/dead-letters").await.json();
    assert_eq!(seen["items"], json!([]));
    let wait =
        json!({ "performative": "request", "receiver": "echo", "content": 2, "wait_ms": 20_000 });
    assert_eq!(beta.post(&harness, "/messages", &wait).await.status, 200);
    assert_eq!(turns().await, before + 1);
    // The operator may.
    let resent = harness
        .json("POST", &format!("/api/v1{path}"), &json!({}))
        .await;
    assert_eq!(resent.status, 200, "{resent:?}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_shows_a_list_no_more_than_one() {
    let harness = Harness::start().await;
    town(&harness).await;
    let acme = caller(&harness, "acme s").await;
    for host in ["ams", "df"] {
        for to in [json!(host), json!([host]), json!([host, "acme/echo"])] {
            let asked = json!({
                "performative": "request", "receiver": to, "reply_with": "r", "namespace": "*",
                "content": { "action": "search" }, "wait_ms": 20_000,
            });
            let answer = acme.post(&harness, "/messages", &asked).await;
            assert!(answer.status < 300, "{answer:?}");
            let mail = MailFilter {
                receiver: Some("ci".to_owned()),
                ..MailFilter::default()
            };
            let mail = acme.client.messages(&mail).await.unwrap();
            assert!(!mail.is_empty());
            for mail in mail {
                let text = mail.message.json();
                assert!(!text.contains("beta/"), "{to}: {text}");
            }
        }
    }
    // The operator is shown all of them.
    let asked = json!({
        "performative": "request", "receiver": ["df"], "content": { "action": "search" },
        "wait_ms": 20_000,
    });
    let answer = harness.json("POST", "/api/v1/messages", &asked).await;
    assert!(answer.body.contains("beta/echo"), "{answer:?}");
    // What is registered elsewhere is not told apart from what is not.
    for action in ["register", "modify", "deregister"] {
        let ask = async |name: &str| {
            let asked = json!({
                "performative": "request", "receiver": "ams", "wait_ms": 20_000,
                "content": { "action": action, "description": { "name": name } },
            });
            let answer = acme.post(&harness, "/messages", &asked).await;
            answer.json()["reply"]["content"]
                .to_string()
                .replace(name, "NAME")
        };
        assert_eq!(ask("beta/echo").await, ask("beta/nobody").await, "{action}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scope_send_reads_nobody_elses_mail() {
    let harness = Harness::start().await;
    town(&harness).await;
    let acme = caller(&harness, "acme s").await;
    let mut said = message("acme/other", "acme/echo", json!("secret"));
    said.conversation_id = Some("talk".to_owned());
    harness
        .client()
        .send_message_and_wait(said, WAIT)
        .await
        .unwrap();
    for path in [
        "/messages?conversation_id=talk",
        "/messages?receiver=acme/echo",
        "/messages?receiver=acme/other",
        "/conversations/talk",
    ] {
        let answer = acme.get(&harness, path).await;
        assert!(!answer.body.contains("secret"), "{path}: {answer:?}");
    }
    // Its own it reads.
    let own = json!({
        "performative": "request", "receiver": "echo", "content": "mine", "wait_ms": 20_000,
        "conversation_id": "talk",
    });
    assert_eq!(acme.post(&harness, "/messages", &own).await.status, 200);
    for path in ["/messages?conversation_id=talk", "/messages?receiver=ci"] {
        let answer = acme.get(&harness, path).await;
        assert!(
            answer.body.contains("mine") && !answer.body.contains("secret"),
            "{path}: {answer:?}"
        );
    }
    harness.stop().await;
}

/// Deploys a guest that sends one message when it is told to.
async fn teller(harness: &Harness, name: &str, to_send: &Value, grants: Option<&[&str]>) {
    let mut config = AgentConfig {
        name: name.to_owned(),
        limits: [("messages_per_second".to_owned(), AskedValue::Number(1))].into(),
        config: [("message".to_owned(), to_send.to_string())].into(),
        ..AgentConfig::default()
    };
    if let Some(to) = grants {
        let to = json!({ "to": to });
        config.grants.insert(
            "message:send".to_owned(),
            serde_json::from_value(to).unwrap(),
        );
    }
    let request = DeployAgentRequest {
        wasm_module: guest("message-flood.wat"),
        config,
    };
    harness.client().deploy_agent(request).await.unwrap();
}

/// Tells it; answers how often it could send, and the code with which it could not.
async fn tell(harness: &Harness, name: &str) -> (i32, i32) {
    let client = harness.client();
    let turns = client.agent(name).await.unwrap().counters.turns;
    client
        .send_message(message("operator", name, json!(null)))
        .await
        .unwrap();
    let begun = tokio::time::Instant::now();
    while client.agent(name).await.unwrap().counters.turns == turns {
        assert!(begun.elapsed() < WAIT, "{name} has no turn");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let report = client.agent_state_value(name, "report").await.unwrap();
    let word = |at: usize| i32::from_le_bytes(report[at..at + 4].try_into().unwrap());
    match (word(0), word(4)) {
        // Above the rate already in the turn that an answer gave it.
        (0, RATE_LIMITED) => SENT,
        seen => seen,
    }
}

const RATE_LIMITED: i32 = -5;
/// A message was sent once; the second time was above the rate.
const SENT: (i32, i32) = (1, RATE_LIMITED);
const DENIED: (i32, i32) = (0, -3);
const ABSENT: (i32, i32) = (0, -1);

#[tokio::test(flavor = "multi_thread")]
async fn every_guest_sends_where_the_table_says() {
    let harness = Harness::start().await;
    let town = town(&harness).await;
    let beta: &[&str] = &["beta/*"];
    let sum: &[&str] = &["capability:sum"];
    let mute: &[&str] = &[];
    let to = [
        json!("acme/echo"),
        json!(town.own),
        json!("beta/echo"),
        json!("beta/nobody"),
        json!(town.other),
        json!("a-00000000000000ff"),
        json!({ "capability": "sum" }),
        json!({ "capability": "none" }),
        json!("acme/other"),
        json!("beta/other"),
        json!("df"),
    ];
    // Columns: as above.
    #[rustfmt::skip]
    let table = [
        ("none", None,       [SENT,   SENT,   DENIED, DENIED, ABSENT, ABSENT, ABSENT, ABSENT,
                              SENT,   DENIED, SENT]),
        ("beta", Some(beta), [DENIED, DENIED, SENT,   ABSENT, SENT,   ABSENT, SENT,   ABSENT,
                              DENIED, SENT,   DENIED]),
        ("sum",  Some(sum),  [DENIED, DENIED, DENIED, DENIED, ABSENT, ABSENT, SENT,   ABSENT,
                              DENIED, DENIED, DENIED]),
        ("mute", Some(mute), [DENIED, DENIED, DENIED, DENIED, ABSENT, ABSENT, ABSENT, ABSENT,
                              DENIED, DENIED, DENIED]),
    ];
    let mut wrong = Vec::new();
    for (name, grants, expected) in table {
        for (column, (to, expected)) in to.iter().zip(expected).enumerate() {
            let name = format!("acme/{name}-{column}");
            let sent = json!({ "performative": "inform", "receiver": to, "content": "x" });
            teller(&harness, &name, &sent, grants).await;
            let found = tell(&harness, &name).await;
            if found != expected {
                wrong.push(format!("{name} to {to}: {found:?} for {expected:?}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_agents_answer_the_asker_alone() {
    let harness = Harness::start().await;
    town(&harness).await;
    for (number, reply_to) in ["beta/other", "beta/echo", "df"].into_iter().enumerate() {
        let name = format!("acme/asker-{number}");
        let sent = json!({
            "performative": "subscribe", "receiver": "df", "reply_to": reply_to,
            "reply_with": "known", "conversation_id": "evil",
            "content": { "description": { "service": "evil" } },
        });
        teller(&harness, &name, &sent, None).await;
        assert_eq!(tell(&harness, &name).await, SENT);
        let mail = MailFilter {
            receiver: Some("beta/other".to_owned()),
            ..MailFilter::default()
        };
        let mail = harness.client().messages(&mail).await.unwrap();
        assert!(
            mail.iter().all(|mail| &*mail.message.sender != "df"),
            "{mail:?}"
        );
        let said = harness.client().conversation("evil").await.unwrap();
        assert!(
            said.lines
                .iter()
                .all(|line| !format!("{:?}", line.to).contains("beta/")),
            "{said:?}"
        );
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_reply_to_is_meant_within_the_namespace_of_the_token() {
    let harness = Harness::start().await;
    let client = harness.client();
    for (name, guest) in [
        ("acme/echo", "echo-c.wasm"),
        ("acme/log", "quiet.wat"),
        ("log", "quiet.wat"),
    ] {
        client.deploy_agent(request(name, guest)).await.unwrap();
    }
    let asked = json!({
        "performative": "request", "receiver": "echo", "reply_to": "log",
        "conversation_id": "c-1", "content": 1,
    });
    let of_acme = caller(&harness, "acme s").await;
    let sent = of_acme.post(&harness, "/messages", &asked).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let answered = async {
        loop {
            let said = client.conversation("c-1").await.unwrap();
            if let [_, answer] = &said.lines[..] {
                return format!("{:?}", answer.to);
            }
        }
    };
    let to = tokio::time::timeout(WAIT, answered).await.unwrap();
    let meant = client.agent("acme/log").await.unwrap().agent.id;
    assert!(to.contains(&meant), "{to}");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_taken_from_whoever_was_asked_and_from_nobody_else() {
    let harness = Harness::start().await;
    let quiet = request("beta/quiet", "quiet.wat");
    harness.client().deploy_agent(quiet).await.unwrap();
    let forged = json!({
        "performative": "inform", "receiver": "beta/alice", "in_reply_to": "r-1",
        "content": "forged",
    });
    // One from the other side, one from her own.
    teller(&harness, "acme/forger", &forged, None).await;
    teller(&harness, "beta/forger", &forged, None).await;
    let asked = json!({
        "performative": "request", "sender": "beta/alice", "receiver": "beta/quiet",
        "reply_with": "r-1", "content": 1,
    });
    let sent = harness.json("POST", "/api/v1/messages", &asked).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    assert_eq!(tell(&harness, "acme/forger").await, DENIED);
    assert_eq!(tell(&harness, "beta/forger").await, SENT);
    let mail = MailFilter {
        receiver: Some("beta/alice".to_owned()),
        ..MailFilter::default()
    };
    assert!(harness.client().messages(&mail).await.unwrap().is_empty());
    let letters = harness.client().dead_letters().await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].intended, "beta/alice");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_never_takes_the_place_of_a_reply() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("echo", "echo-c.wasm").await;
    // The reply first, then more mail than the mailbox holds.
    let mut asked = message("alice", "echo", json!("the reply"));
    asked.reply_with = Some("r-1".to_owned());
    client.send_message(asked).await.unwrap();
    let find = MailFilter {
        receiver: Some("alice".to_owned()),
        in_reply_to: Some("r-1".to_owned()),
        wait: Some(WAIT),
        ..MailFilter::default()
    };
    assert_eq!(client.messages(&find).await.unwrap().len(), 1);
    let config = AgentConfig {
        name: "flooder".to_owned(),
        limits: [(
            "messages_per_second".to_owned(),
            AskedValue::Number(100_000),
        )]
        .into(),
        config: [(
            "message".to_owned(),
            json!({ "performative": "inform", "receiver": "alice", "content": "flood" })
                .to_string(),
        )]
        .into(),
        ..AgentConfig::default()
    };
    let flooder = DeployAgentRequest {
        wasm_module: guest("message-flood.wat"),
        config,
    };
    client.deploy_agent(flooder).await.unwrap();
    for _ in 0..2 {
        assert_eq!(tell(&harness, "flooder").await, (900, 0));
    }
    assert_eq!(
        client.messages(&find).await.unwrap().len(),
        1,
        "it is still there"
    );
    // What did not fit is told, and a further reply still comes.
    let lost = 2 * 900 + 1 - CLIENT_REPLIES_MAX;
    let letters = client.dead_letters().await.unwrap();
    // The flooder is told of each and floods again, so that there may be more by now.
    assert!(letters.len() >= lost, "{} letters", letters.len());
    assert!(letters.iter().all(|letter| letter.code == "queue-full"));
    let reply = client
        .send_message_and_wait(message("alice", "echo", json!("another")), WAIT)
        .await
        .unwrap();
    assert_eq!(reply.content, json!("another"));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_the_form_of_an_id_is_refused() {
    let harness = Harness::start().await;
    for name in ["a-0000000000000001", "acme/a-00000000DEADBEEF"] {
        let refused = harness
            .client()
            .deploy_agent(request(name, "echo-c.wasm"))
            .await
            .unwrap_err();
        let problem = refused.problem().unwrap();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (422, "invalid-name")
        );
        assert!(problem.detail.contains("the form of an id"), "{problem}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_that_are_too_long_are_refused_in_words() {
    let harness = Harness::start().await;
    let own = harness.deploy("echo", "echo-c.wasm").await;
    let path = format!("/api/v1/agents/{}/capabilities", own.agent.id);
    let many: Vec<String> = (0..65).map(|n| format!("p{n}")).collect();
    for (what, long) in [
        ("protocols", json!({ "protocols": many })),
        (
            "services",
            json!({ "services": many.iter().map(|n| json!({ "name": n })).collect::<Vec<_>>() }),
        ),
        (
            "services.name",
            json!({ "services": [{ "name": "x".repeat(257) }] }),
        ),
    ] {
        let refused = harness.json("POST", &path, &long).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.body.contains(&format!("`{what}`")), "{refused:?}");
    }
    let search = json!({
        "performative": "request", "receiver": "df", "wait_ms": 20_000,
        "content": { "action": "search", "description": { "protocols": many } },
    });
    let answer = harness
        .json("POST", "/api/v1/messages", &search)
        .await
        .json();
    assert_eq!(
        answer["reply"]["performative"], "not-understood",
        "{answer}"
    );
    assert!(
        answer.to_string().contains("65 entries; at most 64"),
        "{answer}"
    );
    harness.stop().await;
}
