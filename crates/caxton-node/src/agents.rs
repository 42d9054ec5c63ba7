//! Requests about agents: deploy, update, stop, start, remove, and what is known of one.

use std::sync::{Arc, PoisonError};

use caxton_gate::Diff;
use caxton_kernel::{Event, Listing, Refusal};
use caxton_model::{
    AgentId, AgentName, AgentSpec, Capabilities, ErrorCode, GrantedRule, GrantedRules, Kind,
    LimitName, Limits, Micros, Pending, Permission,
};

use crate::{
    budget, clock,
    grants::rule_texts,
    modules::{self, Module, Serves},
    node::Node,
    request::{AgentDetail, Deploy, Deployed, LimitUsage, StateKey},
    rights::{self, Holder},
    shared::{Shared, shutting_down},
};

/// Ids below this belong to the host's own agents.
const FIRST_ID: u64 = 1_000;

/// A name that is taken for an agent on its way; given back if the agent does not arrive.
struct Reserved {
    shared: Arc<Shared>,
    name: AgentName,
}
impl Drop for Reserved {
    fn drop(&mut self) {
        self.shared.directory.release(&self.name);
    }
}

impl Node {
    /// Deploys an agent; when this returns, it takes messages.
    ///
    /// Cancel: a deploy once begun goes on, whether or not somebody waits for it.
    /// Errors: the module, its limits, its name or its init are refused; nothing is registered then.
    pub async fn deploy(&self, deploy: Deploy) -> Result<Deployed, Refusal> {
        let node = self.clone();
        self.detached(async move { node.deploy_now(deploy).await })
            .await
    }

    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.shared.io.spawn(work).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "a request panicked");
                Err(Refusal::new(
                    ErrorCode::Internal,
                    "the host panicked; its log says where",
                ))
            }
            Err(_) => Err(shutting_down()),
        }
    }

    async fn deploy_now(&self, deploy: Deploy) -> Result<Deployed, Refusal> {
        if let Some(refusal) = self.shared.refuses() {
            return Err(refusal);
        }
        if let Some(refusal) = self.shared.budget.refuses_guests() {
            return Err(refusal);
        }
        let id = self.new_id();
        if !self.shared.directory.reserve(&deploy.name, id) {
            return Err(Refusal::new(
                ErrorCode::NameTaken,
                format!("there is an agent `{}` already", deploy.name),
            ));
        }
        let _reserved = Reserved {
            shared: Arc::clone(&self.shared),
            name: deploy.name.clone(),
        };
        // Counted with those on their way, so that many at once are not too many.
        let max = self.shared.options.agents_max;
        if self.shared.directory.names() > max {
            budget::refused("agents");
            return Err(Refusal::new(
                ErrorCode::NodeBudget,
                format!(
                    "the node has {max} agents, as many as its budget `agents` allows; remove some, or raise `budgets.agents` in node.toml"
                ),
            ));
        }
        let mut granted = deploy.granted.to_vec();
        let (spec, module) = self.prepare(id, deploy).await?;
        let whom = rights::subject(&spec.name, spec.profile);
        self.shared
            .check_policy_grants(whom, rule_texts(&granted))?;
        granted.extend(
            self.shared
                .granted_by_policy(Holder::from(&*spec), &granted),
        );
        let granted: GrantedRules = granted.into();
        let shard = self.shared.directory.shard_of(&spec);
        let sent = Arc::clone(&spec);
        let sent_granted = Arc::clone(&granted);
        self.ask(shard, |ticket| Event::Deploy {
            ticket,
            spec: sent,
            granted: sent_granted,
        })
        .await?;
        self.deployed(&spec, &module, &granted)
    }

    /// Puts another version of an agent in the place of the one that runs.
    ///
    /// The name in the request is passed over: an agent keeps its own.
    /// Cancel: goes on.
    /// Errors: as [`Self::deploy`]; the version that runs goes on then.
    pub async fn update(&self, agent: &str, mut deploy: Deploy) -> Result<Deployed, Refusal> {
        if let Some(refusal) = self.shared.budget.refuses_guests() {
            return Err(refusal);
        }
        let listing = self.find(agent)?;
        deploy.name = listing.spec.name.clone();
        let node = self.clone();
        self.detached(async move {
            let id = listing.spec.id.to_string();
            deploy.granted = node.granted(&id).await?;
            let (spec, module) = node.prepare(listing.spec.id, deploy).await?;
            let sent = Arc::clone(&spec);
            node.ask(listing.shard, |ticket| Event::Update { ticket, spec: sent })
                .await?;
            let mut granted = node.granted(&id).await?;
            let by_policy = node
                .shared
                .granted_by_policy(Holder::from(&*spec), &granted);
            if !by_policy.is_empty() {
                granted = node.change_grants(&id, by_policy, Vec::new()).await?;
            }
            let mut deployed = node.deployed(&spec, &module, &granted)?;
            deployed.changes = rights::diff(Holder::from(&*listing.spec), Holder::from(&*spec));
            Ok(deployed)
        })
        .await
    }

    /// Goes back to the version before the last update.
    ///
    /// Errors: there is none, or its init fails.
    pub async fn rollback(&self, agent: &str) -> Result<Listing, Refusal> {
        let (shard, agent) = self.place(agent)?;
        self.ask(shard, |ticket| Event::Rollback { ticket, agent })
            .await?;
        self.find(&agent.to_string())
    }
    /// Stops an agent; with `drain` it first works off its mailbox.
    ///
    /// Bounds: after `grace` it is cut off.
    pub async fn stop(&self, agent: &str, drain: bool, grace: Micros) -> Result<Listing, Refusal> {
        let (shard, agent) = self.place(agent)?;
        self.ask(shard, |ticket| Event::Stop {
            ticket,
            agent,
            drain,
            grace,
        })
        .await?;
        self.find(&agent.to_string())
    }
    /// Starts an agent that was stopped or failed.
    pub async fn start_agent(&self, agent: &str) -> Result<Listing, Refusal> {
        let (shard, agent) = self.place(agent)?;
        self.ask(shard, |ticket| Event::Start { ticket, agent })
            .await?;
        self.find(&agent.to_string())
    }
    /// Enters what an agent offers in the directory, in place of what it registered; `None`: takes
    /// its entry out.
    pub async fn register(
        &self,
        agent: &str,
        capabilities: Option<Arc<Capabilities>>,
    ) -> Result<Listing, Refusal> {
        let (shard, agent) = self.place(agent)?;
        self.ask(shard, |ticket| Event::Register {
            ticket,
            agent,
            capabilities,
        })
        .await?;
        self.find(&agent.to_string())
    }
    /// Removes an agent with its mail, timers and state. Its waiting mail becomes dead letters.
    pub async fn remove(&self, agent: &str) -> Result<(), Refusal> {
        let (shard, agent) = self.place(agent)?;
        self.ask(shard, |ticket| Event::Remove { ticket, agent })
            .await?;
        Ok(())
    }
    /// Lets an idle agent's instance go; its next message makes another.
    ///
    /// Errors: the node is busy or shutting down. A busy agent keeps its instance.
    pub fn passivate(&self, agent: &str) -> Result<(), Refusal> {
        let (shard, agent) = self.place(agent)?;
        self.shared.send(
            shard,
            crate::shard::ShardMessage::Event(Event::Passivate { agent }),
        )
    }

    pub(crate) fn place(&self, agent: &str) -> Result<(u16, AgentId), Refusal> {
        let listing = self.find(agent)?;
        Ok((listing.shard, listing.spec.id))
    }

    pub(crate) fn new_id(&self) -> AgentId {
        loop {
            let id = AgentId(rand::random());
            if id.0 >= FIRST_ID && self.shared.directory.get(id).is_none() {
                return id;
            }
        }
    }

    /// Checks everything that can be checked before a guest runs, and stores the module.
    async fn prepare(
        &self,
        id: AgentId,
        deploy: Deploy,
    ) -> Result<(Arc<AgentSpec>, Module), Refusal> {
        let limits = Limits::for_kind(Kind::Agent)
            .asked(&deploy.limits.0, &self.shared.options.ceilings)
            .map_err(|errors| {
                let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Refusal::new(ErrorCode::InvalidLimit, texts.join("; "))
            })?;
        self.shared.check_policy_run(&deploy.name, deploy.profile)?;
        let receivers = deploy.grants.message_send.iter().flatten();
        let sends = receivers.map(|to| format!("{}={to}", Permission::MessageSend));
        let whom = rights::subject(&deploy.name, deploy.profile);
        self.shared.check_policy_grants(whom, sends)?;
        let closed = |_| shutting_down();
        let _permit = self.shared.compiles.acquire().await.map_err(closed)?;
        let shared = Arc::clone(&self.shared);
        let admitted = self.shared.clone().blocking(move || {
            let module = modules::admit(
                &shared,
                deploy.module,
                |_| Ok(limits.clone()),
                Some(deploy.profile),
                Serves::Agent,
            )?;
            let spec = AgentSpec {
                id,
                name: deploy.name,
                module: module.verified.digest(),
                version: deploy.version,
                durability: deploy.durability,
                supervision: deploy.supervision,
                limits,
                grants: deploy.grants,
                requested: deploy.requested,
                profile: deploy.profile,
                declared: deploy.declared,
                config: deploy.config,
                passivate_after_micros: deploy.passivate_after,
                deployed_at: clock::now(),
            };
            modules::check_link(&shared, &module, Holder::from(&spec), &deploy.granted)?;
            let stored = shared.store.blobs().put(module.verified.bytes());
            stored.map_err(|error| {
                Refusal::new(ErrorCode::Internal, format!("storing the module: {error}"))
            })?;
            Ok((Arc::new(spec), module))
        });
        admitted.await.ok_or_else(shutting_down)?
    }

    fn deployed(
        &self,
        spec: &AgentSpec,
        module: &Module,
        granted: &[GrantedRule],
    ) -> Result<Deployed, Refusal> {
        let listing = self.find(&spec.id.to_string())?;
        let mut warnings: Vec<String> = module
            .verified
            .report()
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        if let Some(asked) = &listing.capabilities {
            let needs = u64::from(asked.resource_requirements.min_memory_mb) << 20;
            let memory = spec.limits.get(LimitName::Memory);
            if needs > memory {
                warnings.push(format!(
                    "it says it needs {} MiB of memory; its limit `memory` is {}",
                    asked.resource_requirements.min_memory_mb,
                    LimitName::Memory.show(memory)
                ));
            }
            if asked.resource_requirements.network_access && granted.is_empty() {
                warnings.push("it says it needs the network; it has no grant for that".to_owned());
            }
        }
        let holder = Holder::from(spec);
        warnings.extend(rights::in_vain(&module.verified, holder, granted));
        Ok(Deployed {
            listing,
            warnings,
            not_granted: self.shared.not_granted(holder, granted),
            changes: Diff::default(),
        })
    }

    /// Everything about one agent.
    pub async fn agent(&self, agent: &str) -> Result<AgentDetail, Refusal> {
        let listing = self.find(agent)?;
        let id = listing.spec.id;
        let name = listing.spec.name.shared();
        let (state, granted, memory_bytes, host_bytes) = self
            .inspect(listing.shard, move |view| {
                let all = view.kernel.state();
                let host_bytes = all
                    .ledger
                    .account(&name)
                    .map_or(0, |account| account.used());
                let mut state = all.agents.get(&id).cloned();
                if let Some(state) = &mut state {
                    state.mailbox.clear();
                }
                let granted = all.granted.get(&id).cloned().unwrap_or_default();
                (state, granted, view.memory_bytes(id), host_bytes)
            })
            .await?;
        let state = state.ok_or_else(|| {
            Refusal::new(
                ErrorCode::NotFound,
                format!("agent `{agent}` was just removed"),
            )
        })?;
        let kept = self
            .shared
            .directory
            .host_shares()
            .owner(listing.spec.name.as_str());
        let usage = LimitName::ALL
            .iter()
            .map(|name| {
                let meter = self.shared.meters.get(id, *name);
                let used = match name {
                    LimitName::Mailbox => listing.gauge.messages().into(),
                    LimitName::MailboxBytes => listing.gauge.bytes(),
                    LimitName::Timers => state.timers.len() as u64,
                    LimitName::Subscriptions => state.subscriptions.len() as u64,
                    LimitName::StateBytes => state.state_bytes,
                    LimitName::StateKeys => state.state_keys,
                    LimitName::Memory => memory_bytes.unwrap_or(0),
                    LimitName::HostBytes => kept.bytes.max(host_bytes),
                    _ => meter.used,
                };
                let limits = &listing.spec.limits;
                let peak = match name {
                    LimitName::HostBytes => kept.peak_bytes,
                    _ => meter.peak,
                };
                LimitUsage {
                    name: *name,
                    limit: match name {
                        LimitName::Fuel if listing.spec.profile.has_fuel() => limits.fuel(),
                        _ => limits.get(*name),
                    },
                    used,
                    peak: peak.max(used),
                    last_breach: meter.last_breach,
                }
            })
            .collect();
        Ok(AgentDetail {
            listing,
            state,
            granted,
            memory_bytes,
            usage,
        })
    }

    /// Messages that wait in an agent's mailbox, oldest first.
    pub async fn mailbox(&self, agent: &str) -> Result<Vec<Pending>, Refusal> {
        let (shard, id) = self.place(agent)?;
        self.inspect(shard, move |view| {
            let state = view.kernel.state().agents.get(&id);
            state
                .map(|state| state.mailbox.iter().cloned().collect())
                .unwrap_or_default()
        })
        .await
    }

    /// Keys of an agent's state in order, those behind `after` only, with their values' sizes.
    pub async fn state_keys(
        &self,
        agent: &str,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<StateKey>, Refusal> {
        let (shard, id) = self.place(agent)?;
        let memory = self.inspect(shard, move |view| view.memory(id)).await?;
        let mut recent: std::collections::BTreeMap<Vec<u8>, Option<u64>> = Default::default();
        if let Some(memory) = memory {
            let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, size) in memory.keys() {
                if after
                    .as_ref()
                    .is_none_or(|after| key.as_ref() > after.as_slice())
                {
                    recent.insert(key.to_vec(), size);
                }
            }
        }
        let shared = Arc::clone(&self.shared);
        let wanted = limit.saturating_add(recent.len());
        let read = self
            .shared
            .clone()
            .blocking(move || shared.store.keys(id, after.as_deref(), wanted));
        let stored = match read.await {
            Some(Ok(stored)) => stored,
            Some(Err(error)) => return Err(Refusal::new(error.code(), error.to_string())),
            None => {
                return Err(shutting_down());
            }
        };
        for key in stored {
            recent.entry(key.key).or_insert(Some(key.bytes));
        }
        let present = recent
            .into_iter()
            .filter_map(|(key, size)| size.map(|value_bytes| StateKey { key, value_bytes }));
        Ok(present.take(limit).collect())
    }

    /// One value of an agent's state.
    pub async fn state_value(&self, agent: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let (shard, id) = self.place(agent)?;
        let memory = self.inspect(shard, move |view| view.memory(id)).await?;
        if let Some(memory) = memory
            && let Some(known) = memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(key)
        {
            return Ok(known.map(|bytes| bytes.to_vec()));
        }
        let (shared, key) = (Arc::clone(&self.shared), key.to_vec());
        match self
            .shared
            .clone()
            .blocking(move || shared.store.read(id, &key))
            .await
        {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(Refusal::new(error.code(), error.to_string())),
            None => Err(shutting_down()),
        }
    }
}
