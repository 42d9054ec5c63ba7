//! Which profile a module needs: validation under one set of features after the other.

use caxton_model::{EngineProfile, ErrorCode};
use wasmparser::{Validator, WasmFeatures, types::Types};

use crate::ModuleReport;

/// What `hardened` allows; the engine's configuration names the same ones.
const HARDENED: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST);

/// What `wide` adds.
const WIDE_ADDS: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::MULTI_MEMORY, "several memories"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
    (WasmFeatures::GC_TYPES, "external references"),
    (
        WasmFeatures::FUNCTION_REFERENCES,
        "typed function references",
    ),
    (WasmFeatures::GC, "garbage collection"),
];

/// What no profile allows.
const NEVER: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::THREADS, "threads and shared memory"),
    (WasmFeatures::MEMORY64, "64-bit memories"),
    (WasmFeatures::RELAXED_SIMD, "relaxed SIMD"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "the legacy exceptions"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything threads",
    ),
    (WasmFeatures::MEMORY_CONTROL, "memory control"),
];

fn wide() -> WasmFeatures {
    WIDE_ADDS
        .iter()
        .fold(HARDENED, |all, (feature, _)| all.union(*feature))
}

fn validate(bytes: &[u8], features: WasmFeatures) -> wasmparser::Result<Types> {
    Validator::new_with_features(features).validate_all(bytes)
}

/// Validates a core module and notes what it needs; `None`: refused, with the reason noted.
pub(crate) fn validate_core(bytes: &[u8], report: &mut ModuleReport) -> Option<Types> {
    let error = match validate(bytes, HARDENED) {
        Ok(types) => return Some(types),
        Err(error) => error,
    };
    if let Ok(types) = validate(bytes, wide()) {
        report.profile = EngineProfile::Wide;
        report.profile_features = WIDE_ADDS
            .iter()
            .filter(|(feature, _)| validate(bytes, wide().difference(*feature)).is_err())
            .map(|(_, name)| *name)
            .collect();
        report.warnings.push(format!(
            "needs the engine profile `wide`, for {}",
            match report.profile_features.as_slice() {
                [] => "features that `hardened` leaves out".to_owned(),
                names => names.join(", "),
            }
        ));
        return Some(types);
    }
    if validate(bytes, WasmFeatures::all()).is_ok() {
        let used: Vec<_> = NEVER
            .iter()
            .filter(|(feature, _)| {
                validate(bytes, WasmFeatures::all().difference(*feature)).is_err()
            })
            .map(|(_, name)| *name)
            .collect();
        let used = if used.is_empty() {
            error.message().to_owned()
        } else {
            used.join(", ")
        };
        report.refuse(
            ErrorCode::UnsupportedModule,
            format!("uses WebAssembly features that no engine profile allows: {used}"),
            "build for the plain `wasm32` target without these features",
        );
        return None;
    }
    let message: String = error.message().chars().take(300).collect();
    report.refuse(
        ErrorCode::InvalidModule,
        format!(
            "not a valid WebAssembly module: {message} (at byte {})",
            error.offset()
        ),
        "rebuild it, and send the `.wasm` file unaltered",
    );
    None
}
