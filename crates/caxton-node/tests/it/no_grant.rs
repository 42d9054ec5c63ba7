//! Without a grant no import reaches anything: it is refused or denied, audited, and makes no system call. A
//! node of a process of its own shows it, whose filter kills it at the first one.
//!
//! The node itself opens files by their paths, from the working directory; whatever reaches a file of a
//! guest starts from a directory that is open. So the filter tells the two apart by that argument, and
//! forbids all of the network.

use std::{
    collections::BTreeMap, fmt::Write as _, os::unix::process::ExitStatusExt as _, path::PathBuf,
    process::Command,
};

use caxton_model::{
    AuditAction, AuditOutcome, ErrorCode, HostCode, ImportClass, Permission, RequestedRule,
};
use caxton_node::Directory;
use caxton_package::{OFFERED, WASI_P1};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::*;

/// The test that a child is, too.
const CHILD: &str = "no_grant::without_a_grant_no_import_makes_a_system_call";
/// Says to a child what it is granted.
const GRANTED: &str = "CAXTON_TEST_GRANTED";
/// Says to a child where its files are.
const FOLDER: &str = "CAXTON_TEST_FOLDER";

const FILE_RULE: &str = "fs:read=/data/in/**";
const HTTP_RULE: &str = "http:read=127.0.0.1:9/**";

/// Where the texts below stand in the guest's memory. Nothing writes at 2400, so that lists of buffers there are empty.
const TEXT: usize = 1_000;

/// What a function is called with. `N` is the length of the text at [`TEXT`].
struct Row {
    name: &'static str,
    text: &'static str,
    args: &'static str,
}

const fn row(name: &'static str, text: &'static str, args: &'static str) -> Row {
    Row { name, text, args }
}

const MESSAGE: &str = r#"{"performative":"inform","receiver":"beyond/other","content":1}"#;
const REQUEST: &str = r#"{"url":"http://127.0.0.1:9/"}"#;
const KEY: &str = r#"{"table":"tasks","key":"k"}"#;

