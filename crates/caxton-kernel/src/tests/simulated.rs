//! Many short lives, each from its seed; and events that make no sense.

use caxton_model::{
    AgentId, Delivery, Destination, Fault, Fields, MessageKey, Micros, Performative, Timestamp,
};

use super::script::{BEGIN, spec};
use crate::{
    Event, Ticket, TurnEffects, TurnEnd,
    sim::{Rng, World, run},
};

#[test]
fn the_rules_hold_in_many_lives() {
    let (mut crashes, mut records, mut acknowledged) = (0, 0, 0);
    for seed in 0..100 {
        match run(seed, 400) {
            Ok(report) => {
                crashes += report.crashes;
                records += report.records;
                acknowledged += report.acknowledged;
            }
            Err(broken) => panic!("{broken}"),
        }
    }
    assert!(crashes > 50 && records > 10_000 && acknowledged > 1_000);
}

#[test]
fn a_seed_tells_the_same_story_again() {
    for seed in [1, 7, 42] {
        let (one, two) = (run(seed, 500).unwrap(), run(seed, 500).unwrap());
        assert!(one.transcript.len() > 10_000);
        assert_eq!(one, two);
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
    match rng.below(14) {
        0 => Event::Deploy {
            ticket,
            spec: spec(agent.0, "a").into(),
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
            resend: rng.percent(50),
        },
        9 => Event::DropReplies {
            client: "c".into(),
            keys: vec![key],
        },
        10 => Event::DirectoryChanged {
            services: vec!["x".into()],
        },
        11 => Event::Tick,
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
        let mut rng = Rng::new(seed);
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
