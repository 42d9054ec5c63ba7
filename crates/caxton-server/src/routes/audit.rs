//! The audit log: its records, its signed head, and whether it is whole.

use caxton_api::{AuditCheck, AuditEntry, Page};
use caxton_kernel::{Verb, border::Target};
use caxton_model::{ErrorCode, Timestamp};
use caxton_node::{AuditQuery, AuditReport, SignedHead};
use http::StatusCode;

use crate::{
    call::Call,
    refuse::{Answered, Failure, json, with_type},
};

/// Refuses whoever may not see what concerns all namespaces at once, as the audit log does.
fn check_may_see(call: &Call) -> Result<(), Failure> {
    match call.caller.may_do(Verb::See, Target::Node) {
        true => Ok(()),
        false => {
            let detail = "the audit log is about all namespaces, and this token ends at one";
            Err(Failure::new(ErrorCode::Forbidden, detail))
        }
    }
}

fn time(call: &Call, name: &'static str) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = call.query.get(name) else {
        return Ok(None);
    };
    Timestamp::parse(text).map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(100).collect();
        Failure::malformed(format!(
            "query parameter `{name}`: expected a time such as 2026-01-31T12:00:00Z, got `{shown}`"
        ))
    })
}

fn query_of(call: &Call) -> Result<AuditQuery, Failure> {
    let query = &call.query;
    let owned = |name| query.get(name).map(str::to_owned);
    Ok(AuditQuery {
        from: time(call, "from")?,
        to: time(call, "to")?,
        namespace: owned("namespace"),
        subject: owned("subject"),
        action: query.parsed("action", "an action of the audit log")?,
        outcome: query.parsed("outcome", "an outcome of the audit log")?,
        permission: query.parsed("permission", "a permission")?,
        text: owned("text"),
    })
}

pub(super) async fn search(call: Call) -> Answered {
    check_may_see(&call)?;
    let (query, limit) = (query_of(&call)?, call.query.limit()?);
    let from = call
        .query
        .parsed::<u64>("cursor", "the `next_cursor` of the page before")?;
    let node = &call.app.node;
    let (records, next) = if call.query.flag("last")? {
        let mut records = node.last_audit(limit as u64).await?;
        records.retain(|(_, record)| query.takes(record));
        (records, None)
    } else {
        let page = node.search_audit(query, from.unwrap_or(1), limit).await?;
        (page.records, page.next)
    };
    call.caller.work.visit(records.len());
    let items = records.into_iter();
    let items: Vec<_> = items
        .map(|(place, record)| AuditEntry::new(place, record))
        .collect();
    let next_cursor = next.map(|place| place.to_string());
    json(StatusCode::OK, &Page { items, next_cursor })
}

pub(super) async fn head(call: Call) -> Answered {
    check_may_see(&call)?;
    let head = call.app.node.audit_head().await?;
    Ok(with_type(
        StatusCode::OK,
        "application/json",
        head.to_json(),
    ))
}

pub(super) async fn verify(call: Call) -> Answered {
    check_may_see(&call)?;
    let head = call
        .query
        .get("head")
        .map(SignedHead::from_json)
        .transpose();
    // What is no head fits no log: that is a verdict, as a forged head's is.
    let (head, no_head) = match head {
        Ok(head) => (head, None),
        Err(reason) => (
            None,
            Some(format!("the log can't fit the head given: {reason}")),
        ),
    };
    let report = call
        .app
        .node
        .verify_audit(head.into_iter().collect())
        .await?;
    let mut check = audit_check(report);
    check.good &= no_head.is_none();
    check.damage = check.damage.or(no_head);
    json(StatusCode::OK, &check)
}

/// What a check found, as the API shows it.
#[must_use]
pub fn audit_check(report: AuditReport) -> AuditCheck {
    AuditCheck {
        good: report.is_good(),
        records: report.records,
        begins: report.begins,
        place: report.place,
        signed_place: report.signed_place,
        damage: report.damage.as_ref().map(ToString::to_string),
        damaged_from: report.damage.as_ref().map(|damage| damage.place),
        damaged_to: report.damage.as_ref().map(|damage| damage.last_place),
        torn_tail: report.torn.as_ref().map(ToString::to_string),
        log: report.log,
        key: report.key,
        chain: report.chain,
        notices: report.notices,
    }
}
