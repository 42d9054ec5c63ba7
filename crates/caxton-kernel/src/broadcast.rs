//! Whom a broadcast reaches: filters over agents, and agents' own filters over broadcasts.

use std::sync::Arc;

use caxton_model::{
    AgentSpec, Fields, Filter, HostCode, JSON_DEPTH_MAX, Performative, glob, json_depth_exceeds,
};
use serde::Deserialize;

use crate::{Directory, Listing, bounds::TEXT_BYTES_MAX, offered::List, work::Work};

/// Agents one broadcast reaches at most.
///
/// Each is a delivery and a rate token; more is what `df` and a list are for.
pub(crate) const RECEIVERS_MAX: usize = 1_000;

/// Bytes of a filter.
///
/// It is kept as long as its subscription.
const FILTER_BYTES_MAX: usize = 8 * 1_024;

/// Capabilities one filter may name.
const FILTER_CAPABILITIES_MAX: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    capabilities: Vec<String>,
    performative: Option<Performative>,
    protocol: Option<String>,
    ontology: Option<String>,
    name: Option<String>,
}

/// Reads a filter: a JSON object; an unknown key is malformed, so is anything else.
pub(crate) fn parse_filter(json: &[u8]) -> Result<Filter, HostCode> {
    if json.len() > FILTER_BYTES_MAX {
        return Err(HostCode::TooLarge);
    }
    if json_depth_exceeds(json, JSON_DEPTH_MAX) {
        return Err(HostCode::Malformed);
    }
    let is_object = json.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    let read: Written = serde_json::from_slice(json).map_err(|_| HostCode::Malformed)?;
    if !is_object || read.capabilities.len() > FILTER_CAPABILITIES_MAX {
        return Err(HostCode::Malformed);
    }
    let others = [&read.protocol, &read.ontology, &read.name];
    let texts = read.capabilities.iter().chain(others.into_iter().flatten());
    if texts.map(String::len).max() > Some(TEXT_BYTES_MAX) {
        return Err(HostCode::TooLarge);
    }
    Ok(Filter {
        capabilities: read.capabilities,
        performative: read.performative,
        protocol: read.protocol,
        ontology: read.ontology,
        name: read.name,
    })
}

/// All that a broadcast is for, by id: agents of the sender's namespace, never the sender itself.
pub(crate) fn receivers(
    directory: &Directory,
    sender: &AgentSpec,
    listed: Option<&Listing>,
    filter: &Filter,
    message: &Fields,
    work: &Work,
) -> Vec<Arc<Listing>> {
    if !fits_message(filter, message) {
        return Vec::new();
    }
    let capabilities = filter.capabilities.iter().map(String::as_str);
    let mut found = directory.candidates(Some(sender.name.namespace()), capabilities, work);
    found.retain(|listing| {
        work.visit(filter.capabilities.len() + listing.subscriptions.len());
        listing.spec.id != sender.id
            && listing.spec.name.namespace() == sender.name.namespace()
            && listing.status.takes_messages()
            && fits_agent(filter, listing)
            && listing
                .capabilities
                .as_ref()
                .is_none_or(|c| c.accepts(message.performative))
            && wants(listing, sender, listed, message, work)
    });
    found
}

fn fits_message(filter: &Filter, message: &Fields) -> bool {
    let same = |wanted: &Option<String>, given: Option<&str>| {
        wanted.as_deref().is_none_or(|w| given == Some(w))
    };
    filter
        .performative
        .is_none_or(|p| p == message.performative)
        && same(&filter.protocol, message.protocol.as_deref())
        && same(&filter.ontology, message.ontology.as_deref())
}

fn fits_agent(filter: &Filter, listing: &Listing) -> bool {
    let knows = |wanted: &Option<String>, list: List| {
        wanted
            .as_ref()
            .is_none_or(|wanted| listing.offered.has(list, wanted))
    };
    filter.capabilities.iter().all(|name| listing.offers(name))
        && knows(&filter.protocol, List::Protocols)
        && knows(&filter.ontology, List::Ontologies)
        && fits_name(filter, listing.spec.name.as_str())
}

fn fits_name(filter: &Filter, name: &str) -> bool {
    filter.name.as_ref().is_none_or(|wanted| glob(wanted, name))
}

/// An agent with subscriptions hears only what fits one of them.
fn wants(
    receiver: &Listing,
    sender: &AgentSpec,
    listed: Option<&Listing>,
    message: &Fields,
    work: &Work,
) -> bool {
    receiver.subscriptions.is_empty()
        || receiver.subscriptions.iter().any(|subscription| {
            let filter = &subscription.filter;
            work.visit(filter.capabilities.len());
            fits_message(filter, message)
                && fits_name(filter, sender.name.as_str())
                && filter
                    .capabilities
                    .iter()
                    .all(|name| listed.is_some_and(|listing| listing.offers(name)))
        })
}
