//! What a guest asks during its turn, answered without leaving the turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use caxton_model::{
    AgentId, AgentSpec, AgentState, Capabilities, Destination, Durability, Fields, GrantedRules,
    HostCode, Ledger, LimitName, Message, MessageError, Micros, Receiver, Sent, Subscription,
    TimerSet, Timestamp, TurnAccesses, stable_hash,
};

use crate::{
    Directory, Listing, TooLong, TurnEffects, TurnInput,
    access::Replay,
    border::By,
    broadcast,
    bucket::Bucket,
    check_descriptor,
    host_bytes::Fixed,
    host_message,
    post::NAMESPACE_FIELD,
    route::{self, Found},
    work::{BYTES_AN_ELEMENT, Work},
};

/// Readings of the clock that a turn's record keeps.
const CLOCK_READS_MAX: usize = 1_000;

/// Answers one turn's host calls and notes what the turn wants done.
#[derive(Debug)]
pub struct TurnCtx {
    pub(crate) directory: Arc<Directory>,
    pub(crate) spec: Arc<AgentSpec>,
    by_init: bool,
    /// The message being handled.
    pub(crate) input: Option<Message>,
    /// Where it wants its answer, if its sender could write there itself.
    pub(crate) reply_to: Option<Arc<str>>,
    /// Whether a free reply to it is still to come.
    reply_is_free: bool,
    bucket: Bucket,
    timers: BTreeSet<i32>,
    next_timer: i32,
    subscriptions: BTreeSet<i32>,
    next_subscription: i32,
    random: u64,
    /// What this turn already sends to whom: messages and bytes.
    pub(crate) on_its_way: BTreeMap<AgentId, (u64, u64)>,
    /// What was looked at for this turn. Its time is part of the turn's own.
    pub(crate) work: Work,
    /// What is kept for the agent that it alone can take back.
    pub(crate) fixed: Fixed,
    granted: Option<GrantedRules>,
    /// The number of the turn.
    pub(crate) turn: u64,
    /// What was recorded of the turn before a crash.
    pub(crate) replay: Replay,
    /// Whether the journal keeps what the turn asks of the outside.
    pub(crate) records_accesses: bool,
    effects: TurnEffects,
}

/// What a turn begins with.
pub(crate) struct TurnStart<'a> {
    pub(crate) directory: &'a Arc<Directory>,
    pub(crate) spec: &'a Arc<AgentSpec>,
    /// `None`: not deployed yet.
    pub(crate) state: Option<&'a AgentState>,
    pub(crate) ledger: &'a Ledger,
    pub(crate) input: &'a TurnInput,
    pub(crate) turn: u64,
    pub(crate) seed: u64,
    pub(crate) bucket: Bucket,
    /// What the agent's interrupted turn had recorded; it counts only where this is that turn.
    pub(crate) recorded: Option<&'a TurnAccesses>,
    /// What the agent is granted.
    pub(crate) granted: Option<&'a GrantedRules>,
    /// Whether there is a journal.
    pub(crate) journal: bool,
}

