//! A new agent: nothing of it is anywhere until its first init was good.

use std::sync::Arc;

use caxton_model::{
    AgentSpec, AgentState, AgentStatus, ErrorClass, ErrorCode, Fault, GrantedRules, InputRef,
    LimitName, Record, StartReason, TurnResult,
};

use crate::{
    Done, Effect, Kernel, NodeEvent, Refusal, RunTurn, Ticket, TurnCtx, TurnEnd, TurnInput,
    bucket::Bucket, live::Live, turn::TurnStart, turn_end::turn_record,
};

/// An agent whose first init runs.
#[derive(Debug)]
pub(crate) struct Deploying {
    ticket: Ticket,
    spec: Arc<AgentSpec>,
    granted: GrantedRules,
}

impl Kernel {
    pub(crate) fn deploy(&mut self, ticket: Ticket, spec: Arc<AgentSpec>, granted: GrantedRules) {
        let id = spec.id;
        let known = self.state.agents.contains_key(&id) || self.deploying.contains_key(&id);
        let holder = self.directory.holder(&spec.name);
        let taken = holder.is_some_and(|holder| holder != id);
        let refusal = if self.quiesced {
            Some(shutting_down())
        } else if known || taken {
            let text = format!("an agent named `{}` is there already", spec.name);
            Some(Refusal::new(ErrorCode::NameTaken, text))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            if !known && !taken {
                self.directory.release(&spec.name);
            }
            return self.answer(ticket, Err(refusal));
        }
        // Whoever did not reserve the name before takes it here.
        let _ = self.directory.reserve(&spec.name, id);
        let input = TurnInput::Init(StartReason::Deploy);
        let ctx = TurnCtx::new(&TurnStart {
            directory: &self.directory,
            spec: &spec,
            state: None,
            ledger: &self.state.ledger,
            input: &input,
            turn: 1,
            seed: self.options.seed,
            bucket: Bucket::full(spec.limits.get(LimitName::MessagesPerSecond), self.now),
            recorded: None,
            granted: Some(&granted),
            journal: self.options.journal,
        });
        self.effects.push(Effect::Run(Box::new(RunTurn {
            agent: id,
            turn: 1,
            input,
            ctx: Box::new(ctx),
        })));
        let deploying = Deploying {
            ticket,
            spec,
            granted,
        };
        self.deploying.insert(id, deploying);
    }

    /// The first init has ended: the agent is entered with all of it, or not at all.
    pub(crate) fn deploy_ended(&mut self, mut end: TurnEnd) {
        let id = end.agent;
        if end.turn != 1 {
            return;
        }
        let Some(Deploying {
            ticket,
            spec,
            granted,
        }) = self.deploying.remove(&id)
        else {
            return;
        };
        if let Some(fault) = init_fault(&end) {
            self.directory.release(&spec.name);
            self.effects.push(Effect::Forget { agent: id });
            self.effects.push(Effect::Publish(NodeEvent::Fault {
                at: self.now,
                agent: id,
                name: spec.name.shared(),
                turn: end.turn,
                fault: fault.clone(),
            }));
            return self.answer(ticket, Err(init_failed(spec.name.as_str(), &fault)));
        }
        let mut live = Live::new(&spec, AgentStatus::Running, self.now);
        live.instance = end.instance_kept;
        live.bucket = Bucket {
            tokens: end.effects.message_tokens,
            at: end.effects.message_tokens_at,
        };
        self.live.insert(id, live);
        // In the directory before anything it says can be answered.
        self.commit(
            Record::Deployed {
                spec: Arc::clone(&spec),
            },
            true,
        );
        self.list(id);
        self.keep_metrics(id, end.effects.metric_bytes);
        if !granted.is_empty() {
            let (agent, rules) = (id, granted);
            self.commit(Record::GrantsChanged { agent, rules }, true);
            self.list(id);
        }
        let durable = self.is_durable(id);
        let reason = StartReason::Deploy;
        self.commit(Record::InstanceStarted { agent: id, reason }, durable);
        let sent = std::mem::take(&mut end.effects.sent);
        let code = end.result.as_ref().copied().unwrap_or(0);
        let result = TurnResult::Returned(code);
        let record = turn_record(InputRef::Init(reason), true, result, end, sent);
        self.commit_turn(id, record);
        self.publish_status(id, AgentStatus::Running, "deployed");
        self.answer(
            ticket,
            Ok(Done::Agent {
                agent: id,
                status: AgentStatus::Running,
            }),
        );
        self.ready.push_back(id);
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Result<Done, Refusal>) {
        self.effects.push(Effect::Answer { ticket, answer });
    }

    /// What is known of an agent; a refusal where there is none.
    pub(crate) fn agent(&self, id: caxton_model::AgentId) -> Result<&AgentState, Refusal> {
        self.state.agents.get(&id).ok_or_else(|| {
            Refusal::new(ErrorCode::NotFound, format!("there is no agent {id} here"))
        })
    }
}

/// The fault of an init, also where it only returned non-zero.
pub(crate) fn init_fault(end: &TurnEnd) -> Option<Fault> {
    match &end.result {
        Ok(0) => None,
        Ok(code) => Some(Fault::new(
            ErrorCode::InitFailed,
            format!("agent_init returned {code}; 0 means success"),
        )),
        Err(fault) => Some(fault.clone()),
    }
}

/// The refusal of what an init's fault stopped.
pub(crate) fn init_failed(name: &str, fault: &Fault) -> Refusal {
    let text = if fault.code == ErrorCode::InitFailed {
        format!("`{name}` did not start: {}", fault.text)
    } else {
        format!("`{name}` did not start: {}: {}", fault.code, fault.text)
    };
    // What the node lacks is no failing of the agent's.
    let code = match fault.code.class() {
        ErrorClass::Transient => fault.code,
        _ => ErrorCode::InitFailed,
    };
    Refusal::new(code, text)
}

/// The refusal of a node that is going down.
pub(crate) fn shutting_down() -> Refusal {
    Refusal::new(ErrorCode::ShuttingDown, "the node is going down")
}
