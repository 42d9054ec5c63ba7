//! A node whose disk is full, torn, flipped or failing: it says so, and what it acknowledged stays.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caxton_client::{
    AgentConfig, CaxtonClient, ClientError, DeployAgentRequest, FipaMessage, api::AskedValue,
};

use crate::{
    command::{caxton, guest},
    node::{NodeProcess, up},
    preload::library,
};

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

async fn deploy_counter(client: &CaxtonClient) {
    let mut config = AgentConfig {
        name: "counter".to_owned(),
        ..AgentConfig::default()
    };
    config
        .limits
        .insert("messages_per_second".to_owned(), AskedValue::Unlimited);
    let request = DeployAgentRequest {
        wasm_module: fs::read(guest("counter-c")).unwrap(),
        config,
    };
    client.deploy_agent(request).await.unwrap();
}

fn request(pad_bytes: usize) -> FipaMessage {
    FipaMessage {
        performative: "request".to_owned(),
        sender: "load".to_owned(),
        receiver: "counter".into(),
        content: serde_json::json!({ "count": true, "pad": "x".repeat(pad_bytes) }),
        ..FipaMessage::default()
    }
}

async fn send(client: &CaxtonClient, pad_bytes: usize) -> Result<(), ClientError> {
    client.send_message(request(pad_bytes)).await.map(drop)
}

async fn count(client: &CaxtonClient) -> u64 {
    let value = client.agent_state_value("counter", "count").await;
    let digits = String::from_utf8(value.unwrap_or_default()).unwrap();
    digits.parse().unwrap_or(0)
}

