//! The power goes in the first moments of a node: what was not synced is gone, and the next start has
//! all that was acknowledged.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use caxton_client::{AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage, api::AskedValue};

use crate::{
    command::guest,
    node::{NodeProcess, up},
    preload::library,
};

/// A library that writes down what the program changes and syncs below a directory.
const WATCHER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int record = -1;
static char root[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
    const char *watched = getenv("TEST_WATCHED"), *into = getenv("TEST_RECORD");
    if (!watched || !into) return;
    snprintf(root, sizeof root, "%s", watched);
    record = syscall(SYS_openat, AT_FDCWD, into, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void note(char what, const char *path) {
    char line[PATH_MAX + 4];
    if (record < 0 || strncmp(path, root, strlen(root))) return;
    int length = snprintf(line, sizeof line, "%c %s\n", what, path);
    syscall(SYS_write, record, line, length);
}

static void note_file(char what, int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = syscall(SYS_readlink, link, path, sizeof path - 1);
    if (length > 0) { path[length] = 0; note(what, path); }
}

static int open_at(int at, const char *path, int flags, int mode) {
    int was = syscall(SYS_faccessat, at, path, F_OK) == 0;
    int file = syscall(SYS_openat, at, path, flags, mode);
    if (file >= 0 && (flags & O_CREAT) && !was) note_file('c', file);
    if (file >= 0 && (flags & O_TRUNC)) note_file('w', file);
    return file;
}

#define MODE(flags) int mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, int); va_end(more); }
int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags | O_LARGEFILE, mode); }

#define NEXT(name, type) static type next; if (!next) next = (type)dlsym(RTLD_NEXT, name)
typedef ssize_t (*write_f)(int, const void *, size_t);
typedef ssize_t (*pwrite_f)(int, const void *, size_t, off64_t);
typedef int (*two_paths)(const char *, const char *);
typedef int (*one_file)(int);
typedef int (*path_mode)(const char *, mode_t);

ssize_t write(int file, const void *bytes, size_t size) {
    NEXT("write", write_f);
    ssize_t done = next(file, bytes, size);
    if (done > 0) note_file('w', file);
    return done;
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) {
    NEXT("pwrite64", pwrite_f);
    ssize_t done = next(file, bytes, size, at);
    if (done > 0) note_file('w', file);
    return done;
}
static int synced(int file, int done) {
    struct stat found;
    if (!done && !fstat(file, &found)) note_file(S_ISDIR(found.st_mode) ? 'D' : 's', file);
    return done;
}
int fsync(int file) { NEXT("fsync", one_file); return synced(file, next(file)); }
int fdatasync(int file) { NEXT("fdatasync", one_file); return synced(file, next(file)); }
int rename(const char *from, const char *to) {
    NEXT("rename", two_paths);
    int done = next(from, to);
    if (!done) { note('f', from); note('t', to); }
    return done;
}
int mkdir(const char *path, mode_t mode) {
    NEXT("mkdir", path_mode);
    int done = next(path, mode);
    if (!done) note('c', path);
    return done;
}
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    int done = syscall(SYS_linkat, from_at, from, to_at, to, flags);
    if (!done) { note('f', from); note('t', to); }
    return done;
}
"#;

/// What a disk may have lost when the power goes.
#[derive(Debug, Default)]
struct Lost {
    /// Files that were written and never synced.
    bytes: BTreeSet<PathBuf>,
    /// Files and folders whose names no sync of their folder has made durable.
    names: BTreeSet<PathBuf>,
}

