//! Calls at the same time: `concurrent_calls`, counted for each linked module.
//!
//! An agent needs no count: a call owns its instance, so there is one at a time.

use std::sync::atomic::{AtomicU64, Ordering};

use caxton_model::{Fault, LimitName, Limits};

use crate::ctx::limit_fault;

/// How many calls of a module are under way.
#[derive(Debug, Default)]
pub(crate) struct InFlight(AtomicU64);

/// One of them, until it is dropped.
pub(crate) struct Place<'a>(&'a InFlight);

impl InFlight {
    /// Begins one more.
    ///
    /// Errors: as many as `concurrent_calls` allows are under way.
    pub(crate) fn enter(&self, limits: &Limits) -> Result<Place<'_>, Fault> {
        let most = limits.get(LimitName::ConcurrentCalls);
        let place = Place(self);
        if self.0.fetch_add(1, Ordering::AcqRel) >= most {
            let asked = "and as many calls are under way";
            return Err(limit_fault(LimitName::ConcurrentCalls, most, asked));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
