//! The functions of WASI preview 1 on files: arguments in, what [`crate::files`] answers out.
//!
//! What may wait for a disk is done on another thread while the guest is suspended, so that `wall`
//! ends it and no shard waits. Pointers are checked before anything is done.

use caxton_model::{ErrorCode, LimitName};
use rustix::fs::Stat;
use wasmtime::Linker;

use crate::{
    LogLevel,
    ctx::{Ctx, Stop, limit_fault},
    files::{self, Failed, Files, Times, Whence},
    guest_memory::{span, view},
    host_functions::{Guest, wall_is_over},
    wasi::{self, LIST_MAX, count_stream_call, iovec, is_standard, put},
    wasi_errno::{BADF, DQUOT, FBIG, INVAL, IO, NAMETOOLONG, NOTSUP, SUCCESS},
    wasi_granted, wasi_paths,
};

pub(crate) type Answer = Result<i32, Stop>;
/// What came of an operation, or the number that the guest gets.
pub(crate) type Performed<T> = Result<Result<T, i32>, Stop>;

/// What one read, write or listing moves at most; the guest asks again for the rest. Unit: bytes.
const MOVED_BYTES_MAX: usize = 1 << 20;
/// All rights there are in preview 1, of a file: reading and writing are told apart.
pub(crate) const RIGHT_READ: i64 = 1 << 1;
pub(crate) const RIGHT_WRITE: i64 = 1 << 6;
/// Everything that is done with files: seek, flags, sync, advise, allocate, status, size, times, poll.
const RIGHTS_FILE: u64 = 0x08e0_01bd;
/// Everything that is done with directories, and what their files inherit.
const RIGHTS_DIRECTORY: u64 = 0x0fff_ffff;

/// The value of an operation; the function ends with the number of one that failed.
macro_rules! done {
    ($performed:expr) => {
        match $performed? {
            Ok(value) => value,
            Err(errno) => return Ok(errno),
        }
    };
}

pub(crate) use done;

/// Performs an operation where it may wait, and suspends the guest meanwhile.
///
/// Cancel: one that was begun is performed to its end.
pub(crate) async fn perform<T: Send + 'static>(
    c: &mut Guest<'_>,
    work: impl FnOnce(&mut Files) -> Result<T, Failed> + Send + 'static,
) -> Performed<T> {
    let ctx = c.data_mut();
    let Some(files) = wasi_granted::files(ctx) else {
        return Ok(Err(BADF));
    };
    let (meter, wall) = (ctx.meter.clone(), ctx.bounds.wall_nanos);
    let performing = tokio::task::spawn_blocking(move || files::with(&files, work));
    match meter.wait(wall, performing).await {
        Some(Ok(result)) => settle(c.data_mut(), result),
        Some(Err(error)) => {
            tracing::error!(%error, "an operation on a guest's files was lost");
            Ok(Err(IO))
        }
        None => Err(wall_is_over(wall)),
    }
}

/// Performs an operation that waits for nothing.
fn at_once<T>(
    c: &mut Guest<'_>,
    work: impl FnOnce(&mut Files) -> Result<T, Failed>,
) -> Performed<T> {
    let ctx = c.data_mut();
    let Some(files) = wasi_granted::files(ctx) else {
        return Ok(Err(BADF));
    };
    settle(ctx, files::with(&files, work))
}

/// Tells whoever looks after the guest why something was not done.
fn settle<T>(ctx: &mut Ctx, result: Result<T, Failed>) -> Performed<T> {
    Ok(Err(match result {
        Ok(value) => return Ok(Ok(value)),
        Err(Failed::Errno(errno)) => errno,
        Err(Failed::Denied(denied, errno)) => {
            ctx.host.denied(&denied);
            errno
        }
        Err(Failed::Over(name, limit, asked)) => {
            let fault = limit_fault(name, limit, &asked);
            ctx.host.log(LogLevel::Warn, &fault.text);
            if name == LimitName::FileBytes {
                FBIG
            } else {
                DQUOT
            }
        }
        Err(Failed::Revoked(denied)) => {
            return Err(Stop::new(ErrorCode::Denied, denied.to_string()));
        }
    }))
}

