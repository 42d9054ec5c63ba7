//! A WASI command made of a list of calls, run with granted directories, and what came of each call.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use caxton_engine::{Directory, FileUsage, HostResources, LogLevel};
use caxton_gate::{AuditEntry, AuditSink, Gate, Grants, PermissionRule, Rights};
use caxton_model::{EngineProfile, Fault, Kind, LimitName, Permissions, Timestamp};
use caxton_package::WASI_P1;

use crate::harness::*;

/// Where each call leaves what it answers: 64 bytes, and 4 KiB of buffer.
const OUTS: usize = 0x1000;
const OUT_BYTES: usize = 64;
const IOVECS: usize = 0x8000;
const DATA: usize = 0x1_0000;
const BUFFERS: usize = 0x4_0000;
const BUFFER_BYTES: usize = 0x1000;
const CALLS_MAX: usize = 100;

/// Numbers of WASI preview 1.
pub const SUCCESS: i32 = 0;
pub const ACCES: i32 = 2;
pub const BADF: i32 = 8;
pub const BUSY: i32 = 10;
pub const DQUOT: i32 = 19;
pub const EXIST: i32 = 20;
pub const FBIG: i32 = 22;
pub const INVAL: i32 = 28;
pub const ISDIR: i32 = 31;
pub const LOOP: i32 = 32;
pub const MFILE: i32 = 33;
pub const NAMETOOLONG: i32 = 37;
pub const NOENT: i32 = 44;
pub const NOTDIR: i32 = 54;
pub const PERM: i32 = 63;

pub const CREATE: i64 = 1;
pub const DIRECTORY: i64 = 2;
pub const EXCLUSIVE: i64 = 4;
pub const TRUNCATE: i64 = 8;
pub const READ: i64 = 1 << 1;
pub const WRITE: i64 = 1 << 6;

/// The calls of a command, in their order.
#[derive(Default)]
pub struct Script {
    body: String,
    end: String,
    data: Vec<u8>,
    calls: usize,
}

/// The number of a call in its script.
pub type Call = usize;

