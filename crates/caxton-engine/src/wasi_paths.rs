//! The functions of WASI preview 1 on paths: arguments in, what [`crate::files`] answers out.

use wasmtime::Linker;

use crate::{
    ctx::{Ctx, Stop},
    files::{At, OpenRequest, Times},
    guest_memory::{span, view},
    host_functions::Guest,
    wasi,
    wasi_errno::{INVAL, SUCCESS},
    wasi_files::{
        Answer, RIGHT_READ, RIGHT_WRITE, answer, check_out, done, file_stat, length, perform,
    },
};

/// Longer paths are refused by their length, so no more of them is read. Unit: bytes.
const PATH_BYTES_READ: usize = 4_097;

fn at(c: &mut Guest<'_>, fd: i32, ptr: i32, len: i32) -> Result<At, Stop> {
    Ok(At {
        fd,
        path: text(c, ptr, len)?,
    })
}

fn text(c: &mut Guest<'_>, ptr: i32, len: i32) -> Result<Vec<u8>, Stop> {
    let (bytes, _) = view(c)?;
    let whole = span(ptr, len).of(bytes)?;
    Ok(whole.get(..PATH_BYTES_READ).unwrap_or(whole).to_vec())
}

/// Defines one function; whether it is one of paths.
pub(crate) fn define(linker: &mut Linker<Ctx>, name: &str) -> wasmtime::Result<bool> {
    macro_rules! of_path {
        ($function:ident ( $($arg:ident : $ty:ty),* )) => {
            linker.func_wrap_async(wasi::MODULE, name, |mut c: Guest<'_>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                c.data_mut().count_host_call()?;
                Ok::<i32, wasmtime::Error>($function(&mut c, $($arg),*).await?)
            }))?
        };
    }
    match name {
        "path_create_directory" => of_path!(path_create_directory(fd: i32, ptr: i32, len: i32)),
        "path_filestat_get" => {
            of_path!(path_filestat_get(fd: i32, flags: i32, ptr: i32, len: i32, out: i32))
        }
        "path_filestat_set_times" => of_path!(path_filestat_set_times(
            fd: i32, flags: i32, ptr: i32, len: i32, access: i64, modification: i64, set: i32
        )),
        "path_link" => of_path!(path_link(
            fd: i32, flags: i32, ptr: i32, len: i32, new_fd: i32, new_ptr: i32, new_len: i32
        )),
        "path_open" => of_path!(path_open(
            fd: i32, flags: i32, ptr: i32, len: i32, how: i32,
            rights: i64, inheriting: i64, fd_flags: i32, out: i32
        )),
        "path_readlink" => of_path!(path_readlink(
            fd: i32, ptr: i32, len: i32, into: i32, into_len: i32, out: i32
        )),
        "path_remove_directory" => of_path!(path_remove_directory(fd: i32, ptr: i32, len: i32)),
        "path_rename" => of_path!(path_rename(
            fd: i32, ptr: i32, len: i32, new_fd: i32, new_ptr: i32, new_len: i32
        )),
        "path_symlink" => of_path!(path_symlink(
            target: i32, target_len: i32, fd: i32, ptr: i32, len: i32
        )),
        "path_unlink_file" => of_path!(path_unlink_file(fd: i32, ptr: i32, len: i32)),
        _ => return Ok(false),
    };
    Ok(true)
}

async fn path_create_directory(c: &mut Guest<'_>, fd: i32, ptr: i32, len: i32) -> Answer {
    let at = at(c, fd, ptr, len)?;
    done!(perform(c, move |files| files.create_directory(&at)).await);
    Ok(SUCCESS)
}

async fn path_filestat_get(
    c: &mut Guest<'_>,
    fd: i32,
    flags: i32,
    ptr: i32,
    len: i32,
    out: i32,
) -> Answer {
    check_out(c, out, 64)?;
    let at = at(c, fd, ptr, len)?;
    let stat = done!(perform(c, move |files| files.stat_path(&at, flags & 1 != 0)).await);
    answer(c, out, &file_stat(&stat))
}

