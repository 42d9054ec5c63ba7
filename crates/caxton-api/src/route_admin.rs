//! Routes that need the scope admin whatever they are asked for: the audit log, and tokens.

use caxton_model::ErrorCode as E;

use crate::{
    Answer, Body,
    Method::{Delete, Post},
    Route, RouteId, Scope,
    route_params::{
        AUDIT_ACTION, AUDIT_CURSOR, AUDIT_OUTCOME, FLAG, LIMIT, PERMISSION, TEXT, TIME, path, query,
    },
    route_table::BASE,
};

const AUDIT: Route = Route {
    tag: "audit",
    scope: Some(Scope::Admin),
    errors: &[E::NotFound, E::JournalDamaged],
    ..BASE
};
const TOKENS: Route = Route {
    tag: "tokens",
    scope: Some(Scope::Admin),
    ..BASE
};

pub(crate) const SEARCH_AUDIT: Route = Route {
    id: RouteId::SearchAudit,
    path: "/api/v1/audit",
    summary: "Finds audit records, oldest first; a page may be empty and still have a next one.",
    params: &[
        query("from", TIME, "Only records from this time on."),
        query("to", TIME, "Only records up to this time."),
        query("namespace", TEXT, "Only records of this namespace."),
        query("subject", TEXT, "Only acts of whom this is the name or id."),
        query("action", AUDIT_ACTION, "Only this action."),
        query("outcome", AUDIT_OUTCOME, "Only this outcome."),
        query(
            "permission",
            PERMISSION,
            "Only records where the gate was asked for this permission.",
        ),
        query(
            "text",
            TEXT,
            "Only records whose subject, target or details contain this text.",
        ),
        query(
            "last",
            FLAG,
            "Looks at the last `limit` records alone, and not from `cursor` on.",
        ),
        AUDIT_CURSOR,
        LIMIT,
    ],
    answers: &[(200, Answer::Json("Page_AuditEntry"))],
    ..AUDIT
};

pub(crate) const GET_AUDIT_HEAD: Route = Route {
    id: RouteId::GetAuditHead,
    path: "/api/v1/audit/head",
    summary: "The newest signed head of the audit log, to be kept elsewhere.",
    answers: &[(200, Answer::Json("AuditHead"))],
    ..AUDIT
};

pub(crate) const VERIFY_AUDIT: Route = Route {
    id: RouteId::VerifyAudit,
    path: "/api/v1/audit/verify",
    summary: "Checks the whole audit log against its own bytes and the signed heads.",
    params: &[query(
        "head",
        TEXT,
        "A signed head that was kept elsewhere, as JSON; the log has to fit it as well.",
    )],
    answers: &[(200, Answer::Json("AuditCheck"))],
    ..AUDIT
};

pub(crate) const CREATE_TOKEN: Route = Route {
    id: RouteId::CreateToken,
    method: Post,
    path: "/api/v1/tokens",
    summary: "Makes a token; its secret is shown this once.",
    body: Body::Json("NewToken"),
    answers: &[(201, Answer::Json("TokenCreated"))],
    errors: &[
        E::InvalidName,
        E::NameTaken,
        E::NodeBudget,
        E::DiskFull,
        E::AuditUnavailable,
    ],
    ..TOKENS
};

pub(crate) const LIST_TOKENS: Route = Route {
    id: RouteId::ListTokens,
    path: "/api/v1/tokens",
    summary: "Lists tokens, without secrets.",
    answers: &[(200, Answer::Json("Page_TokenEntry"))],
    ..TOKENS
};

pub(crate) const DELETE_TOKEN: Route = Route {
    id: RouteId::DeleteToken,
    method: Delete,
    path: "/api/v1/tokens/{id}",
    summary: "Takes a token away; requests with it are refused from now on.",
    params: &[path("id", "The token's id.")],
    answers: &[(204, Answer::Empty)],
    errors: &[E::NotFound, E::Conflict, E::DiskFull, E::AuditUnavailable],
    ..TOKENS
};

const VAULT: Route = Route {
    tag: "vault",
    scope: Some(Scope::Admin),
    ..BASE
};
pub(crate) const SET_SECRET: Route = Route {
    id: RouteId::SetSecret,
    method: Post,
    path: "/api/v1/vault",
    summary: "Sets a secret of the vault; no route answers its value.",
    body: Body::Json("NewSecret"),
    answers: &[(204, Answer::Empty)],
    errors: &[
        E::InvalidName,
        E::ReservedName,
        E::VaultClosed,
        E::NodeBudget,
        E::DiskFull,
    ],
    ..VAULT
};
pub(crate) const LIST_SECRETS: Route = Route {
    id: RouteId::ListSecrets,
    path: "/api/v1/vault",
    summary: "Lists the secrets of the vault, without their values.",
    answers: &[(200, Answer::Json("Page_SecretEntry"))],
    ..VAULT
};
pub(crate) const REMOVE_SECRET: Route = Route {
    id: RouteId::RemoveSecret,
    method: Delete,
    path: "/api/v1/vault/{name}",
    summary: "Removes a secret; the next request that would use it is refused.",
    params: &[path("name", "The secret's name, its `/` percent-encoded.")],
    answers: &[(204, Answer::Empty)],
    errors: &[E::NotFound, E::InvalidName, E::ReservedName, E::DiskFull],
    ..VAULT
};
pub(crate) const ROTATE_VAULT_KEY: Route = Route {
    id: RouteId::RotateVaultKey,
    method: Post,
    path: "/api/v1/vault-key/rotate",
    summary: "Makes a new key in the vault's key file, seals every secret with it, and forgets the old one.",
    answers: &[(200, Answer::Json("KeyRotated"))],
    errors: &[E::VaultClosed, E::Conflict, E::DiskFull],
    ..VAULT
};
