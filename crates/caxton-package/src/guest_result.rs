//! What a guest's functions return, as bytes of its memory: as hostile as the module itself.

use serde::{Deserialize, Serialize};

/// Who frees a C-string processor's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FreedBy {
    /// The host calls `deallocate(out, len + 1)`.
    Host,
    /// The guest, in its own time.
    #[default]
    Guest,
}

/// What a processor says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessorInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who frees its output.
    pub output_freed_by: FreedBy,
    /// What it is made of.
    pub dependencies: Vec<String>,
    /// Content types it takes; empty: any.
    #[serde(skip_deserializing)]
    pub formats: Vec<String>,
}

impl ProcessorInfo {
    /// Reads what `get_module_info` and `get_supported_formats` returned; `None`: nothing.
    ///
    /// Errors: in words, with the function's name.
    pub fn read(info: Option<&[u8]>, formats: Option<&[u8]>) -> Result<Self, String> {
        let bad = |function: &'static str| {
            move |error: serde_json::Error| {
                format!("`{function}` returned no JSON of its kind: {error}")
            }
        };
        let mut read = match info {
            Some(json) => serde_json::from_slice(json).map_err(bad("get_module_info"))?,
            None => Self::default(),
        };
        if let Some(json) = formats {
            read.formats = serde_json::from_slice(json).map_err(bad("get_supported_formats"))?;
        }
        Ok(read)
    }
}

/// Why there is no C string where a guest said that there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CStringFault {
    /// It begins outside the memory.
    Outside,
    /// It has more bytes than allowed.
    TooLong,
    /// The memory ends before it does.
    Unterminated,
}

/// The bytes at an address up to the NUL, at most so many.
pub fn c_string(memory: &[u8], at: u32, bytes_max: u64) -> Result<&[u8], CStringFault> {
    let start = usize::try_from(at).unwrap_or(usize::MAX);
    let rest = memory.get(start..).ok_or(CStringFault::Outside)?;
    // One more than allowed, so that too long and unterminated are told apart.
    let most = usize::try_from(bytes_max.saturating_add(1)).unwrap_or(usize::MAX);
    let window = rest.get(..most).unwrap_or(rest);
    match window.iter().position(|byte| *byte == 0) {
        Some(end) => Ok(window.get(..end).unwrap_or_default()),
        None if rest.len() > window.len() => Err(CStringFault::TooLong),
        None => Err(CStringFault::Unterminated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_c_string_ends_at_its_nul_and_nowhere_else() {
        let memory = b"ab\0cdef";
        assert_eq!(c_string(memory, 0, 10), Ok(&b"ab"[..]));
        assert_eq!(c_string(memory, 2, 0), Ok(&b""[..]));
        assert_eq!(c_string(memory, 3, 3), Err(CStringFault::Unterminated));
        assert_eq!(c_string(memory, 3, 2), Err(CStringFault::TooLong));
        assert_eq!(c_string(memory, 7, 2), Err(CStringFault::Unterminated));
        assert_eq!(c_string(memory, 8, 2), Err(CStringFault::Outside));
        assert_eq!(
            c_string(memory, u32::MAX, u64::MAX),
            Err(CStringFault::Outside)
        );
    }

    #[test]
    fn what_a_processor_says_of_itself_is_read_or_named() {
        let info = ProcessorInfo::read(
            Some(br#"{"name":"up","output_freed_by":"host"}"#),
            Some(br#"["text/plain"]"#),
        )
        .unwrap();
        assert_eq!(
            (info.name.as_str(), info.output_freed_by),
            ("up", FreedBy::Host)
        );
        assert_eq!(info.formats, ["text/plain"]);
        let error = ProcessorInfo::read(None, Some(b"{}")).unwrap_err();
        assert!(error.contains("get_supported_formats"), "{error}");
    }
}