/// Waits until the agent has counted so many, and no more. One that found the mailbox full only when
/// it got there is a dead letter, and so not lost.
async fn counts(client: &CaxtonClient, expected: u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let letters = client.dead_letters().await.unwrap();
        let codes: Vec<&str> = letters.iter().map(|letter| letter.code.as_str()).collect();
        let returned = codes.iter().filter(|code| **code == "queue-full").count() as u64;
        let counted = count(client).await;
        if counted + returned == expected {
            return;
        }
        assert!(
            counted + returned < expected && Instant::now() < until,
            "{counted} instead of {expected}, dead letters {codes:?}: {:#?}",
            client.agent("counter").await
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until no mail is left of what was there when the node was started.
async fn works_off_its_mail(client: &CaxtonClient) {
    let until = Instant::now() + PATIENCE;
    loop {
        let agent = client.agent("counter").await.unwrap();
        if agent.agent.mailbox.messages == 0 {
            return;
        }
        assert!(Instant::now() < until, "mail is left: {agent:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A small disk of its own, in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it; only root may.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "caxton-test"])
            .arg(at)
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A node that is still ending may hold it; it goes when that has ended.
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

/// Takes all the room that is left.
fn fill(path: &Path) -> u64 {
    let mut file = File::create(path).unwrap();
    let (mut bytes, block) = (0, vec![0; 64 << 10]);
    loop {
        match file.write(&block) {
            Ok(written) => bytes += written as u64,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
                return bytes;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_turns_loses_nothing_and_ends_when_there_is_room() {
    let home = tempfile::tempdir().unwrap();
    let mount = home.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&mount, "220m") else {
        println!("NOT tested: a full disk (mounting a small one is for root)");
        assert!(!in_ci(), "CI runs as root, so that this can be tested");
        return;
    };
    let data = mount.join("data");
    fs::create_dir(&data).unwrap();
    let node = NodeProcess::start_in(&data, &[]);
    let client = node.client();
    deploy_counter(&client).await;
    send(&client, 0).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(1));
    let enough = Arc::new(AtomicBool::new(false));
    let filler = mount.join("filler");
    let filled = fill(&filler);
    #[allow(clippy::disallowed_methods, reason = "a test's sender, joined below")]
    let load = tokio::spawn(load_until_refused(
        client.clone(),
        Arc::clone(&acknowledged),
        Arc::clone(&enough),
    ));
    let refused = refused_for_want_of_room(&client).await;
    println!(
        "full: {filled} bytes of filler, {} acknowledged until then",
        acknowledged.load(Ordering::SeqCst)
    );
    assert!(refused.remedy.contains("room"), "{refused:?}");
    // It still answers what needs no room.
    assert_eq!(client.agent("counter").await.unwrap().agent.name, "counter");
    enough.store(true, Ordering::SeqCst);
    fs::remove_file(&filler).unwrap();
    let until = Instant::now() + PATIENCE;
    while let Err(error) = send(&client, 0).await {
        let problem = error.problem().expect("a problem");
        assert_eq!(problem.code, "disk-full");
        assert!(Instant::now() < until, "it does not go on: {problem}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One that was on its way when the disk became full was kept, and is acknowledged now.
    load.await.unwrap();
    let expected = acknowledged.load(Ordering::SeqCst) + 1;
    counts(&client, expected).await;
    node.kill();
    let node = NodeProcess::start_in(&data, &[]);
    counts(&node.client(), expected).await;
}

/// Sends large messages until the node says that it has no room for more.
async fn load_until_refused(
    client: CaxtonClient,
    acknowledged: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
) {
    while !enough.load(Ordering::SeqCst) {
        match send(&client, 900 << 10).await {
            Ok(()) => {
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => match error.problem().map(|problem| problem.status) {
                Some(503) => return,
                Some(429) => tokio::time::sleep(Duration::from_millis(10)).await,
                _ => panic!("{error}"),
            },
        }
    }
}

/// Waits until the node says that it is not ready; what it answers to a message then.
async fn refused_for_want_of_room(client: &CaxtonClient) -> caxton_client::api::Problem {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Err(error) = client.health_ready().await {
            let problem = error.problem().expect("a problem");
            let found = (problem.status, problem.code.as_str());
            assert_eq!(found, (503, "disk-full"));
            break;
        }
        assert!(Instant::now() < until, "the disk is never full");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = send(client, 0).await.unwrap_err();
    let problem = error.problem().expect("a problem").clone();
    assert_eq!((problem.status, problem.code.as_str()), (503, "disk-full"));
    problem
}

/// Where the journal's head says that the last group ends: segment, offset, place.
fn head(data: &Path) -> (u64, u64, u64) {
    let bytes = fs::read(data.join("journal/head")).unwrap();
    let at = |offset: usize| u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap());
    let slot = if at(48) > at(4_096 + 48) { 0 } else { 4_096 };
    (at(slot + 88), at(slot + 96), at(slot + 48))
}

fn segment(data: &Path, number: u64) -> PathBuf {
    data.join(format!("journal/{number:010}.seg"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_last_record_is_cut_off_and_one_that_was_acknowledged_is_missed() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    let node = NodeProcess::start_in(&data, &[]);
    deploy_counter(&node.client()).await;
    for _ in 0..5 {
        send(&node.client(), 0).await.unwrap();
    }
    counts(&node.client(), 5).await;
    node.kill();
    // As the power leaves it in the middle of a write: the beginning of a group that nobody was told
    // of, behind the last one that was.
    let (number, offset, _) = head(&data);
    let path = segment(&data, number);
    let bytes = fs::read(&path).unwrap();
    let torn = &bytes[128..328];
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(torn, offset).unwrap();
    let said = home.path().join("said");
    let node = NodeProcess::start_said(&data, &said);
    let text = fs::read_to_string(&said).unwrap();
    assert!(text.contains("half-written end was cut off"), "{text}");
    counts(&node.client(), 5).await;
    send(&node.client(), 0).await.unwrap();
    counts(&node.client(), 6).await;
    node.kill();
    // A cut into what was acknowledged, by a byte or by a whole group, is none of that.
    let (number, offset, place) = head(&data);
    let path = segment(&data, number);
    let whole = fs::read(&path).unwrap();
    for cut in [1, 40, 400] {
        let left = usize::try_from(offset).unwrap() - cut;
        fs::write(&path, &whole[..left]).unwrap();
        let shown = data.display().to_string();
        caxton(&["up", "--listen", "127.0.0.1:0", "--data", &shown]).fails(
            1,
            &["the journal is damaged", "place", "Nothing was changed"],
        );
        assert_eq!(fs::read(&path).unwrap(), whole[..left], "it was changed");
        assert_eq!(head(&data), (number, offset, place));
    }
    fs::write(&path, &whole).unwrap();
    let node = NodeProcess::start_in(&data, &[]);
    counts(&node.client(), 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bits_in_the_cache_are_found_and_the_module_is_compiled_again() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    let node = NodeProcess::start_in(&data, &[]);
    deploy_counter(&node.client()).await;
    node.kill();
    let entry = fs::read_dir(data.join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "cwasm"))
        .expect("a compiled module");
    let whole = fs::read(&entry).unwrap();
    // In the MAC, at the code's beginning, in its middle, in its last byte; and a half-written one.
    let flips = [0, 31, 32, whole.len() / 2, whole.len() - 1];
    for (sent, flip) in flips.into_iter().map(Some).chain([None]).enumerate() {
        let mut bytes = whole.clone();
        match flip {
            Some(at) => bytes[at] ^= 1 << (at % 8),
            None => bytes.truncate(whole.len() / 3),
        }
        fs::write(&entry, &bytes).unwrap();
        let said = home.path().join("said");
        let node = NodeProcess::start_said(&data, &said);
        send(&node.client(), 0).await.unwrap();
        counts(&node.client(), sent as u64 + 1).await;
        let text = fs::read_to_string(&said).unwrap();
        assert!(text.contains("it is compiled again"), "{flip:?}: {text}");
        assert_eq!(fs::read(&entry).unwrap().len(), whole.len(), "{flip:?}");
        node.kill();
    }
    let said = home.path().join("said");
    let node = NodeProcess::start_said(&data, &said);
    send(&node.client(), 0).await.unwrap();
    counts(&node.client(), 7).await;
    let text = fs::read_to_string(&said).unwrap();
    assert!(
        !text.contains("compiled again"),
        "a good one is used: {text}"
    );
}

/// A library that fails every sync once a file is there.
const FAILING_SYNC: &str = r#"
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fdatasync(int file) {
    const char *failing = getenv("TEST_SYNC_FAILS");
    if (failing && access(failing, F_OK) == 0) { errno = EIO; return -1; }
    return syscall(SYS_fdatasync, file);
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_process_and_a_restart_has_all_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    let (said, failing) = (home.path().join("said"), home.path().join("failing"));
    let mut command = up(&data);
    command
        .env("LD_PRELOAD", library(home.path(), FAILING_SYNC))
        .env("TEST_SYNC_FAILS", &failing)
        .stderr(File::create(&said).unwrap());
    let node = NodeProcess::start_by(&mut command, &data);
    let client = node.client();
    deploy_counter(&client).await;
    for _ in 0..5 {
        send(&client, 0).await.unwrap();
    }
    counts(&client, 5).await;
    File::create(&failing).unwrap();
    // Nobody is told that these are durable: they are refused, or the connection ends.
    let mut unknown = 0;
    for _ in 0..3 {
        match send(&client, 0).await {
            Ok(()) => panic!("acknowledged without its sync"),
            Err(ClientError::Refused(problem)) => assert!(problem.status >= 500, "{problem}"),
            Err(_) => unknown += 1,
        }
    }
    assert_eq!(node.ended(), 70);
    let text = fs::read_to_string(&said).unwrap();
    assert!(text.contains("syncing journal/"), "{text}");
    assert!(text.contains("ending the process to recover"), "{text}");
    let node = NodeProcess::start_in(&data, &[]);
    // Mail that was accepted and not yet handled is handled now, though nobody asks.
    works_off_its_mail(&node.client()).await;
    let counted = count(&node.client()).await;
    assert!(
        (5..=5 + 3).contains(&counted),
        "{counted}, {unknown} unknown"
    );
    send(&node.client(), 0).await.unwrap();
    counts(&node.client(), counted + 1).await;
}
