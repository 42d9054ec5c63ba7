//! How an agent is to be deployed.

use std::collections::BTreeMap;

use caxton_model::{
    AskedLimits, Durability, EngineProfile, ErrorCode, Grants, LimitsError, Micros, Permission,
    PermissionError, Supervision, whole,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    AskedGrants, AskedLimitMap,
    asked::{read_grants, read_limits, read_rules},
};

/// Everything about a deployment but the module itself. Only the name is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The agent's name, optionally `namespace/name`; free on this node. An update ignores it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(
        pattern = "^([A-Za-z][A-Za-z0-9_.-]{0,62}/)?[A-Za-z][A-Za-z0-9_.-]{0,62}$",
        example = "greeter"
    )]
    pub name: String,
    /// The package's version. Default: `0.0.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1.2.0", max_length = 128)]
    pub version: Option<String>,
    /// Limits that differ from the defaults: numbers in base units, texts with units, or null for
    /// unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = crate::schema::limits)]
    pub limits: AskedLimitMap,
    /// The same under its other name; takes `max_memory_bytes` and its like too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = crate::schema::limits)]
    pub resources: AskedLimitMap,
    /// Capabilities it is said to have, until it registers its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub capabilities: Vec<String>,
    /// What it may do beyond the default, by permission. Needs scope admin.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "asked_grants"
    )]
    #[schema(schema_with = crate::schema::grants)]
    pub grants: AskedGrants,
    /// Whether its state survives. Default: `durable`; at an update, what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::schema::durability)]
    pub durability: Option<Durability>,
    /// How it is kept alive.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "asked_supervision"
    )]
    #[schema(schema_with = crate::schema::supervision)]
    pub supervision: Option<Supervision>,
    /// Its own configuration, as the guest reads it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// The engine profile. Default: `hardened`.
    #[serde(default)]
    #[schema(schema_with = crate::schema::profile)]
    pub profile: EngineProfile,
    /// Idle time after which its instance may go: microseconds, or a text such as `"5m"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::schema::duration)]
    pub passivate_after: Option<Micros>,
}

/// Reads what is granted. Serde alone would take a list for a pattern, field by field.
pub(crate) fn asked_grants<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<AskedGrants, D::Error> {
    BTreeMap::<String, Map<String, Value>>::deserialize(deserializer)?
        .into_iter()
        .map(|(name, fields)| Ok((name, object::<_, D::Error>(fields)?)))
        .collect()
}

fn object<T: DeserializeOwned, E: serde::de::Error>(fields: Map<String, Value>) -> Result<T, E> {
    serde_json::from_value(Value::Object(fields)).map_err(E::custom)
}

/// Reads how an agent is kept alive, with the same care.
fn asked_supervision<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Supervision>, D::Error> {
    let Some(mut fields) = Option::<Map<String, Value>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    for field in fields.values_mut() {
        if let Value::Number(number) = field
            && let Some(whole) = whole(number)
        {
            *field = whole.into();
        }
    }
    if fields.get("group").is_some_and(Value::is_array) {
        return Err(D::Error::custom(
            "`group` of `supervision`: expected an object",
        ));
    }
    object(fields).map(Some)
}

/// The JSON form of a deployment: the module in base64 beside the settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The module's bytes in base64.
    pub wasm_module: String,
    /// The settings.
    pub config: AgentConfig,
}

/// The JSON form of an update: as a deployment, without the name.
pub type UpdateRequest = DeployRequest;

/// How an agent is to stop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopRequest {
    /// Whether it first works off its mailbox. Default: false.
    pub drain: bool,
    /// How long it may take until it is cut off. Unit: milliseconds. Default: 5,000.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::whole_number"
    )]
    #[schema(maximum = 300_000)]
    pub grace_ms: Option<u64>,
}

/// Why settings were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A limit that is none, or a value that is not one of its.
    #[error("{0}")]
    Limit(LimitsError),
    /// A permission that is none.
    #[error("{0}")]
    Permission(PermissionError),
    /// A permission this node has no way to serve.
    #[error(
        "this version of the node can't grant `{permission}`; docs/permissions.md says what it grants"
    )]
    NotGrantable {
        /// Which.
        permission: Permission,
    },
    /// A grant without patterns would grant nothing.
    #[error(
        "`{permission}` is granted for nothing; name what it is for, as in {{\"to\": [\"api.example.com/**\"]}}"
    )]
    EmptyGrant {
        /// Which.
        permission: Permission,
    },
    /// A grant of `message:send` to a processor.
    #[error(
        "a processor sends no messages, so `message:send` would grant it nothing; leave it out"
    )]
    SendsNothing,
}

