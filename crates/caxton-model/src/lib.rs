//! Words of the product as types: names, messages, limits, faults, journal records.
//!
//! Shared by host and guests; builds for wasm32; knows no engine, no runtime, no disk.

mod access;
mod apply;
mod apply_turn;
mod asked;
mod audit;
mod by_id;
mod bytes;
mod capability;
mod charges;
mod code;
mod conversations;
mod digest;
mod error_code;
mod fault;
mod granted;
mod json_text;
mod ledger;
mod limits;
mod message;
mod message_json;
mod name;
mod performative;
mod permission;
pub mod planted;
mod processor;
mod profile;
mod raw_json;
mod record;
mod retry;
mod spec;
mod spent_ids;
mod stable_hash;
mod state;
mod suggest;
mod tables;
mod time;
mod units;

pub use access::{
    ACCESSES_OF_TURN_MAX, OUTCOME_BYTES_OF_TURN_MAX, RecordedAccess, TurnAccesses, join_outcome,
    split_outcome,
};
pub use apply_turn::ENDED_ITSELF;
pub use asked::{Asked, RequestName};
pub use audit::{
    AUDIT_DETAILS_MAX, AUDIT_NAME_BYTES_MAX, AUDIT_VALUE_BYTES_MAX, AuditAction, AuditOutcome,
    AuditRecord, AuditSubject, AuditSubjectKind, AuditWordError,
};
pub use by_id::{ById, IdHasher};
pub use capability::{Capabilities, CapabilitiesError, ResourceRequirements, ServiceDescription};
pub use charges::{
    CLIENT_HOST_BYTES, capabilities_bytes, df_subscription_bytes, open_bytes, subscription_bytes,
};
pub use code::HostCode;
pub use digest::{Digest, DigestError};
pub use error_code::{ErrorClass, ErrorCode};
pub use fault::{Fault, Frame};
pub use granted::{GrantedRule, GrantedRules, RequestedRule, permissions_asked, permissions_of};
pub use json_text::{JSON_DEPTH_MAX, json_depth_exceeds};
pub use ledger::{Account, Ledger};
pub use limits::{AskedLimits, Kind, LimitName, Limits, LimitsError, UNLIMITED};
pub use message::{Fields, FipaMessage, Message, MessageError, Receiver};
pub use name::{AgentId, AgentName, NameError, Namespace, RESERVED_NAMES, is_reserved_name};
pub use performative::{Performative, UnknownPerformative};
pub use permission::{Grants, ImportClass, Permission, PermissionError, Permissions, glob};
pub use processor::ProcessorSpec;
pub use profile::{EngineKind, EngineProfile};
pub use raw_json::RawJson;
pub use record::{
    Destination, DfSubscription, Entry, Filter, InputRef, Intent, MessageKey, Record, Sent,
    StartReason, StateWrite, Subscription, TimerSet, TurnRecord, TurnResult,
};
pub use spec::{
    AgentSpec, AgentStatus, Durability, Restart, Strategy, Supervision, SupervisionGroup,
};
pub use spent_ids::{
    IdVerdict, SPENT_IDS_KEPT, SPENT_IDS_MAX, SpentBlock, SpentIds, client_hash, hashed_client,
};
pub use stable_hash::stable_hash;
pub use state::{
    AgentState, CLIENT_REPLIES_MAX, CLIENT_REPLY_BYTES_MAX, CONVERSATION_IDLE, ClientState,
    Conversation, ConversationLine, DEAD_LETTERS_MAX, DeadLetter, Delivery, OPEN_REQUESTS_OF_AGENT,
    OPEN_REQUESTS_OF_CLIENT, OpenRequest, POST_IDS_MAX, Part, Pending, PostSeen, REPLY_BY_MAX,
    State, Timer, destination_text,
};
pub use suggest::nearest;
pub use tables::{
    LISTED_BYTES_MAX, ROW_KEY_BYTES_MAX, ROW_OVERHEAD_BYTES, ROW_REQUEST_BYTES_MAX,
    ROW_VALUE_BYTES_MAX, ROWS_LISTED_MAX, RowName, RowQuery, RowWrite, TABLE_NAME_BYTES_MAX,
    Tables, is_table_name, list_rows, row_bytes, row_page, row_value, write_row,
};
pub use time::{Timestamp, format_rfc3339};
pub use units::{ByteSize, Micros, UnitError, whole, whole_of};
