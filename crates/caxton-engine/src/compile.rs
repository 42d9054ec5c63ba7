//! From verified bytes to compiled code: out of the cache, or by the compiler.

use std::{
    fs::File,
    hash::{Hash, Hasher},
    io::{Read as _, Seek as _},
    os::fd::AsRawFd as _,
    sync::Arc,
};

use caxton_model::{EngineProfile, ErrorCode, Kind};
use caxton_package::{ModuleReport, Verified};
use rustix::process::{Resource, getrlimit};
use wasmtime::Module;

use crate::{
    Engine, EngineError,
    engine::Runtime,
    raw,
    worker::{self, WorkerError},
};

/// Compiled code may be so many times its module's size, and a little.
const ARTEFACT_RATIO_MAX: u64 = 100;
const ARTEFACT_BYTES_FREE: u64 = 4 << 20;

/// Machine code of one module for one profile and one memory form.
///
/// Cost of a clone: three reference counts.
#[derive(Clone)]
pub struct Compiled {
    pub(crate) module: Module,
    pub(crate) report: Arc<ModuleReport>,
    pub(crate) runtime: Runtime,
    pub(crate) cache_key: String,
    from_cache: bool,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("digest", &self.report.digest)
            .finish_non_exhaustive()
    }
}

impl Compiled {
    /// What the module is.
    #[must_use]
    pub fn report(&self) -> &ModuleReport {
        &self.report
    }
    /// The profile it was compiled for.
    #[must_use]
    pub fn profile(&self) -> EngineProfile {
        self.runtime.profile
    }
    /// What its code takes in memory. Unit: bytes.
    #[must_use]
    pub fn code_bytes(&self) -> u64 {
        let image = self.module.image_range();
        image.end.addr().saturating_sub(image.start.addr()) as u64
    }
    /// Whether the compiler had nothing to do.
    #[must_use]
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }
}

/// Why a module was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// There is no engine for that.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Over the compiler's limits.
    #[error("compiling the module was stopped: {reason}; {}", ErrorCode::CompileRefused.remedy())]
    Refused {
        /// Which limit.
        reason: String,
    },
    /// The compiler's process could not do its work.
    #[error("the compiler's process failed: {reason}")]
    Worker {
        /// What happened.
        reason: String,
    },
}

impl CompileError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Engine(error) => error.code(),
            Self::Refused { .. } => ErrorCode::CompileRefused,
            Self::Worker { .. } => ErrorCode::Internal,
        }
    }
}

impl Engine {
    /// Compiles a module, or takes it from the cache.
    ///
    /// Blocking: call it off the shards. Cost: about a second a megabyte; from the cache half
    /// of a millisecond. Cancel: can't be; bounded by the compiler's time.
    pub fn compile(
        &self,
        module: &Verified,
        profile: EngineProfile,
        kind: Kind,
    ) -> Result<Compiled, CompileError> {
        let report = module.report();
        let runtime = self.runtime(profile, Self::form_for(kind))?;
        let cache_key = cache_key(module, &runtime);
        let compiled = |module, from_cache| Compiled {
            module,
            report: report.clone(),
            runtime: runtime.clone(),
            cache_key: cache_key.clone(),
            from_cache,
        };
        let cache = self.inner.cache.as_ref();
        if let Some((cache, file)) = cache.and_then(|c| Some((c, c.get(&cache_key)?))) {
            let files_max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
            match load(&runtime.engine, file, files_max) {
                Ok(module) => return Ok(compiled(module, true)),
                Err(_) => cache.discard(&cache_key),
            }
        }
        let artefact = self.make_artefact(module, &runtime)?;
        let size = artefact.len() as u64;
        let most = ARTEFACT_BYTES_FREE
            .saturating_add(report.size_bytes.saturating_mul(ARTEFACT_RATIO_MAX));
        if size > most {
            let reason = format!("its machine code is {size} bytes, at most {most} are allowed");
            return Err(CompileError::Refused { reason });
        }
        // What loading refuses are sizes: more globals or tables than an instance may have.
        let module = raw::load_checked(&runtime.engine, &artefact).map_err(|error| {
            CompileError::Refused {
                reason: format!("{error:#}"),
            }
        })?;
        if let Some(cache) = cache {
            cache.put(&cache_key, &artefact);
        }
        Ok(compiled(module, false))
    }
    fn make_artefact(&self, module: &Verified, runtime: &Runtime) -> Result<Vec<u8>, CompileError> {
        let options = &self.inner.options;
        let _place = self.inner.compiling.enter();
        match &options.compile_worker {
            Some(program) => {
                worker::compile(program, options, runtime, module.bytes()).map_err(|error| {
                    match error {
                        WorkerError::Limit { reason } => CompileError::Refused { reason },
                        WorkerError::Failed { reason } => CompileError::Worker { reason },
                    }
                })
            }
            None => runtime
                .engine
                .precompile_module(module.bytes())
                .map_err(|error| CompileError::Refused {
                    reason: format!("{error:#}"),
                }),
        }
    }
}

