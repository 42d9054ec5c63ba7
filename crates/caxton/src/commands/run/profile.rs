//! Runs an agent's turns one after the other with its stack sampled at every tick.

use std::{fs, path::Path};

use caxton_engine::{Call, HostCalls, Instance, Returned};
use caxton_model::LimitName;

use super::{Args, Ready, fault_failure, host::RunHost, messages::Messages, name_of};
use crate::{
    failure::{Exit, Failure},
    output::{Output, count, json_line},
};

/// Does it: init and each message, then the profile.
pub(super) async fn run(
    args: &Args,
    file: &Path,
    ready: Ready,
    path: &Path,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(path);
    let host = RunHost::new(true, &args.guest.config, ready.profile, &[], &ready.limits);
    let host = host.with_resources(ready.outside.resources(&name), ready.outside.http.clone());
    let host: Box<dyn HostCalls> = Box::new(host);
    let started = ready.linked.instantiate(&ready.limits, host).await;
    let mut host = started.host;
    let mut instance = Some(started.result.map_err(|fault| fault_failure(&fault))?);
    let sampled = instance
        .as_mut()
        .map(|instance| instance.start_profile(&name));
    sampled.transpose().map_err(|reason| {
        Failure::usage(
            format!("the guest can't be sampled: {reason}"),
            "use --engine-profile hardened",
        )
    })?;
    let mut calls = vec![Call::Init];
    let size = ready.limits.get(LimitName::MessageBytes);
    let mut messages = Messages::of(args, &name, size)?;
    while let Some(fields) = messages.next().await {
        calls.push(Call::Message(
            fields?.seal().json().as_bytes().to_vec().into(),
        ));
    }
    let mut errors = 0;
    for call in calls {
        let Some(live) = instance.take() else { break };
        let done = live.call(call, host).await;
        host = done.host;
        instance = done.instance;
        let returned = done.result.map_err(|mut fault| {
            ready.engine.symbolise(&ready.verified, &mut fault);
            fault_failure(&fault)
        })?;
        errors += u32::from(matches!(returned, Returned::Code(code) if code != 0));
    }
    let profile = instance
        .as_mut()
        .and_then(Instance::finish_profile)
        .unwrap_or_default();
    fs::write(file, profile).map_err(|error| Failure::file(file, &error))?;
    if let Ok(host) = host.as_any().downcast::<RunHost>() {
        for sent in &host.sent {
            output.line(&json_line(sent))?;
        }
    }
    output.note(&format!(
        "open {} at https://profiler.firefox.com",
        file.display()
    ));
    judge(errors)
}

/// An error that a turn returned is the command's.
fn judge(errors: u32) -> Result<(), Failure> {
    match errors {
        0 => Ok(()),
        errors => Err(Failure::new(
            Exit::Failed,
            format!("{} returned non-zero", count(errors, "turn")),
            "read the agent's log lines and replies",
        )),
    }
}
