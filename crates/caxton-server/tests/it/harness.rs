//! A node with its server, and the ways to talk to it.

use std::{path::PathBuf, time::Duration};

use caxton_client::{AgentConfig, CaxtonClient, DeployAgentRequest, Deployment, FipaMessage};
use caxton_node::{Node, NodeOptions};
use caxton_server::{Server, ServerLimits, ServerOptions, serve};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longer than anything here takes on a busy machine; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Harness {
    pub(crate) node: Node,
    pub(crate) server: Server,
}

/// What came back over a bare connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
    /// The problem's code; fails if the answer is not a whole problem document.
    pub(crate) fn code(&self) -> String {
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        let problem: caxton_client::api::Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        assert!(
            !problem.remedy.is_empty() && !problem.detail.is_empty(),
            "{problem:?}"
        );
        assert!(!problem.request_id.is_empty(), "{problem:?}");
        let code = problem
            .error_code()
            .unwrap_or_else(|| panic!("no code: {problem:?}"));
        assert!(problem.page.ends_with(code.page()), "{problem:?}");
        problem.code
    }
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(ServerLimits::default(), None).await
    }

    pub(crate) async fn with(limits: ServerLimits, data: Option<PathBuf>) -> Self {
        let options = NodeOptions {
            data,
            shards: 1,
            ..NodeOptions::default()
        };
        Self::over(options, limits).await
    }

    pub(crate) async fn of(options: NodeOptions) -> Self {
        Self::over(options, ServerLimits::default()).await
    }

    async fn over(options: NodeOptions, limits: ServerLimits) -> Self {
        let node = Node::start(options).await.unwrap();
        let server = serve(node.clone(), options_with(limits)).await.unwrap();
        Self { node, server }
    }

    pub(crate) fn client(&self) -> CaxtonClient {
        CaxtonClient::with_token(&self.server.url(), self.server.admin_token()).unwrap()
    }

    pub(crate) fn client_with(&self, token: &str) -> CaxtonClient {
        CaxtonClient::with_token(&self.server.url(), token).unwrap()
    }

    pub(crate) async fn deploy(&self, name: &str, guest: &str) -> Deployment {
        self.client()
            .deploy_agent(request(name, guest))
            .await
            .unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.addr()).await.unwrap()
    }

    /// Sends bytes as they are and reads all that comes until the other side closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read everything: then its answer is what counts.
        let _ = stream.write_all(bytes).await;
        read_all(&mut stream).await
    }

    /// One request with the admin token.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Answer {
        let token = format!("authorization: Bearer {}\r\n", self.server.admin_token());
        self.call_with(method, path, &token, body).await
    }

    /// One request with these header lines.
    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: Option<(&str, &[u8])>,
    ) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}")
                .into_bytes();
        match body {
            Some((media_type, bytes)) => {
                let length = bytes.len();
                request.extend(
                    format!("content-type: {media_type}\r\ncontent-length: {length}\r\n\r\n")
                        .bytes(),
                );
                request.extend(bytes);
            }
            None => request.extend(b"\r\n"),
        }
        answer(&self.raw(&request).await)
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.call(
            method,
            path,
            Some(("application/json", body.to_string().as_bytes())),
        )
        .await
    }

    pub(crate) async fn stop(self) {
        self.server.shutdown(Duration::from_secs(10)).await;
        self.node.shutdown(Duration::from_secs(10)).await;
    }
}

pub(crate) fn options_with(limits: ServerLimits) -> ServerOptions {
    ServerOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        limits,
        ..ServerOptions::default()
    }
}

pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    // A reset after the answer is as good an end as any.
    let _ = tokio::time::timeout(PATIENCE, read)
        .await
        .expect("the server closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status: {text:?}")),
        head: head.to_lowercase(),
        body: body.trim().to_owned(),
    }
}

/// A guest of `guests/prebuilt`, or one of `guests/wat`.
pub(crate) fn guest(file: &str) -> Vec<u8> {
    let guests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../guests");
    if file.ends_with(".wat") {
        return wat::parse_file(guests.join("wat").join(file)).unwrap();
    }
    let path = guests.join("prebuilt").join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn request(name: &str, file: &str) -> DeployAgentRequest {
    DeployAgentRequest {
        wasm_module: guest(file),
        config: AgentConfig {
            name: name.to_owned(),
            ..AgentConfig::default()
        },
    }
}

pub(crate) fn message(sender: &str, receiver: &str, content: Value) -> FipaMessage {
    FipaMessage {
        performative: "request".to_owned(),
        sender: sender.to_owned(),
        receiver: json!(receiver),
        content,
        ..FipaMessage::default()
    }
}
