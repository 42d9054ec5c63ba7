//! Names, ids, sizes, times: whatever is read is written so that it is read the same.

use std::{fmt::Display, str::FromStr};

use caxton_api::Scope;
use caxton_model::{
    AgentId, AgentName, ByteSize, Digest, LimitName, MessageKey, Micros, Namespace, Performative,
    Permission, Timestamp, glob, is_reserved_name, nearest,
};
use caxton_package::PackageName;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(name) = there_and_back::<AgentName>(text) {
        assert!(text.len() <= 127 && !text.contains(['@', ' ', ':']));
        assert!(!is_reserved_name(name.local()));
        let made = AgentName::new(name.namespace(), name.local());
        assert_eq!(made.expect("its own parts"), name);
        assert!(!text.starts_with('/') && text.matches('/').count() <= 1);
    }
    there_and_back::<Namespace>(text);
    there_and_back::<AgentId>(text);
    there_and_back::<MessageKey>(text);
    there_and_back::<Digest>(text);
    there_and_back::<Performative>(text);
    there_and_back::<Permission>(text);
    there_and_back::<PackageName>(text);
    there_and_back::<LimitName>(text);
    if let Ok(size) = text.parse::<ByteSize>() {
        check_rounded(size.0, &size.to_string(), |text| {
            text.parse::<ByteSize>().map(|size| size.0).ok()
        });
    }
    there_and_back::<Micros>(text);
    if let Ok(scope) = text.parse::<Scope>() {
        assert_eq!(scope.as_str(), text);
    }
    if let Some(at) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at), "{text}");
    }
    for limit in LimitName::ALL {
        if let Ok(value) = limit.read(text) {
            check_rounded(value, &limit.show(value), |text| limit.read(text).ok());
        }
    }
    check_glob(text);
    let known = ["memory", "messages_per_second", ""];
    if let Some(near) = nearest(text, known) {
        assert!(known.contains(&near));
    }
}

fn there_and_back<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) -> Option<T>
where
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(value) => {
            let written = value.to_string();
            match written.parse::<T>() {
                Ok(again) => assert_eq!(again, value, "`{text}` became `{written}`"),
                Err(error) => panic!("`{text}` became `{written}`: {error}"),
            }
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// What is shown to people has one decimal; without one it is the very value.
fn check_rounded(value: u64, shown: &str, read: impl Fn(&str) -> Option<u64>) {
    match read(shown) {
        Some(again) if !shown.contains('.') => assert_eq!(again, value, "{shown}"),
        Some(again) => assert!(again.abs_diff(value) <= value / 10, "{value} {shown}"),
        // Rounded up over what 64 bits hold.
        None => assert!(value > u64::MAX / 10 * 9, "{value} {shown}"),
    }
}

/// The linear matcher says what the plain definition says.
fn check_glob(text: &str) {
    let Some((pattern, name)) = text.split_once('\n') else {
        return;
    };
    if pattern.len() <= 64 && name.len() <= 64 {
        let fits = fits(pattern.as_bytes(), name.as_bytes());
        assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
    }
}

/// By its definition, with a table, so that it takes no longer than pattern × name.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    for part in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match part {
                b'*' => row[at] || at > 0 && next[at - 1],
                byte => at > 0 && row[at - 1] && name[at - 1] == *byte,
            };
        }
        row = next;
    }
    row[name.len()]
}
