//! What a module's imports say of its permissions, before it ever runs: the least it needs, and what
//! its manifest names in vain.

use std::{collections::BTreeMap, fmt::Write as _};

use caxton_model::{ImportClass, Permission, Permissions};
use serde::Serialize;

use crate::{ImportReport, ModuleReport, PermissionRequest, is_host_module};

/// A permission without which an import can do nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionNeed {
    /// The permission.
    pub permission: Permission,
    /// The imports that need it, as `module.name`.
    pub imports: Vec<String>,
}

/// A manifest's `[permissions]` beside the imports of its module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaticComparison {
    /// Imports whose permission the manifest does not ask for.
    pub missing: Vec<PermissionNeed>,
    /// Permissions that the manifest asks for, and that no import can use.
    pub unused: Vec<Permission>,
}

impl ModuleReport {
    /// The permissions that its imports need, each with the imports, in the order of the permissions.
    ///
    /// An import of HTTP serves reading and writing; `http:read`, the smaller one, stands for it.
    #[must_use]
    pub fn permissions_needed(&self) -> Vec<PermissionNeed> {
        let mut needs: BTreeMap<Permission, Vec<String>> = BTreeMap::new();
        for import in &self.imports {
            if let Some(ImportClass::Right(permission)) = import.class {
                let name = format!("{}.{}", import.module, import.name);
                needs.entry(permission).or_default().push(name);
            }
        }
        let needs = needs.into_iter();
        needs
            .map(|(permission, imports)| PermissionNeed {
                permission,
                imports,
            })
            .collect()
    }
    /// The smallest `[permissions]` that its imports need, as a part of `caxton.toml`.
    ///
    /// Imports do not say which hosts or names they are used for: the patterns are examples, which
    /// give nothing that exists, and the author writes the right ones in their place.
    #[must_use]
    pub fn permissions_table(&self) -> String {
        let mut text = "[permissions]\n".to_owned();
        for need in self.permissions_needed() {
            let _ = writeln!(text, "# {}", need.imports.join(", "));
            if need.permission == Permission::HttpRead {
                text.push_str("# GET and HEAD; ask for \"http:write\" for all other methods\n");
            }
            let _ = writeln!(
                text,
                "\"{}\" = {{ {}reason = \"say what it is for\" }}",
                need.permission,
                example(need.permission)
            );
        }
        text
    }
    /// Compares what a manifest asks for with what the imports need and can use.
    #[must_use]
    pub fn compare_permissions(&self, asked: &Permissions) -> StaticComparison {
        let mut missing = self.permissions_needed();
        missing.retain(|need| !need.permission.is_opened_by(asked));
        let is_used = |permission: Permission| self.imports.iter().any(|i| can_use(i, permission));
        let unused = asked.iter().copied().filter(|p| !is_used(*p)).collect();
        StaticComparison { missing, unused }
    }
}

impl StaticComparison {
    /// The first part of it in words: what makes a deployment fail.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let of = |need: &PermissionNeed| {
            format!(
                "the module imports `{}`, and the manifest does not ask for `{}`",
                need.imports.join("`, `"),
                need.permission
            )
        };
        self.missing.iter().map(of).collect()
    }
    /// The second part of it in words: what an author may take out.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let of = |permission: &Permission| {
            format!(
                "the manifest asks for `{permission}`, and the module imports nothing that uses it"
            )
        };
        self.unused.iter().map(of).collect()
    }
}

/// Whether an import can make use of a permission.
fn can_use(import: &ImportReport, permission: Permission) -> bool {
    if is_host_module(&import.module) {
        return match (import.permission, permission) {
            (Some(Permission::HttpRead), Permission::HttpWrite | Permission::SecretUse)
            | (Some(Permission::MessageListen), Permission::EventListen) => true,
            (own, _) => own == Some(permission),
        } || (permission == Permission::RandomSecure && import.name == "random_u32");
    }
    if import.module != "wasi_snapshot_preview1" {
        return false;
    }
    match permission {
        Permission::FsRead | Permission::FsWrite => import.name.starts_with("path_"),
        Permission::EnvRead => import.name.starts_with("environ_"),
        Permission::NetTcp | Permission::NetUdp | Permission::NetListen => {
            import.name.starts_with("sock_")
        }
        Permission::RandomSecure => import.name == "random_get",
        _ => false,
    }
}

