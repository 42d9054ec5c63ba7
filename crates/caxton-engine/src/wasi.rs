//! WASI preview 1 with nothing granted: what standard libraries import anyway.
//!
//! No files, no sockets, no environment. Standard output goes to the log (or is the result of a
//! command), standard input is a command's payload, clocks and random numbers come from the host's
//! side, so that they follow the determinism setting. All else answers an error number.

use bytes::Bytes;
use caxton_model::LimitName;
use caxton_package::WASI_P1;
use wasmtime::{FuncType, Linker, Val, ValType};

use crate::{
    Arguments, LogLevel,
    clock::WasiClock,
    ctx::{Ctx, Stop},
    guest_memory::{Span, span, view},
    host_functions::{self, Guest, LOG_LINE_BYTES_MAX},
    wasi_errno::{BADF, INVAL, NOSYS, NOTSOCK, SPIPE, SUCCESS},
    wasi_granted::GrantedState,
    wasi_poll::poll_oneoff,
};

/// The module under which guests import these functions.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";
/// Buffers of one read or write, subscriptions of one poll.
pub(crate) const LIST_MAX: i32 = 1_024;
/// Random bytes of one call.
const RANDOM_BYTES_MAX: i32 = 1 << 20;
/// What one write to the log takes. Unit: bytes.
const LOG_WRITE_BYTES_MAX: u64 = 64 << 10;

/// What a guest's WASI calls have done so far.
#[derive(Debug, Default)]
pub(crate) struct WasiState {
    stdin: Bytes,
    arguments: Arguments,
    /// A command's output; `None`: standard output goes to the log.
    pub(crate) stdout: Option<Vec<u8>>,
    /// The code that it exited with by itself.
    pub(crate) exit_code: Option<i32>,
    lines: [Vec<u8>; 2],
    /// What it has of the outside, where that was granted.
    pub(crate) granted: GrantedState,
}

impl WasiState {
    /// A command's: its arguments, payload on standard input, standard output kept.
    pub(crate) fn of_command(stdin: Bytes, arguments: Arguments) -> Self {
        Self {
            stdin,
            arguments,
            stdout: Some(Vec::new()),
            ..Self::default()
        }
    }
}

/// The guest's own exit, on its way through the runtime's error type.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) i32);
impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the guest exited with code {}", self.0)
    }
}
impl std::error::Error for Exit {}

pub(crate) fn state(ctx: &mut Ctx) -> &mut WasiState {
    ctx.wasi.get_or_insert_default()
}

pub(crate) fn put(bytes: &mut [u8], at: i32, value: &[u8]) -> Result<(), Stop> {
    let len = i32::try_from(value.len()).unwrap_or(i32::MAX);
    span(at, len).of_mut(bytes)?.copy_from_slice(value);
    Ok(())
}

pub(crate) fn get<const N: usize>(bytes: &[u8], at: i32) -> Result<[u8; N], Stop> {
    let found = span(at, i32::try_from(N).unwrap_or(i32::MAX)).of(bytes)?;
    Ok(found.try_into().unwrap_or([0; N]))
}

/// Pointer arithmetic as the guest's own: it wraps, and is checked when used.
pub(crate) const fn plus(ptr: i32, offset: i32) -> i32 {
    ptr.wrapping_add(offset)
}

pub(crate) fn iovec(bytes: &[u8], list: i32, i: i32) -> Result<Span, Stop> {
    let at = plus(list, i.wrapping_mul(8));
    let ptr = i32::from_le_bytes(get(bytes, at)?);
    Ok(span(ptr, i32::from_le_bytes(get(bytes, plus(at, 4))?)))
}

