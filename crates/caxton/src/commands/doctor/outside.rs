//! Attacks on the limits of what lies outside of a guest: HTTP requests to a server of this program, and
//! files in a directory that the node's operator mapped. Both need a grant, which only a token with the
//! scope `admin` gives.

use std::time::Instant;

use caxton_client::{
    AgentConfig, ClientError, Deployment,
    api::{AskedValue, GrantPattern},
};
use caxton_model::{ErrorCode, HostCode, LimitName};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    attack::{Report, limited_to, report_of, set_to},
    guests,
    row::Found,
    ward::Ward,
};
use crate::failure::Failure;

/// The directory in which guests write; a node that maps none by this name is not attacked.
pub(super) const DIRECTORY: &str = "/data/doctor";

/// Bytes of the body of each response, and of the request that must not fit `http_body_bytes`.
const BODY_BYTES: usize = 1_024;
/// Bytes of a request's head that the server reads.
const HEAD_BYTES_MAX: usize = 8_192;
/// Time for all accesses of one turn, which wait for network and disk.
const WALL_MICROS: u64 = 10_000_000;

/// Numbers of WASI preview 1: a file, or all files together, would be too large.
const ERRNO_FBIG: i32 = 22;
const ERRNO_DQUOT: i32 = 19;
/// No such descriptor, no access, no such name: the directory is not there.
const ERRNOS_WITHOUT_DIRECTORY: [i32; 3] = [8, 2, 44];

/// A guest's settings, with one permission.
fn granted(limit: LimitName, permission: &str, to: String) -> AgentConfig {
    let mut config = limited_to(limit);
    let wall = AskedValue::Number(WALL_MICROS);
    config.limits.insert(LimitName::Wall.to_string(), wall);
    let pattern = GrantPattern {
        to: vec![to],
        reason: Some("caxton doctor".to_owned()),
    };
    config.grants.insert(permission.to_owned(), pattern);
    config
}

/// Deploys a guest that needs a grant; the reason, where this node or token does not allow it.
async fn place(
    ward: &mut Ward,
    name: &str,
    guest: &str,
    config: AgentConfig,
) -> Result<Result<Deployment, Found>, Failure> {
    let placed: Result<_, ClientError> = ward.place(name, guests::module(guest)?, config).await;
    let why = match placed.as_ref().err().and_then(ClientError::code) {
        Some(ErrorCode::Forbidden) => "only a token with the scope `admin` may grant it",
        Some(ErrorCode::InvalidLimit) => "a ceiling of this node's `[ceilings]` is too low for it",
        _ => return Ok(Ok(placed?)),
    };
    Ok(Err(Found::said(format!("not attacked: {why}"))))
}

/// Answers each request with the same body, and closes the connection.
pub(super) async fn serve(listener: &TcpListener) -> std::io::Error {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return error,
        };
        // A client that goes away in between is served no further.
        let _ = answer(stream).await;
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(());
        }
    }
    let body = "x".repeat(BODY_BYTES);
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    // What is left of the request, until the client has closed its side.
    let mut rest = [0; 1_024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Requests to a server of this program, until one is refused.
pub(super) async fn http(ward: &mut Ward, limit: LimitName) -> Result<Found, Failure> {
    if !ward.is_on_this_machine() {
        return Ok(Found::said(
            "not attacked: the node is on another machine, from which it does not reach this program",
        ));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::select! {
        found = requests(ward, limit, &address) => found,
        error = serve(&listener) => Err(error.into()),
    }
}

async fn requests(ward: &mut Ward, limit: LimitName, address: &str) -> Result<Found, Failure> {
    if limit != LimitName::HttpBodyBytes {
        let seen = match flood(ward, limit, address, "GET").await? {
            Ok(seen) => seen,
            Err(found) => return Ok(found),
        };
        // What arrives over the limit is refused with its request.
        let (least, most) = match limit {
            LimitName::HttpPerMinute => (set_to(limit), set_to(limit)),
            _ => (1, set_to(limit) / BODY_BYTES as u64),
        };
        let most = most + comes_in(most, seen.secs);
        let counted = seen.turn.peak(limit) > 0;
        return Ok(seen.judge_within(least, most, HostCode::RateLimited, counted));
    }
    // Refused both ways.
    let into = match flood(ward, limit, address, "GET").await? {
        Ok(seen) => seen.judge_within(0, 0, HostCode::TooLarge, true),
        Err(found) => return Ok(found),
    };
    let out = match flood(ward, limit, address, "POST").await? {
        Ok(seen) => seen.judge_within(0, 0, HostCode::TooLarge, true),
        Err(found) => return Ok(found),
    };
    Ok(Found::judged(
        into.held == Some(true) && out.held == Some(true),
        format!("in: {}; out: {}", into.reached, out.reached),
    ))
}

/// What a bucket of so much a minute is given while the attack lasts, however slow the machine is.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "some seconds of a small rate"
)]
fn comes_in(full: u64, secs: f64) -> u64 {
    (full as f64 * secs / 60.0).ceil() as u64
}

/// One guest that sends requests until one is refused.
async fn flood(
    ward: &mut Ward,
    limit: LimitName,
    address: &str,
    method: &str,
) -> Result<Result<Report, Found>, Failure> {
    let begun = Instant::now();
    let (permission, body) = match method {
        "GET" => ("http:read", String::new()),
        _ => ("http:write", "x".repeat(BODY_BYTES)),
    };
    let mut config = granted(limit, permission, format!("{address}/**"));
    let url = format!("http://{address}/");
    let request = json!({ "method": method, "url": url, "body": body });
    config
        .config
        .insert("request".to_owned(), request.to_string());
    let name = format!("{limit}-{}", method.to_lowercase());
    Ok(
        match place(ward, &name, guests::HTTP_FLOOD, config).await? {
            Ok(placed) => Ok(report_of(ward, &placed, begun).await?),
            Err(found) => Err(found),
        },
    )
}

/// Files in the mapped directory, until one more byte or one more name is refused.
pub(super) async fn files(ward: &mut Ward, limit: LimitName) -> Result<Found, Failure> {
    let begun = Instant::now();
    let (guest, each, errno) = match limit {
        LimitName::FsEntries => (guests::FILE_FLOOD, 1, ERRNO_DQUOT),
        LimitName::FsBytes => (guests::FILE_GROWTH, BODY_BYTES as u64, ERRNO_DQUOT),
        _ => (guests::FILE_GROWTH, BODY_BYTES as u64, ERRNO_FBIG),
    };
    let mut config = granted(limit, "fs:write", format!("{DIRECTORY}/**"));
    let file = format!("doctor-{}", ward.run());
    config.config.insert("file".to_owned(), file);
    let seen = match place(ward, limit.as_str(), guest, config).await? {
        Ok(placed) => report_of(ward, &placed, begun).await?,
        Err(found) => return Ok(found),
    };
    if seen.count == 0 && ERRNOS_WITHOUT_DIRECTORY.contains(&-seen.code) {
        return Ok(Found::said(format!(
            "not attacked: map a directory as `{DIRECTORY}` in [directories] of node.toml, and guests will write there"
        )));
    }
    let most = set_to(limit) / each;
    let held = seen.count == most && seen.code == -errno;
    let what = match limit {
        LimitName::FsEntries => "files",
        _ => "KiB",
    };
    let text = match seen.code {
        0 => format!("{} {what}, and no end", seen.count),
        code => format!("{} {what}, then the guest got errno {}", seen.count, -code),
    };
    Ok(Found::judged(held, text))
}
