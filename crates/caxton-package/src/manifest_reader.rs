//! Takes typed values out of a document and collects every complaint on the way.
//!
//! Nothing stops at the first error: a key that is wrong reads as absent, and the list of problems
//! decides at the end. A key nobody took is unknown, and named with the nearest one that exists.

use std::{cell::RefCell, fmt::Display, ops::Range, rc::Rc, str::FromStr};

use caxton_model::{ByteSize, Micros, nearest};

use crate::manifest_document::{DocumentError, Entry, Node, Problem, Value, parse};

/// A document that was parsed, and the complaints so far.
#[derive(Debug)]
pub struct DocumentReader {
    name: String,
    text: String,
    root: Node,
    problems: Rc<RefCell<Vec<Problem>>>,
}

impl DocumentReader {
    /// Parses TOML or JSON. `name` is what problems call the text.
    ///
    /// Errors: the syntax errors.
    pub fn parse(name: &str, text: &str) -> Result<Self, DocumentError> {
        match parse(text) {
            Ok(root) => Ok(Self {
                name: name.to_owned(),
                text: text.to_owned(),
                root,
                problems: Rc::default(),
            }),
            Err(problems) => Err(DocumentError {
                name: name.to_owned(),
                text: text.to_owned(),
                problems,
            }),
        }
    }
    /// The outermost table.
    #[must_use]
    pub fn root(&self) -> TableReader<'_> {
        let entries = match &self.root.value {
            Value::Table(entries) => entries.as_slice(),
            _ => &[],
        };
        TableReader::new(String::new(), entries, 0..0, &self.problems)
    }
    /// Ends the reading.
    ///
    /// Errors: every problem there was, in the order of the text.
    pub fn finish(self) -> Result<(), DocumentError> {
        let mut problems = self.problems.take();
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        Err(DocumentError {
            name: self.name,
            text: self.text,
            problems,
        })
    }
}

/// One table of a document.
#[derive(Debug)]
pub struct TableReader<'a> {
    path: String,
    entries: &'a [Entry],
    span: Range<usize>,
    known: Vec<String>,
    problems: &'a Rc<RefCell<Vec<Problem>>>,
}

impl<'a> TableReader<'a> {
    fn new(
        path: String,
        entries: &'a [Entry],
        span: Range<usize>,
        problems: &'a Rc<RefCell<Vec<Problem>>>,
    ) -> Self {
        Self {
            path,
            entries,
            span,
            known: Vec::new(),
            problems,
        }
    }

