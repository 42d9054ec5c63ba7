//! Events that make no sense.

use caxton_model::{
    AgentId, Delivery, Destination, Fault, Fields, GrantedRules, MessageKey, Micros, Performative,
    Timestamp,
};

use super::{
    processors::processor,
    script::{BEGIN, spec},
    world::World,
};
use crate::{Event, Reach, Ticket, TurnEffects, TurnEnd};

/// Chance from a seed.
///
/// Source: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
struct Rng(u64);

impl Rng {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound as u64).unwrap()
    }
    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

fn any_event(rng: &mut Rng) -> Event {
    let agent = AgentId(9 + rng.below(4) as u64);
    let ticket = Ticket(rng.number());
    let key = MessageKey {
        shard: u16::try_from(rng.below(3)).unwrap(),
        seq: rng.below(30) as u64,
        index: 0,
    };
    match rng.below(16) {
        0 => Event::Deploy {
            ticket,
            spec: spec(agent.0, "a").into(),
            granted: GrantedRules::default(),
        },
        1 => Event::Update {
            ticket,
            spec: spec(agent.0, "b").into(),
        },
        2 => Event::Rollback { ticket, agent },
        3 => Event::Stop {
            ticket,
            agent,
            drain: rng.percent(50),
            grace: Micros(0),
        },
        4 => Event::Start { ticket, agent },
        5 => Event::Remove { ticket, agent },
        6 if rng.percent(20) => Event::TrimHostBytes,
        6 => Event::Passivate { agent },
        7 => {
            let act = rng.pick(&Performative::ALL).copied().unwrap();
            let fields = Fields::new(act, "x", "y", &serde_json::json!(1));
            let to = [
                Destination::Agent(agent),
                Destination::Agent(AgentId::DF),
                Destination::Client("c".into()),
            ];
            Event::Delivered(vec![Delivery {
                key,
                to: rng.pick(&to).cloned().unwrap(),
                message: fields.seal(),
                at: Timestamp(i64::MIN),
                journalled: rng.percent(50),
            }])
        }
        8 => Event::TakeDeadLetters {
            ticket,
            keys: vec![key, key],
            resend: rng.percent(50).then(Reach::default),
        },
        9 => Event::DropReplies {
            client: "c".into(),
            keys: vec![key],
        },
        10 => Event::DirectoryChanged {
            services: vec!["x".into()],
        },
        11 => Event::Tick,
        12 => Event::DeployProcessor {
            ticket,
            spec: processor(agent.0, "p", "1.0.0"),
            granted: Vec::new(),
        },
        13 => Event::RemoveProcessor {
            ticket,
            name: "p".into(),
        },
        _ => Event::TurnEnded(Box::new(TurnEnd {
            agent,
            turn: rng.below(5) as u64,
            result: if rng.percent(30) {
                Err(Fault::new(caxton_model::ErrorCode::Trap, "nonsense"))
            } else {
                Ok(0)
            },
            effects: TurnEffects::default(),
            cpu_micros: u64::MAX,
            instance_kept: rng.percent(50),
            ended: false,
        })),
    }
}

#[test]
fn events_that_make_no_sense_do_no_harm() {
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let mut world = World::new(2, rng.percent(50), BEGIN);
        for step in 0..200 {
            let event = if step == 190 {
                Event::Quiesce
            } else {
                any_event(&mut rng)
            };
            let shard = rng.below(2);
            world.now = Timestamp(BEGIN.0 + i64::try_from(rng.below(1 << 40)).unwrap());
            world.step(shard, event);
            world.deliver_all();
        }
    }
}
