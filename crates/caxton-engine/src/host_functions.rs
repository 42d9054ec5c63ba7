//! The host's functions, as guests call them: pointers checked, sizes bounded, calls counted.
//!
//! Each answers a number of the one table of codes; a pointer outside memory is a fault instead.

use std::sync::Arc;

use bytes::Bytes;
use caxton_model::{ErrorCode, Fault, HostCode, LimitName, Micros, split_outcome};
use wasmtime::Caller;

use crate::{
    AccessOutcome, AccessRefused, LogLevel, MetricKind,
    ctx::{Ctx, Stop, limit_fault},
    guest_memory::{assembly_script_text, copy_out, span, view},
};

pub(crate) use crate::table_functions::{data_delete, data_get, data_list, data_put};

pub(crate) type Guest<'a> = Caller<'a, Ctx>;
pub(crate) type Answer = Result<i32, Stop>;

/// One log line. Unit: bytes.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 8 << 10;
/// A request to the outside, as JSON: a body of 16 MiB in base64, and what stands around it. Smaller
/// bodies are `http_body_bytes`' to judge. Unit: bytes.
const HTTP_REQUEST_BYTES_MAX: usize = 24 << 20;
/// A metric's name. Unit: bytes.
const METRIC_NAME_BYTES_MAX: usize = 128;
/// Characters of an AssemblyScript `abort` message that are kept.
const ABORT_CHARS_MAX: usize = 1_000;

pub(crate) const fn code(result: Result<(), HostCode>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(code) => code.as_i32(),
    }
}

const fn number(result: Result<i32, HostCode>) -> i32 {
    match result {
        Ok(number) => number,
        Err(code) => code.as_i32(),
    }
}

pub(crate) fn send_message(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let json = span(ptr, len).of(bytes)?;
    if json.len() as u64 > ctx.bounds.message_bytes {
        return Ok(HostCode::TooLarge.as_i32());
    }
    Ok(code(ctx.host.send_message(json)))
}

pub(crate) fn send_local_message(
    c: &mut Guest<'_>,
    id_ptr: i32,
    id_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let (id, json) = (span(id_ptr, id_len).of(bytes)?, span(ptr, len).of(bytes)?);
    if json.len() as u64 > ctx.bounds.message_bytes {
        return Ok(HostCode::TooLarge.as_i32());
    }
    match std::str::from_utf8(id) {
        Ok(id) => Ok(code(ctx.host.send_local_message(id, json))),
        Err(_) => Ok(HostCode::Malformed.as_i32()),
    }
}

pub(crate) fn broadcast_message(
    c: &mut Guest<'_>,
    filter_ptr: i32,
    filter_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let (filter, json) = (
        span(filter_ptr, filter_len).of(bytes)?,
        span(ptr, len).of(bytes)?,
    );
    if filter.len().max(json.len()) as u64 > ctx.bounds.message_bytes {
        return Ok(HostCode::TooLarge.as_i32());
    }
    Ok(reached(ctx.host.broadcast(filter, json)))
}

/// The answer to what goes to many: how many it reached.
fn reached(count: Result<u32, HostCode>) -> i32 {
    number(count.map(|n| i32::try_from(n).unwrap_or(i32::MAX)))
}

pub(crate) fn event_emit(
    c: &mut Guest<'_>,
    topic_ptr: i32,
    topic_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let (topic, json) = (
        span(topic_ptr, topic_len).of(bytes)?,
        span(ptr, len).of(bytes)?,
    );
    if json.len() as u64 > ctx.bounds.message_bytes {
        return Ok(HostCode::TooLarge.as_i32());
    }
    match std::str::from_utf8(topic) {
        Ok(topic) => Ok(reached(ctx.host.event_emit(topic, json))),
        Err(_) => Ok(HostCode::Malformed.as_i32()),
    }
}

pub(crate) fn subscribe_messages(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let filter = span(ptr, len).of(bytes)?;
    if filter.len() as u64 > ctx.bounds.message_bytes {
        return Ok(HostCode::TooLarge.as_i32());
    }
    Ok(number(ctx.host.subscribe(filter)))
}

