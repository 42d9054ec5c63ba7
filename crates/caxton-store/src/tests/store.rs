//! The store in a real directory: recovery, checkpoints, retention, locks.

use std::{
    path::Path,
    sync::{Arc, mpsc::channel},
    time::{Duration, Instant},
};

use caxton_model::{AgentId, ErrorCode, State};

use super::sample::{
    Random, World, assert_same_state, deployed, turn, usual_turn, verified, write,
};
use crate::{
    Batch, Health, OpenError, Recovered, ShowFilter, Store, StoreFailed, StoreOptions, show,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> StoreOptions {
    StoreOptions {
        segment_bytes: 64 << 10,
        checkpoint_every: Duration::from_millis(20),
        ..StoreOptions::default()
    }
}

fn open(dir: &Path) -> (Store, Recovered) {
    Store::open(dir, options()).unwrap()
}

fn wait_durable(store: &Store) {
    let (tell, told) = channel();
    store.notify(move |result| tell.send(result).unwrap());
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(())));
}

fn wait_checkpoint(store: &Store, place: u64) {
    let until = Instant::now() + PATIENCE;
    while store.checkpointed_place() < place {
        assert!(Instant::now() < until, "no checkpoint came");
        std::thread::yield_now();
    }
}

/// What a process killed now leaves behind.
fn killed(dir: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else if entry.file_name() != "lock" {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let after = tempfile::tempdir().unwrap();
    copy(dir, after.path());
    after
}

fn assert_values(store: &Store, world: &World) {
    for ((agent, key), value) in &world.values {
        assert_eq!(store.read(*agent, key).unwrap().as_ref(), Some(value));
    }
    for id in 100..200 {
        let agent = AgentId(id);
        let keys = store.keys(agent, None, usize::MAX).unwrap();
        let expected: Vec<_> = world
            .values
            .range((agent, Vec::new())..(AgentId(id + 1), Vec::new()))
            .map(|((_, key), value)| (key.clone(), value.len() as u64))
            .collect();
        let found: Vec<_> = keys.into_iter().map(|key| (key.key, key.bytes)).collect();
        assert_eq!(found, expected, "{agent}");
    }
}

/// Whatever was decided, and wherever the checkpoint stands: what is recovered is what was.
#[test]
fn recovery_gives_the_state_that_was() {
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(1_000 + seed);
        let mut random = Random(seed);
        for round in 0..3 {
            let (store, recovered) = open(dir.path());
            assert_same_state(&recovered.state, &world.state);
            assert_values(&store, &world);
            let count = random.below(150);
            for _ in 0..count {
                store.append(world.step());
                if random.one_in(40) {
                    // The place of a checkpoint among the records is chance.
                    wait_durable(&store);
                    wait_checkpoint(&store, recovered.place + 1);
                }
            }
            wait_durable(&store);
            if round == 1 {
                // Killed: the copy is opened without a last checkpoint.
                let after = killed(dir.path());
                let (again, recovered) = open(after.path());
                assert_same_state(&recovered.state, &world.state);
                assert_values(&again, &world);
            }
            store.close();
        }
        assert!(verified(dir.path()).is_good());
    }
}

#[test]
fn a_closed_store_needs_no_replay_and_has_its_counters() {
    let dir = tempfile::tempdir().unwrap();
    let (store, recovered) = open(dir.path());
    assert_eq!((recovered.place, recovered.replayed), (0, 0));
    store.append(Arc::new(deployed(3, 1, 7)));
    store.append(Arc::new(turn(3, 2, 7, vec![write("k", "v")])));
    wait_durable(&store);
    store.close();
    let (store, recovered) = open(dir.path());
    assert_eq!((recovered.place, recovered.replayed), (2, 0));
    assert_eq!(recovered.state.seqs.get(&3), Some(&2));
    assert_eq!(
        (store.checkpointed_place(), store.checkpointed_seq(3)),
        (2, 2)
    );
    assert_eq!(store.read(AgentId(7), b"k").unwrap(), Some(b"v".to_vec()));
    assert_eq!((store.health(), store.takes_turns()), (Health::Good, true));
}

