//! Which turn an agent has next, if any.

use std::sync::Arc;

use caxton_model::{
    AgentId, AgentStatus, InputRef, LimitName, Message, MessageKey, Pending, StartReason, Timestamp,
};

use crate::{
    Effect, Kernel, Refusal, RunTurn, TurnCtx, TurnInput,
    alarm::Alarm,
    live::{Running, UpdatePhase, Wish},
    mailbox::{breaker_open, not_accepted},
    turn::TurnStart,
    work::ELEMENTS_A_TOKEN,
};

/// What an agent is to do next, by what the operator wants of it.
enum Course {
    Work,
    Migrate,
    Stop { drain: bool },
    Start,
    Update,
}

impl Kernel {
    /// Gives an agent its next turn if it has none and something is to be done.
    pub(crate) fn advance(&mut self, id: AgentId) {
        let Some(live) = self.live.get(&id) else {
            return;
        };
        if live.running.is_some() {
            return;
        }
        if self.quiesced {
            return self.leave_off(id);
        }
        let migrates = live.instance && self.state.migrating.contains_key(&id);
        let course = match &live.wish {
            Some(Wish::Update(update)) if update.phase == UpdatePhase::Init => Course::Update,
            _ if migrates => Course::Migrate,
            None => Course::Work,
            Some(Wish::Stop { drain, .. }) => Course::Stop { drain: *drain },
            Some(Wish::Start { .. }) => Course::Start,
            Some(Wish::Update(_)) => Course::Migrate,
        };
        match course {
            Course::Work => self.work(id),
            Course::Stop { drain } => self.work_off(id, drain),
            Course::Start => self.begin(id, TurnInput::Init(StartReason::Operator)),
            Course::Update => self.begin_update(id),
            Course::Migrate => self.begin_migrate(id),
        }
    }

