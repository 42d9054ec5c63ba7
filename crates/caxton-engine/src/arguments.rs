//! A command's arguments, as WASI hands them out: texts that end with a zero byte, one behind the
//! other.

use caxton_model::{ByteSize, ErrorCode, Fault};

/// Bytes of all arguments together, their ends included.
///
/// As much as systems allow; a payload goes in on standard input.
pub const ARGUMENT_BYTES_MAX: usize = 128 << 10;

/// What programs expect first: their own name. The same for all, so that it tells nothing.
const OWN_NAME: &str = "guest";

/// The arguments of a WASI command, behind its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments(Vec<u8>);

impl Default for Arguments {
    /// None but the program's own name.
    fn default() -> Self {
        Self(format!("{OWN_NAME}\0").into_bytes())
    }
}

impl Arguments {
    /// Takes arguments in their order.
    ///
    /// Bounds: [`ARGUMENT_BYTES_MAX`]. Errors: more than that, or a zero byte within one.
    pub fn new(arguments: &[String]) -> Result<Self, Fault> {
        let mut all = Self::default();
        for argument in arguments {
            if argument.contains('\0') {
                let text = "an argument has a zero byte in it, where a command sees its end; \
                            give such bytes on standard input";
                return Err(Fault::new(ErrorCode::MalformedRequest, text));
            }
            all.0.extend_from_slice(argument.as_bytes());
            all.0.push(0);
            if all.0.len() > ARGUMENT_BYTES_MAX {
                let most = ByteSize(ARGUMENT_BYTES_MAX as u64);
                let text = format!(
                    "the arguments have more than {most} together; give what is larger on \
                     standard input"
                );
                return Err(Fault::new(ErrorCode::PayloadTooLarge, text));
            }
        }
        Ok(all)
    }
    /// The variables of an environment, as `NAME=VALUE`; those beyond the bound are left out.
    pub(crate) fn variables(variables: &[String]) -> Self {
        let mut all = Vec::new();
        for variable in variables.iter().filter(|variable| !variable.contains('\0')) {
            if all.len() + variable.len() < ARGUMENT_BYTES_MAX {
                all.extend_from_slice(variable.as_bytes());
                all.push(0);
            }
        }
        Self(all)
    }
    /// All of them, each with its end.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
    /// Where each begins.
    pub(crate) fn starts(&self) -> Vec<usize> {
        let ends = self.0.iter().enumerate().filter(|(_, byte)| **byte == 0);
        let mut starts = vec![0];
        starts.extend(ends.map(|(end, _)| end + 1));
        starts.pop();
        starts
    }
}