#[test]
fn a_batch_keeps_its_order_and_a_closed_store_takes_none() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let store = Arc::new(store);
    let (tell, told) = channel();
    let mut batch = Batch::default();
    batch.append(Arc::new(deployed(0, 1, 7)));
    for (number, seq) in [(1, 2), (2, 3)] {
        let (tell, store) = (tell.clone(), Arc::clone(&store));
        batch.notify(move |result| {
            let durable = store.metrics().durable_place;
            tell.send((number, result.is_ok() && durable + 1 >= seq))
                .unwrap();
        });
        batch.append(Arc::new(turn(0, seq, 7, vec![write("k", "v")])));
    }
    store.give(&mut batch);
    store.wake();
    assert!(batch.is_empty());
    assert_eq!(told.recv().unwrap(), (1, true));
    assert_eq!(told.recv().unwrap(), (2, true));
    wait_durable(&store);
    assert_eq!(store.metrics().place, 3);
    store.close();
    batch.append(Arc::new(turn(0, 4, 7, vec![write("k", "late")])));
    batch.notify(move |result| tell.send((3, result == Err(StoreFailed::Closed))).unwrap());
    store.give(&mut batch);
    store.wake();
    assert!(batch.is_empty());
    assert_eq!(told.recv().unwrap(), (3, true));
    let (store, recovered) = open(dir.path());
    assert_eq!(recovered.place, 3);
    assert_eq!(store.read(AgentId(7), b"k").unwrap(), Some(b"v".to_vec()));
}

#[test]
fn an_overlay_may_forget_what_the_checkpoint_has() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.append(Arc::new(deployed(0, 1, 7)));
    for seq in 2..=400 {
        let value = format!("{seq}");
        store.append(Arc::new(turn(0, seq, 7, vec![write("last", &value)])));
        let seen = store.checkpointed_seq(0);
        if seen > 1 {
            // At least as new as what was said to be there.
            let read = store.read(AgentId(7), b"last").unwrap().unwrap();
            let read: u64 = String::from_utf8(read).unwrap().parse().unwrap();
            assert!(read >= seen, "{read} < {seen}");
        }
        if seq % 50 == 0 {
            wait_durable(&store);
            wait_checkpoint(&store, seq);
        }
    }
}

#[test]
fn keys_come_in_order_and_in_pages() {
    for store in [
        open(tempfile::tempdir().unwrap().path()).0,
        Store::in_memory(),
    ] {
        store.append(Arc::new(deployed(0, 1, 7)));
        store.append(Arc::new(deployed(0, 2, 8)));
        let writes = (0..25).map(|n| write(&format!("k{n:02}"), "v")).collect();
        store.append(Arc::new(turn(0, 3, 7, writes)));
        store.append(Arc::new(turn(0, 4, 8, vec![write("other", "v")])));
        wait_durable(&store);
        wait_checkpoint(&store, 4);
        let (mut all, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let page = store.keys(AgentId(7), after.as_deref(), 10).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            all.extend(page);
        }
        assert_eq!(all.len(), 25);
        assert!(all.is_sorted_by(|a, b| a.key < b.key));
        assert_eq!(store.keys(AgentId(8), None, 10).unwrap().len(), 1);
    }
}

#[test]
fn a_second_node_on_one_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DirectoryLocked);
    let pid = std::process::id().to_string();
    assert!(error.to_string().contains(&pid), "{error}");
    assert!(error.to_string().contains("stop it"), "{error}");
    store.close();
    drop(open(dir.path()));
}

#[test]
fn a_lost_or_damaged_checkpoint_is_rebuilt_while_the_journal_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(77);
    let (store, _) = open(dir.path());
    for _ in 0..300 {
        store.append(world.step());
    }
    store.close();
    let checkpoint = dir.path().join("checkpoint");
    std::fs::remove_dir_all(&checkpoint).unwrap();
    let (store, recovered) = open(dir.path());
    assert_same_state(&recovered.state, &world.state);
    assert_values(&store, &world);
    assert_eq!(recovered.replayed, 300);
    store.close();
    // Every file of it is overwritten.
    for entry in std::fs::read_dir(&checkpoint).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(path, b"not what it was").unwrap();
        }
    }
    let (store, recovered) = open(dir.path());
    assert_same_state(&recovered.state, &world.state);
    assert_values(&store, &world);
    assert!(
        recovered.notices[0].contains("rebuilt"),
        "{:?}",
        recovered.notices
    );
}

