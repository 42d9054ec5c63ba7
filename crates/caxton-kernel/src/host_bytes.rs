//! What the host keeps on somebody's behalf stays within the owner's limit `host_bytes`.
//!
//! What an owner can take back is refused at the limit: requests that wait for an answer,
//! subscriptions, descriptors. For the rest the owner's oldest goes: first its lines in
//! conversations, then its dead letters. Nothing of another owner ever does.

use std::sync::Arc;

use caxton_model::{
    AgentId, Capabilities, DEAD_LETTERS_MAX, ErrorCode, HostCode, LimitName, Message, MessageKey,
    OPEN_REQUESTS_OF_AGENT, OPEN_REQUESTS_OF_CLIENT, Record, Subscription, capabilities_bytes,
    df_subscription_bytes, open_bytes, subscription_bytes,
};

use crate::{Directory, Effect, Kernel, NodeEvent, Refusal, TurnCtx, built_in::Reply};

/// What is made free at least when an owner's oldest goes, so that it is not done for each entry.
/// Unit: parts of the limit.
const SPARE_PARTS: u64 = 16;

/// An owner's limit; less where its namespace has more than its share. Unit: bytes.
fn limit_of(directory: &Directory, owner: &str, own: u64) -> u64 {
    // An owner may have an account on every shard.
    let cut = directory.host_shares().cut(owner);
    cut.map_or(own, |cut| {
        own.min(cut / u64::from(directory.shards()).max(1))
    })
}

/// Whether a request is one that is watched: it wants an answer by a certain time.
fn is_watched(message: &Message) -> bool {
    message.reply_by.is_some() && message.reply_with.is_some() && !message.performative.concludes()
}

fn exceeded(what: &str, owner: &str, used: u64, limit: u64) -> Refusal {
    let text = format!(
        "{what} would take what the host keeps for `{owner}` from {used} to more than its limit \
         `host_bytes` of {limit} bytes"
    );
    Refusal::new(ErrorCode::HostBytesLimit, text)
}

impl Kernel {
    /// The limit `host_bytes` of an agent or client.
    pub(crate) fn host_limit(&self, owner: &str) -> u64 {
        let own = self.directory.host_bytes_of(owner);
        limit_of(&self.directory, owner, own)
    }

    /// Lets the oldest go of all whose namespace has more than its share. Whoever adds something is
    /// looked at then; this is for those who only have it.
    ///
    /// Cost: a look at every account.
    pub(crate) fn trim_host_bytes(&mut self) {
        let shares = self.directory.host_shares();
        let accounts = self.state.ledger.accounts();
        let owners = accounts.filter(|(owner, _)| shares.cut(owner).is_some());
        let mut owners: Vec<Arc<str>> = owners.map(|(owner, _)| Arc::clone(owner)).collect();
        owners.sort_unstable();
        for owner in owners {
            self.look_at_account(&owner);
        }
    }

    /// What an owner holds that only it can take back.
    fn fixed(&self, owner: &str) -> u64 {
        let account = self.state.ledger.account(owner);
        account.map_or(0, caxton_model::Account::fixed)
    }

    /// Looks at an account that has changed, and lets the owner's oldest go where it is too large.
    pub(crate) fn look_at_account(&mut self, owner: &Arc<str>) {
        let limit = self.host_limit(owner);
        self.hold_to(owner, limit);
        let (before, now) = self.state.ledger.looked(owner, limit);
        self.directory.host_shares().change(owner, before, now);
    }

    /// Charges an agent for the metrics that its guest recorded in a turn.
    pub(crate) fn keep_metrics(&mut self, agent: AgentId, bytes: Option<u64>) {
        if let (Some(bytes), Some(agent)) = (bytes, self.state.agents.get(&agent)) {
            let name = agent.spec.name.as_shared();
            self.state.ledger.set_metrics(name, bytes);
        }
    }

    fn hold_to(&mut self, owner: &Arc<str>, limit: u64) {
        let ledger = &self.state.ledger;
        let Some(account) = ledger.account(owner) else {
            return;
        };
        let letters = if self.state.dead.len() > DEAD_LETTERS_MAX {
            DEAD_LETTERS_MAX / ledger.len().max(1)
        } else {
            usize::MAX
        };
        if account.used() > limit || account.letters() > letters {
            let aim = limit - limit / SPARE_PARTS;
            let others = account.used() - account.line_bytes();
            self.state.drop_lines(owner, aim.saturating_sub(others), 0);
            let gone = self.state.oldest_letters(owner, aim, letters);
            self.drop_letters(owner, gone);
        }
    }

    fn drop_letters(&mut self, owner: &Arc<str>, keys: Vec<MessageKey>) {
        let Ok(letters) = u32::try_from(keys.len()) else {
            return;
        };
        if letters == 0 {
            return;
        }
        let sent = Vec::new();
        self.commit(Record::DeadLettersTaken { keys, sent }, true);
        self.effects.push(Effect::Publish(NodeEvent::HostBytes {
            at: self.now,
            owner: Arc::clone(owner),
            letters,
        }));
    }

