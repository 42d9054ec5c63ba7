//! `[permissions]`: what a package asks for, with its patterns and its reason.

use std::collections::BTreeMap;

use caxton_model::Permission;

use crate::manifest_reader::TableReader;

/// What is asked for with one permission. Asking is not having: an operator grants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionRequest {
    /// The patterns by their key: `hosts`, `paths`, `to` and so on.
    pub patterns: BTreeMap<&'static str, Vec<String>>,
    /// The header of `secret:use`.
    pub header: Option<String>,
    /// Whether `http:serve` asks to be reached without a token.
    pub public: bool,
    /// Why, in the author's words; every prompt shows it.
    pub reason: Option<String>,
}

impl PermissionRequest {
    /// The keys of patterns that each permission has.
    pub(crate) const fn pattern_keys(permission: Permission) -> &'static [&'static str] {
        match permission {
            // `to` with a path, `hosts` for any path; either is enough.
            Permission::HttpRead | Permission::HttpWrite => &["to", "hosts"],
            Permission::FsRead | Permission::FsWrite => &["paths"],
            Permission::EnvRead
            | Permission::VaultRead
            | Permission::VaultWrite
            | Permission::WorkflowRun => &["names"],
            Permission::NetTcp
            | Permission::NetUdp
            | Permission::NetListen
            | Permission::MessageSend
            | Permission::MessageListen => &["to"],
            Permission::SecretUse => &["names", "hosts"],
            Permission::EventEmit | Permission::EventListen => &["topics"],
            Permission::DataRead | Permission::DataWrite => &["tables"],
            Permission::ExtCall => &["actions"],
            Permission::HttpServe | Permission::RandomSecure => &[],
        }
    }
}

/// Reads `[permissions]`.
pub(crate) fn read(mut table: TableReader<'_>) -> BTreeMap<Permission, PermissionRequest> {
    let mut requests = BTreeMap::new();
    for permission in Permission::ALL {
        // The key is only looked at where it stands, so that an absent one is no complaint.
        if let Some(request) = table.table(permission.as_str()) {
            requests.insert(*permission, read_request(*permission, request));
        }
    }
    table.finish();
    requests
}

fn read_request(permission: Permission, mut table: TableReader<'_>) -> PermissionRequest {
    let mut request = PermissionRequest::default();
    let keys = PermissionRequest::pattern_keys(permission);
    let given = |table: &TableReader<'_>, key: &str| table.keys().any(|(given, _)| given == key);
    let one_is_enough = matches!(permission, Permission::HttpRead | Permission::HttpWrite);
    let mut needed = !(one_is_enough && keys.iter().any(|key| given(&table, key)));
    for key in keys {
        let patterns = table.texts(key);
        match &patterns {
            Some(patterns) if patterns.is_empty() => {
                let what = format!("`{permission}` asks for an empty list of {key}");
                table.complain(
                    table.span_of(key),
                    what,
                    "name what is needed, or remove it",
                );
            }
            None if needed && !given(&table, key) => {
                let what = format!("`{permission}` says not for which {key}");
                table.complain(table.span(), what, format!("add `{key} = [\"…\"]`"));
                needed = !one_is_enough;
            }
            _ => {}
        }
        if let Some(patterns) = patterns {
            let patterns = patterns.into_iter().map(str::to_owned).collect();
            request.patterns.insert(key, patterns);
        }
    }
    if permission == Permission::SecretUse {
        request.header = table.text("header").map(str::to_owned);
    }
    if permission == Permission::HttpServe {
        request.public = table.flag("public").unwrap_or(false);
    }
    request.reason = table.text("reason").map(str::to_owned);
    table.finish();
    request
}
