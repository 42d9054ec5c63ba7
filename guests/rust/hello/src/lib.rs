//! The hello processor: a text in, the text and "-wasm" out.

use caxton_sdk::processor;

#[processor]
fn hello(input: &str) -> String {
    format!("{input}-wasm")
}
