//! The directory facilitator: who offers what.
//!
//! Source: FIPA00023, "FIPA Agent Management Specification", and FIPA00035 for subscriptions.

use std::sync::Arc;

use caxton_model::{
    AgentId, Capabilities, Destination, DfSubscription, Message, MessageKey, Namespace,
    Performative, RawJson, Receiver, Record, Sent, ServiceDescription,
};
use serde_json::{Value, json};

use super::{
    Asker, Reply, action, described_name, results_max,
    template::{RESULTS_MAX, Template, digest, search, texts},
    told::{ROUND_ELEMENTS_MAX, ROUND_MAX},
};
use crate::{
    Directory, Kernel,
    bounds::Measure,
    check_descriptor, route,
    work::{BYTES_AN_ELEMENT, Work},
};

/// Subscriptions one agent or client has at most.
const SUBSCRIPTIONS_OF_ONE_MAX: usize = 100;

/// Subscriptions one shard has at most; each is a search at every change.
const SUBSCRIPTIONS_MAX: usize = 10_000;

/// Answers one message.
pub(crate) fn answer(kernel: &Kernel, asker: &Asker, message: &Message) -> Reply {
    let content = message.content.value();
    match message.performative {
        Performative::Request => request(kernel, asker, &content),
        Performative::QueryRef => {
            let description = description_of(&content);
            match Template::admit(&description) {
                Ok(template) => found(kernel, asker, &template, results_max(&content)),
                Err(text) => Reply::not_understood("unrecognised-value", text),
            }
        }
        Performative::Subscribe => subscribe(kernel, asker, message, &content),
        Performative::Cancel => cancel(kernel, message),
        other => Reply::not_understood(
            "unsupported-act",
            format!("`df` answers request, query-ref, subscribe and cancel, not `{other}`"),
        ),
    }
}

fn description_of(content: &Value) -> Value {
    match action(content) {
        Some((_, description)) => description.cloned().unwrap_or_default(),
        None => ["description", "agent-description", "df-agent-description"]
            .into_iter()
            .find_map(|name| content.get(name))
            .unwrap_or(content)
            .clone(),
    }
}

fn found(kernel: &Kernel, asker: &Asker, template: &Template, most: usize) -> Reply {
    let namespace = asker.namespace.as_ref();
    Reply::result(search(
        &kernel.directory,
        template,
        namespace,
        most,
        &kernel.work,
    ))
}

fn request(kernel: &Kernel, asker: &Asker, content: &Value) -> Reply {
    let Some((what, description)) = action(content) else {
        let text =
            "a request to `df` needs the field `action`: register, deregister, modify or search";
        return Reply::not_understood("missing-argument", text);
    };
    let nothing = Value::Null;
    let description = description.unwrap_or(&nothing);
    match what {
        "search" => match Template::admit(description) {
            Ok(template) => found(kernel, asker, &template, results_max(content)),
            Err(text) => Reply::not_understood("unrecognised-value", text),
        },
        "register" | "modify" | "deregister" => {
            let name = described_name(description);
            match &asker.agent {
                Some(listing) if asker.is_meant(name) => {
                    change(kernel, listing.spec.id, what, description, content)
                }
                _ => Reply::refuse(
                    "unauthorised",
                    "an agent may change its own entry only, and only agents have one",
                ),
            }
        }
        other => Reply::not_understood(
            "unsupported-function",
            format!("`df` knows register, deregister, modify and search, not `{other}`"),
        ),
    }
}

fn change(kernel: &Kernel, id: AgentId, what: &str, description: &Value, content: &Value) -> Reply {
    let state = kernel.state.agents.get(&id);
    let now = state.and_then(|agent| agent.capabilities.clone());
    let listed = now.as_ref().is_some_and(|c| !c.services.is_empty());
    let after = match (what, listed) {
        ("register", true) => {
            return Reply::failure("already-registered", "your entry is there; use modify");
        }
        ("modify" | "deregister", false) => {
            return Reply::failure("not-registered", "you have no entry; use register");
        }
        ("deregister", true) => without_services(now.as_deref()),
        _ => match entry(description, now.as_deref()) {
            Ok(entry) => {
                let lists = [&entry.protocols, &entry.ontologies, &entry.languages];
                let count: usize = lists.map(Vec::len).iter().sum();
                kernel.work.visit(count + entry.services.len());
                Some(Arc::new(entry))
            }
            Err(text) => return Reply::not_understood("unrecognised-value", text),
        },
    };
    Reply {
        capabilities: Some((id, after)),
        ..Reply::done(content)
    }
}

/// What stays of a descriptor whose entry is taken out: which performatives it takes.
pub(crate) fn without_services(now: Option<&Capabilities>) -> Option<Arc<Capabilities>> {
    let rest = Capabilities {
        services: Vec::new(),
        protocols: Vec::new(),
        ontologies: Vec::new(),
        languages: Vec::new(),
        ..now?.clone()
    };
    (!rest.performatives.is_empty()).then(|| Arc::new(rest))
}

fn entry(description: &Value, now: Option<&Capabilities>) -> Result<Capabilities, String> {
    let written = match description.get("services") {
        Some(Value::Array(services)) if !services.is_empty() => services,
        _ => return Err("an entry needs `services`: a list with at least one".to_owned()),
    };
    Measure::count("services", written.len()).map_err(|error| error.to_string())?;
    let services = written.iter().map(service).collect::<Result<_, _>>()?;
    let entry = Capabilities {
        services,
        protocols: texts(description, "protocols")?,
        ontologies: texts(description, "ontologies")?,
        languages: texts(description, "languages")?,
        ..now.cloned().unwrap_or_default()
    };
    check_descriptor(&entry).map_err(|error| error.to_string())?;
    Ok(entry)
}

