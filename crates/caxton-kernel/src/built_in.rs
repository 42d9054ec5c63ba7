//! The host's own agents, `ams` and `df`: asked by FIPA messages, answered from the directory.
//!
//! They live on every shard: a request is worked on where its sender lives, so that what it changes
//! is that shard's own. A request stands in nobody's mailbox; it is held until the record that
//! answers it.

pub(crate) mod ams;
pub(crate) mod df;
pub(crate) mod template;
pub(crate) mod told;

use std::sync::Arc;

use caxton_model::{
    AgentId, Capabilities, DfSubscription, Message, MessageKey, Namespace, Performative, Record,
};
use serde_json::{Value, json};

use crate::{
    Kernel, Listing, Verb,
    border::{Agent, By, Client, Principal, Target, decide, namespace_of},
    host_message,
    post::{EVERYWHERE, NAMESPACE_FIELD},
    route,
};

/// What a request to one of them comes to.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) says: Vec<(Performative, Value)>,
    /// The requester's own registration, changed.
    pub(crate) capabilities: Option<(AgentId, Option<Arc<Capabilities>>)>,
    pub(crate) subscribed: Vec<DfSubscription>,
    pub(crate) cancelled: Vec<(Arc<str>, Arc<str>)>,
}

impl Reply {
    pub(crate) fn say(performative: Performative, content: Value) -> Self {
        Self {
            says: vec![(performative, content)],
            ..Self::default()
        }
    }
    pub(crate) fn done(what: &Value) -> Self {
        Self::say(Performative::Inform, json!({ "done": what }))
    }
    pub(crate) fn result(found: Vec<Value>) -> Self {
        Self::say(Performative::Inform, json!({ "result": found }))
    }
    pub(crate) fn failure(code: &str, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::say(
            Performative::Failure,
            json!({ "error": text, "code": code }),
        )
    }
    pub(crate) fn refuse(code: &str, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::say(Performative::Refuse, json!({ "error": text, "code": code }))
    }
    pub(crate) fn not_understood(code: &str, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::say(
            Performative::NotUnderstood,
            json!({ "error": text, "code": code }),
        )
    }
}

/// Who asks, and how far they may look.
#[derive(Debug)]
pub(crate) struct Asker {
    /// The requester, where it is an agent of this shard.
    pub(crate) agent: Option<Listing>,
    /// Its name.
    name: Arc<str>,
    /// Agents outside are not shown; `None`: all are.
    pub(crate) namespace: Option<Namespace>,
}

impl Asker {
    fn of(kernel: &Kernel, message: &Message) -> Self {
        let name = Arc::clone(&message.sender);
        if let Some(listing) = kernel.directory.resolve(&name) {
            let namespace = Some(listing.spec.name.namespace().clone());
            return Self {
                agent: Some(listing),
                name,
                namespace,
            };
        }
        let field = message
            .extra
            .iter()
            .find(|(name, _)| &**name == NAMESPACE_FIELD);
        let reach = field.and_then(|(_, value)| value.value().as_str().map(str::to_owned));
        // Who is not known to reach further sees its own namespace.
        let reach = reach.unwrap_or_else(|| namespace_of(&name).to_owned());
        let namespace = match &*reach {
            EVERYWHERE => None,
            own => Some(own.parse().unwrap_or_default()),
        };
        Self {
            agent: None,
            name,
            namespace,
        }
    }
    /// Whether the asker may be told that an agent of that name exists.
    pub(crate) fn learns_of(&self, name: &str) -> bool {
        let who = match &self.agent {
            Some(listing) => Principal::Agent(Agent {
                name: listing.spec.name.as_str(),
                grants: &listing.spec.grants,
                asker: None,
                reply_to: None,
            }),
            None => Principal::Client(Client {
                name: &self.name,
                namespace: self.namespace.as_ref().map(Namespace::as_str),
            }),
        };
        let by = By::Name;
        decide(who, Verb::LearnOf, Target::Agent { name, by }).allows()
    }
    /// Whether the asker may be told of an agent.
    pub(crate) fn is_shown(&self, listing: &Listing) -> bool {
        self.learns_of(listing.spec.name.as_str())
    }
    /// Whether a description names the asker itself, or nobody.
    pub(crate) fn is_meant(&self, name: Option<&str>) -> bool {
        self.agent.as_ref().is_some_and(|listing| {
            name.is_none_or(|name| {
                name == listing.spec.name.as_str() || name.parse() == Ok(listing.spec.id)
            })
        })
    }
}

