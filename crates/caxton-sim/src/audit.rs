//! Reads the journal as it grows, and holds it to the rules about messages and timers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use caxton_model::{
    AgentId, CONVERSATION_IDLE, Delivery, Destination, Durability, Entry, InputRef, Message,
    MessageKey, Pending, Receiver, Record, State, StateWrite, Timestamp, TurnRecord,
    is_reserved_name,
};

use crate::{Breach, Rule, guest::row_number, outside::answer};

/// What is remembered of a message on its way to an agent.
#[derive(Debug, Clone)]
struct Sent {
    to: AgentId,
    sender: Arc<str>,
    is_last_word: bool,
    /// Whether it came from the dead letters: it is out of order.
    resent: bool,
}

/// A client's request: the client and its `reply_with`.
type Request = (Arc<str>, Arc<str>);

/// What a turn asked for, in order, and whether the outcome of each is recorded.
type Asked = Vec<(Arc<str>, bool)>;

/// What one agent has stored.
type Values = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

/// When a client asked, by which record, and whom.
type AskedBy = (Timestamp, (u16, u64), Arc<str>);

/// What the records so far came to.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    sent: BTreeMap<MessageKey, Sent>,
    used: BTreeSet<MessageKey>,
    refused: BTreeSet<MessageKey>,
    /// Agents that keep nothing.
    memory: BTreeSet<AgentId>,
    /// The last one used, by sender, its shard, and receiver.
    last: BTreeMap<(Arc<str>, u16, AgentId), MessageKey>,
    posts: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Whom a client asked under a `reply_with`, when, and by which record.
    asked: BTreeMap<Request, AskedBy>,
    rung: BTreeSet<(AgentId, i32)>,
    dead: BTreeSet<MessageKey>,
    values: BTreeMap<AgentId, Values>,
    /// Numbers of rows of shared tables.
    rows: BTreeSet<u64>,
    /// What each agent's turn asked for, and whether the outcome is recorded.
    intents: BTreeMap<AgentId, (InputRef, Asked)>,
}

impl Audit {
    /// Takes the next record.
    ///
    /// Errors: the rule that it breaks.
    pub(crate) fn note(&mut self, entry: &Entry) -> Result<(), Breach> {
        match &entry.record {
            Record::Deployed { spec } if spec.durability == Durability::Memory => {
                self.memory.insert(spec.id);
            }
            Record::Posted {
                client,
                message_id: Some(id),
                ..
            } if !self.posts.insert((Arc::clone(client), Arc::clone(id))) => {
                let how = format!("`{id}` of `{client}` was taken twice");
                return Err(Breach::new(Rule::RetryIsHarmless, how));
            }
            Record::Refused { key, sent, .. } => self.note_refused(*key, sent)?,
            Record::Directory { request, .. } if request.seq > 0 => self.take(*request)?,
            Record::Accepted { deliveries } => {
                for (to, key, message) in deliveries {
                    self.note_sent(*key, *to, message, false);
                }
            }
            Record::DeadLettersTaken { keys, .. } => {
                for key in keys {
                    self.dead.remove(key);
                }
            }
            Record::Removed { agent, .. } => {
                self.values.remove(agent);
            }
            Record::Intent(intent) => {
                let fresh = || (intent.input.clone(), Vec::new());
                if intent.number == 0 {
                    self.intents.remove(&intent.agent);
                }
                let (_, asked) = self.intents.entry(intent.agent).or_insert_with(fresh);
                asked.push((Arc::clone(&intent.shown), false));
            }
            Record::Outcome {
                agent,
                number,
                outcome,
            } => self.note_outcome(*agent, *number, outcome)?,
            Record::Turn(turn) => {
                self.turn_has_outcomes(turn)?;
                match turn.input {
                    InputRef::Message(key) if turn.consumed => {
                        self.take(key)?;
                        self.in_order(turn.agent, key)?;
                    }
                    InputRef::Timer { id, .. } if !self.rung.insert((turn.agent, id)) => {
                        let how = format!("timer {id} of {} rang twice", turn.agent);
                        return Err(Breach::new(Rule::TimerRingsOnce, how));
                    }
                    _ => {}
                }
                if turn.result.has_effects() {
                    self.note_writes(turn.agent, &turn.writes);
                }
            }
            _ => {}
        }
        self.note_asked(entry);
        self.note_all_sent(entry);
        self.note_rows(entry)
    }

