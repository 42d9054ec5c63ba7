//! The settings of a node: one table of names, kinds, defaults and reasons.
//!
//! File, environment, flags, the schema and the documentation are all read off this table, so that
//! none of them can know a setting that another does not.

use std::{borrow::Cow, net::SocketAddr};

use caxton_model::{ByteSize, EngineKind, LimitName, Micros};

/// What a setting's text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingKind {
    /// A file or a folder.
    Path,
    /// `IP:PORT`; port 0 takes a free one.
    Address,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Count(u64, u64),
    /// A size with its unit.
    Bytes,
    /// A duration with its unit.
    Duration,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A line of text.
    Text,
    /// A filter of log targets and levels.
    LogFilter,
    /// The value of a limit, in that limit's unit.
    Limit(LimitName),
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its key in the file: `key`, or `section.key`.
    pub(crate) path: Cow<'static, str>,
    /// What its text must look like.
    pub(crate) kind: SettingKind,
    /// Its value where nobody says anything; empty: none.
    pub(crate) default: Cow<'static, str>,
    /// One sentence: what it does.
    pub(crate) what: Cow<'static, str>,
}

const fn setting(
    path: &'static str,
    kind: SettingKind,
    default: &'static str,
    what: &'static str,
) -> Setting {
    Setting {
        path: Cow::Borrowed(path),
        kind,
        default: Cow::Borrowed(default),
        what: Cow::Borrowed(what),
    }
}

const SETTINGS: [Setting; 30] = [
    setting(
        "data",
        SettingKind::Path,
        "",
        "Where journal, state, modules, caches and the admin token live. Default: the user's data folder, then `caxton`.",
    ),
    setting(
        "shards",
        SettingKind::Count(1, 1024),
        "",
        "Threads that run guests. Default: one per core.",
    ),
    setting(
        "policy",
        SettingKind::Path,
        "",
        "The site's policy: what it allows without asking, and forbids whatever is granted. Read at the start. Default: none.",
    ),
    setting(
        "audit",
        SettingKind::Choice(&["grouped", "sync"]),
        "grouped",
        "When an audit record is on the disk: `grouped`, within 10 ms; `sync`, before the act that it is about, which waits for it.",
    ),
    setting(
        "shutdown_grace",
        SettingKind::Duration,
        "10s",
        "How long a stopping node lets turns and requests finish.",
    ),
    setting(
        "http.listen",
        SettingKind::Address,
        "127.0.0.1:8080",
        "Where the API listens; port 0 takes a free one.",
    ),
    setting(
        "http.public_without_tls",
        SettingKind::Flag,
        "false",
        "Allows an address that others can reach without TLS of the node's own, for use behind a proxy.",
    ),
    setting(
        "http.module_bytes_max",
        SettingKind::Bytes,
        "33MiB",
        "The largest request body with a module: one of the largest size, and room for the settings.",
    ),
    setting(
        "http.connections_max",
        SettingKind::Count(1, 1_000_000),
        "900",
        "Connections at the same time; one more closes the oldest that has shown no token, or is answered 503.",
    ),
    setting(
        "http.streams_max",
        SettingKind::Count(1, 1_000_000),
        "500",
        "Event and log streams at the same time; more are answered 429.",
    ),
    setting(
        "http.request_timeout",
        SettingKind::Duration,
        "60s",
        "How long a request may take, the time it asked to wait not counted.",
    ),
    setting(
        "tls.cert",
        SettingKind::Path,
        "",
        "The certificate chain, PEM. Both or none of `cert` and `key`.",
    ),
    setting(
        "tls.key",
        SettingKind::Path,
        "",
        "The certificate's private key, PEM.",
    ),
    setting(
        "egress.http_proxy",
        SettingKind::Text,
        "",
        "The proxy for outgoing requests of guests to `http` URLs: `http://[USER:PASSWORD@]HOST:PORT`. Default: none; no variable of the environment but CAXTON_EGRESS_HTTP_PROXY names one.",
    ),
    setting(
        "egress.https_proxy",
        SettingKind::Text,
        "",
        "The same for `https` URLs.",
    ),
    setting(
        "egress.no_proxy",
        SettingKind::Text,
        "",
        "Hosts that are connected to without a proxy, apart by commas: a name with all names below it, an address, a range such as `10.0.0.0/8`, or `*`.",
    ),
    setting(
        "egress.proxy_resolves_names",
        SettingKind::Flag,
        "false",
        "Gives a proxy the name of a host, where this machine can't resolve it. Then no gate sees the address, and the proxy itself must keep guests away from private ranges.",
    ),
    setting(
        "egress.authorities",
        SettingKind::Path,
        "",
        "A PEM file of certificate authorities that outgoing requests trust beside the system's.",
    ),
    setting(
        "egress.system_authorities",
        SettingKind::Flag,
        "true",
        "Whether outgoing requests trust the system's certificate authorities.",
    ),
    setting(
        "vault.key",
        SettingKind::Path,
        "",
        "The file with the vault's key; it is made if it is absent and the vault is empty. Without a key the vault is closed.",
    ),
    setting(
        "engine.kind",
        SettingKind::Choice(&["cranelift", "pulley"]),
        "cranelift",
        "What turns guest code into action; pulley needs no executable memory and is slower.",
    ),
    setting(
        "engine.compile_worker",
        SettingKind::Flag,
        "true",
        "Compiles each module in a limited process of its own.",
    ),
    setting(
        "engine.cache_bytes_max",
        SettingKind::Bytes,
        "2GiB",
        "Compiled modules kept on disk; the least recently used go first.",
    ),
    setting(
        "engine.perf_map",
        SettingKind::Flag,
        "false",
        "Writes a map with which `perf` shows guest functions.",
    ),
    setting(
        "budgets.agents",
        SettingKind::Count(1, 10_000_000),
        "100000",
        "Agents this node takes; the next one is refused.",
    ),
    setting(
        "budgets.memory",
        SettingKind::Bytes,
        "",
        "Memory of this process above which guests get no more and idle instances go; a quarter above it the largest guests at work are faulted. Default: 60 % of the machine's memory, or of the control group's limit.",
    ),
    setting(
        "budgets.disk",
        SettingKind::Bytes,
        "10GiB",
        "Disk that journal, state and modules may take; above it no message, module or value is taken.",
    ),
    setting(
        "budgets.data_bytes",
        SettingKind::Bytes,
        "64MiB",
        "What the rows of one namespace may take in shared tables; above it a row that is written is refused.",
    ),
    setting(
        "log.filter",
        SettingKind::LogFilter,
        "info",
        "What is logged: a level, or targets with levels such as `warn,caxton_node=debug`.",
    ),
    setting(
        "log.format",
        SettingKind::Choice(&["text", "json"]),
        "text",
        "How log lines are written to stderr.",
    ),
];

