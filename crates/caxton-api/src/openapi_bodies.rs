//! Schemas of request bodies that are read by other rules than serde's: messages and deployments.
//!
//! A union is a component of its own whose members are components too, and no property is composed
//! of several schemas: generators of clients leave out operations that have such bodies.

use caxton_model::Performative;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema as _,
    openapi::{RefOr, Schema},
};

use crate::{AgentConfig, ProcessorConfig, openapi::reference};

/// All of them, by name.
pub(crate) fn schemas() -> Map<String, Value> {
    let deploy = "A module and how it is to be deployed";
    let update = "A module and its new settings; a name is ignored";
    let agent = || fields_of(AgentConfig::schema());
    let processor = || fields_of(ProcessorConfig::schema());
    [
        ("FipaMessage", message()),
        (
            "SendRequest",
            json!({ "allOf": [reference("FipaMessage"), reference("SendOptions")] }),
        ),
        ("DeployConfig", named(agent)),
        ("DeployForm", form("DeployConfig", &["module", "config"])),
        ("DeployRequest", either("DeployFlat", "DeployNested")),
        ("DeployFlat", flat(deploy, &["wasm_module", "name"], agent)),
        ("DeployNested", nested(deploy, "DeployConfig")),
        ("UpdateForm", form("AgentConfig", &["module"])),
        ("UpdateRequest", either("UpdateFlat", "UpdateNested")),
        ("UpdateFlat", flat(update, &["wasm_module"], agent)),
        ("UpdateNested", nested(update, "DeployConfig")),
        ("DeployProcessorConfig", named(processor)),
        (
            "DeployProcessorForm",
            form("DeployProcessorConfig", &["module", "config"]),
        ),
        (
            "DeployProcessorRequest",
            either("DeployProcessorFlat", "DeployProcessorNested"),
        ),
        (
            "DeployProcessorFlat",
            flat(deploy, &["wasm_module", "name"], processor),
        ),
        (
            "DeployProcessorNested",
            nested(deploy, "DeployProcessorConfig"),
        ),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

/// A message: read by rules of its own, which keep what they do not know.
fn message() -> Value {
    let text = json!({ "type": ["string", "null"], "maxLength": 1024 });
    let mut fields = Map::new();
    fields.insert(
        "performative".to_owned(),
        json!({
            "type": "string",
            "enum": Performative::ALL.map(Performative::as_str),
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

fn either(one: &str, other: &str) -> Value {
    json!({
        "description": "The settings stand beside `wasm_module`, or as a whole under `config`.",
        "anyOf": [reference(one), reference(other)],
    })
}

/// The schema of settings, as it is derived.
fn fields_of(settings: RefOr<Schema>) -> Map<String, Value> {
    let settings = serde_json::to_value(settings).unwrap_or_default();
    settings.as_object().cloned().unwrap_or_default()
}

/// Settings that have a name.
fn named(config: impl Fn() -> Map<String, Value>) -> Value {
    let mut config = config();
    config.insert("required".to_owned(), json!(["name"]));
    Value::Object(config)
}

fn module() -> Value {
    json!({
        "type": "string",
        "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        "description": "The module's bytes in base64.",
    })
}

/// The JSON form whose settings stand beside the module.
fn flat(what: &str, needed: &[&str], config: impl Fn() -> Map<String, Value>) -> Value {
    let mut properties = Map::new();
    properties.insert("wasm_module".to_owned(), module());
    let settings = config().remove("properties");
    properties.extend(
        settings
            .and_then(|own| own.as_object().cloned())
            .unwrap_or_default(),
    );
    json!({
        "type": "object",
        "description": format!("{what}: the settings stand beside `wasm_module`."),
        "required": needed,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The JSON form whose settings are one object.
fn nested(what: &str, config: &str) -> Value {
    json!({
        "type": "object",
        "description": format!("{what}: the settings stand under `config`."),
        "required": ["wasm_module", "config"],
        "properties": { "wasm_module": module(), "config": reference(config) },
        "additionalProperties": false,
    })
}

/// A deployment as a form.
fn form(config: &str, needed: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": needed,
        "properties": {
            "module": { "type": "string", "format": "binary", "contentMediaType": "application/wasm", "description": "The module's bytes." },
            "manifest": { "type": "string", "contentMediaType": "application/toml", "description": "caxton.toml; with it, `config` may be left out." },
            "config": reference(config),
        },
        "additionalProperties": false,
    })
}
