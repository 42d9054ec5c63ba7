//! What a record changes about where an agent stands: how its turns end, and of which version its
//! state is.

use std::sync::Arc;

use crate::{
    AgentId, AgentSpec, AgentState, AgentStatus, Part, Restart, State, Timestamp, TurnResult,
};

/// Why an agent is stopped that nobody stopped.
pub const ENDED_ITSELF: &str = "it ended itself";

impl AgentState {
    /// Notes how a turn ended; answers whether its effects count.
    pub(crate) fn note_result(&mut self, at: Timestamp, result: &TurnResult) -> bool {
        match result {
            TurnResult::Faulted(fault) => {
                self.faults += 1;
                self.last_fault = Some((at, fault.clone()));
            }
            TurnResult::Returned(0) => {}
            TurnResult::Returned(_) => self.errors += 1,
            TurnResult::Ended if self.spec.supervision.restart == Restart::Permanent => {}
            TurnResult::Ended => {
                self.status = AgentStatus::Stopped;
                self.status_reason = ENDED_ITSELF.to_owned();
            }
        }
        result.has_effects()
    }
}

impl State {
    /// Notes that an agent's `migrate` is to run, from the version whose state is there; not where
    /// that version has come back.
    pub(crate) fn must_migrate(&mut self, before: Arc<AgentSpec>, now: &AgentSpec) {
        let from = self.migrating.remove(&now.id).unwrap_or(before);
        self.touch(Part::Migrating(now.id));
        if from.version != now.version {
            self.migrating.insert(now.id, from);
        }
    }

    /// It ran, or there is nobody any more for whom it could.
    pub(crate) fn migrated(&mut self, id: AgentId) {
        if self.migrating.remove(&id).is_some() {
            self.touch(Part::Migrating(id));
        }
    }
}
