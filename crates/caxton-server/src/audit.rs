//! What the audit log keeps of requests: one table from routes to actions, the two records around an
//! act, and refusals of tokens at a bounded rate.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use caxton_api::{Route, RouteId, Scope};
use caxton_kernel::border::namespace_of;
use caxton_model::{
    AuditAction, AuditOutcome, AuditRecord, AuditSubject, AuditSubjectKind, ErrorCode,
};
use caxton_node::Node;
use tokio::time::{Duration, Instant};

use crate::{auth::Caller, call::Call, clock, refuse::Failure};

/// Which actions a request of each route that changes something is recorded as. No action: the journal
/// has it, as it has every message.
pub const AUDITED: &[(RouteId, &[AuditAction])] = &[
    (
        RouteId::DeployAgent,
        &[AuditAction::Deploy, AuditAction::Grant],
    ),
    (RouteId::RemoveAgent, &[AuditAction::Remove]),
    (RouteId::StopAgent, &[AuditAction::Stop]),
    (RouteId::StartAgent, &[AuditAction::Start]),
    (RouteId::UpdateAgent, &[AuditAction::Update]),
    (RouteId::RollbackAgent, &[AuditAction::Rollback]),
    (RouteId::RegisterAgent, &[AuditAction::ConfigChange]),
    (RouteId::DeregisterAgent, &[AuditAction::ConfigChange]),
    (
        RouteId::ChangeGrants,
        &[AuditAction::Grant, AuditAction::Revocation],
    ),
    (RouteId::CreateToken, &[AuditAction::KeyChange]),
    (RouteId::DeleteToken, &[AuditAction::KeyChange]),
    (
        RouteId::DeployProcessor,
        &[AuditAction::Deploy, AuditAction::Grant],
    ),
    (
        RouteId::ChangeProcessorGrants,
        &[AuditAction::Grant, AuditAction::Revocation],
    ),
    (RouteId::CallProcessor, &[AuditAction::ActionCall]),
    (RouteId::RemoveProcessor, &[AuditAction::Remove]),
    (RouteId::SetSecret, &[AuditAction::VaultUse]),
    (RouteId::RemoveSecret, &[AuditAction::VaultUse]),
    (RouteId::RotateVaultKey, &[AuditAction::KeyChange]),
    (RouteId::SendMessage, &[]),
    (RouteId::DropMessages, &[]),
    (RouteId::ResendDeadLetter, &[]),
    (RouteId::DeleteDeadLetter, &[]),
];

/// Refusals of one kind that are recorded at once; from then on one a second. So a flood of them fills
/// the log by less than 50 MiB a day.
const REFUSALS_AT_ONCE: u32 = 100;
/// Time after which one more is recorded.
const REFUSAL_EVERY: Duration = Duration::from_secs(1);

/// Where a connection came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The caller, as the audit log names it.
fn subject(caller: &Caller) -> AuditSubject {
    let kind = match caller.may(Scope::Admin) {
        true => AuditSubjectKind::Operator,
        false => AuditSubjectKind::Token,
    };
    AuditSubject {
        kind,
        name: caller.name.to_string(),
        id: caller.id.to_string(),
    }
}

impl Call {
    /// A record of what the request asks for, on an agent of that full name.
    pub(crate) fn record_of(&self, action: AuditAction, agent: &str) -> AuditRecord {
        let mut record = self.record(action, agent);
        record.namespace = Some(namespace_of(agent).to_owned());
        record
    }

    /// A record of what the request asks for, on something of the node.
    pub(crate) fn record(&self, action: AuditAction, target: &str) -> AuditRecord {
        let who = subject(&self.caller);
        let mut record = AuditRecord::new(clock::now(), who, action, AuditOutcome::Requested);
        record.target = Some(target.to_owned());
        record
    }

