//! The rules of the house that no compiler knows, as a test over the tree.
//!
//! Each rule has one constructor of complaints and a test of its own; all complaints come at once.

use std::{fmt, path::Path};

mod documents;
mod edges;
mod rust;
mod source;
mod stages;

pub(crate) use source::Source;

/// A breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    /// The file, from the repository's root.
    pub(crate) path: String,
    /// Line, from 1; 0: the whole file.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Judges a tree.
///
/// Errors: only if it can't be read; breaches are the result.
pub(crate) fn complaints(root: &Path) -> anyhow::Result<Vec<Complaint>> {
    let sources = source::all(root)?;
    let allowed = rust::Allowances::read(root)?;
    let mut complaints = Vec::new();
    for source in &sources {
        match source.extension() {
            "rs" => rust::check(source, &allowed, &mut complaints),
            "md" => documents::check(source, &mut complaints),
            _ => {}
        }
        documents::check_words(source, &mut complaints);
    }
    allowed.check_used(&sources, &mut complaints);
    documents::check_error_pages(&sources, &mut complaints);
    documents::check_architecture(&sources, &mut complaints);
    stages::check(&sources, &mut complaints);
    documents::check_summary(&sources, &mut complaints);
    edges::check(root, &mut complaints)?;
    complaints.sort();
    Ok(complaints)
}

/// `cargo xtask tidy`.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let complaints = complaints(root)?;
    for complaint in &complaints {
        eprintln!("error: {complaint}");
    }
    anyhow::ensure!(
        complaints.is_empty(),
        "tidy: {} breaches of the house rules",
        complaints.len()
    );
    println!("tidy: the house rules hold");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_keeps_the_house_rules() {
        let complaints = super::complaints(&crate::root()).unwrap();
        let lines: Vec<_> = complaints.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }
}
