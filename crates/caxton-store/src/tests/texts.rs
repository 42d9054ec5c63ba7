//! A message is stored once, and is one in memory after a start.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use caxton_model::*;

use super::sample::{Random, World, assert_same_state, deployed};
use crate::{
    Store, StoreOptions,
    checkpoint::{CheckpointError, Loading, Table},
    follower::Follower,
    meta::Meta,
    texts::Texts,
};

/// A message for one agent and so many names that nobody has.
fn posted(seq: u64, nobodies: u32, bytes: usize) -> Entry {
    let content = format!("{seq}{}", "x".repeat(bytes));
    let fields = Fields::new(Performative::Inform, "c", "agent-1", &content.into());
    let dead = (0..nobodies).map(|n| Destination::Dead {
        intended: format!("nobody-{n}").into(),
        code: ErrorCode::NotFound,
        reason: "there is no such agent".to_owned(),
    });
    let sent = vec![Sent {
        message: fields.seal(),
        to: [Destination::Agent(AgentId(1))]
            .into_iter()
            .chain(dead)
            .collect(),
    }];
    Entry {
        shard: 0,
        seq,
        at: Timestamp(1_700_000_000_000_000 + i64::try_from(seq).unwrap()),
        record: Record::Posted {
            client: "c".into(),
            message_id: None,
            sent,
        },
    }
}

fn dropped(seq: u64, keys: Vec<MessageKey>) -> Entry {
    Entry {
        record: Record::DeadLettersTaken {
            keys,
            sent: Vec::new(),
        },
        ..posted(seq, 0, 0)
    }
}

/// What messages and accounts of a state take. Unit: bytes.
fn held(state: &State) -> u64 {
    let mail = state.agents.values().flat_map(|agent| &agent.mailbox);
    let replies = state.clients.values().flat_map(|client| client.replies());
    let mail = mail
        .chain(replies)
        .chain(state.held.iter().map(|(_, mail)| mail));
    let lines = state.conversations.values().flat_map(|c| &c.lines);
    let messages = mail
        .map(|mail| &mail.message)
        .chain(lines.filter_map(|line| line.message.as_ref()))
        .chain(state.dead.values().map(|letter| &letter.message))
        .chain(state.posts.values().map(|seen| &seen.message))
        .chain(state.open.values().map(|request| &request.message));
    let once: HashMap<usize, u64> = messages
        .map(|message| (message.address(), message.memory_bytes()))
        .collect();
    let accounts: u64 = state
        .ledger
        .accounts()
        .map(|(_, account)| account.used())
        .sum();
    once.values().sum::<u64>() + accounts
}

/// A checkpoint's parts, and how far they go.
#[derive(Default, Clone)]
struct Image {
    parts: BTreeMap<Vec<u8>, Vec<u8>>,
    meta: Option<Meta>,
}

/// Writes what changed into an image of a checkpoint, or fails behind it.
fn write(follower: &mut Follower, image: &mut Image, fails: bool) {
    let mut next = image.clone();
    let written = follower.write_with(|changes| {
        changes.each(&mut |table, key, value| {
            assert_eq!(table, Table::Parts);
            match value {
                Some(value) => next.parts.insert(key, value.to_vec()),
                None => next.parts.remove(&key),
            };
        })?;
        if fails {
            Err(CheckpointError::Closed)
        } else {
            Ok(())
        }
    });
    assert_eq!(written.is_err(), fails);
    if let Ok(meta) = written {
        next.meta = Some(meta);
        *image = next;
    }
}

fn read(image: &Image) -> (State, Texts) {
    let mut loading = Loading::default();
    for (key, value) in &image.parts {
        loading.take(key, value).unwrap();
    }
    loading.finish(image.meta.clone()).unwrap()
}

fn bytes(image: &Image) -> usize {
    image.parts.values().map(Vec::len).sum()
}

#[test]
fn a_message_that_many_did_not_get_stands_in_a_checkpoint_once() {
    let mut follower = Follower::new(State::tracked(), Texts::default(), 0, [0; 32]);
    let mut image = Image::default();
    follower.apply(&deployed(0, 1, 1));
    for seq in 2..10 {
        follower.apply(&posted(seq, 90, 100_000));
    }
    // An attempt that fails leaves nothing that the next one would count on.
    write(&mut follower, &mut image, true);
    write(&mut follower, &mut image, false);
    let size = bytes(&image);
    assert!((800_000..1_200_000).contains(&size), "{size}");
    let (state, texts) = read(&image);
    assert_same_state(&state, &follower.state);
    assert!(held(&state) <= held(&follower.state), "after a start");

    // What nobody refers to any more goes, also after a start.
    let mut follower = Follower::new(state, texts, 9, [0; 32]);
    let keys: Vec<MessageKey> = follower.state.dead.keys().copied().collect();
    follower.apply(&dropped(10, keys));
    follower.apply(&Entry {
        record: Record::Removed {
            agent: AgentId(1),
            sent: Vec::new(),
        },
        ..dropped(11, Vec::new())
    });
    for key in follower
        .state
        .held
        .iter()
        .map(|(_, mail)| mail.key)
        .collect::<Vec<_>>()
    {
        let (agent, sent) = (AgentId(1), Vec::new());
        follower.apply(&Entry {
            record: Record::Refused { agent, key, sent },
            ..dropped(12, Vec::new())
        });
    }
    write(&mut follower, &mut image, true);
    write(&mut follower, &mut image, false);
    assert!(bytes(&image) < 10_000, "{}", bytes(&image));
    assert_same_state(&read(&image).0, &follower.state);
}

fn open(dir: &Path) -> State {
    let (store, recovered) = Store::open(dir, StoreOptions::default()).unwrap();
    store.close();
    recovered.state
}

#[test]
fn memory_after_a_start_is_not_above_what_it_was_whatever_the_history() {
    for seed in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let mut state = State::default();
        let mut world = World::new(seed);
        let mut random = Random(seed);
        for n in 0..200 {
            let entry = match random.below(3) {
                0 => Arc::new(posted(1_000_000 + n, 20, 20_000)),
                _ => world.step(),
            };
            state.replay(&entry);
            store.append(entry);
        }
        store.close();
        drop(store);
        let before = held(&state);
        let from_checkpoint = held(&open(dir.path()));
        assert!(
            from_checkpoint * 10 <= before * 12,
            "{from_checkpoint} {before}"
        );
        std::fs::remove_dir_all(dir.path().join("checkpoint")).unwrap();
        let from_journal = held(&open(dir.path()));
        assert!(from_journal * 10 <= before * 12, "{from_journal} {before}");
    }
}
