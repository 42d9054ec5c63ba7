//! Paths under a guest's virtual root.

use std::fmt;

/// Bytes of a path, as Linux has it.
const PATH_BYTES_MAX: usize = 4_096;
/// Bytes of one segment, as Linux has it.
const SEGMENT_BYTES_MAX: usize = 255;

/// An absolute path under a guest's virtual root, in its one form.
///
/// Paths are compared byte by byte: neither case nor Unicode form is folded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestPath(Box<str>);

impl GuestPath {
    /// Reads a path that is in its one form already.
    ///
    /// Errors: in words, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("does not begin with `/`".to_owned());
        };
        if text.len() > PATH_BYTES_MAX {
            return Err(format!("has more than {PATH_BYTES_MAX} bytes"));
        }
        if !rest.is_empty() {
            rest.split('/').try_for_each(check_segment)?;
        }
        Ok(Self(text.into()))
    }
    /// The path that a guest names from an open directory: `.`, repeated and trailing slashes go,
    /// `..` and absolute paths are refused.
    ///
    /// Errors: in words, without the text.
    pub fn join(&self, relative: &str) -> Result<Self, String> {
        if relative.starts_with('/') {
            return Err("is absolute, and is asked for from a directory".to_owned());
        }
        if relative.len() > PATH_BYTES_MAX {
            return Err(format!("has more than {PATH_BYTES_MAX} bytes"));
        }
        let parts = relative
            .split('/')
            .filter(|part| !matches!(*part, "" | "."));
        let base = self.0.strip_suffix('/').unwrap_or(&self.0);
        let joined = parts.fold(base.to_owned(), |path, part| path + "/" + part);
        Self::parse(if joined.is_empty() { "/" } else { &joined })
    }
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rules that segments of paths and of patterns share; a pattern's `*` comes on top.
pub(crate) fn check_segment(segment: &str) -> Result<(), String> {
    check_pattern_segment(segment)?;
    if segment.contains('*') {
        return Err("holds a `*`, which only patterns have".to_owned());
    }
    Ok(())
}

pub(crate) fn check_pattern_segment(segment: &str) -> Result<(), String> {
    match segment {
        "" => return Err("has an empty segment: `//`, or a `/` at its end".to_owned()),
        "." | ".." => return Err(format!("has the segment `{segment}`")),
        _ => {}
    }
    if segment.len() > SEGMENT_BYTES_MAX {
        return Err(format!(
            "has a segment of more than {SEGMENT_BYTES_MAX} bytes"
        ));
    }
    if let Some(bad) = segment.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(format!("holds the character U+{:04X}", u32::from(bad)));
    }
    Ok(())
}
