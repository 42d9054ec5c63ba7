//! Requests about processors: deploy, remove, look, and the calls themselves.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use caxton_engine::{Linked, LogLevel, Usage};
use caxton_gate::Diff;
use caxton_kernel::{Done, Event, NodeEvent, Refusal, SHARD_OF_PROCESSORS};
use caxton_model::{
    AgentId, AgentName, AskedLimits, EngineProfile, ErrorClass, ErrorCode, Fault, GrantedRule,
    GrantedRules, JSON_DEPTH_MAX, Kind, LimitName, Limits, ProcessorSpec, RequestedRule,
    json_depth_exceeds,
};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;

use crate::{
    budget,
    call_host::{self, CallHost},
    clock,
    grants::rule_texts,
    modules::{self, Module, Serves},
    node::Node,
    processors::{Processor, Processors, is_shown},
    request::{LimitUsage, NotGranted, NumberedEvent},
    rights::{self, Holder},
    shared::{Shared, shutting_down},
};

/// A processor that is to be deployed, in place of the one of its name.
#[derive(Debug, Clone)]
pub struct DeployProcessor {
    /// Its name.
    pub name: AgentName,
    /// The module's bytes.
    pub module: Vec<u8>,
    /// The package's version.
    pub version: String,
    /// Limits that differ from the defaults.
    pub limits: AskedLimits,
    /// Its own configuration.
    pub config: Vec<(String, String)>,
    /// What it is granted, beside what the version before was.
    pub granted: Vec<GrantedRule>,
    /// What its manifest asks for; `None`: it has none, and is bounded by what the version before asked for.
    pub requested: Option<Vec<RequestedRule>>,
    /// The engine profile; `None`: deterministic, or hardened for a WASI command and for a module that
    /// imports a right.
    pub profile: Option<EngineProfile>,
}

/// A processor that was deployed.
#[derive(Debug, Clone)]
pub struct DeployedProcessor {
    /// What is known of it.
    pub processor: ProcessorDetail,
    /// Whether it took the place of one of the same name.
    pub replaced: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What its manifest asks for, and what it is not granted as a whole.
    pub not_granted: Vec<NotGranted>,
    /// How the requested permissions differ from those of the version before; empty for a new processor.
    pub changes: Diff,
}

/// Everything about one processor.
#[derive(Debug, Clone)]
pub struct ProcessorDetail {
    /// As deployed.
    pub spec: Arc<ProcessorSpec>,
    /// Each limit that it has: used in the last call, the most so far, when it was last reached.
    pub usage: Vec<LimitUsage>,
    /// All that it is granted.
    pub granted: GrantedRules,
    /// Calls that run now.
    pub running: u64,
    /// Calls that ended, in this process.
    pub calls: u64,
    /// Of those, the ones in which the guest gave up by itself.
    pub errors: u64,
    /// Of those, the ones that faulted.
    pub faults: u64,
    /// Time really run. Unit: microseconds.
    pub cpu_micros: u64,
}

/// One call.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The action of an extension; `None`: its description. A processor has one function alone.
    pub function: Option<String>,
    /// The bytes that go in; of an extension, JSON.
    pub input: Bytes,
    /// What they are; checked where the processor names what it takes.
    pub content_type: Option<String>,
}

/// A call that ended.
#[derive(Debug, Clone)]
pub struct CallEnded {
    /// The bytes that came out, or why none did.
    pub result: Result<Bytes, Fault>,
    /// What the call used.
    pub usage: Usage,
}

/// A call's task, which ends when this is dropped: whoever called has gone away.
struct UntilDropped<T>(JoinHandle<T>);