/// Each function of the host, with arguments that would reach something.
const CALLS: &[Row] = &[
    row("send_message", MESSAGE, "1000 N"),
    row("send_local_message", MESSAGE, "1000 N 1000 N"),
    row("broadcast_message", "{}", "1000 N 1000 N"),
    row("subscribe_messages", "{}", "1000 N"),
    row("unsubscribe_messages", "", "1"),
    row("store_data", "key", "1000 N 1000 N"),
    row("load_data", "key", "1000 N 2000 8"),
    row("delete_data", "key", "1000 N"),
    row("set_timer", "", "1000000000"),
    row("cancel_timer", "", "1"),
    row("current_timestamp", "", ""),
    row("random_u32", "", ""),
    row("sleep_micros", "", "1"),
    row("console_log", "line", "1000 N"),
    row("console_error", "line", "1000 N"),
    row("log_record", "line", "2 1000 N"),
    row("metric", "name", "0 1000 N 1"),
    row("register_capabilities", "{}", "1000 N"),
    row("config_get", "key", "1000 N 2000 8"),
    row("respond", "{}", "1000 N"),
    row("seed", "", ""),
    row("http_request", REQUEST, "1000 N"),
    row("host_network_request", REQUEST, "1000 N"),
    row("read_response", "", "2000 8"),
    row("vault_get", "token", "1000 N 2000 8"),
    row("vault_put", "token", "1000 N 1000 N"),
    row("event_emit", "issues.new", "1000 N 1000 N"),
    row("data_get", KEY, "1000 N 2000 8"),
    row("data_list", r#"{"table":"tasks"}"#, "1000 N 2000 8"),
    row("data_put", KEY, "1000 N 1000 N"),
    row("data_delete", KEY, "1000 N"),
    // These two end the turn.
    row("abort", "", ""),
    row("proc_exit", "", ""),
    row("proc_raise", "", "1"),
    row("args_get", "", "2000 2100"),
    row("args_sizes_get", "", "2000 2004"),
    row("environ_get", "", "2000 2100"),
    row("environ_sizes_get", "", "2000 2004"),
    row("clock_res_get", "", "0 2000"),
    row("clock_time_get", "", "0 0 2000"),
    row("fd_advise", "", "3 0 0 0"),
    row("fd_allocate", "", "3 0 1"),
    row("fd_close", "", "3"),
    row("fd_datasync", "", "3"),
    row("fd_fdstat_get", "", "3 2000"),
    row("fd_fdstat_set_flags", "", "3 0"),
    row("fd_fdstat_set_rights", "", "3 0 0"),
    row("fd_filestat_get", "", "3 2000"),
    row("fd_filestat_set_size", "", "3 1"),
    row("fd_filestat_set_times", "", "3 0 0 0"),
    row("fd_pread", "", "3 2400 1 0 2100"),
    row("fd_prestat_get", "", "3 2000"),
    row("fd_prestat_dir_name", "", "3 2000 8"),
    row("fd_pwrite", "", "3 2400 1 0 2100"),
    row("fd_read", "", "3 2400 1 2100"),
    row("fd_readdir", "", "3 2000 8 0 2100"),
    row("fd_renumber", "", "3 4"),
    row("fd_seek", "", "3 0 0 2000"),
    row("fd_sync", "", "3"),
    row("fd_tell", "", "3 2000"),
    row("fd_write", "", "3 2400 1 2100"),
    row("path_create_directory", "made", "3 1000 N"),
    row("path_filestat_get", "note", "3 1 1000 N 2000"),
    row("path_filestat_set_times", "note", "3 1 1000 N 0 0 0"),
    row("path_link", "note", "3 0 1000 N 3 1000 N"),
    row("path_open", "note", "3 1 1000 N 0 2 2 0 2000"),
    row("path_readlink", "note", "3 1000 N 2000 8 2100"),
    row("path_remove_directory", "made", "3 1000 N"),
    row("path_rename", "note", "3 1000 N 3 1000 N"),
    row("path_symlink", "note", "1000 N 3 1000 N"),
    row("path_unlink_file", "note", "3 1000 N"),
    row("poll_oneoff", "", "2000 2100 1 2200"),
    row("sched_yield", "", ""),
    row("random_get", "", "2000 8"),
    row("sock_accept", "", "3 0 2000"),
    row("sock_recv", "", "3 2400 1 0 2100 2104"),
    row("sock_send", "", "3 2400 1 0 2100"),
    row("sock_shutdown", "", "3 0"),
];

/// What ends the turn that calls it, so that nothing can come after it.
const ENDING: &[&str] = &["abort", "proc_exit", "proc_raise"];

/// One function that a linker offers.
#[derive(Clone, Copy)]
struct Import {
    module: &'static str,
    name: &'static str,
    ty: &'static str,
    right: Option<Permission>,
}

/// All of them.
fn imports() -> Vec<Import> {
    let wasi = WASI_P1.iter().map(|(name, ty)| Import {
        module: "wasi_snapshot_preview1",
        name,
        ty,
        right: None,
    });
    let host = OFFERED.iter().map(|offered| Import {
        module: if offered.env_only { "env" } else { "caxton" },
        name: offered.name,
        ty: offered.types[0],
        right: match offered.class {
            ImportClass::Right(permission) => Some(permission),
            _ => None,
        },
    });
    host.chain(wasi).collect()
}

fn wat_type(letter: char) -> &'static str {
    match letter {
        'i' => "i32",
        'I' => "i64",
        'F' => "f64",
        other => panic!("no letter of a type: {other}"),
    }
}

