//! What an operator asks of an agent: stop, start, remove, let go of its instance.

use std::sync::Arc;

use caxton_model::{
    AgentId, AgentState, AgentStatus, Capabilities, ErrorCode, MessageKey, Micros, Record,
    StartReason, Timestamp,
};

use crate::{
    Done, Effect, Kernel, Refusal, Ticket,
    alarm::Alarm,
    built_in::df::without_services,
    deploy::shutting_down,
    live::{Live, Wish},
};

/// Whether an agent's instance may go without anybody waiting for it.
fn is_idle(agent: &AgentState, live: &Live, now: Timestamp) -> bool {
    live.instance
        && live.running.is_none()
        && live.wish.is_none()
        && agent.mailbox.is_empty()
        && live.timer_due.is_none_or(|due| due > now)
}

impl Kernel {
    /// The refusal where something else is on its way with an agent already.
    pub(crate) fn busy(&self, id: AgentId) -> Option<Refusal> {
        let what = match self.live.get(&id)?.wish.as_ref()? {
            Wish::Stop { .. } => "stopping",
            Wish::Start { .. } => "starting",
            Wish::Update(_) => "being updated",
        };
        let name = self.name_of(id);
        let text = format!("`{name}` is {what}; try again when that is done");
        Some(Refusal::new(ErrorCode::Conflict, text))
    }

    pub(crate) fn stop(&mut self, ticket: Ticket, id: AgentId, drain: bool, grace: Micros) {
        let status = match self.agent(id) {
            Ok(agent) => agent.status,
            Err(refusal) => return self.answer(ticket, Err(refusal)),
        };
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let refusal = match &mut live.wish {
            Some(Wish::Stop { tickets, .. }) => {
                tickets.push(ticket);
                return;
            }
            Some(_) => self.busy(id),
            None => None,
        };
        if let Some(refusal) = refusal {
            return self.answer(ticket, Err(refusal));
        }
        if status == AgentStatus::Stopped {
            return self.answer(ticket, Ok(Done::Agent { agent: id, status }));
        }
        self.alarms.clear(&Alarm::Restart(id));
        self.alarms.clear(&Alarm::Passivate(id));
        if let Some(live) = self.live.get_mut(&id) {
            live.paused_until = None;
            live.must_init = false;
            live.drop_after = false;
            live.wish = Some(Wish::Stop {
                tickets: vec![ticket],
                // While the node goes down no mail is worked off and no farewell said.
                drain: drain && status != AgentStatus::Failed && !self.quiesced,
            });
        }
        self.set_status(id, AgentStatus::Draining, "asked to stop");
        self.alarms.set(Alarm::Grace(id), self.now.after(grace));
        self.ready.push_back(id);
    }

    /// A stop has waited long enough: the turn is cut off.
    pub(crate) fn grace_is_over(&mut self, id: AgentId) {
        let stopping = self
            .live
            .get(&id)
            .is_some_and(|live| matches!(live.wish, Some(Wish::Stop { .. })));
        if stopping {
            self.cut_off(id);
            self.stopped(id, "stopped; its time to finish was over");
        }
    }

