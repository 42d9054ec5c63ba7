//! From compiled code to something that can be instantiated: every import met by its own type.

use std::sync::{Arc, OnceLock};

use caxton_model::{ErrorCode, ImportClass, Permission, Permissions};
use caxton_package::{Form, ModuleReport};
use wasmtime::{InstancePre, Linker};

use crate::{
    Compiled, Engine, ProcessorInfo, ctx::Ctx, engine::Runtime, exports::ExportIndexes, imports,
    in_flight::InFlight,
};

/// A module with all its imports met: ready to be instantiated any number of times.
///
/// Cost of a clone: one reference count.
#[derive(Clone)]
pub struct Linked {
    pub(crate) inner: Arc<LinkedInner>,
}

pub(crate) struct LinkedInner {
    pub(crate) engine: Engine,
    pub(crate) runtime: Runtime,
    pub(crate) pre: InstancePre<Ctx>,
    pub(crate) report: Arc<ModuleReport>,
    pub(crate) form: Form,
    pub(crate) exports: ExportIndexes,
    /// Whether random numbers are the machine's own.
    pub(crate) has_secure_random: bool,
    pub(crate) info: OnceLock<ProcessorInfo>,
    pub(crate) in_flight: InFlight,
}

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked")
            .field("digest", &self.inner.report.digest)
            .finish_non_exhaustive()
    }
}

/// Why a module did not link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// An import that only a right opens.
    #[error(
        "`{import}` needs the permission `{permission}`; {}",
        ErrorCode::PermissionRequired.remedy()
    )]
    PermissionRequired {
        /// `module.name`.
        import: String,
        /// What it needs.
        permission: Permission,
    },
    /// Imports that nothing meets.
    #[error("imports that the host does not offer: {}; {}", .imports.join(", "), ErrorCode::UnmetImport.remedy())]
    Unmet {
        /// All of them, as `module.name`.
        imports: Vec<String>,
    },
    /// The runtime disagrees with the inspection.
    #[error("the runtime can't link the module: {reason}")]
    Runtime {
        /// What it says.
        reason: String,
    },
}

impl LinkError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::PermissionRequired { .. } => ErrorCode::PermissionRequired,
            Self::Unmet { .. } | Self::Runtime { .. } => ErrorCode::UnmetImport,
        }
    }
}

impl Engine {
    /// Meets a module's imports: baseline and plumbing always, rights never more than granted.
    ///
    /// An import that can only serve a right is opened by its permission; what of the right a call may
    /// use is judged when it is used. Cost: a few microseconds an import.
    pub fn link(&self, compiled: &Compiled, granted: &Permissions) -> Result<Linked, LinkError> {
        let runtime = |error: wasmtime::Error| LinkError::Runtime {
            reason: format!("{error:#}"),
        };
        let report = &compiled.report;
        let mut linker: Linker<Ctx> = Linker::new(&compiled.runtime.engine);
        let mut unmet = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for import in &report.imports {
            if !seen.insert((&import.module, &import.name)) {
                continue;
            }
            if let Some(ImportClass::Right(permission)) = import.class
                && !permission.is_opened_by(granted)
            {
                let import = format!("{}.{}", import.module, import.name);
                return Err(LinkError::PermissionRequired { import, permission });
            }
            if !imports::define(&mut linker, import, granted).map_err(runtime)? {
                unmet.push(format!("{}.{}", import.module, import.name));
            }
        }
        if !unmet.is_empty() {
            return Err(LinkError::Unmet { imports: unmet });
        }
        let pre = linker.instantiate_pre(&compiled.module).map_err(runtime)?;
        let Some(form) = report.form else {
            return Err(LinkError::Runtime {
                reason: "the module has no known form".to_owned(),
            });
        };
        Ok(Linked {
            inner: Arc::new(LinkedInner {
                engine: self.clone(),
                runtime: compiled.runtime.clone(),
                exports: ExportIndexes::of(&compiled.module),
                pre,
                report: report.clone(),
                form,
                has_secure_random: granted.contains(&Permission::RandomSecure),
                info: OnceLock::new(),
                in_flight: InFlight::default(),
            }),
        })
    }
}

impl Linked {
    /// What the module is.
    #[must_use]
    pub fn report(&self) -> &ModuleReport {
        &self.inner.report
    }
    /// The form it runs in.
    #[must_use]
    pub fn form(&self) -> Form {
        self.inner.form
    }
}
