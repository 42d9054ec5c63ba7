//! Another version of an agent: switched to when its init was good, switched back when not.

use std::sync::Arc;

use caxton_model::{
    AgentId, AgentSpec, AgentStatus, ErrorCode, Fault, InputRef, Record, StartReason, TurnResult,
};

use crate::{
    Done, Effect, Kernel, Refusal, Ticket, TurnEnd, TurnInput,
    deploy::{init_failed, shutting_down},
    live::{Update, UpdatePhase, Wish},
    turn_end::turn_record,
};

impl Kernel {
    pub(crate) fn update(&mut self, ticket: Ticket, spec: Arc<AgentSpec>) {
        self.change_version(ticket, spec, false);
    }

    pub(crate) fn rollback(&mut self, ticket: Ticket, id: AgentId) {
        let before = self.agent(id).map(|agent| agent.previous.clone());
        match before {
            Err(refusal) => self.answer(ticket, Err(refusal)),
            Ok(None) => {
                let text = format!("`{}` has no earlier version", self.name_of(id));
                self.answer(ticket, Err(Refusal::new(ErrorCode::Conflict, text)));
            }
            Ok(Some(spec)) => self.change_version(ticket, spec, true),
        }
    }

    fn change_version(&mut self, ticket: Ticket, spec: Arc<AgentSpec>, rollback: bool) {
        let id = spec.id;
        let status = match self.may_become(&spec) {
            Ok(known) => known,
            Err(refusal) => return self.answer(ticket, Err(refusal)),
        };
        // Nothing runs: the next start takes the new version.
        if matches!(status, AgentStatus::Stopped | AgentStatus::Failed) {
            self.commit(Record::Updated { spec, rollback }, true);
            self.list(id);
            return self.answer(ticket, Ok(Done::Agent { agent: id, status }));
        }
        if let Some(live) = self.live.get_mut(&id) {
            live.paused_until = None;
            live.wish = Some(Wish::Update(Box::new(Update {
                ticket,
                spec,
                rollback,
                phase: UpdatePhase::Init,
            })));
        }
        self.ready.push_back(id);
    }

    fn may_become(&self, spec: &AgentSpec) -> Result<AgentStatus, Refusal> {
        let agent = self.agent(spec.id)?;
        if self.quiesced {
            return Err(shutting_down());
        }
        if let Some(busy) = self.busy(spec.id) {
            return Err(busy);
        }
        let now = &agent.spec;
        let what = if now.name != spec.name {
            "its name"
        } else if now.durability != spec.durability {
            "whether it is durable"
        } else if self.directory.shard_of(now) != self.directory.shard_of(spec) {
            "its supervision group"
        } else {
            return Ok(agent.status);
        };
        let text = format!(
            "an update can't change {what}; remove `{}` and deploy it again",
            now.name
        );
        Err(Refusal::new(ErrorCode::Conflict, text))
    }

    /// The turn that ran is over: the new version's init.
    pub(crate) fn begin_update(&mut self, id: AgentId) {
        self.drop_instance(id);
        self.begin(id, TurnInput::Init(StartReason::Update));
    }

    /// The new version has an instance: its state becomes the new version's, before anything else.
    pub(crate) fn begin_migrate(&mut self, id: AgentId) {
        if let Some(before) = self.state.migrating.get(&id) {
            let from = before.version.clone();
            self.begin(id, TurnInput::Migrate { from });
        }
    }

    fn drop_instance(&mut self, id: AgentId) {
        if let Some(live) = self.live.get_mut(&id)
            && std::mem::take(&mut live.instance)
        {
            self.effects.push(Effect::DropInstance { agent: id });
        }
    }

    /// The new version's init was good: from here on the agent is the new one.
    pub(crate) fn switch_version(&mut self, id: AgentId) {
        let Some(Wish::Update(update)) = self.live.get(&id).and_then(|l| l.wish.as_ref()) else {
            return;
        };
        let (spec, rollback) = (Arc::clone(&update.spec), update.rollback);
        self.commit(Record::Updated { spec, rollback }, true);
        self.list(id);
    }

    /// After the good init: `migrate` where the version changed, else the update is done.
    pub(crate) fn update_started(&mut self, id: AgentId) {
        if !self.state.migrating.contains_key(&id) {
            return self.update_done(id);
        }
        if let Some(Wish::Update(update)) = self.live.get_mut(&id).and_then(|l| l.wish.as_mut()) {
            update.phase = UpdatePhase::Migrate;
        }
    }

