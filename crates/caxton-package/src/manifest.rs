//! `caxton.toml`: what a package is, needs and may use, as its author wrote it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use caxton_model::{
    AgentName, Durability, EngineProfile, Kind, LimitName, Micros, Permission, Restart, Strategy,
    Supervision, SupervisionGroup,
};

use crate::{
    manifest_document::DocumentError,
    manifest_permissions::{self, PermissionRequest},
    manifest_reader::{DocumentReader, TableReader},
};

/// Keywords and authors a manifest may name; more is a list, not a description.
const WORDS_MAX: usize = 50;

/// A package's name: `jira`, or `acme/jira`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl FromStr for PackageName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let mut bytes = part.bytes();
            part.len() <= 63
                && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
                && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let fits = match text.split_once('/') {
            Some((namespace, name)) => part(namespace) && part(name),
            None => part(text),
        };
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is no package name; use a small letter, then at most 62 small letters, \
             digits or `-`, optionally after `namespace/`"
        ))
    }
}

/// What only agents have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentSection {
    /// Whether its state survives.
    pub durability: Durability,
    /// Idle time after which its instance may go.
    pub passivate_after: Option<Micros>,
    /// How it is kept alive.
    pub supervision: Supervision,
    /// The engine it runs on.
    pub profile: EngineProfile,
}

/// A named action of an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionSection {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The file with the JSON Schema of its input.
    pub input: Option<String>,
    /// The file with the JSON Schema of its output.
    pub output: Option<String>,
}

/// A package as its author described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its name.
    pub name: PackageName,
    /// Its version (semver).
    pub version: String,
    /// What it is for.
    pub kind: Kind,
    /// What it does.
    pub description: String,
    /// Under which licence.
    pub license: Option<String>,
    /// By whom.
    pub authors: Vec<String>,
    /// Where to read more.
    pub homepage: Option<String>,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// The module's file, relative to the manifest.
    pub module: String,
    /// The command that builds the module.
    pub build: Option<String>,
    /// The permissions it asks for, in the order of their names.
    pub permissions: BTreeMap<Permission, PermissionRequest>,
    /// Limits that differ from the defaults.
    pub limits: BTreeMap<LimitName, u64>,
    /// What only agents have.
    pub agent: AgentSection,
    /// The file with the JSON Schema of its configuration.
    pub config_schema: Option<String>,
    /// Its actions, if it is an extension.
    pub actions: Vec<ActionSection>,
}

impl Manifest {
    /// Reads a manifest, TOML or JSON. `name` is what problems call the text.
    ///
    /// Errors: everything that is wrong, each with its place and what to do.
    pub fn read(name: &str, text: &str) -> Result<Self, DocumentError> {
        let document = DocumentReader::parse(name, text)?;
        let manifest = read_root(document.root());
        match (document.finish(), manifest) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(manifest)) => Ok(manifest),
            // A reader that gave nothing has complained; this keeps the type honest.
            (Ok(()), None) => Err(DocumentError {
                name: name.to_owned(),
                text: text.to_owned(),
                problems: Vec::new(),
            }),
        }
    }

    /// What the operator should know before it runs: permissions that this version can't grant.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let not_grantable = self
            .permissions
            .keys()
            .filter(|permission| !permission.is_performed());
        not_grantable
            .map(|permission| {
                format!(
                    "`{permission}` is asked for, but this version of the host can't grant it; \
                     what needs it answers denied"
                )
            })
            .collect()
    }

    /// The receivers that `message:send` names, if the manifest asks for it.
    #[must_use]
    pub fn message_send(&self) -> Option<Vec<String>> {
        let request = self.permissions.get(&Permission::MessageSend)?;
        request.patterns.get("to").cloned()
    }
}

fn read_root(mut root: TableReader<'_>) -> Option<Manifest> {
    let package = root.table("package");
    if package.is_none() && root.keys().all(|(key, _)| key != "package") {
        root.complain(
            0..0,
            "the table `[package]` is missing",
            "begin the file with `[package]`",
        );
    }
    let head = package.map(read_package);
    let kind = head.as_ref().and_then(|head| head.kind).unwrap_or_default();
    let build = root.table("build").and_then(|mut table| {
        let command = table.text("command").map(str::to_owned);
        table.finish();
        command
    });
    let permissions = root
        .table("permissions")
        .map(manifest_permissions::read)
        .unwrap_or_default();
    let limits = root.table("limits").map(read_limits).unwrap_or_default();
    let agent_span = root
        .keys()
        .find(|(key, _)| *key == "agent")
        .map(|(_, span)| span);
    let agent = root.table("agent").map(read_agent).unwrap_or_default();
    if let (Some(span), true) = (agent_span, kind != Kind::Agent) {
        let what = format!("`[agent]` is for agents; this package is of kind `{kind}`");
        root.complain(span, what, "remove the table, or write `kind = \"agent\"`");
    }
    let config_schema = root.table("config").and_then(|mut table| {
        let schema = table.text("schema").map(str::to_owned);
        table.finish();
        schema
    });
    let actions: Vec<_> = root
        .tables("actions")
        .into_iter()
        .filter_map(read_action)
        .collect();
    root.finish();
    let head = head?;
    Some(Manifest {
        name: head.name?,
        version: head.version?,
        kind: head.kind?,
        description: head.description,
        license: head.license,
        authors: head.authors,
        homepage: head.homepage,
        keywords: head.keywords,
        module: head.module?,
        build,
        permissions,
        limits,
        agent,
        config_schema,
        actions,
    })
}

/// `[package]`, with what could be read of it.
struct Head {
    name: Option<PackageName>,
    version: Option<String>,
    kind: Option<Kind>,
    description: String,
    license: Option<String>,
    authors: Vec<String>,
    homepage: Option<String>,
    keywords: Vec<String>,
    module: Option<String>,
}