/// An agent that calls each of the imports once, and stores what each answered under its name.
fn module_of(imports: &[Import]) -> String {
    let (mut head, mut body) = (String::new(), String::new());
    for (number, import) in imports.iter().enumerate() {
        let (params, result) = import.ty.split_once('>').unwrap_or((import.ty, ""));
        let list = |letters: &str, word: &str| {
            let types = letters
                .chars()
                .map(|letter| format!(" ({word} {})", wat_type(letter)));
            types.collect::<String>()
        };
        writeln!(
            head,
            r#"(import "{}" "{}" (func $f{number}{}{}))"#,
            import.module,
            import.name,
            list(params, "param"),
            list(result, "result")
        )
        .unwrap();
        let row = CALLS.iter().find(|row| row.name == import.name);
        let row = row.unwrap_or_else(|| panic!("{} is not called", import.name));
        let mut given = row.args.split_whitespace();
        let mut call = format!("(call $f{number}");
        for letter in params.chars() {
            let value = match given.next().unwrap_or("0") {
                "N" => row.text.len().to_string(),
                number => number.to_owned(),
            };
            write!(call, " ({}.const {value})", wat_type(letter)).unwrap();
        }
        call.push(')');
        let call = match result {
            "" => format!("{call} (local.set $r (i32.const 0))"),
            "i" => format!("(local.set $r {call})"),
            _ => format!("(drop {call}) (local.set $r (i32.const 0))"),
        };
        // The text first; then the answer, under the import's name.
        let data = |at: usize, text: &str| {
            let bytes = text.bytes().enumerate();
            let store = |(n, byte): (usize, u8)| {
                format!("(i32.store8 (i32.const {}) (i32.const {byte}))", at + n)
            };
            bytes.map(store).collect::<String>()
        };
        writeln!(
            body,
            "{} {call} {} (i32.store (i32.const 3100) (local.get $r))
             (drop (call $keep (i32.const 3000) (i32.const {}) (i32.const 3100) (i32.const 4)))",
            data(TEXT, row.text),
            data(3_000, import.name),
            import.name.len()
        )
        .unwrap();
    }
    format!(
        r#"(module
          (import "caxton" "store_data" (func $keep (param i32 i32 i32 i32) (result i32)))
          {head}
          (memory (export "memory") 2)
          (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
          (func (export "caxton_free") (param i32 i32))
          (func (export "handle_timer") (param i32) (result i32) (i32.const 0))
          (func (export "handle_message") (param i32 i32) (result i32) (local $r i32)
            {body}
            (i32.const 0)))"#
    )
}

/// What a manifest asks for that asks for everything.
fn everything() -> Vec<RequestedRule> {
    let rules = [
        HTTP_RULE,
        "http:write=127.0.0.1:9/**",
        FILE_RULE,
        "fs:write=/data/in/**",
        "env:read=*",
        "vault:read=*",
        "vault:write=*",
        "event:emit=*",
        "data:read=*",
        "data:write=*",
        "random:secure",
    ];
    let rule = |rule: &&str| RequestedRule {
        rule: (*rule).to_owned(),
        reason: None,
    };
    rules.iter().map(rule).collect()
}

/// The system calls that reach a file from an open directory, or the network.
fn filter() -> BpfProgram {
    let from_an_open_directory = [
        libc::SYS_openat,
        libc::SYS_mkdirat,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_linkat,
        libc::SYS_readlinkat,
        libc::SYS_utimensat,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
    ];
    let never = [
        libc::SYS_openat2,
        libc::SYS_symlinkat,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
    ];
    let at_cwd = u64::from(libc::AT_FDCWD.cast_unsigned());
    let open_directory = || {
        let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, at_cwd);
        SeccompRule::new(vec![other.unwrap()]).unwrap()
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    rules.extend(from_an_open_directory.map(|call| (call, vec![open_directory()])));
    rules.extend(never.map(|call| (call, Vec::new())));
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        std::env::consts::ARCH.try_into().unwrap(),
    );
    filter.unwrap().try_into().unwrap()
}

