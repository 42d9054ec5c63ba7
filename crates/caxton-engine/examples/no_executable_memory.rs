//! A node on a machine that forbids executable memory: Cranelift says so, Pulley runs.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use caxton_engine::{Call, Engine, EngineOptions, bare::silent_host, forbid_executable_memory};
use caxton_model::{EngineKind, EngineProfile, Kind, Limits, Permissions};

const AGENT: &str = r#"(module (memory (export "memory") 1)
    (func (export "handle_message") (param i32 i32) (result i32) (local.get 1)))"#;

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    forbid_executable_memory()?;
    let options = |kind| EngineOptions {
        kind,
        ..EngineOptions::default()
    };
    match Engine::new(options(EngineKind::Cranelift)) {
        Ok(_) => println!("cranelift: started"),
        Err(error) => println!("cranelift: {error}"),
    }
    let engine = Engine::new(options(EngineKind::Pulley))?;
    let module =
        caxton_package::verify(wat::parse_str(AGENT)?, &caxton_model::Limits::unlimited())?;
    let compiled = engine.compile(&module, EngineProfile::Hardened, Kind::Agent)?;
    let linked = engine.link(&compiled, &Permissions::new())?;
    let started = run(linked.instantiate(&Limits::for_kind(Kind::Agent), silent_host()));
    let done = run(started
        .result?
        .call(Call::Message("12345".into()), started.host));
    println!("pulley: {:?}", done.result);
    Ok(())
}