/// The keys of a request's row with examples in them.
fn example(permission: Permission) -> String {
    let pattern = match permission {
        Permission::HttpRead | Permission::HttpWrite => "api.example.com/**",
        Permission::NetTcp | Permission::NetUdp | Permission::NetListen => "db.example.com:5432",
        Permission::FsRead | Permission::FsWrite => "/data/example/**",
        _ => "example",
    };
    let keys = PermissionRequest::pattern_keys(permission).first();
    keys.map(|key| format!("{key} = [\"{pattern}\"], "))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, inspect};

    fn report(imports: &str) -> ModuleReport {
        let module = format!(
            r#"(module {imports} (memory (export "memory") 1)
            (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#
        );
        inspect(&wat::parse_str(module).unwrap())
    }
    fn asked(permissions: &str) -> Permissions {
        let head =
            "[package]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"agent\"\nmodule = \"a.wasm\"\n";
        let manifest = Manifest::read("m", &format!("{head}[permissions]\n{permissions}"));
        manifest.unwrap().permissions.into_keys().collect()
    }
    const HTTP: &str = r#"(import "caxton" "http_request" (func (param i32 i32) (result i32)))
        (import "caxton" "read_response" (func (param i32 i32) (result i32)))
        (import "caxton" "send_message" (func (param i32 i32) (result i32)))"#;
    const WASI: &str = r#"(import "wasi_snapshot_preview1" "path_open"
        (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;

    #[test]
    fn the_smallest_table_names_each_right_that_is_imported_and_is_a_manifest() {
        let report = report(HTTP);
        let table = report.permissions_table();
        assert_eq!(
            table,
            "[permissions]\n\
             # caxton.http_request, caxton.read_response\n\
             # GET and HEAD; ask for \"http:write\" for all other methods\n\
             \"http:read\" = { to = [\"api.example.com/**\"], reason = \"say what it is for\" }\n"
        );
        let asked = asked(table.trim_start_matches("[permissions]\n"));
        let compared = report.compare_permissions(&asked);
        assert!(compared.missing.is_empty() && compared.unused.is_empty());
    }

    #[test]
    fn every_right_has_a_row_that_the_manifest_reader_takes() {
        for permission in Permission::ALL {
            let header = match permission {
                Permission::SecretUse => "hosts = [\"a.example\"], header = \"X: {}\", ",
                _ => "",
            };
            let row = format!("\"{permission}\" = {{ {}{header}}}", example(*permission));
            assert!(asked(&row).contains(permission), "{row}");
        }
        assert_eq!(report("").permissions_table(), "[permissions]\n");
    }

    #[test]
    fn a_right_without_a_permission_is_an_error_and_a_permission_without_an_import_a_warning() {
        let compared =
            report(HTTP).compare_permissions(&asked("\"env:read\" = { names = [\"TZ\"] }"));
        assert_eq!(
            compared.errors(),
            [
                "the module imports `caxton.http_request`, `caxton.read_response`, and the manifest does not ask for `http:read`"
            ]
        );
        assert_eq!(compared.unused, [Permission::EnvRead]);
        for (imports, row, is_unused) in [
            (HTTP, "\"http:write\" = { to = [\"a.example\"] }", false),
            (HTTP, "\"message:send\" = { to = [\"df\"] }", false),
            ("", "\"message:send\" = { to = [\"df\"] }", true),
            (WASI, "\"fs:read\" = { paths = [\"/data/**\"] }", false),
            (WASI, "\"net:tcp\" = { to = [\"a.example:1\"] }", true),
        ] {
            let compared = report(imports).compare_permissions(&asked(row));
            assert_eq!(compared.unused.is_empty(), !is_unused, "{row}");
        }
    }
}
