//! A small language for scenarios: each line is said, then what it led to is written below it.

use std::{collections::BTreeMap, sync::Arc};

use caxton_model::{
    AgentId, AgentSpec, Capabilities, Digest, Durability, EngineProfile, ErrorCode, Fault, Fields,
    GrantedRules, Grants, HostCode, Kind, LimitName, Limits, Micros, Restart, RowWrite, Strategy,
    Supervision, SupervisionGroup, Timestamp,
};

use super::{show::show_message, world::World};
use crate::{Event, Post, Reach, Ticket, TurnCtx, TurnEffects, TurnEnd};

/// When every scenario begins: 2026-01-01.
pub(crate) const BEGIN: Timestamp = Timestamp(1_767_225_600_000_000);

pub(crate) struct Script {
    pub(crate) world: World,
    ids: BTreeMap<String, AgentId>,
    specs: BTreeMap<String, Arc<AgentSpec>>,
    tickets: u64,
    deployed: u64,
    /// Whether what goes between shards arrives after each line.
    flows: bool,
}

/// Runs a script on one shard and compares its transcript.
pub(crate) fn check(script: &str, expected: expect_test::Expect) {
    check_on(1, script, expected);
}

/// Runs a script on so many shards and compares its transcript.
pub(crate) fn check_on(shards: u16, script: &str, expected: expect_test::Expect) {
    expected.assert_eq(&transcript(shards, script));
}

/// Runs a script on so many shards; answers its transcript.
pub(crate) fn transcript(shards: u16, script: &str) -> String {
    let mut run = Script::new(shards);
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        run.line(line);
        if run.flows {
            run.world.deliver_all();
        }
    }
    run.check_replay();
    run.world.transcript
}

pub(crate) fn spec(id: u64, name: &str) -> AgentSpec {
    AgentSpec {
        id: AgentId(id),
        name: name.parse().unwrap(),
        module: Digest::of(b"module"),
        version: "1.0.0".into(),
        durability: Durability::Durable,
        supervision: Supervision::default(),
        limits: Limits::for_kind(Kind::Agent),
        grants: Grants::default(),
        requested: None,
        profile: EngineProfile::default(),
        declared: Vec::new(),
        config: Vec::new(),
        passivate_after_micros: None,
        deployed_at: Timestamp(i64::try_from(id).unwrap()),
    }
}

fn set_option(spec: &mut AgentSpec, key: &str, value: &str) {
    match key {
        "memory" if value.is_empty() => spec.durability = Durability::Memory,
        "attempts" => spec.supervision.max_attempts = value.parse().unwrap(),
        "restart" => {
            spec.supervision.restart = match value {
                "temporary" => Restart::Temporary,
                "transient" => Restart::Transient,
                _ => Restart::Permanent,
            }
        }
        "group" => {
            let (name, strategy) = value.split_once(':').unwrap();
            spec.supervision.group = Some(SupervisionGroup {
                name: name.into(),
                strategy: match strategy {
                    "all" => Strategy::OneForAll,
                    "rest" => Strategy::RestForOne,
                    _ => Strategy::OneForOne,
                },
            });
        }
        "passivate" => spec.passivate_after_micros = Some(value.parse().unwrap()),
        "grants" => spec.grants.message_send = Some(value.split(',').map(String::from).collect()),
        "version" => spec.version = value.into(),
        limit => {
            let limit: LimitName = limit.parse().unwrap();
            spec.limits.set(limit, limit.read(value).unwrap());
        }
    }
}

