//! The one way to a [`Verified`] module.

use std::sync::Arc;

use caxton_model::{ByteSize, Digest, ErrorCode};

use crate::{ModuleReport, inspect};

/// A module that was validated, recognised, and found without a reason to refuse it.
///
/// Made only by [`verify`]. Cost of a clone: two reference counts.
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

/// Why bytes are no module that the host takes.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Larger than the limit.
    #[error(
        "limit `module_bytes` is {}, the module has {}; {}",
        ByteSize(*.max_bytes), ByteSize(*.size_bytes), ErrorCode::ModuleTooLarge.remedy()
    )]
    TooLarge {
        /// Its size. Unit: bytes.
        size_bytes: u64,
        /// The limit. Unit: bytes.
        max_bytes: u64,
    },
    /// Read, and refused; all reasons are in the report.
    #[error("{}", reasons_text(.report))]
    Refused {
        /// What was found.
        report: Box<ModuleReport>,
    },
}

impl VerifyError {
    /// The stable code: that of the first reason.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::ModuleTooLarge,
            Self::Refused { report } => report
                .reasons
                .first()
                .map_or(ErrorCode::InvalidModule, |reason| reason.code),
        }
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

/// Validates and recognises a module.
///
/// Bounds: `module_bytes_max` bytes; a thousand imports, ten thousand exports.
/// Cost: one validation (about 100 MB a second), three for a module that fails it; never on a shard.
pub fn verify(bytes: impl Into<Arc<[u8]>>, module_bytes_max: u64) -> Result<Verified, VerifyError> {
    let bytes = bytes.into();
    let size_bytes = bytes.len() as u64;
    if size_bytes > module_bytes_max {
        return Err(VerifyError::TooLarge {
            size_bytes,
            max_bytes: module_bytes_max,
        });
    }
    let report = inspect(&bytes);
    if report.reasons.is_empty() {
        Ok(Verified {
            bytes,
            report: Arc::new(report),
        })
    } else {
        Err(VerifyError::Refused {
            report: Box::new(report),
        })
    }
}