/// Loads a checked file of compiled code: mapped, or a copy where half of the files that this process
/// may open are open, or where nothing may be executed from its file system.
fn load(
    engine: &wasmtime::Engine,
    mut file: File,
    files_max: u64,
) -> Result<Module, wasmtime::Error> {
    // The lowest free number is given to each: so many are open.
    let many = u64::try_from(file.as_raw_fd()).is_ok_and(|open| open >= files_max / 2);
    if !many && let Ok(module) = raw::map_checked(engine, file.try_clone()?) {
        return Ok(module);
    }
    let mut artefact = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut artefact)?;
    raw::load_checked(engine, &artefact)
}

/// The cache's name for a module's code: everything that the code depends on.
fn cache_key(module: &Verified, runtime: &Runtime) -> String {
    let mut hasher = Blake3Hasher(blake3::Hasher::new());
    Engine::version().hash(&mut hasher);
    runtime.profile.as_str().hash(&mut hasher);
    runtime.form.as_str().hash(&mut hasher);
    std::env::consts::ARCH.hash(&mut hasher);
    runtime
        .engine
        .precompile_compatibility_hash()
        .hash(&mut hasher);
    let rest = hasher.0.finalize().to_hex();
    format!(
        "{}-{}",
        module.digest().hex(),
        rest.get(..32).unwrap_or_default()
    )
}

/// Lets things that can only be hashed into a `Hasher` go into a long hash.
struct Blake3Hasher(blake3::Hasher);
impl Hasher for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        hash.as_bytes()
            .iter()
            .take(8)
            .fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EngineOptions, config};

    const AGENT: &[u8] = br#"(module (memory (export "memory") 1)
        (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#;

    /// What carries a good MAC and is still not this engine's code: another version's, or nonsense.
    #[test]
    fn an_entry_of_another_version_is_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let options = EngineOptions {
            cache_dir: Some(dir.path().into()),
            ..Default::default()
        };
        let engine = Engine::new(options).unwrap();
        let bytes = wat::parse_bytes(AGENT).unwrap().into_owned();
        let module = caxton_package::verify(bytes, &caxton_model::Limits::unlimited()).unwrap();
        let profile = EngineProfile::Hardened;
        let compile = || engine.compile(&module, profile, Kind::Agent).unwrap();
        let key = compile().cache_key;
        let cache = engine.cache().unwrap();
        let form = config::MemoryForm::Agents;
        let mut older = config::config(
            caxton_model::EngineKind::Cranelift,
            false,
            profile,
            form,
            None,
            None,
        )
        .unwrap();
        older
            .module_version(wasmtime::ModuleVersionStrategy::Custom("48.0.7".to_owned()))
            .unwrap();
        let older = wasmtime::Engine::new(&older).unwrap();
        let artefact = older.precompile_module(module.bytes()).unwrap();
        for (n, wrong) in [artefact.as_slice(), b"not an artefact", b""]
            .into_iter()
            .enumerate()
        {
            cache.put(&key, wrong);
            assert!(!compile().from_cache(), "{n}");
            assert_eq!(cache.stats().discarded, n as u64 + 1);
            assert!(compile().from_cache());
        }
    }

    #[test]
    fn a_module_stays_when_its_file_goes_and_is_copied_where_files_are_scarce() {
        let mut config = wasmtime::Config::new();
        config.gc_support(false);
        let engine = wasmtime::Engine::new(&config).unwrap();
        let answer = wat::parse_str("(module (func (export \"f\") (result i32) (i32.const 7)))");
        let artefact = engine.precompile_module(&answer.unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (files_max, mapped) in [(u64::MAX, true), (2, false)] {
            let path = dir.path().join("artefact");
            std::fs::write(&path, &artefact).unwrap();
            let module = load(&engine, File::open(&path).unwrap(), files_max).unwrap();
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            assert_eq!(maps.contains(path.to_str().unwrap()), mapped);
            std::fs::remove_file(&path).unwrap();
            let mut store = wasmtime::Store::new(&engine, ());
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
            let f = instance.get_typed_func::<(), i32>(&mut store, "f");
            assert_eq!(f.unwrap().call(&mut store, ()).unwrap(), 7);
        }
    }
}
