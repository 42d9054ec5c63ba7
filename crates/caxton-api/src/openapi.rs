//! The OpenAPI document: components from the types, paths from the table of routes.

use std::collections::BTreeMap;

use caxton_model::ErrorCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    AccessEntry, AgentDetail, AgentFault, AgentSummary, Answer, AuditCheck, AuditEntry, AuditHead,
    AuditParty, Body, BudgetView, CallCounters, CapabilityEntry, ConversationView, DeadLetterEntry,
    Deployed, DeployedProcessor, EventBody, EventKind, GrantChange, GrantEntry, JournalView,
    KeyRotated, Live, LogEntry, MailEntry, NewSecret, NewToken, NotGranted, Offer, PROBLEM_TYPE,
    Page, Param, ParamIn, PermissionChange, Problem, ProcessorDetail, ProcessorSummary, ROUTES,
    Ready, Registration, RequestedEntry, Route, Scope, SecretEntry, SendOptions, SendResult,
    StateKeyEntry, StopRequest, Taken, TokenCreated, TokenEntry, TopView, VersionView,
    agent_config::AgentConfig, openapi_bodies,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Caxton",
        description = "Agents in WebAssembly: deploy them, talk to them, see what they do.\n\nEvery error is `application/problem+json` with a stable `code`, a `detail` and a `remedy`. Every answer carries `x-request-id`."
    ),
    components(schemas(
        AccessEntry, AgentConfig, AgentDetail, AgentFault, AgentSummary, AuditCheck, AuditEntry,
        AuditHead, AuditParty, BudgetView, CallCounters, CapabilityEntry, ConversationView,
        DeadLetterEntry, Deployed, DeployedProcessor, EventBody, EventKind, GrantChange, GrantEntry, JournalView, Live,
        LogEntry, MailEntry, KeyRotated, NewSecret, SecretEntry, Page<SecretEntry>,
        NewToken, NotGranted, Offer, PermissionChange, Problem, ProcessorDetail, ProcessorSummary, Ready, Registration, RequestedEntry, SendOptions, SendResult, StateKeyEntry, StopRequest,
        Taken, TokenCreated, TokenEntry, TopView, VersionView, Scope,
        Page<AgentSummary>, Page<LogEntry>, Page<MailEntry>, Page<StateKeyEntry>,
        Page<AgentFault>, Page<DeadLetterEntry>, Page<CapabilityEntry>, Page<Offer>,
        Page<TokenEntry>, Page<GrantEntry>, Page<AccessEntry>, Page<AuditEntry>, Page<ProcessorSummary>,
    ))
)]
struct Components;

/// The document.
#[must_use]
pub fn openapi() -> Value {
    let mut document = serde_json::to_value(Components::openapi()).unwrap_or_default();
    let mut paths = Map::new();
    for route in ROUTES {
        if let Some(item) = paths
            .entry(route.path)
            .or_insert_with(|| json!({}))
            .as_object_mut()
        {
            item.insert(route.method.as_str().to_lowercase(), operation(route));
        }
    }
    if let Some(root) = document.as_object_mut() {
        root.insert("paths".to_owned(), Value::Object(paths));
        root.insert(
            "servers".to_owned(),
            json!([{ "url": "/", "description": "The node that serves this document." }]),
        );
        root.insert("security".to_owned(), json!([{ "token": [] }]));
    }
    if let Some(components) = document
        .get_mut("components")
        .and_then(Value::as_object_mut)
    {
        components.insert(
            "securitySchemes".to_owned(),
            json!({ "token": { "type": "http", "scheme": "bearer" } }),
        );
        if let Some(schemas) = components.get_mut("schemas").and_then(Value::as_object_mut) {
            schemas.extend(openapi_bodies::schemas());
            refer_to_items(schemas);
            name_the_events(schemas);
            if let Some(secret) = schemas.get_mut("NewSecret").and_then(Value::as_object_mut) {
                let one = |name: &str| json!({ "required": [name] });
                let values = json!([one("value"), one("value_base64")]);
                secret.insert("oneOf".to_owned(), values);
            }
            if let Some(token) = schemas.get_mut("NewToken").and_then(Value::as_object_mut) {
                token.insert("not".to_owned(), admin_of_a_namespace());
            }
            schemas.sort_keys();
        }
    }
    document
}

