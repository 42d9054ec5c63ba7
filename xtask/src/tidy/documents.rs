//! Rules for texts: titles, words, error pages, the architecture's promises, the book's contents.

use std::collections::BTreeSet;

use caxton_model::ErrorCode;

use super::{Complaint, Source};

/// Marks of unfinished work; what is not done is in the issue tracker, not in the text.
const UNFINISHED: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// Homes of the people who wrote it: a path on one machine says nothing on another.
const HOMES: [&str; 2] = ["/root/", "/Users/"];

/// Judges one Markdown file.
pub(super) fn check(source: &Source, complaints: &mut Vec<Complaint>) {
    let mut fenced = false;
    let titles = source.text.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with("# ")
    });
    let titles = titles.count();
    let is_part = source.name() == "SUMMARY.md" || source.path.starts_with("templates/");
    if titles != 1 && !is_part {
        complaints.push(Complaint {
            path: source.path.clone(),
            line: 0,
            what: format!("has {titles} titles (`# …`), needs exactly one"),
        });
    }
}

/// Judges the words of any text.
pub(super) fn check_words(source: &Source, complaints: &mut Vec<Complaint>) {
    if source.path == "xtask/src/tidy/documents.rs" {
        return;
    }
    for (i, line) in source.text.lines().enumerate() {
        let unfinished = UNFINISHED.iter().find(|word| {
            line.split(|c: char| !c.is_ascii_alphanumeric())
                .any(|part| part == **word)
        });
        let home = HOMES.iter().find(|home| line.contains(**home));
        let what = match (unfinished, home) {
            (Some(word), _) => format!("`{word}`: finish it, or leave it out"),
            (None, Some(home)) => format!("`{home}…` is a path on one machine"),
            (None, None) => continue,
        };
        complaints.push(Complaint {
            path: source.path.clone(),
            line: i + 1,
            what,
        });
    }
}

/// Each error code has its page, each page its code.
pub(super) fn check_error_pages(sources: &[Source], complaints: &mut Vec<Complaint>) {
    let folder = "docs/errors/";
    let pages: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.path.strip_prefix(folder)?.strip_suffix(".md"))
        .filter(|page| page.starts_with("CX"))
        .collect();
    for code in ErrorCode::ALL {
        if !pages.contains(code.page()) {
            complaints.push(Complaint {
                path: format!("{folder}{}.md", code.page()),
                line: 0,
                what: format!("is missing: the page of `{code}`"),
            });
        }
    }
    for page in pages {
        if ErrorCode::ALL.iter().all(|code| code.page() != page) {
            complaints.push(Complaint {
                path: format!("{folder}{page}.md"),
                line: 0,
                what: "is the page of no error code".to_owned(),
            });
        }
    }
}

/// ARCHITECTURE.md names every crate, and every test it leans on exists.
pub(super) fn check_architecture(sources: &[Source], complaints: &mut Vec<Complaint>) {
    let Some(page) = sources
        .iter()
        .find(|source| source.path == "ARCHITECTURE.md")
    else {
        return;
    };
    let mut complain = |line: usize, what: String| {
        complaints.push(Complaint {
            path: page.path.clone(),
            line,
            what,
        });
    };
    let crates = sources.iter().filter_map(|source| {
        source
            .path
            .strip_prefix("crates/")?
            .strip_suffix("/Cargo.toml")
    });
    for name in crates {
        if !page.text.contains(&format!("`{name}`")) {
            complain(0, format!("does not say what the crate `{name}` is for"));
        }
    }
    for (i, line) in page.text.lines().enumerate() {
        for test in promised_tests(line) {
            let named = format!("fn {test}(");
            let holds = |s: &Source| s.path.ends_with(".rs") && s.text.contains(&named);
            if !sources.iter().any(holds) {
                complain(
                    i + 1,
                    format!("leans on the test `{test}`, which is not there"),
                );
            }
        }
    }
}

