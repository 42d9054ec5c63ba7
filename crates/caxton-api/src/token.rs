//! Bearer tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Scope;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is called; also the client it is bound to, where `clients` names none.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_.-]{0,62}$", example = "ci")]
    pub name: String,
    /// What it may do; at least one.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// The namespace it ends at; absent: all of them. Not with the scope admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_.-]{0,62}$")]
    pub namespace: Option<String>,
    /// The clients it is bound to, by their names in its namespace: it sends as them and reads their
    /// replies. The first one is the sender of messages that name none. Each is bound to one token.
    /// Absent: the token's own name alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    pub clients: Vec<String>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenEntry {
    /// Names it in this API.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The namespace it ends at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The clients it is bound to, by their full names.
    #[serde(default)]
    pub clients: Vec<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A new token. Its secret is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// The secret, to be sent as `Authorization: Bearer …`. The node keeps only a hash of it.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub entry: TokenEntry,
}
