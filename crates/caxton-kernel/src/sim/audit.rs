//! The rules that hold at every step of every life.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use caxton_model::{
    AgentId, Destination, Durability, Entry, InputRef, LimitName, Message, MessageKey, Record,
};

use super::World;

/// What must be true of the kernels at any time.
///
/// Errors: the rule that is broken, and how.
pub(super) fn live(world: &World) -> Result<(), String> {
    if let Some(broken) = world.broken.first() {
        return Err(broken.clone());
    }
    for kernel in &world.kernels {
        for (id, agent) in &kernel.state().agents {
            let listing = world
                .directory
                .get(*id)
                .ok_or_else(|| format!("every agent is in the directory: {id} is not"))?;
            let (messages, bytes) = (listing.gauge.messages(), listing.gauge.bytes());
            let waiting = agent.mailbox.len();
            if u64::from(messages) != waiting as u64 || bytes != agent.mailbox_bytes {
                return Err(format!(
                    "the gauge shows the mailbox: {id} has {waiting} messages, the gauge shows {messages}"
                ));
            }
            if listing.capabilities != agent.capabilities {
                return Err(format!("the directory knows what {id} registered"));
            }
            // After a crash what was on its way stands in the mailbox too.
            let limit = agent.spec.limits.get(LimitName::Mailbox);
            if waiting as u64 > limit.saturating_add(64) {
                return Err(format!(
                    "mailboxes are bounded: {id} has {waiting} messages"
                ));
            }
        }
        if !kernel.state().held.is_empty() {
            return Err("mail in nobody's mailbox is answered in the same step".to_owned());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Fates {
    /// Deliveries to agents that must not be lost: receiver and message.
    sent: BTreeMap<MessageKey, (AgentId, Message)>,
    used: BTreeSet<MessageKey>,
    refused: BTreeSet<MessageKey>,
    memory: BTreeSet<AgentId>,
    /// The last one used, by sender, its shard, and receiver.
    last: BTreeMap<(Arc<str>, u16, AgentId), (u64, u32)>,
    resent: BTreeSet<MessageKey>,
    posts: BTreeSet<(Arc<str>, Arc<str>)>,
}

/// What must be true of any prefix of a journal that begins at its first record.
///
/// Errors: the rule that is broken, and how.
pub(super) fn journal(
    journal: &[Arc<Entry>],
    acknowledged: &BTreeSet<MessageKey>,
) -> Result<(), String> {
    let mut fates = Fates::default();
    for entry in journal {
        fates.note(entry)?;
    }
    let state = World::replayed(journal);
    let waiting: BTreeSet<MessageKey> = state
        .agents
        .values()
        .flat_map(|agent| agent.mailbox.iter().map(|mail| mail.key))
        .chain(state.held.iter().map(|(_, mail)| mail.key))
        .collect();
    for (key, (to, message)) in &fates.sent {
        let fate = [&fates.used, &fates.refused, &waiting];
        let count = fate.iter().filter(|set| set.contains(key)).count();
        if count != 1 && !fates.memory.contains(to) {
            return Err(format!(
                "each message has one fate: {key} to {to} has {count}: {message:?}"
            ));
        }
    }
    for key in acknowledged {
        if !journal
            .iter()
            .any(|e| e.shard == key.shard && e.seq == key.seq)
        {
            return Err(format!("what was acknowledged survives: {key} is gone"));
        }
    }
    Ok(())
}

impl Fates {
    fn note(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.record {
            Record::Deployed { spec } if spec.durability == Durability::Memory => {
                self.memory.insert(spec.id);
            }
            Record::Posted {
                client,
                message_id: Some(id),
                ..
            } if !self.posts.insert((Arc::clone(client), Arc::clone(id))) => {
                return Err(format!(
                    "a retry is harmless: {client} {id} was taken twice"
                ));
            }
            Record::Refused { key, .. } if !self.refused.insert(*key) => {
                return Err(format!("a message is refused once: {key}"));
            }
            Record::Directory { request, .. } if request.seq > 0 => self.take(*request)?,
            Record::Accepted { deliveries } => {
                for (to, key, message) in deliveries {
                    self.sent.insert(*key, (*to, message.clone()));
                }
            }
            Record::Turn(turn) if turn.consumed => {
                if let InputRef::Message(key) = turn.input {
                    self.take(key)?;
                    self.in_order(turn.agent, key)?;
                }
            }
            _ => {}
        }
        let resent = matches!(entry.record, Record::DeadLettersTaken { .. });
        let mut index = 0;
        for sent in entry.record.sent() {
            for to in &sent.to {
                let key = MessageKey {
                    shard: entry.shard,
                    seq: entry.seq,
                    index,
                };
                index += 1;
                if let Destination::Agent(id) = to {
                    self.sent.insert(key, (*id, sent.message.clone()));
                }
                if resent {
                    self.resent.insert(key);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, key: MessageKey) -> Result<(), String> {
        if !self.sent.contains_key(&key) {
            return Err(format!("no effect without its cause: {key} was never sent"));
        }
        if !self.used.insert(key) {
            return Err(format!("nothing takes effect twice: {key}"));
        }
        Ok(())
    }

    fn in_order(&mut self, agent: AgentId, key: MessageKey) -> Result<(), String> {
        let Some((_, message)) = self.sent.get(&key) else {
            return Ok(());
        };
        // What the host says in an agent's name may be said on another shard.
        if self.resent.contains(&key) || message.performative.is_last_word() {
            return Ok(());
        }
        let pair = (Arc::clone(&message.sender), key.shard, agent);
        let number = (key.seq, key.index);
        let last = self.last.insert(pair, number).unwrap_or_default();
        if last >= number {
            return Err(format!(
                "order is kept: {agent} took {number:?} of {} after {last:?}",
                message.sender
            ));
        }
        Ok(())
    }
}