    fn work(&mut self, id: AgentId) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get(&id)) else {
            return;
        };
        let runs = matches!(agent.status, AgentStatus::Running | AgentStatus::Restarting);
        if !runs || live.paused_until.is_some() {
            return;
        }
        let (instance, must_init, reason) = (live.instance, live.must_init, live.start_reason);
        self.refuse_blocked(id);
        match self.next_input(id, true) {
            _ if must_init && !instance => self.begin(id, TurnInput::Init(reason)),
            None => self.rest(id),
            Some(_) if !instance => self.begin(id, TurnInput::Init(reason)),
            Some(input) => self.begin(id, input),
        }
    }

    /// The way to a stop: the mail first if so wished, then the guest's farewell.
    fn work_off(&mut self, id: AgentId, drain: bool) {
        let Some(live) = self.live.get(&id) else {
            return;
        };
        let (instance, reason) = (live.instance, live.start_reason);
        if drain {
            self.refuse_blocked(id);
        }
        match self.next_input(id, false).filter(|_| drain) {
            Some(_) if !instance => self.begin(id, TurnInput::Init(reason)),
            Some(input) => self.begin(id, input),
            None if instance => self.begin(id, TurnInput::Shutdown),
            None => self.stopped(id, "stopped"),
        }
    }

    /// The oldest timer that is due, or the oldest message; by turns where both wait.
    fn next_input(&self, id: AgentId, timers: bool) -> Option<TurnInput> {
        let (agent, live) = (self.state.agents.get(&id)?, self.live.get(&id)?);
        if let Some(input) = self.interrupted_input(id) {
            return Some(input);
        }
        let mail = agent.mailbox.front();
        let timer_is_due = timers && live.timer_due.is_some_and(|due| due <= self.now);
        if timer_is_due && !(live.timer_last && mail.is_some()) {
            let due = agent.timers.iter().filter(|(_, t)| t.due <= self.now);
            if let Some((id, timer)) = due.min_by_key(|(id, timer)| (timer.due, **id)) {
                return Some(TurnInput::Timer {
                    id: *id,
                    due: timer.due,
                });
            }
        }
        mail.cloned().map(TurnInput::Message)
    }

    /// Refuses the messages at the mailbox's head that can have no turn: their sender has none for
    /// a while, or the agent has registered other performatives since they came.
    fn refuse_blocked(&mut self, id: AgentId) {
        while let Some((key, message, refusal)) = self.blocked(id) {
            let durable = self.is_durable(id);
            self.refuse(id, key, &message, &refusal, durable);
        }
    }

    fn blocked(&self, id: AgentId) -> Option<(MessageKey, Message, Refusal)> {
        let (agent, live) = (self.state.agents.get(&id)?, self.live.get(&id)?);
        let mail = agent.mailbox.front()?;
        let message = &mail.message;
        if mail.attempts > 0 || message.performative.is_last_word() {
            return None;
        }
        let name = agent.spec.name.as_str();
        let refusal = match live.breakers.open_until(&message.sender, self.now) {
            Some(until) => breaker_open(name, &message.sender, until),
            None => not_accepted(agent, message)?,
        };
        Some((mail.key, message.clone(), refusal))
    }

    /// Nothing to do: an idle instance may go after a while.
    fn rest(&mut self, id: AgentId) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get(&id)) else {
            return;
        };
        if let Some(after) = agent.spec.passivate_after_micros
            && live.instance
            && !self.alarms.is_set(&Alarm::Passivate(id))
        {
            self.alarms
                .set(Alarm::Passivate(id), live.idle_since.after(after));
        }
    }

    /// Starts a turn.
    pub(crate) fn begin(&mut self, id: AgentId, input: TurnInput) {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get_mut(&id)) else {
            return;
        };
        let spec = match &live.wish {
            Some(Wish::Update(update)) if update.phase == UpdatePhase::Init => {
                Arc::clone(&update.spec)
            }
            _ => Arc::clone(&agent.spec),
        };
        live.bucket
            .refill(spec.limits.get(LimitName::MessagesPerSecond), self.now);
        let tokens = live.unpaid.rate / ELEMENTS_A_TOKEN;
        live.unpaid.rate %= ELEMENTS_A_TOKEN;
        live.bucket.owe(tokens);
        let turn = agent.turns.saturating_add(1);
        let ctx = TurnCtx::new(&TurnStart {
            directory: &self.directory,
            spec: &spec,
            state: Some(agent),
            ledger: &self.state.ledger,
            input: &input,
            turn,
            seed: self.options.seed,
            bucket: live.bucket,
            recorded: self.state.accesses.get(&id),
            granted: self.state.granted.get(&id),
            journal: self.options.journal,
        });
        let (reference, mail) = reference(&input);
        live.timer_last = matches!(reference, InputRef::Timer { .. });
        live.running = Some(Running {
            turn,
            input: reference,
            seed: ctx.seed(),
            mail,
        });
        self.effects.push(Effect::Run(Box::new(RunTurn {
            agent: id,
            turn,
            input,
            ctx: Box::new(ctx),
        })));
    }

    /// Sets the alarm for an agent's earliest timer.
    pub(crate) fn watch_timers(&mut self, id: AgentId) {
        let earliest = self.state.agents.get(&id);
        let earliest = earliest.and_then(|agent| agent.timers.values().map(|t| t.due).min());
        self.set_timer_alarm(id, earliest);
    }

    fn set_timer_alarm(&mut self, id: AgentId, earliest: Option<Timestamp>) {
        if let Some(live) = self.live.get_mut(&id) {
            live.timer_due = earliest;
        }
        match earliest {
            Some(due) => self.alarms.set(Alarm::Timer(id), due),
            None => self.alarms.clear(&Alarm::Timer(id)),
        }
    }
}

fn reference(input: &TurnInput) -> (InputRef, Option<Pending>) {
    let mail = match input {
        TurnInput::Message(mail) => Some(mail.clone()),
        _ => None,
    };
    (input.reference(), mail)
}
