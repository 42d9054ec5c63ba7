//! From bytes to a report: validation, imports, exports, form, allocator, debug sections.

use std::collections::BTreeMap;

use caxton_model::{ErrorCode, ImportClass, Permission, nearest};
use wasmparser::{Encoding, Parser, Payload, types::EntityType, types::Types};

use crate::{
    DwarfReport, ExportReport, ImportReport, MemoryReport, ModuleReport, OFFERED, Signature,
    WASI_P1, offered, recognise_allocator, recognise_component, recognise_features, recognise_form,
    recognise_imports::is_wasm_bindgen, wasi_p1_signature,
};

/// Imports that are looked at. Real guests have tens; the report lists each.
const IMPORTS_MAX: usize = 1_000;
/// Exports that are looked at. Real guests have tens.
const EXPORTS_MAX: usize = 10_000;
/// Characters of a guest's name that go into a report.
const NAME_CHARS_MAX: usize = 200;

/// Looks at a module without running anything; never fails, but reports what is wrong.
///
/// Cost: as [`crate::verify`]. Bounds: as [`crate::verify`], without a limit of size.
#[must_use]
pub fn inspect(bytes: &[u8]) -> ModuleReport {
    let mut report = ModuleReport::empty(bytes);
    if !bytes.starts_with(b"\0asm") {
        let text = if bytes.is_empty() {
            "the file is empty"
        } else {
            "not a WebAssembly binary"
        };
        report.refuse(
            ErrorCode::InvalidModule,
            text,
            "send a `.wasm` binary; text format must be assembled first (`wat2wasm`)",
        );
        return report;
    }
    if Parser::is_component(bytes) {
        recognise_component::inspect_component(bytes, &mut report);
        return report;
    }
    let Some(types) = recognise_features::validate_core(bytes, &mut report) else {
        return report;
    };
    if !read_imports(&types, &mut report) || !read_exports(&types, &mut report) {
        return report;
    }
    read_sections(bytes, &types, &mut report);
    judge_imports(&mut report);
    recognise_form::recognise(&mut report);
    recognise_allocator::recognise(bytes, &mut report);
    report
}

fn short_name(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

fn signature(types: &Types, entity: EntityType) -> Option<Signature> {
    match entity {
        EntityType::Func(id) | EntityType::FuncExact(id) => {
            Some(Signature::of(types.as_ref().get(id)?.unwrap_func()))
        }
        _ => None,
    }
}

fn read_imports(types: &Types, report: &mut ModuleReport) -> bool {
    let Some(imports) = types.as_ref().core_imports() else {
        return true;
    };
    for (i, (module, name, entity)) in imports.enumerate() {
        if i == IMPORTS_MAX {
            report.refuse(
                ErrorCode::UnsupportedModule,
                format!("imports more than {IMPORTS_MAX} things"),
                "import only what docs/guest-abi.md lists",
            );
            return false;
        }
        report.imports.push(ImportReport {
            module: short_name(module),
            name: short_name(name),
            signature: signature(types, entity),
            class: None,
            permission: None,
            offered: Vec::new(),
        });
    }
    true
}

fn read_exports(types: &Types, report: &mut ModuleReport) -> bool {
    let Some(exports) = types.as_ref().core_exports() else {
        return true;
    };
    for (i, (name, entity)) in exports.enumerate() {
        if i == EXPORTS_MAX {
            report.refuse(
                ErrorCode::UnsupportedModule,
                format!("exports more than {EXPORTS_MAX} things"),
                "export only the guest interface",
            );
            return false;
        }
        let kind = match entity {
            EntityType::Func(_) | EntityType::FuncExact(_) => "function",
            EntityType::Table(_) => "table",
            EntityType::Memory(_) => "memory",
            EntityType::Global(_) => "global",
            EntityType::Tag(_) => "tag",
        };
        report.exports.push(ExportReport {
            name: short_name(name),
            kind,
            signature: signature(types, entity),
        });
    }
    true
}

/// Memories, tables, debug sections. Their contents stay unread: a bomb in the name section
/// costs nothing here, and symbolising has bounds of its own.
fn read_sections(bytes: &[u8], types: &Types, report: &mut ModuleReport) {
    let types = types.as_ref();
    for i in 0..types.memory_count() {
        let memory = types.memory_at(i);
        let bytes = |pages: u64| pages.saturating_mul(65_536);
        report.memories.push(MemoryReport {
            initial_bytes: bytes(memory.initial),
            maximum_bytes: memory.maximum.map(bytes),
        });
    }
    report.tables = types.table_count();
    for i in 0..types.table_count() {
        report.table_elements = report
            .table_elements
            .saturating_add(types.table_at(i).initial);
    }
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CustomSection(section)) => {
                report.debug = DwarfReport {
                    names: report.debug.names || section.name() == "name",
                    lines: report.debug.lines || section.name() == ".debug_line",
                };
            }
            Ok(Payload::Version {
                encoding: Encoding::Component,
                ..
            })
            | Err(_) => break,
            Ok(_) => {}
        }
    }
}