/// Makes each page refer to its entries' schema, so that clients have one type for an entry.
fn refer_to_items(schemas: &mut Map<String, Value>) {
    for (name, page) in schemas {
        if let Some(item) = name.strip_prefix("Page_")
            && let Some(items) = page.pointer_mut("/properties/items/items")
        {
            *items = reference(item);
        }
    }
}

/// Makes each kind of event a component, composed of nothing: what generators of clients do not
/// understand they leave out.
fn name_the_events(schemas: &mut Map<String, Value>) {
    let Some(mut events) = schemas.remove("EventBody") else {
        return;
    };
    let members = events.get_mut("oneOf").and_then(Value::as_array_mut);
    for member in members.into_iter().flatten() {
        let event = match member.get("allOf").and_then(Value::as_array) {
            Some(parts) => merged(parts, schemas),
            None => member.clone(),
        };
        let kind = event.pointer("/properties/kind/enum/0");
        let name = match kind.and_then(Value::as_str).unwrap_or_default() {
            "status" => "StatusEvent",
            "sent" => "SentEvent",
            "fault" => "FaultEvent",
            "dead-letter" => "DeadLetterEvent",
            _ => "GapEvent",
        };
        schemas.insert(name.to_owned(), event);
        *member = reference(name);
    }
    schemas.insert("EventBody".to_owned(), events);
}

/// One object with the properties of all these; a component among them is in it and nowhere else.
fn merged(parts: &[Value], schemas: &mut Map<String, Value>) -> Value {
    let (mut required, mut properties) = (Vec::new(), Map::new());
    for part in parts {
        let named = part.get("$ref").and_then(Value::as_str);
        let named = named.and_then(|path| schemas.remove(path.rsplit('/').next()?));
        let part = named.as_ref().unwrap_or(part);
        required.extend(part["required"].as_array().into_iter().flatten().cloned());
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

/// What no token can be: the scope admin knows no namespaces.
fn admin_of_a_namespace() -> Value {
    json!({
        "required": ["namespace", "scopes"],
        "properties": {
            "namespace": { "type": "string" },
            "scopes": { "type": "array", "contains": { "const": "admin" } },
        },
    })
}

/// The document as it is kept and served: indented, with a newline at the end.
#[must_use]
pub fn openapi_text() -> String {
    let mut text = serde_json::to_string_pretty(&openapi()).unwrap_or_default();
    text.push('\n');
    text
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.id.as_str(),
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": parameters(route),
    });
    let Some(fields) = operation.as_object_mut() else {
        return operation;
    };
    match route.scope {
        Some(scope) => {
            fields.insert(
                "description".to_owned(),
                json!(format!("Needs a token with scope `{scope}`.")),
            );
        }
        None => {
            fields.insert("security".to_owned(), json!([]));
        }
    }
    if let Some(body) = request_body(route.body) {
        fields.insert("requestBody".to_owned(), body);
    }
    fields.insert("responses".to_owned(), Value::Object(responses(route)));
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    const KEY: Param = Param {
        name: "Idempotency-Key",
        at: ParamIn::Header,
        schema: r#"{"type":"string","minLength":1,"maxLength":256}"#,
        what: "Makes a repetition of this request harmless for 24 hours.",
    };
    let key = route.takes_idempotency_key().then_some(KEY);
    let parameters = route.params.iter().copied().chain(key);
    parameters
        .map(|param| {
            let place = match param.at {
                ParamIn::Path => "path",
                ParamIn::Query | ParamIn::NeededQuery => "query",
                ParamIn::Header => "header",
            };
            json!({
                "name": param.name,
                "in": place,
                "required": matches!(param.at, ParamIn::Path | ParamIn::NeededQuery),
                "description": param.what,
                "schema": serde_json::from_str::<Value>(param.schema).unwrap_or_default(),
            })
        })
        .collect()
}

