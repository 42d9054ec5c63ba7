//! Rules for Rust files: length, headers, `unsafe`, tests that do not run.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use proc_macro2::{TokenStream, TokenTree};
use serde::Deserialize;
use syn::{
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{Complaint, Source};

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
    /// An allowance may only shrink, and goes when its file does.
    pub(super) fn check_used(&self, sources: &[Source], complaints: &mut Vec<Complaint>) {
        for (path, allowance) in &self.lines {
            let lines = sources
                .iter()
                .find(|source| source.path == *path)
                .map(production_lines);
            let complaint = match lines {
                None => Some("is allowed more lines, but is not there; remove it".to_owned()),
                Some(lines) if lines <= FILE_LINES_MAX => Some(format!(
                    "has {lines} lines and needs no allowance; remove it"
                )),
                Some(lines) if lines + 50 < allowance.max => Some(format!(
                    "has {lines} lines, allowed {}; lower it",
                    allowance.max
                )),
                Some(_) if allowance.reason.len() < 10 => Some("gives no reason".to_owned()),
                Some(_) => None,
            };
            complaints.extend(complaint.map(|what| Complaint {
                path: "tidy.toml".to_owned(),
                line: 0,
                what: format!("`{path}` {what}"),
            }));
        }
    }
}

/// Lines before the test module.
fn production_lines(source: &Source) -> usize {
    let lines = source.text.lines();
    lines.take_while(|line| *line != "#[cfg(test)]").count()
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
            let mut visitor = Functions {
                source,
                allowed,
                test: source.is_test(),
                complain: &mut complain,
            };
            visitor.visit_file(&file);
        }
    }
    if let Ok(tokens) = source.text.parse::<TokenStream>() {
        let may_be_unsafe = UNSAFE_FILES
            .iter()
            .any(|path| source.path.starts_with(path));
        check_tokens(tokens, may_be_unsafe, &mut complain);
    }
}

/// Finds functions that are too long, outside tests.
struct Functions<'a> {
    source: &'a Source,
    allowed: &'a Allowances,
    test: bool,
    complain: &'a mut dyn FnMut(usize, String),
}

impl Functions<'_> {
    fn check(&mut self, signature: &syn::Signature, whole: proc_macro2::Span) {
        let (first, last) = (signature.span().start().line, whole.end().line);
        let lines = (last + 1).saturating_sub(first);
        let name = signature.ident.to_string();
        let max = self.allowed.function_lines_max(&self.source.path, &name);
        if !self.test && lines > max {
            let what = format!("`{name}` has {lines} lines, at most {max}; split it");
            (self.complain)(first, what);
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let before = self.test;
        self.test |= item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|path| path.is_ident("test"))
        });
        visit::visit_item_mod(self, item);
        self.test = before;
    }
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check(&item.sig, item.block.span());
        visit::visit_item_fn(self, item);
    }
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check(&item.sig, item.block.span());
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
