//! Learn mode: the fewest lines of a manifest that allow what was refused.

use std::collections::{BTreeMap, BTreeSet};

use caxton_model::Permission;

use crate::{
    denied::Denied,
    pattern::{Form, Pattern},
};

/// Refusals that are remembered; a guest that tries more has shown what it is after.
const NOTES_MAX: usize = 10_000;

/// What a guest was refused.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    notes: BTreeMap<Permission, BTreeSet<Pattern>>,
    /// What more than one permission would have allowed.
    either: BTreeSet<(Vec<Permission>, String)>,
    count: usize,
}

impl Learned {
    pub(crate) fn note(&mut self, denied: &Denied, permissions: &[Permission]) {
        let Some(pattern) = denied.grantable().filter(|_| self.count < NOTES_MAX) else {
            return;
        };
        let is_new = if permissions.len() > 1 {
            self.either
                .insert((permissions.to_vec(), denied.exact.clone()))
        } else {
            self.notes
                .entry(denied.permission)
                .or_default()
                .insert(pattern)
        };
        self.count += usize::from(is_new);
    }
    /// The patterns that allow all of it, by permission. No host, name or first segment of a path
    /// becomes a wildcard; another segment does where two refusals differ in it alone.
    #[must_use]
    pub fn patterns(&self) -> BTreeMap<Permission, BTreeSet<Pattern>> {
        let mut patterns = self.notes.clone();
        for (permissions, exact) in &self.either {
            let parsed = permissions
                .iter()
                .filter_map(|p| Some((*p, Pattern::parse(*p, exact).ok()?)));
            let mut parsed = parsed.peekable();
            let first = parsed.peek().cloned();
            let is_taken = parsed.any(|(permission, pattern)| {
                let of = patterns.get(&permission);
                of.is_some_and(|of| of.iter().any(|other| other.includes(&pattern)))
            });
            if let Some((permission, pattern)) = first.filter(|_| !is_taken) {
                patterns.entry(permission).or_default().insert(pattern);
            }
        }
        for (permission, of) in &mut patterns {
            *of = fewest(*permission, of);
        }
        patterns
    }
    /// The lines for `[permissions]`.
    #[must_use]
    pub fn manifest_lines(&self) -> Vec<String> {
        let patterns = self.patterns();
        patterns.iter().flat_map(|(p, of)| lines(*p, of)).collect()
    }
}

/// Merges what differs in one segment, and drops what another pattern includes.
fn fewest(permission: Permission, of: &BTreeSet<Pattern>) -> BTreeSet<Pattern> {
    let mut by_wildcard: BTreeMap<String, BTreeSet<&Pattern>> = BTreeMap::new();
    for pattern in of {
        for wider in wider_by_a_segment(pattern) {
            by_wildcard.entry(wider).or_default().insert(pattern);
        }
    }
    // The wildcard that most refusals justify comes first; each refusal is used once.
    let mut groups: Vec<_> = by_wildcard.into_iter().collect();
    groups.sort_by(|(a, a_of), (b, b_of)| (b_of.len(), a).cmp(&(a_of.len(), b)));
    let (mut left, mut fewest) = (of.iter().collect::<BTreeSet<_>>(), BTreeSet::new());
    for (wider, of) in groups {
        let open = of.iter().filter(|pattern| left.contains(*pattern)).count();
        if let (2.., Ok(wider)) = (open, Pattern::parse(permission, &wider)) {
            left.retain(|pattern| !wider.includes(pattern));
            fewest.insert(wider);
        }
    }
    fewest.extend(left.into_iter().cloned());
    let all = fewest.clone();
    fewest.retain(|pattern| !all.iter().any(|o| o != pattern && o.includes(pattern)));
    fewest
}

/// The pattern's text with one segment of its path, but not the first, made a `*`.
fn wider_by_a_segment(pattern: &Pattern) -> Vec<String> {
    let path = match &pattern.0 {
        Form::Http { path, .. } | Form::Path(path) => path.to_string(),
        _ => return Vec::new(),
    };
    let text = pattern.to_string();
    let Some(before) = text.strip_suffix(path.as_str()) else {
        return Vec::new();
    };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let wider = |at: usize| {
        let with_star = segments
            .iter()
            .enumerate()
            .map(|(i, s)| if i == at { "*" } else { s });
        with_star.fold(before.to_owned(), |text, segment| text + "/" + segment)
    };
    let named = (1..segments.len()).filter(|at| segments.get(*at).is_some_and(|s| !s.is_empty()));
    named.map(wider).collect()
}

fn lines(permission: Permission, of: &BTreeSet<Pattern>) -> Vec<String> {
    let quoted = |text: &str| format!("{text:?}");
    if permission == Permission::SecretUse {
        return of.iter().filter_map(secret_line).collect();
    }
    let row = match permission {
        Permission::HttpServe => "public = true".to_owned(),
        Permission::RandomSecure => String::new(),
        _ => {
            let texts: Vec<_> = of.iter().map(|p| quoted(&p.to_string())).collect();
            format!(
                "{} = [{}]",
                Pattern::manifest_key(permission),
                texts.join(", ")
            )
        }
    };
    let row = if row.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{ {row} }}")
    };
    vec![format!("\"{permission}\" = {row}")]
}

fn secret_line(pattern: &Pattern) -> Option<String> {
    let Form::Secret {
        name,
        place,
        header,
    } = &pattern.0
    else {
        return None;
    };
    let header = header.as_ref().map(ToString::to_string).unwrap_or_default();
    let place = place.to_string();
    Some(format!(
        "\"secret:use\" = {{ names = [{name:?}], hosts = [{place:?}], header = {header:?} }}"
    ))
}