#[allow(clippy::too_many_arguments, reason = "the function's own")]
async fn path_filestat_set_times(
    c: &mut Guest<'_>,
    fd: i32,
    flags: i32,
    ptr: i32,
    len: i32,
    access: i64,
    modification: i64,
    set: i32,
) -> Answer {
    let at = at(c, fd, ptr, len)?;
    let Some(times) = Times::read(access, modification, set) else {
        return Ok(INVAL);
    };
    let follow = flags & 1 != 0;
    done!(perform(c, move |files| files.set_path_times(&at, follow, &times)).await);
    Ok(SUCCESS)
}

#[allow(clippy::too_many_arguments, reason = "the function's own")]
async fn path_link(
    c: &mut Guest<'_>,
    fd: i32,
    flags: i32,
    ptr: i32,
    len: i32,
    new_fd: i32,
    new_ptr: i32,
    new_len: i32,
) -> Answer {
    let (old, new) = (at(c, fd, ptr, len)?, at(c, new_fd, new_ptr, new_len)?);
    if flags & 1 != 0 {
        return Ok(INVAL);
    }
    done!(perform(c, move |files| files.link(&old, &new)).await);
    Ok(SUCCESS)
}

#[allow(clippy::too_many_arguments, reason = "the function's own")]
async fn path_open(
    c: &mut Guest<'_>,
    fd: i32,
    flags: i32,
    ptr: i32,
    len: i32,
    how: i32,
    rights: i64,
    _inheriting: i64,
    fd_flags: i32,
    out: i32,
) -> Answer {
    check_out(c, out, 4)?;
    let at = at(c, fd, ptr, len)?;
    let Some(own) = u16::try_from(fd_flags).ok().filter(|flags| *flags < 32) else {
        return Ok(INVAL);
    };
    let request = OpenRequest {
        at,
        follow: flags & 1 != 0,
        create: how & 1 != 0,
        directory: how & 2 != 0,
        exclusive: how & 4 != 0,
        truncate: how & 8 != 0,
        // A directory is opened with all rights by some libraries: they are no wish to write to it.
        read: how & 2 == 0 && rights & RIGHT_READ != 0,
        write: how & 2 == 0 && rights & RIGHT_WRITE != 0,
        flags: own,
    };
    let opened = done!(perform(c, move |files| files.open(&request)).await);
    answer(c, out, &opened.to_le_bytes())
}

async fn path_readlink(
    c: &mut Guest<'_>,
    fd: i32,
    ptr: i32,
    len: i32,
    into: i32,
    into_len: i32,
    out: i32,
) -> Answer {
    check_out(c, out, 4)?;
    check_out(c, into, into_len)?;
    let at = at(c, fd, ptr, len)?;
    let target = done!(perform(c, move |files| files.read_link(&at)).await);
    let room = usize::try_from(into_len.cast_unsigned()).unwrap_or(0);
    let part = target.get(..room).unwrap_or(&target);
    answer(c, into, part)?;
    answer(c, out, &length(part.len()))
}

async fn path_remove_directory(c: &mut Guest<'_>, fd: i32, ptr: i32, len: i32) -> Answer {
    let at = at(c, fd, ptr, len)?;
    done!(perform(c, move |files| files.remove_directory(&at)).await);
    Ok(SUCCESS)
}

async fn path_rename(
    c: &mut Guest<'_>,
    fd: i32,
    ptr: i32,
    len: i32,
    new_fd: i32,
    new_ptr: i32,
    new_len: i32,
) -> Answer {
    let (old, new) = (at(c, fd, ptr, len)?, at(c, new_fd, new_ptr, new_len)?);
    done!(perform(c, move |files| files.rename(&old, &new)).await);
    Ok(SUCCESS)
}

async fn path_symlink(
    c: &mut Guest<'_>,
    target: i32,
    target_len: i32,
    fd: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (target, new) = (text(c, target, target_len)?, at(c, fd, ptr, len)?);
    done!(perform(c, move |files| files.symlink(&target, &new)).await);
    Ok(SUCCESS)
}

async fn path_unlink_file(c: &mut Guest<'_>, fd: i32, ptr: i32, len: i32) -> Answer {
    let at = at(c, fd, ptr, len)?;
    done!(perform(c, move |files| files.unlink(&at)).await);
    Ok(SUCCESS)
}
