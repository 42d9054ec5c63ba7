//! From a receiver as written to who it is.

use caxton_model::{AgentId, is_reserved_name};

use crate::{Directory, Listing};

/// Who a receiver's text names.
#[derive(Debug)]
pub(crate) enum Found {
    /// One of the host's own agents.
    BuiltIn(AgentId),
    /// An agent of this node.
    Agent(Box<Listing>),
    /// An address on another node.
    Remote,
    /// No agent: perhaps an outside client.
    Nobody,
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

/// Looks a receiver up.
pub(crate) fn find(directory: &Directory, text: &str) -> Found {
    match address(text) {
        Address::BuiltIn(id) => Found::BuiltIn(id),
        Address::Remote => Found::Remote,
        Address::Here => match directory.resolve(text) {
            Some(listing) => Found::Agent(Box::new(listing)),
            None => Found::Nobody,
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
