//! Reading bodies: bounded in bytes, in time, and all together.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use caxton_api::Problem;
use caxton_model::{ErrorCode, JSON_DEPTH_MAX, json_depth_exceeds};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{ServerLimits, query::unknown, refuse::Failure};

/// The unit in which bodies are counted together.
const UNIT_BYTES: usize = 1 << 10;

/// How long a request waits until others' bodies make room for its own.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// What of a refused body is still read, so that the client sees the answer before the end.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(3);

/// Room for bodies.
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
    units: u32,
}

/// A body that was read. Its room is given back when this is dropped.
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

impl Bodies {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let units = units(bytes_max);
        let room = Semaphore::new(usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS));
        Self {
            room: Arc::new(room),
            units,
        }
    }

    /// Reads a body.
    ///
    /// Bounds: `bytes_max` bytes, the limits' time-outs, room beside the others.
    /// Errors: `code` if it is too large, `request-timeout`, `too-many-requests`.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        bytes_max: usize,
        code: ErrorCode,
        limits: &ServerLimits,
    ) -> Result<ReadBody, Failure> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<usize>().ok());
        let too_large = || {
            let detail = format!("a body here has at most {bytes_max} bytes");
            Failure::new(code, detail)
        };
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            discard(body).await;
            return Err(too_large());
        }
        let wanted = units(announced.unwrap_or(bytes_max)).min(self.units);
        let acquired = Arc::clone(&self.room).acquire_many_owned(wanted);
        let room = match tokio::time::timeout(ROOM_WAIT, acquired).await {
            Ok(Ok(room)) => Some(room),
            _ => {
                let detail = "the node is reading as many large requests as it has room for";
                return Err(Failure::new(ErrorCode::TooManyRequests, detail));
            }
        };
        let reading = collect(&mut body, bytes_max, limits.body_pause_max);
        let read = tokio::time::timeout(limits.body_timeout, reading).await;
        match read.unwrap_or(Err(Unread::Slow)) {
            Ok(bytes) => Ok(ReadBody { bytes, room }),
            Err(Unread::TooLarge) => {
                discard(body).await;
                Err(too_large())
            }
            Err(Unread::Slow) => Err(Failure::new(
                ErrorCode::RequestTimeout,
                "the body did not come in time",
            )),
            Err(Unread::Broken) => Err(Failure::malformed("the body ended before its end")),
        }
    }
}

enum Unread {
    TooLarge,
    Slow,
    Broken,
}

async fn collect(body: &mut Body, bytes_max: usize, pause: Duration) -> Result<Bytes, Unread> {
    let mut all = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(pause, body.frame())
            .await
            .map_err(|_| Unread::Slow)?;
        let Some(frame) = frame else {
            return Ok(all.freeze());
        };
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if all.len() + data.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
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

/// Whether a body says it is JSON.
///
/// Errors: `unsupported-media-type`.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Failure> {
    let media_type = media_type(headers);
    let essence = media_type.to_ascii_lowercase();
    if essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return Ok(());
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
    use super::*;
    use caxton_api::StopRequest;

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

    #[tokio::test]
    async fn bodies_share_their_room() {
        tokio::time::pause();
        let limits = ServerLimits::default();
        let bodies = Bodies::new(4096);
        let read = |max| {
            let body = Body::from(vec![0; 2048]);
            bodies.read(
                HeaderMap::new().into_ref(),
                body,
                max,
                ErrorCode::PayloadTooLarge,
                &limits,
            )
        };
        let first = read(4096).await.unwrap();
        let second = read(4096).await.map(drop).unwrap_err();
        assert_eq!(second.problem.code, "too-many-requests");
        drop(first);
        assert_eq!(read(4096).await.unwrap().bytes.len(), 2048);
        assert_eq!(
            read(2047).await.map(drop).unwrap_err().problem.code,
            "payload-too-large"
        );
    }

    trait IntoRef {
        fn into_ref(self) -> &'static Self;
    }
    impl IntoRef for HeaderMap {
        fn into_ref(self) -> &'static Self {
            Box::leak(Box::new(self))
        }
    }
}