/// The tests that a line names: what stands in backquotes after `test:` or `tests:`.
fn promised_tests(line: &str) -> Vec<&str> {
    let Some((_, rest)) = line
        .split_once("test: ")
        .or_else(|| line.split_once("tests: "))
    else {
        return Vec::new();
    };
    rest.split('`').skip(1).step_by(2).collect()
}

/// The book's contents name every page, and only pages that are there.
pub(super) fn check_summary(sources: &[Source], complaints: &mut Vec<Complaint>) {
    let Some(summary) = sources
        .iter()
        .find(|source| source.path == "docs/SUMMARY.md")
    else {
        return;
    };
    let listed: BTreeSet<&str> = summary
        .text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(path, _)| path))
        .collect();
    let pages: BTreeSet<&str> = sources
        .iter()
        .filter(|source| source.extension() == "md" && source.name() != "SUMMARY.md")
        .filter_map(|source| source.path.strip_prefix("docs/"))
        .collect();
    for (path, what) in listed
        .difference(&pages)
        .map(|path| (path, "is listed, but not there"))
        .chain(
            pages
                .difference(&listed)
                .map(|path| (path, "is not listed")),
        )
    {
        complaints.push(Complaint {
            path: summary.path.clone(),
            line: 0,
            what: format!("`{path}` {what}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
    fn lines(complaints: &[Complaint]) -> Vec<String> {
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_page_has_one_title_and_code_blocks_do_not_count() {
        let mut complaints = Vec::new();
        check(
            &source("a.md", "# A\n```sh\n# no title\n```\n"),
            &mut complaints,
        );
        assert!(complaints.is_empty());
        check(&source("b.md", "text\n"), &mut complaints);
        assert_eq!(
            lines(&complaints),
            ["b.md: has 0 titles (`# …`), needs exactly one"]
        );
    }

    #[test]
    fn unfinished_work_and_foreign_paths_are_named() {
        let mut complaints = Vec::new();
        check_words(
            &source("a.rs", "// TODO: x\n// TODOS\nsee /root/x\n"),
            &mut complaints,
        );
        assert_eq!(
            lines(&complaints),
            [
                "a.rs:1: `TODO`: finish it, or leave it out",
                "a.rs:3: `/root/…` is a path on one machine"
            ]
        );
    }

    #[test]
    fn a_test_that_the_architecture_leans_on_must_exist() {
        let sources = [
            source(
                "ARCHITECTURE.md",
                "`caxton-a`\n**I1** rule (test: `it_holds`, `it_is_gone`)\n",
            ),
            source("crates/caxton-a/Cargo.toml", ""),
            source("crates/caxton-b/Cargo.toml", ""),
            source("crates/caxton-a/src/lib.rs", "fn it_holds() {}"),
        ];
        let mut complaints = Vec::new();
        check_architecture(&sources, &mut complaints);
        assert_eq!(
            lines(&complaints),
            [
                "ARCHITECTURE.md: does not say what the crate `caxton-b` is for",
                "ARCHITECTURE.md:2: leans on the test `it_is_gone`, which is not there",
            ]
        );
    }

    #[test]
    fn error_pages_and_codes_belong_together() {
        let mut complaints = Vec::new();
        check_error_pages(&[source("docs/errors/CX9999.md", "# x")], &mut complaints);
        assert_eq!(complaints.len(), ErrorCode::ALL.len() + 1);
        assert!(
            lines(&complaints)
                .iter()
                .any(|l| l.contains("is the page of no error code"))
        );
    }

    #[test]
    fn the_contents_and_the_pages_agree() {
        let sources = [
            source("docs/SUMMARY.md", "- [A](a.md)\n- [B](b.md)\n"),
            source("docs/a.md", "# A"),
            source("docs/c.md", "# C"),
        ];
        let mut complaints = Vec::new();
        check_summary(&sources, &mut complaints);
        assert_eq!(
            lines(&complaints),
            [
                "docs/SUMMARY.md: `b.md` is listed, but not there",
                "docs/SUMMARY.md: `c.md` is not listed"
            ]
        );
    }
}
