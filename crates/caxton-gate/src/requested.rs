//! What a manifest asks for, and how two versions differ in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use caxton_model::{Permission, Timestamp};

use crate::{
    grants::Grants,
    pattern::{Form, Header, Pattern, PatternError, PermissionRule, Rule},
};

/// What is asked for with one permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Request {
    /// The rules; never empty in a [`Requested`].
    pub rules: BTreeSet<Rule>,
    /// Why, in the author's words.
    pub reason: Option<String>,
}

/// What a guest asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Requested(BTreeMap<Permission, Request>);

/// One row of a manifest's `[permissions]`, as its reader gives it.
#[derive(Debug, Clone, Default)]
pub struct ManifestRow<'a> {
    /// The lists of patterns with their keys: `to`, `hosts`, `paths`, `names` and so on.
    pub lists: Vec<(&'a str, &'a [String])>,
    /// The header of `secret:use`.
    pub header: Option<&'a str>,
    /// Whether `http:serve` asks to be reached without a token.
    pub public: bool,
    /// Why, in the author's words.
    pub reason: Option<&'a str>,
}

impl ManifestRow<'_> {
    fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        let list = self.lists.iter().find(|(name, _)| *name == key);
        list.into_iter()
            .flat_map(|(_, texts)| texts.iter().map(String::as_str))
    }
    /// The rules in their text form.
    fn texts(&self, permission: Permission) -> Vec<String> {
        match permission {
            Permission::HttpServe if !self.public => Vec::new(),
            Permission::HttpServe | Permission::RandomSecure => vec![String::new()],
            Permission::SecretUse => {
                let header = self.header.map(|h| format!(" {h}")).unwrap_or_default();
                let names = self.list("names");
                names
                    .flat_map(|name| self.list("hosts").map(move |host| (name, host)))
                    .map(|(name, host)| format!("{name}@{host}{header}"))
                    .collect()
            }
            _ => self
                .lists
                .iter()
                .flat_map(|(_, list)| list.iter().cloned())
                .collect(),
        }
    }
}

impl Requested {
    /// Adds what a row of a manifest asks for.
    ///
    /// Errors: every pattern that is wrong; nothing is added then.
    pub fn ask(
        &mut self,
        permission: Permission,
        row: &ManifestRow<'_>,
    ) -> Result<(), Vec<PatternError>> {
        let mut problems = Vec::new();
        if permission == Permission::SecretUse {
            problems.extend(header_problem(row.header));
        }
        for host in row.list("hosts").filter(|host| host.contains('/')) {
            if !host.trim_start_matches('!').starts_with('[') {
                let problem = "`hosts` are without a path; use `to` for one";
                problems.push(error(permission, host, problem.to_owned()));
            }
        }
        let mut rules = BTreeSet::new();
        for text in row.texts(permission) {
            match Rule::parse(permission, &text) {
                Ok(rule) => drop(rules.insert(rule)),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if !rules.is_empty() {
            let request = self.0.entry(permission).or_default();
            request.rules.extend(rules);
            request.reason = row.reason.map(str::to_owned).or(request.reason.take());
        }
        Ok(())
    }
    /// Adds one rule.
    pub fn add(&mut self, permission: Permission, rule: Rule, reason: Option<&str>) {
        let request = self.0.entry(permission).or_default();
        request.rules.insert(rule);
        if let Some(reason) = reason {
            request.reason = Some(reason.to_owned());
        }
    }
    /// Everything that is asked for.
    pub fn iter(&self) -> impl Iterator<Item = (Permission, &Request)> {
        self.0
            .iter()
            .map(|(permission, request)| (*permission, request))
    }
    /// What is asked for with a permission.
    #[must_use]
    pub fn of(&self, permission: Permission) -> Option<&Request> {
        self.0.get(&permission)
    }
    /// The rules that are asked for and that no grant gives as a whole, with their reasons.
    pub fn missing_in(
        &self,
        grants: &Grants,
        now: Timestamp,
    ) -> impl Iterator<Item = (PermissionRule, Option<&str>)> {
        let rules = self.iter().flat_map(|(permission, request)| {
            let rules = request.rules.iter().filter(|rule| !rule.forbids);
            rules.map(move |rule| (permission, rule, request.reason.as_deref()))
        });
        let missing = rules.filter(move |(permission, rule, _)| {
            let mut counting = grants.of(*permission).iter().filter(|g| g.counts_at(now));
            !counting.any(|grant| grant.rule.includes(rule))
        });
        missing.map(|(permission, rule, reason)| {
            let rule = rule.clone();
            (PermissionRule { permission, rule }, reason)
        })
    }
    /// Whether a grant gives something that is asked for: one of the two patterns includes the other.
    #[must_use]
    pub fn asks_for(&self, granted: &PermissionRule) -> bool {
        let request = self.of(granted.permission);
        let mut rules = request.into_iter().flat_map(|request| &request.rules);
        rules.any(|rule| {
            let (asked, granted) = (&rule.pattern, &granted.rule.pattern);
            !rule.forbids && (asked.includes(granted) || granted.includes(asked))
        })
    }
    /// What changes from `self` to `new`.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Diff {
        let mut changes = Vec::new();
        for permission in Permission::ALL {
            let empty = Request::default();
            let old = self.of(*permission);
            let (before, after) = (old.unwrap_or(&empty), new.of(*permission).unwrap_or(&empty));
            diff_rules(*permission, old.is_none(), before, after, &mut changes);
            if old.is_some() && !after.rules.is_empty() && before.reason != after.reason {
                changes.push(Change {
                    permission: *permission,
                    kind: ChangeKind::Reason,
                    edit: Edit::Reason(after.reason.clone()),
                    reason: after.reason.clone(),
                });
            }
        }
        Diff { changes }
    }
    /// What is asked for after the changes of a diff.
    #[must_use]
    pub fn apply(&self, diff: &Diff) -> Self {
        let mut new = self.clone();
        for change in &diff.changes {
            let request = new.0.entry(change.permission).or_default();
            if change.kind == ChangeKind::New {
                request.reason.clone_from(&change.reason);
            }
            match &change.edit {
                Edit::Add(rule) => drop(request.rules.insert(rule.clone())),
                Edit::Remove(rule) => drop(request.rules.remove(rule)),
                Edit::Reason(reason) => request.reason.clone_from(reason),
            }
        }
        new.0.retain(|_, request| !request.rules.is_empty());
        new
    }
}

fn error(permission: Permission, text: &str, problem: String) -> PatternError {
    PatternError {
        permission,
        text: text.chars().take(100).collect(),
        problem,
    }
}

fn header_problem(header: Option<&str>) -> Option<PatternError> {
    let problem = match header {
        None => "says not in which header; add `header = \"Authorization: Bearer {}\"`".to_owned(),
        Some(text) => Header::parse(text).err()?,
    };
    Some(error(
        Permission::SecretUse,
        header.unwrap_or_default(),
        problem,
    ))
}

fn diff_rules(
    permission: Permission,
    is_new: bool,
    before: &Request,
    after: &Request,
    changes: &mut Vec<Change>,
) {
    let added = after.rules.difference(&before.rules);
    changes.extend(added.map(|rule| Change {
        permission,
        kind: match rule.forbids {
            _ if is_new => ChangeKind::New,
            true => ChangeKind::Narrowed,
            false if before.rules.iter().any(|old| old.includes(rule)) => ChangeKind::Narrowed,
            false => ChangeKind::Widened,
        },
        edit: Edit::Add(rule.clone()),
        reason: after.reason.clone(),
    }));
    let removed = before.rules.difference(&after.rules);
    changes.extend(removed.map(|rule| Change {
        permission,
        kind: match rule.forbids {
            true if !after.rules.is_empty()
                && !after.rules.iter().any(|new| new.includes(rule)) =>
            {
                ChangeKind::Widened
            }
            _ => ChangeKind::Dropped,
        },
        edit: Edit::Remove(rule.clone()),
        reason: before.reason.clone(),
    }));
}

/// What a change means for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// The permission was not asked for before.
    New,
    /// More is asked for with a permission than before.
    Widened,
    /// A rule that gives no more than the old ones, or forbids.
    Narrowed,
    /// A rule is no longer asked for.
    Dropped,
    /// Only the reason is another one.
    Reason,
}

