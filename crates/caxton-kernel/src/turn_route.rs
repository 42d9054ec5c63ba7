//! Whom a guest's message goes to, and what the guest is told where it can't go.

use std::{collections::HashSet, sync::Arc};

use caxton_model::{AgentId, Destination, ErrorCode, HostCode, LimitName, Receiver};

use crate::{
    Listing, TurnCtx, Verb, Verdict,
    border::{Agent, By, Principal, Target, decide},
    route::{self, Found},
};

impl TurnCtx {
    pub(crate) fn route(
        &self,
        receiver: &Receiver,
        bytes: u64,
    ) -> Result<Vec<Destination>, HostCode> {
        match receiver {
            Receiver::One(name) => Ok(vec![self.route_one(name, bytes)?]),
            Receiver::Capability(name) => Ok(vec![self.route_capability(name, bytes)?]),
            Receiver::List(names) => self.route_list(names, bytes),
        }
    }

    /// The agent whose turn it is, as the border sees it.
    pub(crate) fn principal(&self) -> Principal<'_> {
        Principal::Agent(Agent {
            name: self.spec.name.as_str(),
            grants: &self.spec.grants,
            asker: self.input.as_ref().map(|input| &*input.sender),
            reply_to: self.reply_to.as_deref(),
        })
    }

    fn route_one(&self, name: &Arc<str>, bytes: u64) -> Result<Destination, HostCode> {
        let reaches = |listing: &Listing| {
            self.takes(listing, bytes)?;
            Ok(Destination::Agent(listing.spec.id))
        };
        match route::find(&self.directory, self.principal(), name, reaches) {
            Found::BuiltIn(id) => Ok(Destination::Agent(id)),
            Found::Agent(reached) => reached,
            Found::Remote => Err(HostCode::Unavailable),
            Found::Denied => Err(HostCode::Denied),
            Found::Nobody => {
                let asked = self.wrote_to_us(name) || self.reply_to.as_ref() == Some(name);
                let known = asked || self.directory.knows_client(name);
                if known && route::may_be_client(name) {
                    Ok(Destination::Client(Arc::clone(name)))
                } else {
                    Err(HostCode::NotFound)
                }
            }
        }
    }

    /// To each that can be reached; the others' copies become dead letters.
    fn route_list(&self, names: &[Arc<str>], bytes: u64) -> Result<Vec<Destination>, HostCode> {
        let mut to = Vec::with_capacity(names.len());
        let (mut known, mut refusal) = (HashSet::with_capacity(names.len()), None);
        self.work.visit(names.len());
        for name in names {
            match self.route_one(name, bytes) {
                Ok(destination) => {
                    if known.insert(destination_key(&destination)) {
                        to.push(destination);
                    }
                }
                Err(code) => {
                    refusal.get_or_insert(code);
                    to.push(Destination::Dead {
                        intended: Arc::clone(name),
                        code: error_code(code),
                        reason: format!("one of {} receivers: {}", names.len(), words(code)),
                    });
                }
            }
        }
        let reached = to.iter().any(|d| !matches!(d, Destination::Dead { .. }));
        match refusal {
            Some(code) if !reached => Err(code),
            _ => Ok(to),
        }
    }

    fn route_capability(&self, service: &str, bytes: u64) -> Result<Destination, HostCode> {
        let others = |listing: &Listing| listing.spec.id != self.spec.id;
        let verdict = |listing: &Listing| self.may_send_to(listing, By::Capability(service));
        let fits = |listing: &Listing| {
            others(listing) && verdict(listing).allows() && self.takes(listing, bytes).is_ok()
        };
        if let Some(chosen) = self.directory.choose(service, fits) {
            return Ok(Destination::Agent(chosen.spec.id));
        }
        let mut refusal = HostCode::NotFound;
        let offering = self.directory.offering(service);
        for listing in offering.iter().filter(|listing| others(listing)) {
            match verdict(listing) {
                Verdict::Allow => {
                    let full = self.takes(listing, bytes).err();
                    return Err(full.unwrap_or(HostCode::QueueFull));
                }
                Verdict::Deny => refusal = HostCode::Denied,
                Verdict::Absent => {}
            }
        }
        Err(refusal)
    }

    fn wrote_to_us(&self, name: &str) -> bool {
        self.input
            .as_ref()
            .is_some_and(|input| &*input.sender == name)
    }

    /// Whether this turn may send to an agent that it came by in that way.
    pub(crate) fn may_send_to(&self, listing: &Listing, by: By<'_>) -> Verdict {
        let name = listing.spec.name.as_str();
        decide(self.principal(), Verb::Address, Target::Agent { name, by })
    }

    pub(crate) fn takes(&self, listing: &Listing, bytes: u64) -> Result<(), HostCode> {
        if !listing.status.takes_messages() {
            return Err(HostCode::Unavailable);
        }
        let (messages, waiting) = self
            .on_its_way
            .get(&listing.spec.id)
            .copied()
            .unwrap_or_default();
        let limits = &listing.spec.limits;
        let full = u64::from(listing.gauge.messages()).saturating_add(messages)
            >= limits.get(LimitName::Mailbox)
            || listing
                .gauge
                .bytes()
                .saturating_add(waiting)
                .saturating_add(bytes)
                > limits.get(LimitName::MailboxBytes);
        if full {
            Err(HostCode::QueueFull)
        } else {
            Ok(())
        }
    }
}

/// What tells two destinations apart.
pub(crate) fn destination_key(to: &Destination) -> (Option<AgentId>, Option<Arc<str>>) {
    match to {
        Destination::Agent(id) => (Some(*id), None),
        Destination::Client(name) => (None, Some(Arc::clone(name))),
        Destination::Dead { intended, .. } => (None, Some(Arc::clone(intended))),
    }
}

const fn error_code(code: HostCode) -> ErrorCode {
    match code {
        HostCode::NotFound => ErrorCode::Undeliverable,
        HostCode::Malformed => ErrorCode::MalformedMessage,
        HostCode::Denied => ErrorCode::Denied,
        HostCode::TooLarge => ErrorCode::MessageTooLarge,
        HostCode::RateLimited => ErrorCode::MessageRateLimit,
        HostCode::QueueFull => ErrorCode::QueueFull,
        HostCode::QuotaReached => ErrorCode::NodeBudget,
        HostCode::Unavailable => ErrorCode::AgentStopped,
    }
}

const fn words(code: HostCode) -> &'static str {
    match code {
        HostCode::NotFound => "no agent or client has that name",
        HostCode::Denied => "the sender may not send there; `message:send` does not name it",
        HostCode::QueueFull => "its mailbox is full",
        HostCode::Unavailable => "it is stopped, failed, or on another node",
        _ => "it could not be sent",
    }
}
