//! Each route of the table does at most twice the work for twice the input, counted in elements that it
//! looks at.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use caxton_api::{Method, ROUTES, Route, RouteId, Scope};
use caxton_node::{Node, NodeOptions};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Server, ServerOptions, serve, work::Work};

/// The smaller input. What does not grow with it is much less.
const SIZE: usize = 24;
/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a route's work may grow.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Growth {
    /// With the input, and it does. What is sorted counts once.
    Linear,
    /// With one entry that is meant, however much there is beside it.
    None,
}

/// How each route's work may grow. A route that is missing here does not compile.
const fn growth(id: RouteId) -> Growth {
    match id {
        RouteId::GetTop
        | RouteId::GetMetrics
        | RouteId::ListAgents
        | RouteId::ListProcessors
        | RouteId::GetProcessor
        | RouteId::GetAgent
        | RouteId::RegisterAgent
        | RouteId::AgentFaults
        | RouteId::ChangeGrants
        | RouteId::ChangeProcessorGrants
        | RouteId::SendMessage
        | RouteId::ListMessages
        | RouteId::DropMessages
        | RouteId::GetConversation
        | RouteId::ListDeadLetters
        | RouteId::ListCapabilities
        | RouteId::GetCapability
        | RouteId::CreateToken
        | RouteId::ListTokens
        | RouteId::DeleteToken
        | RouteId::ListSecrets
        | RouteId::RotateVaultKey
        | RouteId::StreamEvents => Growth::Linear,
        RouteId::DeployAgent
        | RouteId::DeployProcessor
        | RouteId::RemoveProcessor
        | RouteId::CallProcessor
        | RouteId::ProcessorLogs
        | RouteId::AgentGrants
        | RouteId::ProcessorGrants
        | RouteId::AgentActs
        | RouteId::RemoveAgent
        | RouteId::StopAgent
        | RouteId::StartAgent
        | RouteId::UpdateAgent
        | RouteId::RollbackAgent
        | RouteId::DeregisterAgent
        | RouteId::AgentLogs
        | RouteId::AgentMessages
        | RouteId::AgentState
        | RouteId::AgentStateValue
        | RouteId::ResendDeadLetter
        | RouteId::DeleteDeadLetter
        | RouteId::SetSecret
        | RouteId::RemoveSecret
        | RouteId::GetJournal
        | RouteId::SearchAudit
        | RouteId::GetAuditHead
        | RouteId::VerifyAudit
        | RouteId::GetOpenApi
        | RouteId::GetErrorPage
        | RouteId::GetVersion
        | RouteId::GetLive
        | RouteId::GetReady => Growth::None,
    }
}

/// When a route is asked: those that change something after those that look at it, and those of tokens
/// when the tokens are there, since each request looks at all of them.
fn stage(route: &Route) -> usize {
    match (route.id, route.method) {
        (RouteId::ChangeGrants | RouteId::ChangeProcessorGrants, _) => 2,
        (RouteId::CreateToken | RouteId::ListTokens | RouteId::DeleteToken, _) => 2,
        (_, Method::Get) => 0,
        _ => 1,
    }
}

/// A node with so many agents, messages, dead letters and the like.
struct World {
    size: usize,
    node: Node,
    server: Server,
    /// A token of the namespace that all of them are in.
    token: String,
    /// The ids of the client's replies.
    replies: Vec<String>,
    /// The ids of dead letters.
    letters: Vec<String>,
}

