//! Parameters that routes have in common, and their schemas.

use crate::{Param, ParamIn};

pub(crate) const fn path(name: &'static str, what: &'static str) -> Param {
    Param {
        name,
        at: ParamIn::Path,
        schema: r#"{"type":"string","minLength":1}"#,
        what,
    }
}
pub(crate) const fn query(name: &'static str, schema: &'static str, what: &'static str) -> Param {
    Param {
        name,
        at: ParamIn::Query,
        schema,
        what,
    }
}

pub(crate) const fn needed(name: &'static str, schema: &'static str, what: &'static str) -> Param {
    Param {
        name,
        at: ParamIn::NeededQuery,
        schema,
        what,
    }
}

/// A name with or without its namespace; an agent's id has the same form.
pub(crate) const NAME: &str = r#"{"type":"string","pattern":"^([A-Za-z][A-Za-z0-9_.-]{0,62}/)?[A-Za-z][A-Za-z0-9_.-]{0,62}$"}"#;
pub(crate) const NAMESPACE: &str =
    r#"{"type":"string","pattern":"^[A-Za-z][A-Za-z0-9_.-]{0,62}$"}"#;
pub(crate) const MESSAGE_IDS: &str = r#"{"type":"string","pattern":"^m-[0-9]{1,4}-[0-9]{1,18}-[0-9]{1,9}(,m-[0-9]{1,4}-[0-9]{1,18}-[0-9]{1,9})*$"}"#;
pub(crate) const TEXT: &str = r#"{"type":"string"}"#;
pub(crate) const FLAG: &str = r#"{"type":"boolean"}"#;
pub(crate) const LOG_LINE: &str = r#"{"type":"string","pattern":"^([0-9a-f]{8}-)?[0-9]{1,18}$"}"#;
pub(crate) const STATUS: &str = r#"{"type":"string","enum":["starting","running","draining","stopped","passivated","restarting","failed"]}"#;
pub(crate) const TIME: &str = r#"{"type":"string","format":"date-time"}"#;
pub(crate) const AUDIT_ACTION: &str = r#"{"type":"string","enum":["gate-decision","install","signature-verdict","grant","denial","revocation","approval","deploy","start","stop","update","rollback","remove","action-call","run-outcome","step-outcome","fault","outbound-request","file-opened","socket-opened","vault-use","secret-use","event","key-change","trust-change","policy-change","config-change","login","api-refusal","turn-chain"]}"#;
pub(crate) const AUDIT_OUTCOME: &str =
    r#"{"type":"string","enum":["allowed","denied","requested","succeeded","failed"]}"#;
pub(crate) const PERMISSION: &str = r#"{"type":"string","enum":["http:read","http:write","http:serve","fs:read","fs:write","env:read","net:tcp","net:udp","net:listen","vault:read","vault:write","secret:use","event:emit","event:listen","data:read","data:write","message:send","message:listen","workflow:run","ext:call","random:secure"]}"#;
pub(crate) const TOP_SORT: &str =
    r#"{"type":"string","enum":["cpu","turns","mailbox","memory","faults"],"default":"cpu"}"#;
pub(crate) const KIND: &str = r##"{"$ref":"#/components/schemas/EventKind"}"##;

pub(crate) const AGENT: Param = path("id", "The agent's id or name; `/` in a name as `%2F`.");
pub(crate) const LETTER: Param = path("id", "The dead letter's id.");
pub(crate) const CURSOR: Param = query(
    "cursor",
    r#"{"type":"string","pattern":"^([A-Za-z0-9_-]{4})*$"}"#,
    "Where the page begins: `next_cursor` of the one before.",
);
pub(crate) const AGENT_CURSOR: Param = query(
    "cursor",
    r#"{"type":"string","pattern":"^a-[0-9a-f]{16}$"}"#,
    "Where the page begins: `next_cursor` of the one before.",
);
pub(crate) const FAULT_CURSOR: Param = query(
    "cursor",
    r#"{"type":"string","pattern":"^[0-9]{1,19}$"}"#,
    "Where the page begins: `next_cursor` of the one before.",
);
pub(crate) const AUDIT_CURSOR: Param = query(
    "cursor",
    r#"{"type":"string","pattern":"^[0-9]{1,18}$"}"#,
    "The place at which the page begins: `next_cursor` of the one before, or behind the last record \
     that was read.",
);
pub(crate) const LOG_CURSOR: Param = query(
    "cursor",
    r#"{"type":"string","pattern":"^[0-9a-f]{8}-[0-9]{1,18}$"}"#,
    "Where the page begins: `next_cursor` of the one before. One of another start of the node stands \
     for no line, so that all are given.",
);
pub(crate) const MESSAGE_CURSOR: Param = query(
    "cursor",
    r#"{"type":"string","pattern":"^m-[0-9]{1,4}-[0-9]{1,18}-[0-9]{1,9}$"}"#,
    "Where the page begins: `next_cursor` of the one before.",
);
pub(crate) const LIMIT: Param = query(
    "limit",
    r#"{"type":"integer","minimum":1,"maximum":1000,"default":100}"#,
    "Entries of a page at most.",
);
pub(crate) const WAIT: Param = query(
    "wait_ms",
    r#"{"type":"integer","minimum":0,"maximum":60000}"#,
    "Waits this long for a message to come. Unit: milliseconds.",
);
pub(crate) const LAST_EVENT: Param = Param {
    name: "Last-Event-ID",
    at: ParamIn::Header,
    schema: TEXT,
    what: "Goes on behind this event.",
};