/// Defines one function; whether preview 1 has it.
pub(crate) fn define(linker: &mut Linker<Ctx>, name: &str) -> wasmtime::Result<bool> {
    const M: &str = MODULE;
    macro_rules! own {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {
            linker.func_wrap(M, name, |mut c: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<i32> {
                c.data_mut().count_host_call()?;
                Ok($function(&mut c, $($arg),*)?)
            })?
        };
    }
    // Functions that `host_calls` does not bound: waiting by reading the clock is bounded by `cpu`,
    // and the standard streams count their own calls.
    macro_rules! uncounted {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {
            linker.func_wrap(M, name, |mut c: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<i32> {
                Ok($function(&mut c, $($arg),*)?)
            })?
        };
    }
    match name {
        "args_sizes_get" => own!(args_sizes_get(count: i32, size: i32)),
        "args_get" => own!(args_get(list: i32, text: i32)),
        "environ_sizes_get" => own!(environ_sizes_get(count: i32, size: i32)),
        "clock_res_get" => own!(clock_res_get(id: i32, out: i32)),
        "clock_time_get" => uncounted!(clock_time_get(id: i32, _precision: i64, out: i32)),
        "random_get" => own!(random_get(ptr: i32, len: i32)),
        "fd_write" => uncounted!(fd_write(fd: i32, list: i32, count: i32, out: i32)),
        "fd_read" => uncounted!(fd_read(fd: i32, list: i32, count: i32, out: i32)),
        "fd_fdstat_get" => own!(fd_fdstat_get(fd: i32, out: i32)),
        "fd_filestat_get" => own!(fd_filestat_get(fd: i32, out: i32)),
        "poll_oneoff" => linker.func_wrap_async(
            M,
            name,
            |mut c: Guest<'_>, (list, events, count, out): (i32, i32, i32, i32)| {
                Box::new(async move {
                    c.data_mut().count_host_call()?;
                    Ok::<i32, wasmtime::Error>(poll_oneoff(&mut c, list, events, count, out).await?)
                })
            },
        )?,
        "proc_exit" => linker.func_wrap(
            M,
            name,
            |mut c: Guest<'_>, code: i32| -> wasmtime::Result<()> {
                state(c.data_mut()).exit_code = Some(code);
                Err(wasmtime::Error::new(Exit(code)))
            },
        )?,
        _ => return define_refusal(linker, name),
    };
    Ok(true)
}

/// The rest: an error number, whatever is asked.
fn define_refusal(linker: &mut Linker<Ctx>, name: &str) -> wasmtime::Result<bool> {
    let Some((name, short)) = WASI_P1.iter().find(|(known, _)| *known == name) else {
        return Ok(false);
    };
    let params = short.chars().take_while(|c| *c != '>');
    let params = params.map(|c| if c == 'I' { ValType::I64 } else { ValType::I32 });
    let ty = FuncType::new(linker.engine(), params, [ValType::I32]);
    let (standard, other) = refusal(name);
    linker.func_new(MODULE, name, ty, move |mut c, params, results| {
        c.data_mut().count_host_call()?;
        let fd = params.first().and_then(Val::i32);
        let errno = if fd.is_some_and(is_standard) {
            standard
        } else {
            other
        };
        if let Some(result) = results.first_mut() {
            *result = Val::I32(errno);
        }
        Ok(())
    })?;
    Ok(true)
}

/// What a function that does nothing answers, for a standard stream and for any other descriptor.
/// Standard streams are open, have no position, and keep no flags.
pub(crate) fn refusal(name: &str) -> (i32, i32) {
    match name {
        "environ_get" | "sched_yield" => (SUCCESS, SUCCESS),
        "fd_close" | "fd_fdstat_set_flags" | "fd_sync" | "fd_datasync" => (SUCCESS, BADF),
        "fd_seek" | "fd_tell" | "fd_advise" | "fd_allocate" | "fd_pread" | "fd_pwrite" => {
            (SPIPE, BADF)
        }
        "sock_accept" | "sock_recv" | "sock_send" | "sock_shutdown" => (NOTSOCK, BADF),
        "proc_raise" => (NOSYS, NOSYS),
        _ => (BADF, BADF),
    }
}

pub(crate) fn is_standard(fd: i32) -> bool {
    (0..=2).contains(&fd)
}

fn args_sizes_get(c: &mut Guest<'_>, count: i32, size: i32) -> Result<i32, Stop> {
    let (bytes, ctx) = view(c)?;
    put_texts_sizes(bytes, &state(ctx).arguments, count, size)
}

fn args_get(c: &mut Guest<'_>, list: i32, text: i32) -> Result<i32, Stop> {
    let (bytes, ctx) = view(c)?;
    put_texts(bytes, &state(ctx).arguments, list, text)
}

/// How many arguments or variables there are, and how many bytes they take.
pub(crate) fn put_texts_sizes(
    bytes: &mut [u8],
    texts: &Arguments,
    count: i32,
    size: i32,
) -> Result<i32, Stop> {
    put(bytes, count, &number(texts.starts().len()))?;
    put(bytes, size, &number(texts.bytes().len()))?;
    Ok(SUCCESS)
}

