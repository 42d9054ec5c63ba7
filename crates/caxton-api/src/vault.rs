//! Secrets of the vault. Values go in by this API, and never come out.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A secret to be set, in place of one of that name. Just one of `value` and `value_base64`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// What it is called: `name`, or `namespace/name` outside the default namespace.
    #[schema(
        pattern = "^([A-Za-z][A-Za-z0-9_.-]{0,62}/)?[A-Za-z][A-Za-z0-9_.-]{0,62}$",
        example = "github-token"
    )]
    pub name: String,
    /// Its value: 8 bytes to 64 KiB, of ASCII.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text"
    )]
    #[schema(value_type = String, required = false, min_length = 8, max_length = 65536, pattern = "^[\\x00-\\x7f]*$")]
    pub value: Option<String>,
    /// The same in base64, for a value that is not ASCII.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text"
    )]
    #[schema(
        value_type = String,
        required = false,
        max_length = 87380,
        content_encoding = "base64",
        pattern = "^([A-Za-z0-9+/]{4}){2,}([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/]{4}[A-Za-z0-9+/][AQgw]==)$"
    )]
    pub value_base64: Option<String>,
}

/// A text, and not null.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Without the value.
impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretEntry {
    /// What it is called.
    pub name: String,
    /// When it was set; absent: its record is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub set_at: Option<String>,
    /// Why it can't be used, if it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a rotation of the vault's key has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRotated {
    /// Secrets that are sealed with the new key: all of them.
    pub secrets: u64,
}
