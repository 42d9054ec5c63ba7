//! What is looked at in JSON before it is parsed, because parsers do not, or not safely.

use serde::de::IgnoredAny;

/// Levels of nesting that message JSON may have.
///
/// Parsers recurse; 64 is far over what messages need and far under what a stack bears.
pub const JSON_DEPTH_MAX: usize = 64;

/// Whether JSON bytes nest deeper than `max`, found without parsing and without recursion.
#[must_use]
pub fn json_depth_exceeds(bytes: &[u8], max: usize) -> bool {
    // Nothing is deeper than it has openings. Counting them is many times faster than following
    // them, and most messages end here.
    if openings(bytes) <= max {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// How many objects and arrays begin, those within texts too. Summed in bytes, which a processor
/// does some dozens at a time.
fn openings(bytes: &[u8]) -> usize {
    let opens = |byte: &u8| u8::from(*byte == b'{') | u8::from(*byte == b'[');
    let in_chunk = |chunk: &[u8]| chunk.iter().map(opens).fold(0, u8::wrapping_add);
    bytes.chunks(255).map(in_chunk).map(usize::from).sum()
}

/// Whether an escape stands for half a character: JSON's grammar allows it, but it is no text, and
/// a reader that makes texts of all it reads can't read the whole.
pub(crate) fn has_half_character(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut first_half = false;
    // Escapes are rare: most messages end at the first look.
    while let Some(at) = memchr::memchr(b'\\', rest) {
        if first_half && at > 0 {
            return true;
        }
        let escape = rest.get(at + 1..).unwrap_or_default();
        let unit = match escape.first() {
            Some(b'u') => escape.get(1..5).and_then(hex),
            _ => None,
        };
        match (unit, first_half) {
            (Some(0xdc00..=0xdfff), true) => first_half = false,
            (Some(0xdc00..=0xdfff), false) | (_, true) => return true,
            (Some(0xd800..=0xdbff), false) => first_half = true,
            _ => {}
        }
        let length = if unit.is_some() { 5 } else { 1 };
        rest = escape.get(length..).unwrap_or_default();
    }
    first_half
}

/// Whether a number stands in it that no double can hold: JSON's grammar allows it, but whoever reads
/// numbers can't read the whole.
pub(crate) fn has_number_too_large(bytes: &[u8]) -> bool {
    // Such a number has an exponent or some hundreds of digits. Texts that only look so are rare.
    (has_exponent(bytes) || has_long_digits(bytes))
        && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
        && serde_json::from_slice::<serde_json::Value>(bytes).is_err()
}

/// Whether an `e` follows a digit. All pairs are looked at, some dozens at a time.
fn has_exponent(bytes: &[u8]) -> bool {
    let next = bytes.get(1..).unwrap_or_default();
    let is_one = |(digit, e): (&u8, &u8)| digit.is_ascii_digit() & (*e | 0x20 == b'e');
    let pairs = bytes.iter().zip(next);
    pairs.fold(false, |any, pair| any | is_one(pair))
}

/// Whether there may be 300 digits in a row: then two that lie 128 apart are digits.
fn has_long_digits(bytes: &[u8]) -> bool {
    let mut before = false;
    bytes.iter().step_by(128).any(|byte| {
        let is_digit = byte.is_ascii_digit();
        std::mem::replace(&mut before, is_digit) && is_digit
    })
}

fn hex(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_found_and_a_whole_one_is_none() {
        for (json, half) in [
            (r#""text""#, false),
            (r#""\\ud83d""#, false),
            (r#""\ud83d\ude00 \u00e9\n""#, false),
            (r#""\ud83d""#, true),
            (r#""\ud83dx\ude00""#, true),
            (r#""\ude00""#, true),
            (r#""\ud83d\ud83d\ude00""#, true),
            (r#""\ud83d\n""#, true),
            (r#""\u12"#, false),
        ] {
            assert_eq!(has_half_character(json.as_bytes()), half, "{json}");
        }
    }
}
