//! From compiled code to something that can be instantiated: every import met by its own type.

use std::sync::{Arc, OnceLock};

use caxton_model::{ErrorCode, Grants, ImportClass, Permission};
use caxton_package::{Form, ImportReport, ModuleReport};
use wasmtime::{InstancePre, Linker};

use crate::{
    Compiled, Engine, ProcessorInfo,
    ctx::Ctx,
    engine::Runtime,
    exports::ExportIndexes,
    host_functions::{self as host, Guest},
    wasi,
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
    pub(crate) info: OnceLock<ProcessorInfo>,
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
    /// `_grants` opens no import yet: what it holds (`message:send`) bounds receivers, which the
    /// host's side judges. Cost: a few microseconds an import.
    pub fn link(&self, compiled: &Compiled, _grants: &Grants) -> Result<Linked, LinkError> {
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
            if let Some(ImportClass::Right(permission)) = import.class {
                let import = format!("{}.{}", import.module, import.name);
                return Err(LinkError::PermissionRequired { import, permission });
            }
            if !define(&mut linker, import).map_err(runtime)? {
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
                info: OnceLock::new(),
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

/// Defines one import with the type that the module gives it; whether the host has it.
fn define(linker: &mut Linker<Ctx>, import: &ImportReport) -> wasmtime::Result<bool> {
    if import.module == "wasi_snapshot_preview1" {
        return wasi::define(linker, &import.name);
    }
    if !caxton_package::is_host_module(&import.module) {
        return Ok(false);
    }
    let result = import
        .signature
        .as_ref()
        .is_some_and(|ty| !ty.results.is_empty());
    let (m, n) = (import.module.as_str(), import.name.as_str());
    // A function in both variants: with its number, and without, as the module wants it.
    macro_rules! both {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {
            if result {
                linker.func_wrap(m, n, |mut c: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<i32> {
                    c.data_mut().count_host_call()?;
                    Ok(host::$function(&mut c, $($arg),*)?)
                })?
            } else {
                linker.func_wrap(m, n, |mut c: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<()> {
                    c.data_mut().count_host_call()?;
                    host::$function(&mut c, $($arg),*)?;
                    Ok(())
                })?
            }
        };
    }
    macro_rules! one {
        ($function:ident ( $($arg:ident : $ty:ty),* ) -> $out:ty) => {
            linker.func_wrap(m, n, |mut c: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<$out> {
                c.data_mut().count_host_call()?;
                Ok(host::$function(&mut c, $($arg),*)?)
            })?
        };
    }
    // The same for functions that may suspend the guest.
    macro_rules! suspending {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {
            if result {
                linker.func_wrap_async(m, n, |mut c: Guest<'_>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                    c.data_mut().count_host_call()?;
                    Ok::<i32, wasmtime::Error>(host::$function(&mut c, $($arg),*).await?)
                }))?
            } else {
                linker.func_wrap_async(m, n, |mut c: Guest<'_>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                    c.data_mut().count_host_call()?;
                    let _ = host::$function(&mut c, $($arg),*).await?;
                    Ok::<(), wasmtime::Error>(())
                }))?
            }
        };
    }
    match n {
        "send_message" => both!(send_message(ptr: i32, len: i32)),
        "send_local_message" => {
            both!(send_local_message(id_ptr: i32, id_len: i32, ptr: i32, len: i32))
        }
        "broadcast_message" => {
            both!(broadcast_message(filter_ptr: i32, filter_len: i32, ptr: i32, len: i32))
        }
        "subscribe_messages" => both!(subscribe_messages(ptr: i32, len: i32)),
        "unsubscribe_messages" => both!(unsubscribe_messages(id: i32)),
        "load_data" => suspending!(load_data(k: i32, klen: i32, ptr: i32, len: i32)),
        "store_data" => suspending!(store_data(k: i32, klen: i32, ptr: i32, len: i32)),
        "delete_data" => suspending!(delete_data(k: i32, klen: i32)),
        "set_timer" => both!(set_timer(delay_micros: i64)),
        "cancel_timer" => both!(cancel_timer(id: i32)),
        "current_timestamp" => one!(current_timestamp() -> i64),
        "random_u32" => one!(random_u32() -> i32),
        "sleep_micros" => linker.func_wrap_async(m, n, |mut c: Guest<'_>, (micros,): (i64,)| {
            Box::new(async move {
                c.data_mut().count_host_call()?;
                host::sleep_micros(&mut c, micros).await?;
                Ok::<(), wasmtime::Error>(())
            })
        })?,
        "console_log" => both!(console_log(ptr: i32, len: i32)),
        "console_error" => both!(console_error(ptr: i32, len: i32)),
        "log_record" => both!(log_record(level: i32, ptr: i32, len: i32)),
        "metric" => both!(metric(kind: i32, ptr: i32, len: i32, value: f64)),
        "register_capabilities" => both!(register_capabilities(ptr: i32, len: i32)),
        "config_get" => one!(config_get(k: i32, klen: i32, ptr: i32, len: i32) -> i32),
        "respond" => both!(respond(ptr: i32, len: i32)),
        "seed" => one!(seed() -> f64),
        "abort" => linker.func_wrap(
            m,
            n,
            |mut c: Guest<'_>,
             message: i32,
             file: i32,
             line: i32,
             column: i32|
             -> wasmtime::Result<()> {
                Err(host::abort(&mut c, message, file, line, column).into())
            },
        )?,
        _ => return Ok(false),
    };
    Ok(true)
}
