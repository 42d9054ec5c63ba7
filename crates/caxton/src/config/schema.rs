//! The JSON Schema of `node.toml`, for editors.

use serde_json::{Map, Value, json};

use crate::config::setting::{Setting, SettingKind, settings};

/// The schema as published in `docs/node.schema.json`.
pub(crate) fn schema() -> Value {
    let mut root = Map::new();
    let mut sections: Vec<(String, Map<String, Value>)> = Vec::new();
    for setting in settings() {
        let (section, key) = setting.place();
        let value = property(&setting);
        if section.is_empty() {
            root.insert(key.to_owned(), value);
        } else if let Some((_, map)) = sections.iter_mut().find(|(name, _)| name == section) {
            map.insert(key.to_owned(), value);
        } else {
            sections.push((
                section.to_owned(),
                Map::from_iter([(key.to_owned(), value)]),
            ));
        }
    }
    for (section, properties) in sections {
        root.insert(
            section,
            json!({ "type": "object", "properties": properties, "additionalProperties": false }),
        );
    }
    root.insert(
        "directories".to_owned(),
        json!({
            "type": "object",
            "description": "Directories of this machine by the names under which agents see them, each below a grant of fs:read or fs:write.",
            "additionalProperties": { "type": "string" },
            "examples": [{ "/data/in": "/srv/in" }],
        }),
    );
    root.insert(
        "environment".to_owned(),
        json!({
            "type": "object",
            "description": "Variables by their names, each for those guests that are granted env:read for it. Secrets belong into the vault.",
            "additionalProperties": { "type": "string" },
            "examples": [{ "TZ": "Europe/Vienna" }],
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "node.toml: a Caxton node",
        "type": "object",
        "properties": root,
        "additionalProperties": false,
    })
}

fn property(setting: &Setting) -> Value {
    let mut property = match setting.kind {
        SettingKind::Path | SettingKind::Address | SettingKind::Text | SettingKind::LogFilter => {
            json!({ "type": "string" })
        }
        SettingKind::Flag => json!({ "type": "boolean" }),
        SettingKind::Count(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        SettingKind::Bytes => json!({ "type": ["string", "integer"], "examples": ["64MiB"] }),
        SettingKind::Duration => json!({ "type": "string", "examples": ["250ms"] }),
        SettingKind::Choice(words) => json!({ "type": "string", "enum": words }),
        SettingKind::Limit(name) => {
            let example = name.show(name.default_for(caxton_model::Kind::Agent));
            json!({ "type": ["string", "integer"], "examples": [example.replace(' ', "")] })
        }
    };
    if let Some(map) = property.as_object_mut() {
        map.insert("description".to_owned(), json!(setting.what));
        if !setting.default.is_empty() {
            let default = match setting.kind {
                SettingKind::Flag => json!(setting.default == "true"),
                SettingKind::Count(..) => json!(setting.default.parse::<u64>().unwrap_or_default()),
                _ => json!(setting.default),
            };
            map.insert("default".to_owned(), default);
        }
    }
    property
}
