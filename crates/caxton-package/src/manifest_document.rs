//! A TOML or JSON text as one tree of values that remember where they stood.
//!
//! People write manifests and configuration; every complaint about them must point at a place.

use std::{borrow::Cow, fmt, ops::Range};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Bytes of a manifest or a configuration.
///
/// A thousand times what one needs; keeps a hostile package from filling memory with spans.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Levels of tables and lists within each other; no section needs more than five.
const DEPTH_MAX: usize = 32;

/// One thing wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Byte offsets in the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Why a text was not accepted: everything that is wrong with it, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// What the text is called, for the reader.
    pub name: String,
    /// The text.
    pub text: String,
    /// All problems. Never empty.
    pub problems: Vec<Problem>,
}

impl DocumentError {
    /// Line and column of a byte offset, both from 1; the column counts characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |rest| rest.chars().count())
            + 1;
        (line, column)
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let (line, column) = self.position(problem.span.start);
            let newline = if i == 0 { "" } else { "\n" };
            write!(
                f,
                "{newline}{}:{line}:{column}: {}",
                self.name, problem.what
            )?;
            if !problem.remedy.is_empty() {
                write!(f, "; {}", problem.remedy)?;
            }
        }
        Ok(())
    }
}
impl std::error::Error for DocumentError {}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Whole(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A kind of value that no key takes: a float, a date, null.
    Other(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Value {
    pub(crate) const fn what(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Whole(_) => "a whole number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(what) => what,
        }
    }
}

/// Reads a text; what starts with `{` is JSON, all else TOML.
///
/// Errors: every syntax error (TOML) or the first one (JSON).
pub(crate) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(vec![Problem {
            span: 0..0,
            what: format!(
                "the text has {} bytes, at most {DOCUMENT_BYTES_MAX} are read",
                text.len()
            ),
            remedy: "make it shorter".to_owned(),
        }]);
    }
    if text.trim_start().starts_with('{') {
        parse_json(text)
    } else {
        parse_toml(text)
    }
}

fn parse_toml(text: &str) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node {
            span: table.span(),
            value: Value::Table(entries(table.get_ref(), DEPTH_MAX)),
        });
    }
    let problem = |error: toml::de::Error| Problem {
        span: error.span().unwrap_or(0..0),
        what: error.message().replace('\n', ", "),
        remedy: "write it as TOML wants: https://toml.io".to_owned(),
    };
    Err(errors.into_iter().map(problem).collect())
}

fn entries(table: &DeTable<'_>, depth: usize) -> Vec<Entry> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: toml_node(value, depth.saturating_sub(1)),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn toml_node(value: &Spanned<DeValue<'_>>, depth: usize) -> Node {
    let read = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number beyond 64 bits"), Value::Whole),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(_) | DeValue::Table(_) if depth == 0 => Value::Other("too deep a nesting"),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| toml_node(item, depth - 1))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(table, depth)),
    };
    Node {
        span: value.span(),
        value: read,
    }
}

/// The members of a JSON object in their order, each still a slice of the text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<BorrowedText<'de>, &RawValue>()? {
                    members.push((member.0.0, member.1));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A text that borrows where it can; `Cow` alone never does.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

fn parse_json(text: &str) -> Result<Node, Vec<Problem>> {
    let syntax = |offset: usize, error: &serde_json::Error| {
        let at = offset_of(text, error.line(), error.column()).max(offset);
        let full = error.to_string();
        let what = full.split(" at line ").next().unwrap_or(&full).to_owned();
        vec![Problem {
            span: at..at,
            what,
            remedy: "write it as JSON wants".to_owned(),
        }]
    };
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(0, &error))?;
    json_node(text, raw, DEPTH_MAX).map_err(|error| syntax(0, &error))
}

fn json_node(text: &str, raw: &RawValue, depth: usize) -> Result<Node, serde_json::Error> {
    let slice = raw.get();
    let start = (slice.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let span = start..start + slice.len();
    let value = match slice.as_bytes().first() {
        Some(b'{' | b'[') if depth == 0 => Value::Other("too deep a nesting"),
        Some(b'{') => {
            let mut entries = Vec::new();
            for (key, value) in serde_json::from_str::<Members<'_>>(slice)?.0 {
                let node = json_node(text, value, depth - 1)?;
                let key_span = match &key {
                    Cow::Borrowed(key) => {
                        let start = (key.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
                        start..start + key.len()
                    }
                    Cow::Owned(_) => node.span.clone(),
                };
                entries.push(Entry {
                    key: key.into_owned(),
                    key_span,
                    node,
                });
            }
            Value::Table(entries)
        }
        Some(b'[') => Value::List(
            serde_json::from_str::<Vec<&RawValue>>(slice)?
                .into_iter()
                .map(|item| json_node(text, item, depth - 1))
                .collect::<Result<_, _>>()?,
        ),
        Some(b'"') => Value::Text(serde_json::from_str(slice)?),
        Some(b't' | b'f') => Value::Flag(slice == "true"),
        Some(b'n') => Value::Other("null"),
        _ => slice
            .parse()
            .map_or(Value::Other("a number with a fraction"), Value::Whole),
    };
    Ok(Node { span, value })
}

/// The byte offset of a line and a column (bytes, from 1), as serde_json counts them.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    // Within a character of several bytes, where that begins: no text can be cut elsewhere.
    text.floor_char_boundary(before + column.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_json_give_the_same_tree_and_know_their_places() {
        let toml = "a = 1\n[b]\nc = [\"x\", true]\n";
        let json = r#"{"a": 1, "b": {"c": ["x", true]}}"#;
        for text in [toml, json] {
            let Value::Table(entries) = parse(text).unwrap().value else {
                panic!("no table")
            };
            assert_eq!(entries[0].key, "a");
            assert_eq!(entries[0].node.value, Value::Whole(1));
            assert_eq!(&text[entries[0].node.span.clone()], "1");
            assert_eq!(&text[entries[1].key_span.clone()], "b");
            let Value::Table(inner) = &entries[1].node.value else {
                panic!("no table")
            };
            let Value::List(items) = &inner[0].node.value else {
                panic!("no list")
            };
            assert_eq!(&text[items[1].span.clone()], "true");
        }
    }

    #[test]
    fn all_syntax_errors_of_a_toml_text_are_found_at_once() {
        let problems = parse("a = \nb = 1\nc = ]\n").unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
    }

    #[test]
    fn a_json_error_points_at_its_line() {
        let text = "{\n  \"a\": 1,\n  oops\n}";
        let problems = parse(text).unwrap_err();
        let error = DocumentError {
            name: "m".into(),
            text: text.into(),
            problems,
        };
        assert_eq!(error.position(error.problems[0].span.start).0, 3);
    }

    #[test]
    fn an_error_within_a_character_points_at_its_beginning() {
        let text = "{\"\u{feff}\n\": 1}";
        let problems = parse(text).unwrap_err();
        assert!(
            text.is_char_boundary(problems[0].span.start),
            "{problems:?}"
        );
    }

    #[test]
    fn hostile_depth_ends_in_a_problem_and_not_in_the_stack() {
        for text in [
            format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
            format!("a = {}{}", "[".repeat(50_000), "]".repeat(50_000)),
            format!("a = {}{}", "[".repeat(60), "]".repeat(60)),
        ] {
            assert!(crate::Manifest::read("m", &text).is_err());
        }
    }
}
