//! Secrets of the vault. Values go in by this API, and never come out.

use std::fmt;

use serde::{Deserialize, Serialize};
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
    /// Its value: 8 bytes to 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 2, max_length = 65536)]
    pub value: Option<String>,
    /// The same in base64, for a value that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 87384, content_encoding = "base64")]
    pub value_base64: Option<String>,
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