impl Lost {
    fn read(record: &Path) -> Self {
        let (mut lost, mut synced) = (Self::default(), BTreeSet::new());
        let mut moved = None;
        for line in fs::read_to_string(record).unwrap().lines() {
            let (what, path) = line.split_once(' ').unwrap();
            let path = PathBuf::from(path);
            match what {
                "c" => {
                    synced.remove(&path);
                    lost.names.insert(path);
                }
                "w" if !synced.contains(&path) => {
                    lost.bytes.insert(path);
                }
                "s" => {
                    lost.bytes.remove(&path);
                    synced.insert(path);
                }
                "D" => lost.names.retain(|name| name.parent() != Some(&path)),
                "f" => moved = Some(path),
                "t" => {
                    let from = moved.take().unwrap();
                    if lost.bytes.remove(&from) {
                        lost.bytes.insert(path.clone());
                    }
                    if synced.remove(&from) {
                        synced.insert(path.clone());
                    }
                    lost.names.remove(&from);
                    lost.names.insert(path);
                }
                _ => {}
            }
        }
        lost
    }

    /// Takes from the directory what the power may have taken.
    fn apply(&self) {
        for path in &self.bytes {
            if let Ok(found) = fs::metadata(path) {
                let zeros = vec![0; usize::try_from(found.len()).unwrap().min(1 << 20)];
                fs::write(path, zeros).unwrap();
            }
        }
        for path in &self.names {
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else if path.exists() {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

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

async fn send(client: &CaxtonClient) {
    let message: FipaMessage = FipaMessage {
        performative: "request".to_owned(),
        sender: "load".to_owned(),
        receiver: "counter".into(),
        content: serde_json::json!({ "count": true }),
        ..FipaMessage::default()
    };
    client.send_message(message).await.unwrap();
}

async fn counts(client: &CaxtonClient, expected: u64) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let value = client.agent_state_value("counter", "count").await;
        let digits = String::from_utf8(value.unwrap_or_default()).unwrap();
        let counted: u64 = digits.parse().unwrap_or(0);
        if counted == expected {
            return;
        }
        assert!(
            counted < expected && std::time::Instant::now() < until,
            "{counted} instead of {expected}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_in_the_first_moments_leaves_a_directory_that_starts() {
    let home = tempfile::tempdir().unwrap();
    let library = library(home.path(), WATCHER);
    let mut taken = 0;
    for cut in 0_u64..10 {
        let folder = home.path().join(format!("{cut}"));
        let data = folder.join("above/data");
        let (record, said) = (folder.join("record"), folder.join("said"));
        fs::create_dir(&folder).unwrap();
        fs::File::open(&folder).unwrap().sync_all().unwrap();
        let mut command = up(&data);
        command
            .env("LD_PRELOAD", &library)
            .env("TEST_WATCHED", &folder)
            .env("TEST_RECORD", &record);
        let node = NodeProcess::start_by(&mut command, &data);
        // Nothing but a started node; then an agent; then one message more each time.
        if cut > 0 {
            deploy_counter(&node.client()).await;
        }
        for _ in 1..cut {
            send(&node.client()).await;
        }
        node.kill();
        let lost = Lost::read(&record);
        taken += lost.bytes.len() + lost.names.len();
        lost.apply();
        let node = NodeProcess::start_by(up(&data).stderr(fs::File::create(&said).unwrap()), &data);
        let client = node.client();
        if cut == 0 {
            deploy_counter(&client).await;
        }
        counts(&client, cut.saturating_sub(1)).await;
        send(&client).await;
        counts(&client, cut.max(1)).await;
        let said = fs::read_to_string(&said).unwrap();
        assert!(
            !said.contains("the key of the module cache"),
            "{lost:?} {said}"
        );
    }
    assert!(
        taken > 0,
        "nothing was unsynced: the watcher does not watch"
    );
}

#[test]
fn a_damaged_key_of_the_cache_is_made_anew_with_a_note() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    for bad in [&b""[..], &[0; 32], b"too short"] {
        drop(NodeProcess::start_in(&data, &[]));
        let key = data.join("cache/key");
        fs::write(&key, bad).unwrap();
        let said = home.path().join("said");
        let node = NodeProcess::start_said(&data, &said);
        let text = fs::read_to_string(&said).unwrap();
        assert!(text.contains("a new one was made"), "{bad:?}: {text}");
        let bytes = fs::read(&key).unwrap();
        assert!(bytes.len() == 32 && bytes != [0; 32], "{bytes:?}");
        node.kill();
    }
}