/// Checks where an answer goes, before anything is done.
pub(crate) fn check_out(c: &mut Guest<'_>, out: i32, len: i32) -> Result<(), Stop> {
    let (bytes, _) = view(c)?;
    span(out, len).within(bytes.len()).map(drop)
}

pub(crate) fn answer(c: &mut Guest<'_>, out: i32, bytes: &[u8]) -> Answer {
    let (memory, _) = view(c)?;
    put(memory, out, bytes)?;
    Ok(SUCCESS)
}

fn unsigned(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

/// Defines one function; whether it is one of files.
pub(crate) fn define(linker: &mut Linker<Ctx>, name: &str) -> wasmtime::Result<bool> {
    // Standard streams answer as they do without files.
    macro_rules! of_fd {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {{
            let standard = wasi::refusal(name).0;
            linker.func_wrap_async(wasi::MODULE, name, move |mut c: Guest<'_>, (fd, $($arg,)*): (i32, $($ty,)*)| Box::new(async move {
                c.data_mut().count_host_call()?;
                if is_standard(fd) {
                    return Ok(standard);
                }
                Ok::<i32, wasmtime::Error>($function(&mut c, fd, $($arg),*).await?)
            }))?
        }};
    }
    macro_rules! of_path {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {
            linker.func_wrap_async(wasi::MODULE, name, |mut c: Guest<'_>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                c.data_mut().count_host_call()?;
                Ok::<i32, wasmtime::Error>($function(&mut c, $($arg),*).await?)
            }))?
        };
    }
    // What moves bytes counts its own calls.
    macro_rules! moving {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {
            linker.func_wrap_async(wasi::MODULE, name, |mut c: Guest<'_>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                Ok::<i32, wasmtime::Error>($function(&mut c, $($arg),*).await?)
            }))?
        };
    }
    match name {
        "fd_read" => moving!(fd_read(fd: i32, list: i32, count: i32, out: i32)),
        "fd_write" => moving!(fd_write(fd: i32, list: i32, count: i32, out: i32)),
        "fd_pread" => moving!(fd_pread(fd: i32, list: i32, count: i32, offset: i64, out: i32)),
        "fd_pwrite" => moving!(fd_pwrite(fd: i32, list: i32, count: i32, offset: i64, out: i32)),
        "fd_fdstat_get" => of_path!(fd_fdstat_get(fd: i32, out: i32)),
        "fd_filestat_get" => of_path!(fd_filestat_get(fd: i32, out: i32)),
        "fd_advise" => of_fd!(fd_advise(offset: i64, len: i64, advice: i32)),
        "fd_allocate" => of_fd!(fd_allocate(offset: i64, len: i64)),
        "fd_close" => of_fd!(fd_close()),
        "fd_datasync" => of_fd!(fd_datasync()),
        "fd_sync" => of_fd!(fd_sync()),
        "fd_fdstat_set_flags" => of_fd!(fd_fdstat_set_flags(flags: i32)),
        "fd_fdstat_set_rights" => of_fd!(fd_fdstat_set_rights(base: i64, inheriting: i64)),
        "fd_filestat_set_size" => of_fd!(fd_filestat_set_size(size: i64)),
        "fd_filestat_set_times" => {
            of_fd!(fd_filestat_set_times(access: i64, modification: i64, flags: i32))
        }
        "fd_prestat_get" => of_fd!(fd_prestat_get(out: i32)),
        "fd_prestat_dir_name" => of_fd!(fd_prestat_dir_name(ptr: i32, len: i32)),
        "fd_readdir" => of_fd!(fd_readdir(ptr: i32, len: i32, cookie: i64, out: i32)),
        "fd_renumber" => of_path!(fd_renumber(from: i32, to: i32)),
        "fd_seek" => of_fd!(fd_seek(by: i64, whence: i32, out: i32)),
        "fd_tell" => of_fd!(fd_tell(out: i32)),
        _ => return wasi_paths::define(linker, name),
    };
    Ok(true)
}

