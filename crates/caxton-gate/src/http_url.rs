//! URLs in the one form in which they are matched, sent and audited.

use std::fmt;

use crate::host::{Host, Place};

/// Bytes of a URL; what servers take at most, as a rule.
const URL_BYTES_MAX: usize = 8 * 1024;

/// An `http` or `https` URL in its one form.
///
/// The host is lower-case ASCII or an address; the path has no `..`, no `//` and no needless
/// escapes; there is no user information and no fragment. Whoever performs the request sends
/// [`HttpUrl::as_str`], so that what is sent is what was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    text: Box<str>,
    /// Host and path without the port: what patterns are looked up by.
    host_and_path: Box<str>,
    host_len: usize,
    host: Host,
    port: u16,
    secure: bool,
    /// Where the query begins in `text`.
    path_end: usize,
}

impl HttpUrl {
    /// Reads a URL, and refuses what two readers could understand differently.
    ///
    /// Errors: in words, without the text.
    /// Source: the WHATWG URL standard, with its corrections of broken URLs refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_raw(text)?;
        let url = url::Url::parse(text).map_err(|error| error.to_string())?;
        let secure = url.scheme() == "https";
        let host = match url.host() {
            Some(url::Host::Domain(name)) => Host::from_ascii(name)?,
            Some(url::Host::Ipv4(v4)) => Host::Address(v4.into()),
            Some(url::Host::Ipv6(v6)) => Host::Address(v6.into()),
            None => return Err("has no host".to_owned()),
        };
        let port = url.port_or_known_default().unwrap_or(0);
        if port == 0 {
            return Err("has the port 0".to_owned());
        }
        let path = normal_path(url.path())?;
        let host_text = host.to_string();
        let named_port = url.port().map_or(String::new(), |port| format!(":{port}"));
        let mut text = format!("{}://{host_text}{named_port}{path}", url.scheme());
        let path_end = text.len();
        if let Some(query) = url.query() {
            text.push('?');
            text.push_str(query);
        }
        Ok(Self {
            host_len: host_text.len(),
            host_and_path: (host_text + &path).into(),
            text: text.into(),
            host,
            port,
            secure,
            path_end,
        })
    }
    /// The whole URL, with its query, as it is to be sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// Whether the scheme is `https`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }
    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }
    /// The port, also where the URL names none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
    /// The path in its one form.
    #[must_use]
    pub fn path(&self) -> &str {
        self.host_and_path.get(self.host_len..).unwrap_or_default()
    }
    pub(crate) fn host_and_path(&self) -> (&str, usize) {
        (&self.host_and_path, self.host_len)
    }
    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            host: self.host.borrowed(),
            port: Some(self.port),
            is_default_port: self.port == if self.secure { 443 } else { 80 },
            address: None,
        }
    }
}

/// Without the query, which may hold secrets.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.get(..self.path_end).unwrap_or_default())
    }
}

/// Refuses what a URL parser would quietly mend.
fn check_raw(text: &str) -> Result<(), String> {
    if text.len() > URL_BYTES_MAX {
        return Err(format!("has more than {URL_BYTES_MAX} bytes"));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "holds the character U+{:04X}; escape it",
            u32::from(bad)
        ));
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err("is no absolute URL; begin with `https://`".to_owned());
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err("has another scheme than http and https".to_owned());
    }
    let Some(rest) = rest
        .strip_prefix("//")
        .filter(|rest| !rest.starts_with('/'))
    else {
        return Err("has not exactly two slashes after the scheme".to_owned());
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        return Err("has user information before its host; leave it out".to_owned());
    }
    let path = tail.split(['?', '#']).next().unwrap_or_default();
    if authority.contains('\\') || path.contains('\\') {
        return Err("holds a backslash".to_owned());
    }
    Ok(())
}

/// The path in its one form; dot segments that stand there in plain are gone already.
fn normal_path(path: &str) -> Result<String, String> {
    let mut normal = String::with_capacity(path.len());
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() && parts.peek().is_some() {
            return Err("has an empty segment (`//`) in its path".to_owned());
        }
        normal.push('/');
        normal.push_str(&normal_segment(part, false)?);
    }
    Ok(normal)
}

/// One segment in its one form: what may stand plain is plain, all else escaped in upper case.
///
/// A `*` is a wildcard in a pattern and an escape in a URL.
pub(crate) fn normal_segment(segment: &str, is_pattern: bool) -> Result<String, String> {
    let mut normal = String::with_capacity(segment.len());
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, escaped) = if byte == b'%' {
            let (high, low) = (bytes.next().and_then(hex), bytes.next().and_then(hex));
            let (Some(high), Some(low)) = (high, low) else {
                return Err("has a `%` without two hexadecimal digits".to_owned());
            };
            (high << 4 | low, true)
        } else {
            (byte, false)
        };
        match byte {
            b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f => {
                return Err(format!(
                    "holds `%{byte:02X}` in its path, which servers read differently"
                ));
            }
            b'*' if is_pattern && !escaped => normal.push('*'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => normal.push(byte.into()),
            b'-' | b'.' | b'_' | b'~' => normal.push(byte.into()),
            // Plain even where they came escaped, so that an escape does not slip past a pattern.
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'+' | b',' | b';' | b'=' | b':' | b'@' => {
                normal.push(byte.into());
            }
            byte => normal.push_str(&format!("%{byte:02X}")),
        }
        decoded.push(byte);
    }
    if std::str::from_utf8(&decoded).is_err() {
        return Err("has escapes in its path that are no UTF-8".to_owned());
    }
    // Some servers cut a segment at `;` before they resolve dots.
    if matches!(normal.split(';').next(), Some("." | "..")) {
        return Err("has a `.` or `..` segment in its path".to_owned());
    }
    Ok(normal)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
