//! A random life of a node: agents come and go, talk, fault; shards hear of each other late; the
//! process dies at any record.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use caxton_model::{
    AgentId, AgentSpec, AgentStatus, Digest, Durability, EngineProfile, Fields, Grants, Kind,
    LimitName, Limits, Micros, Restart, Strategy, Supervision, SupervisionGroup, Timestamp,
};

use super::{
    Rng, World, audit,
    guest::{guest, message},
};
use crate::{Done, Event, Post, Ticket, shard_of_client};

/// When a simulated life begins: 2026-01-01.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000_000);

/// Agents alive at the same time.
const AGENTS_MAX: usize = 8;

/// Steps from one replay of the whole journal to the next: each costs as much as all before.
const REPLAY_EVERY: usize = 20;

/// Bytes of the transcript that are shown with a rule that did not hold.
const TRANSCRIPT_BYTES: usize = 400_000;

const NAMES: [&str; 6] = ["ada", "bob", "cyd", "dan", "acme/eve", "acme/fay"];
const CLIENTS: [&str; 4] = ["k1", "k2", "k3", "k4"];

/// What a life came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Everything that happened, line by line.
    pub transcript: String,
    /// Records in the journal at the end.
    pub records: usize,
    /// Posts acknowledged as durable.
    pub acknowledged: usize,
    /// Times the process died.
    pub crashes: usize,
}

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {rule}\n{transcript}")]
pub struct Broken {
    /// The seed that shows it.
    pub seed: u64,
    /// At which step.
    pub step: usize,
    /// Which rule, and how.
    pub rule: String,
    /// The last of what happened.
    pub transcript: String,
}

/// Lives one life of so many steps.
///
/// Errors: the first rule that did not hold.
pub fn run(seed: u64, steps: usize) -> Result<Report, Box<Broken>> {
    let mut life = Life::new(seed);
    for step in 0..steps {
        life.step();
        life.check(step).map_err(|rule| life.broken(step, rule))?;
    }
    life.come_to_rest();
    life.check_at_rest()
        .map_err(|rule| life.broken(steps, rule))?;
    Ok(Report {
        records: life.world.journal.len(),
        acknowledged: life.acknowledged.len(),
        crashes: life.crashes,
        transcript: std::mem::take(&mut life.world.transcript),
    })
}

struct Life {
    seed: u64,
    rng: Rng,
    world: World,
    specs: BTreeMap<AgentId, Arc<AgentSpec>>,
    next_agent: u64,
    tickets: u64,
    /// Records that are safe: a crash keeps them.
    durable: usize,
    /// Keys of posts that were acknowledged as durable.
    acknowledged: BTreeSet<caxton_model::MessageKey>,
    /// Numbers of messages by sender and receiver.
    numbers: BTreeMap<(String, String), u64>,
    posted: Vec<(&'static str, u64, Fields)>,
    crashes: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let shards = u16::try_from(1 + rng.below(4)).unwrap_or(1);
        Self {
            seed,
            rng,
            world: World::new(shards, true, BEGIN),
            specs: BTreeMap::new(),
            next_agent: 10,
            tickets: 0,
            durable: 0,
            acknowledged: BTreeSet::new(),
            numbers: BTreeMap::new(),
            posted: Vec::new(),
            crashes: 0,
        }
    }

    fn broken(&self, step: usize, rule: String) -> Box<Broken> {
        let transcript = &self.world.transcript;
        let from = transcript.len().saturating_sub(TRANSCRIPT_BYTES);
        let from = (from..transcript.len())
            .find(|at| transcript.is_char_boundary(*at))
            .unwrap_or(0);
        Box::new(Broken {
            seed: self.seed,
            step,
            rule,
            transcript: transcript.get(from..).unwrap_or_default().to_owned(),
        })
    }

