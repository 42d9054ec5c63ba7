//! Reading bodies: bounded in bytes and in time, within the room of their callers.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use caxton_api::Problem;
use caxton_model::{ErrorCode, JSON_DEPTH_MAX, json_depth_exceeds};
use http::{HeaderMap, HeaderName, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{ServerLimits, body_room::HeldRoom, query::unknown, refuse::Failure};

/// What of a refused body is still read, so that the client sees the answer before the end.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(3);

/// A body that was read. Its room is given back when this is dropped.
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    pub(crate) room: Option<HeldRoom>,
}

/// How much of a body is read, and what is said if there is more.
#[derive(Clone, Copy)]
pub(crate) struct BodyMax {
    pub(crate) bytes: usize,
    pub(crate) code: ErrorCode,
}

/// Reads a body into room of its caller's.
///
/// Bounds: `max`, the limits' slowest rate and longest pause, the caller's share of the room.
/// Errors: `max.code` if it is too large, `request-timeout`, `too-many-requests`.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    mut room: HeldRoom,
    max: BodyMax,
    limits: &ServerLimits,
) -> Result<ReadBody, Failure> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    let read = match announced {
        Some(bytes) if bytes > max.bytes => Err(Unread::TooLarge),
        _ => collect(&mut body, &mut room, max.bytes, limits).await,
    };
    let failure = match read {
        Ok(bytes) => {
            return Ok(ReadBody {
                bytes,
                room: Some(room),
            });
        }
        Err(Unread::TooLarge) => {
            let detail = format!("the body is larger than {} bytes", max.bytes);
            Failure::new(max.code, detail)
        }
        Err(Unread::Slow { bytes, took }) => {
            let detail = format!(
                "{bytes} bytes of the body came in {} s; a body comes with at least {} bytes a second",
                took.as_secs(),
                limits.body_rate_min
            );
            return Err(Failure::new(ErrorCode::RequestTimeout, detail));
        }
        Err(Unread::Broken) => return Err(Failure::malformed("the body ended before its end")),
        Err(Unread::NoRoom) => Failure::new(
            ErrorCode::TooManyRequests,
            "the requests of this token that are being read take all the memory that one token \
             may take",
        ),
    };
    drop(room);
    discard(body).await;
    Err(failure)
}

enum Unread {
    TooLarge,
    NoRoom,
    Slow { bytes: usize, took: Duration },
    Broken,
}

async fn collect(
    body: &mut Body,
    room: &mut HeldRoom,
    bytes_max: usize,
    limits: &ServerLimits,
) -> Result<Bytes, Unread> {
    let mut all = BytesMut::new();
    let mut began = Instant::now();
    loop {
        // A pause is allowed once; what came since then must have come at the rate.
        let rate = limits.body_rate_min.max(1) as u64;
        let earned = Duration::from_micros((all.len() as u64).saturating_mul(1_000_000) / rate);
        let until = began + limits.body_pause_max + earned;
        let until = until.min(Instant::now() + limits.body_pause_max);
        let frame = tokio::time::timeout_at(until, body.frame()).await;
        let frame = frame.map_err(|_| Unread::Slow {
            bytes: all.len(),
            took: began.elapsed(),
        })?;
        let Some(frame) = frame else {
            return Ok(all.freeze());
        };
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if all.len() + data.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
        let asked = Instant::now();
        if !room.grow(data.len()).await {
            return Err(Unread::NoRoom);
        }
        // While it waits for room, nothing is read, which is not the client's fault.
        began += asked.elapsed();
        all.extend_from_slice(&data);
    }
}

async fn discard(mut body: Body) {
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    // The answer is the same however far this came.
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, reading).await;
}

/// What a body says it is.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .unwrap_or_default()
        .trim()
}

/// Refuses a body, or a part of a form, in an encoding that would have to be undone first.
///
/// Errors: `unsupported-media-type`, with an `Accept-Encoding` that says what is taken.
pub(crate) fn must_be_plain(headers: &HeaderMap) -> Result<(), Failure> {
    // What a part of a form may say and changes nothing.
    const PLAIN: [&str; 4] = ["identity", "binary", "8bit", "7bit"];
    let transfer = HeaderName::from_static("content-transfer-encoding");
    for name in [header::CONTENT_ENCODING, transfer] {
        for value in headers.get_all(&name) {
            let text = String::from_utf8_lossy(value.as_bytes());
            let mut codings = text.split(',').map(str::trim);
            let is_plain = |coding: &str| {
                coding.is_empty() || PLAIN.iter().any(|plain| coding.eq_ignore_ascii_case(plain))
            };
            if codings.all(is_plain) {
                continue;
            }
            let shown: String = text.chars().take(100).collect();
            let detail = format!(
                "the body is sent with `{name}: {shown}`, and only bodies without an encoding are \
                 read"
            );
            let mut failure = Failure::new(ErrorCode::UnsupportedMediaType, detail);
            failure.problem.remedy = format!("send the body as it is, without `{name}`");
            return Err(failure.with_header(header::ACCEPT_ENCODING, "identity"));
        }
    }
    Ok(())
}