async fn fd_read(c: &mut Guest<'_>, fd: i32, list: i32, count: i32, out: i32) -> Answer {
    if is_standard(fd) {
        return wasi::fd_read(c, fd, list, count, out);
    }
    read_at(c, fd, list, count, None, out).await
}

async fn fd_pread(
    c: &mut Guest<'_>,
    fd: i32,
    list: i32,
    count: i32,
    offset: i64,
    out: i32,
) -> Answer {
    match (is_standard(fd), unsigned(offset)) {
        (false, Some(offset)) => read_at(c, fd, list, count, Some(offset), out).await,
        (is_standard, _) => refuse_moving(c, is_standard, "fd_pread"),
    }
}

async fn fd_write(c: &mut Guest<'_>, fd: i32, list: i32, count: i32, out: i32) -> Answer {
    if is_standard(fd) {
        return wasi::fd_write(c, fd, list, count, out);
    }
    write_at(c, fd, list, count, None, out).await
}

async fn fd_pwrite(
    c: &mut Guest<'_>,
    fd: i32,
    list: i32,
    count: i32,
    offset: i64,
    out: i32,
) -> Answer {
    match (is_standard(fd), unsigned(offset)) {
        (false, Some(offset)) => write_at(c, fd, list, count, Some(offset), out).await,
        (is_standard, _) => refuse_moving(c, is_standard, "fd_pwrite"),
    }
}

fn refuse_moving(c: &mut Guest<'_>, is_standard: bool, name: &str) -> Answer {
    c.data_mut().count_host_call()?;
    Ok(if is_standard {
        wasi::refusal(name).0
    } else {
        INVAL
    })
}

async fn read_at(
    c: &mut Guest<'_>,
    fd: i32,
    list: i32,
    count: i32,
    offset: Option<u64>,
    out: i32,
) -> Answer {
    if !(0..=LIST_MAX).contains(&count) {
        c.data_mut().count_host_call()?;
        return Ok(INVAL);
    }
    check_out(c, out, 4)?;
    let (bytes, _) = view(c)?;
    let mut len = 0_usize;
    for i in 0..count {
        len = len.saturating_add(iovec(bytes, list, i)?.within(bytes.len())?.len());
    }
    let len = len.min(MOVED_BYTES_MAX);
    let performed = perform(c, move |files| files.read(fd, len, offset)).await?;
    let moved = performed.as_ref().map_or(0, Vec::len);
    count_stream_call(c.data_mut(), count, moved as u64)?;
    let read = match performed {
        Ok(read) => read,
        Err(errno) => return Ok(errno),
    };
    let (bytes, _) = view(c)?;
    let mut rest = &*read;
    for i in 0..count {
        let target = iovec(bytes, list, i)?.of_mut(bytes)?;
        let (part, left) = rest.split_at(target.len().min(rest.len()));
        if let Some(target) = target.get_mut(..part.len()) {
            target.copy_from_slice(part);
        }
        rest = left;
    }
    put(bytes, out, &length(moved))?;
    Ok(SUCCESS)
}

async fn write_at(
    c: &mut Guest<'_>,
    fd: i32,
    list: i32,
    count: i32,
    offset: Option<u64>,
    out: i32,
) -> Answer {
    if !(0..=LIST_MAX).contains(&count) {
        c.data_mut().count_host_call()?;
        return Ok(INVAL);
    }
    check_out(c, out, 4)?;
    let (bytes, _) = view(c)?;
    let mut given = Vec::new();
    for i in 0..count {
        let part = iovec(bytes, list, i)?.of(bytes)?;
        let room = MOVED_BYTES_MAX.saturating_sub(given.len());
        given.extend_from_slice(part.get(..room).unwrap_or(part));
    }
    let performed = perform(c, move |files| files.write(fd, &given, offset)).await?;
    let moved = *performed.as_ref().unwrap_or(&0);
    count_stream_call(c.data_mut(), count, moved as u64)?;
    match performed {
        Ok(written) => answer(c, out, &length(written)),
        Err(errno) => Ok(errno),
    }
}

