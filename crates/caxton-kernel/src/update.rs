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
        let (before, status) = match self.may_become(&spec) {
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
                before,
                rollback,
                phase: UpdatePhase::Init,
            })));
        }
        self.ready.push_back(id);
    }

    fn may_become(&self, spec: &AgentSpec) -> Result<(Arc<AgentSpec>, AgentStatus), Refusal> {
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
            return Ok((Arc::clone(now), agent.status));
        };
        let text = format!(
            "an update can't change {what}; remove `{}` and deploy it again",
            now.name
        );
        Err(Refusal::new(ErrorCode::Conflict, text))
    }

    /// The turn that ran is over: the next step of the update.
    pub(crate) fn advance_update(&mut self, id: AgentId, phase: UpdatePhase) {
        match phase {
            UpdatePhase::Init => {
                if let Some(live) = self.live.get_mut(&id)
                    && std::mem::take(&mut live.instance)
                {
                    self.effects.push(Effect::DropInstance { agent: id });
                }
                self.begin(id, TurnInput::Init(StartReason::Update));
            }
            UpdatePhase::Migrate => {
                let from = match self.live.get(&id).map(|live| &live.wish) {
                    Some(Some(Wish::Update(update))) => update.before.version.clone(),
                    _ => return,
                };
                self.begin(id, TurnInput::Migrate { from });
            }
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
        let Some(Wish::Update(update)) = self.live.get_mut(&id).and_then(|l| l.wish.as_mut())
        else {
            return;
        };
        if update.before.version == update.spec.version {
            self.update_done(id);
        } else {
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
            return self.update_done(id);
        };
        let result = TurnResult::Faulted(fault.clone());
        self.commit_turn(id, turn_record(input, true, result, end, Vec::new()));
        let before = match self.live.get_mut(&id) {
            Some(live) => {
                if std::mem::take(&mut live.instance) {
                    self.effects.push(Effect::DropInstance { agent: id });
                }
                match &live.wish {
                    Some(Wish::Update(update)) => Arc::clone(&update.before),
                    _ => return,
                }
            }
            None => return,
        };
        let rollback = true;
        self.commit(
            Record::Updated {
                spec: before,
                rollback,
            },
            true,
        );
        self.list(id);
        self.update_failed(id, &fault);
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
