//! The closed table of what a guest may import, and the class of each import.

use caxton_model::{ImportClass, Permission};

use crate::Signature;

/// One function that the host offers under `caxton` and `env`.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// The import's name.
    pub name: &'static str,
    /// The types it may be imported with, in the short form of [`Signature::short`].
    pub types: &'static [&'static str],
    /// What it can do.
    pub class: ImportClass,
    /// The permission whose patterns bound what it reaches, if one does.
    pub permission: Option<Permission>,
    /// Whether only `env` offers it.
    pub env_only: bool,
}

const fn row(name: &'static str, types: &'static [&'static str]) -> Offered {
    Offered {
        name,
        types,
        class: ImportClass::Baseline,
        permission: None,
        env_only: false,
    }
}
const fn with(offered: Offered, permission: Permission) -> Offered {
    Offered {
        permission: Some(permission),
        ..offered
    }
}
const fn right(
    name: &'static str,
    types: &'static [&'static str],
    permission: Permission,
) -> Offered {
    let class = ImportClass::Right(permission);
    Offered {
        name,
        types,
        class,
        permission: Some(permission),
        env_only: false,
    }
}
const fn env(name: &'static str, types: &'static [&'static str]) -> Offered {
    Offered {
        env_only: true,
        class: ImportClass::Plumbing,
        ..row(name, types)
    }
}

/// Everything that links under `caxton` and `env`, with or without a result where a result is given.
pub const OFFERED: &[Offered] = &[
    with(
        row("send_message", &["ii>i", "ii"]),
        Permission::MessageSend,
    ),
    with(
        row("send_local_message", &["iiii>i", "iiii"]),
        Permission::MessageSend,
    ),
    with(
        row("broadcast_message", &["iiii>i", "iiii"]),
        Permission::MessageSend,
    ),
    with(
        row("subscribe_messages", &["ii>i", "ii"]),
        Permission::MessageListen,
    ),
    row("unsubscribe_messages", &["i>i", "i"]),
    row("store_data", &["iiii>i", "iiii"]),
    row("load_data", &["iiii>i"]),
    row("delete_data", &["ii>i", "ii"]),
    row("set_timer", &["I>i", "I"]),
    row("cancel_timer", &["i>i", "i"]),
    row("current_timestamp", &[">I"]),
    row("random_u32", &[">i"]),
    row("sleep_micros", &["I"]),
    row("console_log", &["ii"]),
    row("console_error", &["ii"]),
    row("log_record", &["iii", "iii>i"]),
    row("metric", &["iiiF", "iiiF>i"]),
    row("register_capabilities", &["ii>i", "ii"]),
    row("config_get", &["iiii>i"]),
    row("respond", &["ii", "ii>i"]),
    env("abort", &["iiii"]),
    env("seed", &[">F"]),
    right("http_request", &["ii>i", "ii"], Permission::HttpRead),
    right(
        "host_network_request",
        &["ii>i", "ii"],
        Permission::HttpRead,
    ),
    right("read_response", &["ii>i"], Permission::HttpRead),
    right("vault_get", &["iiii>i"], Permission::VaultRead),
    right("vault_put", &["iiii>i", "iiii"], Permission::VaultWrite),
    right("event_emit", &["iiii>i", "iiii"], Permission::EventEmit),
    right("data_get", &["iiii>i"], Permission::DataRead),
    right("data_list", &["iiii>i"], Permission::DataRead),
    right("data_put", &["iiii>i", "iiii"], Permission::DataWrite),
    right("data_delete", &["ii>i", "ii"], Permission::DataWrite),
];

/// Whether functions of [`OFFERED`] live under this module name.
#[must_use]
pub fn is_host_module(module: &str) -> bool {
    matches!(module, "caxton" | "env")
}

/// What the host offers under that name.
#[must_use]
pub fn offered(module: &str, name: &str) -> Option<&'static Offered> {
    if !is_host_module(module) {
        return None;
    }
    OFFERED
        .iter()
        .find(|row| row.name == name && (!row.env_only || module == "env"))
}

/// The functions of WASI preview 1 (`wasi_snapshot_preview1`) with their types.
pub const WASI_P1: &[(&str, &str)] = &[
    ("args_get", "ii>i"),
    ("args_sizes_get", "ii>i"),
    ("environ_get", "ii>i"),
    ("environ_sizes_get", "ii>i"),
    ("clock_res_get", "ii>i"),
    ("clock_time_get", "iIi>i"),
    ("fd_advise", "iIIi>i"),
    ("fd_allocate", "iII>i"),
    ("fd_close", "i>i"),
    ("fd_datasync", "i>i"),
    ("fd_fdstat_get", "ii>i"),
    ("fd_fdstat_set_flags", "ii>i"),
    ("fd_fdstat_set_rights", "iII>i"),
    ("fd_filestat_get", "ii>i"),
    ("fd_filestat_set_size", "iI>i"),
    ("fd_filestat_set_times", "iIIi>i"),
    ("fd_pread", "iiiIi>i"),
    ("fd_prestat_get", "ii>i"),
    ("fd_prestat_dir_name", "iii>i"),
    ("fd_pwrite", "iiiIi>i"),
    ("fd_read", "iiii>i"),
    ("fd_readdir", "iiiIi>i"),
    ("fd_renumber", "ii>i"),
    ("fd_seek", "iIii>i"),
    ("fd_sync", "i>i"),
    ("fd_tell", "ii>i"),
    ("fd_write", "iiii>i"),
    ("path_create_directory", "iii>i"),
    ("path_filestat_get", "iiiii>i"),
    ("path_filestat_set_times", "iiiiIIi>i"),
    ("path_link", "iiiiiii>i"),
    ("path_open", "iiiiiIIii>i"),
    ("path_readlink", "iiiiii>i"),
    ("path_remove_directory", "iii>i"),
    ("path_rename", "iiiiii>i"),
    ("path_symlink", "iiiii>i"),
    ("path_unlink_file", "iii>i"),
    ("poll_oneoff", "iiii>i"),
    ("proc_exit", "i"),
    ("proc_raise", "i>i"),
    ("sched_yield", ">i"),
    ("random_get", "ii>i"),
    ("sock_accept", "iii>i"),
    ("sock_recv", "iiiiii>i"),
    ("sock_send", "iiiii>i"),
    ("sock_shutdown", "ii>i"),
];

/// The type of a preview 1 function.
#[must_use]
pub fn wasi_p1_signature(name: &str) -> Option<Signature> {
    WASI_P1
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, ty)| Signature::short(ty))
}
