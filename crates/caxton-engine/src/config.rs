//! From a profile to the engine's settings, each named.

use std::sync::Arc;

use caxton_model::{
    EngineKind, EngineProfile, LimitName,
    planted::{Planted, is_planted},
};
use serde::{Deserialize, Serialize};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, ModuleVersionStrategy, OptLevel,
    PoolingAllocationConfig, ProfilingStrategy, Strategy, WasmBacktraceDetails,
};

use crate::raw;

/// Guest stack, the same for all guests. Unit: bytes.
pub(crate) const STACK_BYTES: usize = 512 << 10;
/// What a test build that looks for a stack without its limit gives instead. Unit: bytes.
const STACK_BYTES_PLANTED: usize = 2 * STACK_BYTES;
/// Stack of the fiber: the guest's and room for host frames. Unit: bytes.
pub(crate) const FIBER_BYTES: usize = STACK_BYTES + (1 << 20);
/// Version under which compiled code is stored: the engine itself would compare only the major one.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";
/// Tables one module may have.
pub(crate) const TABLES_PER_MODULE_MAX: u32 = 4;
/// Frames of a backtrace.
const FRAMES_MAX: usize = 50;

/// Where guests of a kind have their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum MemoryForm {
    /// Many live ones: explicit bounds checks, one slab.
    Agents,
    /// A fresh one per call: pooled slots of 4 GiB, checks elided.
    Pooled,
}

impl MemoryForm {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Pooled => "pooled",
        }
    }
}

/// The settings of one engine.
///
/// `pool_slots` is how many pooled instances there can be at once, `None` where nothing is run;
/// `slab` holds agents' memories and stacks. Neither changes the compiled code.
pub(crate) fn config(
    kind: EngineKind,
    perf_map: bool,
    profile: EngineProfile,
    form: MemoryForm,
    pool_slots: Option<u32>,
    slab: Option<&Arc<raw::Slabs>>,
) -> Result<Config, wasmtime::Error> {
    let mut config = Config::new();
    features(&mut config);
    if kind == EngineKind::Pulley {
        config.target("pulley64")?;
    }
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .module_version(ModuleVersionStrategy::Custom(WASMTIME_VERSION.to_owned()))?
        .max_wasm_stack(stack_bytes())
        .async_stack_size(FIBER_BYTES)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES_MAX))
        .generate_address_map(true)
        .native_unwind_info(perf_map)
        .guard_before_linear_memory(false);
    let fuel = profile.has_fuel();
    config.consume_fuel(fuel).epoch_interruption(!fuel);
    if profile == EngineProfile::Deterministic {
        config
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true);
    }
    if perf_map {
        config.profiler(ProfilingStrategy::PerfMap);
    }
    match form {
        MemoryForm::Agents => {
            // A reservation of 0, although the slab reserves more: with a larger one the compiler
            // checks memories that declare a small maximum against the reservation instead of
            // their size, and relies on unmapped pages between. The slab's pages are all mapped.
            config
                .memory_reservation(0)
                .memory_reservation_for_growth(0)
                .memory_guard_size(0)
                .memory_init_cow(false);
            if let Some(slab) = slab {
                config
                    .with_host_memory(slab.memories())
                    .with_host_stack(slab.stacks());
            }
        }
        MemoryForm::Pooled => {
            config
                .memory_reservation(4 << 30)
                .memory_reservation_for_growth(0)
                .memory_init_cow(true);
            if let Some(slots) = pool_slots {
                config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
            }
        }
    }
    Ok(config)
}

fn stack_bytes() -> usize {
    if is_planted(Planted::WithoutLimit(LimitName::Stack)) {
        return STACK_BYTES_PLANTED;
    }
    STACK_BYTES
}

/// The hardened set; the engine's defaults would switch all that is off here on.
fn features(config: &mut Config) {
    config
        .wasm_simd(true)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_tail_call(true)
        .wasm_extended_const(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_branch_hinting(false)
        .wasm_features(wasmtime::WasmFeatures::REFERENCE_TYPES, true)
        .wasm_features(wasmtime::WasmFeatures::THREADS, false)
        .wasm_features(wasmtime::WasmFeatures::GC, false)
        .wasm_features(wasmtime::WasmFeatures::GC_TYPES, false)
        .wasm_features(wasmtime::WasmFeatures::FUNCTION_REFERENCES, false)
        .wasm_features(wasmtime::WasmFeatures::EXCEPTIONS, false)
        .wasm_features(wasmtime::WasmFeatures::LEGACY_EXCEPTIONS, false)
        .wasm_features(wasmtime::WasmFeatures::STACK_SWITCHING, false)
        .wasm_features(wasmtime::WasmFeatures::SHARED_EVERYTHING_THREADS, false)
        .wasm_features(wasmtime::WasmFeatures::MEMORY_CONTROL, false)
        .wasm_features(wasmtime::WasmFeatures::COMPONENT_MODEL, false)
        .wasm_features(wasmtime::WasmFeatures::CM_ASYNC, false)
        .gc_support(false)
        .shared_memory(false)
        .concurrency_support(false);
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots.saturating_mul(2))
        .total_stacks(slots)
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_PER_MODULE_MAX)
        .max_memory_size(4 << 30)
        .table_elements(200_000)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .max_unused_warm_slots(64)
        .pagemap_scan(Enabled::Auto);
    pool
}
