//! Whom a broadcast or an event reaches: filters over agents, and agents' own filters over both.
//!
//! An event is an `inform` with a protocol of its own and its topic as ontology. A subscription to
//! topics is kept as the filter that selects just that.

use std::sync::Arc;

use caxton_model::{
    AgentSpec, Fields, Filter, HostCode, JSON_DEPTH_MAX, Performative, RawJson, Timestamp, glob,
    json_depth_exceeds,
};
use serde::Deserialize;

use crate::{Directory, Listing, TurnCtx, bounds::TEXT_BYTES_MAX, offered::List, work::Work};

/// The protocol of events, which only the host writes together with an ontology.
pub const EVENT_PROTOCOL: &str = "caxton-event";

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
    topic: Option<String>,
}

/// Whether a text names a topic, or with `stars` the topics that fit a pattern.
fn is_topic(text: &str, stars: bool) -> bool {
    let fits = |b: u8| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b) || (stars && b == b'*')
    };
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether a message says that it is an event. No guest and no client may write one.
pub(crate) fn claims_event(message: &Fields) -> bool {
    message.protocol.as_deref() == Some(EVENT_PROTOCOL) && message.ontology.is_some()
}

/// The topics that a subscription is for, if it is for any.
fn topics(filter: &Filter) -> Option<&str> {
    let is_event = filter.protocol.as_deref() == Some(EVENT_PROTOCOL);
    filter.ontology.as_deref().filter(|_| is_event)
}

/// The topics that the filter of a subscription asks for, before the agent may listen to them.
///
/// Errors: as `subscribe_messages`.
pub fn topics_of_filter(json: &[u8]) -> Result<Option<String>, HostCode> {
    Ok(topics(&parse_subscription(json)?).map(str::to_owned))
}

/// Reads the filter of a broadcast. It selects agents, so it has no topic.
pub(crate) fn parse_filter(json: &[u8]) -> Result<Filter, HostCode> {
    let filter = parse_subscription(json)?;
    match filter.protocol.as_deref() {
        Some(EVENT_PROTOCOL) => Err(HostCode::Malformed),
        _ => Ok(filter),
    }
}

/// Reads a filter: a JSON object; an unknown key is malformed, so is anything else.
pub(crate) fn parse_subscription(json: &[u8]) -> Result<Filter, HostCode> {
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
    let of_broadcasts = [&read.protocol, &read.ontology];
    if let Some(topic) = &read.topic {
        let mixed = read.performative.is_some() || of_broadcasts.into_iter().any(Option::is_some);
        if mixed || !is_topic(topic, true) {
            return Err(HostCode::Malformed);
        }
    } else if read.protocol.as_deref() == Some(EVENT_PROTOCOL) {
        return Err(HostCode::Malformed);
    }
    let others = [&read.protocol, &read.ontology, &read.name];
    let texts = read.capabilities.iter().chain(others.into_iter().flatten());
    if texts.map(String::len).max() > Some(TEXT_BYTES_MAX) {
        return Err(HostCode::TooLarge);
    }
    let protocol = match read.topic {
        Some(_) => Some(EVENT_PROTOCOL.to_owned()),
        None => read.protocol,
    };
    Ok(Filter {
        capabilities: read.capabilities,
        performative: read.performative,
        protocol,
        ontology: read.topic.or(read.ontology),
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
    let filters = receiver.subscriptions.iter().map(|s| &s.filter);
    let mut filters = filters.filter(|filter| topics(filter).is_none()).peekable();
    filters.peek().is_none()
        || filters.any(|filter| {
            fits_message(filter, message) && fits_sender(filter, sender, listed, work)
        })
}

/// Whether the sender is one that a subscription names.
fn fits_sender(filter: &Filter, sender: &AgentSpec, listed: Option<&Listing>, work: &Work) -> bool {
    work.visit(filter.capabilities.len());
    fits_name(filter, sender.name.as_str())
        && filter
            .capabilities
            .iter()
            .all(|name| listed.is_some_and(|listing| listing.offers(name)))
}

/// All that have subscribed to a topic, by id: agents of the emitter's namespace, never itself.
fn listeners(
    directory: &Directory,
    emitter: &AgentSpec,
    topic: &str,
    work: &Work,
) -> Vec<Arc<Listing>> {
    let listed = directory.get(emitter.id);
    let namespace = emitter.name.namespace();
    let mut found = directory.candidates(Some(namespace), [], work);
    found.retain(|listing| {
        work.visit(listing.subscriptions.len());
        let mut filters = listing.subscriptions.iter().map(|s| &s.filter);
        listing.spec.id != emitter.id
            && listing.spec.name.namespace() == namespace
            && listing.status.takes_messages()
            && filters.any(|filter| {
                topics(filter).is_some_and(|pattern| glob(pattern, topic))
                    && fits_sender(filter, emitter, listed.as_ref(), work)
            })
    });
    found
}

impl TurnCtx {
    /// `event_emit`: how many agents hear it. `may_hear` says whether one that has subscribed is
    /// still granted the topic.
    ///
    /// Bounds: as [`Self::broadcast`]; the event with all its fields has at most `message_bytes`.
    pub fn emit(
        &mut self,
        now: Timestamp,
        topic: &str,
        json: &[u8],
        may_hear: impl Fn(&Listing) -> bool,
    ) -> Result<u32, HostCode> {
        if !is_topic(topic, false) {
            return Err(HostCode::Malformed);
        }
        let content = std::str::from_utf8(json).map_err(|_| HostCode::Malformed)?;
        let content = RawJson::parse(content).map_err(|_| HostCode::Malformed)?;
        let event = format!(
            r#"{{"performative":"inform","receiver":"*","protocol":"{EVENT_PROTOCOL}","ontology":"{topic}","content":{}}}"#,
            content.as_str()
        );
        let fields = self.parse(event.as_bytes())?;
        let mut fit = listeners(&self.directory, &self.spec, topic, &self.work);
        fit.retain(|listing| may_hear(listing));
        self.spread(now, fields, event.len() as u64, fit)
    }
}