/// Has an agent call everything, and waits until its turn has ended.
async fn call_all(node: &Node, name: &str) {
    let before = node.agent(name).await.unwrap().state.turns;
    node.post(post(name, "1"), None).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while node.agent(name).await.unwrap().state.turns == before {
        assert!(
            tokio::time::Instant::now() < deadline,
            "`{name}` had no turn"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a child does: a node with an agent that calls everything, once it is confined.
async fn child(granted_rule: &str) {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let mapped = folder.join("mapped");
    let node = Node::start(NodeOptions {
        data: Some(folder.join("data")),
        shards: 1,
        directories: [Directory::open("/data/in", &mapped).unwrap()].into(),
        environment: [("TZ".to_owned(), "UTC".to_owned())].into(),
        ..NodeOptions::default()
    })
    .await
    .unwrap();
    let (ending, going_on): (Vec<Import>, Vec<Import>) = imports()
        .into_iter()
        .partition(|import| ENDING.contains(&import.name));
    let served = |import: &Import| import.right.is_none_or(Permission::is_performed);
    let mut going_on: Vec<Import> = going_on.into_iter().filter(served).collect();
    // What takes the directory's descriptor away comes last.
    going_on.sort_by_key(|import| matches!(import.name, "fd_close" | "fd_renumber"));
    let mut all = agent("all", &module_of(&going_on));
    all.requested = Some(everything());
    if !granted_rule.is_empty() {
        all.granted = Arc::new(vec![granted(granted_rule)]);
    }
    node.deploy(all).await.unwrap();
    for import in &ending {
        let name = import.name.replace('_', "-");
        let deploy = agent(&name, &module_of(std::slice::from_ref(import)));
        node.deploy(deploy).await.unwrap();
    }

    seccompiler::apply_filter_all_threads(&filter()).unwrap();
    call_all(&node, "all").await;
    for import in &ending {
        call_all(&node, &import.name.replace('_', "-")).await;
    }

    let turn = node.agent("all").await.unwrap();
    assert_eq!(turn.state.faults, 0, "{:?}", turn.state.last_fault);
    let records = node.last_audit(1_000).await.unwrap();
    for import in &going_on {
        let name = import.name;
        let kept = node.state_value("all", name.as_bytes()).await.unwrap();
        let kept = kept.unwrap_or_else(|| panic!("{name} was not called"));
        let answered = i32::from_le_bytes(kept.try_into().unwrap());
        // No descriptor but the three of the standard streams.
        let is_closed = |name: &str| {
            name.starts_with("path_") || name.starts_with("sock_") || name.starts_with("fd_")
        };
        if is_closed(name) {
            assert_eq!(answered, 8, "{name} answered {answered}");
        }
        let Some(right) = import.right.filter(|_| name != "read_response") else {
            continue;
        };
        assert_eq!(answered, HostCode::Denied.as_i32(), "{name}");
        let is_audited = records.iter().any(|(_, record)| {
            record.action == AuditAction::GateDecision
                && record.outcome == AuditOutcome::Denied
                && record.permission == Some(right)
        });
        assert!(is_audited, "{name} has no record");
    }
    let environment = node.state_value("all", b"environ_sizes_get").await.unwrap();
    assert_eq!(environment, Some(vec![0; 4]));
    println!("confined, and done");
}

/// Runs the child with a grant; its output, and the signal that ended it.
fn confined(granted: &str) -> (String, Option<i32>) {
    // Removed here: whoever removes a directory opens what is in it from there.
    let folder = tempfile::tempdir().unwrap();
    let mapped = folder.path().join("mapped");
    std::fs::create_dir(&mapped).unwrap();
    std::fs::write(mapped.join("note"), "secret").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture"])
        .env(GRANTED, granted)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (said, output.status.signal())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_no_import_makes_a_system_call() {
    if let Some(rule) = std::env::var_os(GRANTED) {
        return child(rule.to_str().unwrap()).await;
    }
    let (said, signal) = confined("");
    assert!(
        signal.is_none() && said.contains("confined, and done"),
        "{said}"
    );
}

#[test]
fn with_a_grant_the_same_calls_reach_the_system() {
    for rule in [FILE_RULE, HTTP_RULE] {
        let (said, signal) = confined(rule);
        assert_eq!(signal, Some(libc::SIGSYS), "{rule}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_serves_a_right_alone_does_not_link_without_it() {
    let node = node().await;
    for import in imports().iter().filter(|import| import.right.is_some()) {
        let refused = node.deploy(agent("one", &module_of(&[*import]))).await;
        let refusal = refused.expect_err(import.name);
        assert_eq!(refusal.code, ErrorCode::PermissionRequired, "{refusal:?}");
    }
    node.shutdown(PATIENCE).await;
}
