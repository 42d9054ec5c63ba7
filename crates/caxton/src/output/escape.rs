//! Makes text that is not ours harmless to a terminal and to its reader.
//!
//! What is escaped is written as JSON writes it, so that escaped JSON is the same JSON.

/// True for a character that a terminal acts on, or that changes the place of others: C0, DEL, C1,
/// bidirectional controls, line separators, and invisible characters that carry text.
///
/// Joiners (U+200C, U+200D) are left: scripts and emoji need them.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

/// Text in one line: every unsafe character is escaped, line breaks too.
pub(crate) fn one_line(text: &str) -> String {
    line(text, false)
}

/// The same; colours stay where `colors` says so.
pub(super) fn line(text: &str, colors: bool) -> String {
    escaped(text, colors, &[])
}

/// Text of several lines: line breaks and tabs stay, and colours where `colors` says so.
pub(super) fn lines(text: &str, colors: bool) -> String {
    escaped(text, colors, &['\n', '\t'])
}

fn escaped(text: &str, colors: bool, kept: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if colors { colour_length(rest) } else { 0 };
        let (part, after) = rest.split_at(if colour > 0 { colour } else { c.len_utf8() });
        if colour > 0 || !is_unsafe(c) || kept.contains(&c) {
            out.push_str(part);
        } else {
            push_escaped(&mut out, c);
        }
        rest = after;
    }
    out
}

/// Length of the colour sequence (`ESC [ 1 ; 31 m`) that a text begins with; 0 if there is none.
fn colour_length(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else {
        return 0;
    };
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';');
    match end {
        Some(end)
            if parameters
                .get(end..)
                .is_some_and(|rest| rest.starts_with('m')) =>
        {
            end + 3
        }
        _ => 0,
    }
}

/// JSON text as the same JSON in safe characters. White space between its parts becomes blanks;
/// line breaks stay where `breaks` says so.
pub(super) fn json(text: &str, breaks: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if breaks => out.push('\n'),
            // JSON has these between its parts only.
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_unsafe(c) => push_escaped(&mut out, c),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that must never reach a terminal raw.
    fn hostile() -> impl Iterator<Item = char> {
        let controls = (0..=0x1f_u32).chain(0x7f..=0x9f);
        let others = [
            0xad, 0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff,
            0xe0041,
        ];
        controls.chain(others).filter_map(char::from_u32)
    }

    #[test]
    fn no_character_that_a_terminal_acts_on_stays() {
        for c in hostile() {
            let text = format!("a{c}b");
            let shown = one_line(&text);
            assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown}");
            assert!(!shown.chars().any(is_unsafe), "{shown}");
            if !matches!(c, '\n' | '\t') {
                assert_eq!(lines(&text, false), shown);
                assert_eq!(lines(&text, true), shown);
            }
        }
        assert_eq!(
            one_line("x\x1b[2J\u{9b}1m\u{202e}\r\n"),
            "x\\u001b[2J\\u009b1m\\u202e\\r\\n"
        );
        assert_eq!(one_line("Zürich 東京 👩‍🚀 می‌خواهم"), "Zürich 東京 👩‍🚀 می‌خواهم");
    }

    #[test]
    fn only_whole_colours_stay_and_only_where_they_are_shown() {
        let painted = "\x1b[1;31mred\x1b[0m";
        assert_eq!(lines(painted, true), painted);
        assert_eq!(lines(painted, false), "\\u001b[1;31mred\\u001b[0m");
        for other in [
            "\x1b[2J",
            "\x1b[31",
            "\x1b]0;x\x07",
            "\x1b[1;1H",
            "\x1bm",
            "\x1b[?25l",
        ] {
            assert!(!lines(other, true).contains('\x1b'), "{other:?}");
        }
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let text: String = hostile().collect();
        let value = serde_json::json!({ "text": text, text.clone(): [1, null] });
        let written = serde_json::to_string_pretty(&value).unwrap();
        for (breaks, source) in [
            (true, written.clone()),
            (false, written.replace('\n', "\r\n\t")),
        ] {
            let shown = json(&source, breaks);
            assert!(!shown.chars().any(|c| is_unsafe(c) && c != '\n'), "{shown}");
            assert_eq!(shown.contains('\n'), breaks);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
                value
            );
        }
    }
}
