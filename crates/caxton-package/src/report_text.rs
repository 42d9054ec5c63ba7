//! A report for programs and for people. What is not known is left out of both.

use std::fmt;

use caxton_model::{ByteSize, Digest, EngineProfile, ImportClass, Kind, Permission};
use serde::{Serialize, Serializer};

use crate::{
    Allocator, ComponentReport, DwarfReport, ExportReport, Form, ImportReport, MemoryReport,
    ModuleReport, Reason,
};

/// Imports and exports that are listed for people.
const LINES_MAX: usize = 200;

#[derive(Serialize)]
struct Shown<'a> {
    digest: Digest,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<Form>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a ComponentReport>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    module: Option<ShownModule<'a>>,
    warnings: &'a [String],
    reasons: &'a [Reason],
}

#[derive(Serialize)]
struct ShownModule<'a> {
    imports: &'a [ImportReport],
    exports: &'a [ExportReport],
    allocator: Option<Allocator>,
    memories: &'a [MemoryReport],
    tables: u32,
    table_elements: u64,
    startup: &'a [&'static str],
    profile: EngineProfile,
    profile_features: &'a [&'static str],
    permissions: &'a [Permission],
    debug: DwarfReport,
}

impl Serialize for ModuleReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let module = self.is_read.then(|| ShownModule {
            imports: &self.imports,
            exports: &self.exports,
            allocator: self.allocator,
            memories: &self.memories,
            tables: self.tables,
            table_elements: self.table_elements,
            startup: &self.startup,
            profile: self.profile,
            profile_features: &self.profile_features,
            permissions: &self.permissions,
            debug: self.debug,
        });
        let shown = Shown {
            digest: self.digest,
            size_bytes: self.size_bytes,
            form: self.form,
            kind: self.kind,
            component: self.component.as_ref(),
            module,
            warnings: &self.warnings,
            reasons: &self.reasons,
        };
        shown.serialize(serializer)
    }
}

impl fmt::Display for ModuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.digest)?;
        writeln!(f, "size       {}", ByteSize(self.size_bytes))?;
        match self.form {
            Some(form) => writeln!(f, "form       {}", form.what())?,
            None if self.component.is_some() => {
                writeln!(
                    f,
                    "form       component of a world that the host does not know"
                )?;
            }
            None if self.is_read => writeln!(f, "form       none that the host knows")?,
            None => {}
        }
        if let Some(component) = &self.component {
            fmt_component(f, component)?;
        }
        if self.is_read {
            fmt_module(f, self)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        if self.reasons.is_empty() {
            return match self.kind {
                Some(kind) if kind != Kind::Agent => write!(
                    f,
                    "accepted; it serves as {kind}: `caxton run` runs it, and `caxton agent deploy` takes agents only"
                ),
                _ => write!(f, "accepted"),
            };
        }
        write!(f, "refused:")?;
        self.reasons
            .iter()
            .try_for_each(|reason| write!(f, "\n  - {reason}"))
    }
}

fn fmt_module(f: &mut fmt::Formatter<'_>, report: &ModuleReport) -> fmt::Result {
    writeln!(f, "profile    {}", report.profile)?;
    if let Some(allocator) = report.allocator {
        writeln!(f, "allocator  {}", allocator.what())?;
    }
    for memory in &report.memories {
        write!(
            f,
            "memory     starts with {}",
            ByteSize(memory.initial_bytes)
        )?;
        match memory.maximum_bytes {
            Some(most) => writeln!(f, ", at most {}", ByteSize(most))?,
            None => writeln!(f, ", no maximum of its own")?,
        }
    }
    if !report.startup.is_empty() {
        writeln!(
            f,
            "start-up   {}: not run by an inspection, so how it ends is not known",
            report.startup.join(", ")
        )?;
    }
    let debug = match (report.debug.names, report.debug.lines) {
        (true, true) => "function names and source lines",
        (true, false) => "function names",
        (false, true) => "source lines",
        (false, false) => "none: backtraces show numbers",
    };
    writeln!(f, "debug      {debug}")?;
    writeln!(f, "imports    {}", report.imports.len())?;
    for import in report.imports.iter().take(LINES_MAX) {
        fmt_import(f, import)?;
    }
    fmt_more(f, report.imports.len())?;
    writeln!(f, "exports    {}", report.exports.len())?;
    for export in report.exports.iter().take(LINES_MAX) {
        match &export.signature {
            Some(signature) => writeln!(f, "  {}{signature}", export.name)?,
            None => writeln!(f, "  {} ({})", export.name, export.kind)?,
        }
    }
    fmt_more(f, report.exports.len())?;
    if !report.permissions.is_empty() {
        let names: Vec<_> = report.permissions.iter().map(|p| p.as_str()).collect();
        writeln!(f, "permissions {}", names.join(", "))?;
    }
    Ok(())
}

fn fmt_component(f: &mut fmt::Formatter<'_>, component: &ComponentReport) -> fmt::Result {
    if !component.wasi_versions.is_empty() {
        let versions: Vec<_> = component.wasi_versions.iter().map(String::as_str).collect();
        writeln!(f, "wasi       {}", versions.join(", "))?;
    }
    for (what, names) in [
        ("imports", &component.imports),
        ("exports", &component.exports),
    ] {
        writeln!(f, "{what}    {}", names.len())?;
        for name in names.iter().take(LINES_MAX) {
            writeln!(f, "  {name}")?;
        }
        fmt_more(f, names.len())?;
    }
    writeln!(f, "modules    {}", component.module_bytes.len())?;
    for size in component.module_bytes.iter().take(LINES_MAX) {
        writeln!(f, "  {}", ByteSize(*size as u64))?;
    }
    fmt_more(f, component.module_bytes.len())?;
    writeln!(f, "components {}", component.components)?;
    if let Some(wit) = &component.wit {
        writeln!(f, "wit")?;
        wit.lines().try_for_each(|line| writeln!(f, "  {line}"))?;
    }
    Ok(())
}

/// Says how many lines were left out.
fn fmt_more(f: &mut fmt::Formatter<'_>, all: usize) -> fmt::Result {
    match all.saturating_sub(LINES_MAX) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more; `--output json` lists all of them"),
    }
}

fn fmt_import(f: &mut fmt::Formatter<'_>, import: &ImportReport) -> fmt::Result {
    write!(f, "  {}.{}", import.module, import.name)?;
    if let Some(signature) = &import.signature {
        write!(f, "{signature}")?;
    }
    match import.class {
        None => write!(f, "  not offered")?,
        Some(ImportClass::Baseline) => write!(f, "  baseline")?,
        Some(ImportClass::Plumbing) => write!(f, "  plumbing")?,
        Some(ImportClass::Right(permission)) => write!(f, "  needs {permission}")?,
    }
    writeln!(f)
}