impl<T> Drop for UntilDropped<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
impl<T> Future for UntilDropped<T> {
    type Output = Result<T, tokio::task::JoinError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Node {
    /// Deploys a processor or an extension; when this returns, it can be called. One of the same name is
    /// replaced: its calls that run go on as they began.
    ///
    /// Cancel: a deploy once begun goes on.
    /// Errors: the module, its limits or its imports are refused; nothing is changed then.
    pub async fn deploy_processor(
        &self,
        deploy: DeployProcessor,
    ) -> Result<DeployedProcessor, Refusal> {
        let node = self.clone();
        self.detached(async move { node.deploy_processor_now(deploy).await })
            .await
    }

    async fn deploy_processor_now(
        &self,
        deploy: DeployProcessor,
    ) -> Result<DeployedProcessor, Refusal> {
        let refused = self.shared.refuses();
        if let Some(refusal) = refused.or_else(|| self.shared.budget.refuses_guests()) {
            return Err(refusal);
        }
        let known = self.shared.processors.get(deploy.name.as_str());
        // Their specifications take memory as agents' do.
        let (max, now) = (
            self.shared.options.agents_max,
            self.shared.directory.names() + self.shared.processors.len(),
        );
        if known.is_none() && now >= max {
            budget::refused("agents");
            let text = format!(
                "the node has {now} agents and processors, and its budget `agents` allows {max}; remove some, or raise `budgets.agents` in node.toml"
            );
            return Err(Refusal::new(ErrorCode::NodeBudget, text));
        }
        let id = known
            .as_ref()
            .map_or_else(|| self.new_id(), |known| known.spec.id);
        let mut granted = deploy.granted.clone();
        let (spec, module) = self.prepare_processor(id, deploy, known.clone()).await?;
        let holder = Holder::from(&*spec);
        granted.extend(self.shared.granted_by_policy(holder, &granted));
        let (name, sent) = (spec.name.clone(), Arc::clone(&spec));
        let event = |ticket| Event::DeployProcessor {
            ticket,
            spec: sent,
            granted,
        };
        let replaced = match self.ask(SHARD_OF_PROCESSORS, event).await? {
            Done::Processor { replaced } => replaced,
            _ => false,
        };
        let processor = self.processor(name.as_str())?;
        let (holder, report) = (Holder::from(&*spec), module.verified.report());
        let mut warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(rights::in_vain(
            &module.verified,
            holder,
            &processor.granted,
        ));
        Ok(DeployedProcessor {
            not_granted: self.shared.not_granted(holder, &processor.granted),
            changes: known
                .map(|known| rights::diff(Holder::from(&*known.spec), holder))
                .unwrap_or_default(),
            processor,
            replaced,
            warnings,
        })
    }

    /// Checks everything that can be checked before a guest runs, and stores the module.
    async fn prepare_processor(
        &self,
        id: AgentId,
        deploy: DeployProcessor,
        before: Option<Arc<Processor>>,
    ) -> Result<(Arc<ProcessorSpec>, Module), Refusal> {
        let ceilings = self.shared.options.ceilings.clone();
        let asked = deploy.limits;
        let limits_for = move |kind| {
            let limits = Limits::for_kind(kind).asked(&asked.0, &ceilings);
            limits.map_err(|errors| {
                let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Refusal::new(ErrorCode::InvalidLimit, texts.join("; "))
            })
        };
        let limits_of_kind = limits_for.clone();
        let closed = |_| shutting_down();
        let _permit = self.shared.compiles.acquire().await.map_err(closed)?;
        let (shared, profile, bytes) = (Arc::clone(&self.shared), deploy.profile, deploy.module);
        let admitted = self.shared.clone().blocking(move || {
            let serves = Serves::Processor;
            let module = modules::admit(&shared, bytes, limits_of_kind, profile, serves)?;
            let profile = profile.unwrap_or_else(|| serves.default_profile(&module.verified));
            shared.check_policy_run(&deploy.name, profile)?;
            let kind = module.verified.report().form.map(|form| form.kind());
            let kind = kind.unwrap_or(Kind::Processor);
            let spec = ProcessorSpec {
                id,
                name: deploy.name,
                kind,
                module: module.verified.digest(),
                version: deploy.version,
                limits: limits_for(kind)?,
                requested: match (deploy.requested, &before) {
                    (None, Some(before)) => before.spec.requested.clone(),
                    (requested, _) => requested,
                },
                profile,
                config: deploy.config,
                deployed_at: clock::now(),
            };
            let holder = Holder::from(&spec);
            shared.check_policy_grants(holder.subject(), rule_texts(&deploy.granted))?;
            let before = before.iter().flat_map(|before| before.granted.iter());
            let granted: Vec<GrantedRule> = before.chain(&deploy.granted).cloned().collect();
            modules::check_link(&shared, &module, holder, &granted)?;
            let stored = shared.store.blobs().put(module.verified.bytes());
            stored.map_err(|error| {
                Refusal::new(ErrorCode::Internal, format!("storing the module: {error}"))
            })?;
            Ok::<_, Refusal>((Arc::new(spec), module))
        });
        admitted.await.ok_or_else(shutting_down)?
    }

    /// Removes a processor, by its full name. Its calls that run go on to their end.
    ///
    /// Errors: `not-found`.
    pub async fn remove_processor(&self, name: &str) -> Result<(), Refusal> {
        let name = self.shared.processors.find(name)?.spec.name.shared();
        let event = |ticket| Event::RemoveProcessor { ticket, name };
        self.ask(SHARD_OF_PROCESSORS, event).await.map(drop)
    }

    /// All processors, by name.
    #[must_use]
    pub fn processors(&self) -> Vec<Arc<ProcessorSpec>> {
        let all = self.shared.processors.all().into_iter();
        all.map(|processor| Arc::clone(&processor.spec)).collect()
    }

    /// The specification of a processor, by its full name.
    #[must_use]
    pub fn processor_spec(&self, name: &str) -> Option<Arc<ProcessorSpec>> {
        let processor = self.shared.processors.get(name)?;
        Some(Arc::clone(&processor.spec))
    }

    /// Everything about one processor, by its full name.
    ///
    /// Errors: `not-found`.
    pub fn processor(&self, name: &str) -> Result<ProcessorDetail, Refusal> {
        let processor = self.shared.processors.find(name)?;
        let (spec, counters) = (&processor.spec, &processor.counters);
        let (running, running_peak) = counters.under_way();
        let usage = LimitName::ALL.iter().map(|name| {
            let meter = self.shared.meters.get(spec.id, *name);
            let (used, peak) = match name {
                LimitName::ConcurrentCalls => (running, running_peak),
                _ => (meter.used, meter.peak),
            };
            LimitUsage {
                name: *name,
                limit: match name {
                    LimitName::Fuel if spec.profile.has_fuel() => spec.limits.fuel(),
                    _ => spec.limits.get(*name),
                },
                used,
                peak,
                last_breach: meter.last_breach,
            }
        });
        Ok(ProcessorDetail {
            spec: Arc::clone(spec),
            usage: usage
                .filter(|use_| is_shown(use_.limit, use_.peak))
                .collect(),
            granted: Arc::clone(&processor.granted),
            running,
            calls: counters.calls.load(Relaxed),
            errors: counters.errors.load(Relaxed),
            faults: counters.faults.load(Relaxed),
            cpu_micros: counters.cpu_micros.load(Relaxed),
        })
    }

    /// Calls a processor, by its full name, in a fresh instance.
    ///
    /// Cancel: dropping it ends the call when its guest next gives way, within a millisecond of running.
    /// Errors: the call did not begin: `not-found`, `concurrency-limit`, `too-many-requests`,
    /// `node-budget`, `malformed-request`, `shutting-down`.
    pub async fn call(&self, name: &str, call: Call) -> Result<CallEnded, Refusal> {
        let shared = &self.shared;
        if shared.is_closing() {
            return Err(shutting_down());
        }
        let processor = shared.processors.find(name)?;
        if let Some(refusal) = shared.budget.refuses_guests() {
            return Err(refusal);
        }
        let input = input_of(&processor.spec, &call)?;
        let place = Processors::enter(shared, &processor)?;
        let workers = shared.processors.workers(shared)?;
        let inner = Arc::clone(shared);
        let task = workers.spawn(async move {
            let _place = place;
            run(inner, processor, call, input).await
        });
        match UntilDropped(task).await {
            Ok((result, usage)) => Ok(CallEnded { result, usage }),
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "a call of a processor panicked");
                let text = "the host panicked; its log says where";
                Err(Refusal::new(ErrorCode::Internal, text))
            }
            Err(_) => Err(shutting_down()),
        }
    }
}

