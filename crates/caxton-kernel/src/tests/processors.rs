//! Processors: each name stands for one, durable with its record.

use std::sync::Arc;

use caxton_model::{AgentId, Digest, EngineProfile, Kind, Limits, ProcessorSpec, Timestamp};

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
        profile: EngineProfile::default(),
        config: Vec::new(),
        deployed_at: Timestamp(1),
    })
}

fn deploy(world: &mut World, spec: Arc<ProcessorSpec>) {
    let ticket = Ticket(1);
    let event = Event::DeployProcessor { ticket, spec };
    world.step(usize::from(SHARD_OF_PROCESSORS), event);
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
