//! What an agent has registered, ordered once so that a search need not go through it.

use std::sync::Arc;

use caxton_model::{Capabilities, ServiceDescription};

/// A descriptor and its orders. Built outside every lock.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    capabilities: Arc<Capabilities>,
    names: Order,
    kinds: Order,
    lists: Lists,
    services: Vec<Lists>,
}

/// The lists that descriptors and services both have, ordered.
#[derive(Debug, Default)]
struct Lists {
    protocols: Order,
    ontologies: Order,
    languages: Order,
}

/// One of those lists.
#[derive(Debug, Clone, Copy)]
pub(crate) enum List {
    Protocols,
    Ontologies,
    Languages,
}

impl List {
    pub(crate) const ALL: [Self; 3] = [Self::Protocols, Self::Ontologies, Self::Languages];
}

/// Places of texts in a list, in the texts' order.
#[derive(Debug, Default)]
struct Order(Vec<usize>);

impl Order {
    fn of<'a>(text: impl Fn(usize) -> Option<&'a str>, count: usize) -> Self {
        let mut places: Vec<usize> = (0..count).collect();
        places.sort_by(|a, b| text(*a).cmp(&text(*b)));
        Self(places)
    }
    /// The places of a text.
    fn places<'a>(&self, text: impl Fn(usize) -> Option<&'a str>, wanted: &str) -> &[usize] {
        let from = self.0.partition_point(|at| text(*at) < Some(wanted));
        let to = self.0.partition_point(|at| text(*at) <= Some(wanted));
        self.0.get(from..to).unwrap_or_default()
    }
}

impl Lists {
    fn of(protocols: &[String], ontologies: &[String], languages: &[String]) -> Self {
        let order = |list: &[String]| Order::of(|at| list.get(at).map(String::as_str), list.len());
        Self {
            protocols: order(protocols),
            ontologies: order(ontologies),
            languages: order(languages),
        }
    }
    const fn order(&self, list: List) -> &Order {
        match list {
            List::Protocols => &self.protocols,
            List::Ontologies => &self.ontologies,
            List::Languages => &self.languages,
        }
    }
}

impl Offered {
    /// Orders a descriptor. Cost: n log n in its entries.
    pub(crate) fn of(capabilities: &Arc<Capabilities>) -> Self {
        let services = &capabilities.services;
        let name = |at: usize| services.get(at).map(|service| service.name.as_str());
        let kind = |at: usize| services.get(at).map(|service| service.kind.as_str());
        Self {
            names: Order::of(name, services.len()),
            kinds: Order::of(kind, services.len()),
            lists: Lists::of(
                &capabilities.protocols,
                &capabilities.ontologies,
                &capabilities.languages,
            ),
            services: services
                .iter()
                .map(|service| {
                    Lists::of(&service.protocols, &service.ontologies, &service.languages)
                })
                .collect(),
            capabilities: Arc::clone(capabilities),
        }
    }
    /// The descriptor.
    pub(crate) fn capabilities(&self) -> &Arc<Capabilities> {
        &self.capabilities
    }
    /// Services of that name, else of that kind, else all.
    pub(crate) fn services(
        &self,
        name: Option<&str>,
        kind: Option<&str>,
    ) -> impl Iterator<Item = Service<'_>> {
        let services = &self.capabilities.services;
        let places = match (name, kind) {
            (Some(wanted), _) => self
                .names
                .places(|at| services.get(at).map(|s| s.name.as_str()), wanted),
            (None, Some(wanted)) => self
                .kinds
                .places(|at| services.get(at).map(|s| s.kind.as_str()), wanted),
            (None, None) => &self.names.0,
        };
        places.iter().filter_map(|at| {
            Some(Service {
                description: services.get(*at)?,
                lists: self.services.get(*at)?,
            })
        })
    }
    /// Whether a service of that name is among them.
    pub(crate) fn has_service(&self, name: &str) -> bool {
        self.services(Some(name), None).next().is_some()
    }
    /// Whether a text stands in one of the descriptor's own lists.
    pub(crate) fn has(&self, list: List, text: &str) -> bool {
        let texts = match list {
            List::Protocols => &self.capabilities.protocols,
            List::Ontologies => &self.capabilities.ontologies,
            List::Languages => &self.capabilities.languages,
        };
        has(self.lists.order(list), texts, text)
    }
}

/// One service with its orders.
pub(crate) struct Service<'a> {
    pub(crate) description: &'a ServiceDescription,
    lists: &'a Lists,
}

impl Service<'_> {
    /// Whether a text stands in one of the service's lists.
    pub(crate) fn has(&self, list: List, text: &str) -> bool {
        let texts = match list {
            List::Protocols => &self.description.protocols,
            List::Ontologies => &self.description.ontologies,
            List::Languages => &self.description.languages,
        };
        has(self.lists.order(list), texts, text)
    }
}

fn has(order: &Order, texts: &[String], text: &str) -> bool {
    !order
        .places(|at| texts.get(at).map(String::as_str), text)
        .is_empty()
}
