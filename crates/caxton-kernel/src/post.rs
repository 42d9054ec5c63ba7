//! A message from outside: checked, told from a retry, routed, recorded, acknowledged.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use caxton_model::{
    Destination, ErrorCode, IdVerdict, LimitName, Message, MessageKey, Micros, Namespace, RawJson,
    Receiver, Record, SPENT_IDS_MAX, Sent,
    planted::{Planted, is_planted},
};

use crate::{
    Done, Kernel, Listing, Post, Reach, Refusal, Ticket, Verb,
    border::{By, Client, Principal, Target, decide},
    broadcast::{EVENT_PROTOCOL, claims_event},
    deploy::shutting_down,
    mailbox::{not_running, queue_full},
    route::{self, Found},
    turn_route::destination_key,
};

/// How long a client's message id makes a retry harmless. Unit: 24 hours.
const POST_ID_KEPT: Micros = Micros::secs(24 * 3600);

/// The field in which the host's own agents find the namespace a client's token ends at.
pub(crate) const NAMESPACE_FIELD: &str = "namespace";

/// What stands in it where the token ends at no namespace.
pub(crate) const EVERYWHERE: &str = "*";

impl Kernel {
    pub(crate) fn post(&mut self, ticket: Ticket, post: Post, wait: Option<Micros>) {
        let answer = self.try_post(post, wait);
        self.answer(ticket, answer);
    }

    fn try_post(&mut self, post: Post, wait: Option<Micros>) -> Result<Done, Refusal> {
        if self.quiesced {
            return Err(shutting_down());
        }
        let Post {
            client, message_id, ..
        } = &post;
        if !route::may_be_client(client) || self.directory.has_name(client) {
            let text = format!("`{client}` is an agent's or a reserved name; send under another");
            return Err(Refusal::new(ErrorCode::ReservedName, text));
        }
        let message = self.complete(&post);
        if claims_event(&message) {
            let text = format!(
                "a message with the protocol `{EVENT_PROTOCOL}` and an ontology is an event, and only agents emit events; leave one of the two out"
            );
            return Err(Refusal::new(ErrorCode::MalformedMessage, text));
        }
        if let Some(seen) = message_id
            .as_ref()
            .and_then(|id| self.seen_before(&post, id, &message))
            .filter(|_| !is_planted(Planted::SkipDedupe))
        {
            return seen;
        }
        self.client_work
            .check_post(self.now, client, &message.receiver)?;
        self.may_open(&message)?;
        let to = self.route_post(&post, &message)?;
        let lives_on =
            |to: &Destination| matches!(to, Destination::Agent(id) if self.is_durable(*id));
        let reached = |to: &&Destination| !matches!(to, Destination::Dead { .. });
        let deliveries = to.iter().filter(reached).count();
        let (any, all) = (
            to.iter().any(lives_on),
            to.iter().filter(reached).all(lives_on),
        );
        self.directory.know_client(client, self.now);
        let asked = self.directory.asked(&message, &to);
        self.awaited.note(self.now, &message, asked, wait);
        let sent = vec![Sent {
            message: message.clone(),
            to,
        }];
        let key = self.commit(
            Record::Posted {
                client: Arc::clone(client),
                message_id: message_id.clone(),
                sent,
            },
            any,
        );
        let durable = all && self.options.journal;
        if let Some(id) = message_id
            && let Some(seen) = self
                .state
                .posts
                .get_mut(&(Arc::clone(client), Arc::clone(id)))
        {
            // The other shards' receivers are known here, not where the record is applied.
            seen.durable = durable;
        }
        Ok(Done::Posted {
            key,
            message,
            deliveries: u32::try_from(deliveries).unwrap_or(u32::MAX),
            durable,
            duplicate: false,
        })
    }

