//! Rules for Rust files: length, headers, `unsafe`, tests that do not run.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use proc_macro2::{TokenStream, TokenTree};
use serde::Deserialize;
use syn::{
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{Complaint, Source, source::is_test_module};

/// Production lines of a file; a longer one has more than one noun.
const FILE_LINES_MAX: usize = 500;

/// Lines of a function's body and head; a longer one can't be seen whole.
const FUNCTION_LINES_MAX: usize = 70;

/// The only files that may hold `unsafe`: the host's one, and where a guest's imports and exports,
/// its allocator and what its macros write meet the host.
const UNSAFE_FILES: [&str; 5] = [
    "crates/caxton-engine/src/raw.rs",
    "crates/caxton-sdk/src/sys.rs",
    "crates/caxton-sdk/src/alloc.rs",
    "crates/caxton-sdk-macros/src/",
    "crates/caxton-sdk/tests/",
];

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 6] = [
    "utils.rs",
    "util.rs",
    "common.rs",
    "helpers.rs",
    "types.rs",
    "manager.rs",
];

/// `tidy.toml`: files that may be longer, with the reason.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allowances {
    #[serde(default)]
    lines: BTreeMap<String, Allowance>,
    /// By file and function: `path::name`.
    #[serde(default)]
    functions: BTreeMap<String, Allowance>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowance {
    max: usize,
    reason: String,
}

impl Allowances {
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("tidy.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
    fn lines_max(&self, path: &str) -> usize {
        self.lines
            .get(path)
            .map_or(FILE_LINES_MAX, |allowance| allowance.max)
    }
    fn function_lines_max(&self, path: &str, name: &str) -> usize {
        let key = format!("{path}::{name}");
        self.functions
            .get(&key)
            .map_or(FUNCTION_LINES_MAX, |allowance| allowance.max)
    }
    /// An allowance may only shrink, and goes when what it excuses is gone or within the rule.
    pub(super) fn check_used(&self, sources: &[Source], complaints: &mut Vec<Complaint>) {
        let mut complain = |key: &str, what: String| {
            complaints.push(Complaint {
                path: "tidy.toml".to_owned(),
                line: 0,
                what: format!("`{key}` {what}"),
            });
        };
        let find = |path: &str| {
            sources
                .iter()
                .find(|source| source.path == path && !source.is_test())
        };
        for (path, allowance) in &self.lines {
            let lines = find(path).map(production_lines);
            if let Some(what) = allowance.fault(lines, FILE_LINES_MAX, 50) {
                complain(path, what);
            }
        }
        for (key, allowance) in &self.functions {
            let (path, name) = key.rsplit_once("::").unwrap_or((key, ""));
            let lines = find(path).and_then(|source| {
                let file = syn::parse_file(&source.text).ok()?;
                let lengths = Functions::of(&file, false).0.into_iter();
                lengths
                    .filter(|of| of.name == name)
                    .map(|of| of.lines)
                    .max()
            });
            if let Some(what) = allowance.fault(lines, FUNCTION_LINES_MAX, 10) {
                complain(key, what);
            }
        }
    }
}

impl Allowance {
    /// What is wrong with it, if what it excuses has this length.
    ///
    /// `rule`: the length that needs no allowance; `slack`: by how much it may be too high.
    fn fault(&self, lines: Option<usize>, rule: usize, slack: usize) -> Option<String> {
        match lines {
            None => Some("is allowed more lines, but is not there; remove it".to_owned()),
            Some(lines) if lines <= rule => Some(format!(
                "needs no allowance with its length of {lines}, at most {rule}; remove it"
            )),
            Some(lines) if lines + slack < self.max => {
                Some(format!("has {lines} lines, allowed {}; lower it", self.max))
            }
            Some(_) if self.reason.len() < 10 => Some("gives no reason".to_owned()),
            Some(_) => None,
        }
    }
}

/// Lines outside modules of tests.
fn production_lines(source: &Source) -> usize {
    source.production_text().lines().count()
}

/// Judges one file. Guests keep their own languages' habits and are not judged.
pub(super) fn check(source: &Source, allowed: &Allowances, complaints: &mut Vec<Complaint>) {
    if !source.path.starts_with("crates/") && !source.path.starts_with("xtask/") {
        return;
    }
    let mut complain = |line: usize, what: String| {
        complaints.push(Complaint {
            path: source.path.clone(),
            line,
            what,
        });
    };
    if EMPTY_NAMES.contains(&source.name()) {
        complain(
            0,
            format!(
                "`{}` names nothing; name the file after its noun",
                source.name()
            ),
        );
    }
    let lines = production_lines(source);
    let max = allowed.lines_max(&source.path);
    if !source.is_test() && lines > max {
        complain(
            0,
            format!("{lines} production lines, at most {max}; split it by noun"),
        );
    }
    if !source.is_test() && !source.text.starts_with("//!") {
        complain(1, "begin the file with `//!`: why it exists".to_owned());
    }
    match syn::parse_file(&source.text) {
        Err(error) => complain(error.span().start().line, format!("is no Rust: {error}")),
        Ok(file) => {
            for Function { name, line, lines } in Functions::of(&file, source.is_test()).0 {
                let max = allowed.function_lines_max(&source.path, &name);
                if lines > max {
                    complain(
                        line,
                        format!("`{name}` has {lines} lines, at most {max}; split it"),
                    );
                }
            }
        }
    }
    if let Ok(tokens) = source.text.parse::<TokenStream>() {
        let may_be_unsafe = UNSAFE_FILES
            .iter()
            .any(|path| source.path.starts_with(path));
        check_tokens(tokens, may_be_unsafe, &mut complain);
    }
}

/// A function and how long it is.
struct Function {
    name: String,
    /// Where its signature begins.
    line: usize,
    lines: usize,
}

/// The functions of a file outside its modules of tests.
struct Functions(Vec<Function>);

impl Functions {
    fn of(file: &syn::File, is_test: bool) -> Self {
        let mut functions = Self(Vec::new());
        if !is_test {
            functions.visit_file(file);
        }
        functions
    }
    fn add(&mut self, signature: &syn::Signature, whole: proc_macro2::Span) {
        let (line, last) = (signature.span().start().line, whole.end().line);
        self.0.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: (last + 1).saturating_sub(line),
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_module(item) {
            visit::visit_item_mod(self, item);
        }
    }
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, item.block.span());
        visit::visit_item_fn(self, item);
    }
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, item.block.span());
        visit::visit_impl_item_fn(self, item);
    }
}

