//! Each right that a node performs: denied without its grant, there with it, and gone when it is revoked.
//! Granting needs a token with the scope `admin`.

use std::time::Instant;

use caxton_client::{
    AgentConfig, ClientError, Deployment,
    api::{AskedValue, GrantChange, GrantPattern},
};
use caxton_model::{ErrorCode, HostCode, LimitName, Permission};
use tokio::net::TcpListener;

use super::{
    attack::report_of,
    guests,
    outside::{DIRECTORY, serve},
    row::Found,
    ward::{Ward, memory},
};
use crate::failure::Failure;

/// A right, the access that shows it, and what is granted instead while it must be denied.
pub(super) struct Right {
    pub(super) permission: Permission,
    /// The import as text, as `$f`.
    import: &'static str,
    /// The call: `N` is the length of the text at 1000.
    call: &'static str,
    /// The text; ADDRESS, RUN and DIRECTORY stand for what this run has.
    text: &'static str,
    /// What is granted at the deploy: not what the access needs.
    elsewhere: &'static str,
    /// What is granted then.
    rule: &'static str,
}

const HTTP: &str = r#"(import "caxton" "http_request" (func $f (param i32 i32) (result i32)))"#;
const CALL: &str = "(call $f (i32.const 1000) (i32.const N))";
const CALL_TWO: &str = "(call $f (i32.const 1000) (i32.const N) (i32.const 2000) (i32.const 8))";
const ROW: &str = r#"{"table":"doctor-RUN","key":"k"}"#;

/// All that are looked at, in the report's order.
pub(super) const RIGHTS: &[Right] = &[
    Right {
        permission: Permission::HttpRead,
        import: HTTP,
        call: CALL,
        text: r#"{"url":"http://ADDRESS/"}"#,
        elsewhere: "doctor.invalid",
        rule: "ADDRESS",
    },
    Right {
        permission: Permission::HttpWrite,
        import: HTTP,
        call: CALL,
        text: r#"{"method":"POST","url":"http://ADDRESS/"}"#,
        elsewhere: "doctor.invalid",
        rule: "ADDRESS",
    },
    Right {
        permission: Permission::FsRead,
        import: r#"(import "wasi_snapshot_preview1" "path_filestat_get" (func $f (param i32 i32 i32 i32 i32) (result i32)))"#,
        call: "(call $f (i32.const 3) (i32.const 0) (i32.const 1000) (i32.const N) (i32.const 2000))",
        text: "doctor-RUN",
        elsewhere: "DIRECTORY/other/**",
        rule: "DIRECTORY/doctor-RUN",
    },
    Right {
        permission: Permission::FsWrite,
        import: r#"(import "wasi_snapshot_preview1" "path_unlink_file" (func $f (param i32 i32 i32) (result i32)))"#,
        call: "(call $f (i32.const 3) (i32.const 1000) (i32.const N))",
        text: "doctor-RUN",
        elsewhere: "DIRECTORY/other/**",
        rule: "DIRECTORY/doctor-RUN",
    },
    Right {
        permission: Permission::VaultRead,
        import: r#"(import "caxton" "vault_get" (func $f (param i32 i32 i32 i32) (result i32)))"#,
        call: CALL_TWO,
        text: "doctor-RUN",
        elsewhere: "doctor-other",
        rule: "doctor-RUN",
    },
    Right {
        permission: Permission::VaultWrite,
        import: r#"(import "caxton" "vault_put" (func $f (param i32 i32 i32 i32) (result i32)))"#,
        // A value that is too short: what comes past the gate leaves nothing in the vault.
        call: "(call $f (i32.const 1000) (i32.const N) (i32.const 1000) (i32.const 1))",
        text: "doctor-RUN",
        elsewhere: "doctor-other",
        rule: "doctor-RUN",
    },
    Right {
        permission: Permission::EventEmit,
        import: r#"(import "caxton" "event_emit" (func $f (param i32 i32 i32 i32) (result i32)))"#,
        // Its content is the number that stands at 1500.
        call: "(call $f (i32.const 1000) (i32.const N) (i32.const 1500) (i32.const 1))",
        text: "doctor.RUN",
        elsewhere: "doctor.other",
        rule: "doctor.RUN",
    },
    Right {
        permission: Permission::EventListen,
        import: r#"(import "caxton" "subscribe_messages" (func $f (param i32 i32) (result i32)))"#,
        call: CALL,
        text: r#"{"topic":"doctor.RUN"}"#,
        elsewhere: "doctor.other",
        rule: "doctor.RUN",
    },
    Right {
        permission: Permission::DataRead,
        import: r#"(import "caxton" "data_get" (func $f (param i32 i32 i32 i32) (result i32)))"#,
        call: CALL_TWO,
        text: ROW,
        elsewhere: "doctor-other",
        rule: "doctor-RUN",
    },
    Right {
        permission: Permission::DataWrite,
        // Of a row that is not there.
        import: r#"(import "caxton" "data_delete" (func $f (param i32 i32) (result i32)))"#,
        call: CALL,
        text: ROW,
        elsewhere: "doctor-other",
        rule: "doctor-RUN",
    },
];

/// Time for an access, which waits for network and disk.
const WALL_MICROS: u64 = 10_000_000;
/// Numbers of WASI preview 1: no access, and no such descriptor.
const ERRNO_ACCES: i32 = 2;
const ERRNO_BADF: i32 = 8;