    /// The row that a turn read was written by a record before its own.
    fn note_rows(&mut self, entry: &Entry) -> Result<(), Breach> {
        for row in entry.record.rows() {
            let (number, read) = row.value.as_deref().map_or((0, 0), row_number);
            if read > 0 && !self.rows.contains(&read) {
                let how =
                    format!("row {number} was written by who had read {read}, which is not there");
                return Err(Breach::new(Rule::CauseBeforeEffect, how));
            }
            self.rows.insert(number);
        }
        Ok(())
    }

    fn note_asked(&mut self, entry: &Entry) {
        let Record::Posted { client, sent, .. } = &entry.record else {
            return;
        };
        for sent in sent {
            if let (Some(name), Receiver::One(to)) =
                (&sent.message.reply_with, &sent.message.receiver)
            {
                let request = (Arc::clone(client), Arc::clone(name));
                let record = (entry.shard, entry.seq);
                self.asked
                    .insert(request, (entry.at, record, Arc::clone(to)));
            }
        }
    }

    /// Holds mail in a client's mailbox to the rule that an answer comes from whoever was asked. What
    /// was sent before its request is no answer to it, whatever it says.
    ///
    /// Errors: the rule that it breaks.
    pub(crate) fn answer(
        &self,
        client: &Arc<str>,
        mail: &Pending,
        now: Timestamp,
    ) -> Result<(), Breach> {
        let message = &mail.message;
        let Some(answered) = &message.in_reply_to else {
            return Ok(());
        };
        let request = (Arc::clone(client), Arc::clone(answered));
        let Some((at, (shard, seq), asked)) = self.asked.get(&request) else {
            return Ok(());
        };
        let is_before = match mail.key.shard == *shard {
            true => mail.key.seq < *seq,
            false => mail.at <= *at,
        };
        if is_before {
            return Ok(());
        }
        let sender = &message.sender;
        let speaks = sender == asked || is_reserved_name(sender) || AgentId::read(sender).is_some();
        if speaks || now.since(*at) >= CONVERSATION_IDLE {
            return Ok(());
        }
        let how = format!("`{sender}` answered `{answered}` of `{client}`, who asked `{asked}`");
        Err(Breach::new(Rule::AnswerFromAsked, how))
    }

    fn note_outcome(&mut self, agent: AgentId, number: u32, got: &[u8]) -> Result<(), Breach> {
        let asked = self.intents.get_mut(&agent);
        let asked = asked.and_then(|(_, asked)| asked.get_mut(number as usize));
        match asked {
            Some((shown, has_outcome)) if *got == *answer(shown) => *has_outcome = true,
            _ => {
                let how = format!(
                    "an outcome of {agent} is recorded under number {number}, which is not its own"
                );
                return Err(Breach::new(Rule::OutcomeIsItsOwn, how));
            }
        }
        Ok(())
    }

    /// A turn that came to something stands behind the outcomes of all that it asked for.
    fn turn_has_outcomes(&mut self, turn: &TurnRecord) -> Result<(), Breach> {
        let is_its = |(input, _): &(InputRef, _)| *input == turn.input;
        if !self.intents.get(&turn.agent).is_some_and(is_its) {
            return Ok(());
        }
        let (_, asked) = self
            .intents
            .remove(&turn.agent)
            .unwrap_or_else(|| (turn.input.clone(), Vec::new()));
        let missing = asked.iter().find(|(_, has_outcome)| !has_outcome);
        if let Some((shown, _)) = missing.filter(|_| turn.result.has_effects()) {
            let how = format!("the turn that asked for `{shown}` is done without its outcome");
            return Err(Breach::new(Rule::OutcomeIsItsOwn, how));
        }
        Ok(())
    }

