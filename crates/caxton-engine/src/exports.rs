//! A guest's exports: found once per module, typed once per instance.

use caxton_package::Allocator;
use wasmtime::{Instance, Module, ModuleExport, Store, TypedFunc, WasmParams, WasmResults};

use crate::ctx::Ctx;

macro_rules! exports {
    ($($field:ident = $name:literal,)*) => {
        /// Where the exports stand, so that no instance has to look names up.
        #[derive(Clone)]
        pub(crate) struct ExportIndexes { $(pub(crate) $field: Option<ModuleExport>,)* }
        impl ExportIndexes {
            pub(crate) fn of(module: &Module) -> Self {
                Self { $($field: module.get_export_index($name),)* }
            }
        }
    };
}

exports! {
    memory = "memory",
    initialize = "_initialize",
    start = "_start",
    agent_init = "agent_init",
    handle_message = "handle_message",
    handle_timer = "handle_timer",
    agent_shutdown = "agent_shutdown",
    get_capabilities = "get_capabilities",
    migrate = "migrate",
    process = "process",
    get_module_info = "get_module_info",
    get_supported_formats = "get_supported_formats",
    extension_describe = "extension_describe",
    extension_call = "extension_call",
    caxton_alloc = "caxton_alloc",
    caxton_free = "caxton_free",
    allocate = "allocate",
    deallocate = "deallocate",
    malloc = "malloc",
    free = "free",
    wbindgen_malloc = "__wbindgen_malloc",
    wbindgen_free = "__wbindgen_free",
    cabi_realloc = "cabi_realloc",
    asc_new = "__new",
    asc_pin = "__pin",
    asc_unpin = "__unpin",
}

/// An exported function of an instance, if it is there with that type.
pub(crate) fn typed<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<Ctx>,
    index: Option<&ModuleExport>,
) -> Option<TypedFunc<P, R>> {
    let function = instance
        .get_module_export(&mut *store, index?)?
        .into_func()?;
    function.typed(&*store).ok()
}

/// A function that frees, with whatever result it has.
#[derive(Clone)]
pub(crate) enum Free {
    PtrLen(TypedFunc<(i32, i32), ()>),
    PtrLenResult(TypedFunc<(i32, i32), i32>),
    Ptr(TypedFunc<i32, ()>),
    PtrLenAlign(TypedFunc<(i32, i32, i32), ()>),
}

/// The guest's allocator, ready to be called.
#[derive(Clone)]
pub(crate) enum AllocatorFunctions {
    /// One argument: the length.
    Len(TypedFunc<i32, i32>, Option<Free>),
    /// Length and alignment.
    LenAlign(TypedFunc<(i32, i32), i32>, Option<Free>),
    /// `realloc(0, 0, align, len)`.
    Realloc(TypedFunc<(i32, i32, i32, i32), i32>),
    /// AssemblyScript: make, pin, unpin.
    AssemblyScript {
        new: TypedFunc<(i32, i32), i32>,
        pin: TypedFunc<i32, i32>,
        unpin: TypedFunc<i32, ()>,
    },
    /// Pages added by the host, from `start` on, if they were added already.
    Region { start: Option<u64>, bytes: u64 },
}

impl AllocatorFunctions {
    /// Looks up the functions of the convention that the inspection found.
    pub(crate) fn of(
        convention: Allocator,
        instance: &Instance,
        store: &mut Store<Ctx>,
        at: &ExportIndexes,
    ) -> Option<Self> {
        let mut free = |index: Option<&ModuleExport>| {
            if let Some(f) = typed(instance, store, index) {
                return Some(Free::PtrLen(f));
            }
            if let Some(f) = typed(instance, store, index) {
                return Some(Free::PtrLenResult(f));
            }
            if let Some(f) = typed(instance, store, index) {
                return Some(Free::Ptr(f));
            }
            typed(instance, store, index).map(Free::PtrLenAlign)
        };
        Some(match convention {
            Allocator::Caxton { .. } => {
                let free = free(at.caxton_free.as_ref());
                Self::Len(typed(instance, store, at.caxton_alloc.as_ref())?, free)
            }
            Allocator::Allocate { .. } => {
                let free = free(at.deallocate.as_ref());
                Self::Len(typed(instance, store, at.allocate.as_ref())?, free)
            }
            Allocator::Malloc { .. } => {
                let free = free(at.free.as_ref());
                Self::Len(typed(instance, store, at.malloc.as_ref())?, free)
            }
            Allocator::Wbindgen { malloc_align, .. } => {
                let free = free(at.wbindgen_free.as_ref());
                let index = at.wbindgen_malloc.as_ref();
                if malloc_align {
                    Self::LenAlign(typed(instance, store, index)?, free)
                } else {
                    Self::Len(typed(instance, store, index)?, free)
                }
            }
            Allocator::CabiRealloc => {
                Self::Realloc(typed(instance, store, at.cabi_realloc.as_ref())?)
            }
            Allocator::AssemblyScript => Self::AssemblyScript {
                new: typed(instance, store, at.asc_new.as_ref())?,
                pin: typed(instance, store, at.asc_pin.as_ref())?,
                unpin: typed(instance, store, at.asc_unpin.as_ref())?,
            },
            Allocator::Region => Self::Region {
                start: None,
                bytes: 0,
            },
        })
    }
}
