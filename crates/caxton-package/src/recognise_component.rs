//! Components: named by what they export, and refused with that name for now.

use caxton_model::ErrorCode;
use wasmparser::{Parser, Payload};

use crate::{Form, ModuleReport};

/// Exports that are looked at.
const EXPORTS_MAX: usize = 10_000;

/// Notes which form the component has, and refuses it.
pub(crate) fn inspect_component(bytes: &[u8], report: &mut ModuleReport) {
    report.form = form_of(bytes);
    report.kind = report.form.map(Form::kind);
    let what = report.form.map_or("a component", Form::what);
    report.refuse(
        ErrorCode::UnsupportedModule,
        format!(
            "this is a {}: components are not supported by this version",
            what.trim_start_matches("a ")
        ),
        "build a core module (`wasm32-unknown-unknown` or `wasm32-wasip1`)",
    );
}

fn form_of(bytes: &[u8]) -> Option<Form> {
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section.into_iter().take(EXPORTS_MAX) {
                    if let Some(form) = form_of_export(export.ok()?.name.name) {
                        return Some(form);
                    }
                }
            }
            _ => {}
        }
    }
    None
}

fn form_of_export(name: &str) -> Option<Form> {
    let is = |interface: &str| {
        name.strip_prefix(interface)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    };
    if is("wasi:http/incoming-handler") || is("wasi:http/handler") {
        Some(Form::HttpComponent)
    } else if is("dagwood:component/processing-node") {
        Some(Form::ProcessingNodeComponent)
    } else if name.starts_with("caxton:") {
        Some(Form::CaxtonComponent)
    } else if is("wasi:cli/run") {
        Some(Form::WasiCommandComponent)
    } else {
        None
    }
}