    /// The stop is done.
    pub(crate) fn stopped(&mut self, id: AgentId, reason: &str) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        if std::mem::take(&mut live.instance) {
            self.effects.push(Effect::DropInstance { agent: id });
        }
        let tickets = match live.wish.take() {
            Some(Wish::Stop { tickets, .. }) => tickets,
            _ => Vec::new(),
        };
        self.alarms.clear(&Alarm::Grace(id));
        let status = AgentStatus::Stopped;
        self.set_status(id, status, reason);
        for ticket in tickets {
            self.answer(ticket, Ok(Done::Agent { agent: id, status }));
        }
    }

    pub(crate) fn start(&mut self, ticket: Ticket, id: AgentId) {
        let status = match self.agent(id) {
            Ok(agent) => agent.status,
            Err(refusal) => return self.answer(ticket, Err(refusal)),
        };
        let refusal = if self.quiesced {
            Some(shutting_down())
        } else {
            self.busy(id)
        };
        if let Some(refusal) = refusal {
            return self.answer(ticket, Err(refusal));
        }
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        if !matches!(status, AgentStatus::Stopped | AgentStatus::Failed) {
            let status = live.shown;
            return self.answer(ticket, Ok(Done::Agent { agent: id, status }));
        }
        live.failures.clear();
        live.paused_until = None;
        live.must_init = false;
        live.start_reason = StartReason::Operator;
        if let Some(agent) = self.state.agents.get(&id) {
            live.backoff = agent.spec.supervision.backoff_micros;
        }
        live.wish = Some(Wish::Start { ticket });
        self.show(id, AgentStatus::Starting, "asked to start");
        self.ready.push_back(id);
    }

    pub(crate) fn remove(&mut self, ticket: Ticket, id: AgentId) {
        if let Err(refusal) = self.agent(id) {
            return self.answer(ticket, Err(refusal));
        }
        let name = self.name_of(id);
        let gone = Refusal::new(ErrorCode::Undeliverable, format!("`{name}` was removed"));
        self.cut_off(id);
        self.refuse_all(id, &gone);
        let waiting = match self.live.get_mut(&id).and_then(|live| live.wish.take()) {
            Some(Wish::Stop { tickets, .. }) => tickets,
            Some(Wish::Start { ticket }) => vec![ticket],
            Some(Wish::Update(update)) => vec![update.ticket],
            None => Vec::new(),
        };
        for other in waiting {
            let refusal = Refusal::new(ErrorCode::Conflict, format!("`{name}` was removed"));
            self.answer(other, Err(refusal));
        }
        let before = self.state.agents.get(&id);
        let before = before.and_then(|agent| agent.capabilities.clone());
        let subscriptions = self.state.df_subscriptions.len();
        let sent = Vec::new();
        self.commit(Record::Removed { agent: id, sent }, true);
        self.told.leave_all(&name);
        self.directory
            .count_subscribers(subscriptions, self.state.df_subscriptions.len());
        self.live.remove(&id);
        for alarm in [
            Alarm::Timer(id),
            Alarm::Restart(id),
            Alarm::Passivate(id),
            Alarm::Grace(id),
        ] {
            self.alarms.clear(&alarm);
        }
        self.directory.remove(id);
        self.capabilities_changed(id, before.as_ref(), None);
        self.effects.push(Effect::Forget { agent: id });
        let status = AgentStatus::Stopped;
        self.effects.push(Effect::Publish(crate::NodeEvent::Status {
            at: self.now,
            agent: id,
            name,
            status,
            reason: "removed".to_owned(),
        }));
        self.answer(ticket, Ok(Done::Agent { agent: id, status }));
    }

    /// Changes an agent's entry in the directory, as the agent itself can at `df`.
    pub(crate) fn register(
        &mut self,
        ticket: Ticket,
        id: AgentId,
        wanted: Option<Arc<Capabilities>>,
    ) {
        let (before, status) = match self.agent(id) {
            Ok(agent) => (agent.capabilities.clone(), agent.status),
            Err(refusal) => return self.answer(ticket, Err(refusal)),
        };
        if self.quiesced {
            return self.answer(ticket, Err(shutting_down()));
        }
        let after = wanted.or_else(|| without_services(before.as_deref()));
        let name = self.name_of(id);
        if let Err(refusal) = self.may_register(&name, before.as_deref(), after.as_deref()) {
            return self.answer(ticket, Err(refusal));
        }
        let request = MessageKey {
            shard: self.options.shard,
            seq: 0,
            index: 0,
        };
        let durable = self.is_durable(id);
        self.commit(
            Record::Directory {
                request,
                capabilities: vec![(id, after.clone())],
                subscribed: Vec::new(),
                cancelled: Vec::new(),
                sent: Vec::new(),
            },
            durable,
        );
        self.capabilities_changed(id, before.as_ref(), after.as_ref());
        self.answer(ticket, Ok(Done::Agent { agent: id, status }));
    }

    /// Lets an idle instance go; the next input makes another.
    pub(crate) fn passivate(&mut self, id: AgentId) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get_mut(&id)) else {
            return;
        };
        if !is_idle(agent, live, self.now) {
            return;
        }
        live.instance = false;
        live.start_reason = StartReason::Wake;
        self.effects.push(Effect::DropInstance { agent: id });
        self.alarms.clear(&Alarm::Passivate(id));
        self.show(id, AgentStatus::Passivated, "idle");
    }

    /// Agents whose instance has nothing to do, each with when it last had.
    pub fn idle(&self) -> impl Iterator<Item = (AgentId, Timestamp)> + '_ {
        self.live.iter().filter_map(|(id, live)| {
            let agent = self.state.agents.get(id)?;
            is_idle(agent, live, self.now).then_some((*id, live.idle_since))
        })
    }

    /// An instance may have been idle long enough.
    pub(crate) fn may_be_idle(&mut self, id: AgentId) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get(&id)) else {
            return;
        };
        let Some(after) = agent.spec.passivate_after_micros else {
            return;
        };
        let due = live.idle_since.after(after);
        if due <= self.now {
            self.passivate(id);
        } else if live.instance && live.running.is_none() {
            self.alarms.set(Alarm::Passivate(id), due);
        }
    }

    /// Wakes what is due.
    pub(crate) fn ring_alarms(&mut self) {
        while let Some(alarm) = self.alarms.pop(self.now) {
            match alarm {
                Alarm::Timer(id) => self.ready.push_back(id),
                Alarm::Restart(id) => self.pause_is_over(id),
                Alarm::Passivate(id) => self.may_be_idle(id),
                Alarm::Grace(id) => self.grace_is_over(id),
                Alarm::ReplyBy(asker, reply_with) => self.reply_by_is_over(asker, reply_with),
                Alarm::Replies(client) => self.replies_are_old(&client),
                Alarm::Conversations => self.conversations_are_old(),
                // The step's end looks whether a round is due.
                Alarm::Subscribers => {}
            }
        }
    }
}