    fn note_all_sent(&mut self, entry: &Entry) {
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
                match to {
                    Destination::Agent(id) => self.note_sent(key, *id, &sent.message, resent),
                    Destination::Dead { .. } => {
                        self.dead.insert(key);
                    }
                    Destination::Client(_) => {}
                }
            }
        }
    }

    fn note_sent(&mut self, key: MessageKey, to: AgentId, message: &Message, resent: bool) {
        let sent = Sent {
            to,
            sender: Arc::clone(&message.sender),
            is_last_word: message.performative.is_last_word(),
            resent,
        };
        self.sent.insert(key, sent);
    }

    fn note_writes(&mut self, agent: AgentId, writes: &[StateWrite]) {
        if writes.is_empty() || self.memory.contains(&agent) {
            return;
        }
        let values = self.values.entry(agent).or_default();
        for write in writes {
            match &write.value {
                Some(value) => values.insert(Arc::clone(&write.key), Arc::clone(value)),
                None => values.remove(&write.key),
            };
        }
    }

    fn note_refused(&mut self, key: MessageKey, sent: &[caxton_model::Sent]) -> Result<(), Breach> {
        if !self.refused.insert(key) {
            let how = format!("{key} was refused twice");
            return Err(Breach::new(Rule::OnceInEffect, how));
        }
        if !self.sent.contains_key(&key) {
            let how = format!("{key} was refused before it was sent");
            return Err(Breach::new(Rule::CauseBeforeEffect, how));
        }
        let dead = |to: &Destination| matches!(to, Destination::Dead { .. });
        let buried = sent.iter().any(|one| one.to.iter().any(dead));
        let told = sent.iter().any(caxton_model::Sent::is_on_its_way);
        let asks = self.sent.get(&key).is_none_or(|sent| !sent.is_last_word);
        if !buried || (asks && !told) {
            let how = format!("{key} was refused, but not buried, or its sender was not told");
            return Err(Breach::new(Rule::DeadLetterKept, how));
        }
        Ok(())
    }

    /// A message for an agent leaves the shard of its sender.
    ///
    /// Errors: no record of its sending has its place yet.
    pub(crate) fn leaves(&self, delivery: &Delivery) -> Result<(), Breach> {
        let key = delivery.key;
        let is_for_agent = matches!(delivery.to, Destination::Agent(_));
        if delivery.journalled && is_for_agent && !self.sent.contains_key(&key) {
            let how = format!("{key} left its shard before it was sent");
            return Err(Breach::new(Rule::CauseBeforeEffect, how));
        }
        Ok(())
    }

    fn take(&mut self, key: MessageKey) -> Result<(), Breach> {
        if !self.sent.contains_key(&key) {
            let how = format!("{key} was used before it was sent");
            return Err(Breach::new(Rule::CauseBeforeEffect, how));
        }
        if !self.used.insert(key) {
            let how = format!("{key} was used twice");
            return Err(Breach::new(Rule::OnceInEffect, how));
        }
        Ok(())
    }

    fn in_order(&mut self, agent: AgentId, key: MessageKey) -> Result<(), Breach> {
        let Some(sent) = self.sent.get(&key) else {
            return Ok(());
        };
        // What the host says in an agent's name may be said on another shard.
        if sent.resent || sent.is_last_word {
            return Ok(());
        }
        let pair = (Arc::clone(&sent.sender), key.shard, agent);
        if let Some(last) = self.last.insert(pair, key)
            && last >= key
        {
            let how = format!("{agent} took {key} of `{}` after {last}", sent.sender);
            return Err(Breach::new(Rule::OrderPerPair, how));
        }
        Ok(())
    }

    /// Whether a message is one whose order says nothing.
    pub(crate) fn is_resent(&self, key: MessageKey) -> bool {
        self.sent.get(&key).is_some_and(|sent| sent.resent)
    }

    /// Holds a state that the whole journal came to against what was sent.
    ///
    /// Errors: the rule that it breaks.
    pub(crate) fn fates(&self, state: &State) -> Result<(), Breach> {
        let mut waiting: BTreeSet<MessageKey> = BTreeSet::new();
        for agent in state.agents.values() {
            waiting.extend(agent.mailbox.iter().map(|mail| mail.key));
        }
        waiting.extend(state.held.iter().map(|(_, mail)| mail.key));
        for (key, sent) in &self.sent {
            let fates = [&self.used, &self.refused, &waiting];
            let count = fates.iter().filter(|set| set.contains(key)).count();
            if count != 1 && !self.memory.contains(&sent.to) {
                let how = format!(
                    "{key} of `{}` to {} has {count} fates (used, refused, waiting: {:?})",
                    sent.sender,
                    sent.to,
                    fates.map(|set| set.contains(key))
                );
                return Err(Breach::new(Rule::OneFate, how));
            }
        }
        for key in &self.dead {
            if !state.dead.contains_key(key) {
                let how = format!("{key} was buried and is not among the dead letters");
                return Err(Breach::new(Rule::DeadLetterKept, how));
            }
        }
        Ok(())
    }

    /// How many values agents have stored.
    pub(crate) fn count_values(&self) -> usize {
        self.values.values().map(BTreeMap::len).sum()
    }

    /// Every value that agents have stored.
    pub(crate) fn values(&self) -> impl Iterator<Item = (AgentId, &[u8], &[u8])> {
        self.values.iter().flat_map(|(agent, values)| {
            let pairs = values.iter();
            pairs.map(|(key, value)| (*agent, &**key, &**value))
        })
    }
}
