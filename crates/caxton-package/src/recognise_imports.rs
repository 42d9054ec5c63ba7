//! What the host says to a module's imports: each one's class, and every reason to refuse them.

use std::collections::BTreeMap;

use caxton_model::{ErrorCode, ImportClass, Permission};

use crate::{
    ImportReport, ModuleReport, Signature,
    import_origins::{Origin, nearest_import, origin_of},
    offered, wasi_p1_signature,
};

/// Imports that a reason names before it counts the rest.
const SHOWN_MAX: usize = 50;

/// Notes the class of each import, or why it is not met.
pub(crate) fn judge(report: &mut ModuleReport) {
    let mut unmet = Vec::new();
    let mut origins: BTreeMap<Origin, Vec<String>> = BTreeMap::new();
    for import in &mut report.imports {
        let full = full_name(import);
        if let Err(reason) = meet(import) {
            if let Some(origin) = origin_of(import) {
                origins.entry(origin).or_default().push(full);
            } else {
                unmet.push(reason);
            }
        }
    }
    for (origin, names) in &origins {
        report.refuse(
            ErrorCode::UnmetImport,
            format!(
                "{}: {}",
                origin.what(),
                listed(names.iter().map(|name| format!("`{name}`")), ", ")
            ),
            origin.next_step(),
        );
    }
    if !unmet.is_empty() {
        report.refuse(
            ErrorCode::UnmetImport,
            format!(
                "imports that the host does not offer: {}",
                listed(unmet.into_iter(), "; ")
            ),
            "remove these imports; docs/guest-abi.md lists what the host offers",
        );
    }
    refuse_rights(report);
    refuse_two_types(report);
    let mut permissions: Vec<_> = report.imports.iter().filter_map(|i| i.permission).collect();
    permissions.sort_unstable();
    permissions.dedup();
    report.permissions = permissions;
}

fn full_name(import: &ImportReport) -> String {
    format!("{}.{}", import.module, import.name)
}

/// The first of many, and how many more there are.
fn listed(all: impl ExactSizeIterator<Item = String>, separator: &str) -> String {
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut shown: Vec<_> = all.take(SHOWN_MAX).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(separator)
}

/// Notes what the host offers for an import; why it does not link, where it does not.
fn meet(import: &mut ImportReport) -> Result<(), String> {
    let full = full_name(import);
    let Some(signature) = &import.signature else {
        let help = if import.name == "memory" {
            "; export the memory instead"
        } else {
            ""
        };
        return Err(format!("`{full}` is no function{help}"));
    };
    let class = if import.module == "wasi_snapshot_preview1" {
        import.offered = wasi_p1_signature(&import.name).into_iter().collect();
        ImportClass::Plumbing
    } else if let Some(row) = offered(&import.module, &import.name) {
        import.offered = row
            .types
            .iter()
            .map(|short| Signature::short(short))
            .collect();
        import.permission = row.permission;
        row.class
    } else {
        import.offered = Vec::new();
        ImportClass::Plumbing
    };
    if import.offered.is_empty() {
        let near = nearest_import(import)
            .map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        return Err(format!("`{full}` is not offered{near}"));
    }
    if !import.offered.contains(signature) {
        let types: Vec<_> = import.offered.iter().map(ToString::to_string).collect();
        return Err(format!(
            "`{full}` is offered as {}, imported as {signature}",
            types.join(" or ")
        ));
    }
    import.class = Some(class);
    Ok(())
}

fn refuse_rights(report: &mut ModuleReport) {
    let rights: Vec<(String, Permission)> = report
        .imports
        .iter()
        .filter_map(|import| match import.class {
            Some(ImportClass::Right(permission)) if !permission.is_performed() => {
                Some((full_name(import), permission))
            }
            _ => None,
        })
        .collect();
    for (full, permission) in rights {
        report.refuse(
            ErrorCode::PermissionRequired,
            format!("`{full}` needs the permission {permission}, which this version can't grant"),
            "remove the import, or run the guest on a version that grants this permission",
        );
    }
}

fn refuse_two_types(report: &mut ModuleReport) {
    let mut types: BTreeMap<(&str, &str), Vec<&Signature>> = BTreeMap::new();
    for import in &report.imports {
        if let Some(signature) = &import.signature {
            types
                .entry((&import.module, &import.name))
                .or_default()
                .push(signature);
        }
    }
    let twice: Vec<String> = types
        .iter()
        .filter(|(_, all)| all.iter().any(|one| Some(one) != all.first()))
        .map(|((module, name), _)| format!("`{module}.{name}`"))
        .collect();
    if !twice.is_empty() {
        report.refuse(
            ErrorCode::UnsupportedModule,
            format!(
                "imports one name with two types: {}",
                listed(twice.into_iter(), ", ")
            ),
            "declare each host function once, with one type, in all parts of the guest",
        );
    }
}