const KINDS: [(&str, Kind); 4] = [
    ("agent", Kind::Agent),
    ("processor", Kind::Processor),
    ("extension", Kind::Extension),
    ("app", Kind::App),
];

/// An agent is deployed under its package's name: it must be one that an agent can bear.
fn check_agent_name(table: &TableReader<'_>, name: &PackageName) {
    if let Err(error) = name.as_str().parse::<AgentName>() {
        let what = format!("`package.name`: {error}");
        table.complain(table.span_of("name"), what, "");
    }
}

fn read_package(mut table: TableReader<'_>) -> Head {
    let name: Option<PackageName> = table.required_text("name", "my-agent").and_then(|text| {
        let span = table.span_of("name");
        text.parse()
            .map_err(|reason: String| table.complain(span, reason, ""))
            .ok()
    });
    let version = table.required_text("version", "0.1.0").and_then(|text| {
        if let Err(error) = semver::Version::parse(text) {
            let what = format!("`package.version`: `{text}` is no semver version: {error}");
            table.complain(table.span_of("version"), what, "write it as `1.2.0`");
            return None;
        }
        Some(text.to_owned())
    });
    let kind = match table.keys().any(|(key, _)| key == "kind") {
        true => table.choice("kind", &KINDS),
        false => table.required_text("kind", "agent").and(None),
    };
    if let (Some(Kind::Agent), Some(name)) = (kind, &name) {
        check_agent_name(&table, name);
    }
    let module = table
        .required_text("module", "target/my_agent.wasm")
        .and_then(|text| {
            let outside = text.starts_with('/') || text.split(['/', '\\']).any(|part| part == "..");
            if text.is_empty() || outside {
                let what = format!("`package.module`: `{text}` is no file beside the manifest");
                table.complain(
                    table.span_of("module"),
                    what,
                    "use a path below the manifest's folder",
                );
                return None;
            }
            Some(text.to_owned())
        });
    let head = Head {
        name,
        version,
        kind,
        description: table.text("description").unwrap_or_default().to_owned(),
        license: table.text("license").map(str::to_owned),
        authors: words(&mut table, "authors"),
        homepage: table.text("homepage").map(str::to_owned),
        keywords: words(&mut table, "keywords"),
        module,
    };
    table.finish();
    head
}

fn words(table: &mut TableReader<'_>, key: &str) -> Vec<String> {
    let words = table.texts(key).unwrap_or_default();
    if words.len() > WORDS_MAX {
        let what = format!(
            "`package.{key}` has {} entries, at most {WORDS_MAX}",
            words.len()
        );
        table.complain(table.span_of(key), what, "keep those that matter");
    }
    words.into_iter().map(str::to_owned).collect()
}

/// Reads a table of limits: `[limits]` of a manifest, `[ceilings]` of a node.
#[must_use]
pub fn read_limits(mut table: TableReader<'_>) -> BTreeMap<LimitName, u64> {
    let mut limits = BTreeMap::new();
    for name in LimitName::ALL {
        let read = table.measured(name.as_str(), |text| name.read(text));
        limits.extend(read.map(|value| (*name, value)));
    }
    table.finish();
    limits
}

fn read_agent(mut table: TableReader<'_>) -> AgentSection {
    let durability = [
        ("durable", Durability::Durable),
        ("memory", Durability::Memory),
    ];
    let section = AgentSection {
        durability: table.choice("durability", &durability).unwrap_or_default(),
        passivate_after: table.duration("passivate_after"),
        profile: table.parsed("profile").unwrap_or_default(),
        supervision: table
            .table("supervision")
            .map(read_supervision)
            .unwrap_or_default(),
    };
    table.finish();
    section
}

fn read_supervision(mut table: TableReader<'_>) -> Supervision {
    let restarts = [
        ("permanent", Restart::Permanent),
        ("transient", Restart::Transient),
        ("temporary", Restart::Temporary),
    ];
    let default = Supervision::default();
    let count = |value: Option<u64>, default: u32| {
        value
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(default)
    };
    let supervision = Supervision {
        restart: table.choice("restart", &restarts).unwrap_or_default(),
        group: table.table("group").and_then(read_group),
        max_failures: count(table.whole("max_failures", 1..=1_000), default.max_failures),
        window_micros: table.duration("window").unwrap_or(default.window_micros),
        backoff_micros: table.duration("backoff").unwrap_or(default.backoff_micros),
        backoff_max_micros: table
            .duration("backoff_max")
            .unwrap_or(default.backoff_max_micros),
        max_attempts: count(table.whole("max_attempts", 1..=100), default.max_attempts),
    };
    table.finish();
    supervision
}

fn read_group(mut table: TableReader<'_>) -> Option<SupervisionGroup> {
    let strategies = [
        ("one-for-one", Strategy::OneForOne),
        ("one-for-all", Strategy::OneForAll),
        ("rest-for-one", Strategy::RestForOne),
    ];
    let name = table.required_text("name", "workers");
    let strategy = table.choice("strategy", &strategies).unwrap_or_default();
    table.finish();
    Some(SupervisionGroup {
        name: name?.to_owned(),
        strategy,
    })
}

fn read_action(mut table: TableReader<'_>) -> Option<ActionSection> {
    let name = table.required_text("name", "create-issue");
    let action = ActionSection {
        name: name.unwrap_or_default().to_owned(),
        description: table.text("description").unwrap_or_default().to_owned(),
        input: table.text("input").map(str::to_owned),
        output: table.text("output").map(str::to_owned),
    };
    table.finish();
    name.is_some().then_some(action)
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