/// Finds words that may not stand in code at all.
fn check_tokens(tokens: TokenStream, may_be_unsafe: bool, complain: &mut dyn FnMut(usize, String)) {
    let mut tokens = tokens.into_iter().peekable();
    let mut attribute = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(ref punct) if punct.as_char() == '#' => {
                attribute = true;
                continue;
            }
            TokenTree::Group(group) => {
                if attribute {
                    let first = group.stream().into_iter().next().map(|t| t.to_string());
                    if let Some(word @ ("ignore" | "should_panic")) = first.as_deref() {
                        let line = group.span_open().start().line;
                        complain(
                            line,
                            format!("`#[{word}]`: a test runs, and says what it expects"),
                        );
                    }
                }
                check_tokens(group.stream(), may_be_unsafe, complain);
            }
            TokenTree::Ident(ident) => {
                let word = ident.to_string();
                let line = ident.span().start().line;
                let called =
                    matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == '!');
                if called && matches!(word.as_str(), "todo" | "unimplemented" | "dbg") {
                    complain(
                        line,
                        format!("`{word}!` is no code; write it, or leave it out"),
                    );
                }
                if word == "unsafe" && !may_be_unsafe {
                    complain(
                        line,
                        format!("`unsafe` stands in {} alone", UNSAFE_FILES.join(", ")),
                    );
                }
            }
            _ => {}
        }
        attribute = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str, text: &str) -> Vec<String> {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let mut complaints = Vec::new();
        check(&source, &Allowances::default(), &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_long_file_and_a_long_function_are_named() {
        let body = "    let _ = 1;\n".repeat(70);
        let text = format!("//! why\nfn long() {{\n{body}}}\n");
        assert_eq!(
            said("crates/a/src/b.rs", &text),
            ["crates/a/src/b.rs:2: `long` has 72 lines, at most 70; split it"]
        );
        let text = format!("//! why\n{}", "const _: u8 = 0;\n".repeat(500));
        assert_eq!(
            said("crates/a/src/b.rs", &text),
            ["crates/a/src/b.rs: 501 production lines, at most 500; split it by noun"]
        );
    }

    #[test]
    fn tests_may_be_as_long_as_they_need() {
        let body = "    let _ = 1;\n".repeat(90);
        let text = format!("//! why\n#[cfg(test)]\nmod tests {{\nfn long() {{\n{body}}}\n}}\n");
        assert!(said("crates/a/src/b.rs", &text).is_empty());
    }

    #[test]
    fn a_file_is_counted_without_its_modules_of_tests_and_no_further_line_is_left_out() {
        let tests = format!(
            "/// Why.\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "\n".repeat(90)
        );
        let code = "const _: u8 = 0;\n".repeat(250);
        let text = format!("//! why\n#[cfg(test)]\nfn a() {{}}\n{code}{tests}{code}");
        assert_eq!(
            said("crates/a/src/b.rs", &text),
            ["crates/a/src/b.rs: 503 production lines, at most 500; split it by noun"]
        );
        let text = format!("//! why\nmod inner {{\n{code}{tests}}}\n{tests}");
        assert!(said("crates/a/src/b.rs", &text).is_empty());
    }

    #[test]
    fn an_allowance_that_excuses_nothing_is_named() {
        let long = "    let _ = 1;\n".repeat(72);
        let text = format!(
            "{}fn a() {{\n{long}}}\nfn b() {{}}\n#[cfg(test)]\nmod tests {{ fn c() {{}} }}\n",
            "const _: u8 = 0;\n".repeat(430)
        );
        let sources = [Source {
            path: "b.rs".to_owned(),
            text,
        }];
        let allowed = |table: &str| {
            let allowed: Allowances = toml::from_str(table).unwrap();
            let mut complaints = Vec::new();
            allowed.check_used(&sources, &mut complaints);
            complaints
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let entry = |table: &str, key: &str, max: usize| {
            allowed(&format!(
                "[{table}]\n\"{key}\" = {{ max = {max}, reason = \"one loop, whole\" }}"
            ))
        };
        let gone = "is allowed more lines, but is not there; remove it";
        assert_eq!(entry("lines", "b.rs", 510), [""; 0]);
        assert_eq!(
            entry("lines", "b.rs", 600),
            ["tidy.toml: `b.rs` has 505 lines, allowed 600; lower it"]
        );
        assert_eq!(
            entry("lines", "gone.rs", 510),
            [format!("tidy.toml: `gone.rs` {gone}")]
        );
        assert_eq!(entry("functions", "b.rs::a", 75), [""; 0]);
        assert_eq!(
            entry("functions", "b.rs::a", 90),
            ["tidy.toml: `b.rs::a` has 74 lines, allowed 90; lower it"]
        );
        assert_eq!(
            entry("functions", "b.rs::b", 75),
            ["tidy.toml: `b.rs::b` needs no allowance with its length of 1, at most 70; remove it"]
        );
        for key in ["b.rs::c", "b.rs::d", "gone.rs::a"] {
            assert_eq!(
                entry("functions", key, 75),
                [format!("tidy.toml: `{key}` {gone}")]
            );
        }
    }

    #[test]
    fn words_that_are_no_code_are_found_wherever_they_stand() {
        let word = "todo";
        let text = format!(
            "//! why\nfn a() {{ {word}!() }}\n#[test]\n#[ignore]\nfn b() {{ unsafe {{}} }}\n"
        );
        let said = said("crates/a/src/b.rs", &text);
        assert_eq!(said.len(), 3, "{said:#?}");
        assert!(
            said[0].contains(":2: `todo!`") && said[1].contains(":4: `#[ignore]`"),
            "{said:#?}"
        );
        assert!(said[2].contains(":5: `unsafe`"), "{said:#?}");
    }

    #[test]
    fn a_file_without_a_reason_or_with_an_empty_name_is_named() {
        assert!(said("crates/a/src/b.rs", "fn a() {}\n")[0].contains("begin the file with"));
        assert!(said("crates/a/src/utils.rs", "//! x\n")[0].contains("names nothing"));
        assert!(said("guests/a/src/utils.rs", "fn a() {}\n").is_empty());
    }
}