/// A number of bytes within [`MOVED_BYTES_MAX`].
pub(crate) fn length(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

async fn fd_fdstat_get(c: &mut Guest<'_>, fd: i32, out: i32) -> Answer {
    if is_standard(fd) {
        return wasi::fd_fdstat_get(c, fd, out);
    }
    let found = done!(at_once(c, |files| files.fd_stat(fd)));
    let (kind, rights) = if found.is_directory {
        (3, RIGHTS_DIRECTORY)
    } else {
        let reads = if found.reads { RIGHT_READ } else { 0 };
        let writes = if found.writes { RIGHT_WRITE } else { 0 };
        (4, RIGHTS_FILE | (reads | writes).cast_unsigned())
    };
    let mut stat = [0_u8; 24];
    stat[0] = kind;
    stat[2..4].copy_from_slice(&found.flags.to_le_bytes());
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    stat[16..24].copy_from_slice(&rights.to_le_bytes());
    answer(c, out, &stat)
}

async fn fd_filestat_get(c: &mut Guest<'_>, fd: i32, out: i32) -> Answer {
    if is_standard(fd) {
        return wasi::fd_filestat_get(c, fd, out);
    }
    check_out(c, out, 64)?;
    let stat = done!(perform(c, move |files| files.stat(fd)).await);
    answer(c, out, &file_stat(&stat))
}

/// A status as preview 1 has it.
pub(crate) fn file_stat(stat: &Stat) -> [u8; 64] {
    let nanos = |secs: i64, nanos: u64| {
        let secs = u64::try_from(secs).unwrap_or(0);
        secs.saturating_mul(1_000_000_000).saturating_add(nanos)
    };
    let mut out = [0_u8; 64];
    let mut put = |at: usize, value: u64| {
        if let Some(to) = out.get_mut(at..at + 8) {
            to.copy_from_slice(&value.to_le_bytes());
        }
    };
    put(0, stat.st_dev);
    put(8, stat.st_ino);
    put(16, u64::from(files::file_type_of(stat)));
    put(24, stat.st_nlink);
    put(32, u64::try_from(stat.st_size).unwrap_or(0));
    put(40, nanos(stat.st_atime, stat.st_atime_nsec));
    put(48, nanos(stat.st_mtime, stat.st_mtime_nsec));
    put(56, nanos(stat.st_ctime, stat.st_ctime_nsec));
    out
}

async fn fd_advise(c: &mut Guest<'_>, fd: i32, offset: i64, len: i64, advice: i32) -> Answer {
    if unsigned(offset).is_none() || unsigned(len).is_none() || !(0..=5).contains(&advice) {
        return Ok(INVAL);
    }
    done!(at_once(c, |files| files.advise(fd)));
    Ok(SUCCESS)
}

async fn fd_allocate(c: &mut Guest<'_>, fd: i32, offset: i64, len: i64) -> Answer {
    let (Some(offset), Some(len)) = (unsigned(offset), unsigned(len)) else {
        return Ok(INVAL);
    };
    done!(perform(c, move |files| files.allocate(fd, offset, len)).await);
    Ok(SUCCESS)
}

async fn fd_close(c: &mut Guest<'_>, fd: i32) -> Answer {
    done!(perform(c, move |files| files.close(fd)).await);
    Ok(SUCCESS)
}

async fn fd_datasync(c: &mut Guest<'_>, fd: i32) -> Answer {
    done!(perform(c, move |files| files.sync(fd, true)).await);
    Ok(SUCCESS)
}

async fn fd_sync(c: &mut Guest<'_>, fd: i32) -> Answer {
    done!(perform(c, move |files| files.sync(fd, false)).await);
    Ok(SUCCESS)
}

async fn fd_fdstat_set_flags(c: &mut Guest<'_>, fd: i32, flags: i32) -> Answer {
    done!(at_once(c, |files| files.set_flags(fd, flags)));
    Ok(SUCCESS)
}

/// Rights follow from grants; giving some up changes nothing, and none can be gained.
async fn fd_fdstat_set_rights(c: &mut Guest<'_>, fd: i32, _: i64, _: i64) -> Answer {
    let is_open = done!(at_once(c, |files| Ok(files.is_open(fd))));
    Ok(if is_open { NOTSUP } else { BADF })
}

async fn fd_filestat_set_size(c: &mut Guest<'_>, fd: i32, size: i64) -> Answer {
    let Some(size) = unsigned(size) else {
        return Ok(INVAL);
    };
    done!(perform(c, move |files| files.set_size(fd, size)).await);
    Ok(SUCCESS)
}

async fn fd_filestat_set_times(
    c: &mut Guest<'_>,
    fd: i32,
    access: i64,
    modification: i64,
    flags: i32,
) -> Answer {
    let Some(times) = Times::read(access, modification, flags) else {
        return Ok(INVAL);
    };
    done!(perform(c, move |files| files.set_times(fd, &times)).await);
    Ok(SUCCESS)
}

async fn fd_prestat_get(c: &mut Guest<'_>, fd: i32, out: i32) -> Answer {
    let len = done!(at_once(c, |files| files.preopened(fd).map(str::len)));
    let mut stat = [0_u8; 8];
    stat[4..].copy_from_slice(&length(len));
    answer(c, out, &stat)
}

async fn fd_prestat_dir_name(c: &mut Guest<'_>, fd: i32, ptr: i32, len: i32) -> Answer {
    let name = done!(at_once(c, |files| files.preopened(fd).map(str::to_owned)));
    let (bytes, _) = view(c)?;
    let into = span(ptr, len).of_mut(bytes)?;
    let Some(into) = into.get_mut(..name.len()) else {
        return Ok(NAMETOOLONG);
    };
    into.copy_from_slice(name.as_bytes());
    Ok(SUCCESS)
}

async fn fd_readdir(
    c: &mut Guest<'_>,
    fd: i32,
    ptr: i32,
    len: i32,
    cookie: i64,
    out: i32,
) -> Answer {
    check_out(c, out, 4)?;
    let (bytes, _) = view(c)?;
    let room = span(ptr, len).within(bytes.len())?.len();
    let room = room.min(MOVED_BYTES_MAX);
    let cookie = cookie.cast_unsigned();
    let list = done!(perform(c, move |files| files.list(fd, cookie, room)).await);
    answer(c, ptr, &list)?;
    answer(c, out, &length(list.len()))
}

async fn fd_renumber(c: &mut Guest<'_>, from: i32, to: i32) -> Answer {
    if is_standard(from) || is_standard(to) {
        return Ok(NOTSUP);
    }
    done!(perform(c, move |files| files.renumber(from, to)).await);
    Ok(SUCCESS)
}

async fn fd_seek(c: &mut Guest<'_>, fd: i32, by: i64, whence: i32, out: i32) -> Answer {
    let whence = match whence {
        0 => Whence::Start,
        1 => Whence::Current,
        2 => Whence::End,
        _ => return Ok(INVAL),
    };
    check_out(c, out, 8)?;
    let position = done!(at_once(c, |files| files.seek(fd, by, whence)));
    answer(c, out, &position.to_le_bytes())
}

async fn fd_tell(c: &mut Guest<'_>, fd: i32, out: i32) -> Answer {
    fd_seek(c, fd, 0, 1, out).await
}
