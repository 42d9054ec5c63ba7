//! Patterns: what a permission is for, one form per kind, parsed once.

use std::{fmt, str::FromStr};

use caxton_model::{Permission, PermissionError, glob};

use crate::{
    guest_path::check_pattern_segment,
    host::{HostPattern, PlacePattern, PortPattern},
    http_url::normal_segment,
    segments::{Segments, globs_meet},
    subject::Subject,
};

/// Bytes of a pattern's text.
const PATTERN_BYTES_MAX: usize = 1_024;

/// The pattern of `message:send` for all agents of the guest's own namespace and the host's own.
pub const OWN_NAMESPACE: &str = "own:*";

/// Why a text is no pattern of its permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no pattern of `{permission}`: {problem}")]
pub struct PatternError {
    /// Whose pattern it was to be.
    pub permission: Permission,
    /// What was there (at most 100 characters of it).
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a permission is for.
///
/// The order and equality are those of the parsed form, so two spellings of one pattern are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(pub(crate) Form);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Form {
    /// The permission has no pattern: all of it.
    Whole,
    /// `[METHOD ]host[:port][/path pattern]`.
    Http {
        method: Option<Box<str>>,
        place: PlacePattern,
        path: Segments,
    },
    /// `/path/**`.
    Path(Segments),
    /// A name with `*`.
    Name(Box<str>),
    /// `host:port`, or `host` to look it up.
    Place(PlacePattern),
    /// `NAME@host[:port][ Header: value with {}]`.
    Secret {
        name: Box<str>,
        place: PlacePattern,
        header: Option<Header>,
    },
}

/// A header with the place of a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Header {
    /// In lower case.
    pub(crate) name: Box<str>,
    pub(crate) value: Box<str>,
}

impl Header {
    /// Reads `Authorization: Bearer {}`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let (name, value) = text
            .split_once(':')
            .ok_or("write the header as `Authorization: Bearer {}`")?;
        let value = value.trim();
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("is no name of a header".to_owned());
        }
        if value.matches("{}").count() != 1 || value.chars().any(char::is_control) {
            return Err("the header's value holds `{}` once, where the secret goes".to_owned());
        }
        Ok(Self {
            name: name.to_ascii_lowercase().into(),
            value: value.into(),
        })
    }
}
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

impl Pattern {
    /// The pattern of a permission that has none: all of it.
    pub const WHOLE: Self = Self(Form::Whole);

