//! What a search looks for, and what it finds.

use caxton_model::{Capabilities, Namespace, ServiceDescription, stable_hash};
use serde_json::{Value, json};

use crate::{
    Directory, Listing, TooLong,
    bounds::Measure,
    offered::{List, Service},
    work::{BYTES_AN_ELEMENT, Work},
};

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
    lists: WantedLists,
}

#[derive(Debug, Default, Clone)]
struct ServiceTemplate {
    name: Option<String>,
    kind: Option<String>,
    lists: WantedLists,
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
            lists: WantedLists::read(description)?,
        })
    }
    /// The service's name whose changes matter; empty: all.
    pub(crate) fn service(&self) -> String {
        match self.services.as_slice() {
            [one] => one.name.clone().unwrap_or_default(),
            _ => String::new(),
        }
    }
    /// Reads one that is about to be searched for or kept.
    ///
    /// Errors: in words; also where a list or a text in it is too long.
    pub(crate) fn admit(description: &Value) -> Result<Self, String> {
        let mut measure = Measure::default();
        measure.bytes(description.to_string().len());
        measure.end().map_err(|error| error.to_string())?;
        let template = Self::read(description)?;
        template.check().map_err(|error| error.to_string())?;
        Ok(template)
    }
    fn check(&self) -> Result<(), TooLong> {
        let mut measure = Measure::default();
        measure.text("name", self.name.as_deref().unwrap_or_default())?;
        self.lists.check(&mut measure)?;
        Measure::count("services", self.services.len())?;
        for service in &self.services {
            measure.text("services.name", service.name.as_deref().unwrap_or_default())?;
            measure.text("services.type", service.kind.as_deref().unwrap_or_default())?;
            service.lists.check(&mut measure)?;
        }
        Ok(())
    }
    fn fits(&self, listing: &Listing, work: &Work) -> bool {
        let (name, offered) = (self.name.as_deref(), &listing.offered);
        name.is_none_or(|n| n == listing.spec.name.as_str() || n.parse() == Ok(listing.spec.id))
            && self
                .lists
                .are_in(work, |list, text| offered.has(list, text))
            && self.services.iter().all(|wanted| {
                let mut services = offered.services(wanted.name.as_deref(), wanted.kind.as_deref());
                services.any(|service| wanted.fits(&service, work))
            })
    }
}

/// What must stand in an entry's or a service's lists.
#[derive(Debug, Default, Clone)]
struct WantedLists {
    protocols: Vec<String>,
    ontologies: Vec<String>,
    languages: Vec<String>,
}

impl WantedLists {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(Self {
            protocols: texts(value, "protocols")?,
            ontologies: texts(value, "ontologies")?,
            languages: texts(value, "languages")?,
        })
    }
    fn check(&self, measure: &mut Measure) -> Result<(), TooLong> {
        measure.list("protocols", &self.protocols)?;
        measure.list("ontologies", &self.ontologies)?;
        measure.list("languages", &self.languages)
    }
    fn are_in(&self, work: &Work, has: impl Fn(List, &str) -> bool) -> bool {
        List::ALL.into_iter().all(|list| {
            let wanted = match list {
                List::Protocols => &self.protocols,
                List::Ontologies => &self.ontologies,
                List::Languages => &self.languages,
            };
            wanted.iter().all(|text| {
                work.visit(1);
                has(list, text)
            })
        })
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
            lists: WantedLists::read(value)?,
            properties: value.get("properties").filter(|p| !p.is_null()).cloned(),
        })
    }
    fn fits(&self, service: &Service<'_>, work: &Work) -> bool {
        work.visit(1);
        let same = |wanted: &Option<String>, given: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == given)
        };
        let described = service.description;
        same(&self.name, &described.name)
            && same(&self.kind, &described.kind)
            && self
                .lists
                .are_in(work, |list, text| service.has(list, text))
            && self.properties.as_ref().is_none_or(|wanted| {
                work.visit(described.properties.as_str().len() / BYTES_AN_ELEMENT);
                *wanted == described.properties.value()
            })
    }
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
    work: &Work,
) -> Vec<Value> {
    let named = template.services.iter().filter_map(|s| s.name.as_deref());
    let candidates = directory.candidates(namespace, named, work);
    let mut bytes = 0_usize;
    candidates
        .iter()
        .filter(|listing| namespace.is_none_or(|n| n == listing.spec.name.namespace()))
        .filter(|listing| template.fits(listing, work))
        .filter_map(|listing| {
            let offers = listing.capabilities.as_ref()?;
            work.visit(offers.services.len());
            Some(describe(listing, offers))
        })
        .filter(|entry| {
            let size = entry.to_string().len();
            work.visit(size / BYTES_AN_ELEMENT);
            // One that does not fit leaves the room to the others.
            let fits = bytes.saturating_add(size) <= RESULT_BYTES_MAX;
            bytes += if fits { size } else { 0 };
            fits
        })
        .take(results_max)
        .collect()
}

/// A digest of a result, to tell whether it changed.
pub(crate) fn digest(found: &[Value]) -> u64 {
    let text = serde_json::to_string(found).unwrap_or_default();
    stable_hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_search_is_as_long_as_its_json() {
        let bytes = crate::bounds::DESCRIPTION_BYTES_MAX;
        let empty = json!({ "unknown": "" }).to_string().len();
        for (more, fits) in [(0, true), (1, false)] {
            let text = "x".repeat(bytes - empty + more);
            let admitted = Template::admit(&json!({ "unknown": text }));
            assert_eq!(admitted.is_ok(), fits, "{admitted:?}");
        }
    }
}
