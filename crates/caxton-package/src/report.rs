//! What an inspection found: the same facts for the engine, for JSON and for people.

use std::fmt;

use caxton_model::{Digest, EngineProfile, ErrorCode, ImportClass, Kind, Permission};
use serde::{Deserialize, Serialize};

use crate::{ComponentReport, Signature};

/// What a guest may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A: exports `handle_message`.
    AgentCore,
    /// B: exports `process(i32) -> i32`; C strings in and out.
    ProcessorCString,
    /// C: exports `process(i32, i32, i32) -> i32`; pointer and length.
    ProcessorLength,
    /// D: exports `_start`; payload on stdin, result from stdout.
    WasiCommand,
    /// G: exports `extension_describe` and `extension_call`.
    ExtensionCore,
    /// D as a component: `wasi:cli/run`. Recognised, not yet run.
    WasiCommandComponent,
    /// E: a component of a `caxton:*` world. Recognised, not yet run.
    CaxtonComponent,
    /// F: a component that serves HTTP. Recognised, not yet run.
    HttpComponent,
    /// H: a component of DAGwood's processing-node world. Recognised, not yet run.
    ProcessingNodeComponent,
}

impl Form {
    /// What it serves as.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::AgentCore | Self::CaxtonComponent => Kind::Agent,
            Self::ProcessorCString
            | Self::ProcessorLength
            | Self::WasiCommand
            | Self::WasiCommandComponent
            | Self::ProcessingNodeComponent => Kind::Processor,
            Self::ExtensionCore => Kind::Extension,
            Self::HttpComponent => Kind::App,
        }
    }
    /// In words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::AgentCore => "agent (core module, exports handle_message)",
            Self::ProcessorCString => "processor (core module, C strings)",
            Self::ProcessorLength => "processor (core module, pointer and length)",
            Self::WasiCommand => "processor (WASI command, stdin to stdout)",
            Self::ExtensionCore => "extension (core module)",
            Self::WasiCommandComponent => "WASI command (component)",
            Self::CaxtonComponent => "component of a caxton world",
            Self::HttpComponent => "component that serves HTTP",
            Self::ProcessingNodeComponent => "component of the DAGwood processing-node world",
        }
    }
}

/// How the host gets room for bytes inside the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocator {
    /// `caxton_alloc(len)`, and `caxton_free(ptr, len)` where exported.
    Caxton {
        /// Whether it frees.
        free: bool,
    },
    /// `allocate(len)`, and `deallocate(ptr, len)` where exported.
    Allocate {
        /// Whether it frees.
        free: bool,
    },
    /// `malloc(len)`, and `free(ptr)` where exported.
    Malloc {
        /// Whether it frees.
        free: bool,
    },
    /// `__wbindgen_malloc(len[, align])`, and `__wbindgen_free(ptr, len[, align])` where exported.
    Wbindgen {
        /// Whether `__wbindgen_malloc` takes an alignment.
        malloc_align: bool,
        /// Whether it frees, and then whether that takes an alignment.
        free_align: Option<bool>,
    },
    /// `cabi_realloc(0, 0, align, len)`; nothing frees.
    CabiRealloc,
    /// AssemblyScript's `__new(len, 1)`, kept alive by `__pin` and `__unpin`.
    AssemblyScript,
    /// Pages that the host adds to the guest's memory once per instance.
    Region,
}

impl Allocator {
    /// The export that gives memory.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Caxton { .. } => "caxton_alloc",
            Self::Allocate { .. } => "allocate",
            Self::Malloc { .. } => "malloc",
            Self::Wbindgen { .. } => "__wbindgen_malloc",
            Self::CabiRealloc => "cabi_realloc",
            Self::AssemblyScript => "__new (AssemblyScript)",
            Self::Region => "mailbox region added by the host",
        }
    }
}

/// One import and what the host says to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Under which module name.
    pub module: String,
    /// Its own name.
    pub name: String,
    /// The type it is imported with; `None`: no function.
    pub signature: Option<Signature>,
    /// Its class; `None`: the host offers no such thing.
    #[serde(serialize_with = "class_text")]
    pub class: Option<ImportClass>,
    /// The permission that opens or bounds it.
    pub permission: Option<Permission>,
    /// The types the host offers it with.
    pub offered: Vec<Signature>,
}

