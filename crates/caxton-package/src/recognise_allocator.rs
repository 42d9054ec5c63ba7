//! How the host gets room for bytes inside a guest.

use caxton_model::ErrorCode;
use wasmparser::{Operator, Parser, Payload};

use crate::{Allocator, Form, ModuleReport};

/// What a 32-bit memory can hold. Unit: bytes.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// Notes the allocator, or refuses a module that needs one and has none.
pub(crate) fn recognise(bytes: &[u8], report: &mut ModuleReport) {
    let Some(form) = report.form else { return };
    let found = exported(report);
    report.allocator = match (form, found) {
        // These two name their allocator in their interface.
        (Form::ProcessorCString | Form::ProcessorLength, _) => {
            let free = frees(report, "deallocate", &["ii", "ii>i"]);
            Some(Allocator::Allocate { free })
        }
        (Form::AgentCore | Form::ExtensionCore, None) if uses_memory_end(bytes) => {
            report.refuse(
                ErrorCode::UnsupportedModule,
                "exports no allocator, so the host has no place for a message",
                "export an allocator: `caxton_alloc(len: i32) -> i32` with `caxton_free(ptr: i32, len: i32)`, or `malloc` and `free`",
            );
            None
        }
        (Form::AgentCore | Form::ExtensionCore, None) if !can_grow(report) => {
            report.refuse(
                ErrorCode::UnsupportedModule,
                "exports no allocator, and its memory cannot grow, so the host has no place for a message",
                "export an allocator: `caxton_alloc(len: i32) -> i32` with `caxton_free(ptr: i32, len: i32)`; or declare a maximum for the memory that is larger than what it starts with",
            );
            None
        }
        (Form::AgentCore | Form::ExtensionCore, None) => Some(Allocator::Region),
        (Form::AgentCore | Form::ExtensionCore, found) => found,
        _ => None,
    };
}

fn frees(report: &ModuleReport, name: &str, types: &[&str]) -> bool {
    types.iter().any(|ty| report.exports_function(name, ty))
}

/// The first convention whose export has a fitting type.
fn exported(report: &ModuleReport) -> Option<Allocator> {
    let has = |name, ty| report.exports_function(name, ty);
    if has("caxton_alloc", "i>i") {
        return Some(Allocator::Caxton {
            free: frees(report, "caxton_free", &["ii", "ii>i"]),
        });
    }
    if has("allocate", "i>i") {
        return Some(Allocator::Allocate {
            free: frees(report, "deallocate", &["ii", "ii>i"]),
        });
    }
    if has("malloc", "i>i") {
        return Some(Allocator::Malloc {
            free: frees(report, "free", &["i"]),
        });
    }
    if has("__wbindgen_malloc", "i>i") || has("__wbindgen_malloc", "ii>i") {
        let free_align = if has("__wbindgen_free", "iii") {
            Some(true)
        } else if has("__wbindgen_free", "ii") {
            Some(false)
        } else {
            None
        };
        let malloc_align = has("__wbindgen_malloc", "ii>i");
        return Some(Allocator::Wbindgen {
            malloc_align,
            free_align,
        });
    }
    if has("cabi_realloc", "iiii>i") {
        return Some(Allocator::CabiRealloc);
    }
    (has("__new", "ii>i") && has("__pin", "i>i") && has("__unpin", "i"))
        .then_some(Allocator::AssemblyScript)
}

/// Whether the first memory has room for a page more than it starts with.
fn can_grow(report: &ModuleReport) -> bool {
    report.memories.first().is_none_or(|memory| {
        let most = memory.maximum_bytes.unwrap_or(MEMORY_BYTES_MAX);
        most.min(MEMORY_BYTES_MAX) > memory.initial_bytes
    })
}

/// Whether the code asks for the memory's size or grows it.
///
/// An allocator that takes the memory's end as its own would hand out the host's region.
fn uses_memory_end(bytes: &[u8]) -> bool {
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(Payload::CodeSectionEntry(body)) = payload else {
            continue;
        };
        let Ok(operators) = body.get_operators_reader() else {
            return true;
        };
        for operator in operators {
            match operator {
                Ok(Operator::MemorySize { .. } | Operator::MemoryGrow { .. }) | Err(_) => {
                    return true;
                }
                Ok(_) => {}
            }
        }
    }
    false
}
