//! What a turn's end comes to.

use caxton_model::{
    AgentId, AgentStatus, ENDED_ITSELF, ErrorClass, ErrorCode, Fault, InputRef, Pending, Record,
    Sent, StartReason, TurnRecord, TurnResult,
    planted::{Planted, is_planted},
};

use crate::{
    Effect, Kernel, NodeEvent, TurnEnd,
    bucket::Bucket,
    deploy::init_fault,
    host_message,
    live::{Running, Wish},
    work,
};

/// Makes the record of a turn. After a fault nothing of its effects is in it.
pub(crate) fn turn_record(
    input: InputRef,
    consumed: bool,
    result: TurnResult,
    end: TurnEnd,
    sent: Vec<Sent>,
) -> TurnRecord {
    let effects = match result {
        TurnResult::Returned(_) | TurnResult::Ended => end.effects,
        TurnResult::Faulted(_) => crate::TurnEffects {
            seed: end.effects.seed,
            clock_reads: end.effects.clock_reads,
            ..crate::TurnEffects::default()
        },
    };
    TurnRecord {
        agent: end.agent,
        turn: end.turn,
        input,
        consumed,
        result,
        writes: effects.writes,
        rows: effects.rows,
        state_bytes: effects.state_bytes,
        state_keys: effects.state_keys,
        sent,
        timers_set: effects.timers_set,
        timers_cancelled: effects.timers_cancelled,
        capabilities: effects.capabilities,
        subscribed: effects.subscribed,
        unsubscribed: effects.unsubscribed,
        seed: effects.seed,
        clock_reads: effects.clock_reads,
        cpu_micros: end.cpu_micros,
    }
}

impl Kernel {
    pub(crate) fn turn_ended(&mut self, mut end: TurnEnd) {
        let id = end.agent;
        if self.deploying.contains_key(&id) {
            return self.deploy_ended(end);
        }
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        // A turn that was cancelled may still end: its number tells.
        if live.running.as_ref().is_none_or(|r| r.turn != end.turn) {
            return;
        }
        let Some(running) = live.running.take() else {
            return;
        };
        live.idle_since = self.now;
        self.work
            .visit(usize::try_from(end.effects.visited).unwrap_or(usize::MAX));
        let unpaid = std::mem::take(&mut live.unpaid.time);
        end.cpu_micros = end.cpu_micros.saturating_add(work::micros(unpaid));
        let is_good = end.instance_kept && end.result.is_ok();
        live.instance = (is_good || is_planted(Planted::ReuseFaultedInstance)) && !live.drop_after;
        if end.instance_kept && !live.instance {
            self.effects.push(Effect::DropInstance { agent: id });
        }
        if live.drop_after {
            live.drop_after = false;
            (live.must_init, live.start_reason) = (true, StartReason::Group);
        } else if end.result.is_err() {
            live.start_reason = StartReason::AfterFault;
        } else if !live.instance {
            live.start_reason = StartReason::Wake;
        }
        if end.result.is_ok() {
            live.bucket = Bucket {
                tokens: end.effects.message_tokens,
                at: end.effects.message_tokens_at,
            };
        } else {
            end.effects.sent.clear();
        }
        self.keep_metrics(id, end.effects.metric_bytes);
        if let Err(fault) = &end.result {
            let fault = fault.clone();
            self.publish_fault(id, end.turn, fault);
        }
        match running.input {
            InputRef::Init(reason) => self.init_ended(id, reason, end),
            InputRef::Message(_) | InputRef::Timer { .. } => self.input_ended(id, running, end),
            InputRef::Migrate(_) => self.migrate_ended(id, running.input, end),
            InputRef::Shutdown => self.shutdown_ended(id, end),
        }
        self.ready.push_back(id);
    }