fn judge_imports(report: &mut ModuleReport) {
    let mut unmet = Vec::new();
    let mut bindgen = false;
    let mut rights: Vec<(String, Permission)> = Vec::new();
    for import in &mut report.imports {
        let full = format!("{}.{}", import.module, import.name);
        if is_wasm_bindgen(&import.module, &import.name) {
            bindgen = true;
            continue;
        }
        let Some(signature) = &import.signature else {
            let what = if import.name == "memory" {
                "; export the memory instead"
            } else {
                ""
            };
            unmet.push(format!("`{full}` is no function{what}"));
            continue;
        };
        if import.module == "wasi_snapshot_preview1" {
            match wasi_p1_signature(&import.name) {
                Some(known) if known == *signature => import.class = Some(ImportClass::Plumbing),
                Some(known) => {
                    unmet.push(format!("`{full}` is {known}, imported as {signature}"));
                    import.offered.push(known);
                }
                None => {
                    unmet.push(unknown(
                        &full,
                        &import.name,
                        WASI_P1.iter().map(|(name, _)| *name),
                    ));
                }
            }
            continue;
        }
        let Some(row) = offered(&import.module, &import.name) else {
            unmet.push(unknown(
                &full,
                &import.name,
                OFFERED.iter().map(|row| row.name),
            ));
            continue;
        };
        import.offered = row
            .types
            .iter()
            .map(|short| Signature::short(short))
            .collect();
        import.permission = row.permission;
        if !import.offered.contains(signature) {
            let types: Vec<_> = import.offered.iter().map(ToString::to_string).collect();
            let types = types.join(" or ");
            unmet.push(format!(
                "`{full}` is offered as {types}, imported as {signature}"
            ));
            continue;
        }
        import.class = Some(row.class);
        if let ImportClass::Right(permission) = row.class {
            rights.push((full, permission));
        }
    }
    refuse_imports(report, &unmet, bindgen, &rights);
    let mut permissions: Vec<_> = report.imports.iter().filter_map(|i| i.permission).collect();
    permissions.sort_unstable();
    permissions.dedup();
    report.permissions = permissions;
}

fn unknown<'a>(full: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("`{full}` is not offered (did you mean `{near}`?)"),
        None => format!("`{full}` is not offered"),
    }
}

fn refuse_imports(
    report: &mut ModuleReport,
    unmet: &[String],
    bindgen: bool,
    rights: &[(String, Permission)],
) {
    if bindgen {
        report.refuse(
            ErrorCode::UnmetImport,
            "imports functions that wasm-bindgen makes for JavaScript",
            "build with caxton-sdk instead of wasm-bindgen, web-sys and js-sys",
        );
    }
    if !unmet.is_empty() {
        let shown: Vec<_> = unmet.iter().take(50).map(String::as_str).collect();
        let more = unmet.len().saturating_sub(50);
        let more = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        report.refuse(
            ErrorCode::UnmetImport,
            format!(
                "imports that the host does not offer: {}{more}",
                shown.join("; ")
            ),
            "remove these imports; docs/guest-abi.md lists what the host offers",
        );
    }
    for (full, permission) in rights {
        let name = match permission {
            Permission::HttpRead => "`http:read` (GET, HEAD) or `http:write` (other methods)",
            other => other.as_str(),
        };
        report.refuse(
            ErrorCode::PermissionRequired,
            format!("`{full}` needs the permission {name}, which this version can't grant"),
            "remove the import, or run the guest on a version that grants this permission",
        );
    }
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
            format!("imports one name with two types: {}", twice.join(", ")),
            "declare each host function once, with one type, in all parts of the guest",
        );
    }
}
