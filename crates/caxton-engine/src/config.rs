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
/// What an instance may take in the host beside its memory: more than a module that the package
/// reader accepts can need, with its functions and globals. Unit: bytes.
const INSTANCE_BYTES_MAX: usize = 64 << 20;
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

/// The features of the hardened set. The engine's defaults would switch everything on that is off
/// here. `wasm_threads` and `wasm_function_references` exist only in builds with the cargo features
/// `threads` and `gc`, which the workspace's manifest explains.
fn features(config: &mut Config) {
    config
        .wasm_simd(true)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_tail_call(true)
        .wasm_extended_const(true)
        .wasm_reference_types(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_branch_hinting(false)
        .wasm_threads(false)
        .wasm_shared_everything_threads(false)
        .wasm_function_references(false)
        .wasm_gc(false)
        .wasm_exceptions(false)
        .wasm_features(wasmtime::WasmFeatures::LEGACY_EXCEPTIONS, false)
        .wasm_features(wasmtime::WasmFeatures::STACK_SWITCHING, false)
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
        .max_tables_per_module(caxton_package::TABLES_MAX)
        .max_memory_size(4 << 30)
        .table_elements(200_000)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .max_unused_warm_slots(64)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use wasmparser::{Validator, WasmFeatures};
    use wasmtime::Engine;

    use super::*;

    /// The text format has no words for them: the bytes of `(block nop)` are made a `try`.
    const LEGACY_EXCEPTIONS: &str = "(module (func (block nop)))";

    /// A module for each feature that every profile leaves out.
    const OFF: &[(&str, &str)] = &[
        ("shared memory", "(module (memory 1 1 shared))"),
        (
            "atomic instructions",
            "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
        ),
        (
            "shared-everything threads",
            "(module (global (shared i32) (i32.const 0)))",
        ),
        ("struct types", "(module (type (struct)))"),
        ("array types", "(module (type (array i8)))"),
        ("external references", "(module (table 1 externref))"),
        (
            "references to the internal hierarchy",
            "(module (func (param anyref)))",
        ),
        (
            "typed function references",
            "(module (type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0))))",
        ),
        ("exceptions", "(module (tag $e) (func (throw $e)))"),
        ("legacy exceptions", LEGACY_EXCEPTIONS),
        (
            "relaxed SIMD",
            "(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))",
        ),
        ("several memories", "(module (memory 1) (memory 1))"),
        ("64-bit memories", "(module (memory i64 1))"),
        ("64-bit tables", "(module (table i64 1 funcref))"),
        ("custom page sizes", "(module (memory 1 (pagesize 1)))"),
        (
            "wide arithmetic",
            "(module (func (param i64 i64 i64 i64) (result i64 i64) (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))",
        ),
        (
            "stack switching",
            "(module (type $f (func)) (type $c (cont $f)))",
        ),
        (
            "memory control",
            "(module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0))))",
        ),
        (
            "custom descriptors",
            "(module (rec (type $a (descriptor $b) (struct)) (type $b (describes $a) (struct))))",
        ),
        ("components", "(component)"),
    ];

    /// A module that uses every feature that each profile has.
    const ON: &str = r#"(module
        (type $pair (func (result i32 i32)))
        (global $g (mut i32) (i32.add (i32.const 1) (i32.const 2)))
        (memory 1) (table 2 funcref) (table 1 funcref)
        (func $pair (type $pair) (i32.const 1) (i32.const 2))
        (func $tail (result i32 i32) (return_call $pair))
        (func (param v128 f32) (result i32)
            (table.set 1 (i32.const 0) (ref.func $pair))
            (memory.fill (i32.const 0) (i32.const 0) (i32.const 8))
            (drop (i32x4.add (local.get 0) (local.get 0)))
            (drop (i32.extend8_s (i32.const 200)))
            (i32.trunc_sat_f32_s (local.get 1)))
        (elem declare func $pair))"#;

    fn engines() -> impl Iterator<Item = (String, Engine)> {
        let kinds = [EngineKind::Cranelift, EngineKind::Pulley];
        let profiles = [
            EngineProfile::Hardened,
            EngineProfile::Metered,
            EngineProfile::Deterministic,
        ];
        let forms = [MemoryForm::Agents, MemoryForm::Pooled];
        let all = kinds.map(|k| profiles.map(|p| forms.map(|f| (k, p, f))));
        all.into_iter()
            .flatten()
            .flatten()
            .map(|(kind, profile, form)| {
                let config = config(kind, false, profile, form, None, None).unwrap();
                let name = format!("{kind}, {profile}, {}", form.as_str());
                (name, Engine::new(&config).unwrap())
            })
    }

    #[test]
    fn what_is_switched_off_is_refused_by_every_engine() {
        // Each is valid where everything is on, so that only the feature can be what is refused.
        let everything = WasmFeatures::all();
        let off: Vec<_> = OFF
            .iter()
            .map(|(feature, text)| {
                let mut module = wat::parse_str(text).unwrap();
                if *text == LEGACY_EXCEPTIONS {
                    let block = [0x02, 0x40, 0x01, 0x0b];
                    let at = module.windows(4).position(|at| at == block).unwrap();
                    module[at..at + 4].copy_from_slice(&[0x06, 0x40, 0x19, 0x0b]);
                }
                let valid = Validator::new_with_features(everything).validate_all(&module);
                valid.unwrap_or_else(|error| panic!("{feature}: {error}"));
                (feature, module)
            })
            .collect();
        let on = wat::parse_str(ON).unwrap();
        for (name, engine) in engines() {
            engine
                .precompile_module(&on)
                .unwrap_or_else(|error| panic!("{name} refuses what is on: {error:#}"));
            for (feature, module) in &off {
                assert!(
                    engine.precompile_module(module).is_err(),
                    "{name} takes {feature}"
                );
            }
        }
    }
}