pub(crate) fn unsubscribe_messages(c: &mut Guest<'_>, id: i32) -> Answer {
    Ok(code(c.data_mut().host.unsubscribe(id)))
}

/// Gets a key's value into memory, if it isn't there: the guest is suspended meanwhile.
async fn fetch(c: &mut Guest<'_>, ptr: i32, len: i32) -> Result<(), Stop> {
    let (bytes, ctx) = view(c)?;
    let key = span(ptr, len).of(bytes)?;
    let Some(future) = ctx.host.fetch(key) else {
        return Ok(());
    };
    let key = Bytes::copy_from_slice(key);
    let (meter, wall) = (ctx.meter.clone(), ctx.bounds.wall_nanos);
    let Some(value) = meter.wait(wall, future).await else {
        return Err(wall_is_over(wall));
    };
    c.data_mut().host.fetched(&key, value);
    Ok(())
}

pub(crate) fn wall_is_over(wall_nanos: u64) -> Stop {
    Stop(Box::new(wall_fault(
        wall_nanos,
        "and the guest still waits in a host function",
    )))
}

pub(crate) fn wall_fault(wall_nanos: u64, asked: &str) -> Fault {
    limit_fault(LimitName::Wall, wall_nanos / 1_000, asked)
}

pub(crate) async fn load_data(
    c: &mut Guest<'_>,
    key_ptr: i32,
    key_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    fetch(c, key_ptr, key_len).await?;
    let (bytes, ctx) = view(c)?;
    let into = span(ptr, len);
    into.within(bytes.len())?;
    let key = span(key_ptr, key_len).of(bytes)?;
    match ctx.host.load(key) {
        Ok(Some(value)) => copy_out(bytes, into, &value),
        Ok(None) => Ok(HostCode::NotFound.as_i32()),
        Err(code) => Ok(code.as_i32()),
    }
}

pub(crate) async fn store_data(
    c: &mut Guest<'_>,
    key_ptr: i32,
    key_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    fetch(c, key_ptr, key_len).await?;
    let (bytes, ctx) = view(c)?;
    let (key, value) = (span(key_ptr, key_len).of(bytes)?, span(ptr, len).of(bytes)?);
    Ok(code(ctx.host.store(key, value)))
}

pub(crate) async fn delete_data(c: &mut Guest<'_>, key_ptr: i32, key_len: i32) -> Answer {
    fetch(c, key_ptr, key_len).await?;
    let (bytes, ctx) = view(c)?;
    let key = span(key_ptr, key_len).of(bytes)?;
    Ok(code(ctx.host.delete(key)))
}

pub(crate) fn set_timer(c: &mut Guest<'_>, delay_micros: i64) -> Answer {
    Ok(number(match duration(delay_micros) {
        Some(delay) => c.data_mut().host.set_timer(delay),
        None => Err(HostCode::Malformed),
    }))
}

pub(crate) fn cancel_timer(c: &mut Guest<'_>, id: i32) -> Answer {
    Ok(code(c.data_mut().host.cancel_timer(id)))
}

pub(crate) fn current_timestamp(c: &mut Guest<'_>) -> Result<i64, Stop> {
    Ok(c.data_mut().timestamp().0)
}

pub(crate) fn random_u32(c: &mut Guest<'_>) -> Answer {
    Ok(c.data_mut().random_u32().cast_signed())
}

/// AssemblyScript's `env.seed`: any float will do.
pub(crate) fn seed(c: &mut Guest<'_>) -> Result<f64, Stop> {
    Ok(f64::from(c.data_mut().random_u32()))
}

/// A duration that a guest gave; `None`: it is negative or over 100 years.
fn duration(micros: i64) -> Option<Micros> {
    let micros = u64::try_from(micros).ok().map(Micros);
    micros.filter(|micros| *micros <= Micros::LONGEST)
}

/// Suspends the guest, not the thread. What is no duration does not suspend it.
pub(crate) async fn sleep_micros(c: &mut Guest<'_>, micros: i64) -> Result<(), Stop> {
    match duration(micros) {
        Some(wanted) => sleep(c.data_mut(), wanted.duration()).await,
        None => Ok(()),
    }
}

