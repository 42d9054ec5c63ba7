//! Paths as segments: `*` within one segment, `**` for any number of them.

use std::fmt;

use caxton_model::glob;

/// Segments of a path pattern.
///
/// Paths that people grant have fewer than ten; the bound keeps matching short.
const SEGMENTS_MAX: usize = 64;

/// `**` segments of a path pattern: one before and one after what is named, and two to spare.
const DEEP_MAX: usize = 4;

/// A path pattern, absolute and without empty segments but for the last one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Segments(Vec<Box<str>>);

impl Segments {
    /// Any path.
    pub(crate) fn any() -> Self {
        Self(vec!["**".into()])
    }
    /// Splits a pattern that begins with `/`; `normal` brings one segment to its one form.
    pub(crate) fn parse(
        text: &str,
        normal: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a path begins with `/`".to_owned());
        };
        let parts: Vec<&str> = rest.split('/').collect();
        if parts.len() > SEGMENTS_MAX {
            return Err(format!("has more than {SEGMENTS_MAX} segments"));
        }
        if parts.iter().filter(|part| **part == "**").count() > DEEP_MAX {
            return Err(format!("has more than {DEEP_MAX} segments `**`"));
        }
        let mut segments = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            if part.is_empty() && i + 1 < parts.len() {
                return Err("has an empty segment (`//`)".to_owned());
            }
            if part.contains("**") && *part != "**" {
                return Err(format!("`{part}`: `**` stands alone between two `/`"));
            }
            segments.push(normal(part)?.into());
        }
        Ok(Self(segments))
    }
    /// Whether it takes any path.
    pub(crate) fn is_any(&self) -> bool {
        matches!(self.0.as_slice(), [only] if &**only == "**")
    }
    /// Whether a path, or everything that another pattern's text takes, fits.
    ///
    /// A segment `**` in `text` is one of another pattern and is met only by `**`. That makes it
    /// sound to ask with a pattern's text: a literal never meets a `*`, and a glob that meets the
    /// text of another one meets all that the other meets.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut rest = text.strip_prefix('/');
        let (mut at, mut resume) = (0, None);
        loop {
            match (self.0.get(at).map(|s| &**s), rest) {
                (Some("**"), _) => {
                    at += 1;
                    resume = Some((at, rest));
                    continue;
                }
                (Some(pattern), Some(left)) => {
                    let (head, tail) = split(left);
                    if segment_matches(pattern, head) {
                        (at, rest) = (at + 1, tail);
                        continue;
                    }
                }
                (None, None) => return true,
                _ => {}
            }
            // The last `**` takes one segment more.
            let Some((after, Some(left))) = resume else {
                return false;
            };
            let tail = split(left).1;
            resume = Some((after, tail));
            (at, rest) = (after, tail);
        }
    }
    /// Whether it takes that path or anything below it.
    pub(crate) fn meets_tree(&self, path: &str) -> bool {
        let mut patterns = self.0.iter().map(|pattern| &**pattern);
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            match patterns.next() {
                Some("**") => return true,
                Some(pattern) if segment_matches(pattern, segment) => {}
                _ => return false,
            }
        }
        true
    }
    /// The literal segments before the first wildcard, as text.
    pub(crate) fn literal_prefix(&self) -> String {
        let literal = self.0.iter().take_while(|s| !s.contains('*'));
        literal.fold(String::new(), |text, s| text + "/" + s)
    }
    /// Whether it names one file, or one directory with what is in it: no wildcard but the last
    /// segment, and a literal before it.
    pub(crate) fn names_directory(&self) -> bool {
        let literals = self.0.iter().take_while(|s| !s.contains('*')).count();
        literals > 0 && literals + 1 >= self.0.len()
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|segment| write!(f, "/{segment}"))
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('/')
        .map_or((path, None), |(head, tail)| (head, Some(tail)))
}

/// Whether one segment fits; a whole `*` needs at least one character.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    match (pattern, segment) {
        (_, "**") => false,
        ("*", segment) => !segment.is_empty(),
        _ => glob(pattern, segment),
    }
}

/// Whether some text fits both globs.
pub(crate) fn globs_meet(one: &str, other: &str) -> bool {
    // For each beginning of `other`: whether some text fits it and the beginning of `one` so far.
    let other = other.as_bytes();
    let mut row = vec![true];
    for byte in other {
        let before = row.last().copied().unwrap_or(false);
        row.push(before && *byte == b'*');
    }
    for left in one.bytes() {
        let mut next = Vec::with_capacity(row.len());
        next.push(left == b'*' && row.first().copied().unwrap_or(false));
        for (at, right) in other.iter().enumerate() {
            let above = row.get(at + 1).copied().unwrap_or(false);
            let beside = next.get(at).copied().unwrap_or(false);
            let corner = row.get(at).copied().unwrap_or(false);
            next.push(match (left, *right) {
                (b'*', _) | (_, b'*') => above || beside || corner,
                (left, right) => left == right && corner,
            });
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Segments {
        Segments::parse(text, |s| Ok(s.to_owned())).unwrap()
    }

    #[test]
    fn a_star_stays_in_its_segment_and_two_cross_them() {
        for (text, path, fits) in [
            ("/**", "/", true),
            ("/**", "/a/b/c", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/", true),
            ("/a/**", "/ab", false),
            ("/a/*", "/a/", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*/c", "/a/b/c", true),
            ("/a/x*", "/a/x", true),
            ("/a/x*y", "/a/x-y", true),
            ("/a/**/z", "/a/z", true),
            ("/a/**/z", "/a/b/c/z", true),
            ("/a/**/z", "/a/b/c/zz", false),
            ("/**/b/**/d", "/a/b/b/c/d", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a/", false),
            ("/a/", "/a/", true),
            ("/a/*", "/a/**", false),
            ("/a/**", "/a/*/**", true),
        ] {
            assert_eq!(pattern(text).matches(path), fits, "{text} {path}");
        }
    }

    #[test]
    fn a_pattern_meets_the_trees_that_hold_something_it_takes() {
        for (text, path, meets) in [
            ("/data/in/**", "/data", true),
            ("/data/in/**", "/data/in", true),
            ("/data/in/**", "/data/in/a/b", true),
            ("/data/in/**", "/data/out", false),
            ("/data/in/a", "/data/in", true),
            ("/data/in/a", "/data/in/a", true),
            ("/data/in/a", "/data/in/a/b", false),
            ("/data/*/x", "/data/in", true),
            ("/data/*/x", "/data/in/y", false),
            ("/data/**", "/", true),
        ] {
            assert_eq!(pattern(text).meets_tree(path), meets, "{text} {path}");
        }
    }

    #[test]
    fn a_path_pattern_says_what_is_wrong_with_it() {
        for bad in ["", "a", "//", "/a//b", "/a/**b", "/**/**/**/**/**"] {
            assert!(Segments::parse(bad, |s| Ok(s.to_owned())).is_err(), "{bad}");
        }
        assert!(Segments::parse(&"/a".repeat(65), |s| Ok(s.to_owned())).is_err());
    }
}
