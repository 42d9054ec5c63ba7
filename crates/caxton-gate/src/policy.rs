//! Site policy: what this site allows without asking, and forbids whatever is granted.

use std::{fmt, ops::Range};

use caxton_model::{EngineProfile, Permission, glob};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    expectation::{self, Expectation},
    host::HostPattern,
    pattern::{Form, Pattern},
    rights::SiteForbid,
    subject::DATA_DIRECTORY,
};

/// What `publisher` is for a guest that nobody signed.
pub const UNSIGNED: &str = "unsigned";

/// Bytes of a policy; a thousand times what one needs.
const POLICY_BYTES_MAX: usize = 1 << 20;

/// A site's policy, as `policy.toml` has it.
///
/// A list of `[[allow]]` and of `[[forbid]]`. Each says of whom it speaks (`publisher`,
/// `namespace`, `profile`) and of what (`permission`, `pattern`); what it leaves out it speaks of
/// altogether. A forbid wins over every allow and every grant. What nothing speaks of is granted
/// by a person; of the profiles, all but `wide` run where nothing speaks of them. Each `[[test]]` is
/// a question with the answer that is expected, for [`Policy::run_tests`].
///
/// What no policy has to say stands in the gate itself: wildcards reach neither addresses that are
/// not public nor, for writes, anything outside `/data`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    name: String,
    lines: Vec<Line>,
    expectations: Vec<Expectation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    number: usize,
    forbids: bool,
    publisher: Option<String>,
    namespace: Option<String>,
    profile: Option<EngineProfile>,
    permission: Option<Permission>,
    pattern: Option<Pattern>,
    reason: Option<String>,
}

/// Of whom a policy is asked.
#[derive(Debug, Clone, Copy)]
pub struct PolicySubject<'a> {
    /// Who signed it; `None`: nobody, which is [`UNSIGNED`] in a policy.
    pub publisher: Option<&'a str>,
    /// Where it is deployed.
    pub namespace: &'a str,
    /// The profile that it runs under.
    pub profile: EngineProfile,
}

/// What a policy is asked.
#[derive(Debug, Clone, Copy)]
pub enum PolicyQuestion<'a> {
    /// May it run at all, under its profile?
    Run,
    /// May it be granted this?
    Grant(Permission, &'a Pattern),
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Yes, without asking a person.
    Allow,
    /// No, whoever grants it.
    Forbid,
    /// A person decides.
    Ask,
}

/// What a policy says, and which of its lines says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What it says.
    pub verdict: Verdict,
    /// The deciding line, such as `policy.toml:7`; `None`: no line speaks of it.
    pub line: Option<String>,
    /// That line's reason.
    pub reason: Option<String>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.verdict {
            Verdict::Allow => "allowed",
            Verdict::Forbid => "forbidden",
            Verdict::Ask => "for a person to decide",
        };
        match &self.line {
            Some(line) => write!(f, "{what} by {line}")?,
            None => write!(f, "{what}: no line of the policy speaks of it")?,
        }
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a policy, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct PolicyError {
    /// `policy.toml:7: what is wrong`.
    pub problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    allow: Vec<Spanned<Row>>,
    #[serde(default)]
    forbid: Vec<Spanned<Row>>,
    #[serde(default)]
    test: Vec<Spanned<expectation::Row>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    publisher: Option<String>,
    namespace: Option<String>,
    profile: Option<String>,
    permission: Option<String>,
    pattern: Option<String>,
    reason: Option<String>,
}

