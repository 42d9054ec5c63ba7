//! Flags over environment over file over defaults, with every complaint at once.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

use caxton_package::{DocumentError, DocumentReader, TableReader};

use crate::{
    config::setting::{Setting, SettingKind, settings},
    environment::Environment,
};

/// Who said what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody: the default.
    Default,
    /// The file, at a line.
    File(String),
    /// The environment variable of this name.
    Environment(String),
    /// A flag of the command.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => f.write_str(place),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) setting: Setting,
    /// Accepted by the setting; empty where there is none. UTF-8 unless it is a path.
    pub(crate) value: OsString,
    pub(crate) source: Source,
}

/// What flags say: the setting's path, the flag's name, the value.
pub(crate) type Flags = Vec<(&'static str, &'static str, OsString)>;

/// Something wrong outside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerProblem {
    pub(crate) source: Source,
    pub(crate) what: String,
}

/// Everything that is wrong with a node's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ConfigError {
    /// In the file.
    pub(crate) file: Option<DocumentError>,
    /// Elsewhere.
    pub(crate) others: Vec<LayerProblem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.file {
            writeln!(f, "{error}")?;
        }
        self.others
            .iter()
            .try_for_each(|p| writeln!(f, "{}: {}", p.source, p.what))
    }
}
impl std::error::Error for ConfigError {}

/// All settings with their values.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    /// In the documentation's order.
    pub(crate) resolved: Vec<Resolved>,
    /// Variables that look like settings and are none.
    pub(crate) notes: Vec<String>,
}

impl Layers {
    /// Reads all layers. `file` is the name and the text of the configuration file.
    ///
    /// Errors: every problem of every layer.
    pub(crate) fn read(
        file: Option<(&str, &str)>,
        environment: &Environment,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let settings = settings();
        let mut error = ConfigError::default();
        let said_by_file = match file.map(|(name, text)| read_file(name, text, &settings)) {
            None => BTreeMap::new(),
            Some(Ok(said)) => said,
            Some(Err(problem)) => {
                error.file = Some(problem);
                BTreeMap::new()
            }
        };
        let mut resolved = Vec::new();
        for setting in &settings {
            let mut value = (OsString::from(&*setting.default), Source::Default);
            if let Some((text, place)) = said_by_file.get(setting.path.as_ref()) {
                value = (text.into(), Source::File(place.clone()));
            }
            let variable = setting.variable();
            if let Some(given) = environment.get(&variable) {
                value = (given.to_owned(), Source::Environment(variable));
            }
            if let Some((_, flag, given)) = flags.iter().find(|(path, ..)| *path == setting.path) {
                value = (given.clone(), Source::Flag(flag));
            }
            let (value, source) = value;
            if matches!(source, Source::Environment(_) | Source::Flag(_))
                && let Err(what) = check(setting, &value)
            {
                error.others.push(LayerProblem {
                    source: source.clone(),
                    what,
                });
            }
            resolved.push(Resolved {
                setting: setting.clone(),
                value,
                source,
            });
        }
        for section in [DIRECTORIES, ENVIRONMENT] {
            let prefix = format!("{section}.");
            let named = said_by_file.range(prefix.clone()..);
            let named = named.take_while(|(path, _)| path.starts_with(&prefix));
            resolved.extend(named.map(|(path, (value, place))| Resolved {
                setting: Setting {
                    path: path.clone().into(),
                    kind: SettingKind::Path,
                    default: "".into(),
                    what: "".into(),
                },
                value: value.into(),
                source: Source::File(place.clone()),
            }));
        }
        let layers = Self {
            notes: notes(&settings, environment),
            resolved,
        };
        layers.check_together(&mut error);
        if error == ConfigError::default() {
            Ok(layers)
        } else {
            Err(error)
        }
    }

    fn find(&self, path: &str) -> Option<&Resolved> {
        let mut resolved = self.resolved.iter();
        resolved.find(|resolved| resolved.setting.path == path)
    }
    /// The text of a setting that is no path.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.find(path)
            .and_then(|resolved| resolved.value.to_str())
            .unwrap_or_default()
    }
    /// The path that a setting names, if it names one.
    pub(crate) fn path(&self, path: &str) -> Option<PathBuf> {
        let value = &self.find(path)?.value;
        (!value.is_empty()).then(|| value.into())
    }
    /// The directories that guests see, by their names.
    pub(crate) fn directories(&self) -> Vec<(String, PathBuf)> {
        let named = self.named(DIRECTORIES);
        named.map(|(name, value)| (name, value.into())).collect()
    }
    /// The variables that guests may be granted, by their names.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let named = self.named(ENVIRONMENT);
        let text = |value: &OsString| value.to_str().unwrap_or_default().to_owned();
        named.map(|(name, value)| (name, text(value))).collect()
    }
    fn named(&self, section: &str) -> impl Iterator<Item = (String, &OsString)> {
        self.resolved.iter().filter_map(move |resolved| {
            let name = resolved.setting.path.strip_prefix(section)?;
            Some((name.strip_prefix('.')?.to_owned(), &resolved.value))
        })
    }
    fn source(&self, path: &str) -> Source {
        self.find(path)
            .map_or(Source::Default, |resolved| resolved.source.clone())
    }

    /// Rules that two settings must keep between them.
    fn check_together(&self, error: &mut ConfigError) {
        let has = |path: &str| self.path(path).is_some();
        for (there, other) in [("tls.cert", "tls.key"), ("tls.key", "tls.cert")] {
            if has(there) && !has(other) {
                error.others.push(LayerProblem {
                    source: self.source(there),
                    what: format!("`{there}` is set without `{other}`; set both, or none"),
                });
            }
        }
        let listen = self.text("http.listen");
        let public = listen
            .parse::<std::net::SocketAddr>()
            .is_ok_and(caxton_server::is_public);
        if public && !has("tls.cert") && self.text("http.public_without_tls") != "true" {
            error.others.push(LayerProblem {
                source: self.source("http.listen"),
                what: format!(
                    "`{listen}` can be reached by others, and without TLS tokens would cross the \
                     network readable; set `tls.cert` and `tls.key`, listen on 127.0.0.1 behind a \
                     proxy, or set `http.public_without_tls = true`"
                ),
            });
        }
    }
}

