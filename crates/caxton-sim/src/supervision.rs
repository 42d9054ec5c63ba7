//! Supervision as it is written down, kept beside the kernels and compared with what they do.
//!
//! At most 5 failed inits in 60 s, pauses of 100 ms that double to 30 s, and the strategies of
//! groups. Restarted here from the words alone, so that an error in the kernel is not repeated.

use std::collections::BTreeMap;

use caxton_kernel::{Ticket, TurnInput};
use caxton_model::{
    AgentId, AgentSpec, AgentStatus, Micros, Restart, StartReason, Strategy, Timestamp,
};

use crate::{Breach, Rule};

#[derive(Debug, Default)]
struct Watched {
    /// Failed inits within the window.
    failures: Vec<Timestamp>,
    /// Failed inits since the last good one.
    in_a_row: u32,
    not_before: Option<Timestamp>,
    /// Whether a group's restart took its instance.
    needs_new_instance: bool,
}

/// What is known of agents' failures, and of what operators want of them.
#[derive(Debug, Default)]
pub(crate) struct Supervision {
    watched: BTreeMap<AgentId, Watched>,
    wishes: BTreeMap<Ticket, AgentId>,
}

impl Supervision {
    /// An operator wants something of an agent.
    pub(crate) fn wish(&mut self, ticket: Ticket, agent: AgentId) {
        self.wishes.insert(ticket, agent);
    }

    /// A stop is taken: nothing is tried again, and no new instance is made.
    pub(crate) fn stops(&mut self, agent: AgentId) {
        self.ends_pause(agent);
        if let Some(watched) = self.watched.get_mut(&agent) {
            watched.needs_new_instance = false;
        }
    }

    /// An update is taken: it waits for no pause.
    pub(crate) fn ends_pause(&mut self, agent: AgentId) {
        if let Some(watched) = self.watched.get_mut(&agent) {
            watched.not_before = None;
        }
    }

    /// An operator's start is taken: the past is forgotten.
    pub(crate) fn starts(&mut self, agent: AgentId) {
        self.watched.remove(&agent);
    }

    /// A wish is answered.
    pub(crate) fn answered(&mut self, ticket: Ticket) {
        self.wishes.remove(&ticket);
    }

    /// Whether something is on its way with an agent.
    pub(crate) fn has_wish(&self, agent: AgentId) -> bool {
        self.wishes.values().any(|wished| *wished == agent)
    }

    /// An agent is gone.
    pub(crate) fn forget(&mut self, agent: AgentId) {
        self.watched.remove(&agent);
        self.wishes.retain(|_, wished| *wished != agent);
    }

    /// An init has failed that no operator waits for: what the agent must be now.
    pub(crate) fn failed(&mut self, spec: &AgentSpec, now: Timestamp) -> AgentStatus {
        let how = &spec.supervision;
        let watched = self.watched.entry(spec.id).or_default();
        watched.failures.push(now);
        watched
            .failures
            .retain(|at| now.since(*at) < Micros::secs(60));
        let pause = Micros::millis(100 << watched.in_a_row.min(20)).min(Micros::secs(30));
        watched.in_a_row += 1;
        if how.restart == Restart::Temporary || watched.failures.len() >= 5 {
            watched.not_before = None;
            return AgentStatus::Failed;
        }
        watched.not_before = Some(now.after(pause));
        AgentStatus::Restarting
    }

    /// An init was good.
    pub(crate) fn good(&mut self, agent: AgentId) {
        if let Some(watched) = self.watched.get_mut(&agent) {
            watched.in_a_row = 0;
            watched.not_before = None;
        }
    }

    /// An agent's init failed: whoever its group restarts with it gets a new instance.
    pub(crate) fn take_group<'a>(
        &mut self,
        failed: &AgentSpec,
        living: impl Iterator<Item = &'a AgentSpec>,
    ) {
        let Some(group) = &failed.supervision.group else {
            return;
        };
        let is_temporary = |spec: &AgentSpec| spec.supervision.restart == Restart::Temporary;
        // One that is never started again takes nobody with it, and is itself stopped.
        if is_temporary(failed) {
            return;
        }
        for peer in living.filter(|peer| peer.id != failed.id) {
            let same = peer.supervision.group.as_ref().map(|g| &g.name) == Some(&group.name)
                && peer.name.namespace() == failed.name.namespace();
            let later = (peer.deployed_at, peer.id) > (failed.deployed_at, failed.id);
            let taken = match group.strategy {
                Strategy::OneForOne => false,
                Strategy::OneForAll => true,
                Strategy::RestForOne => later,
            };
            if same && taken && !is_temporary(peer) && !self.has_wish(peer.id) {
                self.watched.entry(peer.id).or_default().needs_new_instance = true;
            }
        }
    }

    /// A turn begins.
    ///
    /// Errors: it may not, or not yet.
    pub(crate) fn begin(
        &mut self,
        agent: AgentId,
        input: &TurnInput,
        now: Timestamp,
    ) -> Result<(), Breach> {
        let has_wish = self.has_wish(agent);
        let broken = |how: String| Err(Breach::new(Rule::SupervisionAsWritten, how));
        let watched = self.watched.entry(agent).or_default();
        let TurnInput::Init(reason) = input else {
            if watched.needs_new_instance && !has_wish {
                return broken(format!(
                    "{agent} goes on in the instance that its group's restart took"
                ));
            }
            return Ok(());
        };
        let was_taken = std::mem::take(&mut watched.needs_new_instance);
        if has_wish {
            return Ok(());
        }
        if *reason == StartReason::Group && !was_taken {
            return broken(format!(
                "{agent} is restarted with a group that did not fail"
            ));
        }
        match watched.not_before {
            Some(until) if now < until => broken(format!(
                "{agent} is tried again at {now}, before its pause ends at {until}"
            )),
            _ => Ok(()),
        }
    }

    /// Whether an agent's pause was over by then.
    pub(crate) fn is_due(&self, agent: AgentId, ticked: Timestamp) -> bool {
        let watched = self.watched.get(&agent);
        let until = watched.and_then(|watched| watched.not_before);
        until.is_some_and(|until| until <= ticked) && !self.has_wish(agent)
    }
}
