//! Version 1 of an audit record, and the audit log as a kind of log.
//!
//! These lists are the format, and data directories with it exist: nothing here may change.

use caxton_model::{self as model, Timestamp};
use serde::Serializer as _;

use crate::{
    form::{Form, In, Out, decode, encode, form, take_plain, unknown},
    log::{Layout, Log},
    v1,
};

/// The audit log: who did what.
#[derive(Debug)]
pub(crate) enum AuditKind {}

/// How the audit log's files begin. `docs/specs/audit.md` has it.
pub(crate) static AUDIT: Layout = Layout {
    folder: "audit",
    format: 1,
    segment_magic: *b"CAXTONA\n",
    head_magic: *b"CAXTONB\n",
    genesis: "caxton audit 1: chain before the first group",
    check: "caxton audit 1: check of a group's header",
};

impl Log for AuditKind {
    type Record = model::AuditRecord;
    const LAYOUT: &'static Layout = &AUDIT;

    fn encode(record: &Self::Record, buffer: &mut Vec<u8>) -> Result<(), String> {
        encode::<Record>(record, buffer)
    }
    fn decode(body: &[u8]) -> Result<Self::Record, String> {
        decode::<Record>(body)
    }
    fn at(record: &Self::Record) -> Timestamp {
        record.at
    }
    fn describe(record: &Self::Record) -> String {
        format!("an audit record of {}", record.action)
    }
}

/// An audit record of any version: its version's number, then its fields.
enum Record {}
impl Form for Record {
    type Value = model::AuditRecord;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        u32::put(&1, out)?;
        AuditRecord::put(value, out)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        match u32::take(from)? {
            1 => AuditRecord::take(from),
            other => Err(unknown("version of an audit record", other)),
        }
    }
}

form! {
    struct AuditRecord {
        at: v1::Timestamp,
        namespace: Option<String>,
        subject: AuditSubject,
        action: AuditAction,
        outcome: AuditOutcome,
        permission: Option<Permission>,
        target: Option<String>,
        details: Vec<(String, String)>,
    }
    struct AuditSubject { kind: AuditSubjectKind, name: String, id: String }
}
form! {
    enum AuditSubjectKind { 0 Node, 1 Operator, 2 Token, 3 Client, 4 Agent }
}
form! {
    enum AuditOutcome { 0 Allowed, 1 Denied, 2 Requested, 3 Succeeded, 4 Failed }
}
form! {
    enum AuditAction {
        0 GateDecision,
        1 Install,
        2 SignatureVerdict,
        3 Grant,
        4 Denial,
        5 Revocation,
        6 Approval,
        7 Deploy,
        8 Start,
        9 Stop,
        10 Update,
        11 Rollback,
        12 Remove,
        13 ActionCall,
        14 RunOutcome,
        15 StepOutcome,
        16 Fault,
        17 OutboundRequest,
        18 FileOpened,
        19 SocketOpened,
        20 VaultUse,
        21 SecretUse,
        22 Event,
        23 KeyChange,
        24 TrustChange,
        25 PolicyChange,
        26 ConfigChange,
        27 Login,
        28 ApiRefusal,
        29 TurnChain,
    }
}

/// A permission as its text.
enum Permission {}
impl Form for Permission {
    type Value = model::Permission;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        out.serialize_str(value.as_str())
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        let text: &str = take_plain(from)?;
        text.parse()
            .map_err(|error: model::PermissionError| error.to_string())
    }
}
