//! From stored bytes to something that can be instantiated: verified, compiled, linked, once a module.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use caxton_engine::{Compiled, Linked};
use caxton_kernel::Refusal;
use caxton_model::{
    AgentSpec, Digest, EngineProfile, ErrorCode, Fault, Kind, LimitName, Limits, Permissions,
};
use caxton_package::Verified;

use crate::shared::Shared;

/// A module that is ready, with what explains its faults.
#[derive(Clone)]
pub(crate) struct Module {
    pub(crate) verified: Verified,
    pub(crate) compiled: Compiled,
}

/// Modules that are ready, by digest and profile. Those no agent uses are dropped by the sweep.
#[derive(Default)]
pub(crate) struct Modules {
    ready: Mutex<HashMap<(Digest, EngineProfile), Ready>>,
}

struct Ready {
    module: Module,
    /// As linked last, and with which permissions: agents with the same ones share it.
    linked: Option<(Permissions, Linked)>,
}

impl Modules {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Digest, EngineProfile), Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn get(&self, digest: Digest, profile: EngineProfile) -> Option<Module> {
        let ready = self.lock();
        Some(ready.get(&(digest, profile))?.module.clone())
    }
    fn put(&self, digest: Digest, profile: EngineProfile, module: Module) {
        let ready = Ready {
            module,
            linked: None,
        };
        self.lock().insert((digest, profile), ready);
    }
    fn linked(&self, spec: &AgentSpec, granted: &Permissions) -> Option<Linked> {
        let ready = self.lock();
        let (with, linked) = ready.get(&(spec.module, spec.profile))?.linked.as_ref()?;
        (with == granted).then(|| linked.clone())
    }
    fn put_linked(&self, spec: &AgentSpec, granted: Permissions, linked: Linked) {
        if let Some(ready) = self.lock().get_mut(&(spec.module, spec.profile)) {
            ready.linked = Some((granted, linked));
        }
    }
    /// What their code takes in memory. Unit: bytes.
    pub(crate) fn code_bytes(&self) -> u64 {
        let ready = self.lock();
        let compiled = ready.values().map(|ready| &ready.module.compiled);
        compiled.map(caxton_engine::Compiled::code_bytes).sum()
    }
    /// Drops what no agent uses.
    pub(crate) fn keep_only(&self, used: impl Fn(&Digest) -> bool) {
        self.lock().retain(|(digest, _), _| used(digest));
    }
}

/// Checks and compiles a module that is to be deployed. Blocking; for the I/O side.
pub(crate) fn admit(
    shared: &Shared,
    bytes: Vec<u8>,
    limits: &Limits,
    profile: EngineProfile,
) -> Result<Module, Refusal> {
    let verified =
        caxton_package::verify(bytes, limits.get(LimitName::ModuleBytes)).map_err(|error| {
            if error.code() == ErrorCode::PermissionRequired {
                metrics::counter!("caxton_permission_violations_total").increment(1);
            }
            Refusal::new(error.code(), error.to_string())
        })?;
    if let Some(form) = verified.report().form
        && form.kind() != Kind::Agent
    {
        let what = form.what();
        let text = format!("no agent: the module serves as {what}; export `handle_message`");
        return Err(Refusal::new(ErrorCode::UnsupportedModule, text));
    }
    if let Some(ready) = shared.modules.get(verified.digest(), profile) {
        return Ok(ready);
    }
    let began = std::time::Instant::now();
    let compiled = shared
        .engine
        .compile(&verified, profile, Kind::Agent)
        .map_err(|error| Refusal::new(error.code(), error.to_string()))?;
    if compiled.from_cache() {
        metrics::counter!("caxton_cache_hits_total").increment(1);
    } else {
        metrics::counter!("caxton_cache_misses_total").increment(1);
        metrics::histogram!("caxton_compile_seconds").record(began.elapsed().as_secs_f64());
    }
    let module = Module { verified, compiled };
    shared
        .modules
        .put(module.verified.digest(), profile, module.clone());
    Ok(module)
}

/// The module of a deployed agent: ready, or loaded from the blobs. Blocking; for the I/O side.
fn load(shared: &Shared, spec: &AgentSpec) -> Result<Module, Fault> {
    if let Some(ready) = shared.modules.get(spec.module, spec.profile) {
        return Ok(ready);
    }
    let lost = |reason: String| {
        let text = format!("the module {} can't be read back: {reason}", spec.module);
        tracing::error!(agent = spec.name.as_str(), "{text}");
        Fault::new(ErrorCode::Internal, text)
    };
    let bytes = shared
        .store
        .blobs()
        .get(&spec.module)
        .map_err(|error| lost(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| {
        lost("it is not in the data directory; deploy the module again".to_owned())
    })?;
    admit(shared, bytes.to_vec(), &spec.limits, spec.profile)
        .map_err(|refusal| Fault::new(refusal.code, refusal.text))
}

/// An agent's module, linked for it; from a shard, without blocking it.
pub(crate) async fn linked(
    shared: &Arc<Shared>,
    spec: &Arc<AgentSpec>,
    granted: Permissions,
) -> Result<Linked, Fault> {
    if let Some(linked) = shared.modules.linked(spec, &granted) {
        return Ok(linked);
    }
    let module = match shared.modules.get(spec.module, spec.profile) {
        Some(module) => module,
        None => {
            let (inner, spec) = (Arc::clone(shared), Arc::clone(spec));
            match shared.clone().blocking(move || load(&inner, &spec)).await {
                Some(loaded) => loaded?,
                None => {
                    return Err(Fault::new(
                        ErrorCode::ShuttingDown,
                        "the node is shutting down",
                    ));
                }
            }
        }
    };
    let linked = shared
        .engine
        .link(&module.compiled, &granted)
        .map_err(|error| Fault::new(error.code(), error.to_string()))?;
    shared.modules.put_linked(spec, granted, linked.clone());
    Ok(linked)
}

/// Adds names and source lines to a fault's backtrace. Blocking; for the I/O side.
pub(crate) fn symbolise(shared: &Shared, spec: &AgentSpec, fault: &mut Fault) {
    if let Some(module) = shared.modules.get(spec.module, spec.profile) {
        shared.engine.symbolise(&module.verified, fault);
    }
}
