//! Names as a caller means them: within its namespace.

use caxton_kernel::{Listing, Refusal};
use caxton_model::{AgentId, AgentName, Destination, ErrorCode, Message, NameError, Namespace};
use caxton_node::Node;

use crate::{auth::Caller, refuse::Failure};

/// The agent a caller means by an id or a name, if it is the caller's to see.
///
/// A caller that ends at a namespace means its own by a bare name.
/// Errors: `not-found`, also for what belongs to others.
pub(crate) fn agent(node: &Node, caller: &Caller, text: &str) -> Result<Listing, Failure> {
    let listing = node.find(&qualified(caller, text));
    match listing {
        Ok(listing) if caller.sees(listing.spec.name.namespace()) => Ok(listing),
        Err(refusal) if caller.namespace.is_none() => Err(refusal.into()),
        _ => {
            let shown: String = text.chars().take(100).collect();
            Err(Refusal::new(ErrorCode::NotFound, format!("there is no agent `{shown}`")).into())
        }
    }
}

/// A name in its one form, with the caller's namespace where it has none of its own.
pub(crate) fn qualified(caller: &Caller, text: &str) -> String {
    if text.contains('/') {
        // The default namespace has a long and a short form; the directory knows the short one.
        return text
            .parse()
            .map_or_else(|_| text.to_owned(), |name: AgentName| name.to_string());
    }
    match &caller.namespace {
        Some(own) if !is_default(own) && text.parse::<AgentId>().is_err() => {
            format!("{own}/{text}")
        }
        _ => text.to_owned(),
    }
}

fn is_default(namespace: &Namespace) -> bool {
    *namespace == Namespace::default()
}

fn refused(error: &NameError) -> Failure {
    let code = match error {
        NameError::Reserved { .. } => ErrorCode::ReservedName,
        _ => ErrorCode::InvalidName,
    };
    Failure::new(code, error.to_string())
}

/// The name a caller gives to a new agent.
///
/// Errors: `invalid-name`, `reserved-name`, `forbidden` in another's namespace.
pub(crate) fn new_agent(caller: &Caller, text: &str) -> Result<AgentName, Failure> {
    let name: AgentName = qualified(caller, text)
        .parse()
        .map_err(|error| refused(&error))?;
    within(caller, name)
}

/// The name under which a caller sends and gets replies.
///
/// Errors: `invalid-name`, `reserved-name`, `forbidden` in another's namespace.
pub(crate) fn client(caller: &Caller, text: &str) -> Result<AgentName, Failure> {
    let name: AgentName = qualified(caller, text)
        .parse()
        .map_err(|error| refused(&error))?;
    within(caller, name)
}

fn within(caller: &Caller, name: AgentName) -> Result<AgentName, Failure> {
    if caller.sees(name.namespace()) {
        return Ok(name);
    }
    let own = caller
        .namespace
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let detail = format!(
        "token `{}` ends at the namespace `{own}`; `{name}` lies outside",
        caller.name
    );
    Err(Failure::new(ErrorCode::Forbidden, detail))
}

/// Whether a name or an id, as written in a message, lies in what the caller may see.
pub(crate) fn sees_party(node: &Node, caller: &Caller, party: &str) -> bool {
    if caller.namespace.is_none() {
        return true;
    }
    if let Ok(listing) = node.find(party) {
        return caller.sees(listing.spec.name.namespace());
    }
    party
        .parse::<AgentName>()
        .is_ok_and(|name| caller.sees(name.namespace()))
}

/// Whether a message is the caller's to see: it sent it, or it went to where the caller is.
pub(crate) fn sees_message(
    node: &Node,
    caller: &Caller,
    message: &Message,
    to: &[Destination],
) -> bool {
    caller.namespace.is_none()
        || sees_party(node, caller, &message.sender)
        || to.iter().any(|to| match to {
            Destination::Agent(id) => sees_party(node, caller, &id.to_string()),
            Destination::Client(name) => sees_party(node, caller, name),
            Destination::Dead { intended, .. } => sees_party(node, caller, intended),
        })
}