    /// A message's or a timer's turn.
    fn input_ended(&mut self, id: AgentId, running: Running, mut end: TurnEnd) {
        let sender = running
            .mail
            .as_ref()
            .map(|mail| mail.message.sender.clone());
        match std::mem::replace(&mut end.result, Ok(0)) {
            Ok(code) => {
                if let (Some(sender), Some(live)) = (&sender, self.live.get_mut(&id)) {
                    live.breakers.good(sender);
                }
                let sent = std::mem::take(&mut end.effects.sent);
                let ended = end.ended;
                let result = if ended {
                    TurnResult::Ended
                } else {
                    TurnResult::Returned(code)
                };
                self.commit_turn(id, turn_record(running.input, true, result, end, sent));
                if ended {
                    self.ended_itself(id);
                }
            }
            Err(fault) => {
                let (consumed, sent) = self.after_fault(id, running.mail.as_ref(), &fault);
                if let (Some(sender), Some(live)) = (&sender, self.live.get_mut(&id))
                    && consumed
                    && fault.code.class() != ErrorClass::Transient
                {
                    live.breakers.fault(sender, self.now);
                }
                let result = TurnResult::Faulted(fault);
                self.commit_turn(id, turn_record(running.input, consumed, result, end, sent));
            }
        }
    }

    /// A guest's own end. Whether it stays so is in the turn's record, where there is one.
    fn ended_itself(&mut self, id: AgentId) {
        let Some(agent) = self.state.agents.get(&id) else {
            return;
        };
        let status = agent.status;
        if status != AgentStatus::Stopped {
            return;
        }
        if !self.is_durable(id) {
            let reason = ENDED_ITSELF.to_owned();
            let agent = id;
            self.commit(
                Record::StatusChanged {
                    agent,
                    status,
                    reason,
                },
                true,
            );
        }
        self.show(id, status, ENDED_ITSELF);
    }

    /// Whether a faulted input is used up, and what its sender is told.
    fn after_fault(&self, id: AgentId, mail: Option<&Pending>, fault: &Fault) -> (bool, Vec<Sent>) {
        let (Some(mail), Some(agent)) = (mail, self.state.agents.get(&id)) else {
            return (true, Vec::new());
        };
        let most = agent.spec.supervision.max_attempts;
        let tried = mail.attempts.saturating_add(1);
        if tried < most {
            return (false, Vec::new());
        }
        let name = agent.spec.name.as_str();
        let told = host_message::failure(
            &self.directory,
            &mail.message,
            name,
            fault.code,
            &fault.text,
        );
        let mut sent: Vec<Sent> = told.into_iter().collect();
        if most > 1 {
            let reason = format!("tried {tried} times; the last fault: {}", fault.text);
            sent.push(host_message::dead(&mail.message, name, fault.code, &reason));
        }
        (true, sent)
    }

    /// An init that was not the first.
    fn init_ended(&mut self, id: AgentId, reason: StartReason, mut end: TurnEnd) {
        let durable = self.is_durable(id);
        let input = InputRef::Init(reason);
        let fault = init_fault(&end);
        // An update that came while the old version's init ran has its own still before it.
        let updating = reason == StartReason::Update
            && matches!(
                self.live.get(&id).and_then(|live| live.wish.as_ref()),
                Some(Wish::Update(_))
            );
        if let Some(fault) = fault {
            if let Some(live) = self.live.get_mut(&id)
                && std::mem::take(&mut live.instance)
            {
                self.effects.push(Effect::DropInstance { agent: id });
            }
            self.commit(Record::InstanceStarted { agent: id, reason }, durable);
            let result = TurnResult::Faulted(fault.clone());
            self.commit_turn(id, turn_record(input, true, result, end, Vec::new()));
            return if updating {
                self.update_failed(id, &fault)
            } else {
                self.init_failed(id, &fault)
            };
        }
        if updating {
            self.switch_version(id);
        }
        self.commit(Record::InstanceStarted { agent: id, reason }, durable);
        let says = matches!(
            reason,
            StartReason::Deploy | StartReason::Update | StartReason::Operator
        );
        let sent = std::mem::take(&mut end.effects.sent);
        let sent = if says { sent } else { Vec::new() };
        let result = TurnResult::Returned(0);
        self.commit_turn(id, turn_record(input, true, result, end, sent));
        if let Some(live) = self.live.get_mut(&id) {
            // Where a group's restart took this very instance, the next one must still be made.
            live.must_init = !live.instance && live.start_reason == StartReason::Group;
        }
        if updating {
            self.update_started(id);
        } else {
            self.init_was_good(id, reason);
        }
    }

