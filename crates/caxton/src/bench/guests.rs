//! Guests for measurements, as text: each does as little as its role allows.

use super::row::failed;
use crate::failure::Failure;

/// Hexadecimal digits of one time in an asker's report: up to 16 seconds in microseconds.
const DIGITS: usize = 6;

/// Bytes of a message between two measured agents, as its sender writes it.
const MESSAGE_BYTES: usize = 256;

/// The name under which the measurement asks and is answered.
pub(super) const CLIENT: &str = "bench";

/// What the measurement's own requests are answered with.
pub(super) const REPLY: &str = "done";

/// Takes a text and gives it back.
pub(super) fn processor() -> Result<Vec<u8>, Failure> {
    compile(
        r#"(module (memory (export "memory") 2)
          (func (export "allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "deallocate") (param i32 i32))
          (func (export "process") (param i32) (result i32)
            (memory.copy (i32.const 70000) (local.get 0) (i32.const 80))
            (i32.const 70000)))"#,
    )
}

/// Asks `to` so many times, one after the other, then tells the client how long each took by its
/// own clock: see [`micros`].
pub(super) fn asker(to: &str, rounds: usize) -> Result<Vec<u8>, Failure> {
    let ask = padded("request", to, r#""reply_with":"p""#);
    let digits = format!("\"{}\"", "0".repeat(rounds * DIGITS));
    let done = done(CLIENT, &digits);
    let first_digit = place(1) + done.find(&digits).unwrap_or_default() + 1;
    compile(&agent(
        &[&ask, &done],
        &format!(
            "(local $now i64)
             (local.set $now (call $clock))
             (if (i32.eqz (global.get $left))
               (then (global.set $left (i32.const {rounds})))
               (else
                 (call $digits
                   (i32.add (i32.const {first_digit})
                     (i32.mul (i32.sub (i32.const {rounds}) (global.get $left)) (i32.const {DIGITS})))
                   (i64.sub (local.get $now) (global.get $last)))
                 (global.set $left (i32.sub (global.get $left) (i32.const 1)))
                 (if (i32.eqz (global.get $left)) (then (return {told})))))
             (global.set $last (local.get $now))
             {asked}",
            told = send(1, &done),
            asked = send(0, &ask),
        ),
    ))
}

/// What an [`asker`] told: microseconds of each round.
pub(super) fn micros(told: &str) -> Result<Vec<u32>, Failure> {
    let digits = told.trim_matches('"').as_bytes().chunks(DIGITS);
    digits
        .map(|chunk| {
            let text = std::str::from_utf8(chunk).map_err(failed)?;
            u32::from_str_radix(text, 16).map_err(failed)
        })
        .collect()
}

/// Sends `to` so many messages at once, and as many again whenever it is answered, so many times;
/// then tells that client.
pub(super) fn source(
    to: &str,
    burst: usize,
    times: usize,
    client: &str,
) -> Result<Vec<u8>, Failure> {
    let message = padded("inform", to, r#""language":"json""#);
    let done = done(client, "null");
    compile(&agent(
        &[&message, &done],
        &format!(
            "(local $n i32)
             (if (i32.eqz (global.get $left))
               (then (global.set $left (i32.const {times})))
               (else
                 (global.set $left (i32.sub (global.get $left) (i32.const 1)))
                 (if (i32.eqz (global.get $left)) (then (return {told})))))
             (loop $again
               (if {one} (then (return (i32.const 1))))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const {burst}))))
             (i32.const 0)",
            told = send(1, &done),
            one = send(0, &message),
        ),
    ))
}

