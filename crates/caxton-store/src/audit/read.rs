//! Reads the audit log for people and programs, beside the node that writes it.
//!
//! Reading goes by the files alone: nothing waits for it.

use std::{io::Write, ops::RangeInclusive, path::Path, sync::Arc};

use caxton_model::{AuditAction, AuditOutcome, AuditRecord, Permission, Timestamp};
use serde::Serialize;

use super::{
    in_audit,
    v1::{AUDIT, AuditKind},
};
use crate::{
    Damage, Files, OpenError, RealFiles,
    log::Log,
    scan::{Listing, list},
};

/// Records that one search looks at; the cursor goes on from there.
const LOOKED_AT_MAX: u64 = 1 << 15;

/// Which records to find. All that is given must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// The earliest timestamp.
    pub from: Option<Timestamp>,
    /// The latest timestamp.
    pub to: Option<Timestamp>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The subject's name or id.
    pub subject: Option<String>,
    /// What was done.
    pub action: Option<AuditAction>,
    /// What came of it.
    pub outcome: Option<AuditOutcome>,
    /// The permission that was asked for.
    pub permission: Option<Permission>,
    /// A text that the subject, the target or a detail contains.
    pub text: Option<String>,
}

impl AuditQuery {
    /// Whether a record is one of those.
    #[must_use]
    pub fn takes(&self, record: &AuditRecord) -> bool {
        self.from.is_none_or(|from| record.at >= from)
            && self.to.is_none_or(|to| record.at <= to)
            && self.action.is_none_or(|action| record.action == action)
            && self.outcome.is_none_or(|outcome| record.outcome == outcome)
            && (self.permission.is_none() || record.permission == self.permission)
            && (self.namespace.is_none() || record.namespace == self.namespace)
            && self.subject.as_ref().is_none_or(|subject| {
                record.subject.name == *subject || record.subject.id == *subject
            })
            && self.text.as_ref().is_none_or(|text| contains(record, text))
    }
}

fn contains(record: &AuditRecord, text: &str) -> bool {
    let details = record.details.iter();
    record.subject.name.contains(text)
        || record.target.as_ref().is_some_and(|t| t.contains(text))
        || details
            .into_iter()
            .any(|(n, v)| n.contains(text) || v.contains(text))
}

/// One page of what a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditPage {
    /// Records with their places, in order.
    pub records: Vec<(u64, AuditRecord)>,
    /// The place from which the next page goes on; `None`: this is the end for now.
    pub next: Option<u64>,
}

/// Reads the audit log of a data directory.
#[derive(Clone)]
pub struct AuditReader {
    files: Arc<dyn Files>,
}

impl std::fmt::Debug for AuditReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditReader").finish_non_exhaustive()
    }
}

/// A record as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    place: u64,
    #[serde(flatten)]
    record: &'a AuditRecord,
}

impl AuditReader {
    /// A reader of a data directory, which may be in use.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self::over(Arc::new(RealFiles::read_only(&dir.join(AUDIT.folder))))
    }

    pub(crate) fn over(files: Arc<dyn Files>) -> Self {
        Self { files }
    }

    /// The last records, at most so many, in order.
    ///
    /// Errors: the log can't be read there.
    pub fn tail(&self, most: u64) -> Result<Vec<(u64, AuditRecord)>, OpenError> {
        let Some(listing) = self.list()? else {
            return Ok(Vec::new());
        };
        let end = listing.head.place;
        let mut found = Vec::new();
        let first = listing.begins().max((end + 1).saturating_sub(most));
        self.read(&listing, first..=end, &mut |place, record| {
            found.push((place, record));
            true
        })?;
        Ok(found)
    }

    /// Durable records from a place on that a query takes, at most `most` of them.
    ///
    /// One page looks at a bounded number of records, so that it may be short, or empty, and still
    /// have a next one.
    /// Errors: the log can't be read there.
    pub fn search(
        &self,
        query: &AuditQuery,
        from: u64,
        most: usize,
    ) -> Result<AuditPage, OpenError> {
        let mut page = AuditPage::default();
        let Some(listing) = self.list()? else {
            return Ok(page);
        };
        let first = listing.begins().max(from);
        let end = listing.head.place;
        let last = end.min(first.saturating_add(LOOKED_AT_MAX - 1));
        let mut next = last + 1;
        self.read(&listing, first..=last, &mut |place, record| {
            if page.records.len() >= most {
                next = place;
                return false;
            }
            if query.takes(&record) {
                page.records.push((place, record));
            }
            true
        })?;
        page.next = Some(next).filter(|next| *next <= end);
        Ok(page)
    }

    /// Writes all durable records that a query takes as lines of JSON; answers how many.
    ///
    /// Errors: the log can't be read, or the lines can't be written.
    pub fn export(&self, query: &AuditQuery, out: &mut dyn Write) -> Result<u64, OpenError> {
        let mut from = Some(1);
        let mut lines = 0;
        while let Some(place) = from {
            let page = self.search(query, place, usize::MAX)?;
            for (place, record) in &page.records {
                let line = Line {
                    place: *place,
                    record,
                };
                let written = serde_json::to_writer(&mut *out, &line)
                    .map_err(std::io::Error::from)
                    .and_then(|()| out.write_all(b"\n"));
                written.map_err(OpenError::io("can't write the exported records"))?;
                lines += 1;
            }
            from = page.next;
        }
        Ok(lines)
    }

    fn list(&self) -> Result<Option<Listing>, OpenError> {
        list(&*self.files, &AUDIT).map_err(in_audit)
    }

    /// Reads the records of some places, until `visit` answers `false`.
    fn read(
        &self,
        listing: &Listing,
        places: RangeInclusive<u64>,
        visit: &mut dyn FnMut(u64, AuditRecord) -> bool,
    ) -> Result<(), OpenError> {
        if places.is_empty() {
            return Ok(());
        }
        let from = listing.segment_of(*places.start());
        let scanned = listing.scan(&*self.files, from, &[], &mut |place, body| {
            if place < *places.start() {
                return Ok(());
            }
            if place > *places.end() {
                return Err(String::new());
            }
            match visit(place, AuditKind::decode(body)?) {
                true => Ok(()),
                false => Err(String::new()),
            }
        });
        match scanned.map(|_| ()) {
            // Our own stop, or what a node is just writing behind its head.
            Err(OpenError::Damaged(Damage { what, place, .. }))
                if what.is_empty() || place > *places.end() =>
            {
                Ok(())
            }
            other => other.map_err(in_audit),
        }
    }
}
