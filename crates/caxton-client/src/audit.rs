//! The audit log.

use std::time::Duration;

use caxton_api::{AuditCheck, AuditEntry, AuditHead, Page};
use reqwest::Method;

use crate::{CaxtonClient, ClientError};

/// The longest that a node takes to read its whole audit log.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(330);

/// Which audit records. Empty: all of them.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only those from this time on.
    pub from: Option<String>,
    /// Only those up to this time.
    pub to: Option<String>,
    /// Only those of this namespace.
    pub namespace: Option<String>,
    /// Only acts of whom this is the name or id.
    pub subject: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only this outcome.
    pub outcome: Option<String>,
    /// Only those where the gate was asked for this permission.
    pub permission: Option<String>,
    /// Only those whose subject, target or details contain this text.
    pub text: Option<String>,
}

impl CaxtonClient {
    /// A page of audit records in order, from a place on. It may be empty and still have a next one:
    /// a page looks at a bounded part of the log.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, ClientError> {
        let limit = limit.to_string();
        let query = [
            ("from", filter.from.as_deref()),
            ("to", filter.to.as_deref()),
            ("namespace", filter.namespace.as_deref()),
            ("subject", filter.subject.as_deref()),
            ("action", filter.action.as_deref()),
            ("outcome", filter.outcome.as_deref()),
            ("permission", filter.permission.as_deref()),
            ("text", filter.text.as_deref()),
            ("cursor", cursor),
            ("limit", Some(&*limit)),
        ];
        let url = self.api(&["audit"], &query);
        self.json(self.request(Method::GET, url)).await
    }

    /// The last audit records, at most so many, in order.
    pub async fn audit_tail(&self, limit: usize) -> Result<Vec<AuditEntry>, ClientError> {
        let limit = limit.to_string();
        let query = [("last", Some("true")), ("limit", Some(&*limit))];
        let url = self.api(&["audit"], &query);
        let page: Page<AuditEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// The newest signed head of the audit log.
    pub async fn audit_head(&self) -> Result<AuditHead, ClientError> {
        let url = self.api(&["audit", "head"], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// Has the node check its whole audit log, and that it fits a head that was kept elsewhere: a line
    /// of JSON, as [`Self::audit_head`] gives one.
    pub async fn verify_audit(&self, head: Option<&str>) -> Result<AuditCheck, ClientError> {
        let url = self.api(&["audit", "verify"], &[("head", head)]);
        self.json_within(self.request(Method::GET, url), VERIFY_TIMEOUT)
            .await
    }
}
