//! Writes a JSON value as YAML, without any type on the way that could change it.
//!
//! Only what YAML 1.1 and 1.2 read alike is written: texts that could be anything else are quoted,
//! numbers with an exponent get a point and a sign.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::escape::is_unsafe;

/// Longer keys are written with a `?`: a plain one has at most 1,024 characters.
const KEY_BYTES_MAX: usize = 1_000;

/// Words that some reader takes for a truth value or nothing.
const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// An object's members in their order; of those with the same name the last counts, as in JSON.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                let mut places = HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    let place = *places.entry(name.clone()).or_insert(members.len());
                    match members.get_mut(place) {
                        Some(member) => member.1 = value,
                        None => members.push((name, value)),
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// What stands before a value.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Colon,
    Dash,
}

/// The YAML of a JSON text; it ends with a line break.
pub(super) fn write(json: &str) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    value(&mut out, serde_json::from_str(json)?, 0, Before::Nothing)?;
    Ok(out)
}

fn value(
    out: &mut String,
    raw: &RawValue,
    indent: usize,
    before: Before,
) -> Result<(), serde_json::Error> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text)?;
            if members.is_empty() {
                scalar(out, "{}", before);
            }
            for (index, (name, member)) in members.into_iter().enumerate() {
                begin_entry(out, index, indent, before);
                let name = quoted(&name)?;
                if name.len() > KEY_BYTES_MAX {
                    out.push_str(&format!("? {name}\n{:indent$}", ""));
                } else {
                    out.push_str(&name);
                }
                out.push(':');
                value(out, member, indent + 2, Before::Colon)?;
            }
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            if items.is_empty() {
                scalar(out, "[]", before);
            }
            for (index, item) in items.into_iter().enumerate() {
                begin_entry(out, index, indent, before);
                out.push('-');
                value(out, item, indent + 2, Before::Dash)?;
            }
        }
        Some(b'"') => {
            let content: String = serde_json::from_str(text)?;
            scalar(out, &quoted(&content)?, before);
        }
        Some(b'-' | b'0'..=b'9') => scalar(out, &number(text), before),
        _ => scalar(out, text, before),
    }
    Ok(())
}

/// Begins an entry of an object or a list; the first one after a dash stands on the dash's line.
fn begin_entry(out: &mut String, index: usize, indent: usize, before: Before) {
    match (index, before) {
        (0, Before::Nothing) => {}
        (0, Before::Dash) => out.push(' '),
        (0, Before::Colon) => out.push_str(&format!("\n{:indent$}", "")),
        _ => out.push_str(&format!("{:indent$}", "")),
    }
}

fn scalar(out: &mut String, text: &str, before: Before) {
    if before != Before::Nothing {
        out.push(' ');
    }
    out.push_str(text);
    out.push('\n');
}

/// A text: plain where it can be nothing else, else in quotes with JSON's escapes.
fn quoted(text: &str) -> Result<String, serde_json::Error> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(word)
        && !RESERVED
            .iter()
            .any(|reserved| text.eq_ignore_ascii_case(reserved));
    if is_plain {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    for c in serde_json::to_string(text)?.chars() {
        match u32::from(c) {
            code @ 0x1_0000.. if is_unsafe(c) => out.push_str(&format!("\\U{code:08x}")),
            code if is_unsafe(c) || matches!(code, 0xfffe | 0xffff) => {
                out.push_str(&format!("\\u{code:04x}"));
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// A number as written, in a form that every reader takes for one.
fn number(text: &str) -> String {
    if text == "-0" {
        return "-0.0".to_owned();
    }
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return text.to_owned();
    };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['+', '-']) {
        ""
    } else {
        "+"
    };
    format!("{mantissa}{point}e{sign}{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read by another parser, it is the same value.
    #[track_caller]
    fn same(json: &str) {
        let yaml = write(json).unwrap();
        let read: serde_json::Value = serde_yaml_ng::from_str(&yaml)
            .unwrap_or_else(|error| panic!("{error}: {json}\n{yaml}"));
        let expected: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(read, expected, "{yaml}");
        assert!(!yaml.chars().any(|c| is_unsafe(c) && c != '\n'), "{yaml}");
    }

    #[test]
    fn any_json_value_is_the_same_value_as_yaml() {
        for json in [
            "null",
            "true",
            "7",
            "-0",
            "1e5",
            "-1.5E-3",
            "12E+2",
            r#""""#,
            "{}",
            "[]",
            "[[]]",
            r#"[[1,[2,{"a":[{}]}]],{"b":{"c":[]}}]"#,
            r#"{"a":1,"b":{"c":[1,{"d":null,"e":[[1],2]}]},"a":2}"#,
            r#"{"no":"yes","on":"off","y":"n","null":"~","1":"1","1e5":"0x1f","":" x","a b":"a: b"}"#,
            r##"["# no comment","- x","? y","|","> z","&a","*a","!t","%d","@x","`x`","'q'","\"q\"","a #b","<<","=","1_000","12:30:45","2001-01-01",".inf",".5","+1","-",":",","]"##,
            r#"["line\nbreak","tab\there","\u0000\u001b\u007f\u0085\u009b\u2028\u202e\ufeff\ufffe\uffff","\ud83d\ude00 \udb40\udc41 é 東"]"#,
            r#"{"k\nk":{"\u0007":"x\\y/z"}}"#,
        ] {
            same(json);
        }
        let long = "k".repeat(5_000);
        same(&format!(
            r#"{{"{long}":{{"{long} ":[1,{{"{long}":2}}]}},"b":1}}"#
        ));
    }

    #[test]
    fn numbers_stand_as_they_were_written() {
        let yaml = write(r#"[123456789012345678901234567890,1.10,1e400,-0.00]"#).unwrap();
        assert_eq!(
            yaml,
            "- 123456789012345678901234567890\n- 1.10\n- 1.0e+400\n- -0.00\n"
        );
    }

    #[test]
    fn it_is_laid_out_for_people() {
        let json =
            r#"{"kind":"agent","list":[{"a":1,"b":["x y"]},[2]],"none":[],"sub":{"c":true}}"#;
        expect_test::expect![[r#"
            kind: agent
            list:
              - a: 1
                b:
                  - "x y"
              - - 2
            none: []
            sub:
              c: true
        "#]]
        .assert_eq(&write(json).unwrap());
    }
}