    /// Performs an act between two records: one before it, and one of what came of it, to which `add`
    /// adds what is known only then. Where nobody waits for the act any more, the first stands alone.
    ///
    /// Errors: the act's; `audit-unavailable`, and then nothing is performed.
    pub(crate) async fn audited<T, E: Into<Failure>>(
        &self,
        records: Vec<AuditRecord>,
        act: impl Future<Output = Result<T, E>>,
        add: impl Fn(&T, AuditRecord) -> AuditRecord,
    ) -> Result<T, Failure> {
        let node = &self.app.node;
        for record in &records {
            node.append_audit(record.clone())?;
        }
        let done = act.await.map_err(Into::into);
        for mut record in records {
            record.at = clock::now();
            record.outcome = match done {
                Ok(_) => AuditOutcome::Succeeded,
                Err(_) => AuditOutcome::Failed,
            };
            node.note_audit(match &done {
                Ok(made) => add(made, record),
                Err(failure) => record.with("code", failure.problem.code.clone()),
            });
        }
        done
    }
}

/// The refusals of tokens that are recorded: unknown ones, and those that may not what they ask.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    unknown: Mutex<Allowance>,
    known: Mutex<Allowance>,
}

/// How many more are recorded now, and how many were not since the last.
#[derive(Debug, Default)]
struct Allowance {
    taken: u32,
    since: Option<Instant>,
    omitted: u64,
}

impl Allowance {
    /// Whether one more is recorded; then with how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let back = (now - since).as_secs() / REFUSAL_EVERY.as_secs();
        if back > 0 {
            self.taken = self
                .taken
                .saturating_sub(u32::try_from(back).unwrap_or(u32::MAX));
            self.since = Some(since + REFUSAL_EVERY * u32::try_from(back).unwrap_or(u32::MAX));
        }
        if self.taken >= REFUSALS_AT_ONCE {
            self.omitted += 1;
            return None;
        }
        self.taken += 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

impl Refusals {
    /// Records that a request was refused, if that is about its token: `login` where nobody knows it,
    /// `api-refusal` where it may not what it asks.
    pub(crate) fn note(
        &self,
        node: &Node,
        caller: Option<&Caller>,
        peer: Option<Peer>,
        route: &Route,
        failure: &Failure,
    ) {
        let status = failure.problem.status;
        if status != ErrorCode::Unauthorized.http_status()
            && status != ErrorCode::Forbidden.http_status()
        {
            return;
        }
        let (allowance, action) = match caller {
            Some(_) => (&self.known, AuditAction::ApiRefusal),
            None => (&self.unknown, AuditAction::Login),
        };
        let taken = allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(Instant::now());
        let Some(omitted) = taken else { return };
        let nobody = || AuditSubject {
            kind: AuditSubjectKind::Client,
            name: "unknown".to_owned(),
            id: String::new(),
        };
        let who = caller.map_or_else(nobody, subject);
        let mut record = AuditRecord::new(clock::now(), who, action, AuditOutcome::Denied)
            .with("route", route.id.as_str())
            .with("status", status.to_string())
            .with("code", failure.problem.code.clone());
        if let Some(Peer(peer)) = peer {
            record = record.with("peer", peer.ip().to_string());
        }
        if omitted > 0 {
            record = record.with("omitted", omitted.to_string());
        }
        node.note_audit(record);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use caxton_api::{Method, ROUTES};

    use super::*;

    #[test]
    fn every_route_that_changes_something_says_how_it_is_audited() {
        let named: BTreeSet<RouteId> = AUDITED.iter().map(|(route, _)| *route).collect();
        assert_eq!(named.len(), AUDITED.len(), "a route stands there twice");
        for route in ROUTES {
            let changes = route.method != Method::Get;
            assert_eq!(named.contains(&route.id), changes, "{}", route.id.as_str());
        }
    }

    #[tokio::test]
    async fn a_flood_of_refusals_is_recorded_at_a_bounded_rate_and_counted() {
        let (mut allowance, now) = (Allowance::default(), Instant::now());
        for _ in 0..REFUSALS_AT_ONCE {
            assert_eq!(allowance.take(now), Some(0));
        }
        for _ in 0..1_000 {
            assert_eq!(allowance.take(now), None);
        }
        assert_eq!(allowance.take(now + REFUSAL_EVERY), Some(1_000));
        assert_eq!(allowance.take(now + REFUSAL_EVERY), None);
        let later = now + Duration::from_secs(86_400);
        let recorded = (0..1_000).filter(|_| allowance.take(later).is_some());
        assert_eq!(recorded.count(), REFUSALS_AT_ONCE as usize);
    }
}