impl Right {
    /// An agent that makes the access at each message, and reports its answer.
    fn guest(&self, text: &str) -> String {
        let call = self.call.replace('N', &text.len().to_string());
        let (import, text) = (self.import, text.replace('"', "\\\""));
        format!(
            r#"(module
              {import}
              (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 3)
              (data (i32.const 0) "report")
              (data (i32.const 1000) "{text}")
              (data (i32.const 1500) "1")
              (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
              (func (export "caxton_free") (param i32 i32))
              (func (export "handle_message") (param i32 i32) (result i32)
                (i32.store (i32.const 12) {call})
                (drop (call $store (i32.const 0) (i32.const 6) (i32.const 8) (i32.const 8)))
                (i32.const 0)))"#
        )
    }
    const fn is_of_files(&self) -> bool {
        matches!(self.permission, Permission::FsRead | Permission::FsWrite)
    }
    fn is_denied(&self, code: i32) -> bool {
        match self.is_of_files() {
            true => code == ERRNO_ACCES,
            false => code == HostCode::Denied.as_i32(),
        }
    }
}

/// Looks at a right.
pub(super) async fn check(ward: &mut Ward, right: &Right) -> Result<Found, Failure> {
    let is_http = matches!(
        right.permission,
        Permission::HttpRead | Permission::HttpWrite
    );
    if !is_http {
        return shown(ward, right, "").await;
    }
    if !ward.is_on_this_machine() {
        return Ok(Found::said(
            "not looked at: the node is on another machine, from which it does not reach this program",
        ));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::select! {
        found = shown(ward, right, &address) => found,
        error = serve(&listener) => Err(error.into()),
    }
}

async fn shown(ward: &mut Ward, right: &Right, address: &str) -> Result<Found, Failure> {
    let run = ward.run().to_owned();
    let filled = |text: &str| {
        let text = text.replace("ADDRESS", address).replace("RUN", &run);
        text.replace("DIRECTORY", DIRECTORY)
    };
    let mut config: AgentConfig = memory();
    let wall = AskedValue::Number(WALL_MICROS);
    config.limits.insert(LimitName::Wall.to_string(), wall);
    let pattern = GrantPattern {
        to: vec![filled(right.elsewhere)],
        reason: Some("caxton doctor".to_owned()),
    };
    let permission = right.permission.to_string();
    config.grants.insert(permission.clone(), pattern);
    let name = permission.replace(':', "-");
    let module = guests::module(&right.guest(&filled(right.text)))?;
    let placed: Result<_, ClientError> = ward.place(&name, module, config).await;
    let placed = match placed {
        Err(error) if error.code() == Some(ErrorCode::Forbidden) => {
            return Ok(Found::said(
                "not looked at: only a token with the scope `admin` may grant it",
            ));
        }
        placed => placed?,
    };
    let rule = format!("{permission}={}", filled(right.rule));
    let without = code_of(ward, &placed).await?;
    let change = GrantChange {
        grant: vec![rule.clone()],
        reason: Some("caxton doctor".to_owned()),
        ..GrantChange::default()
    };
    ward.client.change_grants(&placed.name, &change).await?;
    let with = code_of(ward, &placed).await?;
    let change = GrantChange {
        revoke: vec![rule],
        ..GrantChange::default()
    };
    ward.client.change_grants(&placed.name, &change).await?;
    let after = code_of(ward, &placed).await?;
    Ok(judge(right, [without, with, after]))
}

/// What the access was answered.
async fn code_of(ward: &mut Ward, placed: &Deployment) -> Result<i32, Failure> {
    Ok(report_of(ward, placed, Instant::now()).await?.code)
}

fn judge(right: &Right, [without, with, after]: [i32; 3]) -> Found {
    if right.is_of_files() && [without, with, after] == [ERRNO_BADF; 3] {
        return Found::said(format!(
            "not looked at: map a directory as `{DIRECTORY}` in [directories] of node.toml"
        ));
    }
    let held = right.is_denied(without) && !right.is_denied(with) && right.is_denied(after);
    let text =
        format!("code {without} without a grant, {with} with it, {after} once it was revoked");
    if held && with == HostCode::Unavailable.as_i32() {
        return Found::judged(true, format!("{text}; the vault is closed"));
    }
    Found::judged(held, text)
}

/// What no part of this version performs: a grant of it must be refused by its name.
pub(super) async fn not_performed(ward: &mut Ward) -> Result<Found, Failure> {
    let config = memory();
    let module = guests::module(guests::QUIET)?;
    let placed = ward.place("not-performed", module, config).await?;
    let all = Permission::ALL.iter().filter(|one| !one.is_performed());
    let (mut held, mut texts) = (true, Vec::new());
    for permission in all {
        let change = GrantChange {
            grant: vec![format!("{permission}=doctor")],
            ..GrantChange::default()
        };
        let changed = ward.client.change_grants(&placed.name, &change).await;
        match changed {
            Err(error) if error.code() == Some(ErrorCode::Forbidden) => {
                return Ok(Found::said(
                    "not looked at: only a token with the scope `admin` may grant",
                ));
            }
            Err(_) => texts.push(permission.to_string()),
            Ok(_) => {
                held = false;
                texts.push(format!("{permission} was granted"));
            }
        }
    }
    Ok(Found::judged(
        held,
        format!("refused: {}", texts.join(", ")),
    ))
}