    /// Reads a pattern in the form that its permission has.
    ///
    /// Errors: [`PatternError`] with the text and what is wrong with it.
    pub fn parse(permission: Permission, text: &str) -> Result<Self, PatternError> {
        let form = if text.len() > PATTERN_BYTES_MAX {
            Err(format!("has more than {PATTERN_BYTES_MAX} bytes"))
        } else {
            parse_form(permission, text)
        };
        form.map(Self).map_err(|problem| PatternError {
            permission,
            text: text.chars().take(100).collect(),
            problem,
        })
    }
    /// Whether it takes everything that the other one takes.
    ///
    /// May say no where it does, never yes where it does not.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Whole, Form::Whole) => true,
            (
                Form::Http {
                    method,
                    place,
                    path,
                },
                Form::Http {
                    method: other_method,
                    place: other_place,
                    path: other_path,
                },
            ) => {
                (method.is_none() || method == other_method)
                    && place.includes(other_place)
                    && (path.is_any() || path.matches(&other_path.to_string()))
            }
            (Form::Path(path), Form::Path(other)) => path.matches(&other.to_string()),
            (Form::Name(name), Form::Name(other)) if &**name == OWN_NAMESPACE => name == other,
            (Form::Name(name), Form::Name(other)) => glob(name, other),
            (Form::Place(place), Form::Place(other)) => {
                let looks_up = other.port == PortPattern::Default;
                (looks_up || place.port.includes(other.port)) && place.host.includes(&other.host)
            }
            (
                Form::Secret {
                    name,
                    place,
                    header,
                },
                Form::Secret {
                    name: other_name,
                    place: other_place,
                    header: other_header,
                },
            ) => {
                glob(name, other_name)
                    && place.includes(other_place)
                    && (header.is_none() || header == other_header)
            }
            _ => false,
        }
    }
    /// Whether it takes what an access asks for, guarded or not.
    pub(crate) fn takes(&self, subject: &Subject<'_>, forbids: bool) -> bool {
        match (&self.0, subject) {
            (Form::Whole, Subject::Whole) => true,
            (
                Form::Http {
                    method,
                    place,
                    path,
                },
                Subject::Http {
                    method: asked,
                    url,
                    place: there,
                },
            ) => {
                method.as_deref().is_none_or(|method| method == *asked)
                    && place.takes(there, forbids)
                    && (path.is_any() || path.matches(url.path()))
            }
            (Form::Path(pattern), Subject::Path { path, .. }) => pattern.matches(path),
            (
                Form::Name(pattern),
                Subject::Name {
                    name,
                    own_namespace,
                    is_glob,
                },
            ) => {
                if &**pattern == OWN_NAMESPACE {
                    *own_namespace
                } else if forbids && *is_glob {
                    globs_meet(pattern, name)
                } else {
                    glob(pattern, name)
                }
            }
            (Form::Place(pattern), Subject::Place(place)) => pattern.takes(place, forbids),
            (
                Form::Secret {
                    name,
                    place,
                    header,
                },
                Subject::Secret {
                    name: asked,
                    place: there,
                    header: asked_header,
                },
            ) => {
                glob(name, asked)
                    && place.takes(there, forbids)
                    && header.as_ref().is_none_or(|own| own == *asked_header)
            }
            _ => false,
        }
    }
    /// Whether it takes a path or anything below it.
    pub(crate) fn meets_tree(&self, path: &str) -> bool {
        matches!(&self.0, Form::Path(pattern) if pattern.meets_tree(path))
    }
    /// Whether it takes a path and everything below it. `tree` is the path with `/**` behind it.
    pub(crate) fn includes_tree(&self, tree: &str) -> bool {
        matches!(&self.0, Form::Path(pattern) if pattern.matches(tree))
    }
    /// Whether it names exactly what a guarded access reaches.
    pub(crate) fn is_explicit(&self) -> bool {
        match &self.0 {
            Form::Http { place, .. } | Form::Place(place) | Form::Secret { place, .. } => {
                place.is_explicit()
            }
            Form::Path(path) => path.names_directory(),
            Form::Whole | Form::Name(_) => true,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Whole => Ok(()),
            Form::Http {
                method,
                place,
                path,
            } => {
                if let Some(method) = method {
                    write!(f, "{method} ")?;
                }
                place.fmt(f)?;
                if path.is_any() { Ok(()) } else { path.fmt(f) }
            }
            Form::Path(path) => path.fmt(f),
            Form::Name(name) => f.write_str(name),
            Form::Place(place) => place.fmt(f),
            Form::Secret {
                name,
                place,
                header,
            } => {
                write!(f, "{name}@{place}")?;
                header
                    .as_ref()
                    .map_or(Ok(()), |header| write!(f, " {header}"))
            }
        }
    }
}

fn parse_form(permission: Permission, text: &str) -> Result<Form, String> {
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return Err(format!("holds the character U+{:04X}", u32::from(bad)));
    }
    match permission {
        Permission::HttpRead | Permission::HttpWrite => parse_http(permission, text),
        Permission::FsRead | Permission::FsWrite => {
            let normal = |segment: &str| {
                if segment.is_empty() && text == "/" {
                    return Ok(String::new());
                }
                check_pattern_segment(segment).map(|()| segment.to_owned())
            };
            Segments::parse(text, normal).map(Form::Path)
        }
        Permission::NetTcp | Permission::NetUdp | Permission::NetListen => {
            // Without a port it is for looking the name up, and for nothing else.
            PlacePattern::parse(text).map(Form::Place)
        }
        Permission::SecretUse => parse_secret(text),
        Permission::HttpServe | Permission::RandomSecure => match text {
            "" => Ok(Form::Whole),
            _ => Err("this permission has no patterns".to_owned()),
        },
        Permission::EnvRead
        | Permission::VaultRead
        | Permission::VaultWrite
        | Permission::EventEmit
        | Permission::EventListen
        | Permission::DataRead
        | Permission::DataWrite
        | Permission::MessageSend
        | Permission::MessageListen
        | Permission::WorkflowRun
        | Permission::ExtCall => match text {
            "" => Err("is empty".to_owned()),
            _ => Ok(Form::Name(text.into())),
        },
    }
}

