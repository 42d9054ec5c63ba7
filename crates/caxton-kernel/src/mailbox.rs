//! How a delivery gets into a mailbox, or is refused at it.

use std::sync::Arc;

use caxton_model::{
    AgentId, AgentState, AgentStatus, Delivery, Destination, ErrorCode, InputRef, LimitName,
    Message, MessageKey, Pending, Record, destination_text,
    planted::{Planted, is_planted},
};

use crate::{
    Kernel, Refusal, host_message,
    route::{self, is_built_in},
};

impl Kernel {
    /// Takes deliveries to this shard in. What nobody has recorded yet and must survive is
    /// recorded now, before anybody sees it.
    pub(crate) fn receive(&mut self, deliveries: Vec<Delivery>) {
        if !self.options.journal || deliveries.iter().all(|d| d.journalled) {
            self.inbox.extend(deliveries);
            return;
        }
        let mut unrecorded = Vec::new();
        for delivery in deliveries {
            match &delivery.to {
                Destination::Agent(id)
                    if !delivery.journalled
                        && self.state.agents.contains_key(id)
                        && self.is_durable(*id) =>
                {
                    unrecorded.push((*id, delivery.key, delivery.message));
                }
                _ => self.inbox.push_back(delivery),
            }
        }
        if !unrecorded.is_empty() {
            let deliveries = unrecorded;
            self.commit(Record::Accepted { deliveries }, true);
        }
    }

    /// One delivery: into its mailbox, or refused there.
    pub(crate) fn accept(&mut self, delivery: Delivery) {
        if let Destination::Client(client) = delivery.to.clone() {
            return self.accept_mail(&client, delivery);
        }
        match delivery.to.clone() {
            Destination::Agent(id) if is_built_in(id) => {
                let (key, journalled) = (delivery.key, delivery.journalled);
                let message = delivery.message.clone();
                self.deliver(delivery);
                self.built_in(id, key, &message, journalled);
            }
            Destination::Agent(id) => {
                let verdict = self.judge(id, &delivery.message);
                let (key, journalled) = (delivery.key, delivery.journalled);
                let message = delivery.message.clone();
                self.deliver(delivery);
                match verdict {
                    Ok(()) => {
                        self.measure(id);
                        self.ready.push_back(id);
                    }
                    Err(refusal) => self.refuse(id, key, &message, &refusal, journalled),
                }
            }
            Destination::Client(_) | Destination::Dead { .. } => {}
        }
    }

