//! The gate from outside: attacks on patterns, the check, the diff, policy and learn mode.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod attacks;
mod checks;
mod learning;
mod policies;
mod properties;
mod requests;

use std::sync::{Arc, Mutex};

use caxton_gate::{
    Access, Allowed, AuditEntry, AuditSink, Denied, Gate, Grants, PermissionRule, Requested, Rights,
};
use caxton_model::Timestamp;

const NOW: Timestamp = Timestamp(1_000_000);

/// An audit in memory, which can be told to fail.
#[derive(Default)]
struct Audit {
    entries: Mutex<Vec<String>>,
    is_full: Mutex<bool>,
}

impl AuditSink for Audit {
    fn append(&self, entry: &AuditEntry<'_>) -> Result<(), String> {
        if *self.is_full.lock().unwrap() {
            return Err("the disk is full".to_owned());
        }
        let verdict = if entry.denied.is_some() {
            "denied"
        } else {
            "allowed"
        };
        let (guest, permission, access) = (entry.guest, entry.permission, entry.access);
        let line = format!("{guest} {verdict} {permission}: {access} @{}", entry.epoch);
        self.entries.lock().unwrap().push(line);
        Ok(())
    }
}

fn rules(texts: &[&str]) -> Vec<PermissionRule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
fn grants(texts: &[&str]) -> Grants {
    Grants::from_rules(rules(texts), "operator", Timestamp(0))
}
fn requested(texts: &[&str]) -> Requested {
    let mut requested = Requested::default();
    for PermissionRule { permission, rule } in rules(texts) {
        requested.add(permission, rule, None);
    }
    requested
}
fn granted(texts: &[&str]) -> Rights {
    Rights::granted(grants(texts))
}
fn gate(rights: &Rights) -> Gate {
    Gate::new("guest", rights, Arc::new(Audit::default()))
}
fn check<A: Access>(granted_: &[&str], access: A) -> Result<Allowed<A>, Box<Denied>> {
    gate(&granted(granted_)).check(access, NOW)
}
