//! Nothing crosses the node's edge before the sync that covers it, and nothing within waits for one.
//!
//! The journal is written through a file layer that takes 50 ms for a sync, can hold syncs back, and
//! notes which records each sync has made durable. There is no outbound HTTP yet, so that there is
//! none to look at.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caxton_client::{
    CaxtonClient, EventFilter, MailFilter,
    api::{AskedValue, EventBody, SendOptions},
};
use caxton_model::{MessageKey, Record};
use caxton_node::{
    File, Files, NodeOptions, RealFiles, StoreOptions,
    journal::{ShowFilter, show},
};
use serde_json::json;

use crate::harness::{Harness, PATIENCE, message, request};

const SYNC: Duration = Duration::from_millis(50);
const CLIENTS: u64 = 4;
const MESSAGES: u64 = 8;
const ROUNDS: u64 = 10_000;

/// What was seen, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// A sync has made all records up to this place durable.
    Synced(u64),
    /// A client was told that its message was accepted.
    Acknowledged(String),
    /// A client has the reply to its message.
    Replied(String),
    /// A watcher saw a message being sent.
    Streamed(MessageKey),
    /// A deployment was answered.
    Deployed(String),
}

#[derive(Default)]
struct Gate {
    held: bool,
    syncing: bool,
}

/// The disk: slow, held back or not, and watched.
#[derive(Default)]
struct SlowDisk {
    gate: Mutex<Gate>,
    changed: Condvar,
    syncs: AtomicU64,
    seen: Mutex<Vec<Seen>>,
}

impl SlowDisk {
    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }
    /// From here on no sync is begun, and none runs.
    fn hold(&self) {
        let mut gate = self.gate.lock().unwrap();
        gate.held = true;
        while gate.syncing {
            gate = self.changed.wait(gate).unwrap();
        }
    }
    fn release(&self) {
        self.gate.lock().unwrap().held = false;
        self.changed.notify_all();
    }
    fn begin_sync(&self) {
        let mut gate = self.gate.lock().unwrap();
        while gate.held {
            gate = self.changed.wait(gate).unwrap();
        }
        gate.syncing = true;
    }
    fn end_sync(&self) {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.gate.lock().unwrap().syncing = false;
        self.changed.notify_all();
    }
    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

struct SlowFiles(RealFiles, Arc<SlowDisk>);

struct SlowFile {
    file: Box<dyn File>,
    disk: Arc<SlowDisk>,
    /// The last record written and not yet synced; 0: none.
    written: AtomicU64,
}

impl SlowFiles {
    fn slow(&self, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(SlowFile {
            file,
            disk: Arc::clone(&self.1),
            written: AtomicU64::new(0),
        })
    }
}

impl Files for SlowFiles {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.slow(self.0.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.slow(self.0.create(name)?))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

impl File for SlowFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // A group's header, as `docs/specs/journal.md` has it.
        if bytes.starts_with(b"CXG1") {
            let records = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
            let first = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
            self.written
                .store(first + u64::from(records) - 1, Ordering::SeqCst);
        }
        self.file.write_at(bytes, offset)
    }
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.file.reserve(size)
    }
    fn cut(&self, size: u64) -> io::Result<()> {
        self.file.cut(size)
    }
    #[allow(clippy::disallowed_methods, reason = "it is the slow disk")]
    fn sync(&self) -> io::Result<()> {
        self.disk.begin_sync();
        std::thread::sleep(SYNC);
        self.file.sync()?;
        self.disk.end_sync();
        let place = self.written.swap(0, Ordering::SeqCst);
        if place > 0 {
            self.disk.note(Seen::Synced(place));
        }
        Ok(())
    }
}

/// A node whose journal is on that disk.
async fn start(data: &Path) -> (Harness, Arc<SlowDisk>) {
    let disk = Arc::new(SlowDisk::default());
    let of = Arc::clone(&disk);
    let store = StoreOptions {
        files: Arc::new(move |folder| Arc::new(SlowFiles(RealFiles::new(folder), Arc::clone(&of)))),
        ..StoreOptions::default()
    };
    let options = NodeOptions {
        data: Some(data.to_owned()),
        shards: 2,
        store,
        ..NodeOptions::default()
    };
    (Harness::of(options).await, disk)
}

