//! When an init fails: pauses, restarts, groups, and the end of patience.

use caxton_model::{
    AgentId, AgentStatus, ErrorClass, ErrorCode, Fault, Micros, Record, Restart, StartReason,
    Strategy,
};

use crate::{
    Effect, Kernel, Refusal, alarm::Alarm, deploy::init_failed, live::Wish, mailbox::not_running,
};

impl Kernel {
    /// Records where an agent is in its life, and shows it.
    pub(crate) fn set_status(&mut self, id: AgentId, status: AgentStatus, reason: &str) {
        let same = self
            .state
            .agents
            .get(&id)
            .is_some_and(|agent| agent.status == status && agent.status_reason == reason);
        if !same {
            self.commit(
                Record::StatusChanged {
                    agent: id,
                    status,
                    reason: reason.to_owned(),
                },
                true,
            );
        }
        self.show(id, status, reason);
    }

    /// Shows a status that is not recorded, or was.
    pub(crate) fn show(&mut self, id: AgentId, status: AgentStatus, reason: &str) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut live.shown, status) != status {
            self.directory.set_status(id, status);
            self.publish_status(id, status, reason);
        }
    }

    /// An init that no deploy and no update waits for has failed.
    pub(crate) fn init_failed(&mut self, id: AgentId, fault: &Fault) {
        let wish = self.live.get_mut(&id).and_then(|live| live.wish.take());
        match wish {
            Some(Wish::Start { ticket }) => {
                let name = self.name_of(id);
                self.answer(ticket, Err(init_failed(&name, fault)));
                let status = self.state.agents.get(&id).map(|agent| agent.status);
                let status = status.unwrap_or(AgentStatus::Stopped);
                self.show(id, status, "its init failed");
                let refusal = not_running(&name, status);
                self.refuse_all(id, &refusal);
            }
            Some(stop @ Wish::Stop { .. }) => {
                if let Some(live) = self.live.get_mut(&id) {
                    live.wish = Some(stop);
                }
                self.stopped(id, "its init failed while it worked off its mail");
            }
            // The new version is tried at once; the old one's failure no longer matters.
            Some(update @ Wish::Update(_)) => {
                if let Some(live) = self.live.get_mut(&id) {
                    live.wish = Some(update);
                }
            }
            None if fault.code.class() == ErrorClass::Transient => {
                self.wait_for_room(id, fault);
            }
            None => self.pause_or_give_up(id, fault),
        }
    }

    /// The node has no instance for an agent just now, which is not the agent's fault: who waits is
    /// told, and what else is due is tried again after a pause.
    fn wait_for_room(&mut self, id: AgentId, fault: &Fault) {
        self.refuse_all(id, &Refusal::new(fault.code, fault.text.as_str()));
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get_mut(&id)) else {
            return;
        };
        let until = self.now.after(agent.spec.supervision.backoff_micros);
        live.paused_until = Some(until);
        live.start_reason = StartReason::Wake;
        self.alarms.set(Alarm::Restart(id), until);
        self.show(id, AgentStatus::Passivated, &fault.text);
    }

    fn pause_or_give_up(&mut self, id: AgentId, fault: &Fault) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get_mut(&id)) else {
            return;
        };
        let how = agent.spec.supervision.clone();
        let now = self.now;
        live.failures.push_back(now);
        live.failures
            .retain(|at| now.since(*at) < how.window_micros);
        let failures = live.failures.len();
        let patient = u64::try_from(failures).unwrap_or(u64::MAX) < u64::from(how.max_failures);
        if how.restart == Restart::Temporary || !patient {
            live.must_init = false;
            let reason = format!("{failures} failed inits; the last: {}", fault.text);
            self.set_status(id, AgentStatus::Failed, &reason);
            let name = self.name_of(id);
            let mut refusal = not_running(&name, AgentStatus::Failed);
            refusal.code = ErrorCode::AgentFailed;
            self.refuse_all(id, &refusal);
        } else {
            let until = now.after(live.backoff);
            live.backoff = Micros(live.backoff.0.saturating_mul(2)).min(how.backoff_max_micros);
            live.paused_until = Some(until);
            live.must_init = true;
            self.alarms.set(Alarm::Restart(id), until);
            let reason = format!("its init failed: {}", fault.text);
            self.set_status(id, AgentStatus::Restarting, &reason);
        }
        // One that is never started again takes nobody with it.
        if how.restart != Restart::Temporary {
            self.restart_group(id);
        }
    }

    /// Restarts those that an agent's group wants restarted with it.
    fn restart_group(&mut self, id: AgentId) {
        let Some(agent) = self.state.agents.get(&id) else {
            return;
        };
        let Some(group) = agent.spec.supervision.group.clone() else {
            return;
        };
        if group.strategy == Strategy::OneForOne {
            return;
        }
        let place = (agent.spec.deployed_at, id);
        let namespace = agent.spec.name.namespace().clone();
        let mut others: Vec<AgentId> = self
            .state
            .agents
            .values()
            .filter(|other| {
                let spec = &other.spec;
                spec.id != id
                    && spec.name.namespace() == &namespace
                    && spec.supervision.group.as_ref().map(|g| &g.name) == Some(&group.name)
                    && (group.strategy == Strategy::OneForAll
                        || (spec.deployed_at, spec.id) > place)
            })
            .map(|other| other.spec.id)
            .collect();
        others.sort_unstable();
        for other in others {
            self.restart_with_group(other);
        }
    }

    /// Takes an agent's instance and makes it another, once its turn has ended.
    fn restart_with_group(&mut self, id: AgentId) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get_mut(&id)) else {
            return;
        };
        if live.wish.is_some() {
            return;
        }
        if agent.spec.supervision.restart == Restart::Temporary {
            if live.instance || live.running.is_some() {
                self.stop_with_group(id);
            }
            return;
        }
        if live.running.is_some() {
            live.drop_after = true;
            return;
        }
        // One without an instance starts afresh anyway.
        if !live.instance {
            return;
        }
        live.instance = false;
        live.must_init = true;
        live.start_reason = StartReason::Group;
        self.effects.push(Effect::DropInstance { agent: id });
        self.ready.push_back(id);
    }

    /// One that is never started again ends with its group.
    fn stop_with_group(&mut self, id: AgentId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.wish = Some(Wish::Stop {
                tickets: Vec::new(),
                drain: false,
            });
        }
        self.set_status(id, AgentStatus::Draining, "its group is restarted");
        self.ready.push_back(id);
    }

    /// An init that was neither a deploy's nor an update's was good.
    pub(crate) fn init_was_good(&mut self, id: AgentId, reason: StartReason) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get_mut(&id)) else {
            return;
        };
        live.backoff = agent.spec.supervision.backoff_micros;
        let draining = matches!(live.wish, Some(Wish::Stop { .. }));
        let starting = matches!(live.wish, Some(Wish::Start { .. }));
        if starting && self.state.migrating.contains_key(&id) {
            // Not the new version yet: `migrate` comes first.
            return;
        }
        let ticket = match live.wish.take() {
            Some(Wish::Start { ticket }) => Some(ticket),
            other => {
                live.wish = other;
                None
            }
        };
        if draining {
            return;
        }
        let why = match reason {
            StartReason::Operator => "started",
            StartReason::Wake => "woken",
            _ => "restarted",
        };
        if agent.status == AgentStatus::Running {
            self.show(id, AgentStatus::Running, why);
        } else {
            self.set_status(id, AgentStatus::Running, why);
        }
        if let Some(ticket) = ticket {
            let status = AgentStatus::Running;
            self.answer(ticket, Ok(crate::Done::Agent { agent: id, status }));
        }
    }

    /// The pause before the next init is over.
    pub(crate) fn pause_is_over(&mut self, id: AgentId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.paused_until = None;
            self.ready.push_back(id);
        }
    }
}