/// All settings, in the order of the documentation.
pub(crate) fn settings() -> Vec<Setting> {
    let ceilings = LimitName::ALL.iter().map(|name| Setting {
        path: Cow::Owned(format!("ceilings.{name}")),
        kind: SettingKind::Limit(*name),
        default: Cow::Borrowed("unlimited"),
        what: Cow::Owned(format!(
            "The most that a guest may ask for. {}",
            name.what()
        )),
    });
    SETTINGS.into_iter().chain(ceilings).collect()
}

impl Setting {
    /// The environment variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("CAXTON_{}", self.path.replace('.', "_").to_uppercase())
    }
    /// The section it stands in, empty for the outermost, and its key there.
    pub(crate) fn place(&self) -> (&str, &str) {
        self.path.split_once('.').unwrap_or(("", &self.path))
    }
    /// Judges a text.
    ///
    /// Errors: a sentence that says what would be right.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        self.kind.check(text)
    }
}

impl SettingKind {
    fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Path if text.is_empty() => Err("expected a path, got an empty text".to_owned()),
            Self::Path => Ok(()),
            Self::Address => text.parse::<SocketAddr>().map(drop).map_err(|_| {
                format!("expected an address such as `127.0.0.1:8080` or `[::1]:0`, got `{text}`")
            }),
            Self::Flag if matches!(text, "true" | "false") => Ok(()),
            Self::Flag => Err(format!("expected `true` or `false`, got `{text}`")),
            Self::Count(least, most) => match text.replace('_', "").parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ => Err(format!(
                    "expected a whole number from {least} to {most}, got `{text}`"
                )),
            },
            Self::Bytes => text
                .parse::<ByteSize>()
                .map(drop)
                .map_err(|e| e.to_string()),
            Self::Duration => text.parse::<Micros>().map(drop).map_err(|e| e.to_string()),
            Self::Choice(words) if words.contains(&text) => Ok(()),
            Self::Choice(words) => match caxton_model::nearest(text, words.iter().copied()) {
                Some(near) => Err(format!("`{text}` can't be used; did you mean `{near}`?")),
                None => Err(format!(
                    "`{text}` can't be used; use one of {}",
                    words.join(", ")
                )),
            },
            Self::Text if text.is_empty() || text.contains(char::is_control) => {
                Err("expected a line of text".to_owned())
            }
            Self::Text => Ok(()),
            Self::LogFilter => tracing_subscriber::EnvFilter::try_new(text)
                .map(drop)
                .map_err(|error| format!("`{text}` is no log filter: {error}")),
            Self::Limit(name) => name.read(text).map(drop),
        }
    }
    /// In words, for the page of settings.
    #[cfg(test)]
    pub(crate) fn what(self) -> String {
        match self {
            Self::Path => "path".to_owned(),
            Self::Address => "IP:PORT".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Count(least, most) => format!("{least} to {most}"),
            Self::Bytes => "size".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Choice(words) => words.join(" or "),
            Self::Text => "text".to_owned(),
            Self::LogFilter => "log filter".to_owned(),
            Self::Limit(_) => "as the limit".to_owned(),
        }
    }
}

/// Reads a text that [`Setting::check`] has accepted.
pub(crate) fn engine_kind(text: &str) -> EngineKind {
    text.parse().unwrap_or_default()
}
