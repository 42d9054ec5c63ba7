//! Processors: each name stands for one, durable with its record.

use std::sync::Arc;

use caxton_model::{
    AgentId, Digest, EngineProfile, GrantedRule, Kind, Limits, ProcessorSpec, Timestamp,
};

use super::{script::BEGIN, world::World};
use crate::{Event, SHARD_OF_PROCESSORS, Ticket};

pub(super) fn processor(id: u64, name: &str, version: &str) -> Arc<ProcessorSpec> {
    Arc::new(ProcessorSpec {
        id: AgentId(id),
        name: name.parse().unwrap(),
        kind: Kind::Processor,
        module: Digest::of(b"module"),
        version: version.to_owned(),
        limits: Limits::for_kind(Kind::Processor),
        requested: None,
        profile: EngineProfile::default(),
        config: Vec::new(),
        deployed_at: Timestamp(1),
    })
}

fn deploy(world: &mut World, spec: Arc<ProcessorSpec>) {
    let ticket = Ticket(1);
    let event = Event::DeployProcessor {
        ticket,
        spec,
        granted: vec![rule("http:read=api.example.com/**")],
    };
    world.step(usize::from(SHARD_OF_PROCESSORS), event);
}

fn rule(text: &str) -> GrantedRule {
    GrantedRule {
        rule: text.to_owned(),
        expires: None,
        reason: None,
        by: "admin".to_owned(),
        at: Timestamp(1),
    }
}

/// What a processor is granted, as the state has it.
fn granted(world: &World, id: u64) -> Vec<String> {
    let state = world.kernels[usize::from(SHARD_OF_PROCESSORS)].state();
    let rules = state.granted.get(&AgentId(id)).cloned().unwrap_or_default();
    rules.iter().map(|granted| granted.rule.clone()).collect()
}

fn known(world: &World) -> Vec<(String, u64, String)> {
    let state = world.kernels[usize::from(SHARD_OF_PROCESSORS)].state();
    let specs = state.processors.values();
    specs
        .map(|spec| (spec.name.to_string(), spec.id.0, spec.version.clone()))
        .collect()
}

#[test]
fn a_name_stands_for_one_processor_and_survives() {
    let mut world = World::new(2, true, BEGIN);
    deploy(&mut world, processor(2_000, "upper", "1.0.0"));
    deploy(&mut world, processor(2_001, "acme/upper", "1.0.0"));
    deploy(&mut world, processor(2_002, "upper", "2.0.0"));
    let expected = vec![
        ("acme/upper".to_owned(), 2_001, "1.0.0".to_owned()),
        ("upper".to_owned(), 2_000, "2.0.0".to_owned()),
    ];
    assert_eq!(known(&world), expected, "an update keeps the id");
    world.crash(usize::MAX);
    assert_eq!(known(&world), expected);

    let remove = |name: &str| Event::RemoveProcessor {
        ticket: Ticket(2),
        name: name.into(),
    };
    world.step(0, remove("upper"));
    world.step(0, remove("upper"));
    assert!(
        world.transcript.contains("refused not-found"),
        "{}",
        world.transcript
    );
    world.crash(usize::MAX);
    assert_eq!(known(&world).len(), 1);
    world.step(0, Event::Quiesce);
    deploy(&mut world, processor(2_003, "late", "1.0.0"));
    assert_eq!(known(&world).len(), 1, "a node that goes down takes none");
}

#[test]
fn what_a_processor_is_granted_outlives_versions_and_crashes_and_goes_with_it() {
    let mut world = World::new(2, true, BEGIN);
    deploy(&mut world, processor(2_000, "upper", "1.0.0"));
    let change = |grant: &[&str], revoke: &[&str]| Event::ChangeGrants {
        ticket: Ticket(3),
        agent: AgentId(2_000),
        grant: grant.iter().copied().map(rule).collect(),
        revoke: revoke.iter().copied().map(str::to_owned).collect(),
    };
    world.step(0, change(&["env:read=TZ"], &[]));
    deploy(&mut world, processor(2_001, "upper", "2.0.0"));
    let both = ["env:read=TZ", "http:read=api.example.com/**"];
    assert_eq!(granted(&world, 2_000), both, "the version after has them");
    world.crash(usize::MAX);
    assert_eq!(granted(&world, 2_000), both);
    world.step(0, change(&[], &["env:read=TZ"]));
    world.crash(usize::MAX);
    assert_eq!(granted(&world, 2_000), both[1..]);
    world.step(
        0,
        Event::RemoveProcessor {
            ticket: Ticket(4),
            name: "upper".into(),
        },
    );
    assert!(granted(&world, 2_000).is_empty());
    world.crash(usize::MAX);
    assert!(granted(&world, 2_000).is_empty());
    world.step(0, change(&["env:read=TZ"], &[]));
    assert!(granted(&world, 2_000).is_empty(), "nobody has that id");
}