    fn update_done(&mut self, id: AgentId) {
        let wish = self.live.get_mut(&id).and_then(|live| live.wish.take());
        let Some(Wish::Update(update)) = wish else {
            return;
        };
        let reason = if update.rollback {
            format!("rolled back to {}", update.spec.version)
        } else {
            format!("updated to {}", update.spec.version)
        };
        let status = AgentStatus::Running;
        self.set_status(id, status, &reason);
        self.publish_status(id, status, &reason);
        self.answer(update.ticket, Ok(Done::Agent { agent: id, status }));
    }

    pub(crate) fn migrate_ended(&mut self, id: AgentId, input: InputRef, mut end: TurnEnd) {
        let fault = match std::mem::replace(&mut end.result, Ok(0)) {
            Ok(0) => None,
            Ok(code) => Some(Fault::new(
                ErrorCode::InitFailed,
                format!("migrate returned {code}; 0 means success"),
            )),
            Err(fault) => Some(fault),
        };
        let Some(fault) = fault else {
            let sent = std::mem::take(&mut end.effects.sent);
            let record = turn_record(input, true, TurnResult::Returned(0), end, sent);
            self.commit_turn(id, record);
            return self.migrated(id);
        };
        let result = TurnResult::Faulted(fault.clone());
        self.commit_turn(id, turn_record(input, true, result, end, Vec::new()));
        self.drop_instance(id);
        if let Some(spec) = self.state.migrating.get(&id).cloned() {
            let rollback = true;
            self.commit(Record::Updated { spec, rollback }, true);
            self.list(id);
        }
        self.migrate_failed(id, &fault);
    }

    /// The state is the new version's.
    fn migrated(&mut self, id: AgentId) {
        match self.live.get(&id).map(|live| &live.wish) {
            Some(Some(Wish::Update(_))) => self.update_done(id),
            Some(Some(Wish::Start { .. })) => self.init_was_good(id, StartReason::Operator),
            Some(None) => {
                let version = self.state.agents.get(&id);
                let version = version.map(|agent| agent.spec.version.clone());
                let reason = format!("updated to {}", version.unwrap_or_default());
                self.set_status(id, AgentStatus::Running, &reason);
            }
            _ => {}
        }
    }

    /// The version before has come back; whoever waits is told.
    fn migrate_failed(&mut self, id: AgentId, fault: &Fault) {
        match self.live.get(&id).map(|live| &live.wish) {
            Some(Some(Wish::Update(_))) => self.update_failed(id, fault),
            Some(Some(Wish::Start { .. })) => self.init_failed(id, fault),
            Some(None) => {
                let version = self.state.agents.get(&id);
                let version = version.map(|agent| agent.spec.version.clone());
                let version = version.unwrap_or_default();
                let reason = format!("back at {version}: its migrate failed: {}", fault.text);
                self.set_status(id, AgentStatus::Running, &reason);
            }
            _ => {}
        }
    }

    /// The node goes down and begins no turns: what was asked of an agent is answered now.
    ///
    /// What was recorded of it is gone on with after the next start.
    pub(crate) fn leave_off(&mut self, id: AgentId) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        match live.wish.take() {
            Some(Wish::Update(update)) => {
                let mut refusal = shutting_down();
                if update.phase == UpdatePhase::Migrate {
                    let (name, version) = (&update.spec.name, &update.spec.version);
                    refusal.text.push_str(&format!(
                        "; `{name}` is at {version}, and its migrate runs after the next start"
                    ));
                }
                self.answer(update.ticket, Err(refusal));
            }
            Some(Wish::Start { ticket }) => {
                let status = self.state.agents.get(&id).map(|agent| agent.status);
                self.show(id, status.unwrap_or(AgentStatus::Stopped), "not started");
                self.answer(ticket, Err(shutting_down()));
            }
            Some(Wish::Stop { tickets, drain }) => {
                let mail = self.state.agents.get(&id);
                let waits = mail.is_some_and(|agent| !agent.mailbox.is_empty());
                let drain = drain && waits;
                if drain {
                    for ticket in tickets {
                        self.answer(ticket, Err(shutting_down()));
                    }
                    return;
                }
                if let Some(live) = self.live.get_mut(&id) {
                    live.wish = Some(Wish::Stop { tickets, drain });
                }
                self.stopped(id, "stopped");
            }
            None => {}
        }
    }

    /// The old version goes on, in a new instance at its next input.
    pub(crate) fn update_failed(&mut self, id: AgentId, fault: &Fault) {
        let status = self.state.agents.get(&id).map(|agent| agent.status);
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let Some(Wish::Update(update)) = live.wish.take() else {
            return;
        };
        live.start_reason = StartReason::AfterFault;
        live.must_init = status == Some(AgentStatus::Restarting);
        let refusal = init_failed(update.spec.name.as_str(), fault);
        self.answer(update.ticket, Err(refusal));
    }
}
