//! A processor of bytes: the input in reverse order, NULs and all.

use caxton_sdk::processor;

#[processor]
fn reverse_bytes(input: &[u8]) -> Vec<u8> {
    input.iter().rev().copied().collect()
}