fn parse_http(permission: Permission, text: &str) -> Result<Form, String> {
    let (method, rest) = match text.split_once(' ') {
        Some((method, rest)) => (Some(parse_method(permission, method)?), rest),
        None => (None, text),
    };
    if rest.contains("://") {
        return Err("write the host without a scheme; both http and https are meant".to_owned());
    }
    if let Some(bad) = rest.chars().find(|c| " ?#\\".contains(*c)) {
        return Err(format!(
            "holds `{bad}`, which is no part of a host, port or path"
        ));
    }
    let after_bracket = rest.find(']').unwrap_or(0);
    let slash = rest
        .get(after_bracket..)
        .and_then(|tail| tail.find('/'))
        .map(|at| at + after_bracket);
    let (place, path) = match slash.map(|at| rest.split_at(at)) {
        Some((place, path)) => {
            let path = Segments::parse(path, |segment| normal_segment(segment, true))?;
            (place, path)
        }
        None => (rest, Segments::any()),
    };
    let place = PlacePattern::parse(place)?;
    if let (HostPattern::Exact(host), Some(bits)) = (&place.host, ambiguous_range(&place, &path)) {
        return Err(format!(
            "write a range as `[{host}/{bits}]`, a path as `{host}/{bits}/**`"
        ));
    }
    Ok(Form::Http {
        method,
        place,
        path,
    })
}

/// The number of `10.0.0.0/8`, which could be a range or a path.
fn ambiguous_range(place: &PlacePattern, path: &Segments) -> Option<u8> {
    let is_address = matches!(place.host, HostPattern::Exact(crate::Host::Address(_)));
    let path = path.to_string();
    let bits = path.strip_prefix('/')?.parse().ok()?;
    (is_address && place.port == PortPattern::Default && bits <= 128).then_some(bits)
}

fn parse_method(permission: Permission, method: &str) -> Result<Box<str>, String> {
    let is_token = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    if !is_token || method.len() > 32 {
        return Err("write the method in upper case: `POST host/path`".to_owned());
    }
    let needed = permission_of_method(method);
    if needed != permission {
        return Err(format!("`{method}` needs the permission `{needed}`"));
    }
    Ok(method.into())
}

/// The permission that a method needs: `GET` and `HEAD` read, all others write.
pub(crate) fn permission_of_method(method: &str) -> Permission {
    match method {
        "GET" | "HEAD" => Permission::HttpRead,
        _ => Permission::HttpWrite,
    }
}

fn parse_secret(text: &str) -> Result<Form, String> {
    let (target, header) = match text.split_once(' ') {
        Some((target, header)) => (target, Some(Header::parse(header)?)),
        None => (text, None),
    };
    let (name, place) = target
        .split_once('@')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write it as `NAME@host`")?;
    if place.contains('/') && !place.starts_with('[') {
        return Err("a secret is for a host, not for a path".to_owned());
    }
    Ok(Form::Secret {
        name: name.into(),
        place: PlacePattern::parse(place)?,
        header,
    })
}

/// A pattern, or with `!` before it what is taken out of all others. What is forbidden wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Whether it takes away.
    pub forbids: bool,
    /// What it is about.
    pub pattern: Pattern,
}

impl Rule {
    /// A rule that gives.
    #[must_use]
    pub const fn allow(pattern: Pattern) -> Self {
        Self {
            forbids: false,
            pattern,
        }
    }
    /// A rule that takes away.
    #[must_use]
    pub const fn forbid(pattern: Pattern) -> Self {
        Self {
            forbids: true,
            pattern,
        }
    }
    /// Reads a pattern with or without `!` before it.
    ///
    /// Errors: [`PatternError`].
    pub fn parse(permission: Permission, text: &str) -> Result<Self, PatternError> {
        let (forbids, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let pattern = Pattern::parse(permission, text)?;
        Ok(Self { forbids, pattern })
    }
    /// Whether it gives, or takes away, all that the other does.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.forbids == other.forbids && self.pattern.includes(&other.pattern)
    }
}
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.forbids { "!" } else { "" };
        write!(f, "{mark}{}", self.pattern)
    }
}

/// A permission with one rule, as the command line has it: `http:read=api.example.com/**`,
/// `env:read=!HOME`, `random:secure`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionRule {
    /// The permission.
    pub permission: Permission,
    /// The rule.
    pub rule: Rule,
}

/// Why a text is no permission with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionRuleError {
    /// What stands before `=` is no permission.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// What stands after `=` is no pattern of it.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl FromStr for PermissionRule {
    type Err = PermissionRuleError;
    fn from_str(text: &str) -> Result<Self, PermissionRuleError> {
        let (permission, pattern) = text.split_once('=').unwrap_or((text, ""));
        let permission: Permission = permission.trim().parse()?;
        let rule = Rule::parse(permission, pattern.trim())?;
        Ok(Self { permission, rule })
    }
}
impl fmt::Display for PermissionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.rule.pattern.0, self.rule.forbids) {
            (Form::Whole, false) => self.permission.fmt(f),
            _ => write!(f, "{}={}", self.permission, self.rule),
        }
    }
}
