//! Patterns by what an access names, so that a check does not ask a thousand of them.

use std::collections::HashMap;

use caxton_model::Timestamp;
use fnv::FnvBuildHasher;

use crate::{
    host::HostPattern,
    pattern::{Form, Pattern},
    subject::Subject,
};

/// A pattern with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) pattern: Pattern,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) origin: Option<String>,
}

impl Entry {
    pub(crate) const fn new(
        pattern: Pattern,
        expires: Option<Timestamp>,
        origin: Option<String>,
    ) -> Self {
        Self {
            pattern,
            expires,
            origin,
        }
    }
    pub(crate) fn counts_at(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// Entries by their literal beginning: the host, and the path up to the first wildcard.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Patterns of one host, of a path, or of a name without wildcards.
    exact: Beginnings,
    /// Patterns of `*.example.com`, by `.example.com`.
    under: Beginnings,
    /// All others.
    rest: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Beginnings {
    entries: HashMap<Box<str>, Vec<Entry>, FnvBuildHasher>,
    /// Segments of the longest literal path.
    depth: usize,
}

impl Beginnings {
    fn add(&mut self, key: String, depth: usize, entry: Entry) {
        self.depth = self.depth.max(depth);
        self.entries.entry(key.into()).or_default().push(entry);
    }
    /// The first fitting entry under any beginning of `text` that holds its first `base` bytes.
    fn find(&self, text: &str, base: usize, fits: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        if self.entries.is_empty() {
            return None;
        }
        let mut end = base;
        for _ in 0..=self.depth {
            let beginning = text.get(..end)?;
            let entries = self.entries.get(beginning).into_iter().flatten();
            if let Some(entry) = { entries }.find(|entry| fits(entry)) {
                return Some(entry);
            }
            let next = text.get(end + 1..)?;
            end = next.find('/').map_or(text.len(), |at| end + 1 + at);
        }
        None
    }
}

impl Index {
    pub(crate) fn add(&mut self, entry: Entry) {
        let (key, path) = match &entry.pattern.0 {
            Form::Http { place, path, .. } => match &place.host {
                HostPattern::Exact(host) => (Some((host.to_string(), false)), Some(path)),
                HostPattern::Under(suffix) => (Some((suffix.to_string(), true)), Some(path)),
                HostPattern::Any | HostPattern::Range(..) => (None, None),
            },
            Form::Path(path) => (Some((String::new(), false)), Some(path)),
            Form::Name(name) if !name.contains('*') => (Some((name.to_string(), false)), None),
            _ => (None, None),
        };
        let prefix = path.map(|path| path.literal_prefix()).unwrap_or_default();
        let depth = prefix.matches('/').count();
        match key {
            Some((host, false)) => self.exact.add(host + &prefix, depth, entry),
            Some((suffix, true)) => self.under.add(suffix + &prefix, depth, entry),
            None => self.rest.push(entry),
        }
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.entries.is_empty() && self.under.entries.is_empty() && self.rest.is_empty()
    }
    /// The first entry that fits; `fits` asks the pattern itself.
    pub(crate) fn find(
        &self,
        subject: &Subject<'_>,
        fits: impl Fn(&Entry) -> bool,
    ) -> Option<&Entry> {
        let Some((key, base)) = subject.key() else {
            return self.all().find(|entry| fits(entry));
        };
        let text = &*key;
        if let Some(entry) = self.exact.find(text, base, &fits) {
            return Some(entry);
        }
        if !self.under.entries.is_empty() {
            let dots = text.get(..base).unwrap_or_default().match_indices('.');
            for (dot, _) in dots {
                let suffix = text.get(dot..).unwrap_or_default();
                if let Some(entry) = self.under.find(suffix, base - dot, &fits) {
                    return Some(entry);
                }
            }
        }
        self.rest.iter().find(|entry| fits(entry))
    }
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        let beginnings = [&self.exact, &self.under];
        beginnings
            .into_iter()
            .flat_map(|b| b.entries.values().flatten())
            .chain(&self.rest)
    }
}
