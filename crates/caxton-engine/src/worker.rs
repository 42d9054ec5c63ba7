//! The compiler in a process of its own: one per module, so that none taints the next.
//!
//! A module that makes the compiler eat time or memory ends that process, not the node. Before it
//! reads the module, the worker gives up files, network and system calls it does not need. What it
//! can't give up is trust: its output is machine code that the node will run.
//!
//! On its standard input: four bytes of length (little endian), the job as JSON, the module. On its
//! standard output: the artefact, with exit code 0. Exit code 3: refused, the reason on stderr.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::Path,
    process::{Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use caxton_model::{ByteSize, EngineKind, EngineProfile, Micros};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr as _,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde::{Deserialize, Serialize};

use crate::{
    EngineOptions,
    config::{self, MemoryForm},
    engine::Runtime,
};

/// The module was refused; the reason is on standard error.
const EXIT_REFUSED: u8 = 3;
/// What is read of a worker's standard error. Unit: bytes.
const REASON_BYTES_MAX: u64 = 4 << 10;
/// What the worker may write at most. Unit: bytes. The engine's own bound is tighter.
const ARTEFACT_BYTES_MAX: u64 = 4 << 30;
/// The job's own size. Unit: bytes.
const JOB_BYTES_MAX: u32 = 64 << 10;

/// Where modules become machine code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompilesIn {
    /// Each in a process of its own, without files, network and most system calls.
    Sandbox,
    /// Each in a process of its own with limits; this kernel has no landlock to take files away.
    Process,
    /// In the node's own process, with bounds on size alone.
    Node,
}

impl CompilesIn {
    /// What these options come to on this machine.
    pub(crate) fn of(options: &EngineOptions) -> Self {
        let landlock = || {
            Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(AccessFs::from_all(ABI::V1))
                .and_then(Ruleset::create)
                .is_ok()
        };
        match options.compile_worker {
            None => Self::Node,
            Some(_) if landlock() => Self::Sandbox,
            Some(_) => Self::Process,
        }
    }
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Process => "process",
            Self::Node => "node",
        }
    }
}

/// What to compile for, and under which limits.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    kind: EngineKind,
    profile: EngineProfile,
    form: MemoryForm,
    perf_map: bool,
    memory_bytes_max: u64,
    cpu_secs_max: u64,
}

/// Why the worker gave no code.
#[derive(Debug)]
pub(crate) enum WorkerError {
    /// It went over a limit, or the compiler refused the module.
    Limit { reason: String },
    /// It could not work.
    Failed { reason: String },
}

fn failed(what: &str, error: impl std::fmt::Display) -> WorkerError {
    WorkerError::Failed {
        reason: format!("{what}: {error}"),
    }
}

/// Compiles in a new process, and waits for it.
///
/// Bounds: the options' memory and CPU time, twice that time by the clock. Blocking.
pub(crate) fn compile(
    program: &Path,
    options: &EngineOptions,
    runtime: &Runtime,
    module: &[u8],
) -> Result<Vec<u8>, WorkerError> {
    let job = Job {
        kind: options.kind,
        profile: runtime.profile,
        form: runtime.form,
        perf_map: options.perf_map,
        memory_bytes_max: options.compile_memory_bytes_max,
        cpu_secs_max: options.compile_time_max.0.div_ceil(1_000_000).max(1),
    };
    let job = serde_json::to_vec(&job).map_err(|error| failed("the job", error))?;
    let mut child = Command::new(program)
        .arg("compile-worker")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&format!("can't start {}", program.display()), error))?;
    let wall = Duration::from_secs(job_wall_secs(options.compile_time_max));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let (done, result) = mpsc::sync_channel(1);
        scope.spawn(move || {
            // A worker that ended early closes the pipe; its exit says why.
            if let Some(mut stdin) = stdin {
                let _ = send(&mut stdin, &job, module);
            }
            let mut artefact = Vec::new();
            let read = stdout.map(|out| out.take(ARTEFACT_BYTES_MAX).read_to_end(&mut artefact));
            let _ = done.send((artefact, read.is_some_and(|read| read.is_ok())));
        });
        let received = result.recv_timeout(wall);
        if received.is_err() {
            // Ends the thread above too: the pipes close.
            let _ = child.kill();
        }
        let reason = stderr.map(reason_of).unwrap_or_default();
        let status = child
            .wait()
            .map_err(|error| failed("waiting for the worker", error))?;
        match received {
            Ok((artefact, true)) if status.success() && !artefact.is_empty() => Ok(artefact),
            Ok(_) => Err(judge(status, reason, options)),
            Err(_) => {
                let reason = format!("it took longer than {} s", wall.as_secs());
                Err(WorkerError::Limit { reason })
            }
        }
    })
}