impl Script {
    /// Adds a call; arguments in the order of the function's own.
    #[track_caller]
    pub fn call(&mut self, name: &str, arguments: &[i64]) -> Call {
        let number = self.calls;
        assert!(number < CALLS_MAX);
        self.calls += 1;
        let expected = parameters(name);
        assert_eq!(expected.len(), arguments.len(), "{name}");
        let mut text = format!("(i32.store (i32.const {}) (call ${name}", number * 4);
        for (ty, value) in expected.iter().zip(arguments) {
            write!(text, " ({ty}.const {value})").unwrap();
        }
        writeln!(self.body, "{text}))").unwrap();
        number
    }
    /// Where a call's answer goes.
    fn out(&self) -> i64 {
        (OUTS + self.calls * OUT_BYTES).try_into().unwrap()
    }
    fn buffer(&self) -> i64 {
        (BUFFERS + self.calls * BUFFER_BYTES).try_into().unwrap()
    }
    /// Puts bytes into the guest's memory; where, and how many.
    fn put(&mut self, bytes: &[u8]) -> [i64; 2] {
        let at = DATA + self.data.len();
        self.data.extend_from_slice(bytes);
        assert!(at + bytes.len() < BUFFERS);
        [at.try_into().unwrap(), bytes.len().try_into().unwrap()]
    }
    /// A list of one buffer for this call.
    fn iovec(&mut self, ptr: i64, len: i64) -> i64 {
        let at = IOVECS + self.calls * 8;
        write!(
            self.body,
            "(i32.store (i32.const {at}) (i32.const {ptr})) (i32.store (i32.const {}) (i32.const {len}))",
            at + 4
        )
        .unwrap();
        at.try_into().unwrap()
    }
    #[track_caller]
    pub fn open(&mut self, path: &[u8], how: i64, rights: i64) -> Call {
        self.open_at(3, path, how, rights)
    }
    #[track_caller]
    pub fn open_at(&mut self, fd: i64, path: &[u8], how: i64, rights: i64) -> Call {
        self.open_as(fd, 1, path, how, rights, 0)
    }
    #[track_caller]
    pub fn open_as(
        &mut self,
        fd: i64,
        follow: i64,
        path: &[u8],
        how: i64,
        rights: i64,
        flags: i64,
    ) -> Call {
        let [ptr, len] = self.put(path);
        let out = self.out();
        let arguments = [fd, follow, ptr, len, how, rights, rights, flags, out];
        self.call("path_open", &arguments)
    }
    #[track_caller]
    pub fn read(&mut self, fd: i64, len: i64) -> Call {
        let list = self.iovec(self.buffer(), len);
        self.call("fd_read", &[fd, list, 1, self.out()])
    }
    #[track_caller]
    pub fn pread(&mut self, fd: i64, len: i64, offset: i64) -> Call {
        let list = self.iovec(self.buffer(), len);
        self.call("fd_pread", &[fd, list, 1, offset, self.out()])
    }
    #[track_caller]
    pub fn write(&mut self, fd: i64, bytes: &[u8]) -> Call {
        let [ptr, len] = self.put(bytes);
        let list = self.iovec(ptr, len);
        self.call("fd_write", &[fd, list, 1, self.out()])
    }
    #[track_caller]
    pub fn pwrite(&mut self, fd: i64, bytes: &[u8], offset: i64) -> Call {
        let [ptr, len] = self.put(bytes);
        let list = self.iovec(ptr, len);
        self.call("fd_pwrite", &[fd, list, 1, offset, self.out()])
    }
    /// A function of a path from the first directory: `path_create_directory` and the like.
    #[track_caller]
    pub fn path(&mut self, name: &str, path: &[u8]) -> Call {
        let [ptr, len] = self.put(path);
        self.call(name, &[3, ptr, len])
    }
    #[track_caller]
    pub fn stat(&mut self, path: &[u8], follow: i64) -> Call {
        let [ptr, len] = self.put(path);
        self.call("path_filestat_get", &[3, follow, ptr, len, self.out()])
    }
    #[track_caller]
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Call {
        self.rename_to(from, 3, to)
    }
    #[track_caller]
    pub fn rename_to(&mut self, from: &[u8], fd: i64, to: &[u8]) -> Call {
        let ([a, b], [x, y]) = (self.put(from), self.put(to));
        self.call("path_rename", &[3, a, b, fd, x, y])
    }
    #[track_caller]
    pub fn link(&mut self, from: &[u8], fd: i64, to: &[u8]) -> Call {
        let ([a, b], [x, y]) = (self.put(from), self.put(to));
        self.call("path_link", &[3, 0, a, b, fd, x, y])
    }
    #[track_caller]
    pub fn symlink(&mut self, target: &[u8], link: &[u8]) -> Call {
        let ([a, b], [x, y]) = (self.put(target), self.put(link));
        self.call("path_symlink", &[a, b, 3, x, y])
    }
    #[track_caller]
    pub fn readlink(&mut self, path: &[u8]) -> Call {
        let [ptr, len] = self.put(path);
        let (buffer, out) = (self.buffer(), self.out());
        self.call("path_readlink", &[3, ptr, len, buffer, 4_096, out])
    }
    #[track_caller]
    pub fn readdir(&mut self, fd: i64) -> Call {
        let (buffer, out) = (self.buffer(), self.out());
        self.call("fd_readdir", &[fd, buffer, 4_096, 0, out])
    }
    #[track_caller]
    pub fn close(&mut self, fd: i64) -> Call {
        self.call("fd_close", &[fd])
    }
    /// With the address of an answer behind its arguments.
    #[track_caller]
    pub fn asks(&mut self, name: &str, arguments: &[i64]) -> Call {
        let out = [self.out()];
        self.call(name, &[arguments, &out].concat())
    }
    /// With the address and length of its buffer behind its arguments.
    #[track_caller]
    pub fn fills(&mut self, name: &str, arguments: &[i64], len: i64) -> Call {
        let buffer = [self.buffer(), len];
        self.call(name, &[arguments, &buffer].concat())
    }
    /// Where the buffer of the next call is.
    pub fn next_buffer(&self) -> i64 {
        self.buffer()
    }
    /// Repeats all calls from here on, so often or for ever.
    pub fn loop_here(&mut self, times: Option<u32>) {
        self.body.push_str("(loop ");
        self.end = match times {
            None => "(br 0))".to_owned(),
            Some(times) => format!(
                "(local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const {times}))))"
            ),
        };
    }
    fn module(&self) -> String {
        let mut text = "(module\n".to_owned();
        for (name, _) in WASI_P1 {
            if *name == "proc_exit" {
                continue;
            }
            let params = parameters(name).join(" ");
            writeln!(
                text,
                r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {params}) (result i32)))"#
            )
            .unwrap();
        }
        let data: String = self
            .data
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let end = BUFFERS + CALLS_MAX * BUFFER_BYTES;
        write!(
            text,
            r#"(memory (export "memory") 16)
            (data (i32.const {DATA}) "{data}")
            (func (export "_start") (local $n i32) {}{}
              (i32.store (i32.const {IOVECS}) (i32.const 0))
              (i32.store (i32.const {}) (i32.const {end}))
              (drop (call $fd_write (i32.const 1) (i32.const {IOVECS}) (i32.const 1) (i32.const {}))))
            )"#,
            self.body,
            self.end,
            IOVECS + 4,
            IOVECS + 8,
        )
        .unwrap();
        text
    }
}

/// The types of a function's parameters.
fn parameters(name: &str) -> Vec<&'static str> {
    let (_, short) = WASI_P1.iter().find(|(known, _)| *known == name).unwrap();
    let params = short.chars().take_while(|c| *c != '>');
    params
        .map(|c| if c == 'I' { "i64" } else { "i32" })
        .collect()
}

/// What came of a script.
pub struct Ran {
    memory: Vec<u8>,
    pub fault: Option<Fault>,
    pub logs: Vec<(LogLevel, String)>,
}

