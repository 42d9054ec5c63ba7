//! What every parser of outside bytes must keep, whatever the bytes: one function a parser.
//!
//! Each function panics where its parser breaks its word. The fuzzer calls them with what it makes
//! up, the ordinary suite with every file of `corpus/NAME/`.

mod api_body;
mod files;
mod guest_call;
mod guest_result;
mod journal;
mod manifest;
mod message;
mod module;
mod name;
mod record;

/// A target: its name, which is its corpus' folder too, and what it checks.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 9] = [
    ("api_body", api_body::check),
    ("guest_call", guest_call::check),
    ("guest_result", guest_result::check),
    ("journal", journal::check),
    ("manifest", manifest::check),
    ("message", message::check),
    ("module", module::check),
    ("name", name::check),
    ("record", record::check),
];