impl Policy {
    /// Reads a policy; `name` is what its lines are called by.
    ///
    /// Errors: the first error of syntax, or everything else that is wrong.
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        let fail = |problem: String| PolicyError {
            problems: vec![problem],
        };
        if text.len() > POLICY_BYTES_MAX {
            let problem = format!("{name} has more than {POLICY_BYTES_MAX} bytes");
            return Err(fail(problem));
        }
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = line_of(text, &error.span().unwrap_or_default());
            fail(format!("{name}:{line}: {}", error.message()))
        })?;
        let (mut lines, mut problems) = (Vec::new(), Vec::new());
        let allows = document.allow.into_iter().map(|row| (false, row));
        let forbids = document.forbid.into_iter().map(|row| (true, row));
        for (is_forbid, row) in allows.chain(forbids) {
            let number = line_of(text, &row.span());
            match read_row(number, is_forbid, row.into_inner()) {
                Ok(line) => lines.push(line),
                Err(of_row) => {
                    let with_line = of_row.into_iter().map(|p| (number, p));
                    problems.extend(with_line);
                }
            }
        }
        let mut expectations = Vec::new();
        for row in document.test {
            let number = line_of(text, &row.span());
            match Expectation::read(number, row.into_inner()) {
                Ok(expectation) => expectations.push(expectation),
                Err(of_row) => problems.extend(of_row.into_iter().map(|p| (number, p))),
            }
        }
        if !problems.is_empty() {
            problems.sort();
            let problems = problems
                .into_iter()
                .map(|(line, p)| format!("{name}:{line}: {p}"));
            return Err(PolicyError {
                problems: problems.collect(),
            });
        }
        lines.sort_by_key(|line| line.number);
        Ok(Self {
            name: name.to_owned(),
            lines,
            expectations,
        })
    }
    pub(crate) fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }
    /// What the policy says to a question, and by which line. Of several lines of one kind the
    /// first decides.
    #[must_use]
    pub fn decide(&self, whom: PolicySubject<'_>, what: PolicyQuestion<'_>) -> Decision {
        let deciding = |forbids: bool| {
            let of_kind = self.lines.iter().filter(|line| line.forbids == forbids);
            let mut speaking = of_kind.filter(|line| line.is_about(whom) && line.settles(what));
            speaking.next()
        };
        let (verdict, line) = match (deciding(true), deciding(false)) {
            (Some(line), _) => (Verdict::Forbid, Some(line)),
            (None, Some(line)) => (Verdict::Allow, Some(line)),
            (None, None) => (default_verdict(whom, what), None),
        };
        Decision {
            verdict,
            line: line.map(|line| self.origin(line)),
            reason: line.and_then(|line| line.reason.clone()),
        }
    }
    /// What the policy forbids a guest while it runs, for [`crate::Rights::forbidden`].
    #[must_use]
    pub fn forbids(&self, whom: PolicySubject<'_>) -> Vec<SiteForbid> {
        let about = |line: &&Line| line.forbids && line.is_about(whom);
        let of_line = |line: &Line| {
            let origin = self.origin(line);
            let permissions = match line.permission {
                Some(permission) => vec![permission],
                None => Permission::ALL.to_vec(),
            };
            let everything = permissions.into_iter().flat_map({
                let pattern = line.pattern.clone();
                move |permission| {
                    let patterns = match &pattern {
                        Some(pattern) => vec![pattern.clone()],
                        None => Pattern::all_of(permission),
                    };
                    patterns
                        .into_iter()
                        .map(move |pattern| (permission, pattern))
                }
            });
            everything
                .map(move |(permission, pattern)| SiteForbid {
                    permission,
                    pattern,
                    origin: origin.clone(),
                })
                .collect::<Vec<_>>()
        };
        self.lines.iter().filter(about).flat_map(of_line).collect()
    }
    fn origin(&self, line: &Line) -> String {
        self.place(line.number)
    }
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }
}

fn default_verdict(whom: PolicySubject<'_>, what: PolicyQuestion<'_>) -> Verdict {
    match (what, whom.profile) {
        (PolicyQuestion::Run, EngineProfile::Wide) | (PolicyQuestion::Grant(..), _) => Verdict::Ask,
        (PolicyQuestion::Run, _) => Verdict::Allow,
    }
}