/// Checks a value. A path may have any bytes, everything else is text.
fn check(setting: &Setting, value: &OsStr) -> Result<(), String> {
    match value.to_str() {
        Some(text) => setting.check(text),
        None if setting.kind == SettingKind::Path => Ok(()),
        None => Err(format!("`{}` is not UTF-8", value.display())),
    }
}

/// What the file says: the setting's path to its text and its place.
type SaidByFile = BTreeMap<String, (String, String)>;

fn read_file(name: &str, text: &str, settings: &[Setting]) -> Result<SaidByFile, DocumentError> {
    let document = DocumentReader::parse(name, text)?;
    let mut said = BTreeMap::new();
    let mut root = document.root();
    let mut sections: Vec<&str> = settings.iter().map(|setting| setting.place().0).collect();
    sections.dedup();
    for section in sections {
        let of_section = settings
            .iter()
            .filter(|setting| setting.place().0 == section);
        if section.is_empty() {
            of_section.for_each(|setting| take(&mut root, setting, name, text, &mut said));
        } else if let Some(mut table) = root.table(section) {
            of_section.for_each(|setting| take(&mut table, setting, name, text, &mut said));
            table.finish();
        }
    }
    for (section, check) in [
        (DIRECTORIES, check_directory as CheckNamed),
        (ENVIRONMENT, check_variable),
    ] {
        if let Some(mut table) = root.table(section) {
            take_named(&mut table, section, check, (name, text), &mut said);
            table.finish();
        }
    }
    root.finish();
    document.finish()?;
    Ok(said)
}

fn take(
    table: &mut TableReader<'_>,
    setting: &Setting,
    name: &str,
    text: &str,
    said: &mut SaidByFile,
) {
    let key = setting.place().1;
    let value = match setting.kind {
        SettingKind::Flag => table.flag(key).map(|flag| flag.to_string()),
        SettingKind::Count(least, most) => table
            .whole(key, least..=most)
            .map(|number| number.to_string()),
        SettingKind::Bytes | SettingKind::Duration | SettingKind::Limit(_) => {
            table.measured(key, |text| setting.check(text).map(|()| text.to_owned()))
        }
        SettingKind::Path
        | SettingKind::Address
        | SettingKind::Choice(_)
        | SettingKind::Text
        | SettingKind::LogFilter => {
            let value = table.text(key);
            if let Some(Err(what)) = value.map(|value| setting.check(value)) {
                table.complain(
                    table.span_of(key),
                    format!("`{}`: {what}", setting.path),
                    "",
                );
            }
            value.map(str::to_owned)
        }
    };
    if let Some(value) = value {
        let line = line_of(text, table.span_of(key).start);
        said.insert(setting.path.to_string(), (value, format!("{name}:{line}")));
    }
}

/// The section whose keys are names of directories.
const DIRECTORIES: &str = "directories";

/// The section whose keys are names of variables.
const ENVIRONMENT: &str = "environment";

/// What is wrong with a name and its value, and how to write them.
type CheckNamed = fn(&str, &str) -> Option<(String, &'static str)>;

fn check_directory(name: &str, _: &str) -> Option<(String, &'static str)> {
    let problem = caxton_gate::GuestPath::parse(name).err()?;
    let what = format!("the name `{name}` of a directory {problem}");
    Some((what, "name it as guests see it: \"/data/in\""))
}

fn check_variable(name: &str, value: &str) -> Option<(String, &'static str)> {
    if let Err(problem) = caxton_gate::EnvRead::new(name) {
        let what = format!("the name `{name}` of a variable can't be granted: {problem}");
        return Some((what, "name it as guests read it: TZ"));
    }
    value.contains('\0').then(|| {
        let what = format!("the variable `{name}` holds a zero byte");
        (what, "leave the byte out; no variable holds one")
    })
}

fn take_named(
    table: &mut TableReader<'_>,
    section: &str,
    check: CheckNamed,
    (name, text): (&str, &str),
    said: &mut SaidByFile,
) {
    let keys: Vec<_> = table.keys().collect();
    for (key, span) in keys {
        let Some(value) = table.text(key) else {
            continue;
        };
        if let Some((what, help)) = check(key, value) {
            table.complain(span.clone(), what, help);
        }
        let line = line_of(text, span.start);
        said.insert(
            format!("{section}.{key}"),
            (value.to_owned(), format!("{name}:{line}")),
        );
    }
}

/// The line of a place in a text, from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.matches('\n').count() + 1
}

/// Variables that begin like ours and are none of ours, most often a typo, and one that is ignored.
fn notes(settings: &[Setting], environment: &Environment) -> Vec<String> {
    let known: Vec<String> = settings
        .iter()
        .map(Setting::variable)
        .chain(["CAXTON_URL", "CAXTON_TOKEN", "CAXTON_CONFIG"].map(str::to_owned))
        .collect();
    let strange = environment.names().filter(|name| {
        name.starts_with("CAXTON_") && known.iter().all(|variable| variable != name)
    });
    let note = |name: &str| match caxton_model::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("environment {name} sets nothing; did you mean {near}?"),
        None => format!("environment {name} sets nothing"),
    };
    strange
        .map(note)
        .chain(environment.note_on_data_directory())
        .collect()
}