    fn shutdown_ended(&mut self, id: AgentId, mut end: TurnEnd) {
        let sent = std::mem::take(&mut end.effects.sent);
        let result = match std::mem::replace(&mut end.result, Ok(0)) {
            Ok(code) => TurnResult::Returned(code),
            Err(fault) => TurnResult::Faulted(fault),
        };
        self.commit_turn(id, turn_record(InputRef::Shutdown, true, result, end, sent));
        self.stopped(id, "stopped");
    }

    /// Records a turn, and brings what hangs on it up to date.
    pub(crate) fn commit_turn(&mut self, id: AgentId, mut record: TurnRecord) {
        let before = self.state.agents.get(&id);
        let before = before.and_then(|agent| agent.capabilities.clone());
        let timers = !record.timers_set.is_empty()
            || !record.timers_cancelled.is_empty()
            || matches!(record.input, InputRef::Timer { .. } | InputRef::Init(_));
        let listed = record.capabilities.is_some()
            || !record.subscribed.is_empty()
            || !record.unsubscribed.is_empty()
            || matches!(record.input, InputRef::Init(_));
        let durable = self.is_durable(id);
        if !durable && !record.rows.is_empty() {
            // Before the turn itself: whoever is sent a message by it finds them.
            let rows = std::mem::take(&mut record.rows);
            self.commit(Record::RowsWritten { rows }, true);
        }
        self.commit(Record::Turn(Box::new(record)), durable);
        if timers {
            self.watch_timers(id);
        }
        if listed {
            let after = self.state.agents.get(&id);
            let after = after.and_then(|agent| agent.capabilities.clone());
            self.capabilities_changed(id, before.as_ref(), after.as_ref());
        }
        self.measure(id);
    }

    /// Ends the turn that runs, now. Its input is used up and its sender told.
    pub(crate) fn cut_off(&mut self, id: AgentId) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let Some(running) = live.running.take() else {
            return;
        };
        live.instance = false;
        live.start_reason = StartReason::AfterFault;
        self.effects.push(Effect::Cancel { agent: id });
        let name = self.name_of(id);
        let fault = Fault::new(
            ErrorCode::AgentStopped,
            format!("`{name}` was stopped before its turn ended"),
        );
        let told = running.mail.as_ref().and_then(|mail| {
            let (code, text) = (fault.code, &fault.text);
            host_message::failure(&self.directory, &mail.message, &name, code, text)
        });
        let end = TurnEnd {
            agent: id,
            turn: running.turn,
            result: Ok(0),
            effects: crate::TurnEffects::default(),
            cpu_micros: 0,
            instance_kept: false,
            ended: false,
        };
        self.publish_fault(id, running.turn, fault.clone());
        let result = TurnResult::Faulted(fault);
        let sent = told.into_iter().collect();
        self.commit_turn(id, turn_record(running.input, true, result, end, sent));
    }

    fn publish_fault(&mut self, id: AgentId, turn: u64, fault: Fault) {
        let name = self.name_of(id);
        self.effects.push(Effect::Publish(NodeEvent::Fault {
            at: self.now,
            agent: id,
            name,
            turn,
            fault,
        }));
    }

    pub(crate) fn publish_status(&mut self, id: AgentId, status: AgentStatus, reason: &str) {
        let name = self.name_of(id);
        self.effects.push(Effect::Publish(NodeEvent::Status {
            at: self.now,
            agent: id,
            name,
            status,
            reason: reason.to_owned(),
        }));
    }
}