impl World {
    async fn new(size: usize) -> Self {
        let options = NodeOptions {
            shards: 1,
            ..NodeOptions::default()
        };
        let node = Node::start(options).await.unwrap();
        let options = ServerOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..ServerOptions::default()
        };
        let server = serve(node.clone(), options).await.unwrap();
        let token = server.admin_token().to_owned();
        let mut world = Self {
            size,
            node,
            server,
            token,
            replies: Vec::new(),
            letters: Vec::new(),
        };
        let new = json!({
            "name": "me", "scopes": ["read", "send", "operate"], "namespace": "main",
        });
        let made = world.json("POST", "/api/v1/tokens", Some(new)).await;
        world.fill().await;
        made["token"].as_str().unwrap().clone_into(&mut world.token);
        world
    }

    async fn fill(&mut self) {
        let size = self.size;
        for i in 0..size {
            let agent = json!({ "wasm_module": echo(), "name": format!("a{i}") });
            self.json("POST", "/api/v1/agents", Some(agent)).await;
            let processor = json!({ "wasm_module": reverse(), "name": format!("p{i}") });
            self.json("POST", "/api/v1/processors", Some(processor))
                .await;
            let path = format!("/api/v1/agents/a{i}/capabilities");
            let offered = json!({ "services": [{ "name": "all" }, { "name": format!("s{i}") }] });
            self.json("POST", &path, Some(offered)).await;
        }
        for i in 0..size {
            let asked = json!({
                "performative": "request", "sender": "me", "receiver": "a0", "content": i,
                "conversation_id": "talk", "wait_ms": 20_000,
            });
            let answer = self.json("POST", "/api/v1/messages", Some(asked)).await;
            assert!(answer["reply"].is_object(), "{answer}");
        }
        let mut to = vec!["a0".to_owned()];
        to.extend((0..size).map(|i| format!("x{i}")));
        for i in 0..size {
            let secret = json!({ "name": format!("k{i}"), "value": "s3cr3t-v4lue" });
            self.json("POST", "/api/v1/vault", Some(secret)).await;
        }
        let lost = json!({ "performative": "inform", "sender": "other", "receiver": to });
        self.json("POST", "/api/v1/messages", Some(lost)).await;
        // The answer of the one that is there is the last that happens.
        let answered = "/api/v1/messages?receiver=other&wait_ms=20000";
        self.json("GET", answered, None).await;
        let ids = |page: Value| -> Vec<String> {
            let items = page["items"].as_array().unwrap().iter();
            let ids = items.map(|item| item["id"].as_str().unwrap().to_owned());
            ids.collect()
        };
        let path = "/api/v1/messages?receiver=me&conversation_id=talk&limit=1000";
        self.replies = ids(self.json("GET", path, None).await);
        assert_eq!(self.replies.len(), size);
        self.letters = ids(self
            .json("GET", "/api/v1/dead-letters?limit=1000", None)
            .await);
        assert_eq!(self.letters.len(), size);
    }

    async fn add_tokens(&self) {
        for i in 0..self.size {
            let new = json!({ "name": format!("t{i}"), "scopes": ["read"] });
            self.ask(
                "POST",
                "/api/v1/tokens",
                self.server.admin_token(),
                Some(new),
            )
            .await;
        }
    }

    fn oldest_letter(&self) -> &str {
        self.letters.last().unwrap()
    }

    fn work(&self) -> &Arc<Work> {
        &self.server.app.tokens.work
    }

    async fn json(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, text) = self.ask(method, path, &self.token, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {text}");
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_default()
    }

    /// One request over a connection of its own; an event stream is read to the newest event.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (u16, String) {
        let mut stream = TcpStream::connect(self.server.addr()).await.unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n"
        );
        let mut newest = None;
        if path.ends_with("/events") {
            request.push_str("last-event-id: 00000000-0\r\n");
            newest = Some(format!("-{}\n", self.node.last_event()));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        if !body.is_empty() {
            let length = body.len();
            request.push_str("content-type: application/json\r\n");
            request.push_str(&format!("content-length: {length}\r\n"));
        }
        let request = format!("{request}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut text, mut bytes) = (String::new(), vec![0; 64 << 10]);
        loop {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
            let count = read.expect("an answer").unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            let has_newest = newest.as_ref().is_some_and(|newest| text.contains(newest));
            if count == 0 || has_newest {
                break;
            }
        }
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        (status, text)
    }

    /// Paths and bodies that a route is asked with, in this order.
    fn requests(&self, id: RouteId) -> Vec<(String, Option<Value>)> {
        let path = |end: &str| (format!("/api/v1/{end}"), None);
        let with = |end: &str, body: Value| (format!("/api/v1/{end}"), Some(body));
        let named = |begin: &str| -> Vec<String> {
            (0..self.size).map(|i| format!("{begin}{i}")).collect()
        };
        match id {
            RouteId::DeployAgent => {
                let new = json!({ "wasm_module": echo(), "name": "new" });
                vec![with("agents", new)]
            }
            RouteId::ListAgents => ["limit=1000", "limit=5", "name=b*", "capability=none"]
                .iter()
                .map(|query| path(&format!("agents?{query}")))
                .collect(),
            RouteId::GetAgent => vec![path("agents/a0"), path("agents/aa0")],
            RouteId::RemoveAgent => vec![path("agents/a1")],
            RouteId::StopAgent => vec![path("agents/a2/stop")],
            RouteId::StartAgent => vec![path("agents/a2/start")],
            RouteId::UpdateAgent => {
                vec![with("agents/a3/update", json!({ "wasm_module": echo() }))]
            }
            RouteId::RollbackAgent => vec![path("agents/a3/rollback")],
            RouteId::RegisterAgent => {
                let services: Vec<Value> =
                    named("n").iter().map(|n| json!({ "name": n })).collect();
                let entry = json!({ "services": services });
                vec![with("agents/a4/capabilities", entry)]
            }
            RouteId::DeregisterAgent => vec![path("agents/a5/capabilities")],
            RouteId::AgentLogs => vec![path("agents/a0/logs"), path("agents/a0/logs?after=0")],
            RouteId::AgentMessages => vec![path("agents/a0/messages")],
            RouteId::AgentState => vec![path("agents/a0/state")],
            RouteId::AgentStateValue => vec![path("agents/a0/state/k")],
            RouteId::AgentFaults => vec![path("agents/a0/faults")],
            RouteId::AgentGrants => vec![path("agents/a0/grants")],
            RouteId::ChangeGrants => vec![with("agents/a0/grants", self.change_of_grants())],
            RouteId::ProcessorGrants => vec![path("processors/p0/grants")],
            RouteId::ChangeProcessorGrants => {
                vec![with("processors/p0/grants", self.change_of_grants())]
            }
            RouteId::AgentActs => vec![path("agents/a0/acts")],
            RouteId::DeployProcessor => {
                let new = json!({ "wasm_module": reverse(), "name": "new" });
                vec![with("processors", new)]
            }
            RouteId::ListProcessors => {
                vec![
                    path("processors?limit=1000"),
                    path("processors?limit=5"),
                    path("processors?name=b*"),
                ]
            }
            RouteId::GetProcessor => vec![path("processors/p0"), path("processors/pp0")],
            RouteId::RemoveProcessor => vec![path("processors/p1")],
            RouteId::CallProcessor => vec![path("processors/p0/call")],
            RouteId::ProcessorLogs => vec![path("processors/p0/logs")],
            other => self.requests_beside_agents(other),
        }
    }

    fn change_of_grants(&self) -> Value {
        let rules = (0..self.size).map(|i| format!("http:read=h{i}.example"));
        json!({ "grant": rules.collect::<Vec<String>>() })
    }

    fn requests_beside_agents(&self, id: RouteId) -> Vec<(String, Option<Value>)> {
        let path = |end: &str| (format!("/api/v1/{end}"), None);
        let with = |end: &str, body: Value| (format!("/api/v1/{end}"), Some(body));
        match id {
            RouteId::SendMessage => {
                let receivers: Vec<String> = (0..self.size).map(|i| format!("a{i}")).collect();
                let sent =
                    json!({ "performative": "inform", "sender": "me", "receiver": receivers });
                vec![with("messages", sent)]
            }
            RouteId::ListMessages => [
                "receiver=me&limit=1000",
                "receiver=me&limit=5",
                "conversation_id=talk&limit=1000",
                "conversation_id=talk&in_reply_to=none",
            ]
            .iter()
            .map(|query| path(&format!("messages?{query}")))
            .collect(),
            RouteId::DropMessages => {
                let ids = self.replies.join(",");
                vec![path(&format!("messages?receiver=me&id={ids}"))]
            }
            RouteId::GetConversation => vec![path("conversations/talk")],
            RouteId::ListDeadLetters => {
                vec![
                    path("dead-letters?limit=1000"),
                    path("dead-letters?limit=5"),
                ]
            }
            RouteId::ResendDeadLetter => {
                vec![path(&format!(
                    "dead-letters/{}/resend",
                    self.oldest_letter()
                ))]
            }
            RouteId::DeleteDeadLetter => {
                vec![path(&format!("dead-letters/{}", self.oldest_letter()))]
            }
            RouteId::ListCapabilities => vec![path("capabilities")],
            RouteId::GetCapability => vec![path("capabilities/all"), path("capabilities/al")],
            RouteId::GetJournal => vec![path("journal")],
            RouteId::GetTop => vec![path("top?limit=1000"), path("top?sort=memory")],
            RouteId::SearchAudit => vec![path("audit"), path("audit?last=true")],
            RouteId::GetAuditHead => vec![path("audit/head")],
            RouteId::VerifyAudit => vec![path("audit/verify")],
            RouteId::CreateToken => {
                let new = json!({ "name": "late", "scopes": ["read"], "clients": ["l1", "l2"] });
                vec![with("tokens", new)]
            }
            RouteId::ListTokens => vec![path("tokens")],
            RouteId::DeleteToken => vec![path("tokens/none")],
            RouteId::SetSecret => {
                let new = json!({ "name": "new", "value": "s3cr3t-v4lue" });
                vec![with("vault", new)]
            }
            RouteId::ListSecrets => vec![path("vault")],
            RouteId::RemoveSecret => vec![path("vault/none")],
            RouteId::RotateVaultKey => vec![path("vault-key/rotate")],
            RouteId::StreamEvents => vec![path("events")],
            RouteId::GetOpenApi => vec![path("openapi.json")],
            RouteId::GetErrorPage => vec![path("errors/CX1001")],
            RouteId::GetVersion => vec![("/version".to_owned(), None)],
            RouteId::GetMetrics => vec![("/metrics".to_owned(), None)],
            RouteId::GetLive => vec![("/health/live".to_owned(), None)],
            RouteId::GetReady => vec![("/health/ready".to_owned(), None)],
            other => panic!("there is no request for {other:?}"),
        }
    }

    /// Elements looked at for each request of a route, with each token that may ask it.
    async fn visited(&self, route: &Route) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        let tokens = match route.method {
            _ if stage(route) == 2 || route.scope == Some(Scope::Admin) => {
                vec![self.server.admin_token()]
            }
            Method::Get => vec![self.server.admin_token(), &self.token],
            _ => vec![&*self.token],
        };
        for (path, body) in self.requests(route.id) {
            for token in &tokens {
                let before = self.work().visited();
                let method = route.method.as_str();
                let (status, text) = self.ask(method, &path, token, body.clone()).await;
                assert!(status < 500, "{method} {path}: {text}");
                assert_ne!(status, 400, "{method} {path}: {text}");
                all.push((path.clone(), self.work().visited() - before));
            }
        }
        all
    }
}

