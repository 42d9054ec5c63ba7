//! Limits and grants as a request writes them: by name, in numbers or in texts with units.

use std::{collections::BTreeMap, fmt};

use caxton_model::{
    AskedLimits, Grants, LimitName, LimitsError, Permission, UNLIMITED, whole, whole_of,
};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::ConfigError;

/// One limit's value as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AskedValue {
    /// Not bounded.
    Unlimited,
    /// In the limit's base unit: bytes, microseconds, or a count.
    Number(u64),
    /// With a unit: `"64MiB"`, `"250ms"`.
    Text(String),
}

impl<'de> Deserialize<'de> for AskedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = AskedValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, a text with a unit such as \"64MiB\", or null")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<AskedValue, E> {
                Ok(AskedValue::Number(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<AskedValue, E> {
                u64::try_from(value)
                    .map(AskedValue::Number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<AskedValue, E> {
                whole_of(value)
                    .map(AskedValue::Number)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<AskedValue, E> {
                Ok(AskedValue::Text(value.to_owned()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<AskedValue, E> {
                Ok(AskedValue::Unlimited)
            }
            fn visit_none<E: de::Error>(self) -> Result<AskedValue, E> {
                Ok(AskedValue::Unlimited)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads a whole number however it is written: `5.0` is `5`.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let wrong = || de::Error::custom(format!("expected a whole number, got {number}"));
    whole(&number).map(Some).ok_or_else(wrong)
}

/// Limits that differ from the defaults, by name.
pub type AskedLimitMap = BTreeMap<String, AskedValue>;

/// What is granted, by permission.
pub type AskedGrants = BTreeMap<String, GrantPattern>;

/// The pattern of one grant, with the manifest's keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantPattern {
    /// For `message:send`: receivers as globs, or `capability:NAME`; for `http:read` and `http:write`:
    /// hosts with an optional method, port and path; for `secret:use`: a secret's name, a host and a
    /// header, as in `token@api.example.com Authorization: Bearer {}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Reads limits; both maps may name a limit, if they agree.
pub(crate) fn read_limits(maps: [&AskedLimitMap; 2]) -> Result<AskedLimits, ConfigError> {
    let mut asked = AskedLimits::default();
    for (written, value) in maps.into_iter().flatten() {
        let name: LimitName = written.parse().map_err(ConfigError::Limit)?;
        let value = match value {
            AskedValue::Unlimited => UNLIMITED,
            AskedValue::Number(number) => *number,
            AskedValue::Text(text) => name
                .read(text)
                .map_err(|reason| ConfigError::Limit(LimitsError::Malformed { name, reason }))?,
        };
        if asked
            .0
            .insert(name, value)
            .is_some_and(|other| other != value)
        {
            return Err(ConfigError::Limit(LimitsError::Malformed {
                name,
                reason: "is asked for twice with different values".to_owned(),
            }));
        }
    }
    Ok(asked)
}

/// Reads grants.
pub(crate) fn read_grants(asked: &AskedGrants) -> Result<Grants, ConfigError> {
    let mut grants = Grants::default();
    for (written, pattern) in asked {
        match written.parse().map_err(ConfigError::Permission)? {
            Permission::MessageSend => grants.message_send = Some(pattern.to.clone()),
            // It is given whole or not at all.
            Permission::RandomSecure => {}
            permission if permission.is_performed() && pattern.to.is_empty() => {
                return Err(ConfigError::EmptyGrant { permission });
            }
            performed if performed.is_performed() => {}
            other => return Err(ConfigError::NotGrantable { permission: other }),
        }
    }
    Ok(grants)
}

/// Reads what is granted beside `message:send`: each rule as a text, with its reason.
pub(crate) fn read_rules(asked: &AskedGrants) -> Vec<(String, Option<String>)> {
    let others = asked
        .iter()
        .filter(|(written, _)| **written != *Permission::MessageSend.as_str());
    others
        .flat_map(|(written, pattern)| {
            let reason = &pattern.reason;
            let rule = move |to: &String| (format!("{written}={to}"), reason.clone());
            let whole = pattern
                .to
                .is_empty()
                .then(|| (written.clone(), reason.clone()));
            pattern.to.iter().map(rule).chain(whole)
        })
        .collect()
}
