//! Records as a node would write them, made from a seed.

use std::{collections::BTreeMap, sync::Arc};

use caxton_model::*;

/// Small, good enough, the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

pub(super) fn spec(id: u64, durability: Durability) -> Arc<AgentSpec> {
    Arc::new(AgentSpec {
        id: AgentId(id),
        name: format!("agent-{id}").parse().unwrap(),
        module: Digest::of(&id.to_le_bytes()),
        version: "1.0.0".to_owned(),
        durability,
        supervision: Supervision::default(),
        limits: Limits::for_kind(Kind::Agent),
        grants: Grants::default(),
        requested: None,
        profile: EngineProfile::Hardened,
        declared: vec!["sums".to_owned()],
        config: vec![("colour".to_owned(), "blue".to_owned())],
        passivate_after_micros: None,
        deployed_at: Timestamp(1_700_000_000_000_000),
    })
}

pub(super) fn deployed(shard: u16, seq: u64, id: u64) -> Entry {
    Entry {
        shard,
        seq,
        at: Timestamp(1_700_000_000_000_000 + seq as i64),
        record: Record::Deployed {
            spec: spec(id, Durability::Durable),
        },
    }
}

pub(super) fn message(from: &str, to: &str, content: &str) -> Fields {
    let json = format!(
        r#"{{"performative":"request","sender":"{from}","receiver":"{to}","content":{content}}}"#
    );
    Fields::parse(json.as_bytes(), 1 << 20).unwrap()
}

pub(super) fn turn(shard: u16, seq: u64, agent: u64, writes: Vec<StateWrite>) -> Entry {
    Entry {
        shard,
        seq,
        at: Timestamp(1_700_000_000_000_000 + seq as i64),
        record: Record::Turn(Box::new(TurnRecord {
            agent: AgentId(agent),
            turn: seq,
            input: InputRef::Timer {
                id: 1,
                due: Timestamp(5),
            },
            consumed: true,
            result: TurnResult::Returned(0),
            state_bytes: 10,
            state_keys: 1,
            writes,
            rows: Vec::new(),
            sent: Vec::new(),
            timers_set: Vec::new(),
            timers_cancelled: Vec::new(),
            capabilities: None,
            subscribed: Vec::new(),
            unsubscribed: Vec::new(),
            seed: seq,
            clock_reads: Vec::new(),
            cpu_micros: 12,
        })),
    }
}

pub(super) fn write(key: &str, value: &str) -> StateWrite {
    StateWrite {
        key: key.as_bytes().into(),
        value: Some(value.as_bytes().into()),
    }
}

/// About 400 bytes: a message is taken, one key written, a message sent to the next of 1,000 agents.
pub(super) fn usual_turn(seq: u64) -> Entry {
    let mut entry = turn(
        0,
        seq,
        seq % 1_000,
        vec![write(&format!("key-{}", seq % 50), &"v".repeat(100))],
    );
    if let Record::Turn(turn) = &mut entry.record {
        let text = format!("\"{}\"", "a content of some length; ".repeat(6));
        turn.sent = vec![Sent {
            message: message("agent-1", "agent-2", &text).seal(),
            to: vec![Destination::Agent(AgentId((seq + 1) % 1_000))],
        }];
        turn.input = InputRef::Message(MessageKey {
            shard: 0,
            seq: seq - 1,
            index: 0,
        });
    }
    entry
}

