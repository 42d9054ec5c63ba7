//! Bytes to [`Verified`]: what a module is, what it needs, and every reason to refuse it.
//!
//! Parses hostile input; knows no engine and runs nothing.

mod component_wit;
mod features_used;
mod guest_result;
mod import_origins;
mod manifest;
mod manifest_document;
mod manifest_permissions;
mod manifest_reader;
mod offered_imports;
mod recognise;
mod recognise_allocator;
mod recognise_component;
mod recognise_features;
mod recognise_form;
mod recognise_imports;
mod report;
mod report_text;
mod signature;
mod sizes;
mod static_permissions;
mod verify;

pub use component_wit::component_wit;
pub use guest_result::{CStringFault, FreedBy, ProcessorInfo, c_string};
pub use manifest::{ActionSection, AgentSection, Manifest, PackageName, read_limits};
pub use manifest_document::{DOCUMENT_BYTES_MAX, DocumentError, Problem};
pub use manifest_permissions::PermissionRequest;
pub use manifest_reader::{DocumentReader, TableReader};
pub use offered_imports::{OFFERED, Offered, WASI_P1, is_host_module, offered, wasi_p1_signature};
pub use recognise::inspect;
pub use recognise_component::ComponentReport;
pub use report::{
    Allocator, DwarfReport, ExportReport, Form, ImportReport, MemoryReport, ModuleReport, Reason,
};
pub use signature::{Signature, ValueType};
pub use sizes::TABLES_MAX;
pub use static_permissions::{PermissionNeed, StaticComparison};
pub use verify::{Verified, VerifyError, verify, verify_by_kind};
