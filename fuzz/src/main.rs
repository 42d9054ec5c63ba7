//! One program for all targets: libFuzzer looks for inputs on which a target panics.
//!
//! `FUZZ_TARGET` names the target; the arguments are libFuzzer's own.

#![no_main]

use std::sync::OnceLock;

mod targets;

fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        match targets::ALL.iter().find(|(name, _)| *name == wanted) {
            Some((_, target)) => *target,
            None => {
                let names: Vec<_> = targets::ALL.iter().map(|(name, _)| *name).collect();
                eprintln!("FUZZ_TARGET is one of {}", names.join(", "));
                std::process::exit(2);
            }
        }
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target()(bytes));