pub(crate) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn request_body(body: Body) -> Option<Value> {
    let json_of = |schema: &str| json!({ "schema": reference(schema) });
    Some(match body {
        Body::None => return None,
        Body::Json(schema) => {
            json!({ "required": true, "content": { "application/json": json_of(schema) } })
        }
        Body::OptionalJson(schema) => {
            json!({ "required": false, "content": { "application/json": json_of(schema) } })
        }
        Body::Bytes => json!({
            "required": false,
            "content": { "application/octet-stream": { "schema": { "type": "string" } } },
        }),
        Body::Module(schema, form) => json!({
            "required": true,
            "content": {
                "multipart/form-data": {
                    "schema": reference(form),
                    "encoding": { "config": { "contentType": "application/json" } },
                },
                "application/json": json_of(schema),
            },
        }),
    })
}

fn responses(route: &Route) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, answer) in route.answers {
        responses.insert(status.to_string(), response(*status, *answer));
    }
    let mut errors: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in route.common_errors().iter().chain(route.errors) {
        let codes = errors.entry(code.http_status()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    for (status, codes) in errors {
        let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        let mut problem = json!({
            "description": names.join(", "),
            "content": { PROBLEM_TYPE: { "schema": reference("Problem") } },
        });
        if matches!(status, 429 | 503)
            && let Some(fields) = problem.as_object_mut()
        {
            fields.insert("headers".to_owned(), json!({
                "Retry-After": { "description": "When to try again. Unit: seconds.", "schema": { "type": "integer", "minimum": 0 } },
            }));
        }
        responses.insert(status.to_string(), problem);
    }
    responses
}

fn stream_of(each: &str) -> Value {
    json!({
        "type": "string",
        "description": format!("Server-sent events; the data of each is JSON of {each}."),
        "contentMediaType": "application/json",
        "contentSchema": reference(each),
    })
}

fn response(status: u16, answer: Answer) -> Value {
    let description = match status {
        201 => "Made.",
        202 => "Accepted; no reply so far.",
        204 => "Done.",
        _ => "As asked.",
    };
    let content = match answer {
        Answer::Empty => return json!({ "description": description }),
        Answer::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
        Answer::Events(each) => json!({ "text/event-stream": { "schema": stream_of(each) } }),
        Answer::PageOrEvents(page, each) => json!({
            "application/json": { "schema": reference(page) },
            "text/event-stream": { "schema": stream_of(each) },
        }),
        Answer::Raw("application/json") => {
            json!({ "application/json": { "schema": { "type": "object" } } })
        }
        Answer::Raw(media) => json!({ media: { "schema": { "type": "string" } } }),
    };
    json!({ "description": description, "content": content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_golden_file() {
        expect_test::expect_file!["../../../docs/api/openapi.json"].assert_eq(&openapi_text());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, document: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(to)) = fields.get("$ref") {
                        let pointer = to.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{to}");
                    }
                    fields.values().for_each(|value| walk(value, document));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
                _ => {}
            }
        }
        let document = openapi();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        walk(&document, &document);
    }

    #[test]
    fn every_component_is_referred_to() {
        let document = openapi();
        let text = document.to_string();
        for name in document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
        {
            let reference = format!("\"#/components/schemas/{name}\"");
            assert!(text.contains(&reference), "`{name}` is unused");
        }
        assert_eq!(document["servers"][0]["url"], "/");
    }

    #[test]
    fn only_a_component_is_composed_of_several_schemas() {
        fn inner(value: &Value, at: &str) {
            assert!(value.get("allOf").is_none(), "{at} is composed: {value}");
            match value {
                Value::Object(fields) => fields
                    .iter()
                    .for_each(|(name, value)| inner(value, &format!("{at}/{name}"))),
                Value::Array(items) => items.iter().for_each(|value| inner(value, at)),
                _ => {}
            }
        }
        let document = openapi();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let Some(fields) = schema.as_object() else {
                continue;
            };
            for (key, value) in fields {
                // A component may itself be `allOf` of other components.
                match (key.as_str(), value.as_array()) {
                    ("allOf", Some(parts)) => parts.iter().for_each(|part| inner(part, name)),
                    _ => inner(value, name),
                }
            }
        }
        inner(&document["paths"], "paths");
    }
}