/// What a node would decide at random; also the truth that recovery is compared with.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) state: State,
    pub(super) values: BTreeMap<(AgentId, Vec<u8>), Vec<u8>>,
    seqs: [u64; 3],
    next_agent: u64,
    now: i64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            state: State::tracked(),
            values: BTreeMap::new(),
            seqs: [0; 3],
            next_agent: 100,
            now: 1_700_000_000_000_000,
        }
    }

    /// The next record, applied to the truth.
    pub(super) fn step(&mut self) -> Arc<Entry> {
        let shard = self.random.below(3) as usize;
        self.seqs[shard] += 1;
        self.now += self.random.below(1_000_000) as i64;
        let entry = Entry {
            shard: shard as u16,
            seq: self.seqs[shard],
            at: Timestamp(self.now),
            record: self.record(),
        };
        self.note_values(&entry.record);
        self.state.replay(&entry);
        Arc::new(entry)
    }

    fn agent(&mut self) -> Option<AgentId> {
        let mut ids: Vec<AgentId> = self.state.agents.keys().copied().collect();
        ids.sort_unstable();
        let at = self.random.below(ids.len().max(1) as u64) as usize;
        ids.get(at).copied()
    }

    fn record(&mut self) -> Record {
        let Some(agent) = self.agent().filter(|_| !self.random.one_in(12)) else {
            return self.deploy();
        };
        match self.random.below(15) {
            0 => Record::Removed {
                agent,
                sent: self.sent(),
            },
            1 => Record::StatusChanged {
                agent,
                status: AgentStatus::Stopped,
                reason: "asked".to_owned(),
            },
            2 | 3 => Record::Posted {
                client: format!("client-{}", self.random.below(4)).into(),
                message_id: self
                    .random
                    .one_in(2)
                    .then(|| format!("id-{}", self.now).into()),
                sent: self.sent(),
            },
            4 => self.take_dead(),
            5 => self.drop_replies(),
            6 => self.directory(agent),
            7 => Record::Updated {
                spec: spec(agent.0, self.state.agents[&agent].spec.durability),
                rollback: false,
            },
            8 if self.random.one_in(2) => self.access(agent),
            14 => Record::RowsWritten { rows: self.rows() },
            _ => self.turn(agent),
        }
    }

    /// The next step of an access inside a turn: its intent, then its outcome.
    fn access(&mut self, agent: AgentId) -> Record {
        let known = self.state.accesses.get(&agent);
        let accesses = known.map_or(&[][..], |known| &known.accesses);
        let number = u32::try_from(accesses.len()).unwrap();
        if accesses.last().is_some_and(|last| last.outcome.is_none()) {
            let number = number - 1;
            let outcome = format!("outcome {number}").into_bytes().into();
            return Record::Outcome {
                agent,
                number,
                outcome,
            };
        }
        Record::Intent(Box::new(Intent {
            agent,
            turn: self.random.below(100),
            input: InputRef::Shutdown,
            seed: self.random.next(),
            clock_reads: vec![Timestamp(7); number as usize],
            number,
            digest: Digest::of(&number.to_le_bytes()),
            shown: format!("GET http://a.example/{number}").into(),
        }))
    }

    fn deploy(&mut self) -> Record {
        self.next_agent += 1;
        let durability = if self.random.one_in(4) {
            Durability::Memory
        } else {
            Durability::Durable
        };
        Record::Deployed {
            spec: spec(self.next_agent, durability),
        }
    }

    fn take_dead(&mut self) -> Record {
        let keys = self.state.dead.keys().copied().take(2).collect();
        Record::DeadLettersTaken {
            keys,
            sent: self.sent(),
        }
    }

    fn drop_replies(&mut self) -> Record {
        let Some((client, state)) = self.state.clients.iter().next() else {
            return Record::HostSent { sent: self.sent() };
        };
        Record::RepliesDropped {
            client: Arc::clone(client),
            keys: state.replies().iter().map(|mail| mail.key).collect(),
        }
    }

    fn directory(&mut self, agent: AgentId) -> Record {
        Record::Directory {
            request: MessageKey {
                shard: 0,
                seq: 0,
                index: 0,
            },
            capabilities: vec![(agent, Some(Arc::new(Capabilities::default())))],
            subscribed: vec![DfSubscription {
                subscriber: "client-1".into(),
                conversation: format!("watch-{}", self.random.below(3)).into(),
                reply_with: None,
                service: "sums".to_owned(),
                template: RawJson::default(),
                told: self.random.next(),
            }],
            cancelled: Vec::new(),
            sent: self.sent(),
        }
    }

    fn turn(&mut self, agent: AgentId) -> Record {
        let state = &self.state.agents[&agent];
        let input = match state.mailbox.front() {
            Some(mail) => InputRef::Message(mail.key),
            None => InputRef::Init(StartReason::Deploy),
        };
        let number = state.turns + 1;
        let entry = turn(0, number, agent.0, self.writes());
        let Record::Turn(mut turn) = entry.record else {
            unreachable!("made above");
        };
        turn.input = input;
        if self.random.one_in(8) {
            turn.writes.clear();
            turn.result = TurnResult::Faulted(Fault::new(ErrorCode::CpuLimit, "too long"));
        } else {
            turn.sent = self.sent();
            turn.rows = self.rows();
            turn.timers_set = vec![TimerSet {
                id: self.random.below(5) as i32,
                due: Timestamp(self.now + 1_000),
            }];
        }
        Record::Turn(turn)
    }

    fn writes(&mut self) -> Vec<StateWrite> {
        (0..self.random.below(4))
            .map(|_| {
                let key = format!("key-{}", self.random.below(6));
                let length = self.random.below(300) as usize;
                StateWrite {
                    key: key.as_bytes().into(),
                    value: (!self.random.one_in(4)).then(|| vec![b'x'; length].into()),
                }
            })
            .collect()
    }

    fn rows(&mut self) -> Vec<RowWrite> {
        let rows = 0..self.random.below(4);
        rows.map(|_| {
            let length = self.random.below(300) as usize;
            let value = format!("\"{}\"", "x".repeat(length));
            RowWrite {
                table: format!("main/t{}", self.random.below(2)).into(),
                key: format!("row-{}", self.random.below(6)).into(),
                value: (!self.random.one_in(4)).then(|| value.into()),
            }
        })
        .collect()
    }

    fn sent(&mut self) -> Vec<Sent> {
        (0..self.random.below(3))
            .map(|_| {
                let mut fields = message("someone", "anyone", "{\"n\":1}");
                if self.random.one_in(2) {
                    fields.conversation_id = Some(format!("c-{}", self.random.below(9)).into());
                }
                if self.random.one_in(3) {
                    fields.reply_with = Some(format!("r-{}", self.random.below(9)).into());
                    fields.reply_by = Some(Timestamp(self.now + 9_000_000));
                    fields.reply_by_text =
                        Some(RawJson::parse("\"2026-01-31T12:00:00Z\"").unwrap());
                    fields.reply_by = Timestamp::parse("2026-01-31T12:00:00Z");
                }
                let to = match (self.random.below(4), self.agent()) {
                    (0 | 1, Some(agent)) => Destination::Agent(agent),
                    (2, _) => {
                        Destination::Client(format!("client-{}", self.random.below(4)).into())
                    }
                    _ => Destination::Dead {
                        intended: "nobody".into(),
                        code: ErrorCode::Undeliverable,
                        reason: "there is none".to_owned(),
                    },
                };
                Sent {
                    message: fields.seal(),
                    to: vec![to],
                }
            })
            .collect()
    }

    fn note_values(&mut self, record: &Record) {
        match record {
            Record::Turn(turn) => {
                let keeps = self
                    .state
                    .agents
                    .get(&turn.agent)
                    .is_some_and(|agent| agent.spec.durability == Durability::Durable);
                for write in turn.writes.iter().filter(|_| keeps) {
                    let key = (turn.agent, write.key.to_vec());
                    match &write.value {
                        Some(value) => self.values.insert(key, value.to_vec()),
                        None => self.values.remove(&key),
                    };
                }
            }
            Record::Removed { agent, .. } => self.values.retain(|(owner, _), _| owner != agent),
            _ => {}
        }
    }
}