async fn deploy(client: &CaxtonClient, disk: &SlowDisk, name: &str, guest: &str) {
    let mut asked = request(name, guest);
    asked
        .config
        .limits
        .insert("messages_per_second".to_owned(), AskedValue::Unlimited);
    client.deploy_agent(asked).await.unwrap();
    disk.note(Seen::Deployed(name.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_the_node_before_its_sync() {
    let home = tempfile::tempdir().unwrap();
    let (harness, disk) = start(home.path()).await;
    let client = harness.client();
    deploy(&client, &disk, "echo", "echo-c.wasm").await;
    let watching = client.events(&EventFilter::default(), None).await.unwrap();
    let expected = 2 * CLIENTS * MESSAGES;
    let watcher = tokio::spawn(watch(watching, expected, Arc::clone(&disk)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(talk(client.clone(), number, Arc::clone(&disk))))
        .collect();
    for task in clients {
        task.await.unwrap();
    }
    watcher.await.unwrap();
    harness.stop().await;
    let seen = disk.seen.lock().unwrap().clone();
    let places = Places::read(home.path());
    let (mut durable, mut looked_at) = (0, 0);
    for seen in &seen {
        match seen {
            Seen::Synced(place) => durable = *place,
            other => {
                let place = places.of(other);
                assert!(place <= durable, "{other:?} at {place}, durable {durable}");
                looked_at += 1;
            }
        }
    }
    let syncs = disk.syncs();
    println!("slow disk: {looked_at} things left the node, {syncs} syncs, none before its own");
    // A deployment, and for each message its acknowledgement, its reply, and both of them streamed.
    assert_eq!(looked_at, 1 + 4 * CLIENTS * MESSAGES);
}

/// Sends messages one after the other, and reads the reply to each.
async fn talk(client: CaxtonClient, number: u64, disk: Arc<SlowDisk>) {
    let name = format!("client-{number}");
    for n in 0..MESSAGES {
        let id = format!("{name}-{n}");
        let mut sent = message(&name, "echo", json!(n));
        sent.reply_with = Some(id.clone());
        let mut options = SendOptions {
            message_id: Some(id.clone()),
            wait_ms: None,
        };
        // Half of them wait in the same request, half read their mailbox.
        if n % 2 == 0 {
            options.wait_ms = Some(60_000);
            let answer = client.send_with(&sent, &options).await.unwrap();
            disk.note(Seen::Acknowledged(id.clone()));
            assert!(answer.reply.is_some());
        } else {
            client.send_with(&sent, &options).await.unwrap();
            disk.note(Seen::Acknowledged(id.clone()));
            let filter = MailFilter {
                receiver: Some(name.clone()),
                in_reply_to: Some(id.clone()),
                wait: Some(PATIENCE),
                ..MailFilter::default()
            };
            assert_eq!(client.messages(&filter).await.unwrap().len(), 1);
        }
        disk.note(Seen::Replied(id));
    }
}

async fn watch(mut stream: caxton_client::EventStream, count: u64, disk: Arc<SlowDisk>) {
    let mut seen = 0;
    while seen < count {
        let event = tokio::time::timeout(PATIENCE, stream.next());
        let event = event.await.expect("an event").expect("no end").unwrap();
        if let EventBody::Sent { id, .. } = event.body {
            disk.note(Seen::Streamed(id.parse().unwrap()));
            seen += 1;
        }
    }
}

/// Where in the journal everything stands.
#[derive(Default)]
struct Places {
    posted: BTreeMap<String, u64>,
    replied: BTreeMap<String, u64>,
    deployed: BTreeMap<String, u64>,
    by_record: BTreeMap<(u16, u64), u64>,
}

impl Places {
    fn read(data: &Path) -> Self {
        let mut places = Self::default();
        for found in show(data, ShowFilter::default()).unwrap() {
            let (place, entry) = found.unwrap();
            places.by_record.insert((entry.shard, entry.seq), place);
            match &entry.record {
                Record::Posted {
                    message_id: Some(id),
                    ..
                } => {
                    places.posted.insert(id.to_string(), place);
                }
                Record::Deployed { spec } => {
                    places.deployed.insert(spec.name.to_string(), place);
                }
                Record::Turn(turn) => {
                    for sent in &turn.sent {
                        if let Some(asked) = &sent.message.in_reply_to {
                            places.replied.insert(asked.to_string(), place);
                        }
                    }
                }
                _ => {}
            }
        }
        places
    }
    fn of(&self, seen: &Seen) -> u64 {
        match seen {
            Seen::Synced(place) => *place,
            Seen::Acknowledged(id) => self.posted[id],
            Seen::Replied(id) => self.replied[id],
            Seen::Streamed(key) => self.by_record[&(key.shard, key.seq)],
            Seen::Deployed(name) => self.deployed[name],
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_durable_agents_do_not_wait_for_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let (harness, disk) = start(home.path()).await;
    let client = harness.client();
    deploy(&client, &disk, "ping", "ping-c.wasm").await;
    deploy(&client, &disk, "pong", "pong-c.wasm").await;
    // Not one sync: still every round trip is done, and nobody outside has heard of any.
    disk.hold();
    let before = disk.syncs();
    let asked = tokio::spawn(play(client.clone()));
    let took = until_played(&client, ROUNDS).await;
    let during = disk.syncs() - before;
    println!("held disk: {ROUNDS} round trips in {took:?}, {during} syncs");
    assert_eq!(during, 0, "the disk was held");
    assert!(!asked.is_finished(), "acknowledged without a sync");
    disk.release();
    assert_eq!(asked.await.unwrap(), json!({ "result": "done" }));
    // At 50 ms a sync.
    let before = disk.syncs();
    let asked = tokio::spawn(play(client.clone()));
    let took = until_played(&client, 2 * ROUNDS).await;
    let during = disk.syncs() - before;
    println!("slow disk: {ROUNDS} round trips in {took:?}, {during} syncs of {SYNC:?}");
    // How long that takes is the machine's; that a sync covers many round trips is ours.
    assert!(during <= ROUNDS / 10, "{during} syncs");
    assert_eq!(asked.await.unwrap(), json!({ "result": "done" }));
    harness.stop().await;
}

/// Lets `ping` play with `pong`; its last word.
async fn play(client: CaxtonClient) -> serde_json::Value {
    let content = json!({ "to": "pong", "rounds": ROUNDS });
    let sent = message("me", "ping", content);
    let reply = client.send_message_and_wait(sent, PATIENCE).await.unwrap();
    reply.content
}

/// Waits until `pong` has given the ball back so often; how long that took.
async fn until_played(client: &CaxtonClient, rounds: u64) -> Duration {
    let begun = Instant::now();
    loop {
        // Its init is a turn, too.
        let turns = client.agent("pong").await.unwrap().counters.turns;
        if turns > rounds {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "{turns} turns");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