impl TurnCtx {
    pub(crate) fn new(start: &TurnStart<'_>) -> Self {
        let by_init = matches!(start.input, TurnInput::Init(_));
        let ids = [start.spec.id.0, start.turn, start.seed].map(u64::to_le_bytes);
        let recorded = start
            .recorded
            .filter(|recorded| recorded.input == start.input.reference());
        let seed = recorded.map_or_else(|| stable_hash(ids.as_flattened()), |r| r.seed);
        let input = match start.input {
            TurnInput::Message(mail) => Some(mail.message.clone()),
            _ => None,
        };
        let (timers, subscriptions) = start.state.map_or_else(Default::default, |state| {
            let timers = state.timers.iter();
            let kept = state.subscriptions.iter();
            (
                timers
                    .filter(|(_, timer)| !(by_init && timer.by_init))
                    .map(|(id, _)| *id)
                    .collect(),
                kept.filter(|s| !(by_init && s.by_init))
                    .map(|s| s.id)
                    .collect(),
            )
        });
        Self {
            directory: Arc::clone(start.directory),
            spec: Arc::clone(start.spec),
            by_init,
            reply_is_free: input
                .as_ref()
                .is_some_and(|input| input.performative.asks()),
            reply_to: input.as_ref().and_then(|input| {
                let wanted = input.reply_to.as_ref()?;
                host_message::may_answer_to(start.directory, input, wanted)
                    .then(|| Arc::clone(wanted))
            }),
            input,
            bucket: start.bucket,
            timers,
            next_timer: start.state.map_or(1, |state| state.next_timer),
            subscriptions,
            next_subscription: start.state.map_or(1, |state| state.next_subscription),
            random: seed,
            on_its_way: BTreeMap::new(),
            work: Work::default(),
            fixed: Fixed::of(start.ledger, start.state, by_init),
            granted: start.granted.cloned(),
            turn: start.turn,
            records_accesses: start.journal
                && start.spec.durability == Durability::Durable
                && matches!(start.input, TurnInput::Message(_) | TurnInput::Timer { .. }),
            replay: Replay::of(recorded),
            effects: TurnEffects {
                seed,
                message_tokens: start.bucket.tokens,
                message_tokens_at: start.bucket.at,
                ..TurnEffects::default()
            },
        }
    }
    /// Whose turn it is.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.spec.id
    }
    /// The agent as deployed; in an update's init, as it shall be.
    #[must_use]
    pub const fn spec(&self) -> &Arc<AgentSpec> {
        &self.spec
    }
    /// What the agent was granted when the turn began, if it was anything.
    #[must_use]
    pub const fn granted(&self) -> Option<&GrantedRules> {
        self.granted.as_ref()
    }
    fn limit(&self, name: LimitName) -> u64 {
        self.spec.limits.get(name)
    }
    /// Reads a message. Most answer the one that is handled, and share its names.
    fn read(&self, json: &[u8]) -> Result<Fields, MessageError> {
        let bytes_max = self.limit(LimitName::MessageBytes);
        let own = self.spec.name.as_shared();
        let Some(input) = &self.input else {
            return Fields::parse_among(json, bytes_max, &[own]);
        };
        let conversation = input.conversation_id.as_ref().unwrap_or(own);
        let asked = input.reply_with.as_ref().unwrap_or(own);
        let known = [own, &input.sender, conversation, asked];
        Fields::parse_among(json, bytes_max, &known)
    }
    pub(crate) fn parse(&self, json: &[u8]) -> Result<Fields, HostCode> {
        self.read(json).map_err(|error| match error {
            MessageError::TooLarge { .. } => HostCode::TooLarge,
            _ => HostCode::Malformed,
        })
    }
    /// Reads a message whose receiver the host sets.
    fn parse_to(&self, json: &[u8], receiver: &str) -> Result<Fields, HostCode> {
        match self.read(json) {
            Err(MessageError::Missing { field: "receiver" }) => {
                let mut object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_slice(json).map_err(|_| HostCode::Malformed)?;
                object.insert("receiver".to_owned(), receiver.into());
                let json = serde_json::to_vec(&object).map_err(|_| HostCode::Malformed)?;
                self.parse(&json)
            }
            Err(MessageError::TooLarge { .. }) => Err(HostCode::TooLarge),
            Err(_) => Err(HostCode::Malformed),
            Ok(fields) => Ok(Fields {
                receiver: Receiver::One(receiver.into()),
                ..fields
            }),
        }
    }
    /// `send_message`.
    pub fn send_message(&mut self, now: Timestamp, json: &[u8]) -> Result<(), HostCode> {
        let fields = self.parse(json)?;
        self.send(now, fields, json.len() as u64)
    }
    /// `send_local_message`: to one agent of this node, by id or name.
    pub fn send_local_message(
        &mut self,
        now: Timestamp,
        id: &str,
        json: &[u8],
    ) -> Result<(), HostCode> {
        match route::find(&self.directory, self.principal(), id, |_| ()) {
            Found::Nobody => return Err(HostCode::NotFound),
            Found::Denied => return Err(HostCode::Denied),
            Found::Remote => return Err(HostCode::Unavailable),
            Found::BuiltIn(_) | Found::Agent(()) => {}
        }
        let fields = self.parse_to(json, id)?;
        self.send(now, fields, json.len() as u64)
    }

    fn send(&mut self, now: Timestamp, mut fields: Fields, bytes: u64) -> Result<(), HostCode> {
        if broadcast::claims_event(&fields) {
            return Err(HostCode::Denied);
        }
        fields.sender = self.spec.name.shared();
        if let Some(input) = &self.input {
            host_message::carry_trace(input, &mut fields);
        }
        if fields
            .receiver
            .names()
            .iter()
            .any(|name| route::built_in(name).is_some())
        {
            // What stands there is how far a client's token reaches; no guest says that.
            fields.extra.retain(|(name, _)| &**name != NAMESPACE_FIELD);
        }
        let to = self.route(&fields.receiver, bytes)?;
        let free = self.is_free_reply(&fields, &to);
        if !free {
            self.pay(now, to.len() as u64)?;
        }
        let message = fields.seal();
        self.keep_request(&message)?;
        self.reply_is_free &= !free;
        self.note(message, to);
        Ok(())
    }

    fn note(&mut self, message: Message, to: Vec<Destination>) {
        for destination in &to {
            if let Destination::Agent(id) = destination {
                let sum = self.on_its_way.entry(*id).or_default();
                *sum = (sum.0 + 1, sum.1.saturating_add(message.bytes()));
            }
        }
        self.effects.sent.push(Sent { message, to });
    }

    fn pay(&mut self, now: Timestamp, count: u64) -> Result<(), HostCode> {
        let rate = self.limit(LimitName::MessagesPerSecond);
        self.bucket.refill(rate, now);
        let paid = self.bucket.take(rate, count);
        self.effects.message_tokens = self.bucket.tokens;
        self.effects.message_tokens_at = self.bucket.at;
        if paid {
            Ok(())
        } else {
            Err(HostCode::RateLimited)
        }
    }

    /// Whether this is the first answer to the request being handled.
    fn is_free_reply(&self, fields: &Fields, to: &[Destination]) -> bool {
        let Some(input) = self.input.as_ref().filter(|_| self.reply_is_free) else {
            return false;
        };
        let answers = match (&fields.in_reply_to, &input.reply_with) {
            (Some(given), Some(asked)) => given == asked,
            (Some(_), None) => false,
            (None, _) => {
                fields.conversation_id.is_some() && fields.conversation_id == input.conversation_id
            }
        };
        answers
            && matches!(to, [one] if *one == host_message::answer_destination(&self.directory, input).1)
    }

    /// `broadcast_message`: how many agents it reached.
    ///
    /// Bounds: 1,000 receivers, and as many as the rate has tokens for; those whose mailbox is full
    /// are passed over and not counted.
    pub fn broadcast(
        &mut self,
        now: Timestamp,
        filter: &[u8],
        json: &[u8],
    ) -> Result<u32, HostCode> {
        let filter = broadcast::parse_filter(filter)?;
        let fields = self.parse_to(json, "*")?;
        if broadcast::claims_event(&fields) {
            return Err(HostCode::Denied);
        }
        let sender = self.directory.get(self.spec.id);
        let mut fit = broadcast::receivers(
            &self.directory,
            &self.spec,
            sender.as_ref(),
            &filter,
            &fields,
            &self.work,
        );
        fit.retain(|listing| self.may_send_to(listing, By::Name).allows());
        self.spread(now, fields, json.len() as u64, fit)
    }

    /// Sends one message to many; how many it reached.
    pub(crate) fn spread(
        &mut self,
        now: Timestamp,
        mut fields: Fields,
        bytes: u64,
        mut fit: Vec<Arc<Listing>>,
    ) -> Result<u32, HostCode> {
        fields.sender = self.spec.name.shared();
        if fit.is_empty() {
            return Ok(0);
        }
        fit.retain(|listing| self.takes(listing, bytes).is_ok());
        if fit.is_empty() {
            return Err(HostCode::QueueFull);
        }
        fit.truncate(broadcast::RECEIVERS_MAX);
        let mut count = fit.len();
        while self.pay(now, count as u64).is_err() {
            if count == 1 {
                return Err(HostCode::RateLimited);
            }
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "tokens lie between 0 and 1,000 here"
            )]
            let affordable = self.bucket.tokens as usize;
            count = affordable.clamp(1, count - 1);
        }
        let to = fit.iter().take(count);
        let to = to
            .map(|listing| Destination::Agent(listing.spec.id))
            .collect();
        let message = fields.seal();
        self.keep_request(&message)?;
        self.note(message, to);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
    /// `subscribe_messages`: the subscription's id.
    pub fn subscribe(&mut self, filter: &[u8]) -> Result<i32, HostCode> {
        let filter = broadcast::parse_subscription(filter)?;
        if self.subscriptions.len() as u64 >= self.limit(LimitName::Subscriptions) {
            return Err(HostCode::QuotaReached);
        }
        let subscription = Subscription {
            id: self.next_subscription,
            filter,
            by_init: self.by_init,
        };
        self.keep_subscription(&subscription)?;
        let id = next_id(&mut self.next_subscription)?;
        self.subscriptions.insert(id);
        self.effects.subscribed.push(subscription);
        Ok(id)
    }
    /// `unsubscribe_messages`.
    pub fn unsubscribe(&mut self, id: i32) -> Result<(), HostCode> {
        if !self.subscriptions.remove(&id) {
            return Err(HostCode::NotFound);
        }
        let before = self.effects.subscribed.len();
        self.effects.subscribed.retain(|s| s.id != id);
        if self.effects.subscribed.len() == before {
            self.effects.unsubscribed.push(id);
        }
        Ok(())
    }
    /// `set_timer`: the timer's id.
    pub fn set_timer(&mut self, now: Timestamp, delay: Micros) -> Result<i32, HostCode> {
        if self.timers.len() as u64 >= self.limit(LimitName::Timers) {
            return Err(HostCode::QuotaReached);
        }
        let id = next_id(&mut self.next_timer)?;
        self.timers.insert(id);
        let due = now.after(delay);
        self.effects.timers_set.push(TimerSet { id, due });
        Ok(id)
    }
    /// `cancel_timer`.
    pub fn cancel_timer(&mut self, id: i32) -> Result<(), HostCode> {
        if !self.timers.remove(&id) {
            return Err(HostCode::NotFound);
        }
        let before = self.effects.timers_set.len();
        self.effects.timers_set.retain(|timer| timer.id != id);
        if self.effects.timers_set.len() == before {
            self.effects.timers_cancelled.push(id);
        }
        Ok(())
    }
    /// `register_capabilities`, and what `get_capabilities` returned.
    pub fn register_capabilities(&mut self, json: &[u8]) -> Result<(), HostCode> {
        if json.len() as u64 > self.limit(LimitName::MessageBytes) {
            return Err(HostCode::TooLarge);
        }
        let read = Capabilities::from_json(json).map_err(|error| match error {
            caxton_model::CapabilitiesError::TooMany { .. } => HostCode::QuotaReached,
            _ => HostCode::Malformed,
        })?;
        self.work.visit(read.services.len());
        check_descriptor(&read).map_err(|error| match error {
            TooLong::List { .. } => HostCode::QuotaReached,
            TooLong::Text { .. } | TooLong::Description { .. } => HostCode::TooLarge,
        })?;
        self.keep_descriptor(&read)?;
        self.effects.capabilities = Some(Arc::new(read));
        Ok(())
    }
    /// `random_u32`: the next of the turn's seeded numbers.
    ///
    /// Source: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    pub fn random_u32(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        u32::try_from(z >> 32).unwrap_or(0)
    }
    /// What the guest reads from a clock that shows this: in a turn that runs again after a crash, what
    /// it read the first time.
    pub fn read_clock(&mut self, at: Timestamp) -> Timestamp {
        let at = self.replay.clock_read().unwrap_or(at);
        if self.effects.clock_reads.len() < CLOCK_READS_MAX {
            self.effects.clock_reads.push(at);
        }
        at
    }
    /// The readings of the clock from the one with this number on.
    pub(crate) fn clock_reads_from(&self, number: usize) -> &[Timestamp] {
        self.effects.clock_reads.get(number..).unwrap_or_default()
    }
    /// The seed of the turn's random numbers.
    pub(crate) const fn seed(&self) -> u64 {
        self.effects.seed
    }
    /// Counts what the node looked at for a call: an entry, and texts of so many bytes.
    pub fn visit(&self, bytes: usize) {
        self.work.visit(1 + bytes / BYTES_AN_ELEMENT);
    }
    /// Notes what the agent's own metrics take.
    pub(crate) const fn note_metrics(&mut self, bytes: u64) {
        self.effects.metric_bytes = Some(bytes);
    }
    /// What the turn wants done.
    #[must_use]
    pub fn finish(mut self) -> TurnEffects {
        self.effects.visited = self.work.visited();
        self.effects
    }
}

fn next_id(next: &mut i32) -> Result<i32, HostCode> {
    let id = *next;
    *next = id.checked_add(1).ok_or(HostCode::QuotaReached)?;
    Ok(id)
}
