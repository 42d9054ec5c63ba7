//! Meets one import by the type that the module gives it.

use caxton_model::Permissions;
use caxton_package::ImportReport;
use wasmtime::Linker;

use crate::{
    ctx::Ctx,
    host_functions::{self as host, Guest},
    wasi, wasi_granted,
};

/// An import under `caxton` or `env`.
struct Import<'a> {
    module: &'a str,
    name: &'a str,
    /// Whether the module takes the function's number.
    result: bool,
}

/// A function with its number, or without, as the module wants it.
macro_rules! both {
    ($linker:ident, $import:ident, $function:ident ( $($arg:ident : $ty:ty),* )) => {
        if $import.result {
            one!($linker, $import, $function($($arg: $ty),*) -> i32)
        } else {
            $linker.func_wrap($import.module, $import.name, |mut c: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<()> {
                c.data_mut().count_host_call()?;
                host::$function(&mut c, $($arg),*)?;
                Ok(())
            })?
        }
    };
}

/// A function with one type.
macro_rules! one {
    ($linker:ident, $import:ident, $function:ident ( $($arg:ident : $ty:ty),* ) -> $out:ty) => {
        $linker.func_wrap($import.module, $import.name, |mut c: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<$out> {
            c.data_mut().count_host_call()?;
            Ok(host::$function(&mut c, $($arg),*)?)
        })?
    };
}

/// As [`both`], for functions that may suspend the guest.
macro_rules! suspending {
    ($linker:ident, $import:ident, $function:ident ( $($arg:ident : $ty:ty),* )) => {
        if $import.result {
            $linker.func_wrap_async($import.module, $import.name, |mut c: Guest<'_>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                c.data_mut().count_host_call()?;
                Ok::<i32, wasmtime::Error>(host::$function(&mut c, $($arg),*).await?)
            }))?
        } else {
            $linker.func_wrap_async($import.module, $import.name, |mut c: Guest<'_>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                c.data_mut().count_host_call()?;
                let _ = host::$function(&mut c, $($arg),*).await?;
                Ok::<(), wasmtime::Error>(())
            }))?
        }
    };
}

/// Defines one import with the type that the module gives it; whether the host has it.
pub(crate) fn define(
    linker: &mut Linker<Ctx>,
    import: &ImportReport,
    granted: &Permissions,
) -> wasmtime::Result<bool> {
    if import.module == "wasi_snapshot_preview1" {
        return Ok(wasi_granted::define(linker, &import.name, granted)?
            || wasi::define(linker, &import.name)?);
    }
    if !caxton_package::is_host_module(&import.module) {
        return Ok(false);
    }
    let result = import
        .signature
        .as_ref()
        .is_some_and(|ty| !ty.results.is_empty());
    let import = Import {
        module: &import.module,
        name: &import.name,
        result,
    };
    Ok(messages(linker, &import)?
        || state_and_time(linker, &import)?
        || tables(linker, &import)?
        || rest(linker, &import)?)
}

fn tables(linker: &mut Linker<Ctx>, import: &Import<'_>) -> wasmtime::Result<bool> {
    match import.name {
        "data_get" => {
            one!(linker, import, data_get(row: i32, row_len: i32, ptr: i32, len: i32) -> i32)
        }
        "data_put" => {
            both!(linker, import, data_put(row: i32, row_len: i32, ptr: i32, len: i32))
        }
        "data_delete" => both!(linker, import, data_delete(row: i32, row_len: i32)),
        "data_list" => {
            one!(linker, import, data_list(query: i32, query_len: i32, ptr: i32, len: i32) -> i32)
        }
        _ => return Ok(false),
    };
    Ok(true)
}

fn messages(linker: &mut Linker<Ctx>, import: &Import<'_>) -> wasmtime::Result<bool> {
    match import.name {
        "send_message" => both!(linker, import, send_message(ptr: i32, len: i32)),
        "send_local_message" => {
            both!(linker, import, send_local_message(id: i32, id_len: i32, ptr: i32, len: i32))
        }
        "broadcast_message" => {
            both!(linker, import, broadcast_message(filter: i32, filter_len: i32, ptr: i32, len: i32))
        }
        "event_emit" => {
            both!(linker, import, event_emit(topic: i32, topic_len: i32, ptr: i32, len: i32))
        }
        "subscribe_messages" => both!(linker, import, subscribe_messages(ptr: i32, len: i32)),
        "unsubscribe_messages" => both!(linker, import, unsubscribe_messages(id: i32)),
        "register_capabilities" => both!(linker, import, register_capabilities(ptr: i32, len: i32)),
        "respond" => both!(linker, import, respond(ptr: i32, len: i32)),
        _ => return Ok(false),
    };
    Ok(true)
}

fn state_and_time(linker: &mut Linker<Ctx>, import: &Import<'_>) -> wasmtime::Result<bool> {
    match import.name {
        "load_data" => {
            suspending!(linker, import, load_data(k: i32, klen: i32, ptr: i32, len: i32))
        }
        "store_data" => {
            suspending!(linker, import, store_data(k: i32, klen: i32, ptr: i32, len: i32))
        }
        "delete_data" => suspending!(linker, import, delete_data(k: i32, klen: i32)),
        "config_get" => {
            one!(linker, import, config_get(k: i32, klen: i32, ptr: i32, len: i32) -> i32)
        }
        "http_request" | "host_network_request" => {
            suspending!(linker, import, http_request(ptr: i32, len: i32))
        }
        "vault_get" => {
            one!(linker, import, vault_get(name: i32, name_len: i32, ptr: i32, len: i32) -> i32)
        }
        "vault_put" => {
            suspending!(linker, import, vault_put(name: i32, name_len: i32, ptr: i32, len: i32))
        }
        "read_response" => one!(linker, import, read_response(ptr: i32, len: i32) -> i32),
        "set_timer" => both!(linker, import, set_timer(delay_micros: i64)),
        "cancel_timer" => both!(linker, import, cancel_timer(id: i32)),
        "current_timestamp" => one!(linker, import, current_timestamp() -> i64),
        "sleep_micros" => linker.func_wrap_async(
            import.module,
            import.name,
            |mut c: Guest<'_>, (micros,): (i64,)| {
                Box::new(async move {
                    c.data_mut().count_host_call()?;
                    host::sleep_micros(&mut c, micros).await?;
                    Ok::<(), wasmtime::Error>(())
                })
            },
        )?,
        _ => return Ok(false),
    };
    Ok(true)
}

fn rest(linker: &mut Linker<Ctx>, import: &Import<'_>) -> wasmtime::Result<bool> {
    match import.name {
        "console_log" => both!(linker, import, console_log(ptr: i32, len: i32)),
        "console_error" => both!(linker, import, console_error(ptr: i32, len: i32)),
        "log_record" => both!(linker, import, log_record(level: i32, ptr: i32, len: i32)),
        "metric" => both!(linker, import, metric(kind: i32, ptr: i32, len: i32, value: f64)),
        "random_u32" => one!(linker, import, random_u32() -> i32),
        "seed" => one!(linker, import, seed() -> f64),
        "abort" => linker.func_wrap(
            import.module,
            import.name,
            |mut c: Guest<'_>,
             message: i32,
             file: i32,
             line: i32,
             column: i32|
             -> wasmtime::Result<()> {
                Err(host::abort(&mut c, message, file, line, column).into())
            },
        )?,
        _ => return Ok(false),
    };
    Ok(true)
}
