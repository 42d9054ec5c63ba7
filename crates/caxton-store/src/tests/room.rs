//! A checkpoint on a disk without room, while the journal has some.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use caxton_model::{AgentId, StateWrite};

use super::sample::{deployed, turn};
use crate::{FaultyFiles, Health, Store, StoreOptions};

const PATIENCE: Duration = Duration::from_secs(60);
const AGENT: AgentId = AgentId(100);

/// A small disk of its own, in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it; only root may.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "caxton-test"])
            .arg(at)
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        let block = vec![0; 4 << 10];
        let error = loop {
            if let Err(error) = file.write_all(&block) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "in CI nothing may be left out in silence"
)]
fn in_ci() -> bool {
    std::env::var_os("CI").is_some()
}

fn stored(key: &str, value: &[u8]) -> Vec<StateWrite> {
    vec![StateWrite {
        key: key.as_bytes().into(),
        value: Some(value.into()),
    }]
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_checkpoint_without_room_is_read_on_and_turns_stop_until_there_is_some() {
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&home.path().join("disk")) else {
        println!("NOT tested: a full disk (mounting a small one is for root)");
        assert!(!in_ci(), "CI runs as root, so that this can be tested");
        return;
    };
    let files = FaultyFiles::default();
    let options = StoreOptions {
        segment_bytes: 4 << 20,
        checkpoint_every: Duration::from_millis(5),
        files: Arc::new(move |_| Arc::new(files.clone())),
        ..StoreOptions::default()
    };
    let (store, _) = Store::open(&disk.0.join("data"), options).unwrap();
    let append = |seq, key: &str, value: &[u8]| {
        store.append(Arc::new(turn(0, seq, AGENT.0, stored(key, value))));
    };
    store.append(Arc::new(deployed(0, 1, AGENT.0)));
    append(2, "count", b"60");
    until("no checkpoint came", || store.checkpointed_place() == 2);

    let filler = disk.fill();
    let large = vec![7; 1 << 20];
    append(3, "large", &large);
    let failures = || store.metrics().checkpoint_failures;
    until("no checkpoint failed", || failures() > 0);
    // While it is tried again, and more comes that was decided before.
    for seq in 4..10 {
        append(seq, "later", &seq.to_le_bytes());
        let before = failures();
        until("it is not tried again", || {
            assert_eq!(store.read(AGENT, b"count").unwrap().unwrap(), b"60");
            assert_eq!(store.health(), Health::Full);
            assert!(!store.takes_turns());
            failures() > before + 1
        });
    }

    fs::remove_file(filler).unwrap();
    until("turns do not go on", || store.takes_turns());
    assert_eq!(store.health(), Health::Good);
    until("it is not written", || store.checkpointed_place() == 9);
    assert_eq!(store.read(AGENT, b"count").unwrap().unwrap(), b"60");
    assert_eq!(store.read(AGENT, b"large").unwrap().unwrap(), large);
    assert_eq!(store.failed(), None);
    store.close();
}
