//! The registry of errors: one stable code, page, class and remedy for each.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::HostCode;

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The guest misbehaved: supervise it.
    Guest,
    /// Somebody asked for what they may not have.
    Denied,
    /// The outside failed and may recover: retry within a bound.
    Transient,
    /// The caller's request is wrong and stays wrong.
    Caller,
    /// The host is wrong: alert, keep the others running.
    Host,
}

macro_rules! errors {
    ($($variant:ident $page:literal $code:literal $class:ident $http:literal $guest:expr, $seed:expr, $remedy:literal;)*) => {
        /// What went wrong, as a stable word.
        #[allow(missing_docs, reason = "each has its page in docs/errors")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode { $($variant,)* }
        impl ErrorCode {
            /// The whole registry.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The stable kebab-case word.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $code,)* } }
            /// The name of its page in `docs/errors/`.
            #[must_use]
            pub const fn page(self) -> &'static str { match self { $(Self::$variant => $page,)* } }
            /// Who has to act.
            #[must_use]
            pub const fn class(self) -> ErrorClass { match self { $(Self::$variant => ErrorClass::$class,)* } }
            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn http_status(self) -> u16 { match self { $(Self::$variant => $http,)* } }
            /// The number a guest gets for it, where a host function answers with it.
            #[must_use]
            pub const fn host_code(self) -> Option<HostCode> { match self { $(Self::$variant => $guest,)* } }
            /// The seed documents' name for it, where they have one.
            #[must_use]
            pub const fn seed_name(self) -> Option<&'static str> { match self { $(Self::$variant => $seed,)* } }
            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str { match self { $(Self::$variant => $remedy,)* } }
        }
    };
}

