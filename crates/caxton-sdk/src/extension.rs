//! The extension: named actions with schemas.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What an extension says about itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExtensionInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it can do.
    pub actions: Vec<ActionInfo>,
    /// JSON Schema of its configuration.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub config_schema: Value,
    /// Topics it emits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionInfo {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// JSON Schema of what it takes.
    pub input_schema: Value,
    /// JSON Schema of what it gives.
    pub output_schema: Value,
}

impl ActionInfo {
    /// An action that takes and gives any JSON.
    #[must_use]
    pub fn new(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema: json!({}),
            output_schema: json!({}),
        }
    }
}

/// An extension's two calls.
pub trait Extension {
    /// What it is and can do.
    fn describe(&self) -> ExtensionInfo;

    /// Does an action.
    ///
    /// Errors: the action's, in words for the caller.
    fn call(&mut self, action: &str, input: &Value) -> Result<Value, String>;
}
