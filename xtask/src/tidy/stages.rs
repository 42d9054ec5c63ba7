//! The tables "The life of …" in ARCHITECTURE.md: the functions they name are in the files they name.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use super::{Complaint, Source};

/// The page whose tables are checked.
const PAGE: &str = "ARCHITECTURE.md";

/// Where the kernel's events are declared.
const EVENTS: &str = "caxton-kernel/src/event.rs";

/// Where the kernel hands each event to its handler.
const KERNEL: &str = "caxton-kernel/src/kernel.rs";

/// One row of such a table.
struct Row<'a> {
    /// Its line in the page, from 1.
    line: usize,
    /// Its first cell.
    stage: &'a str,
    /// Files below `crates/`.
    files: Vec<&'a str>,
    /// Functions, methods, events and effects.
    names: Vec<&'a str>,
}

/// Checks every row of every table "The life of …" against the code.
pub(super) fn check(sources: &[Source], complaints: &mut Vec<Complaint>) {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else {
        return;
    };
    let mut complain = |line: usize, what: String| {
        complaints.push(Complaint {
            path: page.path.clone(),
            line,
            what,
        });
    };
    let (rows, empty) = rows(&page.text);
    for line in empty {
        complain(
            line,
            "has no table of stages: a row is `| stage | where | function |`".to_owned(),
        );
    }
    for row in rows {
        for what in faults(&row, sources) {
            complain(row.line, format!("the stage `{}` {what}", row.stage));
        }
    }
}

/// The rows of all tables, and the lines of the titles that have none below them.
fn rows(text: &str) -> (Vec<Row<'_>>, Vec<usize>) {
    let mut rows: Vec<Row> = Vec::new();
    let (mut empty, mut title, mut is_inside) = (Vec::new(), None, false);
    for (i, text) in text.lines().enumerate() {
        if text.starts_with("## ") {
            empty.extend(title);
            is_inside = text.starts_with("## The life of ");
            title = is_inside.then_some(i + 1);
        }
        let is_head = text.starts_with("| stage |") || text.starts_with("|--");
        if !is_inside || !text.starts_with('|') || is_head {
            continue;
        }
        title = None;
        let cells: Vec<&str> = text.split('|').map(str::trim).collect();
        let (stage, files, names) = match cells[..] {
            [_, stage, files, names, _] => (stage, files, names),
            _ => (text, "", ""),
        };
        rows.push(Row {
            line: i + 1,
            stage,
            files: quoted(files),
            names: quoted(names),
        });
    }
    empty.extend(title);
    (rows, empty)
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What is wrong with one row.
fn faults(row: &Row, sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    if row.files.is_empty() || row.names.is_empty() {
        faults.push("names no file or no function in backquotes".to_owned());
    }
    let mut files = Vec::new();
    for path in &row.files {
        match find(sources, path) {
            Some(source) => files.push((*path, Code::of(source))),
            None => faults.push(format!("names `{path}`, which is no file below `crates/`")),
        }
    }
    let mut idle: BTreeSet<&str> = files.iter().map(|(path, _)| *path).collect();
    let is_event = |name: &str| name.starts_with("Event::");
    for name in &row.names {
        // What a step does with an event is in the row's file; the step itself is the kernel's.
        if *name == "Kernel::step" && row.names.iter().any(|name| is_event(name)) {
            continue;
        }
        let handlers = match name.strip_prefix("Event::") {
            None => vec![(*name).to_owned()],
            Some(event) => match handlers(event, sources) {
                Ok(handlers) => handlers,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            },
        };
        let holders: Vec<&str> = files
            .iter()
            .filter(|(_, code)| handlers.iter().any(|handler| code.has(handler)))
            .map(|(path, _)| *path)
            .collect();
        if holders.is_empty() && !files.is_empty() {
            let files = row.files.join("` and `");
            faults.push(match is_event(name) {
                true => format!(
                    "names `{name}`, which `{KERNEL}` hands to `{}`: no function of `{files}`",
                    handlers.join("`, `")
                ),
                false => format!("names `{name}`, which is not in `{files}`"),
            });
        }
        for path in holders {
            idle.remove(path);
        }
    }
    if faults.is_empty() {
        faults.extend(
            idle.iter()
                .map(|path| format!("names `{path}`, but nothing that is in it")),
        );
    }
    faults
}

fn find<'a>(sources: &'a [Source], path: &str) -> Option<&'a Source> {
    sources
        .iter()
        .find(|source| source.path.strip_prefix("crates/") == Some(path))
}

