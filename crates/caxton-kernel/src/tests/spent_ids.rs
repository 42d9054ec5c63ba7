//! Message ids that fell out of those that are known in full.

use std::sync::Arc;

use caxton_model::{
    Destination, Entry, ErrorCode, Fields, Message, Record, Sent, State, Timestamp,
};

use super::script::BEGIN;
use crate::{
    Directory, Done, Effect, Event, Kernel, KernelOptions, Post, Refusal, Ticket, shard_of_client,
    split,
};

fn fields() -> Fields {
    let json = br#"{"performative": "request", "receiver": "df", "content": {"action": "search"}}"#;
    Fields::parse(json, 1 << 20).unwrap()
}

fn posted(
    state: &mut State,
    message: &Message,
    seq: u64,
    (client, id): (&str, &str),
    at: Timestamp,
) {
    let sent = vec![Sent {
        message: message.clone(),
        to: vec![Destination::Client("nobody".into())],
    }];
    let record = Record::Posted {
        client: client.into(),
        message_id: Some(id.into()),
        sent,
    };
    let entry = Entry {
        shard: 0,
        seq,
        at,
        record,
    };
    // Only the sender's side: what is delivered does not matter here.
    let _ = state.apply(&entry, true);
}

/// A node of so many shards, started over a state.
fn started(state: &State, shards: u16) -> Vec<Kernel> {
    let directory = Directory::new(shards);
    let parts = split(state.clone(), &directory);
    let kernels = (0_u16..).zip(parts).map(|(shard, state)| {
        let options = KernelOptions {
            shard,
            journal: true,
            seed: 7,
        };
        Kernel::new(options, directory.clone(), state)
    });
    kernels.collect()
}

fn post(kernels: &mut [Kernel], client: &str, id: &str) -> Result<Done, Refusal> {
    let shards = u16::try_from(kernels.len()).unwrap();
    let kernel = &mut kernels[usize::from(shard_of_client(client, shards))];
    let post = Post {
        client: client.into(),
        namespace: None,
        message_id: Some(id.into()),
        fields: fields(),
    };
    let ticket = Ticket(1);
    let mut effects = Vec::new();
    kernel.step(BEGIN, Event::Post { ticket, post }, &mut effects);
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::Answer { answer, .. } => Some(answer),
        _ => None,
    });
    answer.expect("an answer")
}

#[track_caller]
fn is_refused(answer: &Result<Done, Refusal>) {
    let code = answer.as_ref().map_err(|refusal| refusal.code);
    assert_eq!(code.unwrap_err(), ErrorCode::DuplicateMessage);
}

#[track_caller]
fn is_posted(answer: &Result<Done, Refusal>, again: bool) {
    match answer {
        Ok(Done::Posted { duplicate, .. }) => assert_eq!(*duplicate, again),
        other => panic!("{other:?}"),
    }
}

/// More ids than are known in full of any client.
const IDS: usize = 20_000;

/// The number of the oldest id of a client that is known in full.
fn oldest(state: &State, client: &str, id: impl Fn(usize) -> Arc<str>) -> usize {
    let known = |n: &usize| state.posts.contains_key(&(client.into(), id(*n)));
    (0..IDS).find(known).unwrap()
}

#[test]
fn an_id_that_too_many_of_its_clients_followed_is_refused_never_run_twice() {
    let mut state = State::default();
    let message = fields().seal();
    let id = |n: usize| Arc::<str>::from(format!("id-{n}"));
    posted(&mut state, &message, 1, ("rare", "id-0"), BEGIN);
    for n in 0..IDS {
        let client = if n % 2 == 0 { "even" } else { "odd" };
        posted(&mut state, &message, n as u64 + 2, (client, &id(n)), BEGIN);
    }
    let (even, odd) = (oldest(&state, "even", id), oldest(&state, "odd", id));
    assert!(even > 2 && IDS - even > 1_000, "{even}");
    assert_eq!(state.spent.len(), IDS + 1 - state.posts.len());
    for shards in [1, 3] {
        let node = &mut started(&state, shards);
        is_refused(&post(node, "even", "id-0"));
        is_refused(&post(node, "odd", &id(odd - 2)));
        is_posted(&post(node, "even", &id(even)), true);
        is_posted(&post(node, "odd", &id(IDS - 1)), true);
        is_posted(&post(node, "even", "id-1"), false);
        is_posted(&post(node, "odd", "new"), false);
        // A client that sends little loses nothing by others.
        is_posted(&post(node, "rare", "id-0"), true);
    }
}

#[test]
fn an_id_that_carries_its_time_is_refused_up_to_the_newest_forgotten_one() {
    let mut state = State::default();
    let message = fields().seal();
    let millis = BEGIN.0 / 1_000;
    let id = |n: usize| {
        let time = format!("{:012x}", millis + n as i64);
        Arc::<str>::from(format!("{}-{}-7000-8000-{n:012x}", &time[..8], &time[8..]))
    };
    let at = |n: usize| Timestamp(BEGIN.0 + 1_000 * n as i64);
    for n in 0..IDS {
        posted(&mut state, &message, n as u64 + 1, ("c", &id(n)), at(n));
    }
    assert!(state.spent.is_empty(), "no hash is kept of any");
    let kept = oldest(&state, "c", id);
    let node = &mut started(&state, 1);
    is_refused(&post(node, "c", &id(0)));
    is_posted(&post(node, "c", &id(kept)), true);
    is_posted(&post(node, "c", &id(IDS)), false);
}
