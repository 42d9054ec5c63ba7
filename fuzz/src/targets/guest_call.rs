//! What a guest hands to host functions during its turns: bounded, answered, and recorded so that a
//! replay of the records gives the state that was.

use std::sync::Arc;

use caxton_kernel::{
    Directory, Effect, Event, Kernel, KernelOptions, RunTurn, ShardPart, Ticket, TurnEnd,
};
use caxton_model::{
    AgentId, AgentSpec, Digest, Durability, EngineProfile, Entry, Grants, Kind, LimitName, Limits,
    Micros, State, Supervision, Timestamp,
};
use caxton_store::{decode_entry, encode_entry};

const BEGIN: Timestamp = Timestamp(1_767_225_600_000_000);
const AGENT: AgentId = AgentId(11);
/// Host calls of one input; more would only be slower.
const CALLS_MAX: usize = 64;
/// Turns of one input: a guest that sends itself messages has the next turn, and the next.
const TURNS_MAX: usize = 16;

pub fn check(bytes: &[u8]) {
    let mut world = World::new();
    let mut rest = bytes;
    let spec = Arc::new(spec());
    assert!(world.kernel_directory.reserve(&spec.name, spec.id));
    world.step(Event::Deploy {
        ticket: Ticket(1),
        spec,
        granted: Default::default(),
    });
    for _ in 0..TURNS_MAX {
        let Some(run) = world.runs.pop() else { break };
        world.turn(run, &mut rest);
    }
    world.check_replay();
}

fn spec() -> AgentSpec {
    let mut limits = Limits::for_kind(Kind::Agent);
    limits.set(LimitName::MessageBytes, 4_096);
    limits.set(LimitName::Timers, 10);
    limits.set(LimitName::Subscriptions, 10);
    AgentSpec {
        id: AGENT,
        name: "guest".parse().expect("a name"),
        module: Digest::of(b"module"),
        version: "1.0.0".to_owned(),
        durability: Durability::Durable,
        supervision: Supervision::default(),
        limits,
        grants: Grants::default(),
        requested: None,
        profile: EngineProfile::default(),
        declared: Vec::new(),
        config: Vec::new(),
        passivate_after_micros: None,
        deployed_at: BEGIN,
    }
}

struct World {
    kernel: Kernel,
    kernel_directory: Directory,
    journal: Vec<Arc<Entry>>,
    runs: Vec<RunTurn>,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let directory = Directory::new(1);
        let options = KernelOptions {
            shard: 0,
            journal: true,
            seed: 1,
        };
        Self {
            kernel: Kernel::new(options, directory.clone(), ShardPart::default()),
            kernel_directory: directory,
            journal: Vec::new(),
            runs: Vec::new(),
            now: BEGIN,
        }
    }

    fn step(&mut self, event: Event) {
        self.now = self.now.after(Micros::millis(10));
        let mut effects = Vec::new();
        self.kernel.step(self.now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Journal(entry) => self.journal.push(entry),
                Effect::Run(run) => self.runs.push(*run),
                _ => {}
            }
        }
    }

    /// One turn: the guest calls what the input says, then returns or faults.
    fn turn(&mut self, mut run: RunTurn, rest: &mut &[u8]) {
        let mut result = 0;
        for _ in 0..CALLS_MAX {
            let Some((call, args)) = take_call(rest) else {
                break;
            };
            if call == 255 {
                result = args.len() as i32 % 3;
                break;
            }
            make_call(&mut run, self.now, call, args);
        }
        let effects = run.ctx.finish();
        assert!(effects.timers_set.len() <= 10);
        assert!(effects.subscribed.len() <= 10);
        assert!(effects.sent.len() <= CALLS_MAX);
        for sent in &effects.sent {
            assert_eq!(
                &*sent.message.sender, "guest",
                "a sender is the host's to say"
            );
        }
        self.step(Event::TurnEnded(Box::new(TurnEnd {
            agent: run.agent,
            turn: run.turn,
            result: Ok(if run.turn == 1 { 0 } else { result }),
            effects,
            cpu_micros: 1,
            instance_kept: true,
            ended: false,
        })));
    }

    /// The records, written and read again, give the kernel's state.
    fn check_replay(&self) {
        let mut state = State::default();
        for entry in &self.journal {
            let mut written = Vec::new();
            encode_entry(entry, &mut written).expect("a record can be written");
            let again = decode_entry(&written).expect("and read again");
            assert_eq!(again, **entry);
            state.replay(&again);
        }
        assert_eq!(state.agents, self.kernel.state().agents);
        assert_eq!(state.dead, self.kernel.state().dead);
        assert_eq!(state.conversations, self.kernel.state().conversations);
        assert_eq!(state.open, self.kernel.state().open);
    }
}

/// A call's number, and its argument with its length in two bytes before it.
fn take_call<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (head, behind) = rest.split_first_chunk::<3>()?;
    let length = usize::from(u16::from_le_bytes([head[1], head[2]])).min(behind.len());
    let (args, more) = behind.split_at(length);
    *rest = more;
    Some((head[0], args))
}

fn make_call(run: &mut RunTurn, now: Timestamp, call: u8, args: &[u8]) {
    let number = args.iter().fold(0_i32, |sum, byte| {
        sum.wrapping_mul(256).wrapping_add(i32::from(*byte))
    });
    // The first NUL divides two arguments.
    let mut parts = args.splitn(2, |byte| *byte == 0);
    let (first, second) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let ctx = &mut run.ctx;
    // What a guest is answered is a number; that it is answered is what is looked at here.
    let _ = match call % 9 {
        0 => ctx.send_message(now, args),
        1 => ctx.send_local_message(now, &String::from_utf8_lossy(first), second),
        2 => ctx.broadcast(now, first, second).map(drop),
        3 => ctx.subscribe(args).map(drop),
        4 => ctx.unsubscribe(number),
        5 => ctx
            .set_timer(now, Micros(number.unsigned_abs().into()))
            .map(drop),
        6 => ctx.cancel_timer(number),
        7 => ctx.register_capabilities(args),
        _ => {
            ctx.read_clock(now);
            let _ = ctx.random_u32();
            Ok(())
        }
    };
}