impl Ran {
    /// What a call answered.
    pub fn errno(&self, call: Call) -> i32 {
        i32::from_le_bytes(self.memory[call * 4..][..4].try_into().unwrap())
    }
    /// A number that it left, at an offset of its answer.
    pub fn number(&self, call: Call, offset: usize) -> u64 {
        let at = OUTS + call * OUT_BYTES + offset;
        u64::from_le_bytes(self.memory[at..][..8].try_into().unwrap())
    }
    /// The shorter number that most functions leave.
    pub fn len(&self, call: Call) -> usize {
        usize::try_from(self.number(call, 0) & 0xffff_ffff).unwrap()
    }
    /// Its buffer, as long as it says.
    pub fn bytes(&self, call: Call) -> &[u8] {
        &self.buffer(call)[..self.len(call)]
    }
    pub fn buffer(&self, call: Call) -> &[u8] {
        &self.memory[BUFFERS + call * BUFFER_BYTES..][..BUFFER_BYTES]
    }
    /// The names in a listing, sorted, without `.` and `..`.
    pub fn names(&self, call: Call) -> Vec<String> {
        let (mut rest, mut names) = (self.bytes(call), Vec::new());
        while let Some((head, tail)) = rest.split_at_checked(24) {
            let len = u32::from_le_bytes(head[16..20].try_into().unwrap()) as usize;
            let (name, tail) = tail.split_at(len);
            names.push(String::from_utf8(name.to_vec()).unwrap());
            rest = tail;
        }
        names.retain(|name| name != "." && name != "..");
        names.sort();
        names
    }
    pub fn has_logged(&self, text: &str) -> bool {
        self.logs.iter().any(|(_, line)| line.contains(text))
    }
}

/// Everything that the gate decided.
#[derive(Default)]
pub struct Audit(pub Mutex<Vec<String>>);
impl AuditSink for Audit {
    fn append(&self, entry: &AuditEntry<'_>) -> Result<(), String> {
        let word = if entry.denied.is_some() { "no" } else { "yes" };
        let line = format!("{word}: {}", entry.access);
        self.0.lock().unwrap().push(line);
        Ok(())
    }
}

/// A host's directory with a secret beside it, under the name `/data/in`.
pub struct World {
    pub outside: tempfile::TempDir,
    pub audit: Arc<Audit>,
    pub gate: Gate,
    pub usage: Arc<FileUsage>,
    pub now: fn() -> Timestamp,
    pub directories: Vec<(String, PathBuf)>,
    pub environment: Vec<(String, String)>,
    pub granted: Permissions,
    pub limits: Vec<(LimitName, u64)>,
}

impl World {
    pub fn new(rules: &[&str]) -> Self {
        let rules: Vec<PermissionRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let granted = rules.iter().map(|rule| rule.permission).collect();
        let grants = Grants::from_rules(rules, "operator", Timestamp(0));
        Self::with(grants, granted)
    }
    pub fn with(grants: Grants, granted: Permissions) -> Self {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "the secret").unwrap();
        std::fs::create_dir(outside.path().join("in")).unwrap();
        let audit = Arc::new(Audit::default());
        let sink = Arc::clone(&audit);
        let directory = outside.path().join("in");
        Self {
            gate: Gate::new("guest", &Rights::granted(grants), sink),
            directories: vec![("/data/in".to_owned(), directory)],
            outside,
            audit,
            usage: Arc::default(),
            now: || Timestamp(0),
            environment: Vec::new(),
            granted,
            limits: Vec::new(),
        }
    }
    /// All of the directory.
    pub fn writable() -> Self {
        Self::new(&["fs:read=/data/in/**", "fs:write=/data/in/**"])
    }
    pub fn limited(mut self, limits: &[(LimitName, u64)]) -> Self {
        self.limits = limits.to_vec();
        self
    }
    pub fn inside(&self) -> PathBuf {
        self.outside.path().join("in")
    }
    pub fn put(&self, path: &str, text: &str) {
        let path = self.inside().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    pub fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.inside().join(path)).ok()
    }
    pub fn has_audited(&self, text: &str) -> bool {
        let lines = self.audit.0.lock().unwrap();
        lines.iter().any(|line| line == text)
    }
    pub fn resources(&self) -> HostResources {
        let open = |(name, path): &(String, PathBuf)| Directory::open(name, Path::new(path));
        let directories: Result<Vec<_>, _> = self.directories.iter().map(open).collect();
        HostResources {
            gate: self.gate.clone(),
            now: self.now,
            directories: directories.unwrap().into(),
            environment: self.environment.clone().into(),
            usage: Arc::clone(&self.usage),
        }
    }
    /// Runs a script; a fault is one of its results.
    pub fn run(&self, script: &Script) -> Ran {
        let linked = linked_with(
            engine(KINDS[0]),
            EngineProfile::Hardened,
            &script.module(),
            &self.granted,
        );
        let host = TestHost {
            resources: Some(self.resources()),
            ..TestHost::default()
        };
        let limits = limits_with(Kind::Processor, &self.limits);
        let done = run(linked.process(Bytes::new(), None, &limits, Box::new(host)));
        let logs = host_back(done.host).logs;
        let (memory, fault) = match done.result {
            Ok(memory) => (memory, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        Ran {
            memory,
            fault,
            logs,
        }
    }
}
