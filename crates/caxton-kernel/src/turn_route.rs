//! Whom a guest's message goes to, and what the guest is told where it can't go.

use std::sync::Arc;

use caxton_model::{Destination, ErrorCode, HostCode, LimitName, Receiver};

use crate::{
    Listing, TurnCtx,
    route::{self, Address},
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

    fn route_one(&self, name: &Arc<str>, bytes: u64) -> Result<Destination, HostCode> {
        match route::address(name) {
            Address::Remote => return Err(HostCode::Unavailable),
            Address::BuiltIn(id) => {
                let text = route::built_in_name(id);
                let may = self.wrote_to_us(text) || self.spec.grants.allows_message_to(text, true);
                return may
                    .then_some(Destination::Agent(id))
                    .ok_or(HostCode::Denied);
            }
            Address::Here => {}
        }
        let agent = self.directory.look(name, |listing| {
            if !self.may_send_to(listing) {
                return Err(HostCode::Denied);
            }
            self.takes(listing, bytes)?;
            Ok(Destination::Agent(listing.spec.id))
        });
        if let Some(agent) = agent {
            return agent;
        }
        let asked = self
            .input
            .as_ref()
            .is_some_and(|input| input.sender == *name || input.reply_to.as_ref() == Some(name));
        let known = asked || self.directory.knows_client(name);
        if known && route::may_be_client(name) {
            Ok(Destination::Client(Arc::clone(name)))
        } else {
            Err(HostCode::NotFound)
        }
    }

    /// To each that can be reached; the others' copies become dead letters.
    fn route_list(&self, names: &[Arc<str>], bytes: u64) -> Result<Vec<Destination>, HostCode> {
        let mut to = Vec::new();
        let mut refusal = None;
        for name in names {
            match self.route_one(name, bytes) {
                Ok(destination) if to.contains(&destination) => {}
                Ok(destination) => to.push(destination),
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

    fn route_capability(&self, name: &str, bytes: u64) -> Result<Destination, HostCode> {
        let others = |listing: &Listing| listing.spec.id != self.spec.id;
        let by_capability = format!("capability:{name}");
        let granted = |listing: &Listing| {
            self.may_send_to(listing)
                || (self.spec.grants.message_send.is_some()
                    && self.spec.grants.allows_message_to(&by_capability, false))
        };
        let fits = |listing: &Listing| {
            others(listing) && granted(listing) && self.takes(listing, bytes).is_ok()
        };
        if let Some(chosen) = self.directory.choose(name, fits) {
            return Ok(Destination::Agent(chosen.spec.id));
        }
        let offering = self.directory.offering(name);
        let mut rest = offering.iter().filter(|l| others(l)).peekable();
        if rest.peek().is_none() {
            return Err(HostCode::NotFound);
        }
        rest.find(|listing| granted(listing))
            .map_or(Err(HostCode::Denied), |listing| {
                Err(self
                    .takes(listing, bytes)
                    .err()
                    .unwrap_or(HostCode::QueueFull))
            })
    }

    fn wrote_to_us(&self, name: &str) -> bool {
        self.input
            .as_ref()
            .is_some_and(|input| &*input.sender == name)
    }

    pub(crate) fn may_send_to(&self, listing: &Listing) -> bool {
        let name = listing.spec.name.as_str();
        let same = listing.spec.name.namespace() == self.spec.name.namespace();
        listing.spec.id == self.spec.id
            || self.wrote_to_us(name)
            || self.spec.grants.allows_message_to(name, same)
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