    fn say(&mut self, line: &str) {
        let _ = writeln!(self.world.transcript, "{line}");
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..5 => self.deploy(),
            5..30 => self.post(),
            30..65 => self.end_some_turn(),
            65..83 => self.deliver(),
            83..88 => self.pass_time(),
            88..94 => self.operate(),
            94 => self.dead_letters(),
            95 => self.read(),
            96..99 => self.sync(),
            _ => self.crash(),
        }
    }

    fn deploy(&mut self) {
        if self.world.directory.len() >= AGENTS_MAX {
            return;
        }
        let Some(name) = self.rng.pick(&NAMES) else {
            return;
        };
        let Ok(name) = name.parse() else { return };
        let id = AgentId(self.next_agent);
        self.next_agent += 1;
        let spec = Arc::new(self.spec(id, name));
        self.say(&format!("deploy {} as {id}", spec.name));
        if !self.world.directory.reserve(&spec.name, id) {
            return;
        }
        self.specs.insert(id, Arc::clone(&spec));
        let ticket = self.ticket();
        let shard = usize::from(self.world.directory.shard_of(&spec));
        self.world.step(shard, Event::Deploy { ticket, spec });
    }

    fn spec(&mut self, id: AgentId, name: caxton_model::AgentName) -> AgentSpec {
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
        let group = rng.percent(30).then(|| SupervisionGroup {
            name: "group".to_owned(),
            strategy: rng.pick(&strategies).copied().unwrap_or_default(),
        });
        AgentSpec {
            id,
            name,
            module: Digest::of(b"module"),
            version: "1.0.0".to_owned(),
            durability: if rng.percent(25) {
                Durability::Memory
            } else {
                Durability::Durable
            },
            supervision: Supervision {
                group,
                restart: if rng.percent(10) {
                    Restart::Temporary
                } else {
                    Restart::Permanent
                },
                max_attempts: 1 + u32::from(rng.percent(30)),
                ..Supervision::default()
            },
            limits,
            grants: Grants::default(),
            profile: EngineProfile::default(),
            declared: Vec::new(),
            config: Vec::new(),
            passivate_after_micros: rng.percent(30).then(|| Micros::secs(2)),
            deployed_at: self.world.now,
        }
    }

    /// A numbered message, so that order can be seen.
    fn fields(&mut self, from: &str, to: &str) -> Option<Fields> {
        let number = self
            .numbers
            .entry((from.to_owned(), to.to_owned()))
            .or_default();
        *number += 1;
        let json = message(&mut self.rng, to, *number, self.world.now);
        Fields::parse(json.as_bytes(), 1 << 20).ok()
    }

    fn receiver(&mut self) -> &'static str {
        match self.rng.below(12) {
            0 => "df",
            1 => "nobody",
            _ => self.rng.pick(&NAMES).copied().unwrap_or("ada"),
        }
    }

    fn post(&mut self) {
        let again = self.rng.percent(10);
        let earlier = if again {
            self.rng.pick(&self.posted).cloned()
        } else {
            None
        };
        let (client, id, fields) = match earlier {
            Some(earlier) => earlier,
            None => {
                let client = self.rng.pick(&CLIENTS).copied().unwrap_or("k1");
                let to = self.receiver();
                let Some(fields) = self.fields(client, to) else {
                    return;
                };
                let id = self.tickets;
                self.posted.push((client, id, fields.clone()));
                (client, id, fields)
            }
        };
        self.say(&format!("post {client} id {id}"));
        let ticket = self.ticket();
        let shard = usize::from(shard_of_client(client, self.world.directory.shards()));
        let post = Post {
            client: client.into(),
            namespace: None,
            message_id: Some(format!("id-{id}").into()),
            fields,
        };
        self.world.step(shard, Event::Post { ticket, post });
    }

    fn end_some_turn(&mut self) {
        let running: Vec<AgentId> = self.world.running.keys().copied().collect();
        let Some(id) = self.rng.pick(&running).copied() else {
            return;
        };
        self.end_turn(id, true);
    }

    fn end_turn(&mut self, id: AgentId, wild: bool) {
        let now = self.world.now;
        let Some(name) = self.specs.get(&id).map(|spec| spec.name.to_string()) else {
            return;
        };
        let mut plan = Vec::new();
        if wild {
            for _ in 0..self.rng.below(3) {
                let to = self.receiver();
                let key = (name.clone(), to.to_owned());
                let number = self.numbers.entry(key).or_default();
                *number += 1;
                plan.push(message(&mut self.rng, to, *number, now));
            }
        }
        let mut rng = Rng::new(self.rng.number());
        self.world.end_turn(id, |ctx, input| {
            guest(ctx, input, &plan, &mut rng, now, wild)
        });
    }

    fn deliver(&mut self) {
        let wires = self.world.busy_wires();
        if let Some(wire) = self.rng.pick(&wires).copied() {
            let count = 1 + self.rng.below(3);
            self.world.deliver(wire, count);
        }
    }

    fn pass_time(&mut self) {
        let times = [
            Micros::millis(50),
            Micros::secs(1),
            Micros::secs(20),
            Micros::secs(20 * 60),
        ];
        let time = self.rng.pick(&times).copied().unwrap_or_default();
        self.say(&format!("{time} pass"));
        self.world.now = self.world.now.after(time);
        self.world.tick();
    }

    fn operate(&mut self) {
        let all: Vec<AgentId> = self.specs.keys().copied().collect();
        let Some(agent) = self.rng.pick(&all).copied() else {
            return;
        };
        let (ticket, shard) = (self.ticket(), self.world.shard_of(agent));
        let event = match self.rng.below(8) {
            0 | 1 => Event::Stop {
                ticket,
                agent,
                drain: self.rng.percent(50),
                grace: Micros::secs(5),
            },
            2 | 3 => Event::Start { ticket, agent },
            4 => Event::Remove { ticket, agent },
            5 => Event::Passivate { agent },
            6 => Event::Rollback { ticket, agent },
            _ => {
                let Some(spec) = self.specs.get(&agent) else {
                    return;
                };
                let version = format!("1.0.{}", self.rng.below(3));
                let spec = Arc::new(AgentSpec {
                    version,
                    ..AgentSpec::clone(spec)
                });
                Event::Update { ticket, spec }
            }
        };
        let what = format!("{event:?}");
        let what = what.split_whitespace().next().unwrap_or_default();
        self.say(&format!("operate {what} {agent}"));
        self.world.step(shard, event);
    }

    fn dead_letters(&mut self) {
        let resend = self.rng.percent(70);
        for shard in 0..self.world.kernels.len() {
            let ticket = self.ticket();
            let letters = self.world.kernels.get(shard).map(|k| k.state().dead.keys());
            let keys = letters.into_iter().flatten().take(5).copied().collect();
            let event = Event::TakeDeadLetters {
                ticket,
                keys,
                resend,
            };
            self.world.step(shard, event);
        }
    }

    fn read(&mut self) {
        let Some(name) = self.rng.pick(&CLIENTS) else {
            return;
        };
        let client: Arc<str> = (*name).into();
        let shard = usize::from(shard_of_client(name, self.world.directory.shards()));
        let state = self.world.kernels.get(shard).map(|kernel| kernel.state());
        let replies = state.and_then(|state| state.clients.get(&client));
        let keys = replies.map(|c| c.replies().iter().map(|mail| mail.key).collect());
        let keys = keys.unwrap_or_default();
        self.world.step(shard, Event::DropReplies { client, keys });
    }

    /// Some of what was published reaches the disk; answers up to there go out.
    fn sync(&mut self) {
        let unsafe_yet = self.world.journal.len().saturating_sub(self.durable);
        self.durable += self.rng.below(unsafe_yet + 1);
        self.hear_answers();
    }

    fn hear_answers(&mut self) {
        let durable = self.durable;
        for answered in &self.world.answers {
            if answered.after <= durable
                && let Ok(Done::Posted {
                    key, durable: true, ..
                }) = &answered.answer
            {
                self.acknowledged.insert(*key);
            }
        }
        self.world.answers.retain(|a| a.after > durable);
    }

    fn crash(&mut self) {
        let unsafe_yet = self.world.journal.len().saturating_sub(self.durable);
        let kept = self.durable + self.rng.below(unsafe_yet + 1);
        self.durable = kept;
        self.crashes += 1;
        self.world.answers.clear();
        self.world.crash(kept);
    }

    /// Lets everything end: wires, turns, pauses.
    fn come_to_rest(&mut self) {
        self.say("come to rest");
        for _ in 0..2_000 {
            self.world.deliver_all();
            let running: Vec<AgentId> = self.world.running.keys().copied().collect();
            if running.is_empty() {
                let waits = self.specs.keys().any(|id| {
                    let agent = self.world.agent(*id);
                    agent.is_some_and(|agent| {
                        !agent.mailbox.is_empty()
                            && matches!(
                                agent.status,
                                AgentStatus::Restarting | AgentStatus::Draining
                            )
                    })
                });
                if !waits {
                    break;
                }
                self.world.pass(Micros::secs(40));
            }
            for id in running {
                self.end_turn(id, false);
            }
        }
        self.world.deliver_all();
        self.durable = self.world.journal.len();
        self.hear_answers();
    }

    fn check(&self, step: usize) -> Result<(), String> {
        audit::live(&self.world)?;
        if step.is_multiple_of(REPLAY_EVERY) && self.world.busy_wires().is_empty() {
            return self.check_journal();
        }
        Ok(())
    }

    fn check_journal(&self) -> Result<(), String> {
        if let Some(difference) = self.world.differs_from_replay() {
            return Err(format!("a replay yields what was: {difference}"));
        }
        audit::journal(&self.world.journal, &self.acknowledged)
    }

    fn check_at_rest(&self) -> Result<(), String> {
        audit::live(&self.world)?;
        self.check_journal()?;
        for id in self.specs.keys() {
            if let Some(agent) = self.world.agent(*id)
                && agent.status == AgentStatus::Running
                && !agent.mailbox.is_empty()
            {
                return Err(format!(
                    "no mail is forgotten: {id} has some and does nothing"
                ));
            }
        }
        Ok(())
    }
}
