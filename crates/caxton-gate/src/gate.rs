//! The gate: the one check before every access of a guest.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use caxton_model::{Permission, Timestamp};

use crate::{
    access::{Access, Malformed},
    denied::Denied,
    guest_path::GuestPath,
    learned::Learned,
    rights::{Compiled, Permit, Refusal, Refused, Rights},
    subject::Subject,
};

/// Where every decision is appended before it is acted on.
pub trait AuditSink: Send + Sync {
    /// Appends a decision. Called by the gate alone, once for each check.
    ///
    /// Errors: in words; the access is then refused.
    fn append(&self, entry: &AuditEntry<'_>) -> Result<(), String>;
}

/// One decision of a gate.
pub struct AuditEntry<'a> {
    /// Who asked.
    pub guest: &'a str,
    /// When.
    pub at: Timestamp,
    /// The state of the rights that decided; each change of them is the next number.
    pub epoch: u64,
    /// The permission that the access needs.
    pub permission: Permission,
    /// What may be kept of the access: never a secret, a body, a query or user information.
    pub access: &'a dyn fmt::Display,
    /// Why it was refused; `None`: it was allowed.
    pub denied: Option<&'a Denied>,
}

/// How often a permission was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checks {
    /// Checks that allowed.
    pub allowed: u64,
    /// Checks that refused.
    pub denied: u64,
}

/// An access that the gate allowed. Only [`Gate::check`] makes one.
///
/// What performs an access takes this by value, so that an unchecked one does not compile:
///
/// ```compile_fail,E0451
/// # fn forge(access: caxton_gate::RandomSecure) {
/// let allowed = caxton_gate::Allowed { access, epoch: 0, expires: None };
/// # }
/// ```
#[derive(Debug)]
pub struct Allowed<A> {
    access: A,
    epoch: u64,
    expires: Option<Timestamp>,
}

impl<A> Allowed<A> {
    /// The access.
    pub const fn access(&self) -> &A {
        &self.access
    }
    /// The access, to be performed once.
    pub fn into_access(self) -> A {
        self.access
    }
    /// When the first of the grants that allowed it ends.
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// The gate of one guest: its rights, its counts, and the audit.
///
/// Clones share the state, so that a revocation is seen by the next check of a running turn.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
    lent: Option<Arc<Compiled>>,
}

struct Shared {
    guest: String,
    rights: RwLock<Arc<Compiled>>,
    epoch: AtomicU64,
    checks: Vec<[AtomicU64; 2]>,
    audit: Arc<dyn AuditSink>,
    learned: Option<Mutex<Learned>>,
}