fn echo() -> String {
    guest("echo-c")
}

/// A processor.
fn reverse() -> String {
    guest("reverse-bytes-c")
}

fn guest(name: &str) -> String {
    let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/prebuilt");
    STANDARD.encode(std::fs::read(format!("{guests}/{name}.wasm")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_the_input_of_a_route_is_at_most_twice_its_work() {
    let worlds = [World::new(SIZE).await, World::new(2 * SIZE).await];
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for now in 0..3 {
        if now == 2 {
            for world in &worlds {
                world.add_tokens().await;
            }
        }
        for route in ROUTES {
            if stage(route) != now {
                continue;
            }
            let id = route.id.as_str();
            let [once, twice] = [
                worlds[0].visited(route).await,
                worlds[1].visited(route).await,
            ];
            assert_eq!(once.len(), twice.len());
            asked += 1;
            let growth = growth(route.id);
            let mut grew = false;
            for ((path, once), (_, twice)) in once.iter().zip(&twice) {
                println!("{id}: {once} and {twice}: {path:.60}");
                grew |= twice > once;
                if *twice > 2 * once || (growth == Growth::None && twice > once) {
                    wrong.push(format!("{id}: {once} and {twice}: {path}"));
                }
            }
            if growth == Growth::Linear && !grew {
                wrong.push(format!(
                    "{id}: its work is not counted: {once:?} and {twice:?}"
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(asked, RouteId::ALL.len());
    for world in worlds {
        world.server.shutdown(Duration::from_secs(10)).await;
        world.node.shutdown(Duration::from_secs(10)).await;
    }
}
