//! Version 1 of everything that is stored: the entries of the journal and the parts of a checkpoint.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.
//! What a later version adds stands in a file of that version. So does the list of all kinds of records,
//! which grows at its end: `v5.rs`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use caxton_model::{self as model, LimitName, UnknownPerformative};
use serde::{Serialize as _, Serializer as _};

use crate::{
    form::{Form, In, Out, form, take_plain, unknown},
    texts,
};

form! {
    struct TurnRecord {
        agent: AgentId,
        turn: u64,
        input: InputRef,
        consumed: bool,
        result: TurnResult,
        writes: Vec<StateWrite>,
        state_bytes: u64,
        state_keys: u64,
        sent: Vec<Sent>,
        timers_set: Vec<TimerSet>,
        timers_cancelled: Vec<i32>,
        capabilities: Option<Arc<Capabilities>>,
        subscribed: Vec<Subscription>,
        unsubscribed: Vec<i32>,
        seed: u64,
        clock_reads: Vec<Timestamp>,
        cpu_micros: u64,
    } without { rows: Vec::new() }
    struct MessageKey { shard: u16, seq: u64, index: u32 }
    struct Sent { message: Message, to: Vec<Destination> }
    struct StateWrite { key: Bytes, value: Option<Bytes> }
    struct TimerSet { id: i32, due: Timestamp }
    struct Subscription { id: i32, filter: Filter, by_init: bool }
    struct Filter {
        capabilities: Vec<String>,
        performative: Option<Performative>,
        protocol: Option<String>,
        ontology: Option<String>,
        name: Option<String>,
    }
    struct DfSubscription {
        subscriber: Arc<str>,
        conversation: Arc<str>,
        reply_with: Option<Arc<str>>,
        service: String,
        template: RawJson,
        told: u64,
    }
    struct Fault { code: ErrorCode, text: String, backtrace: Vec<Frame> }
    struct Frame { function: String, source: Option<String>, module_offset: u64 }
}

form! {
    enum Destination {
        0 Agent(id: AgentId),
        1 Client(name: Arc<str>),
        2 Dead { intended: Arc<str>, code: ErrorCode, reason: String },
    }
}
form! {
    enum InputRef {
        0 Init(reason: StartReason),
        1 Message(key: MessageKey),
        2 Timer { id: i32, due: Timestamp },
        3 Migrate(version: String),
        4 Shutdown,
    }
}
form! {
    enum TurnResult {
        0 Returned(code: i32),
        1 Faulted(fault: Fault),
        2 Ended,
    }
}
form! {
    enum StartReason {
        0 Deploy,
        1 NodeStart,
        2 Wake,
        3 AfterFault,
        4 Operator,
        5 Update,
        6 Group,
    }
}

form! {
    struct AgentSpec {
        id: AgentId,
        name: AgentName,
        module: Digest,
        version: String,
        durability: Durability,
        supervision: Supervision,
        limits: Limits,
        grants: Grants,
        profile: EngineProfile,
        declared: Vec<String>,
        config: Vec<(String, String)>,
        passivate_after_micros: Option<Micros>,
        deployed_at: Timestamp,
    } without { requested: None }
    struct Supervision {
        restart: Restart,
        group: Option<SupervisionGroup>,
        max_failures: u32,
        window_micros: Micros,
        backoff_micros: Micros,
        backoff_max_micros: Micros,
        max_attempts: u32,
    }
    struct SupervisionGroup { name: String, strategy: Strategy }
    struct Grants { message_send: Option<Vec<String>> }
    struct Capabilities {
        version: String,
        performatives: Vec<Performative>,
        protocols: Vec<String>,
        ontologies: Vec<String>,
        resource_requirements: ResourceRequirements,
        services: Vec<ServiceDescription>,
        languages: Vec<String>,
    }
    struct ResourceRequirements {
        min_memory_mb: u32,
        preferred_memory_mb: u32,
        cpu_intensive: bool,
        network_access: bool,
        persistence_needed: bool,
    }
    struct ServiceDescription {
        name: String,
        description: String,
        input_schema: RawJson,
        output_schema: RawJson,
        estimated_latency_ms: u32,
        kind: String,
        protocols: Vec<String>,
        ontologies: Vec<String>,
        languages: Vec<String>,
        properties: RawJson,
    }
}

form! { enum Durability { 0 Durable, 1 Memory } }
form! { enum Restart { 0 Permanent, 1 Transient, 2 Temporary } }
form! { enum Strategy { 0 OneForOne, 1 OneForAll, 2 RestForOne } }
form! { enum EngineProfile { 0 Hardened, 1 Metered, 2 Deterministic, 3 Async, 4 Wide } }
form! {
    enum AgentStatus {
        0 Starting,
        1 Running,
        2 Draining,
        3 Stopped,
        4 Passivated,
        5 Restarting,
        6 Failed,
    }
}