/// Answers `to` once for each so many messages.
pub(super) fn answerer(to: &str, every: usize) -> Result<Vec<u8>, Failure> {
    let answer = padded("inform", to, r#""in_reply_to":"p""#);
    compile(&agent(
        &[&answer],
        &format!(
            "(global.set $left (i32.add (global.get $left) (i32.const 1)))
             (if (i32.lt_u (global.get $left) (i32.const {every})) (then (return (i32.const 0))))
             (global.set $left (i32.const 0))
             {send}",
            send = send(0, &answer),
        ),
    ))
}

/// Answers the client.
pub(super) fn replier() -> Result<Vec<u8>, Failure> {
    let done = done(CLIENT, "null");
    compile(&agent(&[&done], &send(0, &done)))
}

/// Keeps the eight bytes after an `@` in its memory, and answers its client with those it keeps.
///
/// The least that has a state of its own. Each of its clients is told under that client's name, which
/// has to be as long as [`slot_client`] makes it.
pub(super) fn tiny() -> Result<Vec<u8>, Failure> {
    let done = done(&slot_client(0), "\"@@@@@@@@\"");
    let kept = place(0) + done.find('@').unwrap_or_default();
    let client = place(0) + done.find(CLIENT).unwrap_or_default();
    let length = slot_client(0).len();
    compile(&agent(
        &[&done],
        &format!(
            "(local $end i32)
             (local.set $end (i32.add (local.get 0) (local.get 1)))
             (loop $look
               (if (i32.ge_u (local.get 0) (local.get $end)) (then (return (i32.const 1))))
               (if (i32.eq (i32.load8_u (local.get 0)) (i32.const 64))
                 (then
                   (if (i32.ne (i32.load8_u (i32.add (local.get 0) (i32.const 1))) (i32.const 63))
                     (then (i64.store (i32.const {kept})
                       (i64.load (i32.add (local.get 0) (i32.const 1))))))
                   (memory.copy (i32.const {client})
                     (i32.add (local.get 0) (i32.const 9)) (i32.const {length}))
                   (return {told})))
               (local.set 0 (i32.add (local.get 0) (i32.const 1)))
               (br $look))
             (unreachable)",
            told = send(0, &done),
        ),
    ))
}

/// The name of one of several clients at work at the same time; all are of one length.
pub(super) fn slot_client(slot: usize) -> String {
    format!("{CLIENT}-{slot:03}")
}

/// Computes for ever.
pub(super) fn endless() -> Result<Vec<u8>, Failure> {
    compile(&agent(&[], "(loop (br 0)) (i32.const 0)"))
}

/// Fills so many pages of memory, all it has, for ever: one instruction each time.
pub(super) fn filler(pages: u64) -> Result<Vec<u8>, Failure> {
    compile(&format!(
        r#"(module
          (memory (export "memory") {pages})
          (func (export "allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "deallocate") (param i32 i32))
          (func (export "handle_message") (param i32 i32) (result i32)
            (loop $again
              (memory.fill (i32.const 0) (i32.const 1)
                (i32.mul (memory.size) (i32.const 65536)))
              (br $again))
            (i32.const 0)))"#
    ))
}

/// How a message to the measurement itself begins, and no other.
pub(super) const TOLD: &str = r#"{"performative":"inform","receiver":"bench"#;

fn done(client: &str, content: &str) -> String {
    format!(
        r#"{{"performative":"inform","receiver":"{client}","in_reply_to":"{REPLY}","content":{content}}}"#
    )
}

/// A message of the usual size.
fn padded(performative: &str, to: &str, more: &str) -> String {
    let around = |pad: &str| {
        format!(
            r#"{{"performative":"{performative}","receiver":"{to}",{more},"content":{{"action":"measure","data":"{pad}"}}}}"#
        )
    };
    let bytes = MESSAGE_BYTES.saturating_sub(around("").len());
    around(&"x".repeat(bytes))
}

/// Where text number `index` lies in the guest's memory.
const fn place(index: usize) -> usize {
    4_096 * (index + 1)
}

fn send(index: usize, text: &str) -> String {
    format!(
        "(call $send (i32.const {}) (i32.const {}))",
        place(index),
        text.len()
    )
}

fn agent(texts: &[&str], body: &str) -> String {
    let data: String = texts
        .iter()
        .enumerate()
        .map(|(i, text)| {
            format!(
                "(data (i32.const {}) \"{}\")\n",
                place(i),
                text.replace('"', "\\22")
            )
        })
        .collect();
    format!(
        r#"(module
          (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
          (import "caxton" "current_timestamp" (func $clock (result i64)))
          (memory (export "memory") 2)
          (global $left (mut i32) (i32.const 0))
          (global $last (mut i64) (i64.const 0))
          (func $digits (param $at i32) (param $value i64)
            (local $n i32) (local $digit i32)
            (local.set $n (i32.const {DIGITS}))
            (loop $next
              (local.set $n (i32.sub (local.get $n) (i32.const 1)))
              (local.set $digit (i32.wrap_i64 (i64.and (local.get $value) (i64.const 15))))
              (i32.store8 (i32.add (local.get $at) (local.get $n))
                (i32.add (local.get $digit) (select (i32.const 48) (i32.const 87)
                  (i32.lt_u (local.get $digit) (i32.const 10)))))
              (local.set $value (i64.shr_u (local.get $value) (i64.const 4)))
              (br_if $next (local.get $n))))
          {data}
          (func (export "allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "deallocate") (param i32 i32))
          (func (export "handle_message") (param i32 i32) (result i32) {body}))"#
    )
}

fn compile(text: &str) -> Result<Vec<u8>, Failure> {
    wat::parse_str(text).map_err(failed)
}
