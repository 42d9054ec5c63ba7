//! The machine's wall clock is set while a node runs and while it is down: timers, rates and waiting
//! go on as if nothing had happened, and what is shown is the wall clock's time.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use caxton_client::{
    AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage, MailFilter, api::AskedValue,
};
use caxton_model::Timestamp;

use crate::{
    command::{guest, text_guest},
    node::{NodeProcess, up},
    preload::library,
};

/// A library that adds seconds to the wall clock, and to no other: 8 bytes of a file say how many.
const WALL_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TEST_CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *at = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) offset = at;
    close(file);
}

typedef int (*read_clock)(clockid_t, struct timespec *);
int clock_gettime(clockid_t clock, struct timespec *at) {
    static read_clock next;
    if (!next) next = (read_clock)dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(clock, at);
    if (!failed && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += *offset;
    return failed;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"#;

const YEAR_SECS: i64 = 365 * 24 * 3600;
/// How far the wall clock is off, one after the other: each is a step of it. Unit: seconds.
const OFFSETS: [i64; 5] = [-30, 30, -YEAR_SECS, YEAR_SECS, 0];
/// Time between two timers of `ticking.wat`.
const PERIOD: Duration = Duration::from_millis(100);
/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine whose wall clock can be set, with a node's directory on it.
struct Machine {
    library: PathBuf,
    offset: PathBuf,
    data: PathBuf,
}

impl Machine {
    fn new(folder: &Path) -> Self {
        let machine = Self {
            library: library(folder, WALL_CLOCK),
            offset: folder.join("offset"),
            data: folder.join("data"),
        };
        fs::write(&machine.offset, 0_i64.to_ne_bytes()).unwrap();
        machine
    }
    fn set(&self, offset_secs: i64) {
        let file = fs::File::options().write(true).open(&self.offset).unwrap();
        // Eight bytes at once, as the library reads them.
        file.write_all_at(&offset_secs.to_ne_bytes(), 0).unwrap();
    }
    fn start(&self) -> NodeProcess {
        let mut command = up(&self.data);
        command
            .env("LD_PRELOAD", &self.library)
            .env("TEST_CLOCK_OFFSET", &self.offset);
        NodeProcess::start_by(&mut command, &self.data)
    }
}

/// The wall clock of a machine that is so far off.
#[allow(
    clippy::disallowed_methods,
    reason = "the machine's own clock is what the node's is compared with"
)]
fn wall(offset_secs: i64) -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = i64::try_from(since.unwrap().as_micros()).unwrap();
    Timestamp(micros + offset_secs * 1_000_000)
}

/// Whether a time that the node shows is about this one.
#[track_caller]
fn is_about(shown: &str, expected: Timestamp, what: &str) {
    let apart = Timestamp::parse(shown).unwrap().0.abs_diff(expected.0);
    let apart = Duration::from_micros(apart);
    assert!(
        apart < PATIENCE,
        "{what} is shown as {shown}, and it is {expected}"
    );
}

async fn deploy(client: &CaxtonClient, name: &str, module: &str) {
    let mut config = AgentConfig {
        name: name.to_owned(),
        ..AgentConfig::default()
    };
    // So few that a rate which takes a step of the clock for time that has passed shows itself.
    let rate = AskedValue::Number(20);
    config.limits.insert("messages_per_second".to_owned(), rate);
    let wasm_module = fs::read(module).unwrap();
    let request = DeployAgentRequest {
        wasm_module,
        config,
    };
    client.deploy_agent(request).await.unwrap();
}

fn message(to: &str) -> FipaMessage {
    FipaMessage {
        performative: "request".to_owned(),
        sender: "me".to_owned(),
        receiver: to.into(),
        content: serde_json::json!({ "count": true }),
        ..FipaMessage::default()
    }
}

async fn ticks(client: &CaxtonClient) -> u32 {
    let value = client.agent_state_value("ticking", "count").await;
    // Before the first one nothing is stored.
    value.map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
}

