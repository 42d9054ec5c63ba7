//! The table of routes. What is not in here is not served.

use caxton_model::ErrorCode as E;

use crate::{
    Answer, Body,
    Method::{Delete, Get, Post},
    Route, RouteId, Scope, route_admin,
    route_params::{
        AGENT, AGENT_CURSOR, CURSOR, FAULT_CURSOR, FLAG, KIND, LAST_EVENT, LETTER, LIMIT,
        LOG_CURSOR, LOG_LINE, MESSAGE_CURSOR, MESSAGE_IDS, NAME, NAMESPACE, STATUS, TEXT, TOP_SORT,
        WAIT, needed, path, query,
    },
    route_table_processors::{DEPLOY_ERRORS, ROUTES_OF_PROCESSORS},
};

const AGENT_ERRORS: &[E] = &[E::NotFound, E::DiskFull, E::AuditUnavailable];

/// What all routes have in common.
pub(crate) const BASE: Route = Route {
    id: RouteId::GetLive,
    method: Get,
    path: "",
    scope: Some(Scope::Read),
    tag: "",
    summary: "",
    params: &[],
    body: Body::None,
    answers: &[],
    errors: &[],
};
const AGENTS: Route = Route {
    tag: "agents",
    errors: AGENT_ERRORS,
    ..BASE
};
const MESSAGES: Route = Route {
    tag: "messages",
    ..BASE
};
const NODE: Route = Route {
    tag: "node",
    ..BASE
};