/// The checkpoint is a cache: no bit of it can change what is recovered.
#[test]
fn a_flipped_bit_in_the_checkpoint_is_found_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(78);
    let (store, _) = open(dir.path());
    for count in 1..=400 {
        store.append(world.step());
        if count % 100 == 0 {
            wait_durable(&store);
            wait_checkpoint(&store, count);
        }
    }
    store.close();
    let mut random = Random(6);
    let mut rebuilt = 0;
    for _ in 0..60 {
        let copy = killed(dir.path());
        let mut files = Vec::new();
        let mut folders = vec![copy.path().join("checkpoint")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match std::fs::read(&path) {
                    Ok(bytes) if bytes.iter().any(|byte| *byte != 0) => files.push((path, bytes)),
                    Ok(_) => {}
                    Err(_) => folders.push(path),
                }
            }
        }
        files.sort_unstable();
        let at = random.below(files.len() as u64) as usize;
        let (path, bytes) = &mut files[at];
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        let flipped = random.below(used + 1) as usize;
        bytes[flipped] ^= 1 << random.below(8);
        std::fs::write(&*path, bytes).unwrap();
        let (store, recovered) = Store::open(copy.path(), options())
            .unwrap_or_else(|error| panic!("{} byte {flipped}: {error}", path.display()));
        rebuilt += usize::from(!recovered.notices.is_empty());
        assert_same_state(&recovered.state, &world.state);
        assert_values(&store, &world);
    }
    assert!(rebuilt > 0);
}

#[test]
fn the_last_handle_may_go_on_the_stores_own_thread() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()).0);
    let (tell, told) = channel();
    let handle = Arc::clone(&store);
    store.append(Arc::new(usual_turn(1)));
    store.notify(move |result| {
        drop(handle);
        tell.send(result).unwrap();
    });
    drop(store);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(())));
}

#[test]
fn old_segments_go_only_behind_the_checkpoint_and_then_the_checkpoint_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let few = StoreOptions {
        journal_bytes_max: 200 << 10,
        ..options()
    };
    let (store, _) = Store::open(dir.path(), few.clone()).unwrap();
    let mut world = World::new(5);
    let mut state = State::tracked();
    for round in 0..40 {
        for seq in 0..50 {
            let entry = Arc::new(usual_turn(round * 50 + seq + 1));
            state.replay(&entry);
            store.append(entry);
        }
        wait_durable(&store);
        wait_checkpoint(&store, (round + 1) * 50);
    }
    let metrics = store.metrics();
    assert!(
        metrics.journal_bytes <= (200 << 10) + (128 << 10),
        "{metrics:?}"
    );
    assert!(metrics.segments >= 2, "{metrics:?}");
    store.close();
    let report = verified(dir.path());
    assert!(report.is_good() && report.begins > 1_000, "{report:?}");
    let (store, recovered) = Store::open(dir.path(), few).unwrap();
    assert_eq!(recovered.place, 2_000);
    assert_same_state(&recovered.state, &state);
    store.append(world.step());
    store.close();
    std::fs::remove_dir_all(dir.path().join("checkpoint")).unwrap();
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::CheckpointLost { .. }), "{error}");
    assert!(error.to_string().contains("Restore"), "{error}");
}

#[test]
fn damage_refuses_the_start_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for seq in 1..=100 {
        store.append(Arc::new(usual_turn(seq)));
    }
    store.close();
    let path = dir.path().join("journal/0000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5_000] ^= 4;
    std::fs::write(&path, &bytes).unwrap();
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::JournalDamaged);
    let text = error.to_string();
    for part in [
        "0000000001.seg",
        "byte ",
        "place ",
        "caxton journal verify",
        "copy",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let report = verified(dir.path());
    assert!(!report.is_good());
    // What stands before it can still be shown; then the damage, once.
    let shown: Vec<_> = show(dir.path(), ShowFilter::default()).unwrap().collect();
    let (last, before) = shown.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok));
    assert!(matches!(last, Err(OpenError::Damaged(_))), "{last:?}");
}