impl ChangeKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Widened => "widened",
            Self::Narrowed => "narrowed",
            Self::Dropped => "dropped",
            Self::Reason => "reason",
        }
    }
}

/// How a change is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Edit {
    /// The rule is added.
    Add(Rule),
    /// The rule goes.
    Remove(Rule),
    /// The permission's reason becomes this one.
    Reason(Option<String>),
}

/// One change between what two versions ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// The permission.
    pub permission: Permission,
    /// What it means.
    pub kind: ChangeKind,
    /// How it is made.
    pub edit: Edit,
    /// The reason that the manifest gives for the permission.
    pub reason: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            permission, edit, ..
        } = self;
        let kind = self.kind.as_str();
        match edit {
            Edit::Add(rule) if rule.pattern.0 == Form::Whole => write!(f, "{kind}: {permission}")?,
            Edit::Add(rule) => write!(f, "{kind}: {permission}={rule}")?,
            Edit::Remove(rule) => write!(f, "{kind}: without {permission}={rule}")?,
            Edit::Reason(_) => write!(f, "{kind}: {permission}")?,
        }
        match &self.reason {
            Some(reason) => write!(f, " ({})", crate::shown::Shown(reason)),
            None => f.write_str(" (no reason given)"),
        }
    }
}

/// What changes between what two versions ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// The changes, by permission.
    pub changes: Vec<Change>,
}

impl Diff {
    /// Whether the new version asks for more, so that it has to wait for an approval.
    #[must_use]
    pub fn asks_for_more(&self) -> bool {
        let more = [ChangeKind::New, ChangeKind::Widened];
        self.changes
            .iter()
            .any(|change| more.contains(&change.kind))
    }
}

impl Pattern {
    /// The key of the manifest's list that holds patterns of this permission.
    #[must_use]
    pub const fn manifest_key(permission: Permission) -> &'static str {
        match permission {
            Permission::FsRead | Permission::FsWrite => "paths",
            Permission::EnvRead
            | Permission::VaultRead
            | Permission::VaultWrite
            | Permission::SecretUse
            | Permission::WorkflowRun => "names",
            Permission::EventEmit | Permission::EventListen => "topics",
            Permission::DataRead | Permission::DataWrite => "tables",
            Permission::ExtCall => "actions",
            Permission::HttpRead
            | Permission::HttpWrite
            | Permission::NetTcp
            | Permission::NetUdp
            | Permission::NetListen
            | Permission::MessageSend
            | Permission::MessageListen => "to",
            Permission::HttpServe | Permission::RandomSecure => "",
        }
    }
}