/// Whether a body says it is JSON.
///
/// Errors: `unsupported-media-type`.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Failure> {
    let media_type = media_type(headers);
    let essence = media_type.to_ascii_lowercase();
    if essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return must_be_utf8(headers);
    }
    let shown: String = media_type.chars().take(100).collect();
    let detail = match shown.is_empty() {
        true => "the body has no `Content-Type`".to_owned(),
        false => format!("the body is `{shown}`"),
    };
    let mut failure = Failure::new(ErrorCode::UnsupportedMediaType, detail);
    "send `Content-Type: application/json`".clone_into(&mut failure.problem.remedy);
    Err(failure)
}

/// JSON is UTF-8, whatever its `charset` says: one that says otherwise would be misread.
fn must_be_utf8(headers: &HeaderMap) -> Result<(), Failure> {
    let content_type = headers.get(header::CONTENT_TYPE);
    let text = content_type.and_then(|value| value.to_str().ok());
    let mut parameters = text.unwrap_or_default().split(';').skip(1);
    let charset = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    });
    let known = ["utf-8", "utf8", "us-ascii"];
    match charset {
        Some(other) if !known.iter().any(|name| other.eq_ignore_ascii_case(name)) => {
            let shown: String = other.chars().take(100).collect();
            let detail = format!("the body's `charset` is `{shown}`, and JSON is UTF-8");
            let mut failure = Failure::new(ErrorCode::UnsupportedMediaType, detail);
            "send the body in UTF-8, with `Content-Type: application/json`"
                .clone_into(&mut failure.problem.remedy);
            Err(failure)
        }
        _ => Ok(()),
    }
}

/// Reads JSON.
///
/// Errors: `malformed-request` with the place, `unknown-field` with the nearest name.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    if json_depth_exceeds(bytes, JSON_DEPTH_MAX) {
        return Err(Failure::malformed(format!(
            "the JSON is nested deeper than {JSON_DEPTH_MAX} levels"
        )));
    }
    // Serde would take a list for an object, field by field.
    if bytes
        .trim_ascii_start()
        .first()
        .is_some_and(|first| *first != b'{')
    {
        return Err(Failure::malformed("the body: expected a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| explain(&error))
}

/// What serde says, as a problem.
pub(crate) fn explain(error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    if let Some(rest) = text.strip_prefix("unknown field ") {
        let mut words = rest.split('`').skip(1).step_by(2);
        let name = words.next().unwrap_or_default().to_owned();
        let known: Vec<&str> = words.collect();
        return unknown(&name, known.into_iter(), "field");
    }
    Problem::new(ErrorCode::MalformedRequest, format!("the body: {text}")).into()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::body_room::BodyRoom;
    use caxton_api::StopRequest;
    use futures_util::{StreamExt as _, stream};

    #[test]
    fn unknown_fields_are_named_with_their_neighbours() {
        let error = read_json::<StopRequest>(br#"{"drian":true}"#).unwrap_err();
        assert_eq!(error.problem.code, "unknown-field");
        assert_eq!(error.problem.nearest.as_deref(), Some("drain"));
        let error = read_json::<StopRequest>(br#"{"zzzzzzzzz":true}"#).unwrap_err();
        assert!(
            error.problem.detail.contains("drain, grace_ms"),
            "{}",
            error.problem.detail
        );
        for bad in [
            "",
            "{",
            "[]",
            "null",
            "{\"drain\":1}",
            "{\"drain\":true}x",
            "\u{feff}{}",
        ] {
            let error = read_json::<StopRequest>(bad.as_bytes()).unwrap_err();
            assert_eq!(error.problem.code, "malformed-request", "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(
            read_json::<StopRequest>(deep.as_bytes())
                .unwrap_err()
                .problem
                .detail
                .contains("64")
        );
        assert!(read_json::<StopRequest>(&[0xff, 0xfe]).is_err());
    }

    async fn read_at(pause: Duration, piece: &'static [u8], pieces: usize) -> Result<usize, u16> {
        let limits = ServerLimits::default();
        let room = BodyRoom::new(4 << 20);
        let drops = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(piece)
        });
        let max = BodyMax {
            bytes: 1 << 20,
            code: ErrorCode::PayloadTooLarge,
        };
        let body = Body::from_stream(drops);
        let room = room.begin(&"caller".into());
        let read = super::read(&HeaderMap::new(), body, room, max, &limits).await;
        read.map(|read| read.bytes.len())
            .map_err(|failure| failure.problem.status)
    }

    #[tokio::test]
    async fn a_body_comes_at_a_rate() {
        tokio::time::pause();
        let second = Duration::from_secs(1);
        assert_eq!(read_at(9 * second, b"x", 1).await, Ok(1), "one pause");
        assert_eq!(read_at(9 * second, b"x", 2).await, Err(408), "two pauses");
        assert_eq!(read_at(second, b"x", 60).await, Err(408), "a drip");
        assert_eq!(read_at(second, &[0; 20_000], 40).await, Ok(800_000));
        assert_eq!(read_at(second, &[0; 10_000], 100).await, Err(408));
        assert_eq!(read_at(second, &[0; 20_000], 60).await, Err(413));
    }
}
