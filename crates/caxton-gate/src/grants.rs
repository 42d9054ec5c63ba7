//! Grants: what an operator allowed a guest, until when, and why.

use std::collections::BTreeMap;

use caxton_model::{Permission, Timestamp};

use crate::pattern::{OWN_NAMESPACE, Pattern, PermissionRule, Rule};

/// One rule that an operator granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// What is granted, or with `!` taken out of everything granted.
    pub rule: Rule,
    /// Until when it counts; `None`: until it is revoked.
    pub expires: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Who granted it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Grant {
    /// Whether it still counts.
    #[must_use]
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// What an operator granted one guest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Grants(BTreeMap<Permission, Vec<Grant>>);

impl Grants {
    /// Adds a grant; one with the same rule is replaced.
    pub fn grant(&mut self, permission: Permission, grant: Grant) {
        self.revoke(permission, &grant.rule);
        let grants = self.0.entry(permission).or_default();
        let at = grants.partition_point(|other| other < &grant);
        grants.insert(at, grant);
    }
    /// Takes a grant back; says whether there was one.
    pub fn revoke(&mut self, permission: Permission, rule: &Rule) -> bool {
        let Some(grants) = self.0.get_mut(&permission) else {
            return false;
        };
        let before = grants.len();
        grants.retain(|grant| grant.rule != *rule);
        let found = grants.len() < before;
        if grants.is_empty() {
            self.0.remove(&permission);
        }
        found
    }
    /// Everything granted with a permission, in the order of the rules.
    #[must_use]
    pub fn of(&self, permission: Permission) -> &[Grant] {
        self.0.get(&permission).map_or(&[], Vec::as_slice)
    }
    /// Every grant.
    pub fn iter(&self) -> impl Iterator<Item = (Permission, &Grant)> {
        self.0
            .iter()
            .flat_map(|(permission, grants)| grants.iter().map(|grant| (*permission, grant)))
    }
    /// Grants without an end, from rules.
    #[must_use]
    pub fn from_rules(
        rules: impl IntoIterator<Item = PermissionRule>,
        by: &str,
        at: Timestamp,
    ) -> Self {
        let mut grants = Self::default();
        for PermissionRule { permission, rule } in rules {
            let grant = Grant {
                rule,
                expires: None,
                reason: None,
                by: by.to_owned(),
                at,
            };
            grants.grant(permission, grant);
        }
        grants
    }
}

/// What everybody has who is deployed without a manifest: sending within the namespace.
#[must_use]
pub fn default_right_to_send() -> PermissionRule {
    PermissionRule {
        permission: Permission::MessageSend,
        rule: Rule::allow(Pattern(crate::pattern::Form::Name(OWN_NAMESPACE.into()))),
    }
}