/// Arguments or variables, and where each begins.
pub(crate) fn put_texts(
    bytes: &mut [u8],
    texts: &Arguments,
    list: i32,
    text: i32,
) -> Result<i32, Stop> {
    let mut at = list;
    for start in texts.starts() {
        let start = i32::try_from(start).unwrap_or(i32::MAX);
        put(bytes, at, &plus(text, start).to_le_bytes())?;
        at = plus(at, 4);
    }
    put(bytes, text, texts.bytes())?;
    Ok(SUCCESS)
}

/// A number of arguments or of their bytes, which are bounded.
fn number(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

fn environ_sizes_get(c: &mut Guest<'_>, count: i32, size: i32) -> Result<i32, Stop> {
    let (bytes, _) = view(c)?;
    put(bytes, count, &0_u32.to_le_bytes())?;
    put(bytes, size, &0_u32.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_res_get(c: &mut Guest<'_>, id: i32, out: i32) -> Result<i32, Stop> {
    if WasiClock::of(id).is_none() {
        return Ok(INVAL);
    }
    let (bytes, _) = view(c)?;
    put(bytes, out, &1_000_u64.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_time_get(c: &mut Guest<'_>, id: i32, _precision: i64, out: i32) -> Result<i32, Stop> {
    let Some(clock) = WasiClock::of(id) else {
        return Ok(INVAL);
    };
    let (bytes, ctx) = view(c)?;
    let nanos = ctx.clock_nanos(clock);
    put(bytes, out, &nanos.to_le_bytes())?;
    Ok(SUCCESS)
}

fn random_get(c: &mut Guest<'_>, ptr: i32, len: i32) -> Result<i32, Stop> {
    let (bytes, ctx) = view(c)?;
    let target = span(ptr, len).of_mut(bytes)?;
    if len > RANDOM_BYTES_MAX {
        return Ok(INVAL);
    }
    for chunk in target.chunks_mut(4) {
        for (to, from) in chunk.iter_mut().zip(ctx.random_u32().to_le_bytes()) {
            *to = from;
        }
    }
    Ok(SUCCESS)
}

pub(crate) fn fd_write(
    c: &mut Guest<'_>,
    fd: i32,
    list: i32,
    count: i32,
    out: i32,
) -> Result<i32, Stop> {
    if fd != 1 && fd != 2 {
        c.data_mut().count_host_call()?;
        return Ok(BADF);
    }
    if !(0..=LIST_MAX).contains(&count) {
        c.data_mut().count_host_call()?;
        return Ok(INVAL);
    }
    let (bytes, ctx) = view(c)?;
    let mut written = 0_u64;
    for i in 0..count {
        let part = iovec(bytes, list, i)?.of(bytes)?;
        if fd == 1 && state(ctx).stdout.is_some() {
            write_output(ctx, part)?;
            written = written.saturating_add(part.len() as u64);
            continue;
        }
        // A partial write, as on a pipe: one call must not keep the host busy.
        let room = usize::try_from(LOG_WRITE_BYTES_MAX.saturating_sub(written)).unwrap_or(0);
        let fits = part.get(..room).unwrap_or(part);
        write_lines(ctx, fd, fits)?;
        written = written.saturating_add(fits.len() as u64);
        if fits.len() < part.len() {
            break;
        }
    }
    count_stream_call(ctx, count, written)?;
    let written = u32::try_from(written).unwrap_or(u32::MAX);
    put(bytes, out, &written.to_le_bytes())?;
    Ok(SUCCESS)
}

/// Adds to a command's output.
fn write_output(ctx: &mut Ctx, part: &[u8]) -> Result<(), Stop> {
    let limit = ctx.bounds.payload_bytes;
    let Some(stdout) = state(ctx).stdout.as_mut() else {
        return Ok(());
    };
    if (stdout.len() as u64).saturating_add(part.len() as u64) > limit {
        let asked = "and the guest writes more to standard output";
        return Err(Stop::limit(LimitName::PayloadBytes, limit, asked));
    }
    stdout.extend_from_slice(part);
    ctx.host.output(part);
    Ok(())
}

/// Counts a read or write of a standard stream. `host_calls` does not bound it as long as it moves
/// a byte for each of its buffers, and all of them together no more than `payload_bytes`.
pub(crate) fn count_stream_call(ctx: &mut Ctx, buffers: i32, moved: u64) -> Result<(), Stop> {
    ctx.stream_bytes = ctx.stream_bytes.saturating_add(moved);
    let is_useful = moved >= u64::from(buffers.unsigned_abs().max(1));
    if is_useful && ctx.stream_bytes <= ctx.bounds.payload_bytes {
        return Ok(());
    }
    ctx.count_host_call()
}

/// Puts complete lines into the log; keeps the rest for the next write or the turn's end.
fn write_lines(ctx: &mut Ctx, fd: i32, mut part: &[u8]) -> Result<(), Stop> {
    let level = if fd == 2 {
        LogLevel::Error
    } else {
        LogLevel::Info
    };
    let slot = usize::from(fd == 2);
    loop {
        let Some(line) = state(ctx).lines.get_mut(slot) else {
            return Ok(());
        };
        let end = part.iter().position(|byte| *byte == b'\n');
        let (head, rest) = match end {
            Some(end) => (part.get(..end).unwrap_or_default(), part.get(end + 1..)),
            None => (part, None),
        };
        // What is beyond a line's bound would be cut anyway.
        let room = LOG_LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(head.get(..room).unwrap_or(head));
        let Some(rest) = rest else { return Ok(()) };
        let line = std::mem::take(line);
        host_functions::log_bytes(ctx, level, &line)?;
        part = rest;
    }
}

/// Writes what has no line end yet: called when a turn is over.
pub(crate) fn flush(ctx: &mut Ctx) {
    for (slot, level) in [(0, LogLevel::Info), (1, LogLevel::Error)] {
        let line = ctx
            .wasi
            .as_mut()
            .and_then(|wasi| wasi.lines.get_mut(slot).map(std::mem::take));
        if let Some(line) = line.filter(|line| !line.is_empty()) {
            // Nobody is left to be told: the turn is over.
            let _ = host_functions::log_bytes(ctx, level, &line);
        }
    }
}

pub(crate) fn fd_read(
    c: &mut Guest<'_>,
    fd: i32,
    list: i32,
    count: i32,
    out: i32,
) -> Result<i32, Stop> {
    if fd != 0 {
        c.data_mut().count_host_call()?;
        return Ok(BADF);
    }
    if !(0..=LIST_MAX).contains(&count) {
        c.data_mut().count_host_call()?;
        return Ok(INVAL);
    }
    let (bytes, ctx) = view(c)?;
    let mut read = 0_u64;
    for i in 0..count {
        let target = iovec(bytes, list, i)?.of_mut(bytes)?;
        let stdin = &mut state(ctx).stdin;
        let n = target.len().min(stdin.len());
        let part = stdin.split_to(n);
        if let Some(target) = target.get_mut(..n) {
            target.copy_from_slice(&part);
        }
        read = read.saturating_add(n as u64);
    }
    count_stream_call(ctx, count, read)?;
    let read = u32::try_from(read).unwrap_or(u32::MAX);
    put(bytes, out, &read.to_le_bytes())?;
    Ok(SUCCESS)
}

pub(crate) fn fd_fdstat_get(c: &mut Guest<'_>, fd: i32, out: i32) -> Result<i32, Stop> {
    if !is_standard(fd) {
        return Ok(BADF);
    }
    let (bytes, ctx) = view(c)?;
    let mut stat = [0_u8; 24];
    // As a terminal, so that libraries write line by line; a command's streams are plain.
    let terminal = state(ctx).stdout.is_none();
    stat[0] = if terminal { 2 } else { 0 };
    // Rights: read, write, poll.
    stat[8..16].copy_from_slice(&((1_u64 << 1) | (1 << 6) | (1 << 27)).to_le_bytes());
    put(bytes, out, &stat)?;
    Ok(SUCCESS)
}

pub(crate) fn fd_filestat_get(c: &mut Guest<'_>, fd: i32, out: i32) -> Result<i32, Stop> {
    if !is_standard(fd) {
        return Ok(BADF);
    }
    let (bytes, ctx) = view(c)?;
    let mut stat = [0_u8; 64];
    stat[16] = if state(ctx).stdout.is_none() { 2 } else { 0 };
    put(bytes, out, &stat)?;
    Ok(SUCCESS)
}
