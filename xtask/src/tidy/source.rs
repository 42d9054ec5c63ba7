//! The files of the tree: what people wrote, nothing that a tool made.

use std::{fs, ops::RangeInclusive, path::Path};

use anyhow::Context as _;
use syn::{
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// Folders that hold what was built, fetched or generated.
const SKIPPED: [&str; 8] = [
    "target",
    "node_modules",
    ".git",
    "build",
    "prebuilt",
    "book",
    "golden",
    "corpus",
];

/// A text file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn extension(&self) -> &str {
        self.path
            .rsplit_once('.')
            .map_or("", |(_, extension)| extension)
    }
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
    /// Whether it holds nothing but tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.name() == "tests.rs"
            || self.name().ends_with("_tests.rs")
            || self.path.contains("/benches/")
    }
    /// The text of a Rust file without its modules of tests: what stands behind one counts as well.
    pub(crate) fn production_text(&self) -> String {
        let mut modules = TestModules::default();
        if let Ok(file) = syn::parse_file(&self.text) {
            modules.visit_file(&file);
        }
        let is_production = |line: &usize| modules.0.iter().all(|test| !test.contains(line));
        (1..)
            .zip(self.text.lines())
            .filter(|(line, _)| is_production(line))
            .map(|(_, text)| format!("{text}\n"))
            .collect()
    }
}

/// Whether a module is compiled for tests alone.
pub(crate) fn is_test_module(item: &syn::ItemMod) -> bool {
    item.attrs.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// The lines of each module of tests, with its attributes.
#[derive(Default)]
struct TestModules(Vec<RangeInclusive<usize>>);

impl<'ast> Visit<'ast> for TestModules {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test_module(item) {
            let lines = item.span();
            self.0.push(lines.start().line..=lines.end().line);
        } else {
            visit::visit_item_mod(self, item);
        }
    }
}

/// Every text file of the tree, in the order of their paths.
pub(crate) fn all(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    walk(root, "", &mut sources)?;
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn walk(root: &Path, below: &str, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() {
            name.clone()
        } else {
            format!("{below}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            walk(root, &path, sources)?;
        } else if kind.is_file()
            && !name.ends_with(".lock")
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            sources.push(Source { path, text });
        }
    }
    Ok(())
}