/// A sleep that ends with the wall limit; under `deterministic` only the guest's clock moves.
pub(crate) async fn sleep(ctx: &mut Ctx, wanted: std::time::Duration) -> Result<(), Stop> {
    if ctx.deterministic {
        ctx.skip(wanted);
        return Ok(());
    }
    let (meter, wall) = (ctx.meter.clone(), ctx.bounds.wall_nanos);
    let future = tokio::time::sleep(wanted.min(std::time::Duration::from_secs(31_536_000)));
    meter
        .wait(wall, future)
        .await
        .ok_or_else(|| wall_is_over(wall))
}

/// A line of the guest's log, cut to its bound.
pub(crate) fn log_bytes(ctx: &mut Ctx, level: LogLevel, line: &[u8]) -> Result<(), Stop> {
    let cut = line.get(..LOG_LINE_BYTES_MAX).unwrap_or(line);
    let text = String::from_utf8_lossy(cut);
    let text = text.trim_end_matches(['\n', '\r', char::REPLACEMENT_CHARACTER]);
    let (level, text) = level_of_head(level, text);
    ctx.log_lines += 1;
    ctx.host.log(level, text);
    Ok(())
}

/// `[WARN] ` and the like at the head of a line set its level.
fn level_of_head(level: LogLevel, text: &str) -> (LogLevel, &str) {
    const HEADS: [(&str, LogLevel); 6] = [
        ("[TRACE]", LogLevel::Trace),
        ("[DEBUG]", LogLevel::Debug),
        ("[INFO]", LogLevel::Info),
        ("[WARN]", LogLevel::Warn),
        ("[WARNING]", LogLevel::Warn),
        ("[ERROR]", LogLevel::Error),
    ];
    for (head, named) in HEADS {
        if let Some(rest) = text.strip_prefix(head) {
            return (named, rest.trim_start());
        }
    }
    (level, text)
}

fn log_at(c: &mut Guest<'_>, level: LogLevel, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let line = span(ptr, len).of(bytes)?;
    log_bytes(ctx, level, line)?;
    Ok(0)
}

pub(crate) fn console_log(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    log_at(c, LogLevel::Info, ptr, len)
}

pub(crate) fn console_error(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    log_at(c, LogLevel::Error, ptr, len)
}

pub(crate) fn log_record(c: &mut Guest<'_>, level: i32, ptr: i32, len: i32) -> Answer {
    log_at(c, LogLevel::from_number(level), ptr, len)
}

pub(crate) fn metric(c: &mut Guest<'_>, kind: i32, ptr: i32, len: i32, value: f64) -> Answer {
    let (bytes, ctx) = view(c)?;
    let name = span(ptr, len).of(bytes)?;
    if name.len() > METRIC_NAME_BYTES_MAX {
        return Ok(HostCode::TooLarge.as_i32());
    }
    match (MetricKind::from_number(kind), std::str::from_utf8(name)) {
        (Some(kind), Ok(name)) if value.is_finite() => Ok(code(ctx.host.metric(kind, name, value))),
        _ => Ok(HostCode::Malformed.as_i32()),
    }
}

pub(crate) fn register_capabilities(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let json = span(ptr, len).of(bytes)?;
    if json.len() as u64 > ctx.bounds.message_bytes {
        return Ok(HostCode::TooLarge.as_i32());
    }
    Ok(code(ctx.host.register_capabilities(json)))
}

pub(crate) fn config_get(
    c: &mut Guest<'_>,
    key_ptr: i32,
    key_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let into = span(ptr, len);
    into.within(bytes.len())?;
    let key = span(key_ptr, key_len).of(bytes)?;
    let Ok(key) = std::str::from_utf8(key) else {
        return Ok(HostCode::Malformed.as_i32());
    };
    match ctx.host.config_get(key) {
        Some(value) => copy_out(bytes, into, value.as_bytes()),
        None => Ok(HostCode::NotFound.as_i32()),
    }
}

