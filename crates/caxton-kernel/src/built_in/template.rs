//! What a search looks for, and what it finds.

use caxton_model::{Capabilities, Namespace, ServiceDescription, stable_hash};
use serde_json::{Value, json};

use crate::{Directory, Listing};

use super::described_name;

/// Descriptions one answer holds at most.
pub(crate) const RESULTS_MAX: usize = 1_000;

/// Bytes of descriptions one answer holds at most, so that it fits a message of 1 MiB.
const RESULT_BYTES_MAX: usize = 900 * 1_024;

/// What must be true of an entry of the `df`. Nothing given: every entry fits.
#[derive(Debug, Default, Clone)]
pub(crate) struct Template {
    name: Option<String>,
    services: Vec<ServiceTemplate>,
    protocols: Vec<String>,
    ontologies: Vec<String>,
    languages: Vec<String>,
}

#[derive(Debug, Default, Clone)]
struct ServiceTemplate {
    name: Option<String>,
    kind: Option<String>,
    protocols: Vec<String>,
    ontologies: Vec<String>,
    languages: Vec<String>,
    properties: Option<Value>,
}

impl Template {
    /// Reads one: FIPA's `df-agent-description`, or `{"service": "name"}` for short.
    pub(crate) fn read(description: &Value) -> Result<Self, String> {
        if description.is_null() {
            return Ok(Self::default());
        }
        if !description.is_object() {
            return Err("expected a description: a JSON object".to_owned());
        }
        let mut services = list(description, "services")?
            .iter()
            .map(ServiceTemplate::read)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(name) = description.get("service") {
            services.push(ServiceTemplate::read(name)?);
        }
        Ok(Self {
            name: described_name(description).map(str::to_owned),
            services,
            protocols: texts(description, "protocols")?,
            ontologies: texts(description, "ontologies")?,
            languages: texts(description, "languages")?,
        })
    }
    /// The service's name whose changes matter; empty: all.
    pub(crate) fn service(&self) -> String {
        match self.services.as_slice() {
            [one] => one.name.clone().unwrap_or_default(),
            _ => String::new(),
        }
    }
    fn fits(&self, listing: &Listing, offers: &Capabilities) -> bool {
        let name = self.name.as_deref();
        name.is_none_or(|n| n == listing.spec.name.as_str() || n.parse() == Ok(listing.spec.id))
            && has_all(&offers.protocols, &self.protocols)
            && has_all(&offers.ontologies, &self.ontologies)
            && has_all(&offers.languages, &self.languages)
            && self
                .services
                .iter()
                .all(|wanted| offers.services.iter().any(|service| wanted.fits(service)))
    }
}

impl ServiceTemplate {
    fn read(value: &Value) -> Result<Self, String> {
        if let Some(name) = value.as_str() {
            return Ok(Self {
                name: Some(name.to_owned()),
                ..Self::default()
            });
        }
        if !value.is_object() {
            return Err("expected a service: a JSON object, or its name".to_owned());
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            name: text("name"),
            kind: text("type"),
            protocols: texts(value, "protocols")?,
            ontologies: texts(value, "ontologies")?,
            languages: texts(value, "languages")?,
            properties: value.get("properties").filter(|p| !p.is_null()).cloned(),
        })
    }
    fn fits(&self, service: &ServiceDescription) -> bool {
        let same = |wanted: &Option<String>, given: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == given)
        };
        same(&self.name, &service.name)
            && same(&self.kind, &service.kind)
            && has_all(&service.protocols, &self.protocols)
            && has_all(&service.ontologies, &self.ontologies)
            && has_all(&service.languages, &self.languages)
            && self
                .properties
                .as_ref()
                .is_none_or(|wanted| *wanted == service.properties.value())
    }
}

fn has_all(given: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|text| given.contains(text))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(format!("`{key}` must be a list")),
    }
}

/// A list of texts, or one text.
pub(crate) fn texts(value: &Value, key: &str) -> Result<Vec<String>, String> {
    if let Some(one) = value.get(key).and_then(Value::as_str) {
        return Ok(vec![one.to_owned()]);
    }
    list(value, key)?
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| format!("`{key}` must be a list of texts"))
}

/// An agent's entry.
pub(crate) fn describe(listing: &Listing, offers: &Capabilities) -> Value {
    let services: Vec<Value> = offers.services.iter().map(describe_service).collect();
    json!({
        "name": listing.spec.name.as_str(),
        "id": listing.spec.id.to_string(),
        "services": services,
        "protocols": offers.protocols,
        "ontologies": offers.ontologies,
        "languages": offers.languages,
    })
}

fn describe_service(service: &ServiceDescription) -> Value {
    let mut entry = serde_json::Map::new();
    entry.insert("name".to_owned(), service.name.as_str().into());
    for (key, text) in [
        ("type", &service.kind),
        ("description", &service.description),
    ] {
        if !text.is_empty() {
            entry.insert(key.to_owned(), text.as_str().into());
        }
    }
    for (key, texts) in [
        ("protocols", &service.protocols),
        ("ontologies", &service.ontologies),
        ("languages", &service.languages),
    ] {
        if !texts.is_empty() {
            entry.insert(key.to_owned(), texts.as_slice().into());
        }
    }
    let properties = service.properties.value();
    if !properties.is_null() {
        entry.insert("properties".to_owned(), properties);
    }
    entry.into()
}

/// All entries that fit, by id; agents outside the namespace are not shown.
///
/// Bounds: so many results, and what fits one message.
pub(crate) fn search(
    directory: &Directory,
    template: &Template,
    namespace: Option<&Namespace>,
    results_max: usize,
) -> Vec<Value> {
    let service = template.service();
    let capability = (!service.is_empty()).then_some(service.as_str());
    let found = directory.select(capability, |listing| {
        namespace.is_none_or(|n| n == listing.spec.name.namespace())
            && listing
                .capabilities
                .as_ref()
                .is_some_and(|offers| template.fits(listing, offers))
    });
    let mut bytes = 0_usize;
    found
        .iter()
        .filter_map(|listing| Some(describe(listing, listing.capabilities.as_ref()?)))
        .take(results_max)
        .take_while(|entry| {
            bytes = bytes.saturating_add(entry.to_string().len());
            bytes <= RESULT_BYTES_MAX
        })
        .collect()
}

/// A digest of a result, to tell whether it changed.
pub(crate) fn digest(found: &[Value]) -> u64 {
    let text = serde_json::to_string(found).unwrap_or_default();
    stable_hash(text.as_bytes())
}
