//! From a receiver as written to who it is.

use caxton_model::{AgentId, is_reserved_name};

use crate::{
    Directory, Listing, Verb, Verdict,
    border::{By, Principal, Target, decide},
};

/// Who a receiver's text names.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// One of the host's own agents.
    BuiltIn(AgentId),
    /// An agent of this node, and what was asked of its entry.
    Agent(T),
    /// An address on another node.
    Remote,
    /// No agent, or none that the sender may learn of: perhaps an outside client.
    Nobody,
    /// The sender may not write there, whether anybody is there or not.
    Denied,
}

/// What a receiver's text can name at all.
pub(crate) enum Address {
    /// One of the host's own agents.
    BuiltIn(AgentId),
    /// An address on another node.
    Remote,
    /// An agent or a client of this node.
    Here,
}

/// Reads a receiver's text, without looking whether anybody is there.
pub(crate) fn address(text: &str) -> Address {
    if let Some(id) = built_in(text) {
        return Address::BuiltIn(id);
    }
    if text.contains('@') {
        return Address::Remote;
    }
    Address::Here
}

/// The host's own agent of that name or id.
pub(crate) fn built_in(text: &str) -> Option<AgentId> {
    match text {
        "ams" => Some(AgentId::AMS),
        "df" => Some(AgentId::DF),
        _ => AgentId::read(text).filter(|id| is_built_in(*id)),
    }
}

/// The name of one of the host's own agents.
pub(crate) const fn built_in_name(id: AgentId) -> &'static str {
    if id.0 == AgentId::AMS.0 { "ams" } else { "df" }
}

/// Looks up whom `who` may write to; `at` looks at the entry where it stands, under the directory's
/// lock. A name is judged before it is looked up, so that the answer does not tell who is there.
pub(crate) fn find<T>(
    directory: &Directory,
    who: Principal<'_>,
    text: &str,
    at: impl FnOnce(&Listing) -> T,
) -> Found<T> {
    let verdict = |target| decide(who, Verb::Address, target);
    match address(text) {
        Address::BuiltIn(id) => match verdict(Target::BuiltIn(built_in_name(id))) {
            Verdict::Allow => Found::BuiltIn(id),
            Verdict::Deny | Verdict::Absent => Found::Denied,
        },
        Address::Remote => Found::Remote,
        Address::Here => match AgentId::read(text) {
            Some(id) => {
                let Some(listing) = directory.get(id) else {
                    return Found::Nobody;
                };
                let (name, by) = (listing.spec.name.as_str(), By::Id);
                match verdict(Target::Agent { name, by }) {
                    Verdict::Allow => Found::Agent(at(&listing)),
                    Verdict::Deny => Found::Denied,
                    Verdict::Absent => Found::Nobody,
                }
            }
            None => match verdict(Target::Agent {
                name: text,
                by: By::Name,
            }) {
                Verdict::Allow => directory.look(text, at).map_or(Found::Nobody, Found::Agent),
                Verdict::Deny | Verdict::Absent => Found::Denied,
            },
        },
    }
}

/// Whether a name can be a client's at all.
pub(crate) fn may_be_client(name: &str) -> bool {
    !is_reserved_name(name) && AgentId::read(name).is_none() && !name.contains('@')
}

/// Whether an id is one of the host's own agents'.
pub(crate) const fn is_built_in(id: AgentId) -> bool {
    id.0 == AgentId::AMS.0 || id.0 == AgentId::DF.0
}
