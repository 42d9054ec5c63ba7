//! The part of the table of routes that is about processors.

use caxton_model::ErrorCode as E;

use crate::{
    Answer, Body,
    Method::{Delete, Post},
    Param, Route, RouteId, Scope,
    route_params::{
        FLAG, LAST_EVENT, LIMIT, LOG_CURSOR, LOG_LINE, NAME, NAMESPACE, TEXT, path, query,
    },
    route_table::BASE,
};

/// How a deployment is refused, of an agent or of a processor.
pub(crate) const DEPLOY_ERRORS: &[E] = &[
    E::ModuleTooLarge,
    E::InvalidModule,
    E::UnsupportedModule,
    E::UnmetImport,
    E::PermissionRequired,
    E::ProfileRequired,
    E::InvalidManifest,
    E::InvalidConfig,
    E::InvalidLimit,
    E::InvalidName,
    E::ReservedName,
    E::CompileRefused,
    E::InitFailed,
    E::NameTaken,
    E::NotFound,
    E::NodeBudget,
    E::DiskFull,
    E::AuditUnavailable,
];

const PROCESSOR: Param = path("name", "The processor's name; `/` in a name as `%2F`.");
const CURSOR: Param = query(
    "cursor",
    NAME,
    "Where the page begins: `next_cursor` of the one before.",
);

/// How a call ends that did not go well: it was refused, or its guest failed.
const CALL_ERRORS: &[E] = &[
    E::NotFound,
    E::ConcurrencyLimit,
    E::NodeBudget,
    E::MemoryLimit,
    E::TableLimit,
    E::CpuLimit,
    E::WallLimit,
    E::FuelLimit,
    E::StackLimit,
    E::HostCallLimit,
    E::AllocationLimit,
    E::Trap,
    E::BadPointer,
    E::BadAllocator,
    E::BadReturn,
    E::GuestAbort,
    E::GuestExit,
    E::GuestError,
];

const PROCESSORS: Route = Route {
    tag: "processors",
    errors: &[E::NotFound],
    ..BASE
};

/// The routes of processors.
pub(crate) const ROUTES_OF_PROCESSORS: [Route; 8] = [
    Route {
        id: RouteId::DeployProcessor,
        method: Post,
        path: "/api/v1/processors",
        scope: Some(Scope::Operate),
        summary: "Deploys a processor, in place of the one of its name; it can be called when this \
                  returns.",
        body: Body::Module("DeployProcessorRequest", "DeployProcessorForm"),
        answers: &[
            (200, Answer::Json("DeployedProcessor")),
            (201, Answer::Json("DeployedProcessor")),
        ],
        errors: DEPLOY_ERRORS,
        ..PROCESSORS
    },
    Route {
        id: RouteId::ListProcessors,
        path: "/api/v1/processors",
        summary: "Lists processors by name.",
        params: &[
            query(
                "name",
                TEXT,
                "Only names that fit this pattern; `*` stands for anything.",
            ),
            query("namespace", NAMESPACE, "Only processors of this namespace."),
            LIMIT,
            CURSOR,
        ],
        answers: &[(200, Answer::Json("Page_ProcessorSummary"))],
        errors: &[],
        ..PROCESSORS
    },
    Route {
        id: RouteId::GetProcessor,
        path: "/api/v1/processors/{name}",
        summary: "Shows a processor with its limits and counters.",
        params: &[PROCESSOR],
        answers: &[(200, Answer::Json("ProcessorDetail"))],
        ..PROCESSORS
    },
    Route {
        id: RouteId::RemoveProcessor,
        method: Delete,
        path: "/api/v1/processors/{name}",
        scope: Some(Scope::Operate),
        summary: "Removes a processor; its calls that run go on to their end.",
        params: &[PROCESSOR],
        answers: &[(204, Answer::Empty)],
        errors: &[E::NotFound, E::DiskFull],
        ..PROCESSORS
    },
    Route {
        id: RouteId::ProcessorGrants,
        path: "/api/v1/processors/{name}/grants",
        summary: "What the processor is granted, rule by rule.",
        params: &[PROCESSOR],
        answers: &[(200, Answer::Json("Page_GrantEntry"))],
        ..PROCESSORS
    },
    Route {
        id: RouteId::ChangeProcessorGrants,
        method: Post,
        path: "/api/v1/processors/{name}/grants",
        scope: Some(Scope::Admin),
        summary: "Grants a processor rules and takes others back; the next access of its calls sees it.",
        params: &[PROCESSOR],
        body: Body::Json("GrantChange"),
        answers: &[(200, Answer::Json("Page_GrantEntry"))],
        errors: &[E::NotFound, E::InvalidConfig, E::InvalidLimit, E::DiskFull],
        ..PROCESSORS
    },
    Route {
        id: RouteId::CallProcessor,
        method: Post,
        path: "/api/v1/processors/{name}/call",
        scope: Some(Scope::Send),
        summary: "Calls a processor: the body goes in, what comes out is the answer's; headers that \
                  begin with `caxton-` say what the call used.",
        params: &[
            PROCESSOR,
            query(
                "function",
                TEXT,
                "The action of an extension; without it, its description is answered.",
            ),
        ],
        body: Body::Bytes,
        answers: &[(200, Answer::Raw("application/octet-stream"))],
        errors: CALL_ERRORS,
        ..PROCESSORS
    },
    Route {
        id: RouteId::ProcessorLogs,
        path: "/api/v1/processors/{name}/logs",
        summary: "The processor's last log lines, oldest first; with `after` or `cursor` the first ones \
                  behind that line; with `follow`, or `Accept: text/event-stream`, as they come.",
        params: &[
            PROCESSOR,
            query(
                "after",
                LOG_LINE,
                "Only lines behind this one: its `id`, or a number among the lines since the node's start.",
            ),
            query("follow", FLAG, "Streams what comes."),
            LIMIT,
            LOG_CURSOR,
            LAST_EVENT,
        ],
        answers: &[(200, Answer::PageOrEvents("Page_LogEntry", "LogEntry"))],
        ..PROCESSORS
    },
];