/// Suspends the guest until the request has an outcome; [`read_response`] gives what came back.
pub(crate) async fn http_request(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let json = span(ptr, len).of(bytes)?;
    if json.len() > HTTP_REQUEST_BYTES_MAX {
        return Ok(HostCode::TooLarge.as_i32());
    }
    ctx.reply = Arc::default();
    let asked = ctx.host.http_request(json);
    match outcome_of(c, asked).await? {
        Ok(outcome) => {
            let (code, _) = split_outcome(&outcome);
            c.data_mut().reply = outcome;
            Ok(code)
        }
        Err(code) => Ok(code.as_i32()),
    }
}

/// Suspends the guest until its access has an outcome.
async fn outcome_of(
    c: &mut Guest<'_>,
    asked: Result<AccessOutcome, AccessRefused>,
) -> Result<Result<Arc<[u8]>, HostCode>, Stop> {
    let outcome = match asked {
        Ok(outcome) => outcome,
        Err(AccessRefused::Code(code)) => return Ok(Err(code)),
        Err(AccessRefused::Fault(fault)) => return Err(Stop(Box::new(fault))),
    };
    let ctx = c.data_mut();
    let (meter, wall) = (ctx.meter.clone(), ctx.bounds.wall_nanos);
    let Some(outcome) = meter.wait(wall, outcome).await else {
        return Err(wall_is_over(wall));
    };
    c.data_mut().host.accessed(&outcome);
    Ok(Ok(outcome))
}

pub(crate) fn vault_get(
    c: &mut Guest<'_>,
    name_ptr: i32,
    name_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let into = span(ptr, len);
    into.within(bytes.len())?;
    let name = span(name_ptr, name_len).of(bytes)?;
    let Ok(name) = std::str::from_utf8(name) else {
        return Ok(HostCode::Malformed.as_i32());
    };
    match ctx.host.vault_get(name) {
        Ok(value) => copy_out(bytes, into, &value),
        Err(code) => Ok(code.as_i32()),
    }
}

/// Suspends the guest until the secret is set, or is refused.
pub(crate) async fn vault_put(
    c: &mut Guest<'_>,
    name_ptr: i32,
    name_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let (name, value) = (
        span(name_ptr, name_len).of(bytes)?,
        span(ptr, len).of(bytes)?,
    );
    let Ok(name) = std::str::from_utf8(name) else {
        return Ok(HostCode::Malformed.as_i32());
    };
    let asked = ctx.host.vault_put(name, value);
    match outcome_of(c, asked).await? {
        Ok(outcome) => Ok(split_outcome(&outcome).0),
        Err(code) => Ok(code.as_i32()),
    }
}

/// What came back for the last request of this turn.
pub(crate) fn read_response(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let into = span(ptr, len);
    into.within(bytes.len())?;
    match split_outcome(&ctx.reply) {
        (0, reply) => copy_out(bytes, into, reply),
        _ => Ok(HostCode::NotFound.as_i32()),
    }
}

/// An extension's answer to its call; the last one counts.
pub(crate) fn respond(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let answer = span(ptr, len).of(bytes)?;
    if answer.len() as u64 > ctx.bounds.payload_bytes {
        return Ok(HostCode::TooLarge.as_i32());
    }
    ctx.response = Some(answer.to_vec());
    Ok(0)
}

/// AssemblyScript's `env.abort`: the guest gives up, and says where.
pub(crate) fn abort(c: &mut Guest<'_>, message: i32, file: i32, line: i32, column: i32) -> Stop {
    let (bytes, _) = match view(c) {
        Ok(view) => view,
        Err(stop) => return stop,
    };
    let text = assembly_script_text(bytes, message, ABORT_CHARS_MAX);
    let file = assembly_script_text(bytes, file, 200);
    let text = if text.is_empty() {
        "no message".to_owned()
    } else {
        text
    };
    let (line, column) = (line.cast_unsigned(), column.cast_unsigned());
    Stop::new(
        ErrorCode::GuestAbort,
        format!("the guest aborted: {text} (at {file}:{line}:{column})"),
    )
}
