//! What operators and clients do: deployments, messages, stops and starts, by chance.

use std::sync::Arc;

use caxton_kernel::{Event, Post, Reach, SHARD_OF_PROCESSORS, Ticket, shard_of_client};
use caxton_model::{
    AgentId, AgentName, AgentSpec, AgentStatus, Digest, Durability, EngineProfile, Fields,
    GrantedRule, GrantedRules, Grants, Kind, LimitName, Limits, Micros, ProcessorSpec, Restart,
    Strategy, Supervision, SupervisionGroup,
};

use crate::{guest::message, life::Life};

/// Agents alive at the same time.
const AGENTS_MAX: usize = 8;

const NAMES: [&str; 8] = [
    "ada", "bob", "cyd", "dan", "gil", "hal", "acme/eve", "acme/fay",
];
const CLIENTS: [&str; 4] = ["k1", "k2", "k3", "k4"];

impl Life {
    pub(crate) fn deploy(&mut self) {
        if self.world.directory.len() >= AGENTS_MAX || !self.world.takes_requests() {
            return;
        }
        let Some(Ok(name)) = self.rng.pick(&NAMES).map(|name| name.parse()) else {
            return;
        };
        let id = AgentId(self.next_agent);
        self.next_agent += 1;
        let spec = Arc::new(self.spec(id, name));
        self.world
            .say(format_args!("deploy {} as {}", spec.name, id.0));
        if !self.world.directory.reserve(&spec.name, id) {
            return;
        }
        if self.rng.percent(30) {
            self.bad_inits.insert(id, 70);
        }
        self.specs.insert(id, Arc::clone(&spec));
        let ticket = self.ticket();
        let shard = usize::from(self.world.directory.shard_of(&spec));
        let granted = if self.rng.percent(30) {
            vec![self.rule()].into()
        } else {
            GrantedRules::default()
        };
        let event = Event::Deploy {
            ticket,
            spec,
            granted,
        };
        self.world.step(shard, event);
    }

    fn change_grants(&mut self, ticket: Ticket, agent: AgentId) -> Event {
        let rule = self.rule();
        let (grant, revoke) = match self.rng.percent(40) {
            true => (Vec::new(), vec![rule.rule]),
            false => (vec![rule], Vec::new()),
        };
        Event::ChangeGrants {
            ticket,
            agent,
            grant,
            revoke,
        }
    }

    fn rule(&mut self) -> GrantedRule {
        let hosts = ["a", "b", "c"];
        let host = self.rng.pick(&hosts).copied().unwrap_or("a");
        GrantedRule {
            rule: format!("http:read={host}.example"),
            expires: None,
            reason: None,
            by: "operator".to_owned(),
            at: self.world.now,
        }
    }

    fn spec(&mut self, id: AgentId, name: AgentName) -> AgentSpec {
        let rng = &mut self.rng;
        let mut limits = Limits::for_kind(Kind::Agent);
        if rng.percent(30) {
            limits.set(LimitName::Mailbox, 1 + rng.below(4) as u64);
        }
        let strategies = [
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ];
        let group = rng.percent(40).then(|| SupervisionGroup {
            name: "group".to_owned(),
            strategy: rng.pick(&strategies).copied().unwrap_or_default(),
        });
        let restart = match rng.below(10) {
            0 => Restart::Temporary,
            1 => Restart::Transient,
            _ => Restart::Permanent,
        };
        AgentSpec {
            id,
            name,
            module: Digest::of(b"module"),
            version: "1.0.0".to_owned(),
            durability: if rng.percent(20) {
                Durability::Memory
            } else {
                Durability::Durable
            },
            supervision: Supervision {
                group,
                restart,
                max_attempts: 1 + u32::from(rng.percent(30)),
                ..Supervision::default()
            },
            limits,
            grants: Grants::default(),
            requested: None,
            profile: EngineProfile::default(),
            declared: Vec::new(),
            config: Vec::new(),
            passivate_after_micros: rng.percent(30).then(|| Micros::secs(2)),
            deployed_at: self.world.now,
        }
    }