/// What the guest is given: the input as it is; of an extension, the action and its input.
///
/// Errors: `malformed-request`.
fn input_of(spec: &ProcessorSpec, call: &Call) -> Result<Bytes, Refusal> {
    let malformed = |text: String| Err(Refusal::new(ErrorCode::MalformedRequest, text));
    let name = &spec.name;
    if spec.kind != Kind::Extension {
        return match &call.function {
            Some(_) => malformed(format!(
                "`{name}` is a processor, which has one function alone; leave the function out"
            )),
            None => Ok(call.input.clone()),
        };
    }
    let Some(action) = &call.function else {
        return Ok(Bytes::new());
    };
    if json_depth_exceeds(&call.input, JSON_DEPTH_MAX) {
        return malformed(format!(
            "the input is nested deeper than {JSON_DEPTH_MAX} levels"
        ));
    }
    match serde_json::from_slice::<&RawValue>(&call.input) {
        Ok(input) => {
            let action = serde_json::Value::from(action.as_str());
            Ok(format!(r#"{{"action":{action},"input":{input}}}"#).into())
        }
        Err(error) => malformed(format!(
            "the input of an action of `{name}` is JSON, and this is not: {error}"
        )),
    }
}

/// Runs a call to its end, and counts it.
async fn run(
    shared: Arc<Shared>,
    processor: Arc<Processor>,
    call: Call,
    input: Bytes,
) -> (Result<Bytes, Fault>, Usage) {
    let began = Instant::now();
    let input_bytes = input.len() as u64;
    let (mut result, usage) = match processor.linked(&shared).await {
        Ok(linked) => guest(&shared, &processor, linked, &call, input).await,
        Err(fault) => (Err(fault), Usage::default()),
    };
    let counters = &processor.counters;
    let output_bytes = result.as_ref().map_or(0, |output| output.len() as u64);
    let id = processor.spec.id;
    shared
        .meters
        .call(id, &usage, input_bytes.max(output_bytes));
    counters.calls.fetch_add(1, Relaxed);
    let cpu_micros = usage.cpu_nanos / 1_000;
    counters.cpu_micros.fetch_add(cpu_micros, Relaxed);
    metrics::counter!("caxton_calls_total").increment(1);
    metrics::histogram!("caxton_call_seconds").record(began.elapsed().as_secs_f64());
    metrics::histogram!("caxton_execution_seconds")
        .record(std::time::Duration::from_micros(cpu_micros).as_secs_f64());
    if let Err(fault) = &mut result {
        explain(&shared, &processor, fault).await;
        tell(&shared, &processor, fault);
    }
    if !shared.processors.knows(&processor) {
        // It was removed while this ran, and what is noted of it is nobody's any more.
        shared.meters.forget(id);
    }
    (result, usage)
}

/// The guest's part of a call; ended early where the node is out of memory and it is the largest.
async fn guest(
    shared: &Arc<Shared>,
    processor: &Arc<Processor>,
    linked: &Linked,
    call: &Call,
    input: Bytes,
) -> (Result<Bytes, Fault>, Usage) {
    let (entered, stopped) = Processors::begin(shared);
    let (inner, of, bytes) = (
        Arc::clone(shared),
        Arc::clone(processor),
        Arc::clone(&entered.bytes),
    );
    let host = Box::new(CallHost::new(inner, of, bytes, &input));
    let limits = &processor.spec.limits;
    let calling = async {
        match (processor.spec.kind, &call.function) {
            (Kind::Extension, Some(_)) => linked.call_extension(&input, limits, host).await,
            (Kind::Extension, None) => linked.describe_extension(limits, host).await,
            _ => {
                let content_type = call.content_type.as_deref();
                linked.process(input, content_type, limits, host).await
            }
        }
    };
    tokio::select! {
        biased;
        done = calling => (done.result.map(Bytes::from), done.usage),
        Ok(fault) = stopped => (Err(fault), Usage::default()),
    }
}

/// Gives a fault's frames their names and lines, away from the calls.
async fn explain(shared: &Arc<Shared>, processor: &Processor, fault: &mut Fault) {
    if fault.backtrace.is_empty() {
        return;
    }
    let (inner, mut raw) = (Arc::clone(shared), fault.clone());
    let (digest, profile) = (processor.spec.module, processor.spec.profile);
    let explained = Arc::clone(shared).blocking(move || {
        modules::symbolise(&inner, digest, profile, &mut raw);
        raw
    });
    if let Some(explained) = explained.await {
        *fault = explained;
    }
}

/// Counts a fault, and tells log and events of it.
fn tell(shared: &Shared, processor: &Processor, fault: &Fault) {
    let (spec, counters, now) = (&processor.spec, &processor.counters, clock::now());
    if fault.code == ErrorCode::GuestError {
        counters.errors.fetch_add(1, Relaxed);
        return;
    }
    // What the caller sent was refused, and the guest did nothing.
    if fault.code.class() == ErrorClass::Caller {
        if fault.code == ErrorCode::PayloadTooLarge {
            shared
                .meters
                .breach(spec.id, LimitName::PayloadBytes, 0, now);
        }
        return;
    }
    counters.faults.fetch_add(1, Relaxed);
    shared.meters.fault_of_call(spec.id, fault, now);
    let text = format!("a call faulted: {}: {}", fault.code, fault.text);
    call_host::say(shared, processor, now, LogLevel::Error, &text);
    let event = NodeEvent::Fault {
        at: now,
        agent: spec.id,
        name: spec.name.shared(),
        turn: counters.calls.load(Relaxed),
        fault: fault.clone(),
    };
    shared.events.push(|number| NumberedEvent { number, event });
}
