//! The OpenAPI document: components from the types, paths from the table of routes.

use std::collections::BTreeMap;

use caxton_model::ErrorCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    AgentDetail, AgentFault, AgentSummary, Answer, Body, BudgetView, CapabilityEntry,
    ConversationView, DeadLetterEntry, Deployed, EventBody, EventKind, JournalView, Live, LogEntry,
    MailEntry, NewToken, Offer, PROBLEM_TYPE, Page, Param, ParamIn, Problem, ROUTES, Ready,
    Registration, Route, Scope, SendOptions, SendResult, StateKeyEntry, StopRequest, Taken,
    TokenCreated, TokenEntry, TopView, VersionView, agent_config::AgentConfig,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Caxton",
        description = "Agents in WebAssembly: deploy them, talk to them, see what they do.\n\nEvery error is `application/problem+json` with a stable `code`, a `detail` and a `remedy`. Every answer carries `x-request-id`."
    ),
    components(schemas(
        AgentConfig, AgentDetail, AgentFault, AgentSummary, BudgetView, CapabilityEntry, ConversationView,
        DeadLetterEntry, Deployed, EventBody, EventKind, JournalView, Live, LogEntry, MailEntry,
        NewToken, Offer, Problem, Ready, Registration, SendOptions, SendResult, StateKeyEntry, StopRequest,
        Taken, TokenCreated, TokenEntry, TopView, VersionView, Scope,
        Page<AgentSummary>, Page<LogEntry>, Page<MailEntry>, Page<StateKeyEntry>,
        Page<AgentFault>, Page<DeadLetterEntry>, Page<CapabilityEntry>, Page<Offer>,
        Page<TokenEntry>,
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
            schemas.extend(written_by_hand());
            if let Some(token) = schemas.get_mut("NewToken").and_then(Value::as_object_mut) {
                token.insert("not".to_owned(), admin_of_a_namespace());
            }
            schemas.sort_keys();
        }
    }
    document
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

/// A message: read by rules of its own, which keep what they do not know.
fn message() -> Value {
    let text = json!({ "type": ["string", "null"], "maxLength": 1024 });
    let mut fields = Map::new();
    fields.insert(
        "performative".to_owned(),
        json!({
            "type": "string",
            "enum": caxton_model::Performative::ALL.map(caxton_model::Performative::as_str),
            "description": "One of the 22 of FIPA; other spellings of them by case, `_` and `-` are read too.",
            "example": "request",
        }),
    );
    fields.insert(
        "sender".to_owned(),
        json!({
            "type": ["string", "null"],
            "pattern": "^(([A-Za-z][A-Za-z0-9_.-]{0,62}/)?[A-Za-z][A-Za-z0-9_.-]{0,62})?$",
            "description": "A client's own name; absent or empty: the token's.",
        }),
    );
    fields.insert(
        "reply_by".to_owned(),
        json!({
            "description": "Until when a reply is wanted: a time, or microseconds since 1970.",
            "oneOf": [
                { "type": "string", "format": "date-time" },
                { "type": "integer", "minimum": -62_167_219_200_000_000_i64, "maximum": 253_402_300_799_999_999_i64 },
                { "type": "null" },
            ],
        }),
    );
    fields.insert("receiver".to_owned(), json!({
        "description": "An agent's id or name, a list of them, or a capability.",
        "oneOf": [
            { "type": "string", "minLength": 1, "maxLength": 1024 },
            { "type": "array", "minItems": 1, "maxItems": 1000, "items": { "type": "string", "minLength": 1, "maxLength": 1024 } },
            { "type": "object", "required": ["capability"], "properties": { "capability": { "type": "string", "minLength": 1 } }, "additionalProperties": false },
        ],
    }));
    fields.insert(
        "content".to_owned(),
        json!({ "description": "Any JSON; under `encoding: base64` a text of base64." }),
    );
    for name in [
        "conversation_id",
        "reply_with",
        "in_reply_to",
        "reply_to",
        "protocol",
        "ontology",
        "language",
        "encoding",
    ] {
        fields.insert(name.to_owned(), text.clone());
    }
    json!({
        "type": "object",
        "description": "A FIPA ACL message. Fields that FIPA does not know are kept.",
        "required": ["performative", "receiver"],
        "properties": fields,
        "additionalProperties": true,
    })
}

/// Schemas of bodies that are read by other rules than serde's.
fn written_by_hand() -> Map<String, Value> {
    [
        ("FipaMessage", message()),
        (
            "SendRequest",
            json!({ "allOf": [reference("FipaMessage"), reference("SendOptions")] }),
        ),
        (
            "DeployRequest",
            json_form(
                "A module and how it is to be deployed; a name is needed.",
                &["wasm_module", "name"],
            ),
        ),
        (
            "UpdateRequest",
            json_form(
                "A module and its new settings; a name is ignored.",
                &["wasm_module"],
            ),
        ),
        (
            "DeployForm",
            json!({ "anyOf": [
                form(&["module", "config"], &named()),
                form(&["module", "manifest"], &reference("AgentConfig")),
            ] }),
        ),
        ("UpdateForm", form(&["module"], &reference("AgentConfig"))),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

/// Settings that have a name.
fn named() -> Value {
    json!({ "allOf": [reference("AgentConfig"), { "type": "object", "required": ["name"] }] })
}

/// A deployment as JSON.
fn json_form(what: &str, needed: &[&str]) -> Value {
    let module = json!({
        "type": "string",
        "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        "description": "The module's bytes in base64.",
    });
    json!({
        "description": format!("{what} The settings stand beside `wasm_module`, or as a whole under `config`."),
        "anyOf": [
            { "type": "object", "required": needed, "properties": beside(&module), "additionalProperties": false },
            { "type": "object", "required": ["wasm_module", "config"], "properties": {
                "wasm_module": module, "config": named(),
            }, "additionalProperties": false },
        ],
    })
}

/// A deployment as a form.
fn form(needed: &[&str], config: &Value) -> Value {
    json!({
        "type": "object",
        "required": needed,
        "properties": {
            "module": { "type": "string", "contentMediaType": "application/wasm", "description": "The module's bytes." },
            "manifest": { "type": "string", "contentMediaType": "application/toml", "description": "caxton.toml." },
            "config": config,
        },
        "additionalProperties": false,
    })
}

/// The properties of the flat JSON form of a deployment: the settings' own and the module.
fn beside(module: &Value) -> Map<String, Value> {
    let settings =
        serde_json::to_value(<AgentConfig as utoipa::PartialSchema>::schema()).unwrap_or_default();
    let mut properties = Map::new();
    properties.insert("wasm_module".to_owned(), module.clone());
    if let Some(own) = settings.get("properties").and_then(Value::as_object) {
        properties.extend(own.clone());
    }
    properties
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

fn reference(schema: &str) -> Value {
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
        Answer::Events(schema) => {
            json!({ "text/event-stream": { "schema": { "type": "string", "description": format!("Server-sent events; the data of each is JSON of {schema}.") } } })
        }
        Answer::PageOrEvents(page, each) => json!({
            "application/json": { "schema": reference(page) },
            "text/event-stream": { "schema": { "type": "string", "description": format!("Server-sent events; the data of each is JSON of {each}.") } },
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
}
