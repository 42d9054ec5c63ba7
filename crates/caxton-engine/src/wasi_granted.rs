//! What WASI preview 1 offers beyond [`crate::wasi`] where an operator granted it: files, the
//! environment, the machine's randomness.
//!
//! A module that was linked without such a grant has none of these functions.

use std::sync::{Arc, Mutex};

use caxton_gate::{EnvRead, RandomSecure};
use caxton_model::{Permission, Permissions};
use rand::TryRngCore as _;
use wasmtime::Linker;

use crate::{
    Arguments, HostResources,
    ctx::{Ctx, Stop},
    files::{Files, SharedFiles},
    guest_memory::view,
    host_functions::Guest,
    wasi::{self, put_texts, put_texts_sizes},
    wasi_files,
};

/// Defines one function in the form that grants give it; whether there is such a form.
pub(crate) fn define(
    linker: &mut Linker<Ctx>,
    name: &str,
    granted: &Permissions,
) -> wasmtime::Result<bool> {
    let has_files = granted.contains(&Permission::FsRead) || granted.contains(&Permission::FsWrite);
    if has_files && wasi_files::define(linker, name)? {
        return Ok(true);
    }
    if !granted.contains(&Permission::EnvRead) {
        return Ok(false);
    }
    type Environ = fn(&mut Guest<'_>, i32, i32) -> Result<i32, Stop>;
    let function: Environ = match name {
        "environ_sizes_get" => environ_sizes_get,
        "environ_get" => environ_get,
        _ => return Ok(false),
    };
    linker.func_wrap(
        wasi::MODULE,
        name,
        move |mut c: Guest<'_>, a: i32, b: i32| -> wasmtime::Result<i32> {
            c.data_mut().count_host_call()?;
            Ok(function(&mut c, a, b)?)
        },
    )?;
    Ok(true)
}

/// What of the outside an instance has asked for so far.
#[derive(Debug, Default)]
pub(crate) struct GrantedState {
    resources: Option<HostResources>,
    files: Option<SharedFiles>,
    environment: Option<Arc<Arguments>>,
    random: Option<caxton_gate::Allowed<RandomSecure>>,
}

/// What lies outside; `None`: the host has nothing.
fn resources(ctx: &mut Ctx) -> Option<HostResources> {
    if let Some(resources) = &wasi::state(ctx).granted.resources {
        return Some(resources.clone());
    }
    let resources = ctx.host.resources()?;
    wasi::state(ctx).granted.resources = Some(resources.clone());
    Some(resources)
}

/// The files of the instance.
pub(crate) fn files(ctx: &mut Ctx) -> Option<SharedFiles> {
    if let Some(files) = &wasi::state(ctx).granted.files {
        return Some(Arc::clone(files));
    }
    let resources = resources(ctx)?;
    let files = Arc::new(Mutex::new(Files::new(resources, &ctx.bounds)));
    wasi::state(ctx).granted.files = Some(Arc::clone(&files));
    Some(files)
}

/// Whether a descriptor is one of the instance's files, which are always ready.
pub(crate) fn is_file(ctx: &Ctx, fd: i32) -> bool {
    let files = ctx
        .wasi
        .as_ref()
        .and_then(|wasi| wasi.granted.files.as_ref());
    files.is_some_and(|files| {
        crate::files::with(files, |files| Ok(files.is_open(fd))).is_ok_and(|is| is)
    })
}

/// The variables that the guest was granted. They are asked for once.
fn environment(ctx: &mut Ctx) -> Arc<Arguments> {
    if let Some(environment) = &wasi::state(ctx).granted.environment {
        return Arc::clone(environment);
    }
    let mut variables = Vec::new();
    if let Some(resources) = resources(ctx) {
        for (name, value) in resources.environment.iter() {
            let now = (resources.now)();
            let checked = match EnvRead::new(name) {
                Ok(access) => resources.gate.check(access, now).map(drop),
                Err(malformed) => Err(resources.gate.refuse(&malformed, now)),
            };
            match checked {
                Ok(()) => variables.push(format!("{name}={value}")),
                Err(denied) => ctx.host.denied(&denied),
            }
        }
    }
    let environment = Arc::new(Arguments::variables(&variables));
    wasi::state(ctx).granted.environment = Some(Arc::clone(&environment));
    environment
}

fn environ_sizes_get(c: &mut Guest<'_>, count: i32, size: i32) -> Result<i32, Stop> {
    let (bytes, ctx) = view(c)?;
    put_texts_sizes(bytes, &environment(ctx), count, size)
}

fn environ_get(c: &mut Guest<'_>, list: i32, text: i32) -> Result<i32, Stop> {
    let (bytes, ctx) = view(c)?;
    put_texts(bytes, &environment(ctx), list, text)
}

impl Ctx {
    /// A random number: the machine's where that was granted, else the next of the host's seeded
    /// generator.
    pub(crate) fn random_u32(&mut self) -> u32 {
        let machines = self.has_secure_random.then(|| self.secure_random_u32());
        machines.flatten().unwrap_or_else(|| self.host.random_u32())
    }
    fn secure_random_u32(&mut self) -> Option<u32> {
        let resources = resources(self)?;
        let now = (resources.now)();
        let held = &mut wasi::state(self).granted.random;
        let checked = match held {
            Some(allowed) => resources.gate.recheck(allowed, now),
            None => resources
                .gate
                .check(RandomSecure, now)
                .map(|allowed| *held = Some(allowed)),
        };
        match checked {
            Ok(()) => rand::rngs::OsRng.try_next_u32().ok(),
            Err(denied) => {
                wasi::state(self).granted.random = None;
                self.host.denied(&denied);
                None
            }
        }
    }
}