impl ConfigError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Limit(LimitsError::UnknownName { .. }) | Self::Permission(_) => {
                ErrorCode::UnknownField
            }
            Self::Limit(_) => ErrorCode::InvalidLimit,
            Self::NotGrantable { .. } | Self::EmptyGrant { .. } | Self::SendsNothing => {
                ErrorCode::InvalidConfig
            }
        }
    }
    /// The nearest valid name, for a name that is none.
    #[must_use]
    pub const fn nearest(&self) -> Option<&'static str> {
        match self {
            Self::Limit(LimitsError::UnknownName { nearest, .. }) => *nearest,
            _ => None,
        }
    }
}

impl AgentConfig {
    /// The limits asked for, by either name.
    ///
    /// Errors: [`ConfigError::Limit`].
    pub fn asked_limits(&self) -> Result<AskedLimits, ConfigError> {
        read_limits([&self.limits, &self.resources])
    }
    /// The grants asked for.
    ///
    /// Errors: [`ConfigError::Permission`], [`ConfigError::NotGrantable`].
    pub fn asked_grants(&self) -> Result<Grants, ConfigError> {
        read_grants(&self.grants)
    }
    /// The rules that are granted beside `message:send`, each with its reason.
    #[must_use]
    pub fn asked_rules(&self) -> Vec<(String, Option<String>)> {
        read_rules(&self.grants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_model::LimitName;

    fn config(json: &str) -> AgentConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn limits_are_read_under_both_names() {
        let asked = config(
            r#"{"name":"a","limits":{"cpu":"250ms","fuel":null},"resources":{"max_memory_bytes":1048576}}"#,
        )
        .asked_limits()
        .unwrap();
        assert_eq!(asked.0.get(&LimitName::Memory), Some(&1_048_576));
        assert_eq!(asked.0.get(&LimitName::Cpu), Some(&250_000));
        assert_eq!(asked.0.get(&LimitName::Fuel), Some(&u64::MAX));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let unknown = config(r#"{"limits":{"memmory":1}}"#)
            .asked_limits()
            .unwrap_err();
        assert_eq!(
            (unknown.code(), unknown.nearest()),
            (ErrorCode::UnknownField, Some("memory"))
        );
        let twice = config(r#"{"limits":{"memory":1},"resources":{"max_memory_bytes":2}}"#);
        assert_eq!(
            twice.asked_limits().unwrap_err().code(),
            ErrorCode::InvalidLimit
        );
        let later = config(r#"{"grants":{"data:read":{}}}"#)
            .asked_grants()
            .unwrap_err();
        assert_eq!(later.code(), ErrorCode::InvalidConfig);
        let typo = config(r#"{"grants":{"message:sent":{}}}"#)
            .asked_grants()
            .unwrap_err();
        assert!(typo.to_string().contains("`message:send`"), "{typo}");
        assert!(serde_json::from_str::<AgentConfig>(r#"{"nam":"a"}"#).is_err());
        for list in [
            r#"{"supervision":["permanent"]}"#,
            r#"{"supervision":{"group":["g"]}}"#,
            r#"{"grants":{"message:send":[["df"]]}}"#,
        ] {
            let error = serde_json::from_str::<AgentConfig>(list).unwrap_err();
            assert!(error.to_string().contains("expected"), "{list}: {error}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read = config(
            r#"{"limits":{"memory":1048576.0},"passivate_after":5e6,"supervision":{"max_failures":3.0,"window_micros":7.0}}"#,
        );
        assert_eq!(read.limits["memory"], crate::AskedValue::Number(1 << 20));
        assert_eq!(read.passivate_after, Some(Micros::secs(5)));
        let supervision = read.supervision.unwrap();
        assert_eq!(
            (supervision.max_failures, supervision.window_micros),
            (3, Micros(7))
        );
        for part in [
            r#"{"limits":{"memory":1.5}}"#,
            r#"{"limits":{"memory":1e20}}"#,
            r#"{"limits":{"memory":-1.0}}"#,
            r#"{"passivate_after":0.5}"#,
            r#"{"supervision":{"max_failures":0.5}}"#,
        ] {
            assert!(serde_json::from_str::<AgentConfig>(part).is_err(), "{part}");
        }
    }

    #[test]
    fn a_config_goes_there_and_back() {
        let before = config(
            r#"{"name":"a","limits":{"cpu":"1s"},"durability":"memory","passivate_after":"5m",
                "grants":{"message:send":{"to":["acme/*"]}},"supervision":{"max_failures":2}}"#,
        );
        let after: AgentConfig =
            serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
        assert_eq!(after, before);
    }
}