impl Line {
    fn is_about(&self, whom: PolicySubject<'_>) -> bool {
        let publisher = whom.publisher.unwrap_or(UNSIGNED);
        let fits = |pattern: &Option<String>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| glob(pattern, text))
        };
        fits(&self.publisher, publisher)
            && fits(&self.namespace, whom.namespace)
            && self.profile.is_none_or(|profile| profile == whom.profile)
    }
    /// Whether it answers the question as a whole.
    fn settles(&self, what: PolicyQuestion<'_>) -> bool {
        match what {
            PolicyQuestion::Run => self.permission.is_none(),
            PolicyQuestion::Grant(permission, pattern) => {
                let is_of = self.permission.is_none_or(|own| own == permission);
                let own = self.pattern.as_ref();
                is_of
                    && own.is_none_or(|own| {
                        if self.forbids {
                            own.forbids_all_of(pattern)
                        } else {
                            own.includes(pattern)
                                && (own.is_explicit() || !pattern.names_guarded(permission))
                        }
                    })
                    // An allow without a permission is about running; it hands out no rights.
                    && (self.forbids || self.permission.is_some())
            }
        }
    }
}

fn read_row(number: usize, forbids: bool, row: Row) -> Result<Line, Vec<String>> {
    let mut problems = Vec::new();
    let mut keep = |problem: String| problems.push(problem);
    let profile = match row.profile.as_deref().map(str::parse::<EngineProfile>) {
        Some(Err(problem)) => {
            keep(problem);
            None
        }
        parsed => parsed.and_then(Result::ok),
    };
    let permission = match row.permission.as_deref().map(str::parse::<Permission>) {
        Some(Err(problem)) => {
            keep(problem.to_string());
            None
        }
        parsed => parsed.and_then(Result::ok),
    };
    let pattern = match (&row.pattern, permission) {
        (Some(text), Some(permission)) => Pattern::parse(permission, text)
            .map_err(|problem| keep(problem.to_string()))
            .ok(),
        (Some(text), None) => {
            if row.permission.is_none() {
                keep(format!(
                    "the pattern `{text}` stands without a `permission`"
                ));
            }
            None
        }
        (None, _) => None,
    };
    let of_whom = row.publisher.is_some() || row.namespace.is_some() || row.profile.is_some();
    if !of_whom && row.permission.is_none() {
        keep("says neither of whom nor of what it speaks".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Line {
        number,
        forbids,
        publisher: row.publisher,
        namespace: row.namespace,
        profile,
        permission,
        pattern,
        reason: row.reason,
    })
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or_default();
    before.matches('\n').count() + 1
}

impl Pattern {
    /// Patterns that take everything that a permission can be for.
    pub(crate) fn all_of(permission: Permission) -> Vec<Self> {
        let texts: &[&str] = match permission {
            Permission::HttpRead | Permission::HttpWrite => &["*:*"],
            Permission::NetTcp | Permission::NetUdp | Permission::NetListen => &["*:*"],
            Permission::SecretUse => &["*@*:*"],
            Permission::FsRead | Permission::FsWrite => &["/**"],
            Permission::HttpServe | Permission::RandomSecure => &[""],
            Permission::MessageSend => &["*", crate::OWN_NAMESPACE],
            _ => &["*"],
        };
        let parsed = texts.iter().map(|text| Self::parse(permission, text));
        parsed.filter_map(Result::ok).collect()
    }
    /// Whether it names what no wildcard reaches: an address that is not public, or for writes a path
    /// outside `/data`. A line that allows by a wildcard must not grant that without a person.
    fn names_guarded(&self, permission: Permission) -> bool {
        match &self.0 {
            Form::Http { place, .. } | Form::Place(place) | Form::Secret { place, .. } => {
                match &place.host {
                    HostPattern::Exact(host) => host.place(None).guard().is_some(),
                    HostPattern::Range(..) => true,
                    HostPattern::Any | HostPattern::Under(_) => false,
                }
            }
            Form::Path(path) => {
                permission == Permission::FsWrite && !path.to_string().starts_with(DATA_DIRECTORY)
            }
            Form::Whole | Form::Name(_) => false,
        }
    }
    /// Whether nothing is left of `other` once this pattern is forbidden: as a forbid it takes
    /// every port where it names none.
    fn forbids_all_of(&self, other: &Self) -> bool {
        let mut wide = self.clone();
        if let Form::Http { place, .. } | Form::Place(place) | Form::Secret { place, .. } =
            &mut wide.0
            && place.port == crate::host::PortPattern::Default
        {
            place.port = crate::host::PortPattern::Any;
        }
        wide.includes(other)
    }
}
