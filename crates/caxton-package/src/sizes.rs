//! Whether a module's own sizes fit: into any instance, and within the limits of a guest.

use caxton_model::{ErrorCode, LimitName};
use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, Operator, Parser, Payload, types::Types,
};

use crate::ModuleReport;

/// Tables that one module may have. The engine's pools have room for so many.
pub const TABLES_MAX: u32 = 4;
/// Globals that one module may have: each instance holds 16 bytes for each of them.
const GLOBALS_MAX: u32 = 50_000;

/// Refuses what no instance may have, whatever its limits.
pub(crate) fn refuse_for_all(bytes: &[u8], types: &Types, report: &mut ModuleReport) {
    let globals = types.as_ref().global_count();
    for (has, what, most) in [
        (report.tables, "tables", TABLES_MAX),
        (globals, "globals", GLOBALS_MAX),
    ] {
        if has > most {
            report.refuse(
                ErrorCode::UnsupportedModule,
                format!("has {has} {what}; an instance may have at most {most}"),
                "build it with fewer of them; most compilers need one table and a few globals",
            );
        }
    }
    // What could not be read was refused before.
    if let Ok(Some(outside)) = segment_outside(bytes, types) {
        report.refuse(
            ErrorCode::InvalidModule,
            format!("{outside}, so no instance of it can start"),
            "rebuild it with a memory and tables that are large enough for its segments",
        );
    }
}

/// The first active segment that does not fit into what it is copied to when an instance starts.
fn segment_outside(bytes: &[u8], types: &Types) -> wasmparser::Result<Option<String>> {
    let types = types.as_ref();
    let outside = |what: &str, index: usize, offset: &ConstExpr<'_>, count: u64, size: u64| {
        let offset = u64::from(value_of(offset)?);
        let end = offset.saturating_add(count);
        (end > size).then(|| {
            format!("{what} segment {index} reaches from {offset} to {end}, beyond the {size}")
        })
    };
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::DataSection(section) => {
                for (index, data) in section.into_iter().enumerate() {
                    let data = data?;
                    if let DataKind::Active {
                        memory_index,
                        offset_expr,
                    } = &data.kind
                    {
                        let size = types
                            .memory_at(*memory_index)
                            .initial
                            .saturating_mul(65_536);
                        let count = data.data.len() as u64;
                        let found = outside("data", index, offset_expr, count, size);
                        if let Some(found) = found {
                            return Ok(Some(format!("{found} bytes that its memory starts with")));
                        }
                    }
                }
            }
            Payload::ElementSection(section) => {
                for (index, element) in section.into_iter().enumerate() {
                    let element = element?;
                    if let ElementKind::Active {
                        table_index,
                        offset_expr,
                    } = &element.kind
                    {
                        let size = types.table_at(table_index.unwrap_or(0)).initial;
                        let count = match &element.items {
                            ElementItems::Functions(items) => items.count(),
                            ElementItems::Expressions(_, items) => items.count(),
                        };
                        let found = outside("element", index, offset_expr, count.into(), size);
                        if let Some(found) = found {
                            return Ok(Some(format!("{found} elements of its table")));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The value of an offset; `None`: it depends on an import, and no profile has other instructions.
fn value_of(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut stack = Vec::new();
    for operator in expression.get_operators_reader() {
        let value = match operator.ok()? {
            Operator::I32Const { value } => value.cast_unsigned(),
            Operator::End => break,
            operator => {
                let (right, left): (u32, u32) = (stack.pop()?, stack.pop()?);
                match operator {
                    Operator::I32Add => left.wrapping_add(right),
                    Operator::I32Sub => left.wrapping_sub(right),
                    Operator::I32Mul => left.wrapping_mul(right),
                    _ => return None,
                }
            }
        };
        stack.push(value);
    }
    stack.pop()
}

impl ModuleReport {
    /// Refuses the module where a limit leaves no room for what an instance has before any of the
    /// guest's code runs: the module itself, its memories, its tables.
    pub(crate) fn refuse_size_over(&mut self, name: LimitName, limit: u64) {
        let (what, needs) = match name {
            LimitName::ModuleBytes => ("the module has", self.size_bytes),
            LimitName::Memory => {
                let initial = self.memories.iter().map(|memory| memory.initial_bytes);
                (
                    "its memory starts with",
                    initial.fold(0, u64::saturating_add),
                )
            }
            LimitName::TableElements => (
                "the number of elements that its tables start with is",
                self.table_elements,
            ),
            _ => return,
        };
        if needs > limit {
            let (needed, limit) = (name.show(needs), name.show(limit));
            self.refuse(
                name.code(),
                format!("{what} {needed}, and the limit `{name}` is {limit}"),
                &how_to_raise(name, needs),
            );
        }
    }
}

/// How a limit is raised for one guest, to a value that is enough.
fn how_to_raise(name: LimitName, needs: u64) -> String {
    let (flag, manifest) = match name {
        LimitName::TableElements => (needs.to_string(), needs.to_string()),
        _ => {
            let mib = needs.div_ceil(1 << 20);
            (format!("{mib}MiB"), format!("\"{mib}MiB\""))
        }
    };
    format!(
        "raise it to {flag} or more, by `--limit {name}={flag}` or by `{name} = {manifest}` under `[limits]` in caxton.toml, or build the module smaller"
    )
}
