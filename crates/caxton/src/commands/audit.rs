//! `caxton audit`: who did what on a node, and whether the record of it is whole.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use caxton_client::{
    AuditFilter, CaxtonClient,
    api::{AuditCheck, AuditEntry},
};
use caxton_model::{AuditAction, AuditOutcome, Permission, Timestamp, format_rfc3339};
use caxton_store::{AuditQuery, AuditReader, SignedHead, is_in_use, verify_audit};
use clap::Subcommand;

use crate::{
    connection::Connection,
    environment::Environment,
    failure::{Exit, Failure},
    output::{self, Output, one_line, pairs},
    start_failure::store_failure,
};

/// Pause between two looks for records that are new.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// Records of one page.
const PAGE: usize = 1_000;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the last records
    Tail(TailArgs),
    /// Find records, oldest first
    Search(SearchArgs),
    /// Check every record, the chain and the signed heads; changes nothing
    Verify(VerifyArgs),
    /// Write records as lines of JSON, oldest first
    Export(ExportArgs),
    /// Show the signed head, to be kept elsewhere
    Head(HeadArgs),
}

/// How many of the last records.
#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    /// How many records
    #[arg(long, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    lines: u16,
    /// Go on with records as they come
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Which records.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FilterArgs {
    /// Only from this time on, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    from: Option<Timestamp>,
    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    to: Option<Timestamp>,
    /// Only of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only what this agent or token did, by name or id
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only this action, such as gate-decision or deploy
    #[arg(long)]
    action: Option<AuditAction>,
    /// Only this outcome: allowed, denied, requested, succeeded or failed
    #[arg(long)]
    outcome: Option<AuditOutcome>,
    /// Only where the gate was asked for this permission, such as http:read
    #[arg(long)]
    permission: Option<Permission>,
    /// Only where the subject, the target or a detail contains this text
    #[arg(long)]
    text: Option<String>,
}

/// Which records to find.
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many records
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

/// Which records to write.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Which log, and what it has to fit.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// A signed head that was kept elsewhere, as `caxton audit head --write` wrote it
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Where the head goes.
#[derive(Debug, clap::Args)]
pub(crate) struct HeadArgs {
    /// Write it into this file as well; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

fn read_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time is written as 2026-01-31T12:00:00Z".to_owned())
}

impl FilterArgs {
    fn for_api(&self) -> AuditFilter {
        AuditFilter {
            from: self.from.map(format_rfc3339),
            to: self.to.map(format_rfc3339),
            namespace: self.namespace.clone(),
            subject: self.subject.clone(),
            action: self.action.map(|action| action.to_string()),
            outcome: self.outcome.map(|outcome| outcome.to_string()),
            permission: self.permission.map(|permission| permission.to_string()),
            text: self.text.clone(),
        }
    }
    fn for_files(&self) -> AuditQuery {
        AuditQuery {
            from: self.from,
            to: self.to,
            namespace: self.namespace.clone(),
            subject: self.subject.clone(),
            action: self.action,
            outcome: self.outcome,
            permission: self.permission,
            text: self.text.clone(),
        }
    }
}

/// Does it.
pub(crate) async fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Tail(args) => tail(args, output, environment).await,
        Command::Search(args) => search(args, output, environment).await,
        Command::Verify(args) => verify(args, output, environment).await,
        Command::Export(args) => export(args, environment).await,
        Command::Head(args) => head(args, output, environment).await,
    }
}

/// The directory that `--data` names, where no node holds it: its files are read then.
fn unused(connection: &Connection, environment: &Environment) -> Result<Option<PathBuf>, Failure> {
    let Some(data) = connection
        .data
        .as_deref()
        .filter(|_| connection.url.is_none())
    else {
        return Ok(None);
    };
    let data = environment.used_data_directory(Some(data))?;
    match is_in_use(&data) {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some(data)),
        Err(error) => Err(Failure::file(&data, &error)),
    }
}

async fn tail(args: TailArgs, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let mut last = 0;
    for entry in client.audit_tail(args.lines.into()).await? {
        last = entry.place;
        output.entry(&entry, line)?;
    }
    if args.follow {
        return follow(&client, last, output).await;
    }
    Ok(())
}