/// Two states say the same. Orders may still name letters that were taken out.
#[track_caller]
pub(super) fn assert_same_state(found: &State, expected: &State) {
    assert_eq!(found.agents, expected.agents);
    assert_eq!(found.clients, expected.clients);
    assert_eq!(found.dead, expected.dead);
    let live = |state: &State| -> Vec<MessageKey> {
        let order = state.dead_order.iter().copied();
        order.filter(|key| state.dead.contains_key(key)).collect()
    };
    assert_eq!(live(found), live(expected));
    assert_eq!(found.posts, expected.posts);
    assert_eq!(found.posts_order, expected.posts_order);
    assert_eq!(found.conversations, expected.conversations);
    assert_eq!(found.open, expected.open);
    assert_eq!(found.df_subscriptions, expected.df_subscriptions);
    assert_eq!(found.held, expected.held);
    assert_eq!(found.migrating, expected.migrating);
    assert_eq!(found.accesses, expected.accesses);
    assert_eq!(found.granted, expected.granted);
    assert_eq!(found.processors, expected.processors);
    assert_eq!(found.tables, expected.tables);
    assert_eq!(found.spent.until, expected.spent.until);
    assert_eq!(found.spent.blocks, expected.spent.blocks);
    assert_eq!(found.spent.len(), expected.spent.len());
    assert_eq!(found.seqs, expected.seqs);
}

/// What a check finds, but for modules: the agents of most tests have none.
pub(super) fn verified(dir: &std::path::Path) -> crate::VerifyReport {
    crate::VerifyReport {
        module_damage: Vec::new(),
        ..crate::verify(dir).unwrap()
    }
}