impl Gate {
    /// The gate of a guest with those rights.
    #[must_use]
    pub fn new(guest: &str, rights: &Rights, audit: Arc<dyn AuditSink>) -> Self {
        Self::build(guest, rights, audit, None)
    }
    /// The same in learn mode: it refuses as any other, and remembers what would have been needed.
    #[must_use]
    pub fn learning(guest: &str, rights: &Rights, audit: Arc<dyn AuditSink>) -> Self {
        Self::build(guest, rights, audit, Some(Mutex::default()))
    }
    fn build(
        guest: &str,
        rights: &Rights,
        audit: Arc<dyn AuditSink>,
        learned: Option<Mutex<Learned>>,
    ) -> Self {
        let shared = Shared {
            guest: guest.to_owned(),
            rights: RwLock::new(Arc::new(Compiled::new(rights))),
            epoch: AtomicU64::new(0),
            checks: Permission::ALL.iter().map(|_| Default::default()).collect(),
            audit,
            learned,
        };
        Self {
            shared: Arc::new(shared),
            lent: None,
        }
    }
    /// This gate with rights lent beside the guest's own, for one call or one run. What the
    /// guest's own rights forbid stays forbidden.
    #[must_use]
    pub fn lend(&self, rights: &Rights) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            lent: Some(Arc::new(Compiled::new(rights))),
        }
    }
    /// Gives the guest other rights, from its next check on.
    pub fn replace(&self, rights: &Rights) {
        let compiled = Arc::new(Compiled::new(rights));
        let mut own = self
            .shared
            .rights
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *own = compiled;
        self.shared.epoch.fetch_add(1, Ordering::Release);
    }
    /// The number of times that the rights were replaced.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Acquire)
    }
    /// Decides whether an access may be performed, counts the decision and appends it to the audit.
    ///
    /// Errors: [`Denied`], also where the audit can't take the decision.
    pub fn check<A: Access>(&self, access: A, now: Timestamp) -> Result<Allowed<A>, Box<Denied>> {
        let (epoch, decision) = self.decide(access.permissions(), &access.subject().0, now);
        let Permit { expires, .. } = self.conclude(&access, epoch, now, decision)?;
        Ok(Allowed {
            access,
            epoch,
            expires,
        })
    }
    /// Decides whether what an earlier check allowed may go on: an open file or connection.
    ///
    /// Cost: two comparisons as long as no right was replaced and no grant has ended; else a check.
    /// Errors: [`Denied`]; the call that holds it open is then to be cancelled.
    pub fn recheck<A: Access>(
        &self,
        allowed: &mut Allowed<A>,
        now: Timestamp,
    ) -> Result<(), Box<Denied>> {
        let is_current = allowed.epoch == self.epoch();
        if is_current && allowed.expires.is_none_or(|end| now < end) {
            return Ok(());
        }
        let access = &allowed.access;
        let (epoch, decision) = self.decide(access.permissions(), &access.subject().0, now);
        let Permit { expires, .. } = self.conclude(access, epoch, now, decision)?;
        (allowed.epoch, allowed.expires) = (epoch, expires);
        Ok(())
    }
    /// Whether a permission is given for a path. No access, so nothing is counted or audited; the same
    /// holds for the next two.
    #[must_use]
    pub fn allows_path(&self, permission: Permission, path: &GuestPath, now: Timestamp) -> bool {
        let (_, decision) = self.decide(&[permission], &path_subject(permission, path), now);
        decision.is_ok()
    }
    /// Whether a permission is given for a path or for anything below it: what a listing shows.
    #[must_use]
    pub fn allows_within(&self, permission: Permission, path: &GuestPath, now: Timestamp) -> bool {
        let subject = path_subject(permission, path);
        let layers = self.layers();
        let layers = || layers.iter().flatten();
        !layers().any(|rights| rights.forbids(permission, &subject, now).is_some())
            && layers().any(|rights| rights.meets_tree(permission, path.as_str(), now))
    }
    /// Whether a permission is given for a path and for everything below it: what moving a directory
    /// needs.
    #[must_use]
    pub fn allows_tree(&self, permission: Permission, path: &GuestPath, now: Timestamp) -> bool {
        let layers = self.layers();
        let layers = || layers.iter().flatten();
        !layers().any(|rights| rights.forbids_in_tree(permission, path.as_str(), now))
            && layers().any(|rights| rights.includes_tree(permission, path.as_str(), now))
    }
    /// Refuses what was no access at all; counted and audited as a check.
    #[must_use]
    pub fn refuse(&self, malformed: &Malformed, now: Timestamp) -> Box<Denied> {
        let denied = Denied {
            guest: self.shared.guest.clone(),
            permission: malformed.permission,
            asked: malformed.text.clone(),
            refusal: Refusal::Malformed(malformed.problem.clone()),
            exact: String::new(),
        };
        self.record(&malformed.text, self.epoch(), now, denied)
    }
    /// How often a permission was asked for.
    #[must_use]
    pub fn checks(&self, permission: Permission) -> Checks {
        let count = |at: usize| {
            let of = self.shared.checks.get(permission as usize);
            of.and_then(|of| of.get(at))
                .map_or(0, |count| count.load(Ordering::Relaxed))
        };
        Checks {
            allowed: count(0),
            denied: count(1),
        }
    }
    /// True in learn mode.
    #[must_use]
    pub fn is_learning(&self) -> bool {
        self.shared.learned.is_some()
    }
    /// What was refused so far, in learn mode.
    #[must_use]
    pub fn learned(&self) -> Option<Learned> {
        let learned = self.shared.learned.as_ref()?;
        Some(
            learned
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }

    /// Its own rights, and those that it was lent.
    fn layers(&self) -> [Option<Arc<Compiled>>; 2] {
        let own = self.shared.rights.read();
        let own = Arc::clone(&own.unwrap_or_else(PoisonError::into_inner));
        [Some(own), self.lent.clone()]
    }
    fn decide(
        &self,
        permissions: &[Permission],
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> (u64, Result<Permit, (Permission, Refused)>) {
        let (own, epoch) = {
            let own = self
                .shared
                .rights
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&own), self.epoch())
        };
        let layers = [Some(&own), self.lent.as_ref()];
        let layers = || layers.into_iter().flatten();
        let mut first = None;
        for permission in permissions {
            let forbidden = layers().find_map(|rights| rights.forbids(*permission, subject, now));
            if let Some(refusal) = forbidden {
                first.get_or_insert((*permission, refusal.into()));
                continue;
            }
            for rights in layers() {
                match rights.allows(*permission, subject, now) {
                    Ok(permit) => return (epoch, Ok(permit)),
                    Err(refused) => drop(first.get_or_insert((*permission, refused))),
                }
            }
        }
        let none = || (Permission::RandomSecure, Refusal::NotGranted.into());
        (epoch, Err(first.unwrap_or_else(none)))
    }
    fn conclude<A: Access>(
        &self,
        access: &A,
        epoch: u64,
        now: Timestamp,
        decision: Result<Permit, (Permission, Refused)>,
    ) -> Result<Permit, Box<Denied>> {
        let shared = &*self.shared;
        let denied = |permission, refused: Refused| {
            let subject = access.subject().0;
            let by_address = subject.by_address().filter(|_| refused.by_address);
            Denied {
                guest: shared.guest.clone(),
                permission,
                asked: access.to_string(),
                refusal: refused.refusal,
                exact: by_address.unwrap_or(subject).exact(permission),
            }
        };
        let permit = match decision {
            Ok(permit) => permit,
            Err((permission, refused)) => {
                let denied = denied(permission, refused);
                if let Some(learned) = &shared.learned {
                    let mut learned = learned.lock().unwrap_or_else(PoisonError::into_inner);
                    learned.note(&denied, access.permissions());
                }
                return Err(self.record(access, epoch, now, denied));
            }
        };
        let permission = permit.permission;
        let entry = AuditEntry {
            guest: &shared.guest,
            at: now,
            epoch,
            permission,
            access,
            denied: None,
        };
        if let Err(reason) = shared.audit.append(&entry) {
            self.count(permission, 1);
            let refused = Refusal::Unaudited(reason).into();
            return Err(Box::new(denied(permission, refused)));
        }
        self.count(permission, 0);
        Ok(permit)
    }
    /// Counts and appends a refusal; that it stays one does not depend on the audit.
    fn record(
        &self,
        access: &dyn fmt::Display,
        epoch: u64,
        at: Timestamp,
        denied: Denied,
    ) -> Box<Denied> {
        self.count(denied.permission, 1);
        let entry = AuditEntry {
            guest: &self.shared.guest,
            at,
            epoch,
            permission: denied.permission,
            access,
            denied: Some(&denied),
        };
        match self.shared.audit.append(&entry) {
            Ok(()) => Box::new(denied),
            Err(reason) => Box::new(Denied {
                refusal: Refusal::Unaudited(reason),
                ..denied
            }),
        }
    }
    fn count(&self, permission: Permission, which: usize) {
        let of = self.shared.checks.get(permission as usize);
        if let Some(count) = of.and_then(|of| of.get(which)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn path_subject(permission: Permission, path: &GuestPath) -> Subject<'_> {
    Subject::Path {
        path: path.as_str(),
        write: permission == Permission::FsWrite,
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("guest", &self.shared.guest)
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
