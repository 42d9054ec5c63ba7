//! The `[[test]]` tables of a policy: questions with the answers that its author expects.

use std::{fmt, str::FromStr};

use caxton_model::{EngineProfile, Permission};
use serde::Deserialize;

use crate::{
    pattern::{Pattern, PermissionRule, Rule},
    policy::{Policy, PolicyQuestion, PolicySubject, Verdict},
};

/// One `[[test]]` table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    namespace: Option<String>,
    publisher: Option<String>,
    profile: Option<String>,
    permission: Option<String>,
    pattern: Option<String>,
    expect: String,
}

/// A question to a policy, and the verdict that its author expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    line: usize,
    namespace: String,
    publisher: Option<String>,
    profile: EngineProfile,
    asked: Option<PermissionRule>,
    expected: Verdict,
}

impl Expectation {
    /// Reads a table that stands at that line.
    ///
    /// Errors: everything that is wrong with it.
    pub(crate) fn read(line: usize, row: Row) -> Result<Self, Vec<String>> {
        fn read<T: FromStr<Err: fmt::Display>>(text: &str, to: &mut Vec<String>) -> Option<T> {
            text.parse()
                .map_err(|e: T::Err| to.push(e.to_string()))
                .ok()
        }
        let mut problems = Vec::new();
        let profile = row.profile.as_deref();
        let profile = profile.and_then(|text| read::<EngineProfile>(text, &mut problems));
        let permission = row.permission.as_deref();
        let permission = permission.and_then(|text| read::<Permission>(text, &mut problems));
        let expected = read::<Verdict>(&row.expect, &mut problems);
        let asked = permission.and_then(|permission| {
            let pattern = Pattern::parse(permission, row.pattern.as_deref().unwrap_or_default());
            let pattern = pattern.map_err(|problem| problems.push(problem.to_string()));
            let rule = Rule::allow(pattern.ok()?);
            Some(PermissionRule { permission, rule })
        });
        if row.permission.is_none() && row.pattern.is_some() {
            problems.push("the pattern stands without a `permission`".to_owned());
        }
        let Some(expected) = expected.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        Ok(Self {
            line,
            namespace: row.namespace.unwrap_or_else(|| "main".to_owned()),
            publisher: row.publisher,
            profile: profile.unwrap_or_default(),
            asked,
            expected,
        })
    }
}

impl Policy {
    /// How many `[[test]]` tables there are, and the failure of each whose expectation is not met.
    #[must_use]
    pub fn run_tests(&self) -> (usize, Vec<String>) {
        let failures = self.expectations().iter().filter_map(|test| {
            let whom = PolicySubject {
                publisher: test.publisher.as_deref(),
                namespace: &test.namespace,
                profile: test.profile,
            };
            let (what, shown) = match &test.asked {
                Some(asked) => (
                    PolicyQuestion::Grant(asked.permission, &asked.rule.pattern),
                    format!("`{asked}`"),
                ),
                None => (
                    PolicyQuestion::Run,
                    format!("running under `{}`", test.profile),
                ),
            };
            let decision = self.decide(whom, what);
            (decision.verdict != test.expected).then(|| {
                format!(
                    "{}: expected `{}`, but {shown} in `{}` is {decision}",
                    self.place(test.line),
                    test.expected,
                    test.namespace
                )
            })
        });
        (self.expectations().len(), failures.collect())
    }
}

impl FromStr for Verdict {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = [Self::Allow, Self::Forbid, Self::Ask].into_iter();
        all.find(|verdict| verdict.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no verdict; use one of allow, forbid, ask"))
    }
}
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Verdict {
    /// Its word in a policy's tests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Forbid => "forbid",
            Self::Ask => "ask",
        }
    }
}