fn job_wall_secs(cpu: Micros) -> u64 {
    cpu.0.div_ceil(1_000_000).max(1).saturating_mul(2)
}

fn send(to: &mut impl Write, job: &[u8], module: &[u8]) -> io::Result<()> {
    to.write_all(&u32::try_from(job.len()).unwrap_or(0).to_le_bytes())?;
    to.write_all(job)?;
    to.write_all(module)?;
    to.flush()
}

fn reason_of(stderr: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stderr.take(REASON_BYTES_MAX).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn judge(status: ExitStatus, reason: String, options: &EngineOptions) -> WorkerError {
    use std::os::unix::process::ExitStatusExt as _;
    if status.code() == Some(i32::from(EXIT_REFUSED)) {
        return WorkerError::Limit { reason };
    }
    match status.signal() {
        Some(libc::SIGXCPU | libc::SIGKILL) => WorkerError::Limit {
            reason: format!(
                "it needed more than {} of CPU time",
                options.compile_time_max
            ),
        },
        Some(libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS) => WorkerError::Limit {
            reason: format!(
                "it needed more than {} of memory ({reason})",
                ByteSize(options.compile_memory_bytes_max)
            ),
        },
        _ => WorkerError::Failed {
            reason: format!("{status}: {reason}"),
        },
    }
}

/// The worker: what the binary runs when it is called with `compile-worker`.
///
/// Reads one job and one module from standard input, writes the artefact to standard output.
#[must_use]
pub fn compile_worker_main() -> ExitCode {
    match work() {
        Ok(artefact) => {
            let mut out = io::stdout().lock();
            match out.write_all(&artefact).and_then(|()| out.flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(WorkerError::Limit { reason }) => {
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::from(EXIT_REFUSED)
        }
        Err(WorkerError::Failed { reason }) => {
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<Vec<u8>, WorkerError> {
    let mut input = io::stdin().lock();
    let mut len = [0; 4];
    input
        .read_exact(&mut len)
        .map_err(|error| failed("no job", error))?;
    let len = u32::from_le_bytes(len);
    if len > JOB_BYTES_MAX {
        return Err(failed("the job", "too long"));
    }
    let mut job = vec![0; usize::try_from(len).unwrap_or(0)];
    input
        .read_exact(&mut job)
        .map_err(|error| failed("the job", error))?;
    let job: Job = serde_json::from_slice(&job).map_err(|error| failed("the job", error))?;
    // The engine first: it looks at the machine, which the sandbox no longer allows.
    let engine = config::config(job.kind, job.perf_map, job.profile, job.form, None, None)
        .and_then(|config| wasmtime::Engine::new(&config))
        .map_err(|error| failed("the engine", format!("{error:#}")))?;
    confine(&job)?;
    let mut module = Vec::new();
    input
        .read_to_end(&mut module)
        .map_err(|error| failed("the module", error))?;
    engine
        .precompile_module(&module)
        .map_err(|error| WorkerError::Limit {
            reason: format!("{error:#}"),
        })
}

/// Gives up everything that compiling does not need.
fn confine(job: &Job) -> Result<(), WorkerError> {
    let limit = |resource, value| {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        setrlimit(resource, limit).map_err(|error| failed("setting limits", error))
    };
    limit(Resource::As, job.memory_bytes_max)?;
    limit(Resource::Cpu, job.cpu_secs_max)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, 16)?;
    // Lower than the shards: a compilation never slows turns that run. Refused where it already is.
    let _ = rustix::process::setpriority_process(None, 15);
    forbid_files_and_network().map_err(|error| failed("landlock", error))?;
    let filter = system_calls().map_err(|error| failed("the system call filter", error))?;
    match seccompiler::apply_filter(&filter) {
        Ok(()) => Ok(()),
        // A kernel without it: landlock and the limits stand.
        Err(seccompiler::Error::Prctl(_) | seccompiler::Error::Seccomp(_)) => Ok(()),
        Err(error) => Err(failed("the system call filter", error)),
    }
}

/// No file may be opened, no connection made. Where the kernel has no landlock, nothing happens.
fn forbid_files_and_network() -> Result<(), landlock::RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .create()?
        .no_new_privs(true)
        .restrict_self()
        .map(|_| ())
}

/// What a compiler needs: memory, its pipes, its end. Everything else answers `EPERM`.
fn system_calls() -> Result<BpfProgram, Box<dyn std::error::Error>> {
    let allowed = [
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_lseek,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_gettid,
        libc::SYS_getpid,
        // `abort` sends itself a signal.
        libc::SYS_tgkill,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = allowed
        .into_iter()
        .map(|number| (number, Vec::new()))
        .collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}
