//! The one way to a [`Verified`] module: the verdict that an inspection shows and a deployment obeys.

use std::{convert::Infallible, sync::Arc};

use caxton_model::{Digest, ErrorCode, Kind, LimitName, Limits};

use crate::{ModuleReport, inspect};

/// A module that was validated, recognised, and found without a reason to refuse it.
///
/// Made only by [`verify_by_kind`]. Cost of a clone: two reference counts.
#[derive(Debug, Clone)]
pub struct Verified {
    bytes: Arc<[u8]>,
    report: Arc<ModuleReport>,
}

impl Verified {
    /// The module itself.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
    /// Its name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.report.digest
    }
    /// What it is and needs.
    #[must_use]
    pub fn report(&self) -> &Arc<ModuleReport> {
        &self.report
    }
}

/// Why the host does not take a module: all reasons are in the report.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", reasons_text(.report))]
pub struct VerifyError {
    /// What was found.
    pub report: Box<ModuleReport>,
}

impl VerifyError {
    /// The stable code: that of the first reason.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        let first = self.report.reasons.first();
        first.map_or(ErrorCode::InvalidModule, |reason| reason.code)
    }
}

fn reasons_text(report: &ModuleReport) -> String {
    match report.reasons.as_slice() {
        [one] => one.to_string(),
        several => {
            let lines: Vec<_> = several
                .iter()
                .enumerate()
                .map(|(i, r)| format!("{}. {r}", i + 1))
                .collect();
            format!(
                "{} reasons to refuse the module:\n{}",
                several.len(),
                lines.join("\n")
            )
        }
    }
}

/// Validates and recognises a module, and judges it under the limits of the guest.
///
/// Bounds: the limit `module_bytes`; a thousand imports, ten thousand exports.
/// Cost: one validation (about 100 MB a second), two for a module that fails it; never on a shard.
pub fn verify(bytes: impl Into<Arc<[u8]>>, limits: &Limits) -> Result<Verified, VerifyError> {
    let Ok(verdict) = verify_by_kind::<Infallible>(bytes, |_| Ok(limits.clone()));
    verdict
}

/// As [`verify`], where the limits depend on what the module serves as.
///
/// The limit `module_bytes` is asked for before that is known: it must be the same for every kind.
/// Errors: those of `limits_for`; within, the verdict.
pub fn verify_by_kind<E>(
    bytes: impl Into<Arc<[u8]>>,
    limits_for: impl Fn(Kind) -> Result<Limits, E>,
) -> Result<Result<Verified, VerifyError>, E> {
    let bytes = bytes.into();
    let module_bytes_max = limits_for(Kind::default())?.get(LimitName::ModuleBytes);
    let mut report = ModuleReport::empty(&bytes);
    report.refuse_size_over(LimitName::ModuleBytes, module_bytes_max);
    if report.reasons.is_empty() {
        report = inspect(&bytes);
        let limits = limits_for(report.kind.unwrap_or_default())?;
        for name in [LimitName::Memory, LimitName::TableElements] {
            report.refuse_size_over(name, limits.get(name));
        }
    }
    if report.reasons.is_empty() {
        Ok(Ok(Verified {
            bytes,
            report: Arc::new(report),
        }))
    } else {
        let report = Box::new(report);
        Ok(Err(VerifyError { report }))
    }
}