    pub(crate) fn receiver(&mut self) -> &'static str {
        match self.rng.below(12) {
            0 => "df",
            1 => "nobody",
            _ => self.rng.pick(&NAMES).copied().unwrap_or("ada"),
        }
    }

    pub(crate) fn post(&mut self) {
        if !self.world.takes_requests() {
            return;
        }
        let earlier = if self.rng.percent(10) {
            self.rng.pick(&self.posted).cloned()
        } else {
            None
        };
        let (client, id, fields) = match earlier {
            Some(earlier) => earlier,
            None => {
                let client = self.rng.pick(&CLIENTS).copied().unwrap_or("k1");
                let to = self.receiver();
                self.numbers += 1;
                let json = message(&mut self.rng, to, self.numbers, self.world.now);
                let Ok(fields) = Fields::parse(json.as_bytes(), 1 << 20) else {
                    return;
                };
                let post = (client, self.numbers, fields);
                self.posted.push(post.clone());
                post
            }
        };
        let ticket = self.ticket();
        self.world
            .say(format_args!("post {} of {client}, id {id}", ticket.0));
        let shard = usize::from(shard_of_client(client, self.world.directory.shards()));
        let post = Post {
            client: client.into(),
            namespace: None,
            message_id: Some(format!("id-{id}").into()),
            fields,
        };
        self.world.step(shard, Event::Post { ticket, post });
    }

    pub(crate) fn processors(&mut self) {
        if !self.world.takes_requests() {
            return;
        }
        let ticket = self.ticket();
        let name = format!("p{}", self.rng.below(3));
        let event = if self.rng.percent(30) {
            let name = name.into();
            Event::RemoveProcessor { ticket, name }
        } else {
            let Ok(name) = name.parse() else { return };
            let id = AgentId(self.next_agent);
            self.next_agent += 1;
            let spec = Arc::new(ProcessorSpec {
                id,
                name,
                kind: Kind::Processor,
                module: Digest::of(b"processor"),
                version: format!("1.0.{}", self.rng.below(3)),
                limits: Limits::for_kind(Kind::Processor),
                requested: None,
                profile: EngineProfile::Hardened,
                config: Vec::new(),
                deployed_at: self.world.now,
            });
            let granted = Vec::new();
            Event::DeployProcessor {
                ticket,
                spec,
                granted,
            }
        };
        self.world.step(usize::from(SHARD_OF_PROCESSORS), event);
    }

    pub(crate) fn operate(&mut self) {
        let all = self.world.directory.all();
        let Some(agent) = self.rng.pick(&all).map(|listing| listing.spec.id) else {
            return;
        };
        if !self.world.takes_requests() {
            return;
        }
        let (ticket, shard) = (self.ticket(), self.world.shard_of(agent));
        let (what, event) = match self.rng.below(9) {
            0 | 1 => {
                let drain = self.rng.percent(50);
                let grace = Micros::secs(5);
                let event = Event::Stop {
                    ticket,
                    agent,
                    drain,
                    grace,
                };
                ("stop", event)
            }
            2 | 3 => ("start", Event::Start { ticket, agent }),
            4 => ("remove", Event::Remove { ticket, agent }),
            5 => ("passivate", Event::Passivate { agent }),
            6 => ("roll back", Event::Rollback { ticket, agent }),
            7 => ("change the grants of", self.change_grants(ticket, agent)),
            _ => {
                let Some(spec) = self.world.agent(agent).map(|agent| agent.spec.clone()) else {
                    return;
                };
                let version = format!("1.0.{}", self.rng.below(3));
                let spec = Arc::new(AgentSpec {
                    version,
                    ..AgentSpec::clone(&spec)
                });
                ("update", Event::Update { ticket, spec })
            }
        };
        self.world.say(format_args!("{what} {}", agent.0));
        // What is on its way decides, so it has to be seen first.
        self.world.perform(shard, usize::MAX);
        let status = self.world.agent(agent).map(|agent| agent.status);
        let stands = matches!(status, Some(AgentStatus::Stopped | AgentStatus::Failed));
        if matches!(event, Event::Passivate { .. }) || self.world.is_wished(agent) {
            return self.world.step(shard, event);
        }
        let supervision = &mut self.world.supervision;
        supervision.wish(ticket, agent);
        match event {
            Event::Stop { .. } => supervision.stops(agent),
            Event::Start { .. } if stands => supervision.starts(agent),
            _ => {}
        }
        let updates = matches!(event, Event::Update { .. } | Event::Rollback { .. });
        self.world.step(shard, event);
        if updates && self.world.supervision.has_wish(agent) {
            self.world.supervision.ends_pause(agent);
        }
    }

    pub(crate) fn dead_letters(&mut self) {
        let resend = self.rng.percent(70);
        self.world
            .say(format_args!("dead letters, resend {resend}"));
        let resend = resend.then(Reach::default);
        for shard in 0..self.world.shards.len() {
            let ticket = self.ticket();
            let letters = self
                .world
                .shards
                .get(shard)
                .map(|s| s.kernel.state().dead.keys());
            let keys = letters.into_iter().flatten().take(5).copied().collect();
            let event = Event::TakeDeadLetters {
                ticket,
                keys,
                resend: resend.clone(),
            };
            self.world.step(shard, event);
        }
    }

    pub(crate) fn read(&mut self) {
        let Some(name) = self.rng.pick(&CLIENTS).copied() else {
            return;
        };
        self.world.say(format_args!("{name} reads"));
        let client: Arc<str> = name.into();
        let shard = usize::from(shard_of_client(name, self.world.directory.shards()));
        let state = self
            .world
            .shards
            .get(shard)
            .map(|shard| shard.kernel.state());
        let replies = state.and_then(|state| state.clients.get(&client));
        let keys = replies.map(|c| c.replies().iter().map(|mail| mail.key).collect());
        let keys = keys.unwrap_or_default();
        self.world.step(shard, Event::DropReplies { client, keys });
    }
}