/// So many timers more come, and not more than time has passed for since `begun`, when there were
/// `before` of them.
async fn goes_on_ticking(client: &CaxtonClient, begun: Instant, before: u32, what: &str) {
    let until = Instant::now() + PATIENCE;
    let count = loop {
        let count = ticks(client).await;
        if count >= before + 5 {
            break count;
        }
        assert!(
            Instant::now() < until,
            "{what}: only {count} after {before}"
        );
        tokio::time::sleep(PERIOD / 4).await;
    };
    let periods = begun.elapsed().as_millis() / PERIOD.as_millis();
    let most = u128::from(before) + periods + 10;
    assert!(
        u128::from(count) <= most,
        "{what}: {count}, and at most {most}"
    );
}

/// Whatever hangs on time does what it should.
async fn is_well(client: &CaxtonClient, offset_secs: i64, what: &str) {
    // A sender's rate: none has used its share up, or gets more than that.
    for _ in 0..3 {
        let reply = client
            .send_message_and_wait(message("echo"), PATIENCE)
            .await;
        assert_eq!(reply.unwrap().performative, "inform", "{what}");
    }
    // A request that is answered in time, by the asker's clock, and one that is not.
    let tag = format!("r-{what}").replace(' ', "-");
    let reply_by = |secs: i64| wall(offset_secs).0 + secs * 1_000_000;
    let asked = |to: &str, secs: i64| FipaMessage {
        reply_by: Some(Timestamp(reply_by(secs)).to_string()),
        reply_with: Some(format!("{tag}-{to}")),
        ..message(to)
    };
    let reply = client
        .send_message_and_wait(asked("echo", 60), PATIENCE)
        .await;
    assert_eq!(reply.unwrap().performative, "inform", "{what}");
    let begun = Instant::now();
    let late = client
        .send_message_and_wait(asked("quiet", 2), PATIENCE)
        .await;
    let late = late.unwrap();
    assert_eq!(late.performative, "failure", "{what}: {late:?}");
    assert_eq!(late.content["code"], "timeout", "{what}: {late:?}");
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_secs(1),
        "{what}: the asker's time was over after {waited:?}"
    );
    // What is kept for a while is still there, and shown with the wall clock's time.
    client.send_message(message("quiet")).await.unwrap();
    let kept = MailFilter {
        receiver: Some("me".to_owned()),
        ..MailFilter::default()
    };
    let mail = client.messages(&kept).await.unwrap();
    let newest = mail.last().expect("the replies are kept");
    is_about(&newest.at, wall(offset_secs), what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_the_wall_clock_neither_stall_nor_flood_a_node() {
    let home = tempfile::tempdir().unwrap();
    let machine = Machine::new(home.path());
    let ticking = home.path().join("ticking.wasm");
    fs::write(
        &ticking,
        wat::parse_str(include_str!("ticking.wat")).unwrap(),
    )
    .unwrap();
    let mut node = machine.start();
    let client = node.client();
    let quiet = text_guest(home.path(), "quiet");
    deploy(&client, "quiet", &quiet).await;
    deploy(&client, "echo", &guest("echo-c")).await;
    deploy(&client, "ticking", ticking.to_str().unwrap()).await;
    let begun = Instant::now();
    client.send_message(message("ticking")).await.unwrap();
    goes_on_ticking(&client, begun, 0, "before any step").await;
    for offset in OFFSETS {
        let what = format!("{offset} s while it runs");
        let (begun, before) = (Instant::now(), ticks(&client).await);
        machine.set(offset);
        goes_on_ticking(&client, begun, before, &what).await;
        is_well(&client, offset, &what).await;
        let name = format!("at{offset}");
        deploy(&client, &name, &quiet).await;
        let deployed = client.agent(&name).await.unwrap().agent.deployed_at;
        is_about(&deployed, wall(offset), &what);
        client.remove_agent(&name).await.unwrap();
        goes_on_ticking(&client, begun, before, &what).await;
    }
    for offset in OFFSETS {
        let what = format!("{offset} s while it is down");
        let (begun, before) = (Instant::now(), ticks(&node.client()).await);
        assert_eq!(node.terminate(), 0, "{what}");
        machine.set(offset);
        node = machine.start();
        let client = node.client();
        goes_on_ticking(&client, begun, before, &what).await;
        is_well(&client, offset, &what).await;
        goes_on_ticking(&client, begun, before, &what).await;
    }
    assert_eq!(node.terminate(), 0);
}
