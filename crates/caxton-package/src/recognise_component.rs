//! Components: validated, their world read, named by what they export, and refused for now.

use std::collections::BTreeSet;

use caxton_model::{ErrorCode, Kind};
use serde::Serialize;
use wasmparser::{ComponentExternName, Parser, Payload, WasmFeatures};

use crate::{
    Form, ModuleReport,
    recognise::short_name,
    recognise_features::{shortened, validator},
};

/// Imports, exports and nested modules that are listed. Real components have tens.
const LISTED_MAX: usize = 1_000;
/// What a component shows to the outside, and what is inside it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ComponentReport {
    /// What it imports, such as `wasi:cli/environment@0.2.3`.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The versions of WASI in the names of its imports and exports.
    pub wasi_versions: BTreeSet<String>,
    /// The core modules in it, at any depth, by their size. Unit: bytes.
    pub module_bytes: Vec<usize>,
    /// The components in it, at any depth.
    pub components: usize,
    /// Its world as WIT text, where [`crate::component_wit`] made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wit: Option<String>,
}

/// Notes what the component is, and refuses it.
pub(crate) fn inspect_component(bytes: &[u8], report: &mut ModuleReport) {
    let valid = validator(WasmFeatures::all()).validate_all(bytes);
    let read = valid.and_then(|_| read(bytes));
    let component = match read {
        Ok(component) => component,
        Err(error) => {
            report.refuse(
                ErrorCode::InvalidModule,
                format!("not a valid component: {}", shortened(&error)),
                "rebuild it, and send the `.wasm` file unaltered",
            );
            return;
        }
    };
    let found = form_of(&component.exports);
    report.form = found.map(|(form, _)| form);
    report.kind = found.map(|(_, kind)| kind);
    let what = report.form.map_or("component", Form::what);
    let lists = [
        ("imports", component.imports.len()),
        ("exports", component.exports.len()),
        ("contains core modules", component.module_bytes.len()),
    ];
    for (what, has) in lists.into_iter().filter(|(_, has)| *has > LISTED_MAX) {
        report.warnings.push(format!(
            "{what}: {has} in all, of which {LISTED_MAX} are listed"
        ));
    }
    report.component = Some(ComponentReport {
        imports: component.imports.into_iter().take(LISTED_MAX).collect(),
        exports: component.exports.into_iter().take(LISTED_MAX).collect(),
        module_bytes: component
            .module_bytes
            .into_iter()
            .take(LISTED_MAX)
            .collect(),
        ..component
    });
    report.refuse(
        ErrorCode::UnsupportedModule,
        format!("this is a {what}: components are not supported by this version"),
        "build a core module (`wasm32-unknown-unknown` or `wasm32-wasip1`)",
    );
}

/// Reads the outermost level's imports and exports, and counts what is nested.
fn read(bytes: &[u8]) -> wasmparser::Result<ComponentReport> {
    let mut component = ComponentReport::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection {
                unchecked_range, ..
            } => {
                depth += 1;
                component.module_bytes.push(unchecked_range.len());
            }
            Payload::ComponentSection { .. } => {
                depth += 1;
                component.components += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import?.name;
                    component.imports.push(full_name(name));
                    component.wasi_versions.extend(wasi_version(name.name));
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let name = export?.name;
                    component.exports.push(full_name(name));
                    component.wasi_versions.extend(wasi_version(name.name));
                }
            }
            _ => {}
        }
    }
    Ok(component)
}

fn full_name(name: ComponentExternName<'_>) -> String {
    short_name(name.name)
}

fn wasi_version(name: &str) -> Option<String> {
    let (interface, version) = name.split_once('@')?;
    interface.starts_with("wasi:").then(|| short_name(version))
}

/// The most specific form among the exports, and what it serves as. A component often exports more
/// than one interface: one that serves HTTP may be a command as well.
fn form_of(exports: &[String]) -> Option<(Form, Kind)> {
    let known: [(&str, Form, Kind); 8] = [
        ("caxton:agent/", Form::CaxtonComponent, Kind::Agent),
        ("caxton:processor/", Form::CaxtonComponent, Kind::Processor),
        ("caxton:extension/", Form::CaxtonComponent, Kind::Extension),
        (
            "dagwood:component/processing-node",
            Form::ProcessingNodeComponent,
            Kind::Processor,
        ),
        ("wasi:http/incoming-handler", Form::HttpComponent, Kind::App),
        ("wasi:http/handler", Form::HttpComponent, Kind::App),
        ("wasi:http/service", Form::HttpComponent, Kind::App),
        ("wasi:cli/run", Form::WasiCommandComponent, Kind::Processor),
    ];
    known.into_iter().find_map(|(interface, form, kind)| {
        let is = |export: &String| {
            export.strip_prefix(interface).is_some_and(|rest| {
                interface.ends_with('/') || rest.is_empty() || rest.starts_with('@')
            })
        };
        exports.iter().any(is).then_some((form, kind))
    })
}
