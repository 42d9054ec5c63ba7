//! Whether a core module is valid, and which engine profile its features need.

use caxton_model::{EngineProfile, ErrorCode};
use wasmparser::{Validator, WasmFeatures, types::Types};

use crate::{
    ModuleReport,
    features_used::{Feature, WIDE, validate_with_all},
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

#[cfg(test)]
thread_local! {
    /// How often the code of a module was read on this thread.
    pub(crate) static PASSES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A validator, for one pass over a module's code.
pub(crate) fn validator(features: WasmFeatures) -> Validator {
    #[cfg(test)]
    PASSES.set(PASSES.get() + 1);
    Validator::new_with_features(features)
}

/// Validates a core module and notes what it needs; `None`: refused, with the reason noted.
///
/// Cost: one validation for a module of `hardened`; for all others a second one, with every feature
/// on, which alone judges whether the module is valid, and finds the features on its way.
pub(crate) fn validate_core(bytes: &[u8], report: &mut ModuleReport) -> Option<Types> {
    let beyond_hardened = match validator(HARDENED).validate_all(bytes) {
        Ok(types) => return Some(types),
        Err(error) => error,
    };
    let (types, used) = match validate_with_all(bytes) {
        Ok(read) => read,
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
    types
}

/// The validator's own text, within bounds, with its place.
pub(crate) fn shortened(error: &wasmparser::BinaryReaderError) -> String {
    let message: String = error.message().chars().take(MESSAGE_CHARS_MAX).collect();
    format!("{message} (at byte {})", error.offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_validated_once_and_a_refused_one_at_most_twice() {
        for (text, passes) in [
            ("(module (func))", 1),
            ("(module (func i32.add))", 2),
            ("(module (func) (tag))", 2),
            ("(module (memory 1 1 shared))", 2),
            (
                "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
                2,
            ),
        ] {
            let bytes = wat::parse_str(text).unwrap();
            PASSES.set(0);
            let _ = crate::inspect(&bytes);
            assert_eq!(PASSES.get(), passes, "{text}");
        }
    }
}