    /// The first answer once more, if this client used this id before; a refusal if it used it for
    /// another message.
    fn seen_before(
        &self,
        post: &Post,
        id: &Arc<str>,
        message: &Message,
    ) -> Option<Result<Done, Refusal>> {
        let client = &post.client;
        let known = self.state.posts.get(&(Arc::clone(client), Arc::clone(id)));
        let Some(seen) = known else {
            return self.spent_before(client, id).map(Err);
        };
        if self.now.since(seen.at) >= POST_ID_KEPT {
            let text = format!("message id `{id}` was used at {}", self.to_wall(seen.at));
            return Some(Err(Refusal::new(ErrorCode::DuplicateMessage, text)));
        }
        if !is_retry(post, message, &seen.message) {
            let text = format!(
                "message id `{id}` belongs to {}, a {} to {}, and this {} to {} is another message",
                seen.key,
                seen.message.performative,
                written(&seen.message.receiver),
                message.performative,
                written(&message.receiver)
            );
            return Some(Err(Refusal::new(ErrorCode::DuplicateMessage, text)));
        }
        let deliveries = match &seen.message.receiver {
            Receiver::List(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
            _ => 1,
        };
        Some(Ok(Done::Posted {
            key: seen.key,
            message: seen.message.clone(),
            deliveries,
            durable: seen.durable,
            duplicate: true,
        }))
    }

    /// The refusal of an id that is not known in full any more, or could not be told from such a one
    /// later.
    fn spent_before(&self, client: &str, id: &str) -> Option<Refusal> {
        let places = SPENT_IDS_MAX / usize::from(self.directory.shards());
        let text = match self.state.spent.judge(client, id, self.now, places) {
            IdVerdict::New => return None,
            IdVerdict::Spent => {
                format!("message id `{id}` was used, too many ids or more than {POST_ID_KEPT} ago")
            }
            IdVerdict::TooOld => format!(
                "message id `{id}` carries a time from which ids are forgotten: it may have been used"
            ),
            IdVerdict::NoRoom => format!(
                "message id `{id}` could not be remembered: there is room for {SPENT_IDS_MAX} old \
                 ids a day that carry no time; use a UUID of version 7, or no id"
            ),
        };
        Some(Refusal::new(ErrorCode::DuplicateMessage, text))
    }

    /// The message as it travels: with its true sender, and with names to answer by.
    fn complete(&self, post: &Post) -> Message {
        let mut post = post.clone();
        post.fill_names(|| format!("c-{}-{}", self.options.shard, self.next_seq()).into());
        let mut fields = post.fields;
        fields.sender = Arc::clone(&post.client);
        let receivers = fields.receiver.names();
        if receivers.iter().any(|to| route::built_in(to).is_some()) {
            fields.extra.retain(|(name, _)| &**name != NAMESPACE_FIELD);
            let reach = post
                .namespace
                .as_ref()
                .map_or(EVERYWHERE, Namespace::as_str);
            let value = RawJson::from(&serde_json::Value::from(reach));
            fields.extra.push((NAMESPACE_FIELD.into(), value));
        }
        fields.seal()
    }

    fn route_post(&self, post: &Post, message: &Message) -> Result<Vec<Destination>, Refusal> {
        match &message.receiver {
            Receiver::One(name) => Ok(vec![self.route_post_to(post, name, message.bytes())?]),
            Receiver::Capability(name) => {
                Ok(vec![self.route_post_by(post, name, message.bytes())?])
            }
            Receiver::List(names) => {
                let mut to = Vec::with_capacity(names.len());
                let (mut known, mut first) = (HashSet::with_capacity(names.len()), None);
                self.work.visit(names.len());
                for name in names {
                    match self.route_post_to(post, name, message.bytes()) {
                        Ok(found) => {
                            if known.insert(destination_key(&found)) {
                                to.push(found);
                            }
                        }
                        Err(refusal) => {
                            to.push(Destination::Dead {
                                intended: Arc::clone(name),
                                code: refusal.code,
                                reason: refusal.text.clone(),
                            });
                            first.get_or_insert(refusal);
                        }
                    }
                }
                let reached = to.iter().any(|d| !matches!(d, Destination::Dead { .. }));
                match first {
                    Some(refusal) if !reached => Err(refusal),
                    _ => Ok(to),
                }
            }
        }
    }

    fn route_post_to(&self, post: &Post, name: &str, bytes: u64) -> Result<Destination, Refusal> {
        let reaches = |listing: &Listing| {
            takes(listing, bytes)?;
            Ok(Destination::Agent(listing.spec.id))
        };
        match route::find(&self.directory, principal(post), name, reaches) {
            Found::BuiltIn(id) => Ok(Destination::Agent(id)),
            Found::Denied => Err(outside(post, name)),
            Found::Remote => Err(Refusal::new(
                ErrorCode::RemoteAddress,
                format!("`{name}` is an address on another node; this node has no peers"),
            )),
            Found::Nobody => Err(Refusal::new(
                ErrorCode::NotFound,
                format!("there is no agent `{name}`"),
            )),
            Found::Agent(reached) => reached,
        }
    }

    fn route_post_by(
        &self,
        post: &Post,
        capability: &str,
        bytes: u64,
    ) -> Result<Destination, Refusal> {
        let may = |listing: &Listing| {
            let (name, by) = (listing.spec.name.as_str(), By::Capability(capability));
            decide(principal(post), Verb::Address, Target::Agent { name, by }).allows()
        };
        let fits = |listing: &Listing| may(listing) && takes(listing, bytes).is_ok();
        if let Some(listing) = self.directory.choose(capability, fits) {
            return Ok(Destination::Agent(listing.spec.id));
        }
        let offering = self.directory.offering(capability);
        let mut reachable = offering.iter().filter(|listing| may(listing));
        match reachable.next().map(|listing| takes(listing, bytes)) {
            Some(Err(refusal)) => Err(refusal),
            _ => Err(Refusal::new(
                ErrorCode::NoCapability,
                format!("no agent offers `{capability}`"),
            )),
        }
    }

    /// Dead letters are deleted or, with `resend`, sent again to whom they were for.
    pub(crate) fn take_dead_letters(
        &mut self,
        ticket: Ticket,
        keys: &[MessageKey],
        resend: Option<&Reach>,
    ) {
        let (mut taken, mut known) = (Vec::new(), BTreeSet::new());
        let mut sent = Vec::new();
        self.work.visit(keys.len());
        for key in keys {
            let Some(letter) = self.state.dead.get(key) else {
                continue;
            };
            if !known.insert(*key) {
                continue;
            }
            if let Some(reach) = resend {
                let bytes = letter.message.bytes();
                let Some(to) = self.route_again(reach, &letter.intended, bytes) else {
                    continue;
                };
                sent.push(Sent {
                    message: letter.message.clone(),
                    to: vec![to],
                });
            }
            taken.push(*key);
        }
        let count = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        if count > 0 {
            let keys = taken;
            self.commit(Record::DeadLettersTaken { keys, sent }, true);
        }
        self.answer(ticket, Ok(Done::DeadLetters { taken: count }));
    }

    fn route_again(&self, reach: &Reach, intended: &Arc<str>, bytes: u64) -> Option<Destination> {
        let who = Principal::Client(Client {
            name: "",
            namespace: reach.0.as_ref().map(Namespace::as_str),
        });
        let reaches = |listing: &Listing| {
            let id = listing.spec.id;
            takes(listing, bytes).ok().map(|()| Destination::Agent(id))
        };
        match route::find(&self.directory, who, intended, reaches) {
            Found::BuiltIn(id) => Some(Destination::Agent(id)),
            Found::Agent(reached) => reached,
            Found::Nobody if self.directory.knows_client(intended) => {
                Some(Destination::Client(Arc::clone(intended)))
            }
            Found::Remote | Found::Nobody | Found::Denied => None,
        }
    }
}

/// Who posts, as the border sees it.
fn principal(post: &Post) -> Principal<'_> {
    Principal::Client(Client {
        name: &post.client,
        namespace: post.namespace.as_ref().map(Namespace::as_str),
    })
}

