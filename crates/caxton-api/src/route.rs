//! One route as data: what it is called with, what it answers, who may call it.

use std::fmt;

use caxton_model::ErrorCode;

use crate::Scope;

/// An HTTP method that the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "they are HTTP's own")]
pub enum Method {
    Get,
    Post,
    Delete,
}

impl Method {
    /// Its name, as in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! route_ids {
    ($($variant:ident $text:literal)*) => {
        /// A route's name. Whoever serves the API matches on it, so that none can be forgotten.
        #[allow(missing_docs, reason = "each route's summary is in the table")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RouteId { $($variant,)* }
        impl RouteId {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// As in the document.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }
    };
}
route_ids! {
    DeployAgent "deployAgent"
    ListAgents "listAgents"
    GetAgent "getAgent"
    RemoveAgent "removeAgent"
    StopAgent "stopAgent"
    StartAgent "startAgent"
    UpdateAgent "updateAgent"
    RollbackAgent "rollbackAgent"
    RegisterAgent "registerAgent"
    DeregisterAgent "deregisterAgent"
    AgentLogs "agentLogs"
    AgentMessages "agentMessages"
    AgentState "agentState"
    AgentStateValue "agentStateValue"
    AgentFaults "agentFaults"
    AgentGrants "agentGrants"
    ChangeGrants "changeGrants"
    AgentActs "agentActs"
    DeployProcessor "deployProcessor"
    ListProcessors "listProcessors"
    GetProcessor "getProcessor"
    RemoveProcessor "removeProcessor"
    ProcessorGrants "processorGrants"
    ChangeProcessorGrants "changeProcessorGrants"
    CallProcessor "callProcessor"
    ProcessorLogs "processorLogs"
    SendMessage "sendMessage"
    ListMessages "listMessages"
    DropMessages "dropMessages"
    GetConversation "getConversation"
    ListDeadLetters "listDeadLetters"
    ResendDeadLetter "resendDeadLetter"
    DeleteDeadLetter "deleteDeadLetter"
    ListCapabilities "listCapabilities"
    GetCapability "getCapability"
    GetJournal "getJournal"
    GetTop "getTop"
    SearchAudit "searchAudit"
    GetAuditHead "getAuditHead"
    VerifyAudit "verifyAudit"
    CreateToken "createToken"
    ListTokens "listTokens"
    DeleteToken "deleteToken"
    SetSecret "setSecret"
    ListSecrets "listSecrets"
    RemoveSecret "removeSecret"
    RotateVaultKey "rotateVaultKey"
    StreamEvents "streamEvents"
    GetOpenApi "getOpenApi"
    GetErrorPage "getErrorPage"
    GetVersion "getVersion"
    GetMetrics "getMetrics"
    GetLive "getLive"
    GetReady "getReady"
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamIn {
    /// In the path; always needed.
    Path,
    /// In the query; may be absent.
    Query,
    /// In the query; always needed.
    NeededQuery,
    /// In a header; may be absent.
    Header,
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub at: ParamIn,
    /// Its JSON Schema.
    pub schema: &'static str,
    /// One sentence.
    pub what: &'static str,
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON of this schema.
    Json(&'static str),
    /// JSON of this schema, or nothing.
    OptionalJson(&'static str),
    /// A module with its settings: JSON of the first schema, or multipart of the second.
    Module(&'static str, &'static str),
    /// Any bytes, of any media type.
    Bytes,
}

/// What a request that went well is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Only the status.
    Empty,
    /// JSON of this schema.
    Json(&'static str),
    /// A stream of server-sent events, each with JSON of this schema.
    Events(&'static str),
    /// A JSON page of this schema, or, where asked for, the same as a stream.
    PageOrEvents(&'static str, &'static str),
    /// Another media type.
    Raw(&'static str),
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Its name in the document.
    pub id: RouteId,
    /// The method.
    pub method: Method,
    /// The path from the root, with `{parameters}`.
    pub path: &'static str,
    /// What a token needs; `None`: open.
    pub scope: Option<Scope>,
    /// The group it stands in.
    pub tag: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Parameters.
    pub params: &'static [Param],
    /// What it takes.
    pub body: Body,
    /// Statuses it answers with when it went well, each with what it carries.
    pub answers: &'static [(u16, Answer)],
    /// Errors of its own, beside those that every route has.
    pub errors: &'static [ErrorCode],
}

impl Route {
    /// Whether it makes something, so that `Idempotency-Key` applies. A call of a processor changes
    /// nothing: it can be repeated without one.
    #[must_use]
    pub fn takes_idempotency_key(&self) -> bool {
        self.method == Method::Post && self.body != Body::Bytes
    }
    /// The names its query may have.
    pub fn query_names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        let params: &'static [Param] = self.params;
        params
            .iter()
            .filter(|param| matches!(param.at, ParamIn::Query | ParamIn::NeededQuery))
            .map(|param| param.name)
    }
    /// Errors that every route may answer with, as far as they apply to this one.
    #[must_use]
    pub fn common_errors(&self) -> Vec<ErrorCode> {
        let mut errors = vec![
            ErrorCode::MalformedRequest,
            ErrorCode::TooManyRequests,
            ErrorCode::HeadersTooLarge,
        ];
        if !self.params.is_empty() {
            errors.push(ErrorCode::UnknownField);
        }
        if self.scope.is_some() {
            errors.extend([ErrorCode::Unauthorized, ErrorCode::Forbidden]);
        }
        if self.body != Body::None {
            errors.extend([
                ErrorCode::UnknownField,
                ErrorCode::PayloadTooLarge,
                ErrorCode::UnsupportedMediaType,
                ErrorCode::RequestTimeout,
            ]);
        }
        if self.takes_idempotency_key() {
            errors.push(ErrorCode::Conflict);
        }
        errors.extend([
            ErrorCode::ShuttingDown,
            ErrorCode::Timeout,
            ErrorCode::Internal,
        ]);
        errors
    }
}
