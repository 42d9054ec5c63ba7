//! Placeholders for secrets: found anywhere, replaced in header values alone; and the way back: a
//! secret that a server sends back is replaced by its placeholder.

use std::borrow::Cow;

use bytes::Bytes;
use caxton_gate::{Allowed, HttpRequest, SecretUse};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::{Caller, HttpFailure};

const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";

/// What a URL escapes; RFC 3986, section 2.3 names what it never does.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Bytes of a secret's name.
const NAME_BYTES_MAX: usize = 64;

/// True if these bytes contain the beginning of a placeholder.
pub(crate) fn is_in(bytes: &[u8]) -> bool {
    memmem::find(bytes, OPEN.as_bytes()).is_some()
}

/// True if a URL contains a placeholder, as it stands or percent-encoded.
pub(crate) fn is_in_url(url: &str) -> bool {
    is_in(url.as_bytes())
        || (url.contains('%') && is_in(&percent_decode_str(url).collect::<Vec<u8>>()))
}

/// The secrets that a request carries.
#[derive(Default)]
pub(crate) struct Sent(Vec<SentSecret>);

struct SentSecret {
    placeholder: String,
    /// The forms in which servers send text back.
    forms: Vec<Bytes>,
}

impl Sent {
    /// Replaces every placeholder in the headers' values by its secret, if the gate allows it there.
    ///
    /// What would hide a secret in the response is not asked for: an encoding, or a part.
    /// Errors: [`HttpFailure::SecretDenied`], [`HttpFailure::MisplacedSecret`].
    pub(crate) fn substitute(
        headers: &mut HeaderMap,
        request: &Allowed<HttpRequest>,
        caller: &Caller<'_>,
    ) -> Result<Self, HttpFailure> {
        let mut sent = Self::default();
        for (header, value) in headers.iter_mut() {
            if is_in(value.as_bytes()) {
                *value = replaced(header, value.as_bytes(), request, caller, &mut sent)?;
            }
        }
        if !sent.is_empty() {
            let identity = HeaderValue::from_static("identity");
            headers.insert(header::ACCEPT_ENCODING, identity);
            headers.remove(header::RANGE);
        }
        Ok(sent)
    }

    /// True if the request carries no secret.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the placeholders in the place of secrets that came back in a response's headers.
    pub(crate) fn hide_in_headers(&self, headers: &mut HeaderMap) {
        let names = headers.keys().cloned().collect::<Vec<_>>();
        for name in names.into_iter().filter(|_| !self.is_empty()) {
            // Names are read without regard to case, so a secret is found in them without it too.
            if self.is_in_name(&name) {
                headers.remove(&name);
            }
        }
        for value in headers.values_mut() {
            if let Cow::Owned(bytes) = self.hidden(value.as_bytes())
                && let Ok(without) = HeaderValue::from_maybe_shared(Bytes::from(bytes))
            {
                *value = without;
            }
        }
    }

    fn is_in_name(&self, name: &HeaderName) -> bool {
        let mut forms = self.0.iter().flat_map(|secret| &secret.forms);
        forms.any(|form| {
            let form = form.to_ascii_lowercase();
            memmem::find(name.as_str().as_bytes(), &form).is_some()
        })
    }

    /// Puts the placeholders in the place of secrets that came back in a response's body.
    pub(crate) fn hide_in_body(&self, body: Bytes) -> Bytes {
        match self.hidden(&body) {
            Cow::Borrowed(_) => body,
            Cow::Owned(without) => without.into(),
        }
    }

    fn hidden<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut hidden = Cow::Borrowed(bytes);
        for secret in &self.0 {
            for form in &secret.forms {
                if let Some(without) = without(&hidden, form, secret.placeholder.as_bytes()) {
                    hidden = Cow::Owned(without);
                }
            }
        }
        hidden
    }
}

/// The bytes with `placeholder` in the place of each `form`; `None`: there is none in them.
fn without(bytes: &[u8], form: &[u8], placeholder: &[u8]) -> Option<Vec<u8>> {
    let finder = memmem::Finder::new(form);
    finder.find(bytes).filter(|_| !form.is_empty())?;
    let (mut without, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some((before, after)) = finder
        .find(rest)
        .and_then(|at| Some((rest.get(..at)?, rest.get(at + form.len()..)?)))
    {
        without.extend_from_slice(before);
        without.extend_from_slice(placeholder);
        rest = after;
    }
    without.extend_from_slice(rest);
    Some(without)
}

/// A secret as it is, as JSON escapes it, and as a URL does.
fn forms(secret: &Bytes) -> Vec<Bytes> {
    let escape = |byte: &u8| {
        let is_escaped = matches!(byte, b'"' | b'\\');
        is_escaped.then_some(b'\\').into_iter().chain([*byte])
    };
    let in_json = secret.iter().flat_map(escape).collect::<Vec<u8>>();
    let everything = percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let reserved = percent_encode(secret, RESERVED).to_string();
    let mut forms = vec![secret.clone()];
    for form in [in_json, reserved.into_bytes(), everything.into_bytes()] {
        if !forms.iter().any(|known| **known == *form) {
            forms.push(form.into());
        }
    }
    forms
}

fn replaced(
    header: &HeaderName,
    value: &[u8],
    request: &Allowed<HttpRequest>,
    caller: &Caller<'_>,
    sent: &mut Sent,
) -> Result<HeaderValue, HttpFailure> {
    let misspelled = HttpFailure::MisplacedSecret {
        place: "header in another spelling, or twice",
    };
    let (before, name, after) = parts(value).ok_or(misspelled)?;
    let template = format!("{header}: {before}{{}}{after}");
    let access = SecretUse::new(name, request, &template);
    let secret = access
        .map_err(|malformed| caller.refuse(&malformed))
        .and_then(|access| caller.check(access))
        .and_then(|allowed| caller.secrets.read(allowed))
        .map_err(|reason| HttpFailure::SecretDenied {
            name: name.to_owned(),
            reason,
        })?;
    let whole = [before.as_bytes(), &secret, after.as_bytes()].concat();
    let mut value = HeaderValue::from_bytes(&whole).map_err(|_| HttpFailure::BadHeader {
        name: header.to_string(),
        reason: "its secret contains a byte that no header value may".to_owned(),
    })?;
    value.set_sensitive(true);
    sent.0.push(SentSecret {
        placeholder: format!("{OPEN}{name}{CLOSE}"),
        forms: forms(&secret),
    });
    Ok(value)
}

/// What stands before the one placeholder, the secret's name, and what follows; `None` if it is
/// spelled wrongly or not the only one.
fn parts(value: &[u8]) -> Option<(&str, &str, &str)> {
    let value = std::str::from_utf8(value).ok()?;
    let (before, rest) = value.split_once(OPEN)?;
    let (name, after) = rest.split_once(CLOSE)?;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.as_bytes().iter().all(fits);
    (is_name && !after.contains(OPEN)).then_some((before, name, after))
}
