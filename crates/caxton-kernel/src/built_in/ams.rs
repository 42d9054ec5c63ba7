//! The agent management system: who is here, and in which state.
//!
//! Agents come and go by deploy and remove, so register, modify and deregister change little.
//!
//! Source: FIPA00023, "FIPA Agent Management Specification".

use caxton_model::{Message, Performative, glob};
use serde_json::{Value, json};

use super::{Asker, Reply, action, described_name, df::without_services, results_max};
use crate::{Kernel, Listing, bounds::Measure};

/// Answers one message.
pub(crate) fn answer(kernel: &Kernel, asker: &Asker, message: &Message) -> Reply {
    let content = message.content.value();
    match message.performative {
        Performative::Request => request(kernel, asker, &content),
        Performative::QueryRef => {
            let wanted = match action(&content) {
                Some((_, description)) => description.cloned().unwrap_or_default(),
                None => content.get("description").unwrap_or(&content).clone(),
            };
            search(kernel, asker, &wanted, results_max(&content))
        }
        other => Reply::not_understood(
            "unsupported-act",
            format!("`ams` answers request and query-ref, not `{other}`"),
        ),
    }
}

fn request(kernel: &Kernel, asker: &Asker, content: &Value) -> Reply {
    let Some((what, description)) = action(content) else {
        let text = "a request to `ams` needs the field `action`: search, get-description, register, \
                    modify or deregister";
        return Reply::not_understood("missing-argument", text);
    };
    let nothing = Value::Null;
    let description = description.unwrap_or(&nothing);
    let name = described_name(description);
    match what {
        "search" => search(kernel, asker, description, results_max(content)),
        "get-description" => get_description(kernel, asker, name),
        "register" => match name {
            None => Reply::not_understood("missing-parameter", "`description` needs a `name`"),
            Some(name) if asker.learns_of(name) && kernel.directory.has_name(name) => {
                Reply::failure("already-registered", format!("`{name}` is registered"))
            }
            Some(_) => Reply::refuse("unauthorised", "agents are registered by deploying them"),
        },
        "modify" | "deregister" => {
            let is_there = |name| {
                let listing = kernel.directory.resolve(name);
                listing.is_some_and(|listing| asker.is_shown(&listing))
            };
            if name.is_some_and(|name| !is_there(name)) {
                return Reply::failure("not-registered", "there is no such agent");
            }
            match &asker.agent {
                Some(listing) if asker.is_meant(name) => own(listing, what, content),
                _ => Reply::refuse("unauthorised", "an agent may change its own entry only"),
            }
        }
        other => Reply::not_understood(
            "unsupported-function",
            format!(
                "`ams` knows search, get-description, register, modify and deregister, not `{other}`"
            ),
        ),
    }
}

/// What an agent may do with its own entry: name and state are the node's, its services are not.
fn own(listing: &Listing, what: &str, content: &Value) -> Reply {
    if what == "modify" {
        let text = "an agent's name and state are the node's; services are changed at `df`";
        return Reply::refuse("unauthorised", text);
    }
    let after = without_services(listing.capabilities.as_deref());
    Reply {
        capabilities: Some((listing.spec.id, after)),
        ..Reply::done(content)
    }
}

fn get_description(kernel: &Kernel, asker: &Asker, name: Option<&str>) -> Reply {
    let Some(name) = name else {
        let node =
            json!({ "name": "caxton", "ap-services": [{ "name": "ams" }, { "name": "df" }] });
        return Reply::say(Performative::Inform, json!({ "result": node }));
    };
    match kernel.directory.resolve(name).filter(|l| asker.is_shown(l)) {
        Some(listing) => Reply::say(
            Performative::Inform,
            json!({ "result": describe(&listing) }),
        ),
        None => Reply::failure("not-registered", format!("there is no agent `{name}`")),
    }
}

fn describe(listing: &Listing) -> Value {
    let (name, id) = (listing.spec.name.as_str(), listing.spec.id.to_string());
    json!({ "name": name, "id": id, "state": listing.status, "addresses": [name, id] })
}

/// All agents that fit a description: `name` (a glob, or an id) and `state`.
fn search(kernel: &Kernel, asker: &Asker, description: &Value, most: usize) -> Reply {
    let name = described_name(description);
    if let Err(error) = Measure::default().text("name", name.unwrap_or_default()) {
        return Reply::not_understood("unrecognised-value", error.to_string());
    }
    let state = description.get("state");
    let candidates = kernel
        .directory
        .candidates(asker.namespace.as_ref(), [], &kernel.work);
    let fits = |listing: &Listing| {
        asker.is_shown(listing)
            && name.is_none_or(|wanted| {
                glob(wanted, listing.spec.name.as_str()) || wanted.parse() == Ok(listing.spec.id)
            })
    };
    let found = candidates.iter().filter(|listing| fits(listing));
    let entries = found.map(|listing| describe(listing));
    let found = entries
        .filter(|entry| state.is_none_or(|state| entry.get("state") == Some(state)))
        .take(most)
        .collect();
    Reply::result(found)
}