    /// Complains about a place.
    pub fn complain(&self, span: Range<usize>, what: impl Into<String>, remedy: impl Into<String>) {
        let problem = Problem {
            span,
            what: what.into(),
            remedy: remedy.into(),
        };
        self.problems.borrow_mut().push(problem);
    }
    /// Where the table stands.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
    /// The keys in the order of the text, with their places.
    pub fn keys(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> + use<'a> {
        self.entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.key_span.clone()))
    }
    /// Where a key's value stands; the table's own place if it is absent.
    #[must_use]
    pub fn span_of(&self, key: &str) -> Range<usize> {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or_else(|| self.span(), |entry| entry.node.span.clone())
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
    fn take(&mut self, key: &str) -> Option<&'a Node> {
        self.known.push(key.to_owned());
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }
    fn mismatch(&self, key: &str, node: &Node, expected: &str, example: &str) {
        self.complain(
            node.span.clone(),
            format!(
                "`{}`: expected {expected}, got {}",
                self.full(key),
                node.value.what()
            ),
            if example.is_empty() {
                String::new()
            } else {
                format!("write it as `{example}`")
            },
        );
    }

    /// A text.
    pub fn text(&mut self, key: &str) -> Option<&'a str> {
        let node = self.take(key)?;
        if let Value::Text(text) = &node.value {
            return Some(text);
        }
        self.mismatch(key, node, "a text", &format!("{key} = \"…\""));
        None
    }
    /// A text that is missing at the cost of a complaint.
    pub fn required_text(&mut self, key: &str, example: &str) -> Option<&'a str> {
        if self.entries.iter().all(|entry| entry.key != key) {
            self.known.push(key.to_owned());
            self.complain(
                self.span(),
                format!("`{}` is missing", self.full(key)),
                format!("add `{key} = \"{example}\"`"),
            );
            return None;
        }
        self.text(key)
    }
    /// A text of some form, read by its type.
    pub fn parsed<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.complain(
                    self.span_of(key),
                    format!("`{}`: {error}", self.full(key)),
                    "",
                );
                None
            }
        }
    }
    /// One word of a closed list.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.complain(
            self.span_of(key),
            format!("`{}` can't be `{text}`", self.full(key)),
            one_of(text, &words),
        );
        None
    }
    /// True or false.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        let node = self.take(key)?;
        if let Value::Flag(flag) = node.value {
            return Some(flag);
        }
        self.mismatch(key, node, "true or false", &format!("{key} = true"));
        None
    }
    /// A whole number within bounds.
    pub fn whole(&mut self, key: &str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let node = self.take(key)?;
        let Value::Whole(number) = node.value else {
            self.mismatch(
                key,
                node,
                "a whole number",
                &format!("{key} = {}", bounds.start()),
            );
            return None;
        };
        match u64::try_from(number)
            .ok()
            .filter(|number| bounds.contains(number))
        {
            Some(number) => Some(number),
            None => {
                self.complain(
                    node.span.clone(),
                    format!("`{}` can't be {number}", self.full(key)),
                    format!("use {} to {}", bounds.start(), bounds.end()),
                );
                None
            }
        }
    }
    /// A value whose text carries a unit; a plain number stands for its base unit.
    pub fn measured<T>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.take(key)?;
        let result = match &node.value {
            Value::Text(text) => read(text),
            Value::Whole(number) => read(&number.to_string()),
            other => Err(format!("expected a text with a unit, got {}", other.what())),
        };
        result
            .map_err(|reason| {
                let what = format!("`{}`: {reason}", self.full(key));
                self.complain(node.span.clone(), what, "");
            })
            .ok()
    }
    /// A size such as `"64MiB"`.
    pub fn bytes(&mut self, key: &str) -> Option<ByteSize> {
        self.measured(key, |text| {
            text.parse()
                .map_err(|e: caxton_model::UnitError| e.to_string())
        })
    }
    /// A duration such as `"250ms"`.
    pub fn duration(&mut self, key: &str) -> Option<Micros> {
        self.measured(key, |text| {
            text.parse()
                .map_err(|e: caxton_model::UnitError| e.to_string())
        })
    }
    /// A list of texts.
    pub fn texts(&mut self, key: &str) -> Option<Vec<&'a str>> {
        let node = self.take(key)?;
        let Value::List(items) = &node.value else {
            self.mismatch(key, node, "a list of texts", &format!("{key} = [\"…\"]"));
            return None;
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) => texts.push(text.as_str()),
                _ => self.mismatch(key, item, "a text in the list", &format!("{key} = [\"…\"]")),
            }
        }
        Some(texts)
    }
    /// A table within.
    pub fn table(&mut self, key: &str) -> Option<TableReader<'a>> {
        let node = self.take(key)?;
        if let Value::Table(entries) = &node.value {
            let span = self.entries.iter().find(|entry| entry.key == key);
            let span = span.map_or(0..0, |entry| entry.key_span.clone());
            return Some(TableReader::new(
                self.full(key),
                entries,
                span,
                self.problems,
            ));
        }
        self.mismatch(key, node, "a table", &format!("[{}]", self.full(key)));
        None
    }
    /// A list of tables, each named by its place.
    pub fn tables(&mut self, key: &str) -> Vec<TableReader<'a>> {
        let Some(node) = self.take(key) else {
            return Vec::new();
        };
        let Value::List(items) = &node.value else {
            self.mismatch(
                key,
                node,
                "a list of tables",
                &format!("[[{}]]", self.full(key)),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (i, item) in items.iter().enumerate() {
            match &item.value {
                Value::Table(entries) => tables.push(TableReader::new(
                    format!("{}[{i}]", self.full(key)),
                    entries,
                    item.span.clone(),
                    self.problems,
                )),
                _ => self.mismatch(key, item, "a table in the list", ""),
            }
        }
        tables
    }
    /// Complains about every key that nobody took, and about keys given twice.
    pub fn finish(self) {
        for (i, entry) in self.entries.iter().enumerate() {
            let earlier = self
                .entries
                .iter()
                .take(i)
                .any(|other| other.key == entry.key);
            if earlier {
                let what = format!("`{}` is given twice", self.full(&entry.key));
                self.complain(entry.key_span.clone(), what, "keep one of them");
            }
            if self.known.contains(&entry.key) {
                continue;
            }
            let known: Vec<_> = self.known.iter().map(String::as_str).collect();
            self.complain(
                entry.key_span.clone(),
                format!("`{}` is no key here", self.full(&entry.key)),
                one_of(&entry.key, &known),
            );
        }
    }
}

/// "did you mean …?", or the whole list where nothing is near.
fn one_of(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("use one of {}", known.join(", ")),
    }
}
