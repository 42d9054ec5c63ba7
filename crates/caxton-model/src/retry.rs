//! What of a posted message is kept, so that a retry is told from another message.

use std::borrow::Cow;

use crate::{Digest, Fields, Message, RawJson, apply::without_content};

/// Fields that differ between two attempts to send the same message, or that the host sets.
const OF_THE_ATTEMPT: [&str; 3] = ["traceparent", "tracestate", "namespace"];

impl Message {
    /// The message with a digest in place of what it says: equal for two messages that say the same
    /// to the same receiver, however their JSON is written. Numbers stay as they are written.
    #[must_use]
    pub fn for_retry(&self) -> Self {
        let mut extra: Vec<(&str, String)> = self
            .extra
            .iter()
            .filter(|(name, _)| !OF_THE_ATTEMPT.contains(&&**name))
            .map(|(name, raw)| (&**name, canonical(raw.as_str())))
            .collect();
        extra.sort();
        let reply_by = self.reply_by.map(|at| at.0);
        let said = format!(
            "{:?} {reply_by:?} {extra:?} {}",
            self.encoding,
            canonical(self.content.as_str())
        );
        let digest = Digest::of(said.as_bytes()).to_string();
        Fields {
            content: RawJson::from(&serde_json::Value::from(digest)),
            reply_by: None,
            reply_by_text: None,
            ..without_content(self).fields().clone()
        }
        .seal()
    }
}

/// JSON without white space, its fields sorted, its texts with the fewest escapes.
fn canonical(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    Reader { json, at: 0 }.value(&mut out);
    out
}

/// Reads text that is known to be JSON, nested no deeper than messages may be.
struct Reader<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.json.as_bytes().get(self.at..)?;
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
        self.at += blank.count();
        self.json.as_bytes().get(self.at).copied()
    }
    /// What stands before the next byte that `ends`.
    fn until(&mut self, mut ends: impl FnMut(u8) -> bool) -> &'a str {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let length = rest.bytes().position(&mut ends).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }
    /// The text that begins here, with its quotes.
    fn text(&mut self) -> String {
        let (mut quotes, mut escaped) = (0, false);
        let raw = self.until(|byte| {
            let ends = quotes == 2;
            match byte {
                _ if std::mem::take(&mut escaped) => {}
                b'\\' => escaped = true,
                b'"' => quotes += 1,
                _ => {}
            }
            ends
        });
        let decoded = serde_json::from_str::<Cow<'_, str>>(raw);
        let written = decoded.and_then(|text| serde_json::to_string(&text));
        written.unwrap_or_else(|_| raw.to_owned())
    }
    fn value(&mut self, out: &mut String) {
        match self.peek() {
            Some(b'{') => {
                let mut fields = Vec::new();
                self.each(|reader| {
                    let mut field = reader.text();
                    let name = field.len();
                    reader.peek();
                    reader.at += 1;
                    field.push(':');
                    reader.value(&mut field);
                    fields.push((field, name));
                });
                fields.sort_by(|(a, a_name), (b, b_name)| a.get(..*a_name).cmp(&b.get(..*b_name)));
                out.push('{');
                for (field, _) in fields {
                    out.push_str(&field);
                    out.push(',');
                }
                out.push('}');
            }
            Some(b'[') => {
                out.push('[');
                self.each(|reader| {
                    reader.value(out);
                    out.push(',');
                });
                out.push(']');
            }
            Some(b'"') => out.push_str(&self.text()),
            _ => out.push_str(self.until(|byte| b" \t\r\n,]}".contains(&byte))),
        }
    }
    /// Each member of the object or the list that begins here.
    fn each(&mut self, mut member: impl FnMut(&mut Self)) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'}' | b']' => {
                    self.at += 1;
                    return;
                }
                b',' => self.at += 1,
                _ => member(self),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(receiver: &str, content: &str, more: &str) -> Message {
        let json = format!(
            r#"{{"performative":"request","receiver":{receiver},"content":{content}{more}}}"#
        );
        let fields =
            Fields::parse(json.as_bytes(), 1 << 20).unwrap_or_else(|e| panic!("{json}: {e}"));
        fields.seal().for_retry()
    }

    #[test]
    fn the_same_in_another_spelling_is_a_retry() {
        let one = message(
            "\"a\"",
            r#"{"a":[1,{"x":null,"y":"é\n"}],"b":{}}"#,
            r#","u":1,"v":[]"#,
        );
        for (content, more) in [
            (
                r#" { "b" : { } , "a" : [ 1 , { "y":"\u00e9\u000a", "x":null } ] } "#,
                r#","v":[ ],"u":1"#,
            ),
            (
                r#"{"\u0061":[1,{"x":null,"y":"é\n"}],"b":{}}"#,
                r#","u":1,"v":[],"traceparent":"00-1""#,
            ),
        ] {
            assert_eq!(message("\"a\"", content, more), one, "{content}");
        }
        let by = |text: &str| message("\"a\"", "1", &format!(r#","reply_by":{text}"#));
        assert_eq!(by("\"2026-01-01T00:00:00Z\""), by("1767225600000000"));
    }

    #[test]
    fn another_message_is_none() {
        let one = message("\"a\"", "[1,2]", "");
        for (receiver, content, more) in [
            ("\"b\"", "[1,2]", ""),
            ("[\"a\"]", "[1,2]", ""),
            ("\"a\"", "[2,1]", ""),
            ("\"a\"", "[12]", ""),
            ("\"a\"", "[1,\"2\"]", ""),
            ("\"a\"", "[1,2.0]", ""),
            ("\"a\"", "[1,[2]]", ""),
            ("\"a\"", "\"[1,2]\"", ""),
            ("\"a\"", "[1,2]", r#","x":1"#),
            ("\"a\"", "[1,2]", r#","protocol":"p""#),
            ("\"a\"", "[1,2]", r#","conversation_id":"c""#),
            ("\"a\"", "[1,2]", r#","reply_by":"2026-01-01T00:00:00Z""#),
        ] {
            assert_ne!(
                message(receiver, content, more),
                one,
                "{receiver} {content} {more}"
            );
        }
        let long = |digit: u8| format!("12345678901234567890123456789{digit}");
        assert_ne!(
            message("\"a\"", &long(0), ""),
            message("\"a\"", &long(1), "")
        );
        let differ =
            |a: &str, b: &str| assert_ne!(message("\"a\"", a, ""), message("\"a\"", b, ""));
        differ(r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#);
        differ(r#"{"a":"b,c"}"#, r#"{"a":"b","c":""}"#);
        differ("null", "\"null\"");
        differ("\"\\\\\\\"\"", "\"\\\\\"");
    }
}
