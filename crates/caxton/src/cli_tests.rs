use std::fmt::Write as _;

use caxton_model::{Kind, LimitName, Limits, Permission};
use clap::CommandFactory as _;
use expect_test::expect_file;

use super::*;
use crate::config::setting::settings;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

#[test]
fn the_tree_of_commands_is_consistent() {
    Cli::command().debug_assert();
}

/// Every command's help, as the page of the book.
fn help_page() -> String {
    let mut page = String::from(
        "# Commands\n\n<!-- Made from the program: `cargo xtask docs` rewrites it. -->\n",
    );
    let mut command = Cli::command().term_width(100);
    command.build();
    add_help(&mut page, &mut command, "caxton");
    page
}

fn add_help(page: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.render_long_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(
        page,
        "\n## {name}\n\n```text\n{}\n```\n",
        lines.join("\n").trim()
    );
    for child in command.get_subcommands_mut() {
        if !child.is_hide_set() && child.get_name() != "help" {
            let name = format!("{name} {}", child.get_name());
            add_help(page, child, &name);
        }
    }
}

#[test]
fn golden_help_of_every_command() {
    expect_file![format!("{DOCS}/cli.md")].assert_eq(&help_page());
}

#[test]
fn golden_table_of_limits() {
    let mut page = String::from(
        "# Limits\n\n<!-- Made from the code: `cargo xtask docs` rewrites it. -->\n\n\
         The name is the same in manifests, flags, the API, metrics and errors.\n\
         Each value is the default; an operator may set a ceiling for each, which caps the \
         default too, in `[ceilings]` of `node.toml`.\n\n\
         | limit | agent | processor | extension, app | error | what it bounds |\n\
         |---|---|---|---|---|---|\n",
    );
    for name in LimitName::ALL {
        let show = |kind| match name {
            LimitName::Fuel => format!("{} (from `cpu`)", Limits::for_kind(kind).fuel()),
            _ => name.show(name.default_for(kind)),
        };
        let code = name.code();
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} | {} | [`{code}`](errors/{}.md) | {} |",
            show(Kind::Agent),
            show(Kind::Processor),
            show(Kind::Extension),
            code.page(),
            name.what()
        );
    }
    page.push_str(
        "\nA limit is raised for one guest by `[limits]` in its `caxton.toml`, by `--limit \
         NAME=VALUE` at `caxton agent deploy` and `caxton run`, or by `limits` in the API.\n\
         `memory = 0` means as much as the operator's ceiling allows.\n",
    );
    expect_file![format!("{DOCS}/limits.md")].assert_eq(&page);
}

/// How an author finds what to ask for, and what becomes of it.
const PERMISSIONS_TUTORIAL: &str = r#"
## What to ask for

`caxton permissions FILE` writes the smallest `[permissions]` that the imports of a module need. The
patterns in it are examples, since imports do not say which hosts they are used for. With a
`caxton.toml` in the place of the module it compares: an import without its permission is an error, and
ends the command with 4; a permission that no import can use is a warning.

```toml
[permissions]
"http:read"  = { to = ["api.github.com/repos/**"], reason = "list issues" }
"http:write" = { to = ["POST api.github.com/repos/*/issues"], reason = "create issues" }
```

`to` takes hosts with paths, `hosts` takes hosts alone and means any path; a row may have both. The
reason is shown wherever somebody has to decide.

`caxton run FILE --learn` runs an agent that is refused what it is not granted, as in any run, and then
writes the rows that would have allowed what it tried. Two paths that differ in one segment become a `*`; a
host, a name or the first segment of a path never does. An agent that gives up after its first refusal
tries less than it needs: add the rows, grant them, and run it again until it was refused nothing. The
directories of `--dir` are open to such a run, so that it can try to open files in them, and
`random:secure` is never learned, since every guest gets random numbers without it.

## What becomes of it

The manifest bounds what an operator grants: an agent may do what both allow. So a grant beyond the manifest
gives nothing, and `caxton agent inspect NAME` and `caxton grant NAME` say so. An agent that was deployed
without a manifest has what it is granted.

A deployment answers with each rule that is asked for and not granted, its reason, and the command that
grants it. The agent runs meanwhile, and what it is not granted is refused.

An update answers with what the new version asks for otherwise than the one before: `new`, `widened`,
`narrowed`, `dropped`, or another `reason`. It gets no more than had been granted. A rollback brings the
request of the version before back. An update without a manifest keeps the request.