/// Every route there is.
pub const ROUTES: &[Route] = &[
    Route {
        id: RouteId::DeployAgent,
        method: Post,
        path: "/api/v1/agents",
        scope: Some(Scope::Operate),
        summary: "Deploys an agent; it takes messages when this returns.",
        body: Body::Module("DeployRequest", "DeployForm"),
        answers: &[(201, Answer::Json("Deployed"))],
        errors: DEPLOY_ERRORS,
        ..AGENTS
    },
    Route {
        id: RouteId::ListAgents,
        path: "/api/v1/agents",
        summary: "Lists agents.",
        params: &[
            query(
                "name",
                TEXT,
                "Only names that fit this pattern; `*` stands for anything.",
            ),
            query("status", STATUS, "Only agents there in their life."),
            query("capability", TEXT, "Only agents that offer this."),
            query("namespace", NAMESPACE, "Only agents of this namespace."),
            LIMIT,
            AGENT_CURSOR,
        ],
        answers: &[(200, Answer::Json("Page_AgentSummary"))],
        errors: &[],
        ..AGENTS
    },
    Route {
        id: RouteId::GetAgent,
        path: "/api/v1/agents/{id}",
        summary: "Shows an agent with its limits, grants, capabilities and counters.",
        params: &[AGENT],
        answers: &[(200, Answer::Json("AgentDetail"))],
        ..AGENTS
    },
    Route {
        id: RouteId::RemoveAgent,
        method: Delete,
        path: "/api/v1/agents/{id}",
        scope: Some(Scope::Operate),
        summary: "Removes an agent with its mail, timers and state.",
        params: &[AGENT],
        answers: &[(204, Answer::Empty)],
        ..AGENTS
    },
    Route {
        id: RouteId::StopAgent,
        method: Post,
        path: "/api/v1/agents/{id}/stop",
        scope: Some(Scope::Operate),
        summary: "Stops an agent; it keeps its state.",
        params: &[AGENT],
        body: Body::OptionalJson("StopRequest"),
        answers: &[(200, Answer::Json("AgentSummary"))],
        ..AGENTS
    },
    Route {
        id: RouteId::StartAgent,
        method: Post,
        path: "/api/v1/agents/{id}/start",
        scope: Some(Scope::Operate),
        summary: "Starts an agent that was stopped or has failed.",
        params: &[AGENT],
        answers: &[(200, Answer::Json("AgentSummary"))],
        errors: &[E::NotFound, E::InitFailed, E::NodeBudget, E::DiskFull],
        ..AGENTS
    },
    Route {
        id: RouteId::UpdateAgent,
        method: Post,
        path: "/api/v1/agents/{id}/update",
        scope: Some(Scope::Operate),
        summary: "Switches an agent to another module or other settings; its state stays.",
        params: &[AGENT],
        body: Body::Module("UpdateRequest", "UpdateForm"),
        answers: &[(200, Answer::Json("Deployed"))],
        errors: DEPLOY_ERRORS,
        ..AGENTS
    },
    Route {
        id: RouteId::RollbackAgent,
        method: Post,
        path: "/api/v1/agents/{id}/rollback",
        scope: Some(Scope::Operate),
        summary: "Switches an agent back to what it was before its last update.",
        params: &[AGENT],
        answers: &[(200, Answer::Json("AgentSummary"))],
        errors: &[E::NotFound, E::InitFailed, E::NodeBudget, E::DiskFull],
        ..AGENTS
    },
    Route {
        id: RouteId::RegisterAgent,
        method: Post,
        path: "/api/v1/agents/{id}/capabilities",
        scope: Some(Scope::Operate),
        summary: "Registers what an agent offers, in place of what it registered.",
        params: &[AGENT],
        body: Body::Json("Registration"),
        answers: &[(200, Answer::Json("AgentSummary"))],
        ..AGENTS
    },
    Route {
        id: RouteId::DeregisterAgent,
        method: Delete,
        path: "/api/v1/agents/{id}/capabilities",
        scope: Some(Scope::Operate),
        summary: "Takes an agent's entry out of the directory.",
        params: &[AGENT],
        answers: &[(204, Answer::Empty)],
        ..AGENTS
    },
    Route {
        id: RouteId::AgentLogs,
        path: "/api/v1/agents/{id}/logs",
        summary: "The agent's last log lines, oldest first; with `after` or `cursor` the first ones \
                  behind that line; with `follow`, or `Accept: text/event-stream`, as they come.",
        params: &[
            AGENT,
            query(
                "after",
                LOG_LINE,
                "Only lines behind this one: its `id`, which after another start of the node stands \
                 for no line, so that all are given; or a number alone, among the lines since the \
                 node's start.",
            ),
            query("follow", FLAG, "Streams what comes."),
            LIMIT,
            LOG_CURSOR,
            LAST_EVENT,
        ],
        answers: &[(200, Answer::PageOrEvents("Page_LogEntry", "LogEntry"))],
        ..AGENTS
    },
    Route {
        id: RouteId::AgentMessages,
        path: "/api/v1/agents/{id}/messages",
        summary: "Messages that wait for the agent, oldest first.",
        params: &[AGENT, LIMIT, MESSAGE_CURSOR],
        answers: &[(200, Answer::Json("Page_MailEntry"))],
        ..AGENTS
    },
    Route {
        id: RouteId::AgentState,
        path: "/api/v1/agents/{id}/state",
        summary: "Keys the agent has stored, with sizes.",
        params: &[AGENT, LIMIT, CURSOR],
        answers: &[(200, Answer::Json("Page_StateKeyEntry"))],
        ..AGENTS
    },
    Route {
        id: RouteId::AgentStateValue,
        path: "/api/v1/agents/{id}/state/{key}",
        summary: "The raw bytes of a stored value.",
        params: &[AGENT, path("key", "The key, percent-encoded.")],
        answers: &[(200, Answer::Raw("application/octet-stream"))],
        ..AGENTS
    },
    Route {
        id: RouteId::AgentFaults,
        path: "/api/v1/agents/{id}/faults",
        summary: "The agent's last faults, newest first.",
        params: &[AGENT, LIMIT, FAULT_CURSOR],
        answers: &[(200, Answer::Json("Page_AgentFault"))],
        ..AGENTS
    },
    Route {
        id: RouteId::AgentGrants,
        path: "/api/v1/agents/{id}/grants",
        summary: "What the agent is granted, rule by rule.",
        params: &[AGENT],
        answers: &[(200, Answer::Json("Page_GrantEntry"))],
        ..AGENTS
    },
    Route {
        id: RouteId::ChangeGrants,
        method: Post,
        path: "/api/v1/agents/{id}/grants",
        scope: Some(Scope::Admin),
        summary: "Grants an agent rules and takes others back; its next access sees it.",
        params: &[AGENT],
        body: Body::Json("GrantChange"),
        answers: &[(200, Answer::Json("Page_GrantEntry"))],
        errors: &[E::NotFound, E::InvalidConfig, E::InvalidLimit, E::DiskFull],
        ..AGENTS
    },
    Route {
        id: RouteId::AgentActs,
        path: "/api/v1/agents/{id}/acts",
        summary: "The accesses of the agent's unfinished turn: their intents and outcomes.",
        params: &[AGENT],
        answers: &[(200, Answer::Json("Page_AccessEntry"))],
        ..AGENTS
    },
    ROUTES_OF_PROCESSORS[0],
    ROUTES_OF_PROCESSORS[1],
    ROUTES_OF_PROCESSORS[2],
    ROUTES_OF_PROCESSORS[3],
    ROUTES_OF_PROCESSORS[4],
    ROUTES_OF_PROCESSORS[5],
    ROUTES_OF_PROCESSORS[6],
    ROUTES_OF_PROCESSORS[7],
    Route {
        id: RouteId::SendMessage,
        method: Post,
        path: "/api/v1/messages",
        scope: Some(Scope::Send),
        summary: "Sends a message; with `wait_ms`, waits for the reply.",
        body: Body::Json("SendRequest"),
        answers: &[
            (200, Answer::Json("SendResult")),
            (202, Answer::Json("SendResult")),
        ],
        errors: &[
            E::MalformedMessage,
            E::MessageTooLarge,
            E::ReservedName,
            E::InvalidName,
            E::Denied,
            E::NotFound,
            E::NoCapability,
            E::RemoteAddress,
            E::Undeliverable,
            E::QueueFull,
            E::Breaker,
            E::MessageRateLimit,
            E::DuplicateMessage,
            E::AgentFailed,
            E::AgentStopped,
            E::NodeBudget,
            E::DiskFull,
        ],
        ..MESSAGES
    },
    Route {
        id: RouteId::ListMessages,
        path: "/api/v1/messages",
        scope: Some(Scope::Send),
        summary: "Replies to a client outside (`receiver`), mail of an agent (`receiver`), or a conversation (`conversation_id`).",
        params: &[
            query(
                "receiver",
                NAME,
                "A client's name, or an agent's name or id; needed without `conversation_id`.",
            ),
            query(
                "conversation_id",
                TEXT,
                "A conversation; with `receiver`, only its messages.",
            ),
            query(
                "in_reply_to",
                TEXT,
                "With `receiver`: only the reply to this.",
            ),
            WAIT,
            LIMIT,
            MESSAGE_CURSOR,
        ],
        answers: &[(200, Answer::Json("Page_MailEntry"))],
        errors: &[E::NotFound, E::InvalidName, E::ReservedName],
        ..MESSAGES
    },
    Route {
        id: RouteId::DropMessages,
        method: Delete,
        path: "/api/v1/messages",
        scope: Some(Scope::Send),
        summary: "Drops replies that a client has read.",
        params: &[
            needed("receiver", NAME, "The client's name."),
            needed(
                "id",
                MESSAGE_IDS,
                "Ids of the replies, separated by commas.",
            ),
        ],
        answers: &[(204, Answer::Empty)],
        errors: &[E::InvalidName, E::ReservedName],
        ..MESSAGES
    },
    Route {
        id: RouteId::GetConversation,
        path: "/api/v1/conversations/{id}",
        summary: "What was said in a conversation.",
        params: &[path("id", "The conversation id.")],
        answers: &[(200, Answer::Json("ConversationView"))],
        errors: &[E::NotFound],
        ..MESSAGES
    },
    Route {
        id: RouteId::ListDeadLetters,
        path: "/api/v1/dead-letters",
        summary: "Messages that could not be delivered, newest first.",
        params: &[LIMIT, MESSAGE_CURSOR],
        answers: &[(200, Answer::Json("Page_DeadLetterEntry"))],
        ..MESSAGES
    },
    Route {
        id: RouteId::ResendDeadLetter,
        method: Post,
        path: "/api/v1/dead-letters/{id}/resend",
        scope: Some(Scope::Operate),
        summary: "Sends a dead letter again.",
        params: &[LETTER],
        answers: &[(200, Answer::Json("Taken"))],
        errors: &[E::NotFound, E::Undeliverable, E::DiskFull],
        ..MESSAGES
    },
    Route {
        id: RouteId::DeleteDeadLetter,
        method: Delete,
        path: "/api/v1/dead-letters/{id}",
        scope: Some(Scope::Operate),
        summary: "Deletes a dead letter.",
        params: &[LETTER],
        answers: &[(204, Answer::Empty)],
        errors: &[E::NotFound, E::DiskFull],
        ..MESSAGES
    },
    Route {
        id: RouteId::ListCapabilities,
        path: "/api/v1/capabilities",
        tag: "directory",
        summary: "Registered capabilities.",
        answers: &[(200, Answer::Json("Page_CapabilityEntry"))],
        ..BASE
    },
    Route {
        id: RouteId::GetCapability,
        path: "/api/v1/capabilities/{name}",
        tag: "directory",
        summary: "Agents that offer a capability.",
        params: &[path("name", "The capability's name.")],
        answers: &[(200, Answer::Json("Page_Offer"))],
        errors: &[E::NoCapability],
        ..BASE
    },
    Route {
        id: RouteId::GetJournal,
        path: "/api/v1/journal",
        summary: "How the journal is.",
        answers: &[(200, Answer::Json("JournalView"))],
        ..NODE
    },
    Route {
        id: RouteId::GetTop,
        path: "/api/v1/top",
        summary: "How the node is loaded: what it did in the last second, and its busiest agents.",
        params: &[
            query("sort", TOP_SORT, "What the busiest agents are sorted by."),
            LIMIT,
        ],
        answers: &[(200, Answer::Json("TopView"))],
        ..NODE
    },
    route_admin::SEARCH_AUDIT,
    route_admin::GET_AUDIT_HEAD,
    route_admin::VERIFY_AUDIT,
    route_admin::CREATE_TOKEN,
    route_admin::LIST_TOKENS,
    route_admin::DELETE_TOKEN,
    route_admin::SET_SECRET,
    route_admin::LIST_SECRETS,
    route_admin::REMOVE_SECRET,
    route_admin::ROTATE_VAULT_KEY,
    Route {
        id: RouteId::StreamEvents,
        path: "/api/v1/events",
        summary: "What happens on the node, as it happens.",
        params: &[
            query("kind", KIND, "Only events of this kind."),
            query(
                "agent",
                TEXT,
                "Only events about this agent, by id or name.",
            ),
            query(
                "conversation_id",
                TEXT,
                "Only messages of this conversation.",
            ),
            LAST_EVENT,
        ],
        answers: &[(200, Answer::Events("EventBody"))],
        errors: &[E::NotFound],
        ..NODE
    },
    Route {
        id: RouteId::GetOpenApi,
        path: "/api/v1/openapi.json",
        summary: "This document.",
        answers: &[(200, Answer::Raw("application/json"))],
        ..NODE
    },
    Route {
        id: RouteId::GetErrorPage,
        path: "/api/v1/errors/{code}",
        summary: "The page of an error code.",
        params: &[path(
            "code",
            "The page's name, such as `CX4005`, or the code, such as `not-found`.",
        )],
        answers: &[(200, Answer::Raw("text/markdown"))],
        errors: &[E::NotFound],
        ..NODE
    },
    Route {
        id: RouteId::GetVersion,
        path: "/version",
        summary: "What runs.",
        answers: &[(200, Answer::Json("VersionView"))],
        ..NODE
    },
    Route {
        id: RouteId::GetMetrics,
        path: "/metrics",
        summary: "Metrics in the text form of Prometheus.",
        answers: &[(200, Answer::Raw("text/plain"))],
        ..NODE
    },
    Route {
        id: RouteId::GetLive,
        path: "/health/live",
        scope: None,
        summary: "Whether the process answers.",
        answers: &[(200, Answer::Json("Live"))],
        ..NODE
    },
    Route {
        id: RouteId::GetReady,
        path: "/health/ready",
        scope: None,
        summary: "Whether the node takes requests.",
        answers: &[(200, Answer::Json("Ready"))],
        errors: &[E::DiskFull],
        ..NODE
    },
];