/// The methods of the kernel that handle an event.
fn handlers(event: &str, sources: &[Source]) -> Result<Vec<String>, String> {
    let declared = find(sources, EVENTS).is_some_and(|source| Code::of(source).has_variant(event));
    if !declared {
        return Err(format!("names `Event::{event}`, which `{EVENTS}` lacks"));
    }
    let kernel = find(sources, KERNEL).map_or_else(String::new, Source::production_text);
    let named = format!("Event::{event}");
    let handlers: Vec<String> = kernel
        .match_indices(&named)
        .map(|(at, _)| kernel.get(at + named.len()..).unwrap_or_default())
        .filter(|arm| !arm.starts_with(is_of_word))
        .filter_map(|arm| arm.split("Event::").next()?.split_once("=>"))
        .filter_map(|(_, arm)| arm.split_once("self.")?.1.split_once('('))
        .filter_map(|(method, _)| Some(method.rsplit('.').next()?.to_owned()))
        .collect();
    if handlers.is_empty() {
        return Err(format!("names `{named}`, which `{KERNEL}` does not handle"));
    }
    Ok(handlers)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What the production code of a file declares and makes.
#[derive(Default)]
struct Code {
    /// `function`, `Type::method`, `Trait::method`; of an enum `Enum::Variant`.
    declared: BTreeSet<String>,
    /// Paths of two names and more, by their last two: `Effect::Run`.
    used: BTreeSet<String>,
    /// The type or trait within which methods are declared.
    within: Vec<String>,
}

impl Code {
    fn of(source: &Source) -> Self {
        let mut code = Self::default();
        // A file that is no Rust has its complaint already.
        if let Ok(file) = syn::parse_file(&source.production_text()) {
            code.visit_file(&file);
        }
        code
    }
    /// Whether a function or a method is declared here, or an effect is made here.
    fn has(&self, name: &str) -> bool {
        self.declared.contains(name) || name.starts_with("Effect::") && self.used.contains(name)
    }
    fn has_variant(&self, event: &str) -> bool {
        self.declared.contains(&format!("Event::{event}"))
    }
    fn declare(&mut self, name: &syn::Ident) {
        self.declared.insert(name.to_string());
        for within in &self.within {
            self.declared.insert(format!("{within}::{name}"));
        }
    }
}

impl<'ast> Visit<'ast> for Code {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.declared.insert(item.sig.ident.to_string());
        visit::visit_item_fn(self, item);
    }
    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        let variants = item.variants.iter();
        let names = variants.map(|variant| format!("{}::{}", item.ident, variant.ident));
        self.declared.extend(names);
    }
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let own = match &*item.self_ty {
            syn::Type::Path(own) => own.path.segments.last(),
            _ => None,
        };
        let of = item
            .trait_
            .as_ref()
            .and_then(|(_, of, _)| of.segments.last());
        let names = own.into_iter().chain(of).map(|part| part.ident.to_string());
        let outer = std::mem::replace(&mut self.within, names.collect());
        visit::visit_item_impl(self, item);
        self.within = outer;
    }
    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let outer = std::mem::replace(&mut self.within, vec![item.ident.to_string()]);
        visit::visit_item_trait(self, item);
        self.within = outer;
    }
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.declare(&item.sig.ident);
        visit::visit_impl_item_fn(self, item);
    }
    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.declare(&item.sig.ident);
        visit::visit_trait_item_fn(self, item);
    }
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut names = path
            .segments
            .iter()
            .rev()
            .map(|part| part.ident.to_string());
        if let (Some(last), Some(first)) = (names.next(), names.next()) {
            self.used.insert(format!("{first}::{last}"));
        }
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small kernel, a file with a method of each kind, and what is said of these rows.
    fn said(rows: &str) -> Vec<String> {
        let source = |path: &str, text: &str| Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let sources = [
            source(PAGE, &format!("## The life of a row\n\n{rows}")),
            source(
                "crates/caxton-kernel/src/event.rs",
                "enum Event { Post { ticket: u8 }, Posted, Unheard }",
            ),
            source(
                "crates/caxton-kernel/src/kernel.rs",
                "fn step() { match e { Event::Post { ticket } => self.post(ticket),
                 Event::Posted => self.posted() } }",
            ),
            source(
                "crates/a/src/b.rs",
                "fn post() { use_it(Effect::Run(1)) } impl Calls for Host { fn call() {} }
                 // fn mentioned() {} Effect::Mentioned
                 #[cfg(test)] mod tests { fn of_the_test() {} }",
            ),
        ];
        let mut complaints = Vec::new();
        check(&sources, &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_row_that_the_code_keeps_is_no_complaint() {
        let rows = [
            "| stage | where | function |",
            "|---|---|---|",
            "| a function | `a/src/b.rs` | `post`, for each effect |",
            "| a method, by type and by trait | `a/src/b.rs` | `Host::call`, `Calls::call` |",
            "| an event | `a/src/b.rs` | `Kernel::step` with `Event::Post` |",
            "| an effect | `a/src/b.rs` | `Effect::Run` |",
            "| two files | `a/src/b.rs`, `caxton-kernel/src/kernel.rs` | `post`, `step` |",
        ];
        assert_eq!(said(&rows.join("\n")), [""; 0]);
    }

    #[test]
    fn what_a_row_names_and_the_code_lacks_is_named_with_row_and_file() {
        let row = |place: &str, names: &str| said(&format!("| it | {place} | {names} |"));
        let is = |what: &str| [format!("ARCHITECTURE.md:3: the stage `it` {what}")];
        let file = "`a/src/b.rs`";
        assert_eq!(
            row("`a/src/c.rs`", "`post`"),
            is("names `a/src/c.rs`, which is no file below `crates/`")
        );
        for name in [
            "gone",
            "Other::call",
            "Host",
            "Effect::Mentioned",
            "mentioned",
            "of_the_test",
            "Kernel::step",
        ] {
            assert_eq!(
                row(file, &format!("`{name}`")),
                is(&format!("names `{name}`, which is not in {file}"))
            );
        }
        assert_eq!(
            row(file, "`Kernel::step` with `Event::Gone`"),
            is("names `Event::Gone`, which `caxton-kernel/src/event.rs` lacks")
        );
        assert_eq!(
            row(file, "`Event::Unheard`"),
            is("names `Event::Unheard`, which `caxton-kernel/src/kernel.rs` does not handle")
        );
        assert_eq!(
            row(file, "`Event::Posted`"),
            is(&format!(
                "names `Event::Posted`, which `{KERNEL}` hands to `posted`: no function of {file}"
            ))
        );
        assert_eq!(
            row("`a/src/b.rs`, `caxton-kernel/src/kernel.rs`", "`post`"),
            is(&format!("names `{KERNEL}`, but nothing that is in it"))
        );
        assert_eq!(
            row(file, "the route"),
            is("names no file or no function in backquotes")
        );
    }

    #[test]
    fn a_title_without_a_table_is_named() {
        assert_eq!(
            said("text alone\n\n## Other\n\n| a | `b` | `c` |"),
            ["ARCHITECTURE.md:1: has no table of stages: a row is `| stage | where | function |`"]
        );
    }
}
