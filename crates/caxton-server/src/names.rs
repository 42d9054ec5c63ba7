//! Names as a caller means them: within its namespace.

use caxton_kernel::{
    Listing, Refusal, Verb,
    border::{By, Principal, Target},
};
use caxton_model::{AgentId, AgentName, Destination, ErrorCode, Message, NameError, Namespace};
use caxton_node::Node;

use crate::{auth::Caller, refuse::Failure};

/// The agent a caller means by an id or a name, if it is the caller's to learn of.
///
/// A caller that ends at a namespace means its own by a bare name.
/// Errors: `not-found`, also for what belongs to others.
pub(crate) fn agent(node: &Node, caller: &Caller, text: &str) -> Result<Listing, Failure> {
    if let Some(listing) = known(node, caller, text) {
        return Ok(listing);
    }
    let near = near(node, caller, &qualified(caller, text));
    let shown: String = text.chars().take(100).collect();
    let text = format!("there is no agent `{shown}`{near}");
    Err(Refusal::new(ErrorCode::NotFound, text).into())
}

/// The same, where it may as well be a client's name that is meant.
pub(crate) fn known(node: &Node, caller: &Caller, text: &str) -> Option<Listing> {
    let listing = node.listing(&qualified(caller, text));
    listing.filter(|listing| caller.learns_of(&listing.spec.name))
}

/// A hint at a name like the one meant. There is none for names that lie outside.
fn near(node: &Node, caller: &Caller, meant: &str) -> String {
    let is_outside = |name: AgentName| !caller.learns_of(&name);
    if meant.parse().is_ok_and(is_outside) {
        return String::new();
    }
    let agents = node.agents();
    let names = agents.iter().map(|listing| &listing.spec.name);
    let known = names.filter(|name| caller.learns_of(name));
    caxton_model::nearest(meant, known.map(AgentName::as_str))
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
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

/// The name of a secret of the vault.
///
/// Errors: `invalid-name`, `reserved-name`.
pub(crate) fn secret(text: &str) -> Result<AgentName, Failure> {
    text.parse().map_err(|error| refused(&error))
}

/// The name under which a caller sends and gets replies.
///
/// Errors: `invalid-name`, `reserved-name`, `forbidden` for another's.
pub(crate) fn client(caller: &Caller, text: &str) -> Result<AgentName, Failure> {
    let name: AgentName = qualified(caller, text)
        .parse()
        .map_err(|error| refused(&error))?;
    if caller.may_do(Verb::AnswerFor, Target::Client(name.as_str())) {
        return Ok(name);
    }
    let name = within(caller, name)?;
    let own: Vec<String> = caller
        .clients
        .iter()
        .map(|client| format!("`{client}`"))
        .collect();
    let (token, own) = (&caller.name, own.join(", "));
    let detail = format!(
        "token `{token}` sends and reads as the client {own}; `{name}` needs the scope `operate`"
    );
    Err(Failure::new(ErrorCode::Forbidden, detail))
}

fn within(caller: &Caller, name: AgentName) -> Result<AgentName, Failure> {
    if caller.learns_of(&name) {
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

/// Whether what a party wrote or was sent is the caller's to see.
///
/// The party is a name or an id, as it is written in a message.
pub(crate) fn sees_party(node: &Node, caller: &Caller, party: &str) -> bool {
    caller.work.visit(1);
    if matches!(caller.principal(), Principal::Operator) {
        return true;
    }
    if let Some(listing) = node.listing(party) {
        let (name, by) = (listing.spec.name.as_str(), By::Name);
        return caller.may_do(Verb::See, Target::Agent { name, by });
    }
    match party.parse::<AgentName>() {
        Ok(name) => caller.may_do(Verb::See, Target::Client(name.as_str())),
        Err(_) => caller.may_do(Verb::See, Target::BuiltIn(party)),
    }
}

/// Whether a message is the caller's to see: it sent it, or it went to where the caller is.
pub(crate) fn sees_message(
    node: &Node,
    caller: &Caller,
    message: &Message,
    to: &[Destination],
) -> bool {
    caller.work.visit(1);
    matches!(caller.principal(), Principal::Operator)
        || sees_party(node, caller, &message.sender)
        || to.iter().any(|to| match to {
            Destination::Agent(id) => sees_party(node, caller, &id.to_string()),
            Destination::Client(name) => sees_party(node, caller, name),
            Destination::Dead { intended, code, .. } => sees_dead(node, caller, intended, *code),
        })
}

/// Whether a message that was not delivered is its receiver's to see: not if its sender had no
/// right to send it there. An id of another namespace is not found, as one that nobody has.
pub(crate) fn sees_dead(node: &Node, caller: &Caller, intended: &str, code: ErrorCode) -> bool {
    let is_reached = match code {
        ErrorCode::Denied | ErrorCode::Forbidden => false,
        ErrorCode::NotFound => AgentId::read(intended).is_none(),
        _ => true,
    };
    is_reached && sees_party(node, caller, intended)
}
