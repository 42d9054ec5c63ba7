//! From stored bytes to something that can be instantiated: verified, compiled, linked, once a module.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use caxton_engine::{Compiled, Linked};
use caxton_kernel::Refusal;
use caxton_model::{
    AgentSpec, Digest, EngineProfile, ErrorCode, Fault, GrantedRule, Kind, Limits, Permissions,
};
use caxton_package::{Form, Verified};

use crate::{
    rights::{self, EffectiveRights, Holder},
    shared::Shared,
};

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

/// What a module is to serve as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    Agent,
    /// A processor or an extension: what is called.
    Processor,
}

impl Serves {
    /// The engine profile where none was asked for: what is called with bytes answers the same for the
    /// same bytes, unless it is a program like any other, with the machine's clock, or imports a right.
    pub(crate) fn default_profile(self, verified: &Verified) -> EngineProfile {
        match (self, verified.report().form) {
            (Self::Agent, _) | (_, Some(Form::WasiCommand)) => EngineProfile::Hardened,
            // What comes from outside is not the same for the same bytes.
            (Self::Processor, _) if !verified.report().permissions_needed().is_empty() => {
                EngineProfile::Hardened
            }
            (Self::Processor, _) => EngineProfile::Deterministic,
        }
    }
    /// Errors: `unsupported-module`, for a module that serves as something else.
    fn check(self, verified: &Verified) -> Result<Kind, Refusal> {
        let Some(form) = verified.report().form else {
            return Ok(Kind::Agent);
        };
        let (what, kind) = (form.what(), form.kind());
        let text = match (self, kind) {
            (Self::Agent, Kind::Agent) | (Self::Processor, Kind::Processor | Kind::Extension) => {
                return Ok(kind);
            }
            (Self::Agent, _) => format!(
                "no agent: the module serves as {what}; deploy it with `caxton processor deploy`, or export `handle_message`"
            ),
            (Self::Processor, _) => format!(
                "no processor: the module serves as {what}; deploy it with `caxton agent deploy`, or export `process`"
            ),
        };
        Err(Refusal::new(ErrorCode::UnsupportedModule, text))
    }
}

/// Checks and compiles a module that is to be deployed. Blocking; for the I/O side.
///
/// The limits are those of the kind that the module is of.
pub(crate) fn admit(
    shared: &Shared,
    bytes: Vec<u8>,
    limits_for: impl Fn(Kind) -> Result<Limits, Refusal>,
    profile: Option<EngineProfile>,
    serves: Serves,
) -> Result<Module, Refusal> {
    let verified = caxton_package::verify_by_kind(bytes, limits_for)?.map_err(|error| {
        if error.code() == ErrorCode::PermissionRequired {
            metrics::counter!("caxton_permission_violations_total").increment(1);
        }
        Refusal::new(error.code(), error.to_string())
    })?;
    let kind = serves.check(&verified)?;
    let profile = profile.unwrap_or_else(|| serves.default_profile(&verified));
    if let Some(ready) = shared.modules.get(verified.digest(), profile) {
        return Ok(ready);
    }
    let began = std::time::Instant::now();
    let compiled = shared
        .engine
        .compile(&verified, profile, kind)
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

/// Checks that a module links with what its guest asks for and is granted. Blocking; for the I/O side.
///
/// Errors: an import that only serves a right for which there is no permission.
pub(crate) fn check_link(
    shared: &Shared,
    module: &Module,
    holder: Holder<'_>,
    granted: &[GrantedRule],
) -> Result<(), Refusal> {
    let refused = |code: ErrorCode, text: String| {
        if code == ErrorCode::PermissionRequired {
            metrics::counter!("caxton_permission_violations_total").increment(1);
        }
        Refusal::new(code, text)
    };
    if let Some(asked) = holder.requested {
        let (errors, _) = rights::compare(&module.verified, asked);
        if !errors.is_empty() && !shared.options.learn {
            let text = format!("{}; add it to [permissions]", errors.join("; "));
            return Err(refused(ErrorCode::PermissionRequired, text));
        }
    }
    let effective = EffectiveRights::new(shared, holder, granted);
    let linked = shared.engine.link(&module.compiled, effective.imports());
    linked
        .map(drop)
        .map_err(|error| refused(error.code(), error.to_string()))
}

/// A module that was deployed: its digest, and what it is compiled for.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) digest: Digest,
    pub(crate) profile: EngineProfile,
    pub(crate) limits: Limits,
    pub(crate) serves: Serves,
    /// Whose it is, for the node's log.
    pub(crate) of: Arc<str>,
}

/// A deployed module: ready, or loaded from the blobs. Blocking; for the I/O side.
fn load(shared: &Shared, stored: &Stored) -> Result<Module, Fault> {
    let digest = stored.digest;
    if let Some(ready) = shared.modules.get(digest, stored.profile) {
        return Ok(ready);
    }
    let lost = |reason: String| {
        let text = format!("the module {digest} can't be read back: {reason}");
        tracing::error!(guest = &*stored.of, "{text}");
        Fault::new(ErrorCode::Internal, text)
    };
    let bytes = shared
        .store
        .blobs()
        .get(&digest)
        .map_err(|error| lost(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| {
        lost("it is not in the data directory; deploy the module again".to_owned())
    })?;
    let limits_for = |_| Ok(stored.limits.clone());
    let (profile, serves) = (Some(stored.profile), stored.serves);
    admit(shared, bytes.to_vec(), limits_for, profile, serves)
        .map_err(|refusal| Fault::new(refusal.code, refusal.text))
}

/// A deployed module, without blocking whoever asks.
pub(crate) async fn ready(shared: &Arc<Shared>, stored: Stored) -> Result<Module, Fault> {
    if let Some(module) = shared.modules.get(stored.digest, stored.profile) {
        return Ok(module);
    }
    let inner = Arc::clone(shared);
    let loading = shared.clone().blocking(move || load(&inner, &stored));
    loading.await.unwrap_or_else(|| {
        let text = "the node is shutting down";
        Err(Fault::new(ErrorCode::ShuttingDown, text))
    })
}

/// An agent's module, linked for it; from a shard, without blocking it.
pub(crate) async fn linked(
    shared: &Arc<Shared>,
    spec: &Arc<AgentSpec>,
    effective: &EffectiveRights,
) -> Result<Linked, Fault> {
    let imports = effective.imports();
    if let Some(linked) = shared.modules.linked(spec, imports) {
        return Ok(linked);
    }
    let stored = Stored {
        digest: spec.module,
        profile: spec.profile,
        limits: spec.limits.clone(),
        serves: Serves::Agent,
        of: spec.name.shared(),
    };
    let module = ready(shared, stored).await?;
    let linked = shared
        .engine
        .link(&module.compiled, imports)
        .map_err(|error| Fault::new(error.code(), error.to_string()))?;
    let with = imports.clone();
    shared.modules.put_linked(spec, with, linked.clone());
    Ok(linked)
}

/// Adds names and source lines to a fault's backtrace. Blocking; for the I/O side.
pub(crate) fn symbolise(
    shared: &Shared,
    digest: Digest,
    profile: EngineProfile,
    fault: &mut Fault,
) {
    if let Some(module) = shared.modules.get(digest, profile) {
        shared.engine.symbolise(&module.verified, fault);
    }
}
