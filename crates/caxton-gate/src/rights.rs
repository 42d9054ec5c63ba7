//! Rights: what is asked for, intersected with what is granted, less what is forbidden.

use std::collections::BTreeSet;

use caxton_model::{Permission, Timestamp};

use crate::{
    grants::Grants,
    index::{Entry, Index},
    pattern::{Pattern, Rule},
    requested::Requested,
    subject::{Guard, Subject},
};

/// The origin of what a guest forbids itself.
const MANIFEST: &str = "its own manifest";

/// What a site's policy forbids a guest, whatever is granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteForbid {
    /// The permission.
    pub permission: Permission,
    /// What is forbidden with it.
    pub pattern: Pattern,
    /// The line that says so, such as `policy.toml:7`.
    pub origin: String,
}

/// What a guest may do: what every layer allows and no layer forbids.
///
/// A layer is one manifest's request or one operator's grants. Without any grants there is no
/// right. [`Rights::intersection`] is the union of the layers, so it is commutative, associative
/// and idempotent, and adding a layer never permits more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    asked: BTreeSet<Requested>,
    granted: BTreeSet<Grants>,
    forbidden: BTreeSet<SiteForbid>,
}

impl Rights {
    /// What a manifest asks for. It bounds, and gives nothing by itself.
    #[must_use]
    pub fn asked(requested: Requested) -> Self {
        Self {
            asked: [requested].into(),
            ..Self::default()
        }
    }
    /// What an operator granted.
    #[must_use]
    pub fn granted(grants: Grants) -> Self {
        Self {
            granted: [grants].into(),
            ..Self::default()
        }
    }
    /// What a site forbids.
    #[must_use]
    pub fn forbidden(forbids: impl IntoIterator<Item = SiteForbid>) -> Self {
        Self {
            forbidden: forbids.into_iter().collect(),
            ..Self::default()
        }
    }
    /// What both allow.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            asked: &self.asked | &other.asked,
            granted: &self.granted | &other.granted,
            forbidden: &self.forbidden | &other.forbidden,
        }
    }
}

/// Rights as they are asked on each check: an index for each permission and layer.
#[derive(Debug)]
pub(crate) struct Compiled(Vec<Option<PermissionRights>>);

#[derive(Debug, Default)]
struct PermissionRights {
    asked: Vec<Index>,
    granted: Vec<Index>,
    forbids: Index,
}

/// What the layers found for an allowed access.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permit {
    /// The permission that allowed it.
    pub(crate) permission: Permission,
    /// When the first of the grants that it rests on ends.
    pub(crate) expires: Option<Timestamp>,
}

/// Which rule refused an access.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The manifest does not ask for it.
    NotRequested,
    /// Nothing granted takes it.
    NotGranted,
    /// Only a wildcard takes it, and it is behind a guard.
    Guarded(Guard),
    /// What took it has ended.
    Expired {
        /// The grant.
        rule: Rule,
        /// When it ended.
        at: Timestamp,
    },
    /// A rule forbids it.
    Forbidden {
        /// What the rule forbids.
        pattern: Pattern,
        /// The line of the site's policy, or the manifest; `None`: the guest's grants.
        origin: Option<String>,
    },
    /// It was no access at all; the problem in words.
    Malformed(String),
    /// The audit could not take it; the reason in words.
    Unaudited(String),
}

/// A refusal, and whether the name was allowed and only the address was not.
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) by_address: bool,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            by_address: false,
        }
    }
}