    /// Whether a client may have one more request watched.
    pub(crate) fn may_open(&self, message: &Message) -> Result<(), Refusal> {
        if !is_watched(message) {
            return Ok(());
        }
        let owner = &message.sender;
        let open = self
            .state
            .ledger
            .account(owner)
            .map_or(0, |account| account.open());
        if open >= OPEN_REQUESTS_OF_CLIENT {
            let text = format!(
                "{open} requests of `{owner}` wait for an answer by their `reply_by`, the most there \
                 may be; wait for answers, or leave `reply_by` out"
            );
            return Err(Refusal::new(ErrorCode::HostBytesLimit, text));
        }
        let (used, limit) = (self.fixed(owner), self.host_limit(owner));
        if used + open_bytes(message) > limit {
            return Err(exceeded("this request", owner, used, limit));
        }
        Ok(())
    }

    /// Whether an agent may have this descriptor in place of its last one.
    pub(crate) fn may_register(
        &self,
        owner: &str,
        before: Option<&Capabilities>,
        after: Option<&Capabilities>,
    ) -> Result<(), Refusal> {
        let bytes = |one: Option<&Capabilities>| one.map_or(0, capabilities_bytes);
        let (used, limit) = (self.fixed(owner), self.host_limit(owner));
        let (before, after) = (bytes(before), bytes(after));
        if after > before && used.saturating_sub(before) + after > limit {
            return Err(exceeded("this descriptor", owner, used, limit));
        }
        Ok(())
    }

    /// What a request to one of the host's own agents comes to, if its asker has room for what it
    /// asks to be kept; else its refusal.
    pub(crate) fn afford(&self, message: &Message, reply: Reply) -> Reply {
        if reply.subscribed.is_empty() && reply.capabilities.is_none() {
            return reply;
        }
        let owner = &message.sender;
        let (used, limit) = (self.fixed(owner), self.host_limit(owner));
        let subscribed: u64 = reply.subscribed.iter().map(df_subscription_bytes).sum();
        if subscribed > 0 && used + subscribed > limit {
            let refusal = exceeded("this subscription", owner, used, limit);
            return Reply::refuse(refusal.code.as_str(), refusal.text);
        }
        if let Some((agent, after)) = &reply.capabilities {
            let state = self.state.agents.get(agent);
            let before = state.and_then(|agent| agent.capabilities.as_deref());
            if let Err(refusal) = self.may_register(owner, before, after.as_deref()) {
                return Reply::refuse(refusal.code.as_str(), refusal.text);
            }
        }
        reply
    }
}

/// What is kept for an agent that it alone can take back, as its turn sees it.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    /// Without the descriptor. Unit: bytes.
    bytes: u64,
    descriptor: u64,
    /// The agent's own metrics, a part of `bytes`.
    metrics: u64,
    open: u32,
}

impl Fixed {
    /// As a turn begins. What an init sets replaces what the one before set.
    pub(crate) fn of(
        ledger: &caxton_model::Ledger,
        state: Option<&caxton_model::AgentState>,
        by_init: bool,
    ) -> Self {
        let account = state.and_then(|agent| ledger.account(agent.spec.name.as_str()));
        let (Some(agent), Some(account)) = (state, account) else {
            return Self::default();
        };
        let descriptor = agent.capabilities.as_deref().map_or(0, capabilities_bytes);
        let replaced = agent.subscriptions.iter().filter(|s| by_init && s.by_init);
        let replaced: u64 = replaced.map(subscription_bytes).sum();
        Self {
            bytes: account.fixed().saturating_sub(descriptor + replaced),
            descriptor,
            metrics: account.metrics(),
            open: account.open(),
        }
    }
}

impl TurnCtx {
    fn host_room(&self) -> u64 {
        let own = self.spec.limits.get(LimitName::HostBytes);
        let name = self.spec.name.as_str();
        limit_of(&self.directory, name, own)
    }
    fn keep(&mut self, bytes: u64, descriptor: u64) -> Result<(), HostCode> {
        let after = self.fixed.bytes + bytes + descriptor;
        if after > self.host_room() && bytes + descriptor > self.fixed.descriptor {
            return Err(HostCode::QuotaReached);
        }
        self.fixed.bytes += bytes;
        self.fixed.descriptor = descriptor;
        Ok(())
    }
    /// Takes account of a message that may have to be watched until it is answered.
    pub(crate) fn keep_request(&mut self, message: &Message) -> Result<(), HostCode> {
        if !is_watched(message) {
            return Ok(());
        }
        if self.fixed.open >= OPEN_REQUESTS_OF_AGENT {
            return Err(HostCode::QuotaReached);
        }
        self.keep(open_bytes(message), self.fixed.descriptor)?;
        self.fixed.open += 1;
        Ok(())
    }
    /// Takes account of a subscription to broadcasts.
    pub(crate) fn keep_subscription(&mut self, new: &Subscription) -> Result<(), HostCode> {
        self.keep(subscription_bytes(new), self.fixed.descriptor)
    }
    /// Takes account of one more of the agent's own metrics, with which all of them take so much.
    ///
    /// Errors: `QuotaReached` at the limit `host_bytes`.
    pub fn keep_metrics(&mut self, all: u64) -> Result<(), HostCode> {
        let more = all.saturating_sub(self.fixed.metrics);
        self.keep(more, self.fixed.descriptor)?;
        self.fixed.metrics = all;
        self.note_metrics(all);
        Ok(())
    }
    /// Takes account of a descriptor in place of the last one.
    pub(crate) fn keep_descriptor(&mut self, new: &Capabilities) -> Result<(), HostCode> {
        self.keep(0, capabilities_bytes(new))
    }
}
