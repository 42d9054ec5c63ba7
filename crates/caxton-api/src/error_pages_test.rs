//! The registry and its pages are one: `docs/errors/`.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use caxton_model::{ErrorClass, ErrorCode};

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

#[test]
fn each_code_has_its_page_and_each_page_its_code() {
    let pages: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    let codes: BTreeSet<String> = ErrorCode::ALL
        .iter()
        .map(|c| format!("{}.md", c.page()))
        .collect();
    assert_eq!(pages, codes);
}

#[test]
fn a_page_says_what_the_registry_says() {
    for code in ErrorCode::ALL {
        let text =
            std::fs::read_to_string(directory().join(format!("{}.md", code.page()))).unwrap();
        let guest = code
            .host_code()
            .map_or("none".to_owned(), |c| c.as_i32().to_string());
        let seed = code
            .seed_name()
            .map_or("none".to_owned(), |name| format!("`{name}`"));
        let mut remedy = code.remedy().to_owned();
        remedy.get_mut(..1).unwrap().make_ascii_uppercase();
        for part in [
            format!("# {}: `{code}`\n", code.page()),
            "\n**Cause.** ".to_owned(),
            "\n**Effect.** ".to_owned(),
            format!("\n**Remedy.** {remedy}"),
            format!("| HTTP status | {} |", code.http_status()),
            format!("| guest's number | {guest} |"),
            format!("| name in the agent guide | {seed} |"),
        ] {
            assert!(text.contains(&part), "{}.md lacks: {part}", code.page());
        }
    }
}

#[test]
fn the_table_is_the_golden_file() {
    let mut text = String::from(
        "# Errors\n\nEvery error of the node, in its API, its command line, its log and its journal, has one of these codes.\nCodes are stable: a program may branch on them. Guests see the number in the fourth column where a host function answers with one.\n\n| page | code | HTTP | guest | agent guide | who acts | remedy |\n|---|---|---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let guest = code
            .host_code()
            .map_or(String::new(), |c| c.as_i32().to_string());
        let seed = code
            .seed_name()
            .map_or(String::new(), |name| format!("`{name}`"));
        let class = match code.class() {
            ErrorClass::Guest => "guest",
            ErrorClass::Denied => "who grants",
            ErrorClass::Transient => "nobody, try again",
            ErrorClass::Caller => "caller",
            ErrorClass::Host => "operator",
        };
        let (page, http, remedy) = (code.page(), code.http_status(), code.remedy());
        writeln!(
            text,
            "| [{page}]({page}.md) | `{code}` | {http} | {guest} | {seed} | {class} | {remedy} |"
        )
        .unwrap();
    }
    expect_test::expect_file!["../../../docs/errors/README.md"].assert_eq(&text);
}
