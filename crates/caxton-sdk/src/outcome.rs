//! What a handler may return, and which number the host gets for it.

use std::fmt::Display;

/// The end of a handler: nothing, a number, or a result.
///
/// `()` is success; an `i32` goes to the host as it is (0 is success); an `Err` is told to whoever
/// asked as a `failure` and counts as an error.
pub trait Outcome {
    /// The number for the host; `failed` is called with the error's text.
    fn finish(self, failed: &mut dyn FnMut(&str)) -> i32;
}

impl Outcome for () {
    fn finish(self, _: &mut dyn FnMut(&str)) -> i32 {
        0
    }
}

impl Outcome for i32 {
    fn finish(self, _: &mut dyn FnMut(&str)) -> i32 {
        self
    }
}

impl<T: Outcome, E: Display> Outcome for Result<T, E> {
    fn finish(self, failed: &mut dyn FnMut(&str)) -> i32 {
        match self {
            Ok(outcome) => outcome.finish(failed),
            Err(error) => {
                failed(&error.to_string());
                1
            }
        }
    }
}