#[test]
fn a_torn_tail_is_cut_off_and_said() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for seq in 1..=20 {
        store.append(Arc::new(usual_turn(seq)));
    }
    store.close();
    let path = dir.path().join("journal/0000000001.seg");
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(end as u64)).unwrap();
    file.write_all(b"CXG1 half a group").unwrap();
    let (store, recovered) = open(dir.path());
    let torn = recovered.torn.unwrap();
    assert_eq!((torn.place, torn.offset, torn.bytes), (20, end as u64, 17));
    assert_eq!(recovered.place, 20);
    store.append(Arc::new(usual_turn(21)));
    store.close();
    assert_eq!(open(dir.path()).1.torn, None);
    assert_eq!(verified(dir.path()).place, 21);
}

#[test]
fn old_segments_beyond_the_quick_check_are_checked_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for seq in 1..=1_000 {
        store.append(Arc::new(usual_turn(seq)));
        if seq % 50 == 0 {
            wait_durable(&store);
        }
    }
    store.close();
    let path = dir.path().join("journal/0000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let quick = StoreOptions {
        open_check_bytes: 0,
        ..options()
    };
    let (store, recovered) = Store::open(dir.path(), quick).unwrap();
    assert_eq!(recovered.place, 1_000);
    let until = Instant::now() + PATIENCE;
    let damage = loop {
        if let Some(damage) = store.damage() {
            break damage;
        }
        assert!(Instant::now() < until, "it was not found");
        std::thread::yield_now();
    };
    assert!(damage.contains("0000000001.seg"), "{damage}");
}

#[test]
fn show_selects_by_place_agent_kind_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut world = World::new(9);
    let entries: Vec<_> = (0..500).map(|_| world.step()).collect();
    for entry in &entries {
        store.append(Arc::clone(entry));
    }
    wait_durable(&store);
    // The node runs meanwhile.
    let places = |filter: ShowFilter| -> Vec<u64> {
        show(dir.path(), filter)
            .unwrap()
            .map(|found| {
                let (place, entry) = found.unwrap();
                assert_eq!(entry, *entries[place as usize - 1]);
                place
            })
            .collect()
    };
    let all = ShowFilter::default();
    assert_eq!(places(all.clone()), (1..=500).collect::<Vec<_>>());
    let some = ShowFilter {
        from: 100,
        to: 110,
        ..all.clone()
    };
    assert_eq!(places(some), (100..=110).collect::<Vec<_>>());
    let kind = ShowFilter {
        kind: Some("removed".to_owned()),
        limit: 2,
        ..all.clone()
    };
    assert_eq!(places(kind).len(), 2);
    let agent = AgentId(101);
    let about = places(ShowFilter {
        agent: Some(agent),
        ..all
    });
    assert!(!about.is_empty() && about.len() < 500);
    assert!(verified(dir.path()).is_good());
}

#[test]
fn a_memory_store_tells_at_once_and_reads_what_was_written() {
    let store = Store::in_memory();
    store.append(Arc::new(deployed(0, 1, 7)));
    store.append(Arc::new(turn(0, 2, 7, vec![write("k", "v")])));
    let (tell, told) = channel();
    store.notify(move |result| tell.send(result).unwrap());
    assert_eq!(told.try_recv(), Ok(Ok(())));
    assert_eq!(store.read(AgentId(7), b"k").unwrap(), Some(b"v".to_vec()));
    assert_eq!(
        (store.checkpointed_seq(0), store.checkpointed_place()),
        (2, 2)
    );
    store.close();
}

#[test]
fn ten_thousand_agents_are_opened_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for id in 1..=10_000 {
        store.append(Arc::new(deployed(0, id, id)));
    }
    store.close();
    let start = Instant::now();
    let (_store, recovered) = open(dir.path());
    println!("10,000 agents opened in {:?}", start.elapsed());
    assert_eq!(recovered.state.agents.len(), 10_000);
}