What a site allows without asking a person, and forbids whatever is granted, stands in its
[policy](operating.md#the-sites-policy).
"#;

#[test]
fn golden_table_of_permissions() {
    let mut page = String::from(
        "# Permissions\n\n<!-- Made from the code: `cargo xtask docs` rewrites it. -->\n\n\
         What a guest may do is what its manifest asks for *and* an operator granted.\n\
         Everything else fails to link, or answers denied.\n\n\
         | class | rule | members |\n|---|---|---|\n\
         | baseline | always linked, needs no permission | own state, timers, log, metrics, \
         capabilities, replying to whoever wrote, time, seeded random, own configuration |\n\
         | plumbing | always linked, gives nothing | what standard libraries import anyway: WASI's \
         environment, files, sockets, exit |\n\
         | rights | an import that can only serve a right is refused without its permission | the \
         table below |\n\n\
         | permission | granted by this version |\n|---|---|\n",
    );
    for permission in Permission::ALL {
        let granted = match permission {
            Permission::MessageSend => "yes; without a word, within the guest's own namespace",
            Permission::HttpRead => "yes: GET and HEAD, by `--grant` at deploy or `caxton grant`",
            Permission::HttpWrite => "yes: all other methods, or the one that the rule names",
            Permission::FsRead => "yes: files and directories below a name that the operator maps",
            Permission::FsWrite => "yes: the same, to create, change and delete",
            Permission::EnvRead => "yes: variables by their names",
            Permission::DataRead => "yes: rows of [shared tables](tables.md), by the tables' names",
            Permission::DataWrite => "yes: the same, to write and delete",
            Permission::RandomSecure => "yes: the machine's randomness instead of the seeded one",
            Permission::VaultRead => {
                "yes: the value of a secret of the [vault](vault.md), by its name"
            }
            Permission::VaultWrite => "yes: setting a secret of the vault, by its name",
            Permission::EventEmit => "yes: events by their topic",
            Permission::EventListen => "yes: subscribing to topics, and hearing them",
            Permission::MessageListen => {
                "no, and not needed: whoever subscribes hears the broadcasts of its namespace"
            }
            Permission::SecretUse => {
                "yes: a secret of the [vault](vault.md) in a header of a request to a host"
            }
            _ => "no: read in manifests and kept, and what needs it is refused or answers denied",
        };
        let _ = writeln!(page, "| `{permission}` | {granted} |");
    }
    page.push_str(
        "\nReceivers are patterns in which `*` stands for any run of characters:\n\n\
         ```toml\n[permissions]\n\
         \"message:send\" = { to = [\"df\", \"acme/worker-*\", \"capability:translate\"], reason = \
         \"asks its peers\" }\n```\n\n\
         A rule for HTTP is `[METHOD ]host[:port][/path]`: `*` stands for one segment of a path, `**` for \
         any number of them, and `!` before a rule takes something out. Loopback, private and link-local \
         addresses are reached only by a rule that names them.\n\n\
         ```text\ncaxton grant fetcher 'http:read=api.github.com/repos/**' --reason 'list issues' --for 24h\n\
         caxton grant fetcher 'http:read=!api.github.com/repos/secret/**'\n\
         caxton grant fetcher 'secret:use=github-token@api.github.com Authorization: Bearer {}'\n\
         caxton grant fetcher 'vault:read=github-token'\n\
         caxton grant fetcher\ncaxton revoke fetcher 'http:read=api.github.com/repos/**'\n\
         caxton agent acts fetcher\n```\n\n\
         What a grant does not take is answered with -3, and the agent's log names the command that would \
         allow it. A revocation is seen by the next access, also of a turn that runs. A durable agent's \
         request leaves once its intent is in the journal, and carries an `Idempotency-Key`: after a crash \
         the turn runs again and asks the same, with the same key, or is given the outcome that was \
         recorded.\n\n\
         Each decision is in the [audit log](operating.md#the-audit-log) before the access, and what came \
         of a request is there as well: method, host, status and bytes. Where the log can't take the \
         decision, the access is answered with -8.\n\n\
         `http_per_minute`, `http_body_bytes`, `http_bytes_per_minute` and `net_bytes_per_minute` \
         ([limits](limits.md)) bound what an agent sends and receives. A request over one of them is \
         answered at once, with -5, or with -4 for a body; the agent's log names the limit and the time \
         until there is room again. A minute's worth may be used at once and comes in again evenly, so that \
         no time of `t` minutes sees more than `1 + t` times the limit. It is counted from the node's start: a \
         request that a crash repeats is counted again, in a minute that is new.\n",
    );
    page.push_str(FILES_PAGE);
    page.push_str(PERMISSIONS_TUTORIAL);
    expect_file![format!("{DOCS}/permissions.md")].assert_eq(&page);
}

/// What the page of permissions says of files, the environment and randomness.
const FILES_PAGE: &str = r#"
## Files, environment, time and randomness

A guest sees a directory of the machine under a name that the operator gives it, and in it what it was granted.
`caxton run` maps it with `--dir NAME=DIRECTORY`, a node by `[directories]` in its `node.toml` ([configuration](configuration.md)).
Whatever WASI preview 1 does with files works there, in programs of any language: the guest needs no other library.
The guest of this example is a program of 266 bytes that writes the file `greeting` of its directory to standard output:

```sh
mkdir input
echo 'hello, files' > input/greeting
base64 -d > cat.wasm <<END
AGFzbQEAAAABGQNgBH9/f38Bf2AJf39/f39+fn9/AX9gAAACZwMWd2FzaV9zbmFwc2hvdF9wcmV2
aWV3MQlwYXRoX29wZW4AARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxB2ZkX3JlYWQAABZ3YXNpX3Nu
YXBzaG90X3ByZXZpZXcxCGZkX3dyaXRlAAADAgECBQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAMK
QAE+AEEDQQBBwABBCEEAQgJCAkEAQQAQAARAAAtBACgCAEEQQQFBCBABGkEUQQgoAgA2AgBBAUEQ
QQFBCBACGgsLHAIAQRALCAABAAAAEAAAAEHAAAsIZ3JlZXRpbmc=
END
caxton run cat.wasm --dir /data/in=./input --grant 'fs:read=/data/in/**' < /dev/null
```

```text
hello, files
```

A grant without a directory, and a directory without a grant, are refused before the guest runs.

| grant | what it opens |
|---|---|
| `fs:read=/data/in/**` | reading files, listing directories, looking at both |
| `fs:write=/data/out/**` | writing, creating, renaming, linking and deleting; reading needs `fs:read` beside it |
| `fs:read=!/data/in/private/**` | takes a part out again; it is not listed either |
| `env:read=TZ` | the variable of that name: from `--env TZ=UTC`, else this machine's |
| `random:secure` | `random_get` and the host's own random functions give the machine's randomness |

Time needs no grant.
A WASI command runs with the machine's clocks; other processors run under the profile `deterministic`, where the clock is virtual, unless `--engine-profile hardened` says otherwise.

- Paths are compared byte by byte; `..`, absolute paths and names with control characters, `\` or `*` are refused.
- Each path is checked before anything is looked at, and again in each form that symbolic links give it. Links that are absolute or lead out of the directory lead nowhere, and a guest makes none that do.
- What came of that is opened beneath the directory's own descriptor by the kernel (`openat2` with `RESOLVE_BENEATH`, following no link), so that nobody who renames directories meanwhile leads the guest out. Where the kernel has no `openat2` it is opened a name at a time, following no link.
- Only files and directories are opened: no FIFO, socket or device.
- A directory is moved only where all below it is granted, and a file gets no name by which the guest could read it that it could not read before.
- A refusal is answered with `acces`, and the guest's log names the grant that would allow it. Where nothing is granted, no directory is there: `badf`.
- A grant that ends or is revoked while a file is open ends the call at its next use, and an agent's instance with it. An agent that is granted its first files sees them after its next start.
- `file_bytes`, `fs_bytes` and `fs_entries` ([limits](limits.md)) bound what a guest writes and does not delete: `fbig`, `dquot`. Bytes are lengths, holes included. They are counted as long as the node runs.
- What a turn did to files stays when the turn faults: files are not part of the transaction, and a turn that runs again after a crash writes again.
"#;

#[test]
fn golden_table_of_settings() {
    let mut page = String::from(
        "# Configuration\n\n<!-- Made from the code: `cargo xtask docs` rewrites it. -->\n\n\
         No file is needed: every default is safe and enough.\n\
         A flag beats the environment, which beats the file, which beats the default; `caxton \
         config show --sources` says who won.\n\
         The file is `node.toml` in the data directory, or what `--config` or `CAXTON_CONFIG` \
         names.\n\
         `caxton config check` says everything that is wrong at once, with line and column.\n\
         A JSON Schema for editors is in [node.schema.json](node.schema.json).\n\n\
         | setting | environment | values | default | what it does |\n|---|---|---|---|---|\n",
    );
    for setting in settings() {
        let default = match setting.default.as_ref() {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {} | {default} | {} |",
            setting.path,
            setting.variable(),
            setting.kind.what(),
            setting.what
        );
    }
    page.push_str(
        "\nA key with a dot stands in a section:\n\n\
         ```toml\nshutdown_grace = \"10s\"\n\n[http]\nlisten = \"127.0.0.1:8080\"\n\n\
         [ceilings]\nmemory = \"256MiB\"\n\n\
         [directories]\n\"/data/in\" = \"/srv/in\"\n\n\
         [environment]\nTZ = \"Europe/Vienna\"\n```\n\n\
         `[directories]` maps directories of this machine to the names by which agents see them; what of \
         them an agent may reach is granted: [permissions](permissions.md). `[environment]` has the variables \
         that an agent sees once it is granted `env:read` for them; secrets belong into the [vault](vault.md).\n\n\
         Clients read `CAXTON_URL` and `CAXTON_TOKEN`.\n\
         Traces are exported when `OTEL_EXPORTER_OTLP_ENDPOINT` is set.\n",
    );
    expect_file![format!("{DOCS}/configuration.md")].assert_eq(&page);
}

#[test]
fn golden_schema_of_the_configuration() {
    let text = serde_json::to_string_pretty(&crate::config::schema::schema()).unwrap() + "\n";
    expect_file![format!("{DOCS}/node.schema.json")].assert_eq(&text);
}
