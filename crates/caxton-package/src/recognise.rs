//! From bytes to a report: validation, imports, exports, form, allocator, debug sections.

use caxton_model::{ErrorCode, Kind};
use wasmparser::{Encoding, Parser, Payload, types::EntityType, types::Types};

use crate::{
    DwarfReport, ExportReport, ImportReport, MemoryReport, ModuleReport, Signature,
    recognise_allocator, recognise_component, recognise_features, recognise_form,
    recognise_imports, sizes,
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
    report.is_read = true;
    read_sections(bytes, &types, &mut report);
    sizes::refuse_for_all(bytes, &types, &mut report);
    recognise_imports::judge(&mut report);
    recognise_form::recognise(&mut report);
    note_startup(&mut report);
    recognise_allocator::recognise(bytes, &mut report);
    report
}

/// Notes the exports that run in a new instance before anything is asked of it.
fn note_startup(report: &mut ModuleReport) {
    let of_kind: &[&str] = match report.kind {
        Some(Kind::Agent) => &["_initialize", "agent_init", "get_capabilities"],
        _ => &["_initialize"],
    };
    for name in of_kind {
        if report.function(name).is_some() {
            report.startup.push(name);
        }
    }
}

/// A guest's name; a long one is cut, and says so.
pub(crate) fn short_name(name: &str) -> String {
    let mut short: String = name.chars().take(NAME_CHARS_MAX).collect();
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        short.push_str(&format!("… ({chars} characters)"));
    }
    short
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
            Ok(Payload::StartSection { .. }) => report.startup.push("its start function"),
            Ok(Payload::Version {
                encoding: Encoding::Component,
                ..
            })
            | Err(_) => break,
            Ok(_) => {}
        }
    }
}