// The parts of a checkpoint.
form! {
    struct AgentState {
        spec: Arc<AgentSpec>,
        previous: Option<Arc<AgentSpec>>,
        status: AgentStatus,
        status_reason: String,
        turns: u64,
        errors: u64,
        faults: u64,
        last_fault: Option<(Timestamp, Fault)>,
        cpu_micros: u64,
        messages_sent: u64,
        mailbox: VecDeque<Pending>,
        mailbox_bytes: u64,
        timers: BTreeMap<i32, Timer>,
        next_timer: i32,
        subscriptions: Vec<Subscription>,
        next_subscription: i32,
        capabilities: Option<Arc<Capabilities>>,
        state_bytes: u64,
        state_keys: u64,
    }
    struct Pending { key: MessageKey, message: Message, at: Timestamp, attempts: u32 }
    struct Timer { due: Timestamp, by_init: bool }
    struct DeadLetter {
        key: MessageKey,
        intended: Arc<str>,
        code: ErrorCode,
        reason: String,
        message: Message,
        at: Timestamp,
    }
    struct PostSeen { at: Timestamp, key: MessageKey, message: Message, durable: bool }
    struct Conversation {
        lines: VecDeque<ConversationLine>,
        count: u64,
        bytes: u64,
        last: Timestamp,
    }
    struct ConversationLine {
        key: MessageKey,
        at: Timestamp,
        message: Option<Message>,
        performative: Performative,
        sender: Arc<str>,
        to: Vec<Destination>,
        bytes: u64,
    }
    struct OpenRequest { asker: Destination, message: Message, reply_by: Timestamp }
    struct SpentBlock { last: Timestamp, hashes: Vec<u64> }
}

/// A client's mailbox is its replies.
pub(crate) enum ClientState {}
impl Form for ClientState {
    type Value = model::ClientState;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        VecDeque::<Pending>::put(value.replies(), out)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        VecDeque::<Pending>::take(from).map(Into::into)
    }
}

/// Limits are a list of their values in this order. A list may be shorter than a program's own: what
/// it lacks has the default for agents. So a new limit goes to the end.
pub(crate) enum Limits {}
const LIMITS: [LimitName; LimitName::ALL.len()] = [
    LimitName::Memory,
    LimitName::TableElements,
    LimitName::Cpu,
    LimitName::Wall,
    LimitName::Fuel,
    LimitName::Stack,
    LimitName::HostCalls,
    LimitName::Allocations,
    LimitName::MessagesPerSecond,
    LimitName::Mailbox,
    LimitName::MailboxBytes,
    LimitName::Timers,
    LimitName::MessageBytes,
    LimitName::PayloadBytes,
    LimitName::StateBytes,
    LimitName::StateKeys,
    LimitName::LogLinesPerSecond,
    LimitName::ModuleBytes,
    LimitName::ConcurrentCalls,
    LimitName::Subscriptions,
    LimitName::HostBytes,
    LimitName::FileBytes,
    LimitName::FsBytes,
    LimitName::FsEntries,
    LimitName::HttpPerMinute,
    LimitName::HttpBodyBytes,
    LimitName::HttpBytesPerMinute,
    LimitName::NetBytesPerMinute,
];
impl Form for Limits {
    type Value = model::Limits;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        out.collect_seq(LIMITS.map(|name| value.get(name)))
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        let mut limits = model::Limits::for_kind(model::Kind::Agent);
        for (name, value) in LIMITS.into_iter().zip(Vec::<u64>::take(from)?) {
            limits.set(name, value);
        }
        Ok(limits)
    }
}

/// Types that are a number with a unit or a meaning.
macro_rules! numbers {
    ($($name:ident: $number:ty,)*) => {$(
        pub(crate) enum $name {}
        impl Form for $name {
            type Value = model::$name;
            fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
                <$number as Form>::put(&value.0, out)
            }
            fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
                <$number as Form>::take(from).map(model::$name)
            }
        }
    )*};
}
numbers! {
    AgentId: u64,
    Timestamp: i64,
    Micros: u64,
}

/// Types that are written as their text, and how they are read from it.
macro_rules! texts {
    ($($name:ident: $as_str:ident, $read:expr;)*) => {$(
        pub(crate) enum $name {}
        impl Form for $name {
            type Value = model::$name;
            fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
                out.serialize_str(value.$as_str())
            }
            fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
                let read: fn(&str) -> Result<Self::Value, String> = $read;
                read(take_plain(from)?)
            }
        }
    )*};
}
/// A message as its JSON; in a checkpoint a long one is a reference to it.
pub(crate) enum Message {}
impl Form for Message {
    type Value = model::Message;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        let cuts = out.output.cuts.as_deref_mut();
        match cuts.and_then(|cuts| cuts.reference(value)) {
            Some(reference) => out.serialize_str(&reference),
            None => out.serialize_str(value.json()),
        }
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        texts::message(take_plain(from)?)
    }
}

texts! {
    RawJson: as_str, |text| model::RawJson::parse(text).map_err(|error| error.to_string());
    Performative: as_str, |text| text.parse().map_err(|error: UnknownPerformative| error.to_string());
    AgentName: as_str, |text| Ok(model::AgentName::from_stored(text));
    ErrorCode: as_str, |text| {
        let mut all = model::ErrorCode::ALL.iter().copied();
        all.find(|code| code.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no error code that this program knows"))
    };
}

/// A key or a value of an agent's state, with its length before it.
pub(crate) enum Bytes {}
impl Form for Bytes {
    type Value = Arc<[u8]>;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        out.serialize_bytes(value)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        take_plain::<&[u8]>(from).map(Arc::from)
    }
}

/// The 32 bytes of a SHA-256, without a length.
pub(crate) enum Digest {}
impl Form for Digest {
    type Value = model::Digest;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        value.as_bytes().serialize(out)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        take_plain(from).map(model::Digest::from_bytes)
    }
}