impl Compiled {
    pub(crate) fn new(rights: &Rights) -> Self {
        let of = |permission: &Permission| PermissionRights::new(*permission, rights);
        Self(Permission::ALL.iter().map(of).collect())
    }
    fn of(&self, permission: Permission) -> Option<&PermissionRights> {
        self.0.get(permission as usize)?.as_ref()
    }
    /// The rule that forbids an access.
    pub(crate) fn forbids(
        &self,
        permission: Permission,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> Option<Refusal> {
        let forbids = &self.of(permission)?.forbids;
        if forbids.is_empty() {
            return None;
        }
        let find = |subject: &Subject<'_>| {
            forbids.find(subject, |entry| {
                entry.counts_at(now) && entry.pattern.takes(subject, true)
            })
        };
        let entry = find(subject).or_else(|| find(&subject.by_address()?))?;
        Some(Refusal::Forbidden {
            pattern: entry.pattern.clone(),
            origin: entry.origin.clone(),
        })
    }
    /// Whether every layer allows an access. Forbids are asked before.
    pub(crate) fn allows(
        &self,
        permission: Permission,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> Result<Permit, Refused> {
        let rights = self.of(permission).ok_or(Refusal::NotGranted)?;
        if rights.granted.is_empty() {
            return Err(Refusal::NotGranted.into());
        }
        for layer in &rights.asked {
            let takes = |entry: &Entry| entry.pattern.takes(subject, false);
            layer.find(subject, takes).ok_or(Refusal::NotRequested)?;
        }
        let mut expires = None;
        for layer in &rights.granted {
            let entry = grant_for(layer, subject, now)?;
            expires = earlier(expires, entry.expires);
        }
        if let Some(place) = subject.by_address() {
            for layer in &rights.granted {
                let entry = grant_for(layer, &place, now).map_err(|refusal| Refused {
                    // The name is granted; that the address is not is the guard's doing.
                    refusal: match (refusal, place.guard()) {
                        (Refusal::NotGranted, Some(guard)) => Refusal::Guarded(guard),
                        (refusal, _) => refusal,
                    },
                    by_address: true,
                })?;
                expires = earlier(expires, entry.expires);
            }
        }
        Ok(Permit {
            permission,
            expires,
        })
    }
}

impl Compiled {
    /// Whether a permission is given for a path or anything below it. Forbids are not asked.
    pub(crate) fn meets_tree(&self, permission: Permission, path: &str, now: Timestamp) -> bool {
        self.every_layer(permission, |entry| {
            entry.counts_at(now) && entry.pattern.meets_tree(path)
        })
    }
    /// Whether a permission is given for all of a tree, and nothing forbids a part of it.
    pub(crate) fn includes_tree(&self, permission: Permission, path: &str, now: Timestamp) -> bool {
        let tree = format!("{}/**", path.trim_end_matches('/'));
        let write = permission == Permission::FsWrite;
        let is_guarded = Subject::Path { path: &tree, write }.guard().is_some();
        self.every_layer(permission, |entry| {
            entry.counts_at(now)
                && entry.pattern.includes_tree(&tree)
                && (!is_guarded || entry.pattern.is_explicit())
        })
    }
    /// Whether something that is forbidden lies in a tree.
    pub(crate) fn forbids_in_tree(
        &self,
        permission: Permission,
        path: &str,
        now: Timestamp,
    ) -> bool {
        let of = self.of(permission);
        of.is_some_and(|rights| {
            let mut entries = rights.forbids.all();
            entries.any(|entry| entry.counts_at(now) && entry.pattern.meets_tree(path))
        })
    }
    /// Whether each layer has an entry that fits.
    fn every_layer(&self, permission: Permission, fits: impl Fn(&Entry) -> bool) -> bool {
        self.of(permission).is_some_and(|rights| {
            let layers = [&rights.asked, &rights.granted];
            let mut layers = layers.into_iter().flatten();
            !rights.granted.is_empty() && layers.all(|layer| layer.all().any(&fits))
        })
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    [a, b].into_iter().flatten().min()
}

/// The grant of one layer that takes it, explicit where it is guarded.
fn grant_for<'a>(
    layer: &'a Index,
    subject: &Subject<'_>,
    now: Timestamp,
) -> Result<&'a Entry, Refusal> {
    let guard = subject.guard();
    let takes = |entry: &Entry| entry.pattern.takes(subject, false);
    let is_exact = |entry: &Entry| guard.is_none() || entry.pattern.is_explicit();
    if let Some(entry) = layer.find(subject, |e| e.counts_at(now) && is_exact(e) && takes(e)) {
        return Ok(entry);
    }
    let expired = layer.find(subject, |e| !e.counts_at(now) && is_exact(e) && takes(e));
    if let Some(Entry {
        pattern,
        expires: Some(at),
        ..
    }) = expired
    {
        return Err(Refusal::Expired {
            rule: Rule::allow(pattern.clone()),
            at: *at,
        });
    }
    match guard {
        Some(guard) if layer.find(subject, takes).is_some() => Err(Refusal::Guarded(guard)),
        _ => Err(Refusal::NotGranted),
    }
}

impl PermissionRights {
    /// `None` if nothing at all is granted or forbidden with the permission.
    fn new(permission: Permission, rights: &Rights) -> Option<Self> {
        let mut own = Self::default();
        for requested in &rights.asked {
            let mut layer = Index::default();
            for rule in requested.of(permission).into_iter().flat_map(|r| &r.rules) {
                let entry = Entry::new(rule.pattern.clone(), None, Some(MANIFEST.to_owned()));
                let index = if rule.forbids {
                    &mut own.forbids
                } else {
                    &mut layer
                };
                index.add(entry);
            }
            own.asked.push(layer);
        }
        for grants in &rights.granted {
            let mut layer = Index::default();
            for grant in grants.of(permission) {
                let entry = Entry::new(grant.rule.pattern.clone(), grant.expires, None);
                let index = if grant.rule.forbids {
                    &mut own.forbids
                } else {
                    &mut layer
                };
                index.add(entry);
            }
            own.granted.push(layer);
        }
        for forbid in rights
            .forbidden
            .iter()
            .filter(|f| f.permission == permission)
        {
            let origin = Some(forbid.origin.clone());
            own.forbids
                .add(Entry::new(forbid.pattern.clone(), None, origin));
        }
        let gives = own.granted.iter().any(|layer| !layer.is_empty());
        (gives || !own.forbids.is_empty()).then_some(own)
    }
}
