//! Guests for measurements, as text: each does as little as its role allows.

use super::row::failed;
use crate::failure::Failure;

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

/// Asks `to` so many times, one after the other, then tells the client.
pub(super) fn asker(to: &str, rounds: usize) -> Result<Vec<u8>, Failure> {
    counts(&padded("request", to, r#""reply_with":"p""#), 1, rounds)
}

/// Sends `to` so many messages at once, and as many again whenever it is answered, so many times;
/// then tells the client.
pub(super) fn source(to: &str, burst: usize, times: usize) -> Result<Vec<u8>, Failure> {
    counts(&padded("inform", to, r#""language":"json""#), burst, times)
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
    let done = done();
    compile(&agent(&[&done], &send(0, &done)))
}

/// Computes for ever.
pub(super) fn endless() -> Result<Vec<u8>, Failure> {
    compile(&agent(&[], "(loop (br 0)) (i32.const 0)"))
}

/// The first message, and each answer, is followed by `burst` messages, `times` times over.
fn counts(message: &str, burst: usize, times: usize) -> Result<Vec<u8>, Failure> {
    let done = done();
    compile(&agent(
        &[message, &done],
        &format!(
            "(local $n i32)
             (if (i32.eqz (global.get $left))
               (then (global.set $left (i32.const {times})))
               (else
                 (global.set $left (i32.sub (global.get $left) (i32.const 1)))
                 (if (i32.eqz (global.get $left)) (then (return {done})))))
             (loop $again
               (if {one} (then (return (i32.const 1))))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const {burst}))))
             (i32.const 0)",
            done = send(1, &done),
            one = send(0, message),
        ),
    ))
}

fn done() -> String {
    format!(
        r#"{{"performative":"inform","receiver":"{CLIENT}","in_reply_to":"{REPLY}","content":null}}"#
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
    1_024 * (index + 1)
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
          (memory (export "memory") 2)
          (global $left (mut i32) (i32.const 0))
          {data}
          (func (export "allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "deallocate") (param i32 i32))
          (func (export "handle_message") (param i32 i32) (result i32) {body}))"#
    )
}

fn compile(text: &str) -> Result<Vec<u8>, Failure> {
    wat::parse_str(text).map_err(failed)
}