impl Script {
    pub(crate) fn new(shards: u16) -> Self {
        Self {
            world: World::new(shards, true, BEGIN),
            ids: BTreeMap::new(),
            specs: BTreeMap::new(),
            tickets: 0,
            deployed: 0,
            flows: true,
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn id(&self, name: &str) -> AgentId {
        *self
            .ids
            .get(name)
            .unwrap_or_else(|| panic!("no agent {name} in this script"))
    }

    /// What a replay of the journal yields is what the kernels know.
    pub(crate) fn check_replay(&self) {
        assert!(self.world.broken.is_empty(), "{:?}", self.world.broken);
        if let Some(difference) = self.world.differs_from_replay() {
            panic!("{}\n{difference}", self.world.transcript);
        }
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.world.transcript += &format!("{line}\n");
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match verb {
            "deploy" => self.deploy(&words),
            "update" => self.update(&words),
            "post" => self.post(rest),
            "turn" => self.turn(rest),
            "tick" => self.world.pass(rest.parse().unwrap()),
            // Where the wall clock is set to, in seconds from the time of the kernels.
            "wall" => {
                let ahead = rest.parse::<i64>().unwrap() * 1_000_000;
                let kernels = self.world.kernels.iter_mut();
                kernels.for_each(|kernel| kernel.set_wall_ahead(ahead));
            }
            // A row that the next turn to end writes: its table, its key, its value.
            "row" => self.world.rows.push(RowWrite {
                table: words[0].into(),
                key: words[1].into(),
                value: words.get(2).map(|value| (*value).into()),
            }),
            "hold" | "flow" => self.flows = verb == "flow",
            "crash" => {
                let lost = words.first().map_or(0, |n| n.parse().unwrap());
                let down = words.get(1).map_or(Micros(0), |t| t.parse().unwrap());
                self.world.now = self.world.now.after(down);
                self.world.crash(self.world.journal.len() - lost);
            }
            "dead" | "resend" | "delete" => self.dead(verb),
            "show" => self.show(&words),
            "read" => self.read(words[0]),
            "traces" => self.traces(words[0]),
            "late" => self.late(words[0], words[1].parse().unwrap()),
            "quiesce" => {
                for shard in 0..self.world.kernels.len() {
                    self.world.step(shard, Event::Quiesce);
                }
            }
            _ => self.ask(verb, &words),
        }
    }

    fn ask(&mut self, verb: &str, words: &[&str]) {
        let (agent, ticket) = (self.id(words[0]), self.ticket());
        let shard = self.world.shard_of(agent);
        let event = match verb {
            "stop" => Event::Stop {
                ticket,
                agent,
                drain: words[1] == "drain",
                grace: words[2].parse().unwrap(),
            },
            "start" => Event::Start { ticket, agent },
            "remove" => Event::Remove { ticket, agent },
            "rollback" => Event::Rollback { ticket, agent },
            "enter" => Event::Register {
                ticket,
                agent,
                capabilities: Some(Arc::new(
                    Capabilities::from_json(words[1].as_bytes()).unwrap(),
                )),
            },
            "strike" => Event::Register {
                ticket,
                agent,
                capabilities: None,
            },
            "passivate" => Event::Passivate { agent },
            other => panic!("no verb {other}"),
        };
        self.world.step(shard, event);
    }

    fn deploy(&mut self, words: &[&str]) {
        let before = self.world.transcript.len();
        let name = words[0];
        let id = 10 + self.deployed;
        self.deployed += 1;
        let mut made = spec(id, name);
        let mut how = "ok";
        for word in &words[1..] {
            match word.split_once('=') {
                Some(("init", value)) => how = value,
                Some((key, value)) => set_option(&mut made, key, value),
                None => set_option(&mut made, word, ""),
            }
        }
        let made = Arc::new(made);
        self.ids.insert(name.into(), made.id);
        self.specs.insert(name.into(), Arc::clone(&made));
        let free = self.world.directory.reserve(&made.name, made.id);
        let ticket = self.ticket();
        let shard = usize::from(self.world.directory.shard_of(&made));
        let spec = made;
        let granted = GrantedRules::default();
        let event = Event::Deploy {
            ticket,
            spec,
            granted,
        };
        self.world.step(shard, event);
        if free && how != "hold" {
            self.turn(&format!("{name} {how}"));
        }
        // What every good deploy says is said once, where an init is held.
        if how == "ok" && self.world.directory.get(AgentId(id)).is_some() {
            self.world.transcript.truncate(before);
        }
    }

    fn update(&mut self, words: &[&str]) {
        let mut made = (*self.specs[words[0]]).clone();
        for word in &words[1..] {
            let (key, value) = word.split_once('=').unwrap();
            set_option(&mut made, key, value);
        }
        let spec = Arc::new(made);
        let ticket = self.ticket();
        let shard = self.world.shard_of(spec.id);
        self.world.step(shard, Event::Update { ticket, spec });
    }

    /// `CLIENT -> RECEIVER PERFORMATIVE [key=value …] [CONTENT]`
    fn post(&mut self, rest: &str) {
        let (client, rest) = rest.split_once(" -> ").unwrap();
        let (head, content) = match rest.find(" {\"") {
            Some(at) if !rest.starts_with('{') => rest.split_at(at),
            Some(at) => rest.split_at(at),
            None => (rest, "null"),
        };
        let mut words = head.split_whitespace();
        let receiver = words.next().unwrap();
        let performative = words.next().unwrap();
        let mut namespace = None;
        let mut message_id = None;
        let mut fields = String::new();
        for word in words {
            match word.split_once('=').unwrap() {
                ("ns", value) => namespace = Some(value.parse().unwrap()),
                ("id", value) => message_id = Some(value.into()),
                ("reply_by", value) => {
                    let at = self.world.now.after(value.parse().unwrap());
                    fields += &format!(", \"reply_by\": {}", at.0);
                }
                (key, value) => fields += &format!(", \"{key}\": \"{value}\""),
            }
        }
        let receiver = if receiver.starts_with(['[', '{']) {
            receiver.to_owned()
        } else {
            format!("\"{receiver}\"")
        };
        let json = format!(
            "{{\"performative\": \"{performative}\", \"receiver\": {receiver}, \"content\": {}{fields}}}",
            content.trim()
        );
        let fields = Fields::parse(json.as_bytes(), 1 << 20).expect("a message in the script");
        let ticket = self.ticket();
        let shards = self.world.directory.shards();
        let shard = usize::from(crate::shard_of_client(client, shards));
        let client: Arc<str> = client.into();
        let post = Post {
            client,
            namespace,
            message_id,
            fields,
        };
        self.world.step(shard, Event::Post { ticket, post });
    }

    /// `AGENT ok|end|N|CODE ACTION ; ACTION …`
    fn turn(&mut self, rest: &str) {
        let mut words = rest.splitn(3, ' ');
        let id = self.id(words.next().unwrap());
        let how = words.next().unwrap().to_owned();
        let actions = words.next().unwrap_or("").to_owned();
        let now = self.world.now;
        let mut answers = Vec::new();
        let mut said = String::new();
        let ended = how == "end";
        let known = self.world.end_turn_as(id, ended, |ctx, input| {
            for action in actions.split(" ; ").filter(|a| !a.is_empty()) {
                let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
                answers.push(format!("{verb}={}", act(ctx, now, verb, rest, input)));
            }
            said = answers.join(" ");
            match how.as_str() {
                "ok" | "end" => Ok(0),
                "return1" => Ok(1),
                code => Err(fault(code)),
            }
        });
        if !known {
            self.world.transcript += "  nothing runs\n";
        }
        if !said.is_empty() {
            self.world.transcript += &format!("  host answered {said}\n");
        }
    }

    fn dead(&mut self, verb: &str) {
        let mut lines = Vec::new();
        for shard in 0..self.world.kernels.len() {
            let letters = self.world.kernels[shard].state().dead.clone();
            if verb == "dead" {
                lines.extend(letters.values().map(|letter| {
                    format!(
                        "  {} for {} {}: {}",
                        letter.key,
                        letter.intended,
                        letter.code,
                        show_message(&letter.message)
                    )
                }));
                continue;
            }
            let ticket = self.ticket();
            let keys = letters.into_keys().collect();
            let resend = (verb == "resend").then(Reach::default);
            self.world.step(
                shard,
                Event::TakeDeadLetters {
                    ticket,
                    keys,
                    resend,
                },
            );
        }
        for line in lines {
            self.world.transcript += &(line + "\n");
        }
    }

    /// The end of a turn that nobody waits for any more.
    fn late(&mut self, name: &str, turn: u64) {
        let agent = self.id(name);
        let end = TurnEnd {
            agent,
            turn,
            result: Ok(0),
            effects: TurnEffects::default(),
            cpu_micros: 0,
            instance_kept: true,
            ended: false,
        };
        let shard = self.world.shard_of(agent);
        self.world.step(shard, Event::TurnEnded(Box::new(end)));
    }

    /// The trace's context of each message that waits for an agent or a client.
    fn traces(&mut self, name: &str) {
        let mut lines = Vec::new();
        for kernel in &self.world.kernels {
            let state = kernel.state();
            let agents = state.agents.values();
            let agent = agents.filter(|agent| agent.spec.name.as_str() == name);
            let replies = state
                .clients
                .get(name)
                .map(|client| client.replies().iter());
            let mail = agent.flat_map(|agent| agent.mailbox.iter());
            for mail in mail.chain(replies.into_iter().flatten()) {
                let trace = mail.message.extra.iter();
                let trace = trace.filter(|(field, _)| &**field == "traceparent");
                let trace: Vec<_> = trace.map(|(_, value)| value.as_str()).collect();
                let performative = mail.message.performative;
                lines.push(format!("  {performative} {}\n", trace.join(" ")));
            }
        }
        self.world.transcript += &lines.concat();
    }

    fn read(&mut self, client: &str) {
        let client: Arc<str> = client.into();
        let shards = self.world.directory.shards();
        let shard = usize::from(crate::shard_of_client(&client, shards));
        let state = self.world.kernels[shard].state().clients.get(&client);
        let keys = state.map(|s| s.replies().iter().map(|r| r.key).collect());
        let keys = keys.unwrap_or_default();
        self.world.step(shard, Event::DropReplies { client, keys });
    }

    fn show(&mut self, words: &[&str]) {
        let line = match words {
            ["agents"] => {
                let all = self.world.directory.all();
                let each = all
                    .iter()
                    .map(|l| format!("{}:{:?}", l.spec.name, l.status));
                each.collect::<Vec<_>>().join(" ")
            }
            ["replies", client] => {
                let all = self.world.kernels.iter().map(|kernel| {
                    let state = kernel.state().clients.get(*client);
                    state.map_or(0, |state| state.replies().len())
                });
                all.sum::<usize>().to_string()
            }
            ["conversation", id] => {
                let mut lines: Vec<_> = self
                    .world
                    .kernels
                    .iter()
                    .filter_map(|k| k.state().conversations.get(*id))
                    .flat_map(|c| {
                        c.lines
                            .iter()
                            .map(|l| (l.at, l.key, l.performative, &l.sender))
                    })
                    .collect();
                lines.sort();
                let each = lines
                    .iter()
                    .map(|(_, _, what, who)| format!("{who}:{what}"));
                each.collect::<Vec<_>>().join(" ")
            }
            ["open"] => {
                let open = self.world.kernels.iter().map(|k| k.state().open.len());
                open.sum::<usize>().to_string()
            }
            [name] => {
                let agent = self.world.agent(self.id(name)).expect("an agent");
                format!(
                    "{:?} version {} turns {} errors {} faults {} mail {} timers {:?} subscriptions {} state {}",
                    agent.status,
                    agent.spec.version,
                    agent.turns,
                    agent.errors,
                    agent.faults,
                    agent.mailbox.len(),
                    agent.timers.keys().collect::<Vec<_>>(),
                    agent.subscriptions.len(),
                    agent.state_keys,
                )
            }
            other => panic!("show what? {other:?}"),
        };
        let line = if line.is_empty() { "nothing" } else { &line };
        self.world.transcript += &format!("  {line}\n");
    }
}

fn fault(code: &str) -> Fault {
    let code = ErrorCode::ALL
        .iter()
        .find(|known| known.as_str() == code)
        .unwrap_or_else(|| panic!("no code {code}"));
    Fault::new(*code, format!("the guest met its {code}"))
}

/// One host call of a scripted guest; its answer as the guest sees it.
fn act(ctx: &mut TurnCtx, now: Timestamp, verb: &str, rest: &str, input: &crate::TurnInput) -> i64 {
    let code = |result: Result<(), HostCode>| result.map_or_else(|c| i64::from(c.as_i32()), |()| 0);
    let number =
        |result: Result<i32, HostCode>| result.map_or_else(|c| i64::from(c.as_i32()), i64::from);
    match verb {
        "send" => code(ctx.send_message(now, rest.as_bytes())),
        "reply" => {
            let crate::TurnInput::Message(mail) = input else {
                panic!("no message to reply to")
            };
            let (performative, content) = rest.split_once(' ').unwrap_or((rest, "null"));
            let m = &mail.message;
            let json = serde_json::json!({
                "performative": performative, "receiver": &**m.answer_to(),
                "content": serde_json::from_str::<serde_json::Value>(content).unwrap(),
                "in_reply_to": m.reply_with.as_deref(),
                "conversation_id": m.conversation_id.as_deref(),
            });
            code(ctx.send_message(now, json.to_string().as_bytes()))
        }
        "local" => {
            let (to, json) = rest.split_once(' ').unwrap();
            code(ctx.send_local_message(now, to, json.as_bytes()))
        }
        "broadcast" => {
            let (filter, json) = rest.split_once(" | ").unwrap();
            let reached = ctx.broadcast(now, filter.as_bytes(), json.as_bytes());
            reached.map_or_else(|c| i64::from(c.as_i32()), i64::from)
        }
        "emit" => {
            let (topic, json) = rest.split_once(" | ").unwrap();
            // Whoever's name begins with `revoked` is granted nothing any more.
            let may_hear =
                |listing: &crate::Listing| !listing.spec.name.as_str().starts_with("revoked");
            let reached = ctx.emit(now, topic, json.as_bytes(), may_hear);
            reached.map_or_else(|c| i64::from(c.as_i32()), i64::from)
        }
        "subscribe" => number(ctx.subscribe(rest.as_bytes())),
        "unsubscribe" => code(ctx.unsubscribe(rest.parse().unwrap())),
        "timer" => number(ctx.set_timer(now, rest.parse::<Micros>().unwrap())),
        "cancel" => code(ctx.cancel_timer(rest.parse().unwrap())),
        "register" => code(ctx.register_capabilities(rest.as_bytes())),
        "random" => i64::from(ctx.random_u32()),
        other => panic!("no host call {other}"),
    }
}