impl Kernel {
    /// Answers a request to one of the host's own agents.
    pub(crate) fn built_in(
        &mut self,
        id: AgentId,
        request: MessageKey,
        message: &Message,
        durable: bool,
    ) {
        let (asker, begun) = (Asker::of(self, message), self.work.visited());
        let owing = match &asker.agent {
            Some(_) => None,
            None => self.client_work.check(self.now, &asker.name).err(),
        };
        let reply = match (message.performative, owing) {
            (performative, _) if performative.is_last_word() => self.unheard(id, message),
            (_, Some(refusal)) => Reply::refuse(refusal.code.as_str(), refusal.text),
            _ if id == AgentId::AMS => ams::answer(self, &asker, message),
            _ => df::answer(self, &asker, message),
        };
        match &asker.agent {
            Some(listing) => self.charge(listing.spec.id, begun),
            None => {
                let elements = self.work.visited().saturating_sub(begun);
                self.client_work.charge(self.now, &asker.name, elements);
            }
        }
        let reply = self.afford(message, reply);
        let name = route::built_in_name(id);
        let mut sent = Vec::new();
        for (performative, mut content) in reply.says {
            let tells_why = !matches!(performative, Performative::Inform | Performative::Agree);
            if let Some(object) = content.as_object_mut().filter(|_| tells_why) {
                object.insert("agent".to_owned(), name.into());
            }
            sent.extend(host_message::answer(
                &self.directory,
                message,
                performative,
                name,
                &content,
            ));
        }
        let before = reply
            .capabilities
            .as_ref()
            .and_then(|(agent, _)| self.state.agents.get(agent))
            .and_then(|agent| agent.capabilities.clone());
        let subscriptions = self.state.df_subscriptions.len();
        let capabilities: Vec<_> = reply.capabilities.clone().into_iter().collect();
        self.commit(
            Record::Directory {
                request,
                capabilities,
                subscribed: reply.subscribed,
                cancelled: reply.cancelled,
                sent,
            },
            durable,
        );
        self.directory
            .count_subscribers(subscriptions, self.state.df_subscriptions.len());
        if let Some((agent, after)) = reply.capabilities {
            self.capabilities_changed(agent, before.as_ref(), after.as_ref());
        }
    }

    /// Charges an agent for what was looked at since the counter stood at `begun`.
    pub(crate) fn charge(&mut self, agent: AgentId, begun: u64) {
        let elements = self.work.visited().saturating_sub(begun);
        if let Some(live) = self.live.get_mut(&agent) {
            live.unpaid.time = live.unpaid.time.saturating_add(elements);
            live.unpaid.rate = live.unpaid.rate.saturating_add(elements);
        }
    }

    /// A failure that came back: whoever can't be told any more has no subscription either.
    fn unheard(&self, id: AgentId, message: &Message) -> Reply {
        let sender = &message.sender;
        let gone = id == AgentId::DF
            && self.directory.resolve(sender).is_none()
            && !self.directory.knows_client(sender);
        let Some(conversation) = message.conversation_id.as_ref().filter(|_| gone) else {
            return Reply::default();
        };
        Reply {
            cancelled: vec![(Arc::clone(sender), Arc::clone(conversation))],
            ..Reply::default()
        }
    }
}

/// The action a request names, with its description.
pub(crate) fn action(content: &Value) -> Option<(&str, Option<&Value>)> {
    let action = content.get("action")?.as_str()?;
    let description = [
        "description",
        "agent-description",
        "df-agent-description",
        "ams-agent-description",
    ]
    .into_iter()
    .find_map(|name| content.get(name));
    Some((action, description))
}

/// The name a description gives: a text, or an object with a `name`.
pub(crate) fn described_name(description: &Value) -> Option<&str> {
    let name = description.get("name")?;
    name.as_str().or_else(|| name.get("name")?.as_str())
}

/// How many results are wanted.
pub(crate) fn results_max(content: &Value) -> usize {
    let wanted = content.get("constraints").and_then(|constraints| {
        constraints
            .get("max-results")
            .or_else(|| constraints.get("max_results"))?
            .as_u64()
    });
    wanted
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(template::RESULTS_MAX)
        .min(template::RESULTS_MAX)
}