    /// Whether an agent's mailbox takes a message now.
    ///
    /// Bounds: the mailbox's limits, and one place more for what the host itself says.
    fn judge(&self, id: AgentId, message: &Message) -> Result<(), Refusal> {
        let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get(&id)) else {
            let text = format!("agent {id} was removed before the message arrived");
            return Err(Refusal::new(ErrorCode::Undeliverable, text));
        };
        let name = &agent.spec.name;
        if !live.shown.takes_messages() {
            return Err(not_running(name.as_str(), live.shown));
        }
        let limits = &agent.spec.limits;
        let (messages, bytes) = (
            limits.get(LimitName::Mailbox),
            limits.get(LimitName::MailboxBytes),
        );
        let waiting = agent.mailbox.len() as u64;
        let messages = if is_planted(Planted::WidenQueue) {
            2 * messages + 1
        } else {
            messages
        };
        let full = if message.performative.is_last_word() {
            waiting > messages
        } else {
            waiting >= messages || agent.mailbox_bytes.saturating_add(message.bytes()) > bytes
        };
        if full {
            return Err(queue_full(name.as_str(), waiting, agent.mailbox_bytes));
        }
        let last_word = message.performative.is_last_word();
        if let Some(refusal) = not_accepted(agent, message) {
            return Err(refusal);
        }
        match live.breakers.open_until(&message.sender, self.now) {
            Some(until) if !last_word => Err(breaker_open(name.as_str(), &message.sender, until)),
            _ => Ok(()),
        }
    }

    /// Records that a delivery was refused: its dead letter, and the answer to its sender.
    pub(crate) fn refuse(
        &mut self,
        agent: AgentId,
        key: MessageKey,
        message: &Message,
        refusal: &Refusal,
        durable: bool,
    ) {
        let name = self.name_of(agent);
        let mut sent = vec![host_message::dead(
            message,
            &name,
            refusal.code,
            &refusal.text,
        )];
        sent.extend(host_message::failure(
            &self.directory,
            message,
            &name,
            refusal.code,
            &refusal.text,
        ));
        self.commit(Record::Refused { agent, key, sent }, durable);
        self.measure(agent);
    }

    /// Refuses all that waits, but not what is being worked on.
    pub(crate) fn refuse_all(&mut self, agent: AgentId, refusal: &Refusal) {
        let at_work = match self.live.get(&agent).and_then(|l| l.running.as_ref()) {
            Some(running) => match running.input {
                InputRef::Message(key) => Some(key),
                _ => None,
            },
            None => None,
        };
        let Some(state) = self.state.agents.get(&agent) else {
            return;
        };
        let mail: Vec<Pending> = state.mailbox.iter().cloned().collect();
        let durable = self.is_durable(agent);
        for mail in mail.iter().filter(|mail| Some(mail.key) != at_work) {
            self.refuse(agent, mail.key, &mail.message, refusal, durable);
        }
    }

    /// An agent's name, or its id where it is gone.
    pub(crate) fn name_of(&self, id: AgentId) -> Arc<str> {
        if is_built_in(id) {
            return route::built_in_name(id).into();
        }
        match self.state.agents.get(&id) {
            Some(agent) => agent.spec.name.shared(),
            None => destination_text(&Destination::Agent(id)),
        }
    }

    /// Shows all shards how full a mailbox is.
    pub(crate) fn measure(&self, id: AgentId) {
        if let (Some(agent), Some(live)) = (self.state.agents.get(&id), self.live.get(&id)) {
            let waiting = u32::try_from(agent.mailbox.len()).unwrap_or(u32::MAX);
            live.gauge.set(waiting, agent.mailbox_bytes);
        }
    }
}

/// Why an agent that does not run takes nothing.
pub(crate) fn not_running(name: &str, status: AgentStatus) -> Refusal {
    match status {
        AgentStatus::Failed => Refusal::new(
            ErrorCode::AgentFailed,
            format!("agent `{name}` has failed; start it again"),
        ),
        AgentStatus::Draining => Refusal::new(
            ErrorCode::AgentStopped,
            format!("agent `{name}` is stopping"),
        ),
        _ => Refusal::new(
            ErrorCode::AgentStopped,
            format!("agent `{name}` is stopped; start it again"),
        ),
    }
}

/// Why an agent does not take such a message, if it has registered other performatives.
pub(crate) fn not_accepted(agent: &AgentState, message: &Message) -> Option<Refusal> {
    let performative = message.performative;
    let registered = agent.capabilities.as_ref()?;
    if performative.is_last_word() || registered.accepts(performative) {
        return None;
    }
    let text = format!("`{}` has not registered `{performative}`", agent.spec.name);
    Some(Refusal::new(ErrorCode::NotUnderstoodByHost, text))
}

/// Why a full mailbox takes nothing.
pub(crate) fn queue_full(name: &str, messages: u64, bytes: u64) -> Refusal {
    let text =
        format!("the mailbox of `{name}` is full: {messages} messages, {bytes} bytes are waiting");
    Refusal::new(ErrorCode::QueueFull, text)
}

/// Why a sender's messages get no turn for a while.
pub(crate) fn breaker_open(agent: &str, sender: &str, until: caxton_model::Timestamp) -> Refusal {
    let text = format!(
        "the last messages of `{sender}` made `{agent}` fault; it takes none of them until {until}"
    );
    Refusal::new(ErrorCode::Breaker, text)
}
