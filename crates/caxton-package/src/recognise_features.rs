//! Whether a core module is valid, and which engine profile its features need.

use caxton_model::{EngineProfile, ErrorCode};
use wasmparser::{Validator, WasmFeatures, types::Types};

use crate::{
    ModuleReport,
    features_used::{Feature, WIDE, features_used},
};

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

/// Characters of the validator's own text that go into a reason.
const MESSAGE_CHARS_MAX: usize = 300;

fn validate(bytes: &[u8], features: WasmFeatures) -> wasmparser::Result<Types> {
    Validator::new_with_features(features).validate_all(bytes)
}

/// Validates a core module and notes what it needs; `None`: refused, with the reason noted.
///
/// Cost: one validation for a module of `hardened`; for all others a second one, with every feature
/// on, which alone judges whether the module is valid, and one pass that finds the features.
pub(crate) fn validate_core(bytes: &[u8], report: &mut ModuleReport) -> Option<Types> {
    let beyond_hardened = match validate(bytes, HARDENED) {
        Ok(types) => return Some(types),
        Err(error) => error,
    };
    let types = match validate(bytes, WasmFeatures::all()) {
        Ok(types) => types,
        Err(error) => {
            let message = shortened(&error);
            report.refuse(
                ErrorCode::InvalidModule,
                format!("not a valid WebAssembly module: {message}"),
                "rebuild it, and send the `.wasm` file unaltered",
            );
            return None;
        }
    };
    let used = features_used(bytes);
    let never: Vec<Feature> = used
        .iter()
        .copied()
        .filter(|feature| !WIDE.contains(feature))
        .collect();
    if used.is_empty() || !never.is_empty() {
        let never = if never.is_empty() {
            shortened(&beyond_hardened)
        } else {
            never.join(", ")
        };
        report.refuse(
            ErrorCode::UnsupportedModule,
            format!("uses WebAssembly features that no engine profile has: {never}"),
            "build for the plain `wasm32` target without these features",
        );
        return None;
    }
    report.profile = EngineProfile::Wide;
    report.profile_features = used.into_iter().collect();
    report.refuse(
        ErrorCode::ProfileRequired,
        format!(
            "needs the engine profile `wide`, for {}; this version has no engine for `wide`",
            report.profile_features.join(", ")
        ),
        "build for the plain `wasm32` target without these features",
    );
    Some(types)
}

/// The validator's own text, within bounds, with its place.
pub(crate) fn shortened(error: &wasmparser::BinaryReaderError) -> String {
    let message: String = error.message().chars().take(MESSAGE_CHARS_MAX).collect();
    format!("{message} (at byte {})", error.offset())
}