fn service(written: &Value) -> Result<ServiceDescription, String> {
    let text = |key: &str| written.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = written.as_str().unwrap_or_else(|| text("name"));
    if name.is_empty() {
        return Err("a service needs a `name`".to_owned());
    }
    Ok(ServiceDescription {
        name: name.to_owned(),
        kind: text("type").to_owned(),
        description: text("description").to_owned(),
        protocols: texts(written, "protocols")?,
        ontologies: texts(written, "ontologies")?,
        languages: texts(written, "languages")?,
        properties: RawJson::from(written.get("properties").unwrap_or(&Value::Null)),
        ..ServiceDescription::default()
    })
}

fn subscribe(kernel: &Kernel, asker: &Asker, message: &Message, content: &Value) -> Reply {
    let Some(conversation) = &message.conversation_id else {
        let text = "a subscription needs a `conversation_id`: `cancel` in it ends it";
        return Reply::refuse("missing-parameter", text);
    };
    let written = description_of(content);
    let template = match Template::admit(&written) {
        Ok(template) => template,
        Err(text) => return Reply::not_understood("unrecognised-value", text),
    };
    let own = kernel.told.of(&message.sender).count();
    if kernel.told.len() >= SUBSCRIPTIONS_MAX || own >= SUBSCRIPTIONS_OF_ONE_MAX {
        let text = format!("at most {SUBSCRIPTIONS_OF_ONE_MAX} subscriptions each");
        return Reply::refuse("too-many-subscriptions", text);
    }
    let namespace = asker.namespace.as_ref();
    let found = search(
        &kernel.directory,
        &template,
        namespace,
        RESULTS_MAX,
        &kernel.work,
    );
    let told = digest(&found);
    let kept = json!({ "description": written, "namespace": namespace.map(Namespace::as_str) });
    Reply {
        says: vec![
            (Performative::Agree, json!({ "subscribed": written })),
            (Performative::Inform, json!({ "result": found })),
        ],
        subscribed: vec![DfSubscription {
            subscriber: Arc::clone(&message.sender),
            conversation: Arc::clone(conversation),
            reply_with: message.reply_with.clone(),
            service: template.service(),
            template: RawJson::from(&kept),
            told,
        }],
        ..Reply::default()
    }
}

fn cancel(kernel: &Kernel, message: &Message) -> Reply {
    let conversation = message.conversation_id.clone().unwrap_or_default();
    kernel.work.visit(kernel.state.df_subscriptions.len());
    let there = kernel
        .state
        .df_subscriptions
        .iter()
        .any(|s| s.subscriber == message.sender && s.conversation == conversation);
    if !there {
        return Reply::failure("not-found", "no subscription of yours in this conversation");
    }
    Reply {
        cancelled: vec![(Arc::clone(&message.sender), conversation)],
        ..Reply::done(&json!({ "action": "cancel" }))
    }
}

/// Looks a subscription's result up anew.
fn looked_up(directory: &Directory, subscription: &DfSubscription, work: &Work) -> Vec<Value> {
    // What was kept before there were bounds may be long.
    work.visit(subscription.template.as_str().len() / BYTES_AN_ELEMENT);
    let kept = subscription.template.value();
    let template = kept.get("description").map(Template::read);
    let template = template.and_then(Result::ok).unwrap_or_default();
    let namespace: Option<Namespace> = kept
        .get("namespace")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    search(directory, &template, namespace.as_ref(), RESULTS_MAX, work)
}

impl Kernel {
    /// Tells some of those who subscribed to what has changed; the next round tells the next.
    pub(crate) fn tell_subscribers(&mut self) {
        self.told.begin_round(self.now, &self.work);
        let begun = self.work.visited();
        for _ in 0..ROUND_MAX {
            let spent = self.work.visited().saturating_sub(begun);
            if spent > ROUND_ELEMENTS_MAX {
                break;
            }
            let Some((subscriber, conversation)) = self.told.next() else {
                break;
            };
            let subscription = self
                .state
                .df_subscriptions
                .iter()
                .find(|s| s.subscriber == subscriber && s.conversation == conversation);
            if let Some(subscription) = subscription.cloned() {
                self.tell(subscription);
            }
        }
    }

    fn tell(&mut self, mut subscription: DfSubscription) {
        let begun = self.work.visited();
        let found = looked_up(&self.directory, &subscription, &self.work);
        if let Some(listing) = self.directory.resolve(&subscription.subscriber) {
            self.charge(listing.spec.id, begun);
        }
        let told = digest(&found);
        if subscription.told == told {
            return;
        }
        subscription.told = told;
        let name = Arc::clone(&subscription.subscriber);
        let to = match self.directory.resolve(&name) {
            Some(listing) => Destination::Agent(listing.spec.id),
            None => Destination::Client(Arc::clone(&name)),
        };
        let durable = match &to {
            Destination::Agent(id) => self.is_durable(*id),
            _ => true,
        };
        let mut fields = caxton_model::Fields::new(
            Performative::Inform,
            route::built_in_name(AgentId::DF),
            Arc::clone(&name),
            &json!({ "result": found }),
        );
        fields.receiver = Receiver::One(name);
        fields.conversation_id = Some(Arc::clone(&subscription.conversation));
        fields.in_reply_to.clone_from(&subscription.reply_with);
        let sent = vec![Sent {
            message: fields.seal(),
            to: vec![to],
        }];
        let request = MessageKey {
            shard: self.options.shard,
            seq: 0,
            index: 0,
        };
        self.commit(
            Record::Directory {
                request,
                capabilities: Vec::new(),
                subscribed: vec![subscription],
                cancelled: Vec::new(),
                sent,
            },
            durable,
        );
    }
}
