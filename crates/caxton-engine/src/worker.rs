//! The compiler in a process of its own.
use std::path::Path;

use crate::{EngineOptions, engine::Runtime};

/// Why the worker gave no code.
#[derive(Debug)]
pub(crate) enum WorkerError {
    /// It went over a limit.
    Limit { reason: String },
    /// It could not work.
    Failed { reason: String },
}

pub(crate) fn compile(
    _program: &Path,
    _options: &EngineOptions,
    _runtime: &Runtime,
    _module: &[u8],
) -> Result<Vec<u8>, WorkerError> {
    Err(WorkerError::Failed {
        reason: String::new(),
    })
}
