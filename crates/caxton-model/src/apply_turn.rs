//! What a turn's record changes of its agent.

use std::sync::Arc;

use crate::{
    AgentState, AgentStatus, InputRef, Part, Restart, State, Timer, Timestamp, TurnRecord,
    TurnResult,
    charges::agent_bytes,
    planted::{Planted, is_planted},
};

/// Why an agent is stopped that nobody stopped.
pub const ENDED_ITSELF: &str = "it ended itself";

impl State {
    pub(crate) fn apply_turn(&mut self, at: Timestamp, turn: &TurnRecord) {
        self.touch(Part::Agent(turn.agent));
        self.end_accesses(turn.agent, &turn.input);
        if matches!(turn.input, InputRef::Migrate(_)) && turn.result.has_effects() {
            self.migrated(turn.agent);
        }
        let interrupted = self.interrupted_timer(turn.agent);
        let Some(agent) = self.agents.get_mut(&turn.agent) else {
            return;
        };
        agent.turns = agent.turns.max(turn.turn);
        agent.cpu_micros = agent.cpu_micros.saturating_add(turn.cpu_micros);
        match (&turn.input, turn.consumed) {
            (InputRef::Message(key), true) => agent.take_mail(*key),
            (InputRef::Message(key), false) => {
                if let Some(mail) = agent.mailbox.iter_mut().find(|mail| mail.key == *key) {
                    mail.attempts += 1;
                }
            }
            (InputRef::Timer { id, .. }, _) => {
                if !is_planted(Planted::DoubleTimer) {
                    agent.timers.remove(id);
                }
            }
            (InputRef::Init(_) | InputRef::Migrate(_) | InputRef::Shutdown, _) => {}
        }
        count_result(agent, at, &turn.result);
        if !turn.result.has_effects() {
            return;
        }
        let by_init = matches!(turn.input, InputRef::Init(_));
        agent.state_bytes = turn.state_bytes;
        agent.state_keys = turn.state_keys;
        agent.messages_sent += turn
            .sent
            .iter()
            .map(|sent| sent.to.len() as u64)
            .sum::<u64>();
        apply_timers(agent, turn, by_init, interrupted);
        let registers = by_init
            || turn.capabilities.is_some()
            || !(turn.subscribed.is_empty() && turn.unsubscribed.is_empty());
        if registers {
            let before = agent_bytes(agent);
            apply_registrations(agent, turn, by_init);
            let name = agent.spec.name.as_shared();
            self.ledger.agent_changed(name, before, agent_bytes(agent));
        }
    }
}

/// A timer whose turn was interrupted rings again, also where the init that follows replaces it.
fn apply_timers(
    agent: &mut AgentState,
    turn: &TurnRecord,
    by_init: bool,
    interrupted: Option<i32>,
) {
    if by_init {
        let rings_again = |id: &i32| interrupted == Some(*id);
        agent
            .timers
            .retain(|id, timer| !timer.by_init || rings_again(id));
    }
    for id in &turn.timers_cancelled {
        agent.timers.remove(id);
    }
    for timer in &turn.timers_set {
        let due = timer.due;
        agent.timers.insert(timer.id, Timer { due, by_init });
        agent.next_timer = agent.next_timer.max(timer.id.saturating_add(1));
    }
}

fn apply_registrations(agent: &mut AgentState, turn: &TurnRecord, by_init: bool) {
    agent
        .subscriptions
        .retain(|s| !(turn.unsubscribed.contains(&s.id) || by_init && s.by_init));
    for subscription in &turn.subscribed {
        agent.next_subscription = agent
            .next_subscription
            .max(subscription.id.saturating_add(1));
        agent.subscriptions.push(subscription.clone());
    }
    if let Some(capabilities) = &turn.capabilities {
        agent.capabilities = Some(Arc::clone(capabilities));
    }
}

fn count_result(agent: &mut AgentState, at: Timestamp, result: &TurnResult) {
    match result {
        TurnResult::Faulted(fault) => {
            agent.faults += 1;
            agent.last_fault = Some((at, fault.clone()));
        }
        TurnResult::Returned(0) => {}
        TurnResult::Returned(_) => agent.errors += 1,
        TurnResult::Ended if agent.spec.supervision.restart == Restart::Permanent => {}
        TurnResult::Ended => {
            agent.status = AgentStatus::Stopped;
            agent.status_reason = ENDED_ITSELF.to_owned();
        }
    }
}