errors! {
    // 1xxx: limits of a guest.
    MemoryLimit "CX1001" "memory-limit" Guest 422 None, Some("MemoryLimitExceeded"), "raise `memory` in [limits], or make the guest allocate less";
    TableLimit "CX1002" "table-limit" Guest 422 None, None, "raise `table_elements` in [limits]";
    CpuLimit "CX1003" "cpu-limit" Guest 422 None, Some("CpuLimitExceeded"), "raise `cpu` in [limits], or split the work over several turns with a timer";
    WallLimit "CX1004" "wall-limit" Guest 422 None, Some("TimeoutExceeded"), "raise `wall` in [limits], or wait with a timer instead of sleeping";
    FuelLimit "CX1005" "fuel-limit" Guest 422 None, Some("InstructionLimitExceeded"), "raise `fuel` or `cpu` in [limits]";
    StackLimit "CX1006" "stack-limit" Guest 422 None, None, "recurse less deeply; the guest stack is 512 KiB for all guests";
    HostCallLimit "CX1007" "host-call-limit" Guest 422 None, None, "raise `host_calls` in [limits], or do more in each host call";
    AllocationLimit "CX1008" "allocation-limit" Guest 422 None, Some("AllocationLimitExceeded"), "grow memory in larger steps, or raise `allocations` in [limits]";
    MessageRateLimit "CX1009" "message-rate-limit" Guest 429 Some(HostCode::RateLimited), Some("MessageRateLimitExceeded"), "send less often, or raise `messages_per_second` in [limits]";
    QueueFull "CX1010" "queue-full" Transient 429 Some(HostCode::QueueFull), None, "wait and send again, or raise `mailbox` in the receiver's [limits]";
    TimerLimit "CX1011" "timer-limit" Guest 422 Some(HostCode::QuotaReached), None, "cancel timers that are no longer needed, or raise `timers` in [limits]";
    MessageTooLarge "CX1012" "message-too-large" Caller 413 Some(HostCode::TooLarge), None, "send less in one message, or raise `message_bytes` in [limits]";
    PayloadTooLarge "CX1013" "payload-too-large" Caller 413 Some(HostCode::TooLarge), None, "send less in one call, or raise `payload_bytes` in [limits]";
    StateLimit "CX1014" "state-limit" Guest 422 Some(HostCode::QuotaReached), None, "delete keys that are no longer needed, or raise `state_bytes` in [limits]";
    LogRateLimit "CX1015" "log-rate-limit" Guest 429 None, None, "log less, or raise `log_lines_per_second` in [limits]";
    ModuleTooLarge "CX1016" "module-too-large" Caller 413 None, None, "build with size optimisation and strip the module, or raise `module_bytes` in [limits]";
    ConcurrencyLimit "CX1017" "concurrency-limit" Transient 429 None, None, "wait for calls in flight, or raise `concurrent_calls` in [limits]";
    SubscriptionLimit "CX1018" "subscription-limit" Guest 422 Some(HostCode::QuotaReached), None, "unsubscribe what is no longer needed, or raise `subscriptions` in [limits]";
    HostBytesLimit "CX1019" "host-bytes-limit" Guest 429 Some(HostCode::QuotaReached), None, "wait for answers to open requests, end subscriptions or shorten the descriptor, or raise `host_bytes` in [limits]";
    FileLimit "CX1020" "file-limit" Guest 422 None, None, "delete or shorten files, or raise the limit that the error names, `file_bytes`, `fs_bytes` or `fs_entries`, in [limits]";
    HttpRateLimit "CX1021" "http-rate-limit" Guest 429 Some(HostCode::RateLimited), None, "send requests less often, or raise `http_per_minute` in [limits]";
    HttpBodyTooLarge "CX1022" "http-body-too-large" Guest 413 Some(HostCode::TooLarge), None, "send or ask for less at a time, or raise `http_body_bytes` in [limits]";
    HttpByteRateLimit "CX1023" "http-byte-rate-limit" Guest 429 Some(HostCode::RateLimited), None, "send and ask for less, or raise `http_bytes_per_minute` in [limits]";
    NetByteRateLimit "CX1024" "net-byte-rate-limit" Guest 429 Some(HostCode::RateLimited), None, "send and ask for less, or raise `net_bytes_per_minute` in [limits]";
    // 2xxx: faults of a guest that are no limits.
    Trap "CX2001" "trap" Guest 422 None, None, "read the backtrace: the guest executed an invalid operation";
    BadPointer "CX2002" "bad-pointer" Guest 422 None, None, "pass pointers and lengths that lie inside the guest's memory";
    GuestAbort "CX2003" "guest-abort" Guest 422 None, None, "read the message: the guest gave up by itself";
    GuestExit "CX2004" "guest-exit" Guest 422 None, None, "return from the export instead of calling exit";
    BadReturn "CX2005" "bad-return" Guest 422 None, None, "return what the guest interface says";
    GuestError "CX2006" "guest-error" Guest 422 None, None, "read the guest's own words";
    InitFailed "CX2007" "init-failed" Guest 422 None, None, "make `agent_init` return 0; its log lines and the fault say what stopped it";
    Interrupted "CX2008" "interrupted" Guest 422 None, None, "make the guest ask the same again after a restart";
    Breaker "CX2009" "breaker-open" Transient 429 None, None, "your last messages made this agent fault; mend them, then try again after the pause";
    BadAllocator "CX2010" "bad-allocator" Guest 422 None, None, "make the guest's allocator return memory that the guest owns";
    // 3xxx: what the caller sent is wrong.
    MalformedMessage "CX3001" "malformed-message" Caller 400 Some(HostCode::Malformed), None, "send a JSON object with at least `performative` and `receiver`";
    MalformedRequest "CX3002" "malformed-request" Caller 400 None, None, "compare the request with the API document at /api/v1/openapi.json";
    UnknownField "CX3003" "unknown-field" Caller 400 None, None, "remove the field, or use the name that the error suggests";
    InvalidModule "CX3004" "invalid-module" Caller 422 None, None, "rebuild the module; `caxton inspect FILE` says what is wrong with it";
    UnsupportedModule "CX3005" "unsupported-module" Caller 422 None, None, "export one of the documented interfaces; `caxton inspect FILE` lists what is missing";
    UnmetImport "CX3006" "unmet-import" Caller 422 None, None, "remove the import; docs/guest-abi.md lists what the host offers";
    ProfileRequired "CX3007" "profile-required" Caller 422 None, None, "deploy with the engine profile that the error names";
    InvalidManifest "CX3008" "invalid-manifest" Caller 422 None, None, "correct the manifest at the lines shown";
    InvalidConfig "CX3009" "invalid-config" Caller 422 None, None, "correct the configuration at the lines shown";
    InvalidLimit "CX3010" "invalid-limit" Caller 422 None, None, "ask for limits within the node's ceilings";
    InvalidName "CX3011" "invalid-name" Caller 422 None, None, "use a letter, then at most 62 letters, digits, `_`, `.` or `-`";
    CompileRefused "CX3012" "compile-refused" Caller 422 None, None, "make the module smaller or simpler: compiling it went over the compiler's limits";
    UnsupportedMediaType "CX3013" "unsupported-media-type" Caller 415 None, None, "send application/json or multipart/form-data";
    HeadersTooLarge "CX3014" "headers-too-large" Caller 431 None, None, "send fewer or shorter headers: at most 100, and 32 KiB together";
    // 4xxx: rights, names and state.
    Denied "CX4001" "denied" Denied 403 Some(HostCode::Denied), None, "ask the operator for the permission that the error names";
    Unauthorized "CX4002" "unauthorized" Denied 401 None, None, "send `Authorization: Bearer TOKEN`; the node's admin token is in its data directory";
    Forbidden "CX4003" "forbidden" Denied 403 None, None, "use a token with the scope that the error names";
    ReservedName "CX4004" "reserved-name" Denied 403 None, None, "send under a name that is neither an agent's nor the host's";
    NotFound "CX4005" "not-found" Caller 404 Some(HostCode::NotFound), None, "check the name; `caxton agent list` shows what there is";
    NameTaken "CX4006" "name-taken" Caller 409 None, None, "choose another name, remove the other agent, or update it";
    Conflict "CX4007" "conflict" Caller 409 None, None, "read the present state and try again";
    DuplicateMessage "CX4008" "duplicate-message" Caller 409 None, None, "use a new `message_id` for a new message, or repeat the first message as it was";
    MethodNotAllowed "CX4009" "method-not-allowed" Caller 405 None, None, "use one of the methods in the `Allow` header";
    PermissionRequired "CX4010" "permission-required" Denied 403 None, None, "grant the permission that the error names, or remove the import";
    // 5xxx: delivery.
    Undeliverable "CX5001" "undeliverable" Caller 422 None, None, "check the receiver; the message is in the dead letters and can be sent again";
    AgentFailed "CX5002" "agent-failed" Transient 503 Some(HostCode::Unavailable), None, "the receiver failed too often; mend and start it again";
    AgentStopped "CX5003" "agent-stopped" Transient 503 Some(HostCode::Unavailable), None, "start the receiver again";
    Timeout "CX5004" "timeout" Transient 504 None, None, "allow more time, or look at what the receiver is doing";
    NoCapability "CX5005" "no-capability" Caller 404 Some(HostCode::NotFound), None, "`caxton agent list --capability NAME` shows who offers it";
    Expired "CX5006" "expired" Caller 422 None, None, "the message outlived its receiver's patience; send it again";
    RemoteAddress "CX5007" "remote-address" Caller 422 Some(HostCode::Unavailable), None, "address an agent of this node: other nodes can't be reached";
    NotUnderstoodByHost "CX5008" "not-understood" Caller 422 None, None, "use a performative that the receiver has registered";
    // 6xxx: the node.
    NodeBudget "CX6001" "node-budget" Transient 503 Some(HostCode::Unavailable), None, "the node is at its budget; free something or raise the budget in node.toml";
    DiskFull "CX6002" "disk-full" Transient 503 Some(HostCode::Unavailable), None, "make room on the data directory's disk; the node goes on by itself";
    ShuttingDown "CX6003" "shutting-down" Transient 503 Some(HostCode::Unavailable), None, "try again when the node is back";
    JournalDamaged "CX6004" "journal-damaged" Host 500 None, None, "stop, keep the directory, run `caxton journal verify`; restore from a copy";
    DirectoryLocked "CX6005" "directory-locked" Host 500 None, None, "another node uses this data directory; stop it, or use another `--data`";
    Internal "CX6006" "internal" Host 500 None, None, "look for the request id in the node's log and report it";
    TooManyRequests "CX6007" "too-many-requests" Transient 429 None, None, "wait as long as `Retry-After` says";
    RequestTimeout "CX6008" "request-timeout" Caller 408 None, None, "send the request faster";
    EngineUnavailable "CX6009" "engine-unavailable" Host 500 None, None, "run with `--engine pulley` where executable memory is forbidden";
    AuditUnavailable "CX6010" "audit-unavailable" Transient 503 Some(HostCode::Unavailable), None, "make room on the data directory's disk, or start the node again if the error says that the audit log failed";
    VaultClosed "CX6011" "vault-closed" Host 503 None, None, "start the node with the vault's key: `--vault-key FILE`, `key` in `[vault]` of node.toml, or CAXTON_VAULT_KEY";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is no error code")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_and_pages_are_unique() {
        let codes: BTreeSet<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        let pages: BTreeSet<_> = ErrorCode::ALL.iter().map(|c| c.page()).collect();
        assert_eq!(
            (codes.len(), pages.len()),
            (ErrorCode::ALL.len(), ErrorCode::ALL.len())
        );
    }
}
