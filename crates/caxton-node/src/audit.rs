//! The node's audit log: what the gate decided, what was asked of the node, and what came of it.
//!
//! A record of an act is appended before the act, and the act is refused where it can't be. A node
//! without a data directory keeps no audit log: nothing of it outlives the process.

use std::{
    fmt::Display,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use caxton_egress::{HttpFailure, HttpReply};
use caxton_kernel::{NodeEvent, Refusal};
use caxton_model::{
    AgentId, AgentName, AuditAction, AuditOutcome, AuditRecord, AuditSubject, AuditSubjectKind,
    ErrorCode,
};
use caxton_store::{
    AuditClosed, AuditLog, AuditPage, AuditQuery, AuditReader, AuditReport, Health, OpenError,
    SignedHead, verify_audit,
};
use tokio::sync::Semaphore;

use crate::{
    clock,
    node::Node,
    options::NodeOptions,
    shared::{Shared, shutting_down},
};

/// Verifications at the same time: each reads the whole log.
const VERIFICATIONS_MAX: usize = 1;

/// The audit log, if the node keeps one, and how many records were appended since the start.
pub(crate) struct Audit {
    kept: Option<Kept>,
    appended: AtomicU64,
    verifications: Semaphore,
}

struct Kept {
    log: AuditLog,
    /// Whether each record is durable before its act.
    is_sync: bool,
    reader: AuditReader,
    data: PathBuf,
}

impl Audit {
    /// Opens the audit log of the node's data directory, which its store holds. Blocking.
    pub(crate) fn open(options: &NodeOptions) -> Result<Self, OpenError> {
        let audit = Self {
            kept: options
                .data
                .as_ref()
                .map(|dir| kept(dir.clone(), options))
                .transpose()?,
            appended: AtomicU64::new(0),
            verifications: Semaphore::new(VERIFICATIONS_MAX),
        };
        audit.note(node_record(AuditAction::Start));
        Ok(audit)
    }

    /// Appends the record of an act that is about to be performed.
    ///
    /// Cost: a lock and an allocation; the log's thread writes it within 10 ms. On a node whose audit log
    /// is `sync` it waits for the disk.
    /// Errors: the act is to be refused.
    pub(crate) fn append(&self, record: AuditRecord) -> Result<(), AuditClosed> {
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        match kept.is_sync {
            true => kept.log.append_durable(record)?,
            false => kept.log.append(record)?,
        };
        self.count();
        Ok(())
    }
    fn count(&self) {
        let appended = self.appended.fetch_add(1, Ordering::Relaxed) + 1;
        metrics::counter!("caxton_audit_records_total").absolute(appended);
    }

    /// The last record that is durable.
    #[cfg(test)]
    pub(crate) fn durable(&self) -> u64 {
        let kept = self.kept.as_ref();
        kept.map_or(0, |kept| kept.log.durable_place().0)
    }

    /// Records appended since the start.
    #[cfg(test)]
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Appends the record of what has happened already, so that nothing can be refused for it.
    pub(crate) fn note(&self, record: AuditRecord) {
        let Some(kept) = &self.kept else {
            return;
        };
        let (action, outcome) = (record.action, record.outcome);
        match kept.log.append(record) {
            Ok(_) => self.count(),
            Err(error) => {
                tracing::error!(%action, %outcome, %error, "what happened has no record in the audit log");
            }
        }
    }

    /// Appends the record of an event, if it is one that the audit log keeps.
    pub(crate) fn note_event(&self, event: &NodeEvent) {
        if let NodeEvent::Fault {
            agent,
            name,
            turn,
            fault,
            ..
        } = event
        {
            let name = name.parse().ok();
            let record = name.map(|name| {
                agent_record(&name, *agent, AuditAction::Fault, AuditOutcome::Failed)
                    .with("code", fault.code.as_str())
                    .with("turn", turn.to_string())
            });
            record.into_iter().for_each(|record| self.note(record));
        }
    }

    /// Makes all that was appended durable, as the last thing that the node does.
    pub(crate) fn close(&self) {
        self.note(node_record(AuditAction::Stop));
        if let Some(kept) = &self.kept {
            kept.log.close();
        }
    }
}

fn kept(data: PathBuf, options: &NodeOptions) -> Result<Kept, OpenError> {
    let (log, found) = AuditLog::open(&data, &options.audit)?;
    for notice in &found.notices {
        tracing::warn!("{notice}");
    }
    if let Some(torn) = &found.torn {
        tracing::warn!(%torn, "the audit log's half-written end was cut off");
    }
    let reader = AuditReader::new(&data);
    Ok(Kept {
        log,
        is_sync: options.audit_sync,
        reader,
        data,
    })
}

fn node_record(action: AuditAction) -> AuditRecord {
    let subject = AuditSubject {
        kind: AuditSubjectKind::Node,
        name: "caxton".to_owned(),
        id: String::new(),
    };
    let record = AuditRecord::new(clock::wall(), subject, action, AuditOutcome::Succeeded);
    record.with("reason", concat!("version ", env!("CARGO_PKG_VERSION")))
}

/// A record of what an agent did, or of what was decided for it.
pub(crate) fn agent_record(
    name: &AgentName,
    id: AgentId,
    action: AuditAction,
    outcome: AuditOutcome,
) -> AuditRecord {
    let subject = AuditSubject {
        kind: AuditSubjectKind::Agent,
        name: name.to_string(),
        id: id.to_string(),
    };
    let mut record = AuditRecord::new(clock::wall(), subject, action, outcome);
    record.namespace = Some(name.namespace().to_string());
    record
}

/// The record of what came of an HTTP request; `target` is its method and URL as the gate shows them.
pub(crate) fn outbound_record(
    (name, id): (&AgentName, AgentId),
    method: &str,
    target: String,
    sent: &Result<HttpReply, HttpFailure>,
) -> AuditRecord {
    let outcome = match sent {
        Ok(_) => AuditOutcome::Succeeded,
        Err(_) => AuditOutcome::Failed,
    };
    let host = host_of(&target).to_owned();
    let mut record = agent_record(name, id, AuditAction::OutboundRequest, outcome);
    record.target = Some(target);
    record = record.with("method", method).with("host", host);
    match sent {
        Ok(reply) => record.with("status", reply.status.to_string()).with(
            "bytes",
            reply.sent.saturating_add(reply.received).to_string(),
        ),
        Err(failure) => record.with("code", failure.word()),
    }
}

/// The host and port of a URL that the gate has read.
fn host_of(target: &str) -> &str {
    let rest = target.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

impl Node {
    /// Appends a record to the audit log, before the act that it is about. A node without a data
    /// directory keeps none.
    ///
    /// Errors: `audit-unavailable`; the act is to be refused.
    pub fn append_audit(&self, record: AuditRecord) -> Result<(), Refusal> {
        self.shared.audit.append(record).map_err(unavailable)
    }

    /// Appends a record of what has happened already. Where it can't be appended, the node's log
    /// says so.
    pub fn note_audit(&self, record: AuditRecord) {
        self.shared.audit.note(record);
    }

    /// Audit records from a place on that a query takes, at most `most` of them.
    ///
    /// Errors: `not-found` where the node keeps no audit log; the log can't be read.
    pub async fn search_audit(
        &self,
        query: AuditQuery,
        from: u64,
        most: usize,
    ) -> Result<AuditPage, Refusal> {
        self.read_audit(move |kept| kept.reader.search(&query, from, most))
            .await
    }

    /// The last audit records, at most `most` of them, in order.
    ///
    /// Errors: as [`Self::search_audit`].
    pub async fn last_audit(&self, most: u64) -> Result<Vec<(u64, AuditRecord)>, Refusal> {
        self.read_audit(move |kept| kept.reader.tail(most)).await
    }

    /// The newest signed head of the audit log, which covers all records appended so far.
    ///
    /// Errors: as [`Self::search_audit`].
    pub async fn audit_head(&self) -> Result<SignedHead, Refusal> {
        self.read_audit(|kept| Ok(kept.log.head())).await
    }

    /// Checks the whole audit log, and that it fits heads that were kept elsewhere.
    ///
    /// Errors: as [`Self::search_audit`]; `too-many-requests` while another check runs.
    pub async fn verify_audit(&self, heads: Vec<SignedHead>) -> Result<AuditReport, Refusal> {
        let Ok(_permit) = self.shared.audit.verifications.try_acquire() else {
            let text = "the audit log is being verified already, and one check runs at a time";
            return Err(Refusal::new(ErrorCode::TooManyRequests, text));
        };
        self.read_audit(move |kept| verify_audit(&kept.data, &heads))
            .await
    }

    /// Reads the log's files, on a thread that may block, once they have what was appended so far.
    async fn read_audit<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Kept) -> Result<T, OpenError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = &self.shared;
        let Some(kept) = &shared.audit.kept else {
            return Err(Refusal::new(
                ErrorCode::NotFound,
                "this node keeps no audit log, because it has no data directory; start it with `--data DIR`",
            ));
        };
        // A disk that takes nothing now is not waited for: what it has can be read.
        if kept.log.health() == Health::Good {
            let (sender, written) = tokio::sync::oneshot::channel();
            kept.log.notify(move |_| {
                // Whoever asked may have gone away.
                let _ = sender.send(());
            });
            // A log that has failed since has no more to wait for.
            let _ = written.await;
        }
        let inner: std::sync::Arc<Shared> = std::sync::Arc::clone(shared);
        let work = move || inner.audit.kept.as_ref().map(read);
        match shared.clone().blocking(work).await.flatten() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(Refusal::new(error.code(), error.to_string())),
            None => Err(shutting_down()),
        }
    }
}

fn unavailable(error: impl Display) -> Refusal {
    Refusal::new(
        ErrorCode::AuditUnavailable,
        format!("{error}; nothing is done without a record"),
    )
}
