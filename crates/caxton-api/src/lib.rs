//! The HTTP contract: the routes, what goes in, what comes out, and the OpenAPI document of it all.
//!
//! Server, client and command line share these types; nothing here opens a socket.
//! [`ROUTES`] is the one table of routes: the server is checked against it, the document is made
//! from it.

mod agent;
mod agent_config;
mod asked;
mod audit;
mod directory;
mod event;
mod grant;
mod message;
mod node;
mod openapi;
mod openapi_bodies;
mod page;
mod problem;
mod processor;
mod route;
mod route_admin;
mod route_params;
mod route_table;
mod route_table_processors;
mod schema;
mod scope;
mod token;
mod top;
mod vault;

#[cfg(test)]
mod error_pages_test;
#[cfg(test)]
mod route_table_test;

pub use agent::{
    AgentCounters, AgentDetail, AgentFault, AgentSummary, Deployed, LimitUse, LogEntry, MailboxUse,
    NotGranted, PermissionChange, RequestedEntry, StateKeyEntry,
};
pub use agent_config::{AgentConfig, ConfigError, DeployRequest, StopRequest, UpdateRequest};
pub use asked::{AskedGrants, AskedLimitMap, AskedValue, GrantPattern, whole_number};
pub use audit::{AuditCheck, AuditEntry, AuditHead, AuditParty};
pub use directory::{CapabilityEntry, Offer, Registration};
pub use event::{EventBody, EventKind, StreamGap};
pub use grant::{AccessEntry, GrantChange, GrantEntry};
pub use message::{
    ConversationEntry, ConversationView, DeadLetterEntry, MailEntry, SendOptions, SendResult, Taken,
};
pub use node::{BudgetView, JournalView, Live, Ready, VersionView};
pub use openapi::{openapi, openapi_text};
pub use page::Page;
pub use problem::{DOCS_PATH, PROBLEM_TYPE, Problem};
pub use processor::{
    CallCounters, CallMeasures, DeployedProcessor, ProcessorConfig, ProcessorDetail,
    ProcessorSummary,
};
pub use route::{Answer, Body, Method, Param, ParamIn, Route, RouteId};
pub use route_table::ROUTES;
pub use scope::{Scope, UnknownScope};
pub use token::{NewToken, TokenCreated, TokenEntry};
pub use top::{
    AgentCounts, BusyAgent, KeptFor, MemoryUse, Rates, TopSort, TopView, Totals, Waiting,
};
pub use vault::{KeyRotated, NewSecret, SecretEntry};

/// Where the versioned part of the API begins.
pub const API_PREFIX: &str = "/api/v1";
/// The file in a data directory that says where its node listens.
pub const ADDRESS_FILE: &str = "address";
/// The file in a data directory that holds the token of its operator.
pub const TOKEN_FILE: &str = "admin-token";
/// The socket in a data directory by which programs of this machine reach its node.
pub const SOCKET_FILE: &str = "api.sock";
/// The header that makes a repeated POST harmless.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header that names a request in answers, errors and the node's log.
pub const REQUEST_ID: &str = "x-request-id";