/// The refusal of a name outside the token's namespace.
fn outside(post: &Post, name: &str) -> Refusal {
    let own = post
        .namespace
        .as_ref()
        .map_or(EVERYWHERE, Namespace::as_str);
    let text = format!("`{name}` is outside the namespace `{own}` of your token");
    Refusal::new(ErrorCode::Forbidden, text)
}

/// Whether a message is the one that was kept for retries under its id.
fn is_retry(post: &Post, message: &Message, kept: &Message) -> bool {
    // A version that kept no digest left nothing to compare.
    if kept.content == RawJson::default() {
        return true;
    }
    let mut again = message.for_retry().fields().clone();
    again.sender = Arc::clone(&kept.sender);
    // Names that the client did not give are no part of what it asks for.
    let by_id = post.name_by_id();
    if again.reply_with == by_id {
        again.reply_with.clone_from(&kept.reply_with);
    }
    if again.conversation_id == by_id {
        again.conversation_id.clone_from(&kept.conversation_id);
    }
    again == *kept.fields()
}

/// The receiver as an error shows it.
fn written(receiver: &Receiver) -> String {
    match receiver {
        Receiver::One(name) => format!("`{name}`"),
        Receiver::List(names) => format!("{} receivers", names.len()),
        Receiver::Capability(name) => format!("an agent that offers `{name}`"),
    }
}

fn takes(listing: &Listing, bytes: u64) -> Result<(), Refusal> {
    let name = listing.spec.name.as_str();
    if !listing.status.takes_messages() {
        return Err(not_running(name, listing.status));
    }
    let most = listing.spec.limits.get(LimitName::MessageBytes);
    if bytes > most {
        let text = format!("`{name}` takes messages of at most {most} bytes; this has {bytes}");
        return Err(Refusal::new(ErrorCode::MessageTooLarge, text));
    }
    if listing.is_full_for(bytes) {
        let (messages, waiting) = (listing.gauge.messages(), listing.gauge.bytes());
        return Err(queue_full(name, u64::from(messages), waiting));
    }
    Ok(())
}