/// Shows records as they come, until the command is interrupted.
async fn follow(client: &CaxtonClient, mut last: u64, output: &Output) -> Result<(), Failure> {
    let all = AuditFilter::default();
    loop {
        let cursor = (last + 1).to_string();
        let page = client.audit(&all, Some(&cursor), PAGE).await?;
        for entry in &page.items {
            last = entry.place;
            output.entry(entry, line)?;
        }
        if page.next_cursor.is_none() {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}

/// Hands on all records of a node that fit, oldest first, at most so many.
async fn each(
    client: &CaxtonClient,
    filter: &AuditFilter,
    limit: usize,
    mut take: impl FnMut(&AuditEntry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut left, mut cursor) = (limit, None::<String>);
    while left > 0 {
        let page = client
            .audit(filter, cursor.as_deref(), left.min(PAGE))
            .await?;
        page.items.iter().try_for_each(&mut take)?;
        left -= page.items.len().min(left);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(())
}

async fn search(
    args: SearchArgs,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let show = |entry: &AuditEntry| output.entry(entry, line);
    each(&client, &args.filter.for_api(), args.limit, show).await
}

async fn export(args: ExportArgs, environment: &Environment) -> Result<(), Failure> {
    let write = |entry: &AuditEntry| output::write_json_line(entry);
    let Some(data) = unused(&args.connection, environment)? else {
        let client = args.connection.client(environment).await?;
        return each(&client, &args.filter.for_api(), usize::MAX, write).await;
    };
    let (reader, query) = (AuditReader::new(&data), args.filter.for_files());
    let mut from = Some(1);
    while let Some(place) = from {
        let page = reader.search(&query, place, PAGE);
        let page = page.map_err(|error| store_failure(&error))?;
        for (place, record) in page.records {
            write(&AuditEntry::new(place, record))?;
        }
        from = page.next;
    }
    Ok(())
}

async fn verify(
    args: VerifyArgs,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let head = args.head.as_deref().map(read_head).transpose()?;
    let check = match unused(&args.connection, environment)? {
        Some(data) => {
            let heads: Vec<SignedHead> = head.into_iter().collect();
            let report = verify_audit(&data, &heads).map_err(|error| store_failure(&error))?;
            caxton_server::audit_check(report)
        }
        None => {
            let client = args.connection.client(environment).await?;
            let head = head.map(|head| head.to_json());
            client.verify_audit(head.as_deref()).await?
        }
    };
    output.value(&check, check_text)?;
    match check.damage {
        None => Ok(()),
        Some(damage) => Err(Failure::new(
            Exit::Failed,
            format!("the audit log is damaged: {damage}"),
            "keep the directory as it is, and compare it with a copy and with signed heads that were kept elsewhere",
        )),
    }
}

fn read_head(path: &Path) -> Result<SignedHead, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    SignedHead::from_json(text.trim()).map_err(|reason| {
        Failure::usage(
            format!("{}: {reason}", path.display()),
            "name a file that `caxton audit head --write` wrote",
        )
    })
}

async fn head(args: HeadArgs, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let head = client.audit_head().await?;
    if let Some(path) = &args.write {
        let line = serde_json::to_string(&head).unwrap_or_default();
        write_whole(path, &line).map_err(|error| Failure::file(path, &error))?;
    }
    output.value(&head, |head| {
        pairs(&[
            ("place", head.place.to_string()),
            ("begins", head.begins.to_string()),
            ("at", head.at.clone()),
            ("chain", head.chain.clone()),
            ("log", head.log.clone()),
            ("key", head.key.clone()),
            ("signature", head.signature.clone()),
        ])
    })
}

/// Writes a line into a file, wholly or not at all.
fn write_whole(path: &Path, line: &str) -> std::io::Result<()> {
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut beside = name.to_owned();
    beside.push(".new");
    let beside = path.with_file_name(beside);
    let mut file = fs::File::create(&beside)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// A record for people: place, time, who, what, what came of it, on what, and the rest.
fn line(entry: &AuditEntry) -> String {
    let mut text = format!(
        "{} {} {} {} {} {}",
        entry.place,
        entry.at,
        entry.subject.kind,
        one_line(&entry.subject.name),
        entry.action,
        entry.outcome
    );
    let mut add = |name: &str, value: &str| {
        text.push_str(&format!(" {name}={}", one_line(value)));
    };
    if let Some(permission) = &entry.permission {
        add("permission", permission);
    }
    if let Some(target) = &entry.target {
        add("target", &format!("`{target}`"));
    }
    for (name, value) in &entry.details {
        add(name, &format!("`{value}`"));
    }
    text
}

fn check_text(check: &AuditCheck) -> String {
    let verdict = if check.good { "good" } else { "damaged" };
    let mut lines = vec![
        ("verdict", verdict.to_owned()),
        (
            "records",
            format!("{} ({} to {})", check.records, check.begins, check.place),
        ),
        ("signed to", check.signed_place.to_string()),
        ("chain", check.chain.clone()),
        ("key", check.key.clone()),
    ];
    let damaged = check.damaged_from.zip(check.damaged_to);
    let damaged = damaged.map(|(from, to)| match from == to {
        true => from.to_string(),
        false => format!("{from} to {to}"),
    });
    let more = [
        ("damaged", &damaged),
        ("damage", &check.damage),
        ("torn tail", &check.torn_tail),
    ];
    let more = more.into_iter();
    lines.extend(more.filter_map(|(name, text)| Some((name, text.clone()?))));
    let notices = check.notices.iter();
    lines.extend(notices.map(|notice| ("notice", notice.clone())));
    pairs(&lines)
}
