//! What imports that the host does not offer usually mean, and what to do then.

use caxton_model::{ImportClass, nearest};

use crate::{ImportReport, OFFERED, Signature, WASI_P1};

/// The system that a module was built for, told by its imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    WasmBindgen,
    DynamicLinking,
    Emscripten,
    Extism,
    GoJs,
    Zellij,
    Benchmark,
    ProxyWasm,
    Wapc,
    Wasix,
    WasiPreview0,
    WasiComponent,
    Spectest,
}

/// Names that a compiler gives the imports of a part that is linked at run time.
const DYNAMIC: &[&str] = &[
    "__memory_base",
    "__table_base",
    "__stack_pointer",
    "__indirect_function_table",
];

/// The origin of an import that is not met; `None`: its name says nothing.
pub(crate) fn origin_of(import: &ImportReport) -> Option<Origin> {
    let (module, name) = (import.module.as_str(), import.name.as_str());
    let is_env = matches!(module, "env" | "a");
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    Some(match module {
        "wbg" | "__wbindgen_placeholder__" | "__wbindgen_externref_xform__" => Origin::WasmBindgen,
        "GOT.mem" | "GOT.func" => Origin::DynamicLinking,
        "zellij" => Origin::Zellij,
        "bench" => Origin::Benchmark,
        "go" | "gojs" => Origin::GoJs,
        "wapc" => Origin::Wapc,
        "wasi_unstable" => Origin::WasiPreview0,
        "spectest" => Origin::Spectest,
        "asm2wasm" | "global.Math" => Origin::Emscripten,
        "wasix_32v1" | "wasix_64v1" => Origin::Wasix,
        _ if starts(&["__wbindgen_", "__wbg_"]) => Origin::WasmBindgen,
        _ if module.starts_with("extism:") || starts(&["extism_"]) => Origin::Extism,
        _ if module.starts_with("wasi:") || module.starts_with("cm32p2") => Origin::WasiComponent,
        _ if is_env && DYNAMIC.contains(&name) => Origin::DynamicLinking,
        _ if is_env && starts(&["proxy_"]) => Origin::ProxyWasm,
        _ if is_env
            && starts(&[
                "emscripten_",
                "_emscripten_",
                "__syscall_",
                "invoke_",
                "__cxa_",
                "_embind_",
                "_emval_",
                "__asyncify",
            ]) =>
        {
            Origin::Emscripten
        }
        // Optimised by emscripten, a module imports `a.a`, `a.b` and so on.
        "a" if name.len() <= 2 => Origin::Emscripten,
        _ => return None,
    })
}

impl Origin {
    /// What such imports mean.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::WasmBindgen => "imports functions that wasm-bindgen makes for JavaScript",
            Self::DynamicLinking => "is a part that must be linked at run time (dynamic linking)",
            Self::Emscripten => "imports functions of emscripten's JavaScript",
            Self::Extism => "is a plug-in for Extism",
            Self::GoJs => "imports functions that Go makes for JavaScript",
            Self::Zellij => "is a plug-in for Zellij",
            Self::Benchmark => "imports functions of a benchmark harness",
            Self::ProxyWasm => "is a filter for a proxy (Proxy-Wasm)",
            Self::Wapc => "is a guest of waPC",
            Self::Wasix => "imports functions of WASIX",
            Self::WasiPreview0 => "imports functions of WASI preview 0, which preview 1 replaced",
            Self::WasiComponent => "is the inner module of a component",
            Self::Spectest => "is a test of the WebAssembly specification",
        }
    }
    /// What to do then.
    pub(crate) const fn next_step(self) -> &'static str {
        match self {
            Self::WasmBindgen => {
                "build with caxton-sdk instead of wasm-bindgen, web-sys and js-sys"
            }
            Self::DynamicLinking => {
                "link it statically into one module: without `-shared`, `-fPIC` and `SIDE_MODULE`"
            }
            Self::Emscripten => {
                "build with wasi-sdk, or with `emcc -sSTANDALONE_WASM`, for WASI instead of JavaScript"
            }
            Self::Extism => {
                "replace the Extism PDK by caxton-sdk, or export `process` with `allocate` and `deallocate` (docs/guest-abi.md)"
            }
            Self::GoJs => "build with `GOOS=wasip1 GOARCH=wasm` instead of `GOOS=js`",
            Self::Zellij => "run it in Zellij; an agent for this host is built with caxton-sdk",
            Self::Benchmark => {
                "build it without the harness: remove the calls that start and end the measurement"
            }
            Self::ProxyWasm => "run it in a proxy; an agent for this host is built with caxton-sdk",
            Self::Wapc => "build it with caxton-sdk instead of the waPC guest SDK",
            Self::Wasix => "build for `wasm32-wasip1` instead of WASIX",
            Self::WasiPreview0 => "build it again with a newer toolchain, for `wasm32-wasip1`",
            Self::WasiComponent => {
                "build a core module for `wasm32-wasip1`; this version does not run components"
            }
            Self::Spectest => "nothing to do: it tests runtimes, and is no guest",
        }
    }
}

/// The nearest pair of module and name that would link with this import's own type.
pub(crate) fn nearest_import(import: &ImportReport) -> Option<String> {
    let signature = import.signature.as_ref()?;
    let fits = |types: &[&str]| {
        types
            .iter()
            .any(|short| *signature == Signature::short(short))
    };
    let host = OFFERED
        .iter()
        .filter(|row| !matches!(row.class, ImportClass::Right(_)) && fits(row.types))
        .flat_map(|row| {
            let modules: &[&str] = if row.env_only {
                &["env"]
            } else {
                &["caxton", "env"]
            };
            modules
                .iter()
                .map(move |module| format!("{module}.{}", row.name))
        });
    let wasi = WASI_P1
        .iter()
        .filter(|(_, short)| fits(&[short]))
        .map(|(name, _)| format!("wasi_snapshot_preview1.{name}"));
    let candidates: Vec<String> = host.chain(wasi).collect();
    let full = format!("{}.{}", import.module, import.name);
    nearest(&full, candidates.iter().map(String::as_str)).map(str::to_owned)
}
