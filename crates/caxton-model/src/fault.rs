//! A guest's failure as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ErrorCode;

/// Why a turn or a call did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: ErrorCode,
    /// In words, for whoever reads it at midnight: what was reached, what was asked, how to mend it.
    pub text: String,
    /// Where the guest was, innermost first; empty if the engine did not stop inside the guest.
    pub backtrace: Vec<Frame>,
}

/// One frame of a guest's stack.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frame {
    /// The function's name, from the name section, or `func[INDEX]`.
    pub function: String,
    /// `file:line`, where the module carries DWARF.
    pub source: Option<String>,
    /// Offset in the module's file. Unit: bytes.
    pub module_offset: u64,
}

impl Fault {
    /// A fault without a stack.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            backtrace: Vec::new(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)?;
        for frame in &self.backtrace {
            write!(f, "\n  at {}", frame.function)?;
            if let Some(source) = &frame.source {
                write!(f, " ({source})")?;
            }
        }
        Ok(())
    }
}
impl std::error::Error for Fault {}