fn class_text<S: serde::Serializer>(
    class: &Option<ImportClass>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match class {
        None => serializer.serialize_none(),
        Some(class) => serializer.serialize_str(match class {
            ImportClass::Baseline => "baseline",
            ImportClass::Plumbing => "plumbing",
            ImportClass::Right(_) => "right",
        }),
    }
}

/// One export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Its name.
    pub name: String,
    /// `function`, `memory`, `table`, `global` or `tag`.
    pub kind: &'static str,
    /// The type, if it is a function.
    pub signature: Option<Signature>,
}

/// One linear memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryReport {
    /// What it starts with. Unit: bytes.
    pub initial_bytes: u64,
    /// What it declares as its most. Unit: bytes.
    pub maximum_bytes: Option<u64>,
}

/// What the module carries for symbolising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DwarfReport {
    /// A name section.
    pub names: bool,
    /// DWARF line tables.
    pub lines: bool,
}

/// One reason to refuse a module, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}); {}", self.text, self.code, self.remedy)
    }
}

/// What a module is, what it needs, and every reason to refuse it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleReport {
    /// The module's name.
    pub digest: Digest,
    /// Its size. Unit: bytes.
    pub size_bytes: u64,
    /// What it looks like; `None`: nothing the host knows.
    pub form: Option<Form>,
    /// What it serves as.
    pub kind: Option<Kind>,
    /// What is known of a component; `None` for a core module.
    pub component: Option<ComponentReport>,
    /// Whether a core module was valid and read. Otherwise, what follows says nothing but the
    /// warnings and reasons, and is not shown.
    pub(crate) is_read: bool,
    /// What it imports, with the host's answer.
    pub imports: Vec<ImportReport>,
    /// What it exports.
    pub exports: Vec<ExportReport>,
    /// How the host gets room inside it.
    pub allocator: Option<Allocator>,
    /// Its memories.
    pub memories: Vec<MemoryReport>,
    /// How many tables it has.
    pub tables: u32,
    /// Sum of its tables' initial sizes. Unit: elements.
    pub table_elements: u64,
    /// What runs in a new instance before anything is asked of it. An inspection runs none of it,
    /// so how it ends is not known.
    pub startup: Vec<&'static str>,
    /// The least profile it runs under.
    pub profile: EngineProfile,
    /// Why it needs more than `hardened`.
    pub profile_features: Vec<&'static str>,
    /// Permissions that bound or open its imports.
    pub permissions: Vec<Permission>,
    /// What backtraces can show.
    pub debug: DwarfReport,
    /// Worth knowing, no reason to refuse.
    pub warnings: Vec<String>,
    /// Reasons to refuse it; empty: accepted.
    pub reasons: Vec<Reason>,
}

impl ModuleReport {
    /// A report that knows only size and digest.
    pub(crate) fn empty(bytes: &[u8]) -> Self {
        Self {
            digest: Digest::of(bytes),
            size_bytes: bytes.len() as u64,
            form: None,
            kind: None,
            component: None,
            is_read: false,
            imports: Vec::new(),
            exports: Vec::new(),
            allocator: None,
            memories: Vec::new(),
            tables: 0,
            table_elements: 0,
            startup: Vec::new(),
            profile: EngineProfile::Hardened,
            profile_features: Vec::new(),
            permissions: Vec::new(),
            debug: DwarfReport::default(),
            warnings: Vec::new(),
            reasons: Vec::new(),
        }
    }
    pub(crate) fn refuse(&mut self, code: ErrorCode, text: impl Into<String>, remedy: &str) {
        self.reasons.push(Reason {
            code,
            text: text.into(),
            remedy: remedy.to_owned(),
        });
    }
    /// The type of an exported function.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Signature> {
        self.exports
            .iter()
            .find(|e| e.name == name)
            .and_then(|e| e.signature.as_ref())
    }
    /// Whether a function is exported with exactly this type, in the short form.
    #[must_use]
    pub fn exports_function(&self, name: &str, short: &str) -> bool {
        self.function(name)
            .is_some_and(|signature| signature.is(short))
    }
    /// Whether it imports that name from any of the host's modules.
    #[must_use]
    pub fn imports_host(&self, name: &str) -> bool {
        self.imports
            .iter()
            .any(|i| i.name == name && crate::is_host_module(&i.module))
    }
    /// Whether it imports anything from WASI preview 1.
    #[must_use]
    pub fn imports_wasi(&self) -> bool {
        self.imports
            .iter()
            .any(|i| i.module == "wasi_snapshot_preview1")
    }
}
